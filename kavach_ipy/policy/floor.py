"""`Floor`: what nobody below an administrator can loosen, and which line of which file says so.

A policy file is read by ``policy.file``; each of its lines becomes a `Bound`, the loosest policy
that obeys that one line. A file allows what all of its bounds allow, and a floor what all of its
files allow.

Guarantees: what `Floor.tighten` returns is no looser than the policy given, nor than any bound;
`Floor.check` lets a policy through exactly where it obeys every bound, and otherwise names the
line. What reaches beyond the machine's confinement (the host's network, ``--trust``,
``--trust-display``, switching off) is forbidden by a file that does not mention it.
Assumes: nothing about where the files come from; who may write them is ``linux.owned``'s matter.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy.algebra import is_at_most, tighten
from kavach_ipy.policy.auditing import AuditMode, stricter
from kavach_ipy.policy.flags import written
from kavach_ipy.policy.model import Network, Policy
from kavach_ipy.policy.units import LARGEST, LONGEST

__all__ = ["LOOSEST", "NO_FLOOR", "Bound", "Floor", "PolicyFile"]

LOOSEST: Final = Policy(
    # The host's network needs --clean, which is tighter: it is bounded apart (`Bound.network`).
    network=Network.LOOPBACK,
    cpu=LONGEST,
    memory=LARGEST,
    pids=LARGEST,
    files=LARGEST,
    disk=LARGEST,
    output=LARGEST,
    messages=LARGEST,
    writable=("/",),
    environment=("*",),
    trust=True,
    stdin=True,
    trust_display=True,
)
"""The policy that forbids nothing, but for the host's network."""

_SPELT: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Bound:
    """One line of a policy file, as the loosest policy that obeys it."""

    key: str
    """What stands left of the equals sign."""

    field: str
    """The field of `Policy` that it bounds."""

    value: str
    """What stands right of it, or what holds where the file says nothing."""

    line: int
    """Where it stands, counted from 1; 0 where the file does not mention it."""

    policy: Policy
    """What it leaves."""

    network: Network = Network.HOST
    """The most network that it leaves."""

    def allows(self, policy: Policy) -> bool:
        """Tell whether ``policy`` obeys this line."""
        return policy.network.rank <= self.network.rank and is_at_most(
            _without_network(policy), self.policy
        )


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """What one policy file says."""

    path: str
    bounds: tuple[Bound, ...]
    allow_off: bool = False
    """Whether ``%kavach off`` may run cells outside of the sandbox."""

    allow_off_line: int = 0
    """The line that says so; 0 where none does."""

    audit: AuditMode = AuditMode.OFF
    audit_line: int = 0

    def says(self, key: str, value: str, line: int) -> str:
        """Return the words that name a line of this file, or the lack of one."""
        if line:
            return f"{self.path}, line {line}, says {key} = {value}"
        return f"{self.path} does not mention {key}, and so {key} = {value} holds"


@dataclass(frozen=True, slots=True)
class Floor:
    """Every policy file that holds, together."""

    files: tuple[PolicyFile, ...] = ()

    def tighten(self, policy: Policy) -> Policy:
        """Return what both ``policy`` and every file allow."""
        return _tightened(self, policy)

    def check(self, policy: Policy, spelt: Mapping[str, str] = _SPELT) -> None:
        """Refuse a policy that asks for more than the files allow.

        Args:
            policy: what was asked for.
            spelt: names of fields as the person wrote them, ``{"memory": "--memory"}``.

        Raises:
            PolicyError: naming the field, the value, the file and the line.
        """
        # What a floor changes nothing of obeys it (tests/unit/policy/test_floor.py), and the answer
        # is remembered from cell to cell.
        if self.tighten(policy) == policy:
            return
        for file, bound in self._bounds():
            if not bound.allows(policy):
                value = written(bound.field, getattr(policy, bound.field))
                reason = file.says(bound.key, bound.value, bound.line)
                name = spelt.get(bound.field, bound.field)
                raise PolicyError(name, value, f"{reason}, which nobody below can loosen")

    def check_off(self, asked: str) -> None:
        """Refuse to run cells outside of the sandbox where a file does not allow it.

        Args:
            asked: how it was asked for, ``%kavach off``.

        Raises:
            PolicyError: naming the file and the line.
        """
        for file in self.files:
            if not file.allow_off:
                reason = file.says("allow_off", "false", file.allow_off_line)
                raise PolicyError(asked, "off", f"{reason}, which nobody below can loosen")

    @property
    def allow_off(self) -> bool:
        """Whether cells may run outside of the sandbox."""
        return all(file.allow_off for file in self.files)

    @property
    def allow_trust(self) -> bool:
        """Whether ``--trust`` may be permitted by the settings."""
        return all(bound.policy.trust for _, bound in self._bounds())

    @property
    def allow_trust_display(self) -> bool:
        """Whether ``--trust-display`` may be permitted by the settings."""
        return all(bound.policy.trust_display for _, bound in self._bounds())

    @property
    def audit(self) -> AuditMode:
        """The most that a file asks for."""
        return functools.reduce(stricter, (file.audit for file in self.files), AuditMode.OFF)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What holds and where it stands, one sentence a line of a file."""
        told = []
        for file in self.files:
            lines = [(bound.line, bound.key, bound.value) for bound in file.bounds]
            lines.append((file.allow_off_line, "allow_off", str(file.allow_off).lower()))
            lines.append((file.audit_line, "audit", f'"{file.audit}"'))
            # What a file does not mention comes last.
            for line, key, value in sorted(lines, key=lambda it: (not it[0], it)):
                told.append(f"{file.says(key, value, line)}.")
        return tuple(told)

    def _bounds(self) -> Iterable[tuple[PolicyFile, Bound]]:
        return ((file, bound) for file in self.files for bound in file.bounds)


NO_FLOOR: Final = Floor()
"""That of a machine without a policy file."""


@functools.lru_cache(maxsize=64)
def _tightened(floor: Floor, policy: Policy) -> Policy:
    if not floor.files:
        return policy
    result = _without_network(policy)
    ceiling = policy.network
    for file in floor.files:
        for bound in file.bounds:
            result = tighten(result, bound.policy)
            ceiling = min(ceiling, bound.network, key=lambda network: network.rank)
    return result.replace(network=ceiling)


def _without_network(policy: Policy) -> Policy:
    return policy.replace(network=Network.NONE)
