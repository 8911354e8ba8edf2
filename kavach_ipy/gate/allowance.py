"""What all values of one run may cost the kernel together, in time and in memory.

Each value has a budget of its own (`kavach_ipy.gate.budget`), in proportion to its size; but a cell
may be asked for many values, and estimates may be wrong, so the clock has the last word.

Guarantees: once the time is over, every further step is refused; while values are read, Python's
cyclic garbage collector rests, as going through millions of new objects again and again takes
longer than to make them.
Assumes: one value of a run is read at a time, and who reads asks every few thousand steps.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.wire.prices import Account

__all__ = ["MEMORY", "SECONDS", "Allowance", "refused"]

SECONDS: Final = 1.5
"""Seconds of reading: the kernel must answer within two of anything that a cell does."""
MEMORY: Final = 1 << 30
"""Bytes of objects that reading may make; memory that arrays share with the arena is free."""


def refused(reason: str, remedy: str = "") -> OutputWithheld:
    """Return the refusal of a value; who asked for it adds the name and the type."""
    return OutputWithheld("the value", "", reason, remedy)


class Allowance:
    """What is left for the values of one run.

    Args:
        seconds: wall time in all; it runs inside `reading` only.
        memory: bytes in all.

    Attributes:
        account: what the values have brought and cost so far.
    """

    __slots__ = ("_deadline", "_left", "_memory", "_seconds", "account")

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._seconds = self._left = seconds
        self._memory = memory
        self._deadline = 0.0
        self.account = Account()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let the time run, and the garbage collector rest."""
        was_enabled = gc.isenabled()
        gc.disable()
        self._deadline = monotonic() + self._left
        try:
            yield
        finally:
            self._left = self._deadline - monotonic()
            if was_enabled:
                gc.enable()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Do inside `reading` what the cell has not made slow: the first import of a library."""
        start = monotonic()
        try:
            yield
        finally:
            self._deadline += monotonic() - start

    def check_time(self, microseconds: int = 0) -> None:
        """Check that a step may begin.

        Args:
            microseconds: what the step takes, where that is known.

        Raises:
            OutputWithheld: the time is over, or the step would end after it.
        """
        if monotonic() + microseconds * 1e-6 > self._deadline:
            raise refused(
                f"reading the values of this cell would take longer than {self._seconds:g} s",
                "bring back less, or name fewer values",
            )

    def spend_memory(self, size: int) -> None:
        """Take bytes that are about to be made.

        Raises:
            OutputWithheld: none are left.
        """
        self._memory -= size
        if self._memory < 0:
            raise refused(
                "the values of this cell would grow beyond their memory in the kernel",
                "bring back less, or name fewer values",
            )
