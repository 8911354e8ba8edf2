"""One number for a confinement, made only of layers that were verified.

Guarantees: a layer that was asked for, or applied, and not read back from outside adds nothing; the
weights add up to 100, and what is missing is named.
Assumes: the names are those of `launch.report`. The number is for telling people, never for a
branch: whether a cell may run is decided by `launch.plan` and by the verification, layer by layer.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

__all__ = ["WEIGHTS", "Strength", "Weight", "strength_of"]


@dataclass(frozen=True, slots=True)
class Weight:
    """What one layer adds, and why so much."""

    points: int
    reason: str


WEIGHTS: Final = {
    "network": Weight(20, "without a way out, what a cell reads stays where it is"),
    "system calls": Weight(20, "most ways into the Linux kernel begin with a call that is gone"),
    "capabilities": Weight(15, "two of three published exploits need one in a user namespace"),
    "identity": Weight(10, "whatever else fails, the host sees an ordinary user, never root"),
    "namespaces": Weight(10, "processes, mounts, keys and names of the host are out of sight"),
    "files": Weight(10, "what is not shown cannot be read, what is read-only cannot be changed"),
    "descriptors": Weight(4, "no socket or file of the notebook stays open"),
    "shared memory": Weight(3, "no page is shared that a write would change for the notebook"),
    "environment": Weight(3, "tokens and keys are handed around in it"),
    "Landlock": Weight(3, "a second wall around files; the kernel shows it to nobody outside"),
    "limits": Weight(2, "they end what is merely a nuisance"),
}
"""Points by layer. They are a judgement; the reasons are what to argue with."""


@dataclass(frozen=True, slots=True)
class Strength:
    """The sum, and what it lacks."""

    score: int
    """0 to 100."""

    missing: tuple[str, ...]
    """Layers that were not verified, the heaviest first."""


def strength_of(verified: Collection[str]) -> Strength:
    """Add up the weights of the layers that were verified; names without a weight count nothing."""
    return Strength(
        score=sum(weight.points for name, weight in WEIGHTS.items() if name in verified),
        missing=tuple(name for name in WEIGHTS if name not in verified),
    )
