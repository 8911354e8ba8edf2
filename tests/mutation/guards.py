"""Guards of the sandbox, each with the edit that switches it off and the tests that must notice.

Guarantees: an edit names text that stands exactly once in its file, so a guard that moves breaks
the catalogue loudly; every step of the recipe and every group of system calls is here, as a guard
or as none with a reason (`tests/repo/test_guards.py`).
Assumes: one guard is off at a time. Where a second one would still hold, the tests look at the
first alone, or both are switched off together and the entry says why.
"""

from __future__ import annotations

from tests.mutation import (
    audit,
    brokers,
    checkpoints,
    child,
    counted,
    floor,
    forking,
    fresh,
    gate,
    host_network,
    masks,
    refusals,
    running,
    syscalls,
    talking,
    values,
    verification,
    widgets,
    wire,
)
from tests.mutation.guard import Guard

__all__ = ["GUARDS", "NO_GUARDS"]

GUARDS: tuple[Guard, ...] = (
    *child.GUARDS,
    *masks.GUARDS,
    *syscalls.GUARDS,
    *verification.GUARDS,
    *refusals.GUARDS,
    *host_network.GUARDS,
    *running.GUARDS,
    *counted.GUARDS,
    *forking.GUARDS,
    *talking.GUARDS,
    *fresh.GUARDS,
    *checkpoints.GUARDS,
    *brokers.GUARDS,
    *gate.GUARDS,
    *widgets.GUARDS,
    *values.GUARDS,
    *wire.GUARDS,
    *audit.GUARDS,
    *floor.GUARDS,
)

NO_GUARDS: dict[str, str] = {**child.NO_GUARDS, **syscalls.NO_GUARDS}
"""Steps and groups of calls that are no guard, with the reason."""
