"""A session that serves a kernel: one sandbox that somebody listens to all its life.

::

    kernel's loop ── submit, interrupt, answer, end ──▶ the service's thread ── frames ──▶ session
    kernel's loop ◀── whatever the hearer makes of it ── the same thread ◀── frames, output ──

The sandbox is set up as that of a clean cell (`launch.zygotes`), by the thread that then listens to
it, so that the kernel's loop waits for nothing. `launch.exchange` is what that thread knows of the
requests that are under way, `launch.standby` of the snapshot that takes over from a stopped cell.

Guarantees: nothing was asked of it before it was verified; its limits hold also while it is asked
for nothing; its process ends with the first frame that no honest session sends; `Hearer.ended` is
the last call, comes once, and after it nothing of the sandbox is left.
Assumes: the hearer does not wait for the kernel's loop.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kavach_ipy.errors import CellStopped, KavachError, ProtocolError, SetupFailed
from kavach_ipy.launch import verdicts
from kavach_ipy.launch.exchange import Exchange, Hearer
from kavach_ipy.launch.order import Pipes
from kavach_ipy.launch.outbox import Outbox
from kavach_ipy.launch.requests import CELL, send
from kavach_ipy.launch.session import may_go_back
from kavach_ipy.launch.signals import handlers_later
from kavach_ipy.launch.snapshots import Keeper
from kavach_ipy.launch.standby import Standby
from kavach_ipy.launch.zygotes import Breed, zygote_for
from kavach_ipy.wire.frames import encode
from kavach_ipy.wire.marks import Mark
from kavach_ipy.wire.messages import answer_frame
from kavach_ipy.wire.service import Request, request_frame

if TYPE_CHECKING:
    from kavach_ipy.launch.layers import ConfinementReport
    from kavach_ipy.launch.plan import Plan
    from kavach_ipy.launch.signals import Signals
    from kavach_ipy.launch.watch import WatchedEnds
    from kavach_ipy.policy import Policy
    from kavach_ipy.wire.documents import Json

__all__ = ["Service"]

_CHUNK = 1 << 18
_DRAIN_SECONDS = 1.0
_JOIN_SECONDS = 10.0
_MOST_WAITING = 64 << 20
"""Bytes for a session that does not read: a cell that computes reads nothing until it is over."""


class Service:
    """One session that serves a kernel, from its set-up to its end."""

    def __init__(
        self,
        make: Callable[[Signals], tuple[Plan, Breed]],
        task: dict[str, Json],
        hearer: Hearer,
        *,
        checkpoint: bool,
    ) -> None:
        """Prepare a session; `start` begins it.

        Args:
            make: called in the service's thread: what the sandbox promises, and what it is made of.
            task: what the session is told before its first request.
            hearer: hears it, in the service's thread.
            checkpoint: keep a snapshot from before its last cell.
        """
        self._make = make
        self._task = task
        self._hearer = hearer
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # Not with the thread: a signal handler may be about to write to it.
        weakref.finalize(self, os.close, self._wake)
        self._exchange = Exchange(hearer, self._say)
        self._todo: deque[Callable[[], None]] = deque()
        self._out = Outbox()
        self._checkpoint = checkpoint
        self._standby: Standby | None = None
        self._going_back: Callable[[str], None] | None = None
        # A signal handler appends, and the thread takes: both in one step.
        self._interrupts: deque[None] = deque()
        self._ending: CellStopped | None = None
        self._pid = 0
        self._owner = os.getpid()
        self._thread = threading.Thread(target=self._run, name="kavach-session", daemon=True)
        _everyone.add(self)

    def start(self) -> None:
        """Begin the set-up; `Hearer.began` or `Hearer.ended` tells what came of it."""
        self._thread.start()

    @property
    def pid(self) -> int:
        """The process that runs cells, as this process numbers it; 0 before and after its life."""
        return self._pid

    @property
    def is_over(self) -> bool:
        """Whether the thread has ended, after `Hearer.ended`."""
        return not self._thread.is_alive()

    def submit(self, request: Request, policy: Policy) -> bool:
        """Ask for something; False where too much waits for the session already.

        Args:
            request: with a number that no other one has.
            policy: what it may take: time, output and messages of this request.

        Raises:
            ProtocolError: the request is larger than a frame may be.
        """
        frame = request_frame(request)
        pieces = encode(frame)
        if self._out.waiting > _MOST_WAITING:
            return False

        def begin() -> None:
            self._exchange.begin(request, policy)
            self._out.add(pieces)

        def arrange() -> None:
            assert self._standby is not None
            if request.kind == "execute":
                self._standby.before_cell(begin)
            else:
                if request.kind.startswith("comm_"):
                    self._standby.outdate()
                begin()

        self._do(arrange)
        return True

    def answer(self, text: str, status: str = "ok") -> None:
        """Answer the question that the hearer was told of; late answers go nowhere."""
        self._do(lambda: self._exchange.answer(text, status))

    def interrupt(self, number: int | None = None) -> None:
        """Interrupt what is under way. Made for a signal handler: it takes no lock and never waits.

        Args:
            number: of the one request that is meant; None for any.
        """
        if number is None:
            self._interrupts.append(None)
            self._poke()
        else:
            self._do(lambda: self._exchange.interrupt(number))

    def go_back(self, told: Callable[[str], None]) -> None:
        """Go back to what was before the last cell.

        Args:
            told: called in the service's thread, with nothing when it is done, else with why not.
        """

        def begin() -> None:
            self._going_back = told

        self._do(begin)

    def end(self, reason: CellStopped | None = None, *, wait: bool = True) -> None:
        """Kill all of it.

        Args:
            reason: what the hearer is told.
            wait: for its end, ten seconds at most.
        """
        if self._owner != os.getpid():
            return
        self._ending = self._ending or reason or verdicts.ended()
        self._poke()
        if wait and self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_SECONDS)

    def _do(self, action: Callable[[], None]) -> None:
        self._todo.append(action)
        self._poke()

    def _poke(self) -> None:
        os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        reason: KavachError
        try:
            reason = self._live()
        except KavachError as error:
            reason = error
        except OSError as error:
            reason = SetupFailed("session", "listen", error.errno or 0, str(error))
        except Exception as error:  # noqa: BLE001 - whoever waits for a reply must be told
            reason = SetupFailed("session", "listen", 0, f"{type(error).__name__}: {error}")
        self._pid = 0
        self._tell_of_going_back(f"the session has ended: {reason}")
        self._hearer.ended(reason)

    def _live(self) -> KavachError:
        with handlers_later() as signals:
            plan, breed = self._make(signals)
            with Keeper(plan, signals, self._ask_for_snapshot) as parent:
                with zygote_for(breed, signals) as zygote:
                    report = parent.confine(lambda: parent.start_in(zygote))
                send(parent.channel, CELL, {**self._task, "names": []}, ())
                self._pid = parent.cell.pid
                self._standby = Standby(
                    parent, is_wanted=self._checkpoint, refused=self._hearer.unprotected
                )
                self._hearer.began(report)
                self._exchange.attach(parent)
                stopped = self._serve(parent, report)
                parent.end()
                return verdicts.touched_program() if parent.program.leave() else stopped

    def _serve(self, parent: Keeper, report: ConfinementReport) -> KavachError:
        """Listen, and go on from a snapshot where that can be; why there is no session any more."""
        while True:
            stopped: CellStopped | None
            try:
                stopped = self._listen(parent)
            except ProtocolError as error:
                stopped = verdicts.broken_wire(str(error))
            if stopped is not None:
                stopped = parent.explain(parent.plan.policy, stopped) or stopped
                is_lost = not self._exchange.is_running or not may_go_back(stopped)
                if self._ending is not None or is_lost or not parent.has_snapshot:
                    return stopped
            try:
                report = parent.restore(report)
            except SetupFailed as error:
                return stopped or error
            except OSError as error:
                return stopped or SetupFailed("snapshot", "restore", error.errno or 0, str(error))
            self._go_on(parent, report, stopped)
            self._tell_of_going_back("")

    def _go_on(
        self, parent: Keeper, report: ConfinementReport, stopped: CellStopped | None
    ) -> None:
        assert self._standby is not None
        self._pid = parent.cell.pid
        # What was not sent yet was for the one that has ended.
        self._out.clear()
        lost = self._exchange.attach_again(parent)
        self._hearer.restored(report, stopped, lost)
        self._standby.gone_back()

    def _listen(self, parent: Keeper) -> CellStopped | None:
        """Listen until the session has to end; None where it is to go back."""
        ends = parent.watched_ends()
        pipes = Pipes(ends.stdout, ends.stderr, self._exchange.output)
        heard = _Ends(parent, ends, pipes, select.poll())
        for fd in (self._wake, ends.cell, ends.channel, ends.stdout, ends.stderr):
            heard.poll.register(fd, select.POLLIN)
        while True:
            stopped = self._ending or self._exchange.verdict()
            if stopped is not None:
                self._finish(heard)
                return stopped
            if self._goes_back(parent):
                return None
            ready = self._wait(heard)
            if self._wake in ready:
                os.eventfd_read(self._wake)
            self._catch_up()
            self._hear(heard, ready)
            self._hearer.rested()
            if ends.cell in ready:
                status = parent.status()
                self._finish(heard)
                return verdicts.stopped_by_status(self._exchange.policy, status)

    def _wait(self, heard: _Ends) -> dict[int, int]:
        standby, channel = self._standby, heard.ends.channel
        assert standby is not None
        with suppress(FileNotFoundError):  # its other end has been closed
            heard.poll.modify(channel, select.POLLIN | (select.POLLOUT if self._out else 0))
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

    def _hear(self, heard: _Ends, ready: dict[int, int]) -> None:
        ends = heard.ends
        was_running = self._exchange.is_running
        if ready.get(ends.channel, 0) & select.POLLOUT:
            self._out.write(heard.parent.channel)
        for fd in (ends.channel, ends.stdout, ends.stderr):
            event = ready.get(fd, 0) & ~select.POLLOUT
            # poll(2): a pipe that only hangs up holds nothing, and nobody writes to it.
            is_over = fd != ends.channel and not event & select.POLLIN
            if event and (is_over or not self._read(ends, heard.pipes, fd)):
                heard.poll.unregister(fd)
        if was_running and not self._exchange.is_running:
            assert self._standby is not None
            self._standby.after_cell()

    def _finish(self, heard: _Ends) -> None:
        """End the process that ran cells, and take what it has said."""
        if self._ending is not None:
            heard.parent.stop()
        else:
            heard.parent.end_cell()
        self._drain(heard.ends, heard.pipes)

    def _goes_back(self, parent: Keeper) -> bool:
        """Whether the session is to go back, and can; who asked is told where it cannot."""
        assert self._standby is not None
        if self._going_back is None or parent.has_snapshot:
            return self._going_back is not None
        self._tell_of_going_back(f"there is none: {self._standby.why_none}")
        return False

    def _tell_of_going_back(self, why_not: str) -> None:
        told, self._going_back = self._going_back, None
        if told is not None:
            told(why_not)

    def _ask_for_snapshot(self, writer: int) -> None:
        number = 0  # of no request: the answer comes by the pipe
        frame = request_frame(Request(number, "hold", {}, {}))
        self._out.add(encode(frame), os.dup(writer))

    def _catch_up(self) -> None:
        while self._todo:
            self._todo.popleft()()
        assert self._standby is not None
        # After what was submitted before it: a signal is for what its sender saw.
        while self._interrupts and not self._standby.is_waiting:
            self._interrupts.popleft()
            self._exchange.interrupt(None)

    def _read(self, ends: WatchedEnds, pipes: Pipes, fd: int) -> bool:
        """Take what one descriptor has; False where nothing more will come."""
        try:
            if fd != ends.channel:
                # What was sent before it comes first (`launch.order`).
                end = pipes.end(fd)
                is_full = self._read_channel(ends, pipes)
                return True if is_full else pipes.take(fd, end)
            return self._read_channel(ends, pipes) is not None
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _read_channel(self, ends: WatchedEnds, pipes: Pipes) -> bool | None:
        """Read the channel once; whether more may be there, None where nothing more will come."""
        try:
            data = os.read(ends.channel, _CHUNK)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return None
        if not data:
            return None

        def catch_up(mark: Mark | None) -> None:
            if mark is not None:
                pipes.catch_up(mark)
            else:
                self._drain_pipes(ends, pipes)

        self._exchange.hear(data, catch_up)
        return len(data) == _CHUNK

    def _drain_pipes(self, ends: WatchedEnds, pipes: Pipes) -> None:
        deadline = time.monotonic() + _DRAIN_SECONDS
        for fd in (ends.stdout, ends.stderr):
            with suppress(OSError):
                while time.monotonic() < deadline and self._exchange.has_room() and pipes.take(fd):
                    continue

    def _drain(self, ends: WatchedEnds, pipes: Pipes) -> None:
        """Take what a dead session has said."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        with suppress(OSError, ProtocolError):
            while time.monotonic() < deadline and self._exchange.has_room():
                if not self._read_channel(ends, pipes):
                    break
        self._drain_pipes(ends, pipes)

    def _say(self, text: str, status: str) -> None:
        self._out.add(encode(answer_frame(text, status)))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Ends:
    """What is listened to."""

    parent: Keeper
    ends: WatchedEnds
    pipes: Pipes
    poll: select.poll


_everyone: weakref.WeakSet[Service] = weakref.WeakSet()


@atexit.register
def _end_everyone() -> None:
    for service in tuple(_everyone):
        service.end()
