"""A session that serves a kernel: one sandbox that somebody listens to all its life.

::

    kernel's loop ── submit, interrupt, answer, end ──▶ the service's thread ── frames ──▶ session
    kernel's loop ◀── whatever the hearer makes of it ── the same thread ◀── frames, output ──

The sandbox is set up as that of a clean cell (`launch.zygotes`), by the thread that then listens to
it, so that the kernel's loop waits for nothing. `launch.exchange` is what that thread knows of the
requests that are under way.

Guarantees: nothing was asked of it before it was verified; its limits hold also while it is asked
for nothing; it ends with the first frame that no honest session sends; `Hearer.ended` is the last
call, comes once, and after it nothing of the sandbox is left.
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
from typing import TYPE_CHECKING

from kavach_ipy.errors import CellStopped, KavachError, ProtocolError, SetupFailed
from kavach_ipy.launch import verdicts
from kavach_ipy.launch.exchange import Exchange, Hearer
from kavach_ipy.launch.order import Pipes
from kavach_ipy.launch.parent import Parent
from kavach_ipy.launch.requests import CELL, send
from kavach_ipy.launch.signals import handlers_later
from kavach_ipy.launch.zygotes import Breed, zygote_for
from kavach_ipy.wire.frames import encode
from kavach_ipy.wire.marks import Mark
from kavach_ipy.wire.messages import answer_frame
from kavach_ipy.wire.service import Request, request_frame

if TYPE_CHECKING:
    from kavach_ipy.launch.plan import Plan
    from kavach_ipy.launch.signals import Signals
    from kavach_ipy.launch.watch import WatchedEnds
    from kavach_ipy.policy import Policy
    from kavach_ipy.wire.documents import Json

__all__ = ["Service"]

_CHUNK = 1 << 18
_PIECES = 512
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
    ) -> None:
        """Prepare a session; `start` begins it.

        Args:
            make: called in the service's thread: what the sandbox promises, and what it is made of.
            task: what the session is told before its first request.
            hearer: hears it, in the service's thread.
        """
        self._make = make
        self._task = task
        self._hearer = hearer
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # Not with the thread: a signal handler may be about to write to it.
        weakref.finalize(self, os.close, self._wake)
        self._exchange = Exchange(hearer, self._say)
        self._todo: deque[Callable[[], None]] = deque()
        self._out: deque[memoryview] = deque()
        self._waiting = 0
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
        if self._waiting > _MOST_WAITING:
            return False

        def begin() -> None:
            self._exchange.begin(request, policy)
            self._send(pieces)

        self._do(begin)
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
        self._hearer.ended(reason)

    def _live(self) -> KavachError:
        with handlers_later() as signals:
            plan, breed = self._make(signals)
            with Parent(plan, signals) as parent:
                with zygote_for(breed, signals) as zygote:
                    report = parent.confine(lambda: parent.start_in(zygote))
                send(parent.channel, CELL, {**self._task, "names": []}, ())
                self._pid = parent.cell.pid
                self._hearer.began(report)
                self._exchange.attach(parent)
                try:
                    stopped = self._listen(parent)
                except ProtocolError as error:
                    stopped = verdicts.broken_wire(str(error))
                stopped = parent.explain(plan.policy, stopped) or stopped
                parent.end()
                return verdicts.touched_program() if parent.program.leave() else stopped

    def _listen(self, parent: Parent) -> CellStopped:
        ends = parent.watched_ends()
        pipes = Pipes(ends.stdout, ends.stderr, self._exchange.output)
        poll = select.poll()
        for fd in (self._wake, ends.cell, ends.channel, ends.stdout, ends.stderr):
            poll.register(fd, select.POLLIN)
        while True:
            stopped = self._ending or self._exchange.verdict()
            if stopped is not None:
                parent.stop()
                self._drain(ends, pipes)
                return stopped
            with suppress(FileNotFoundError):  # its other end has been closed
                poll.modify(ends.channel, select.POLLIN | (select.POLLOUT if self._out else 0))
            ready = dict(poll.poll(self._exchange.patience()))
            if self._wake in ready:
                os.eventfd_read(self._wake)
            self._catch_up()
            if ready.get(ends.channel, 0) & select.POLLOUT:
                self._write(ends.channel)
            for fd in (ends.channel, ends.stdout, ends.stderr):
                event = ready.get(fd, 0) & ~select.POLLOUT
                # poll(2): a pipe that only hangs up holds nothing, and nobody writes to it.
                is_over = fd != ends.channel and not event & select.POLLIN
                if event and (is_over or not self._read(ends, pipes, fd)):
                    poll.unregister(fd)
            self._hearer.rested()
            if ends.cell in ready:
                status = parent.status()
                parent.stop()
                self._drain(ends, pipes)
                return verdicts.stopped_by_status(self._exchange.policy, status)

    def _catch_up(self) -> None:
        while self._todo:
            self._todo.popleft()()
        # After what was submitted before it: a signal is for what its sender saw.
        while self._interrupts:
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
        self._send(encode(answer_frame(text, status)))  # type: ignore[arg-type]

    def _send(self, pieces: list[bytes | memoryview]) -> None:
        self._out.extend(memoryview(piece).cast("B") for piece in pieces if len(piece))
        self._waiting = sum(map(len, self._out))

    def _write(self, fd: int) -> None:
        try:
            written = os.writev(fd, [self._out[i] for i in range(min(len(self._out), _PIECES))])
        except BlockingIOError:
            return
        except OSError:
            # It has ended, which its own descriptor tells.
            self._out.clear()
            return
        while self._out and written >= len(self._out[0]):
            written -= len(self._out.popleft())
        if written:
            self._out[0] = self._out[0][written:]
        self._waiting = sum(map(len, self._out))


_everyone: weakref.WeakSet[Service] = weakref.WeakSet()


@atexit.register
def _end_everyone() -> None:
    for service in tuple(_everyone):
        service.end()
