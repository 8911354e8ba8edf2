"""How much, and how fast, one cell may show: a page has to stay usable.

The policy bounds what a cell may send in all, and a cell that sends more is stopped. Here is less:
what a page can hold and how often it can be drawn anew. Nothing is stopped for it. Displays beyond
what a page can hold are counted, and one line tells how many; of updates and of displays that are
cleared again at once, those that nobody could have seen are left out, and the last is always shown.

Guarantees: between two clears a page gets at most `OUTPUTS` displays; updates and clears come at
most `RATE` a second after the first `BURST`; the time that the gate spends on displays is bounded.
Assumes: it hears all displays of one cell, in order, and is told of text in between.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

from kavach_ipy.gate.display import DisplayIds, Shown, Views, show
from kavach_ipy.gate.mimes import DisplayPolicy
from kavach_ipy.wire.messages import Message

__all__ = ["BURST", "OUTPUTS", "RATE", "SECONDS", "Cleaning", "Pace"]

OUTPUTS: Final = 1000
"""Displays below one cell at a time."""
RATE: Final = 25.0
"""Updates and clears in a second; an eye sees no more."""
BURST: Final = 50
SECONDS: Final = 10.0
"""Wall time of cleaning for all displays of one cell; what comes later is shown as text."""
_LATE: Final = DisplayPolicy(
    frozenset({"text/html", "text/markdown", "text/latex", "image/*", "application/*"}),
    reason=f"cleaning what this cell shows took {SECONDS:g} s already",
)


class Cleaning:
    """Seconds that the gate has spent on displays, of a cell or of all that are shown in its time.

    A session may show things below any of its cells, so its cells have one, renewed by each.
    """

    __slots__ = ("spent",)

    def __init__(self) -> None:
        self.spent = 0.0


class Pace:
    """What one cell shows, at a pace that a page can follow."""

    __slots__ = ("_at", "_cleaning", "_cleared", "_count", "_held", "_ids", "_left_out", "_policy",
                 "_tokens", "_updates", "_views")  # fmt: skip

    def __init__(
        self,
        policy: DisplayPolicy,
        ids: DisplayIds | None = None,
        views: Views | None = None,
        cleaning: Cleaning | None = None,
    ) -> None:
        """Begin a cell.

        Args:
            policy: what it may show.
            ids: the display ids of its session, where cells update what earlier ones have shown.
            views: the widgets of its session; None where its process ends with it.
            cleaning: what is spent already; nothing where it is None.
        """
        self._policy = policy
        self._ids = DisplayIds() if ids is None else ids
        self._views = views
        self._cleaning = Cleaning() if cleaning is None else cleaning
        self._count = 0
        self._left_out = 0
        self._tokens = float(BURST)
        self._at = monotonic()
        # A clear that came too soon, and what was shown after it.
        self._cleared = False
        self._held: list[Shown] = []
        # The latest update of each display, where it came too soon.
        self._updates: dict[str, Shown] = {}

    def hear(self, message: Message) -> list[Shown]:
        """Return what is to be shown now.

        Raises:
            ProtocolError: the content has not the form of the messaging protocol.
        """
        start = monotonic()
        late = self._cleaning.spent > SECONDS and not self._policy.is_trusted
        shown = show(message, self._ids, _LATE if late else self._policy, self._views)
        now = monotonic()
        self._cleaning.spent += now - start
        if shown is None:
            return []
        match shown.msg_type:
            case "clear_output":
                return self._clear(shown, now)
            case "update_display_data":
                return self._update(shown, now)
            case "display_data" | "execute_result":
                return self._display(shown, now)

    def release(self) -> list[Shown]:
        """Return what is still held: text comes next, or the cell is over."""
        held = [*self._held, *self._updates.values()]
        self._held, self._updates, self._cleared = [], {}, False
        return held

    def left_out(self) -> str:
        """Return the line that tells what is missing, or an empty text."""
        if not self._left_out:
            return ""
        return (
            f"[sandbox] {self._left_out} more displays are not shown: a page holds {OUTPUTS} of a"
            " cell at a time; show fewer, or clear_output() between them\n"
        )

    def _display(self, shown: Shown, now: float) -> list[Shown]:
        if self._count >= OUTPUTS:
            self._left_out += 1
            return []
        self._count += 1
        if self._cleared:
            self._held.append(shown)
            return self.release() if self._may_draw(now) else []
        # An update that waits is of the displays before this one, also where it has their id.
        waits = shown.transient.get("display_id") in self._updates
        return [*self.release(), shown] if waits else [shown]

    def _clear(self, shown: Shown, now: float) -> list[Shown]:
        self._count = self._left_out = 0
        # What was held or waits to be updated is cleared with the rest, unseen.
        self._updates.clear()
        if self._may_draw(now):
            self._held, self._cleared = [], False
            return [shown]
        self._held, self._cleared = [shown], True
        return []

    def _update(self, shown: Shown, now: float) -> list[Shown]:
        name = str(shown.transient.get("display_id"))
        if self._cleared:
            self._held.append(shown)
            if len(self._held) <= OUTPUTS and not self._may_draw(now):
                return []
            return self.release()
        if self._may_draw(now):
            self._updates.pop(name, None)
            return [*self.release(), shown]
        self._updates[name] = shown
        return []

    def _may_draw(self, now: float) -> bool:
        self._tokens = min(float(BURST), self._tokens + (now - self._at) * RATE)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
