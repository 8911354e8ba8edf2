"""SIGINT of the user while a cell runs: once it is the cell's, twice it ends the sandbox.

A cell that asks somebody has come back to its user, who can interrupt again, so it has obeyed. What
a question has to do with an interrupt is decided here: one that came before it was asked, and was
not heard by the cell before, is its answer.

Guarantees: two interrupts within two seconds end a cell, and so does one that is not obeyed.
Assumes: `came` is called by the handler of SIGINT, in the main thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from kavach_ipy.errors import CellStopped
from kavach_ipy.launch import verdicts

__all__ = ["GRACE_SECONDS", "Interrupts"]

GRACE_SECONDS = 2.0


class Interrupts:
    """What the user has asked of one running cell."""

    def __init__(self, send: Callable[[], None], *, last: float | None = None) -> None:
        """Begin with a cell that nobody has interrupted.

        Args:
            send: sends SIGINT to the cell and to what it started.
            last: when it was interrupted after all, by the monotonic clock.
        """
        self._send = send
        self._last = last
        self._has_obeyed = False
        self._is_enough = False
        self._is_unseen = False
        self._seen = 0

    def came(self) -> bool:
        """Take one more; False where it is the second within two seconds."""
        now = time.monotonic()
        last, self._last = self._last, now
        self._has_obeyed = False
        self._is_enough = last is not None and now - last < GRACE_SECONDS
        return not self._is_enough

    def pass_on(self) -> None:
        """Let the cell have it."""
        self._is_unseen = True
        with suppress(OSError):
            self._send()

    def is_due(self, seen: int) -> bool:
        """Tell whether a question has an interrupt for an answer.

        Args:
            seen: how many the cell had had when it asked, as it says.
        """
        is_due = self._is_unseen and seen == self._seen
        self._is_unseen, self._seen = False, seen
        self._has_obeyed = not is_due
        return is_due

    def deadline(self) -> float | None:
        """When a cell that was interrupted must be over, by the monotonic clock."""
        if self._last is None or self._has_obeyed:
            return None
        return self._last + GRACE_SECONDS

    def verdict(self, now: float) -> CellStopped | None:
        """Why the cell must stop, if it must."""
        if self._is_enough:
            return verdicts.interrupted_twice()
        deadline = self.deadline()
        return verdicts.interrupted() if deadline is not None and now >= deadline else None
