"""From "go" to the end: frames, output, deadlines, interrupts.

Guarantees: `Watch.run` returns when the cell is over or a limit is reached, never later than the
deadline plus one tick; what the child sends is bounded in bytes and in number.
Assumes: the child is hostile; its descriptors on this side do not block.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

from kavach_ipy.errors import CellStopped, ProtocolError
from kavach_ipy.launch import verdicts
from kavach_ipy.launch.asking import Questions
from kavach_ipy.launch.interrupts import Interrupts
from kavach_ipy.launch.listener import Listener
from kavach_ipy.launch.meter import Meter
from kavach_ipy.launch.order import Pipes, StreamName
from kavach_ipy.launch.signals import Signals
from kavach_ipy.policy import Policy
from kavach_ipy.wire.frames import Decoder, Frame, Kind
from kavach_ipy.wire.marks import read_mark
from kavach_ipy.wire.messages import STREAM_FRAME

__all__ = ["Watch", "WatchedEnds"]

_CHUNK = 1 << 18
_SAMPLE_SECONDS = 0.1
_SAMPLE_DUTY = 30
"""A sample is taken at most once in thirty times its own cost: reading smaps walks page tables."""
_DRAIN_SECONDS = 1.0
_VALUE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class WatchedEnds:
    """The parent's descriptors, all non-blocking."""

    channel: int
    stdout: int
    stderr: int
    cell: int
    """pidfd of the cell."""


@dataclass(slots=True)
class Watch:
    """One run of one cell, after "go"."""

    policy: Policy
    ends: WatchedEnds
    listener: Listener
    decoder: Decoder
    meter: Meter
    """Measures what the sandbox uses."""

    reap: Callable[[], int | None]
    """Takes the wait status of the cell once its pidfd says that it has ended."""

    kill: Callable[[], None]
    """Kills every process of the sandbox."""

    interrupts: Interrupts
    """What the user asks of the cell by SIGINT."""

    names: frozenset[str]
    """The values that may come, each once."""

    signals: Signals
    """Python's handlers, which run meanwhile."""

    lives_on: bool = False
    """The sandbox stays when the cell has said that it is done."""

    _poll: select.poll = field(default_factory=select.poll)
    _done: bool = False
    _ended: bool = False
    _status: int | None = None
    _bytes: int = 0
    _value_bytes: int = 0
    _values: set[str] = field(default_factory=set)
    _messages: int = 0
    _stopped: CellStopped | None = None
    """Why it must stop, as the last look at it showed."""

    _questions: Questions = field(init=False)
    _pipes: Pipes = field(init=False)
    _is_channel_open: bool = True

    def __post_init__(self) -> None:
        self._questions = Questions(self.ends.channel, self.ends.cell, self._look)
        self._pipes = Pipes(self.ends.stdout, self.ends.stderr, self._hear_bytes)

    def run(self) -> CellStopped | None:
        """Listen until the cell is over; why it was stopped, or None where it said "done"."""
        for fd in (self.ends.cell, self.ends.channel, self.ends.stdout, self.ends.stderr):
            self._poll.register(fd, select.POLLIN)
        # The first SIGINT is the cell's, the second ends it. In other threads none comes.
        with (
            self.signals.instead(signal.SIGINT, self._on_interrupt),
            self.signals.let_through(),
        ):
            try:
                return self._listen()
            except ProtocolError as error:
                return verdicts.broken_wire(str(error))

    def _listen(self) -> CellStopped | None:
        start = time.monotonic()
        sample_at = start + _SAMPLE_SECONDS
        while True:
            now = time.monotonic()
            stopped = self._overdue(now, start)
            if stopped is None and now >= sample_at:
                patience = self._look()
                stopped = self._stopped
                sample_at = now + (patience or 0)
                usage = self.meter.usage
                if usage is not None:
                    processes = len(usage.cpu) - len(self.meter.held())
                    self.listener.usage(now - start, usage.memory, processes)
            if stopped is not None:
                self._end()
                return stopped
            for fd, event in self._poll.poll(self._patience(now, start, sample_at)):
                stopped = self._take(fd, event)
                if stopped is not None:
                    return stopped
            if self._done and self.lives_on and not self._ended:
                self._drain()
                return None
            if self._done or self._ended:
                self._end()
                return self._verdict()

    def _patience(self, now: float, start: float, sample_at: float) -> int:
        """Milliseconds until the next thing that must be looked at without being told."""
        until = [sample_at]
        if self.policy.timeout is not None:
            until.append(start + self.policy.timeout + self._questions.seconds)
        obeyed_by = self.interrupts.deadline()
        if obeyed_by is not None:
            until.append(obeyed_by)
        return max(0, int((min(until) - now) * 1000) + 1)

    def _overdue(self, now: float, start: float) -> CellStopped | None:
        if self._stopped is not None:
            return self._stopped
        limit = self.policy.timeout
        # What a person takes to answer is not the cell's time.
        seconds = now - start - self._questions.seconds
        if limit is not None and seconds >= limit:
            return verdicts.out_of_time(self.policy, seconds)
        return self.interrupts.verdict(now)

    def _look(self) -> float | None:
        """Take a sample; the seconds until the next, or None where the cell must stop."""
        start = time.monotonic()
        self._stopped = self.meter.sample()
        if self._stopped is not None:
            return None
        return max(_SAMPLE_SECONDS, (time.monotonic() - start) * _SAMPLE_DUTY)

    def _take(self, fd: int, event: int) -> CellStopped | None:
        """Read what one descriptor has; why the cell must stop, if it must."""
        if fd == self.ends.cell:
            # pidfd_open(2): a pidfd polls as readable when its process has ended.
            self._poll.unregister(fd)
            # First, because once it is reaped its number may be somebody else's.
            self._ended = True
            self._status = self.reap()
            return None
        if fd == self.ends.channel:
            self._take_frames()
        elif event & select.POLLIN:
            self._take_bytes(fd)
        else:
            # poll(2): a pipe that only hangs up holds nothing, and nobody writes to it any more.
            self._poll.unregister(fd)
        return self._too_much()

    def _take_frames(self) -> bool:
        """Read the channel once; whether more may be there."""
        if not self._is_channel_open:
            return False
        try:
            data = os.read(self.ends.channel, _CHUNK)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            data = b""
        if not data:
            self._poll.unregister(self.ends.channel)
            self._is_channel_open = False
            return False
        self._bytes += len(data)
        self._hear_all(data)
        return len(data) == _CHUNK

    def _take_bytes(self, fd: int) -> None:
        """Read one pipe once, after all frames that were sent before what lies in it now."""
        end = self._pipes.end(fd)
        if self._take_frames():
            return
        with suppress(BlockingIOError):
            self._pipes.take(fd, end)

    def _hear_bytes(self, name: StreamName, data: bytes) -> None:
        self._bytes += len(data)
        self.listener.output(name, data)

    def _hear_all(self, data: bytes) -> None:
        for frame in self.decoder.feed(data):
            self._hear(frame)
        if self.decoder.broken is not None:
            raise self.decoder.broken

    def _hear(self, frame: Frame) -> None:
        if self._done and not (self.lives_on and frame.kind is Kind.MESSAGE):
            # Of a sandbox that lives on, a thread may go on printing.
            raise ProtocolError(self.decoder.offset, frame.kind.name, "a frame after DONE.")
        match frame.kind:
            case Kind.DONE:
                self.listener.frame(frame)
                self._done = True
            case Kind.VALUE | Kind.UNSENT:
                self._hear_value(frame)
            case Kind.INPUT:
                self._messages += 1
                self._pipes.catch_up(read_mark(frame))
                if self._messages <= self.policy.messages and self._stopped is None:
                    self._ask(frame)
            case Kind.MESSAGE:
                if frame.body.get("type") == "stream":
                    # Text is bounded in bytes: a cell may print a million lines, one frame each.
                    self._bytes -= STREAM_FRAME
                else:
                    self._messages += 1
                if self._messages > self.policy.messages:
                    # One read brings thousands of small frames; those beyond the limit are
                    # counted, so that the cell is stopped, and not shown.
                    return
                self._pipes.catch_up(read_mark(frame))
                self.listener.frame(frame)
            case _:
                raise ProtocolError(
                    self.decoder.offset, frame.kind.name, "the cell may not say that now."
                )

    def _ask(self, frame: Frame) -> None:
        def put() -> Frame | None:
            return self.listener.frame(frame)

        if self.policy.stdin:
            self._questions.ask(frame, put, self.interrupts, self.signals)
        else:
            self._questions.answer(put())

    def _hear_value(self, frame: Frame) -> None:
        """Pass on one value; each that was asked for may come once.

        What it holds is not counted as printed. Big buffers lie in the arena, so what comes in
        frames has a bound of its own.
        """
        name = frame.body.get("name")
        if not isinstance(name, str) or name not in self.names or name in self._values:
            raise ProtocolError(
                self.decoder.offset, frame.kind.name, f"{name!r:.80} was not due, or came before."
            )
        self._values.add(name)
        size = sum(len(buffer) for buffer in frame.buffers)
        self._bytes -= size
        self._value_bytes += size
        if self._value_bytes > _VALUE_BYTES:
            raise ProtocolError(
                self.decoder.offset,
                frame.kind.name,
                f"{self._value_bytes} bytes of values in frames; {_VALUE_BYTES} are allowed.",
            )
        self.listener.frame(frame)

    def _too_much(self) -> CellStopped | None:
        if self._bytes > self.policy.output:
            return verdicts.out_of_output(self.policy)
        if self._messages > self.policy.messages:
            return verdicts.out_of_messages(self.policy, self._messages)
        return self._questions.verdict()

    def _end(self) -> None:
        """Kill first, so that nobody writes any more, then take what is here already."""
        self.kill()
        self._questions.end()
        self._drain(self.ends.channel)

    def _drain(self, *channel: int) -> None:
        """Take what is here already, of the channel too where it is given."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        for fd in (*channel, self.ends.stdout, self.ends.stderr):
            with suppress(OSError):
                while self._too_much() is None and time.monotonic() < deadline:
                    if not self._drain_once(fd):
                        break

    def _drain_once(self, fd: int) -> bool:
        if fd != self.ends.channel:
            return self._pipes.take(fd)
        data = os.read(fd, _CHUNK)
        self._bytes += len(data)
        if not self._done:
            self._hear_all(data)
        return bool(data)

    def _verdict(self) -> CellStopped | None:
        """None where the cell said "done"; else what its end means."""
        return None if self._done else verdicts.stopped_by_status(self.policy, self._status)

    def _on_interrupt(self, _: int, __: FrameType | None) -> None:
        if self._questions.take_interrupt() or self._ended:
            return
        if not self.interrupts.came():
            self._questions.leave()
            return
        # Where somebody is asked, the answer is what raises in the cell.
        self._questions.leave(KeyboardInterrupt)
        self.interrupts.pass_on()
