"""Processor time in a measure that a slow or a busy machine does not change.

Guarantees: what is returned is the best of at most three runs, in seconds of the machine on which
the bounds of these tests were set.
Assumes: the action costs the same each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["cpu_seconds"]

_RUNS = 3
_ROUNDS = 1_000_000
_USUAL_SECONDS = 0.06
"""What `_ROUNDS` of the loop take there."""


def cpu_seconds(action: Callable[[], object], enough: float) -> float:
    """Run `action` until it takes less than `enough`, three times at most; the best of them."""
    best = float("inf")
    for _ in range(_RUNS):
        before = _loop()
        start = time.process_time()
        action()
        taken = time.process_time() - start
        # Neighbours on the same processor slow the loop down as they do the action.
        slowness = max(1.0, (before + _loop()) / 2 / _USUAL_SECONDS)
        best = min(best, taken / slowness)
        if best < enough:
            break
    return best


def _loop() -> float:
    start = time.process_time()
    total = 0
    for number in range(_ROUNDS):
        total += number & 7
    return time.process_time() - start
