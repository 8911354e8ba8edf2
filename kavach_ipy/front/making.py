"""A session for a broker, made of the settings.

Guarantees: what the settings do not allow is a `PolicyError` before anything begins.
Assumes: the service calls what it is given in its own thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kavach_ipy.errors import PolicyError
from kavach_ipy.front.trusting import may_trust_display
from kavach_ipy.gate.mimes import DisplayPolicy
from kavach_ipy.launch.host import survey
from kavach_ipy.launch.plan import Plan, make_plan
from kavach_ipy.launch.serving import Service
from kavach_ipy.launch.zygotes import Breed
from kavach_ipy.policy import Policy

if TYPE_CHECKING:
    from kavach_ipy.front.settings import Kavach
    from kavach_ipy.launch.exchange import Hearer
    from kavach_ipy.launch.signals import Signals
    from kavach_ipy.wire.documents import Json

__all__ = ["Made", "check_still_allowed", "make_service", "policy_for"]

_ENTRY: Final = "kavach_ipy.front.served:ServedRunner"
_NAME: Final = "kernel"


@dataclass(frozen=True, slots=True)
class Made:
    """A session that was made."""

    service: Service
    policy: Policy
    display: DisplayPolicy


def policy_for(settings: Kavach) -> Policy:
    """Return what the session of a notebook may do.

    Its cells may ask their user, as those of any notebook, unless the settings say no.

    Raises:
        PolicyError: the settings contradict each other.
    """
    floor = settings.floor()
    policy = settings.to_policy(floor)
    if policy.trust:
        raise PolicyError("trust", policy.trust, "values of a session stay in it; take it out")
    asks = policy.stdin or settings.config.get("Kavach", {}).get("stdin") is not False
    # Again, because asking was allowed after the settings were held.
    return floor.tighten(policy.replace(session=_NAME, stdin=asks))


def check_still_allowed(policy: Policy, settings: Kavach) -> None:
    """Refuse a session that began before a policy file was tightened.

    Raises:
        PolicyError: naming the line that forbids it, or the file that cannot be relied on.
    """
    floor = settings.floor()
    try:
        floor.check(policy)
    except PolicyError as error:
        advice = f"{error.allowed}; the session began before that: %kavach restart begins another"
        raise PolicyError(error.field, error.value, advice) from error


def first_words(path: list[str] | None, number: int, startup: dict[str, Json]) -> dict[str, Json]:
    """Return what a session is told before its first request.

    Args:
        path: where it finds modules; None for this process's own.
        number: of its first prompt.
        startup: what it runs before its first cell.
    """
    return {"path": [*(sys.path if path is None else path)], "number": number, **startup}


def make_service(
    settings: Kavach,
    hearer: Hearer,
    task: dict[str, Any],
    hide: Callable[[Policy], Policy],
) -> Made:
    """Make a session, which its service's `start` begins.

    Args:
        settings: what it may do.
        hearer: hears it.
        task: what it is told before its first request.
        hide: takes out of a policy's reach what no session may see.

    Raises:
        PolicyError: as for `policy_for`.
    """
    policy = policy_for(settings)
    display = DisplayPolicy.of(settings.withheld_types, is_trusted=policy.trust_display)
    preload = tuple(settings.preload)
    is_display_trusted = may_trust_display(settings)

    hidden = hide(policy)

    def make(_: Signals) -> tuple[Plan, Breed]:
        plan = make_plan(hidden, survey(hidden), may_trust_display=is_display_trusted)
        return plan, Breed(plan.environment, _ENTRY, preload)

    checkpoint = settings.checkpoint == "auto"
    return Made(Service(make, task, hearer, checkpoint=checkpoint), policy, display)
