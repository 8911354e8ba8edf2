"""In which order a cell spoke that speaks by three ways at once: its channel, and descriptors 1, 2.

What Python says goes over the channel as frames; what native code and subprocesses write goes to
two pipes. The kernel keeps the order within each and none between them. So a frame says when it was
sent, and how many bytes lay in the pipes then, unread: those came before it. And before bytes of a
pipe are passed on, the channel is asked for what was sent before them.

Guarantees: what one thread wrote first, and a subprocess that it waited for, is heard first; a mark
that is a lie makes nobody wait, and moves only what the same cell wrote.
Assumes: both pipes and the channel do not block on the reading side.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import time
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from typing import Literal, NamedTuple, TypeAlias

from kavach_ipy.wire.marks import NO_MARK, Mark

__all__ = ["Pipes", "StreamName", "mark_of_now"]

StreamName: TypeAlias = Literal["stdout", "stderr"]

_INT = struct.Struct("=i")
_NOTHING = _INT.pack(0)
_CHUNK = 1 << 18


# pipe(7): a pipe holds 64 KiB, and at most this where its size was raised without privilege.
_FULL_PIPE = 1 << 20
_READS = 1 << 12
"""Reads that are remembered, where frames come much later than they were sent."""


def mark_of_now() -> Mark:
    """Return the mark of a frame that is sent now, in the process that sends it."""
    began = time.monotonic_ns()
    stdout, stderr = _unread(1), _unread(2)
    if not stdout and not stderr:
        return NO_MARK
    return Mark(began, time.monotonic_ns(), stdout, stderr)


def _unread(fd: int) -> int:
    """Return how many bytes lie in a pipe, from either end: ioctl(2), FIONREAD.

    What the cell has put in the place of the pipe (a file, say) counts for nothing here.
    """
    try:
        answer = fcntl.ioctl(fd, termios.FIONREAD, _NOTHING)
    except OSError:
        return 0
    return 0 if answer == _NOTHING else max(0, int(_INT.unpack(answer)[0]))


class _Pipe:
    """One reading end, and how far it was read when."""

    def __init__(self, fd: int, name: StreamName) -> None:
        self.fd = fd
        self.name = name
        self.read = 0
        """Bytes, from the first one ever."""

        self._reads: deque[_Read] = deque(maxlen=_READS)

    def take(self, until: int | None) -> bytes:
        size = _CHUNK if until is None else min(_CHUNK, until - self.read)
        began = time.monotonic_ns()
        data = os.read(self.fd, size)
        self._reads.append(_Read(began, time.monotonic_ns(), self.read, len(data)))
        self.read += len(data)
        return data

    def end_of(self, mark: Mark, count: int) -> int:
        """Return where the bytes end that lay here, `count` of them, when a frame was marked."""
        while self._reads and self._reads[0].ended < mark.began:
            # Frames come in the order of their marks.
            self._reads.popleft()
        end = self.read + _unread(self.fd)
        reads = self._reads
        # The first read after the mark: by halving, as a mark that lies may be of any time.
        later = bisect_right(reads, mark.ended, key=_BEGAN)
        # Or one at the same time, where so much has never lain here unless what was read is
        # counted too. Else the reading came first: a system call is left rather at its end than
        # before.
        meanwhile = max(
            bisect_left(reads, mark.began, key=_ENDED),
            bisect_right(reads, end - count, key=_AFTER),
        )
        first = min(later, meanwhile)
        return (reads[first].before if first < len(reads) else self.read) + count


class _Read(NamedTuple):
    """One read of a pipe."""

    began: int
    """Of the monotonic clock, in nanoseconds."""

    ended: int
    before: int
    """Bytes that had been read before."""

    size: int

    @property
    def after(self) -> int:
        """Bytes that had been read with it."""
        return self.before + self.size


# Later reads have later times, and more bytes before them.
_BEGAN = attrgetter("began")
_ENDED = attrgetter("ended")
_AFTER = attrgetter("after")


class Pipes:
    """The reading ends of a cell's descriptors 1 and 2."""

    def __init__(self, stdout: int, stderr: int, hear: Callable[[StreamName, bytes], None]) -> None:
        """Begin with two pipes of which nothing was read.

        Args:
            stdout: what the cell writes to descriptor 1.
            stderr: what it writes to descriptor 2.
            hear: takes what was read, in order.
        """
        self._pipes = {stdout: _Pipe(stdout, "stdout"), stderr: _Pipe(stderr, "stderr")}
        self._hear = hear

    def end(self, fd: int) -> int:
        """Return where the bytes end that a pipe holds now, counted from the first one ever."""
        return self._pipes[fd].read + _unread(fd)

    def take(self, fd: int, until: int | None = None) -> bool:
        """Pass on what a pipe holds, at most one read, and nothing from `until` on.

        Returns:
            False where nothing comes any more, because nobody writes.

        Raises:
            BlockingIOError: nothing is there yet.
        """
        pipe = self._pipes[fd]
        if until is not None and until <= pipe.read:
            return True
        data = pipe.take(until)
        if data:
            self._hear(pipe.name, data)
        return bool(data)

    def catch_up(self, mark: Mark) -> None:
        """Pass on what lay in the pipes when a frame was sent, before the frame is."""
        if mark is NO_MARK:
            return
        for pipe, count in zip(self._pipes.values(), (mark.stdout, mark.stderr), strict=True):
            # No more than a pipe can hold, so that a mark that lies cannot keep us here.
            until = pipe.end_of(mark, min(count, _FULL_PIPE))
            with suppress(BlockingIOError):
                while pipe.read < until and self.take(pipe.fd, until):
                    continue
