"""A session that serves a kernel: one sandbox that somebody listens to all its life.

::

    kernel's loop ── submit, interrupt, answer, end ──▶ the service's thread ── frames ──▶ session
    kernel's loop ◀── whatever the hearer makes of it ── the same thread ◀── frames, output ──

The sandbox is set up as that of a clean cell (`launch.zygotes`), by the thread that then listens to
it (`launch.duty`), so that the kernel's loop waits for nothing. `launch.exchange` is what that
thread knows of the requests that are under way, `launch.standby` of the snapshot that takes over
from a stopped cell.

Guarantees: nothing was asked of it before it was verified; its limits hold also while it is asked
for nothing; its process ends with the first frame that no honest session sends; `Hearer.ended` is
the last call, comes once, and after it nothing of the sandbox is left.
Assumes: the hearer does not wait for the kernel's loop.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from kavach_ipy.errors import CellStopped
from kavach_ipy.launch import verdicts
from kavach_ipy.launch.duty import Duty
from kavach_ipy.launch.exchange import Hearer
from kavach_ipy.wire.frames import encode
from kavach_ipy.wire.service import Request, request_frame

if TYPE_CHECKING:
    from kavach_ipy.launch.plan import Plan
    from kavach_ipy.launch.signals import Signals
    from kavach_ipy.launch.zygotes import Breed
    from kavach_ipy.policy import Policy
    from kavach_ipy.wire.documents import Json

__all__ = ["Service"]

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
        self._todo: deque[Callable[[], None]] = deque()
        # A signal handler appends, and the thread takes: both in one step.
        self._interrupts: deque[int] = deque()
        self._duty = Duty(hearer, checkpoint=checkpoint, wake=self._wake, catch_up=self._catch_up)
        self._owner = os.getpid()
        self._thread = threading.Thread(target=self._run, name="kavach-session", daemon=True)
        _everyone.add(self)

    def start(self) -> None:
        """Begin the set-up; `Hearer.began` or `Hearer.ended` tells what came of it."""
        self._thread.start()

    @property
    def pid(self) -> int:
        """The process that runs cells, as this process numbers it; 0 before and after its life."""
        return self._duty.pid

    @property
    def is_over(self) -> bool:
        """Whether the thread has ended, after `Hearer.ended`."""
        return not self._thread.is_alive()

    def submit(self, request: Request, policy: Policy, arena: int = -1) -> bool:
        """Ask for something; False where too much waits for the session already.

        Args:
            request: with a number that no other one has.
            policy: what it may take: time, output and messages of this request.
            arena: goes along; a cell with one is to be undone (`go_back`), and is refused where it
                cannot be. The caller's, who keeps it open until the reply.

        Raises:
            ProtocolError: the request is larger than a frame may be.
        """
        pieces = encode(request_frame(request))
        if self._duty.waiting > _MOST_WAITING:
            return False
        self._do(lambda: self._duty.begin(request, pieces, policy, arena))
        return True

    def answer(self, text: str, status: str = "ok") -> None:
        """Answer the question that the hearer was told of; late answers go nowhere."""
        self._do(lambda: self._duty.answer(text, status))

    def interrupt(self, number: int) -> None:
        """Interrupt a request, as soon as the session has it; nothing happens where it is over.

        Made for a signal handler: it takes no lock and never waits.

        Args:
            number: of the request, so that what comes late is not the next one's.
        """
        self._interrupts.append(number)
        self._poke()

    def give_way(self, number: int) -> None:
        """Let a request be over that nobody waits for, before what is submitted from here on."""
        self._do(lambda: self._duty.give_way(number))

    def go_back(self, told: Callable[[str], None]) -> None:
        """Go back to what was before the last cell.

        Args:
            told: called in the service's thread, with nothing when it is done, else with why not.
        """
        self._do(lambda: self._duty.go_back(told))

    def end(self, reason: CellStopped | None = None, *, wait: bool = True) -> None:
        """Kill all of it.

        Args:
            reason: what the hearer is told.
            wait: for its end, ten seconds at most.
        """
        if self._owner != os.getpid():
            return
        self._duty.ending = self._duty.ending or reason or verdicts.ended()
        self._poke()
        if wait and self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_SECONDS)

    def _do(self, action: Callable[[], None]) -> None:
        self._todo.append(action)
        self._poke()

    def _poke(self) -> None:
        os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        reason = self._duty.do(self._make, self._task)
        self._hearer.ended(reason, self._duty.unread)

    def _catch_up(self, duty: Duty) -> None:
        while self._todo:
            self._todo.popleft()()
        # After what was submitted before it: a signal is for what its sender saw.
        while self._interrupts and duty.takes_interrupts:
            duty.interrupt(self._interrupts.popleft())


_everyone: weakref.WeakSet[Service] = weakref.WeakSet()


@atexit.register
def _end_everyone() -> None:
    for service in tuple(_everyone):
        service.end()
