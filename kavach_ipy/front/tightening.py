"""What one cell of a session may take: the session's policy, tightened by the cell.

A cell says so in its notebook metadata, ``{"kavach": {"timeout": "30s"}}``, which JupyterLab sends
along, or on its first line, ``%%sandbox --timeout 30s``. A session is built once, so a cell can
have less of what is watched from outside: time, output, messages. With ``-o`` it is undone when it
is over, but for the names that it brings back.

Guarantees: a cell never has more than its session; what cannot be had, or makes no sense, is a
`PolicyError`, and nothing runs.
Assumes: nothing of what a notebook says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from IPython.core.error import UsageError

from kavach_ipy.errors import PolicyError
from kavach_ipy.front.arguments import policy_of, read_cell_line
from kavach_ipy.policy import Policy, tighten
from kavach_ipy.policy.suggestions import did_you_mean

if TYPE_CHECKING:
    from kavach_ipy.front.settings import Kavach

__all__ = ["Tightened", "by_first_line", "by_metadata"]

_CAN_BE_LESS: Final = ("timeout", "output", "messages")
_KEY: Final = "kavach"
_MAGIC: Final = "%%sandbox"
_WHY: Final = "a session is built once, for all of its cells"


def by_metadata(policy: Policy, metadata: object) -> Policy:
    """Tighten by the metadata of an ``execute_request``.

    Raises:
        PolicyError: a key or a value makes no sense, or cannot be had for one cell.
    """
    asked = metadata.get(_KEY) if isinstance(metadata, Mapping) else None
    if asked is None:
        return policy
    if not isinstance(asked, Mapping):
        raise PolicyError(_KEY, asked, 'the cell\'s metadata must be as {"timeout": "30s"}')
    changes: dict[str, Any] = {}
    for key, value in asked.items():
        if key not in _CAN_BE_LESS:
            advice = did_you_mean(str(key), _CAN_BE_LESS)
            raise PolicyError(f"{_KEY}.{key}", value, f"{_WHY}; {advice}")
        changes[key] = value
    return _less(policy, changes)


@dataclass(frozen=True, slots=True)
class Tightened:
    """A cell, and what it may take."""

    policy: Policy
    code: str
    """Without its first line."""

    outputs: tuple[str, ...] = ()
    """All that is left of it, where there are any: then the cell is undone."""


def by_first_line(policy: Policy, code: str, settings: Kavach) -> Tightened:
    """Tighten by a first line ``%%sandbox …``.

    Raises:
        PolicyError: an option makes no sense, or cannot be had for one cell.
    """
    first, newline, rest = code.lstrip("\n").partition("\n")
    magic, _, line = first.partition(" ")
    if magic.strip() != _MAGIC:
        return Tightened(policy, code)
    try:
        asked = policy_of(read_cell_line(line), settings)
    except UsageError as error:
        raise PolicyError("%%sandbox", line, str(error)) from None
    plain = settings.to_policy()
    changes = {
        name: getattr(asked, name)
        for name in _CAN_BE_LESS
        if getattr(asked, name) != getattr(plain, name)
    }
    built = asked.replace(**{name: getattr(plain, name) for name in (*_CAN_BE_LESS, "outputs")})
    if built != plain:
        raise PolicyError(
            "%%sandbox",
            line,
            "in a sandboxed notebook a cell may have less --timeout and --output, and bring back"
            f" names with -o while all else that it does is undone: {_WHY}",
        )
    # A comment in its place, so that line numbers stay.
    shorter = f"# {first.strip()}{newline}{rest}"
    return Tightened(_less(policy, changes), shorter, tuple(asked.outputs or ()))


def _less(policy: Policy, changes: Mapping[str, Any]) -> Policy:
    return tighten(policy, policy.replace(**changes))
