"""The snapshot of a session that serves a kernel: asked for and kept while it is listened to.

::

    a cell is over ── ask ──▶ the answer comes ── settle ──▶ ready
    a cell comes ── ready? keep, and it runs; else it waits for the answer, or for the refusal

Nobody blocks on the session here, so that what it prints meanwhile is read (`launch.snapshots`
waits, where nobody listens).

Guarantees: each cell that is handed over runs, with a snapshot of the state right before it or with
the reason why there is none, after five seconds at most; one that is to be undone does not run
without.
Assumes: called in the service's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from kavach_ipy.launch.held import ANSWER_SECONDS
from kavach_ipy.launch.snapshots import Keeper

__all__ = ["Standby"]

_FIRST: Final = "before its first cell there was nothing; see %kavach restart"
_OFF: Final = "c.Kavach.checkpoint was off"


class Standby:
    """What a session goes back to, and when it is made."""

    def __init__(self, keeper: Keeper, *, is_wanted: bool, refused: Callable[[str], None]) -> None:
        """Begin before the first cell.

        Args:
            keeper: of the session.
            is_wanted: whether cells have a snapshot.
            refused: is told why a cell has none, once for each reason, before it runs.
        """
        self._keeper = keeper
        self._is_wanted = is_wanted
        self._refused = refused
        self._told: set[str] = set()
        self._go: Callable[[], None] | None = None
        self._refuse: Callable[[str], None] | None = None
        self._deadline = 0.0
        self._is_last_try = False
        self._has_run = False
        self._is_outdated = False
        self.why_none = _FIRST
        """Why there is nothing to go back to."""

    @property
    def is_waiting(self) -> bool:
        """Whether a cell waits for a snapshot."""
        return self._go is not None

    @property
    def answer(self) -> int:
        """The descriptor on which the session is to answer; -1 where nothing is awaited."""
        return self._keeper.answer

    def before_cell(
        self, go: Callable[[], None], refuse: Callable[[str], None] | None = None
    ) -> None:
        """Have a snapshot, and then send a cell.

        Args:
            go: sends it; called once, here or by a later `heard`.
            refuse: called instead, with the reason, where there is no snapshot; None where the cell
                runs without.
        """
        self._refuse = refuse
        # Before the first cell there is nothing to lose, but something to go back to.
        if refuse is None and not (self._is_wanted and self._has_run):
            self._keeper.release()
            self.why_none = _OFF if self._has_run else _FIRST
            self._begin(go)
            return
        if self._is_outdated:
            self._keeper.forget_next()
        self._go, self._is_last_try = go, False
        self._deadline = time.monotonic() + ANSWER_SECONDS
        if self._keeper.is_ready:
            self._settled("")
        elif self.answer < 0:
            self._ask_again()

    def after_cell(self) -> None:
        """Ask for the next one, while the user reads."""
        if self._is_wanted:
            self._is_outdated = False
            self._keeper.ask()

    def outdate(self) -> None:
        """Note that the session is about to do something else: what is ready is of before that."""
        self._is_outdated = True

    def heard(self) -> None:
        """Take the answer that is there."""
        why = self._keeper.settle(0)
        if self._go is None:
            return
        if why and not self._is_last_try:
            # What was in the way when the last cell was over may be gone.
            self._ask_again()
        else:
            self._settled(why)

    def patience(self) -> float:
        """Seconds that a cell still waits; 0 where `late` is due."""
        return max(0.0, self._deadline - time.monotonic())

    def late(self) -> None:
        """Let the cell that waits run, where its time to wait is over."""
        if self._go is not None and time.monotonic() >= self._deadline:
            self._is_last_try = True
            self.heard()

    def gone_back(self) -> None:
        """Note that the session is what it was; the same state is not there a second time."""
        self._go = None
        self._is_outdated = False
        self.why_none = "it went back already, and one cell is kept"
        if self._is_wanted:
            self._keeper.ask()

    def _ask_again(self) -> None:
        self._is_last_try, self._is_outdated = True, False
        self._keeper.ask()
        if self.answer < 0:
            self.heard()

    def _settled(self, why: str) -> None:
        go, self._go = self._go, None
        assert go is not None
        self._keeper.keep()
        self.why_none = why
        if why and self._refuse is not None:
            self._refuse(why)
            return
        if why and why not in self._told:
            self._told.add(why)
            self._refused(why)
        self._begin(go)

    def _begin(self, go: Callable[[], None]) -> None:
        self._has_run = True
        go()
        self._keeper.release_older()
