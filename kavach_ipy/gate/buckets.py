"""A leaky bucket: how much of something may be had at once, and how much in a second after that.

Guarantees: in any time t no more than `burst` + `rate` · t is taken.
Assumes: its clock does not go back.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

__all__ = ["Bucket"]


class Bucket:
    """One budget that fills up again.

    Args:
        burst: what may be taken at once.
        rate: what comes back in a second.
        clock: seconds.
    """

    __slots__ = ("_at", "_burst", "_clock", "_left", "_rate")

    def __init__(self, burst: float, rate: float, clock: Callable[[], float] = monotonic) -> None:
        self._burst = self._left = burst
        self._rate = rate
        self._clock = clock
        self._at = clock()

    def take(self, amount: float = 1.0) -> bool:
        """Take an amount if it is there; return whether it was."""
        if self._fill() < amount:
            return False
        self._left -= amount
        return True

    def spend(self, amount: float) -> None:
        """Take what has been used already; what is owed has to come back first."""
        self._fill()
        self._left -= amount

    def wait(self, amount: float = 1.0) -> float:
        """Return the seconds until an amount is there."""
        return max(0.0, (amount - self._fill()) / self._rate)

    def _fill(self) -> float:
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left
