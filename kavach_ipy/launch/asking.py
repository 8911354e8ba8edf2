"""A question of the cell's to the person at the notebook, while everything else is watched.

A front end is asked by a call that waits for the person, in the main thread: ``input()`` cannot be
polled, and ipykernel's sockets are no other thread's. So the looking goes on in a thread meanwhile,
and SIGINT, which every such call heeds, ends the call: the user's as a KeyboardInterrupt, the
thread's as an exception that nothing on the way catches.

Nothing that the cell writes is shown meanwhile, so it cannot paint over the prompt.

Guarantees: a question ends when the cell does, or a limit is reached, or SIGINT comes; each has one
answer, in order; no thread or descriptor is left of it.
Assumes: `signals` lets the handler that calls `take_interrupt` run.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable

from kavach_ipy.errors import CellStopped
from kavach_ipy.launch import verdicts
from kavach_ipy.launch.interrupts import Interrupts
from kavach_ipy.launch.signals import Signals
from kavach_ipy.wire.frames import Frame, encode
from kavach_ipy.wire.messages import answer_frame, read_input

__all__ = ["Questions"]

_NOT_HERE = "input() has nobody to ask here: only a cell that the main thread runs can ask."
_MOST = 500
"""Questions of one cell. Somebody who steps through it with pdb answers at every step."""

_ANSWER_SECONDS = 1.0
_WAKE_SECONDS = 0.1


class _Over(BaseException):
    """The cell that asked is over, or will be: its question needs no answer."""


class Questions:
    """What one cell asks."""

    def __init__(self, channel: int, cell: int, look: Callable[[], float | None]) -> None:
        """Begin with a cell that has asked nothing.

        Args:
            channel: where answers go.
            cell: its pidfd.
            look: looks at what the cell uses, in a thread; the seconds until it wants to look
                again, or None where the cell must stop.
        """
        self._channel = channel
        self._cell = cell
        self._look = look
        self._count = 0
        self._is_deaf = False
        self._is_woken = False
        self._is_under_way = False
        self.seconds = 0.0
        """For which people have been asked."""

    def ask(
        self,
        frame: Frame,
        put: Callable[[], Frame | None],
        interrupts: Interrupts,
        signals: Signals,
    ) -> None:
        """Put a question, and give the cell its answer.

        Args:
            frame: the question.
            put: asks, and waits for the answer as long as it takes.
            interrupts: those of the cell.
            signals: what came while handlers were put off, and lets them run.
        """
        self._count += 1
        if self._is_deaf or self._count > _MOST:
            return
        if interrupts.is_due(read_input(frame).interrupts):
            # It asked before the signal came, and waits for the answer to raise.
            self.answer(answer_frame("", "interrupted"))
        elif signal.SIGINT in signals.handled:
            self.answer(self._attended(put, signals))
        else:
            # Nothing could end the call: signals are the main thread's, and there they are ignored.
            self.answer(answer_frame(_NOT_HERE, "eof"))

    def answer(self, frame: Frame | None) -> None:
        """Write an answer to the cell; None where there is none, because the cell is over."""
        if frame is None or self._is_deaf:
            return
        data = b"".join(bytes(piece) for piece in encode(frame))
        deadline = time.monotonic() + _ANSWER_SECONDS
        while data:
            try:
                data = data[os.write(self._channel, data) :]
            except BlockingIOError:
                # A cell that asks and does not read keeps the kernel waiting for nothing. What is
                # left of this answer would stand before the next.
                if time.monotonic() >= deadline:
                    self._is_deaf = True
                    return
                select.select([], [self._channel], [], _ANSWER_SECONDS / 10)
            except (BrokenPipeError, ConnectionResetError):
                return

    def verdict(self) -> CellStopped | None:
        """Why the cell must stop, if it must."""
        return verdicts.asked_too_often(_MOST) if self._count > _MOST else None

    def end(self) -> None:
        """Ask nobody any more: the cell is dead, and what is still read of it was said before."""
        self._is_deaf = True

    def take_interrupt(self) -> bool:
        """Be told of SIGINT, by its handler; True where it was not the user's."""
        is_ours, self._is_woken = self._is_woken, False
        if is_ours:
            self.leave()
        return is_ours

    def leave(self, error: type[BaseException] = _Over) -> None:
        """End the question that is under way, if one is: raise out of the call that asks."""
        if self._is_under_way:
            self._is_under_way = False
            raise error

    def _attended(self, put: Callable[[], Frame | None], signals: Signals) -> Frame | None:
        start = time.monotonic()
        stop = os.eventfd(0, os.EFD_CLOEXEC)
        thread = threading.Thread(target=self._attend, args=(stop,), name="kavach-asking")
        try:
            thread.start()
            try:
                return self._put(put, signals)
            finally:
                os.eventfd_write(stop, 1)
                thread.join()
                self._forget_waking(signals)
        finally:
            os.close(stop)
            self.seconds += time.monotonic() - start

    def _forget_waking(self, signals: Signals) -> None:
        # The call looks for signals at its end, so one that the thread has sent is handled now,
        # unless another that raised had closed the block: then it waits for its turn.
        signal.pthread_sigmask(signal.SIG_BLOCK, ())
        if self._is_woken:
            self._is_woken = False
            signals.forget(signal.SIGINT)

    def _put(self, put: Callable[[], Frame | None], signals: Signals) -> Frame | None:
        try:
            # Once more, because a handler that raises closes the block it raised in.
            with signals.let_through():
                self._is_under_way = True
                try:
                    return put()
                finally:
                    self._is_under_way = False
        except _Over:
            return None
        except KeyboardInterrupt:
            return answer_frame("", "interrupted")

    def _attend(self, stop: int) -> None:
        poll = select.poll()
        for fd in (stop, self._cell):
            poll.register(fd, select.POLLIN)
        ready: list[int] = []
        patience = self._look()
        while patience is not None:
            ready = [fd for fd, _ in poll.poll(patience * 1000)]
            if stop in ready:
                return
            patience = None if ready else self._look()
        # Again and again: one that comes between a look for signals and the wait for a line, as in
        # readline's input(), is noticed with the next.
        poll.unregister(self._cell)
        while stop not in ready and self._is_under_way:
            self._is_woken = True
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            ready = [fd for fd, _ in poll.poll(_WAKE_SECONDS * 1000)]
