"""The order of policies, and the loosest policy that is at most as loose as two others.

Guarantees: ``tighten`` is commutative, associative and idempotent, and ``is_at_most(tighten(a, b),
x)`` holds for both operands; it drops nothing that both allow. The order has no cycles: two
policies that are at most as loose as each other are equal.
Assumes: that a listed path decides over the built-in view below it (see ``paths``); an unlisted
path is the least that a list can say.

A session is no permission, so in the order a named one stands below "none": a policy that does not
name a session can be combined with one that does.
"""

from __future__ import annotations

from typing import Final

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy.environment import intersect_patterns, pattern_covers
from kavach_ipy.policy.model import Policy
from kavach_ipy.policy.paths import (
    Reach,
    is_covered,
    listed,
    outermost,
    reach,
    shortest_lists,
)

__all__ = ["is_at_most", "tighten"]

# Fields where less is tighter and there is always a number.
_LIMITS: Final = ("cpu", "memory", "pids", "files", "disk", "output", "messages")


def tighten(a: Policy, b: Policy) -> Policy:
    """Return the policy that allows what both ``a`` and ``b`` allow, and nothing else.

    Raises:
        PolicyError: the two name different sessions, and a cell cannot run in both.
    """
    hidden = outermost(a.hidden + b.hidden)
    read_only, writable = shortest_lists(_shared_reach(a, b), hidden)
    limits = {name: min(getattr(a, name), getattr(b, name)) for name in _LIMITS}
    return Policy(
        network=min(a.network, b.network, key=lambda network: network.rank),
        inputs=_shared_names(a.inputs, b.inputs),
        outputs=_shared_names(a.outputs, b.outputs),
        timeout=_shorter(a.timeout, b.timeout),
        read_only=read_only,
        writable=writable,
        hidden=hidden,
        environment=intersect_patterns(a.environment, b.environment),
        clean=a.clean or b.clean,
        session=_one_session(a.session, b.session),
        trust=a.trust and b.trust,
        stdin=a.stdin and b.stdin,
        trust_display=a.trust_display and b.trust_display,
        **limits,
    )


def is_at_most(a: Policy, b: Policy) -> bool:
    """Tell whether ``a`` allows nothing that ``b`` does not allow."""
    return (
        a.network.rank <= b.network.rank
        and _names_at_most(a.inputs, b.inputs)
        and _names_at_most(a.outputs, b.outputs)
        and (b.timeout is None or (a.timeout is not None and a.timeout <= b.timeout))
        and all(getattr(a, name) <= getattr(b, name) for name in _LIMITS)
        and all(is_covered(path, a.hidden) for path in b.hidden)
        and _reach_at_most(a, b)
        and all(
            any(pattern_covers(wide, narrow) for wide in b.environment) for narrow in a.environment
        )
        and (a.clean or not b.clean)
        and (b.session is None or a.session == b.session)
        and (b.trust or not a.trust)
        and (b.stdin or not a.stdin)
        and (b.trust_display or not a.trust_display)
    )


def _shared_reach(a: Policy, b: Policy) -> dict[str, Reach]:
    # What a list grants changes only at its entries, so the smaller of two grants is known
    # everywhere once it is known at the entries of both. It can be written as lists again: where
    # one side lists nothing, it lists nothing above either, so no gap lies below an entry.
    marks_a, marks_b = listed(a.read_only, a.writable), listed(b.read_only, b.writable)
    return {path: min(reach(path, marks_a), reach(path, marks_b)) for path in marks_a | marks_b}


def _reach_at_most(a: Policy, b: Policy) -> bool:
    marks_a, marks_b = listed(a.read_only, a.writable), listed(b.read_only, b.writable)
    return all(
        reach(path, marks_a) <= reach(path, marks_b)
        for path in marks_a | marks_b
        if not is_covered(path, a.hidden)
    )


def _shared_names(a: tuple[str, ...] | None, b: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if a is None:
        return b
    return a if b is None else tuple(name for name in a if name in b)


def _names_at_most(a: tuple[str, ...] | None, b: tuple[str, ...] | None) -> bool:
    return b is None or (a is not None and set(a) <= set(b))


def _shorter(a: float | None, b: float | None) -> float | None:
    if a is None:
        return b
    return a if b is None else min(a, b)


def _one_session(a: str | None, b: str | None) -> str | None:
    if a is not None and b is not None and a != b:
        raise PolicyError("session", a, f"the other policy says {b!r}: a cell runs in one session")
    return a if b is None else b
