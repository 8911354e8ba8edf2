"""What a session has to say, read in order: its channel, and its descriptors 1 and 2.

Guarantees: no read waits; what was sent over the channel before bytes of a pipe is passed on before
them (`launch.order`).
Assumes: one thread uses it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from kavach_ipy.errors import ProtocolError
from kavach_ipy.launch.order import Pipes, StreamName
from kavach_ipy.wire.marks import Mark

if TYPE_CHECKING:
    from kavach_ipy.launch.watch import WatchedEnds

__all__ = ["Reading"]

_CHUNK: Final = 1 << 18
_DRAIN_SECONDS: Final = 1.0


class Reading:
    """The reading ends of one session."""

    def __init__(
        self,
        ends: WatchedEnds,
        output: Callable[[StreamName, bytes], None],
        frames: Callable[[bytes, Callable[[Mark | None], None]], None],
        has_room: Callable[[], bool],
    ) -> None:
        """Begin with ends of which nothing was read.

        Args:
            ends: the descriptors.
            output: takes what went to descriptor 1 or 2.
            frames: takes bytes of the channel, and what passes on the pipes' before them: up to a
                mark, or all that is there now.
            has_room: tells whether more may be taken.
        """
        self._ends = ends
        self._pipes = Pipes(ends.stdout, ends.stderr, output)
        self._frames = frames
        self._has_room = has_room
        self.was_reset = False
        """Whether its other end was closed with something unread: `launch.unread`."""

    def take(self, fd: int) -> bool:
        """Take what one descriptor has; False where nothing more will come."""
        try:
            if fd == self._ends.channel:
                return self._take_frames() is not None
            # What was sent before it comes first.
            end = self._pipes.end(fd)
            return True if self._take_frames() else self._pipes.take(fd, end)
        except BlockingIOError:
            return True
        except OSError:
            return False

    def drain(self) -> None:
        """Take what a process has said that has ended."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        with suppress(OSError, ProtocolError):
            while time.monotonic() < deadline and self._has_room():
                if not self._take_frames():
                    break
        self._drain_pipes()

    def _take_frames(self) -> bool | None:
        """Read the channel once; whether more may be there, None where nothing more will come."""
        try:
            data = os.read(self._ends.channel, _CHUNK)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            self.was_reset = True
            return None
        if not data:
            return None
        self._frames(data, self._catch_up)
        return len(data) == _CHUNK

    def _catch_up(self, mark: Mark | None) -> None:
        if mark is None:
            self._drain_pipes()
        else:
            self._pipes.catch_up(mark)

    def _drain_pipes(self) -> None:
        deadline = time.monotonic() + _DRAIN_SECONDS
        for fd in (self._ends.stdout, self._ends.stderr):
            with suppress(OSError):
                while time.monotonic() < deadline and self._has_room() and self._pipes.take(fd):
                    continue
