"""What the thread of a service does: set a session up, listen to it, let a snapshot take over.

Guarantees: nothing of the sandbox is left when `do` returns; what ends a cell ends the session's
process, and only what is verified goes on in its place.
Assumes: `do` and what is handed to it run in one thread; `launch.serving` is what others call.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kavach_ipy.errors import CellStopped, KavachError, ProtocolError, SetupFailed
from kavach_ipy.launch import verdicts
from kavach_ipy.launch.exchange import Exchange, Hearer
from kavach_ipy.launch.outbox import Outbox
from kavach_ipy.launch.reading import Reading
from kavach_ipy.launch.requests import CELL, send
from kavach_ipy.launch.session import may_go_back
from kavach_ipy.launch.signals import handlers_later
from kavach_ipy.launch.snapshots import Keeper
from kavach_ipy.launch.standby import Standby
from kavach_ipy.launch.unread import Order
from kavach_ipy.launch.unread import was_reset as was_reset_at_end
from kavach_ipy.launch.zygotes import Breed, zygote_for
from kavach_ipy.wire.frames import encode
from kavach_ipy.wire.messages import answer_frame
from kavach_ipy.wire.service import Request, request_frame

if TYPE_CHECKING:
    from kavach_ipy.launch.layers import ConfinementReport
    from kavach_ipy.launch.plan import Plan
    from kavach_ipy.launch.signals import Signals
    from kavach_ipy.launch.watch import WatchedEnds
    from kavach_ipy.policy import Policy
    from kavach_ipy.wire.documents import Json

__all__ = ["Duty"]

_NO_REQUEST = 0
"""The number of what is answered by a pipe, and not by a reply."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """One process of the session while it is listened to."""

    parent: Keeper
    ends: WatchedEnds
    reading: Reading
    poll: select.poll = field(default_factory=select.poll)


class Duty:
    """One session, as the thread has it that listens to it."""

    def __init__(
        self, hearer: Hearer, *, checkpoint: bool, wake: int, catch_up: Callable[[Duty], None]
    ) -> None:
        """Begin without a session.

        Args:
            hearer: hears it.
            checkpoint: keep a snapshot from before its last cell.
            wake: an eventfd that is written to where `catch_up` has something to do.
            catch_up: does what others have asked for.
        """
        self._hearer = hearer
        self._checkpoint = checkpoint
        self._wake = wake
        self._catch_up = catch_up
        self._exchange = Exchange(hearer, self._say)
        self._out = Outbox()
        self._order = Order(self._out)
        self._has_died = self._was_reset = False
        self._standby: Standby | None = None
        self._going_back: Callable[[str], None] | None = None
        self.ending: CellStopped | None = None
        """Why it is to end now."""

        self.pid = 0
        """The process that runs cells, as this process numbers it; 0 before and after its life."""

        self.unread: int | None = None
        """When it is over: of cells from this number on nothing ran; None where that may be."""

    @property
    def waiting(self) -> int:
        """Bytes that wait for a session that does not read."""
        return self._out.waiting

    @property
    def takes_interrupts(self) -> bool:
        """Whether an interrupt would reach the cell that was sent last."""
        return not self._before_cells.is_waiting

    @property
    def _before_cells(self) -> Standby:
        assert self._standby is not None, "there is a session"
        return self._standby

    def begin(
        self,
        request: Request,
        pieces: list[bytes | memoryview],
        policy: Policy,
        arena: int = -1,
    ) -> None:
        """Send a request, a cell after its snapshot was taken.

        Args:
            request: with a number that no other one has.
            pieces: its frame.
            policy: what it may take.
            arena: goes along; a cell with one is to be undone, and does not run where it cannot
                be. The caller's, who keeps it open until the reply.
        """

        def go() -> None:
            is_cell = request.kind == "execute"
            self._exchange.begin(request, policy, arena)
            self._out.add(pieces, os.dup(arena) if arena >= 0 else -1)
            if is_cell:
                self._order.added()

        def refuse(why: str) -> None:
            self._hearer.refused(request.number, why)

        if request.kind == "execute":
            self._order.begin(request.number)
            self._before_cells.before_cell(go, refuse if arena >= 0 else None)
            return
        if request.kind.startswith("comm_") or request.kind == "take":
            self._before_cells.outdate()
        go()

    def answer(self, text: str, status: str) -> None:
        """Answer the question that is under way."""
        self._exchange.answer(text, status)

    def interrupt(self, number: int) -> None:
        """Interrupt a request, if it is under way."""
        self._exchange.interrupt(number)

    def give_way(self, number: int) -> None:
        """Let a request that nobody waits for be over."""
        self._exchange.give_way(number)

    def go_back(self, told: Callable[[str], None]) -> None:
        """Go back to what was before the last cell, when this round is over."""
        self._going_back = told

    def do(
        self,
        make: Callable[[Signals], tuple[Plan, Breed]],
        task: dict[str, Json],
    ) -> KavachError:
        """Serve, from the set-up to the end; why there is no session any more.

        Args:
            make: what the sandbox promises, and what it is made of.
            task: what the session is told before its first request.
        """
        try:
            reason = self._live(make, task)
        except KavachError as error:
            reason = error
        except OSError as error:
            reason = SetupFailed("session", "listen", error.errno or 0, str(error))
        except Exception as error:  # noqa: BLE001 - whoever waits for a reply must be told
            reason = SetupFailed("session", "listen", 0, f"{type(error).__name__}: {error}")
        self.pid = 0
        self._out.clear()
        self._tell_of_going_back(f"the session has ended: {reason}")
        return reason

    def _live(
        self,
        make: Callable[[Signals], tuple[Plan, Breed]],
        task: dict[str, Json],
    ) -> KavachError:
        with handlers_later() as signals:
            plan, breed = make(signals)
            with Keeper(plan, signals, self._ask_for_snapshot) as parent:
                with zygote_for(breed, signals) as zygote:
                    report = parent.confine(lambda: parent.start_in(zygote))
                send(parent.channel, CELL, {**task, "names": []}, ())
                self.pid = parent.cell.pid
                self._standby = Standby(
                    parent, is_wanted=self._checkpoint, refused=self._hearer.unprotected
                )
                self._hearer.began(report)
                self._exchange.attach(parent)
                stopped = self._serve(parent, report)
                parent.end()
                self.unread = self._unread(parent)
                return verdicts.touched_program() if parent.program.leave() else stopped

    def _serve(self, parent: Keeper, report: ConfinementReport) -> KavachError:
        while True:
            stopped: CellStopped | None
            try:
                stopped = self._listen(parent)
            except ProtocolError as error:
                stopped = verdicts.broken_wire(str(error))
            if stopped is not None:
                stopped = parent.explain(parent.plan.policy, stopped) or stopped
                is_lost = not self._exchange.is_running or not may_go_back(stopped)
                if self.ending is not None or is_lost or not parent.has_snapshot:
                    return stopped
            try:
                report = parent.restore(report)
            except SetupFailed as error:
                return stopped or error
            except OSError as error:
                return stopped or SetupFailed("snapshot", "restore", error.errno or 0, str(error))
            self._go_on(parent, report, stopped)

    def _go_on(
        self, parent: Keeper, report: ConfinementReport, stopped: CellStopped | None
    ) -> None:
        self.pid = parent.cell.pid
        # What was not sent yet was for the one that has ended.
        self._out.clear()
        lost = self._exchange.attach_again(parent)
        self._hearer.restored(report, stopped, lost, self._unread(parent))
        self._before_cells.gone_back()
        self._tell_of_going_back("")

    def _unread(self, parent: Keeper) -> int | None:
        """Return the number of the first cell that a session has not read; None where it was ended.

        Every process that might have read it has ended by now.
        """
        if self.ending is not None:
            return None
        if not self._has_died:
            # What stopped it is about the cell that it had, or the one before.
            return self._order.next
        was_reset = self._was_reset or self._out.was_reset or was_reset_at_end(parent.channel)
        return self._order.unread(is_left=was_reset or parent.left_unread)

    def _listen(self, parent: Keeper) -> CellStopped | None:
        """Listen until the process has to end, or has ended; None where it is to go back."""
        self._has_died = parent.left_unread = False
        exchange, ends = self._exchange, parent.watched_ends()
        reading = Reading(ends, exchange.output, exchange.hear, exchange.has_room)
        heard = _Heard(parent, ends, reading)
        for fd in (self._wake, ends.cell, ends.channel, ends.stdout, ends.stderr):
            heard.poll.register(fd, select.POLLIN)
        while True:
            stopped = self.ending or exchange.verdict()
            if stopped is not None:
                self._end_process(heard)
                return stopped
            if self._is_going_back(parent):
                return None
            ready = self._wait(heard)
            if self._wake in ready:
                os.eventfd_read(self._wake)
            self._catch_up(self)
            self._hear(heard, ready)
            self._hearer.rested()
            if ends.cell in ready:
                status = parent.status()
                self._end_process(heard)
                self._has_died = True
                return verdicts.stopped_by_status(exchange.policy, status)

    def _wait(self, heard: _Heard) -> dict[int, int]:
        standby = self._before_cells
        with suppress(FileNotFoundError):  # its other end has been closed
            events = select.POLLIN | (select.POLLOUT if self._out else 0)
            heard.poll.modify(heard.ends.channel, events)
        answer = standby.answer
        if answer >= 0:
            heard.poll.register(answer, select.POLLIN)
        patience = self._exchange.patience()
        if standby.is_waiting:
            patience = min(patience, int(standby.patience() * 1000) + 1)
        try:
            ready = dict(heard.poll.poll(patience))
        finally:
            if answer >= 0:
                heard.poll.unregister(answer)
        if answer in ready:
            standby.heard()
        standby.late()
        return ready

    def _hear(self, heard: _Heard, ready: dict[int, int]) -> None:
        ends = heard.ends
        was_running = self._exchange.is_running
        if ready.get(ends.channel, 0) & select.POLLOUT:
            self._out.write(heard.parent.channel)
        for fd in (ends.channel, ends.stdout, ends.stderr):
            event = ready.get(fd, 0) & ~select.POLLOUT
            # poll(2): a pipe that only hangs up holds nothing, and nobody writes to it.
            is_over = fd != ends.channel and not event & select.POLLIN
            if event and (is_over or not heard.reading.take(fd)):
                heard.poll.unregister(fd)
        if was_running and not self._exchange.is_running:
            self._before_cells.after_cell()

    def _end_process(self, heard: _Heard) -> None:
        """End the process that runs cells, and take what it has said."""
        if self.ending is None:
            heard.parent.end_cell()
        else:
            heard.parent.stop()
        heard.reading.drain()
        self._was_reset = heard.reading.was_reset

    def _is_going_back(self, parent: Keeper) -> bool:
        """Whether the session is to go back, and can; who asked is told where it cannot."""
        if self._going_back is not None and not parent.has_snapshot:
            self._tell_of_going_back(f"there is none: {self._before_cells.why_none}")
        return self._going_back is not None

    def _tell_of_going_back(self, why_not: str) -> None:
        told, self._going_back = self._going_back, None
        if told is not None:
            told(why_not)

    def _ask_for_snapshot(self, writer: int) -> None:
        frame = request_frame(Request(_NO_REQUEST, "hold", {}, {}))
        # The keeper's own may be closed before this one has been sent.
        self._out.add(encode(frame), os.dup(writer))

    def _say(self, text: str, status: str) -> None:
        self._out.add(encode(answer_frame(text, status)))  # type: ignore[arg-type]
