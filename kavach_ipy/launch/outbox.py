"""What waits to be written to a session's channel, by who must not wait for it.

Guarantees: bytes go in the order in which they were added, and a descriptor goes with the first of
the bytes that it was added with; a descriptor that is not sent is closed.
Assumes: the channel does not block; one thread uses it.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Iterable

__all__ = ["Outbox"]

_PIECES = 512


class Outbox:
    """Frames that are on their way."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[memoryview, int]] = deque()
        self.waiting = 0
        """Bytes."""

        self.written = 0
        """Bytes, since the beginning."""

        self.was_reset = False
        """Whether its other end was closed with something unread: `launch.unread`."""

    def add(self, pieces: Iterable[bytes | memoryview], descriptor: int = -1) -> None:
        """Add one frame.

        Args:
            pieces: its bytes.
            descriptor: goes with them; this process's own is closed then. -1 for none.
        """
        for piece in pieces:
            if len(piece):
                self._pieces.append((memoryview(piece).cast("B"), descriptor))
                self.waiting += len(piece)
                descriptor = -1

    def write(self, channel: socket.socket) -> None:
        """Write what the channel takes now; where nobody reads any more, forget all of it."""
        try:
            while self._pieces:
                self._sent(self._write(channel))
        except BlockingIOError:
            return
        except OSError as error:
            # It has ended, which its own descriptor tells.
            self.was_reset |= isinstance(error, ConnectionResetError)
            self.clear()

    def clear(self) -> None:
        """Forget what waits: who was to read it has ended."""
        for _, descriptor in self._pieces:
            if descriptor >= 0:
                os.close(descriptor)
        self._pieces.clear()
        self.waiting = 0

    def _write(self, channel: socket.socket) -> int:
        piece, descriptor = self._pieces[0]
        if descriptor >= 0:
            # unix(7): it arrives with the first byte, however many are taken.
            written = socket.send_fds(channel, [piece], [descriptor])
            self._pieces[0] = piece, -1
            os.close(descriptor)
            return written
        run: list[memoryview] = []
        for piece, descriptor in self._pieces:
            if descriptor >= 0 or len(run) == _PIECES:
                break
            run.append(piece)
        return os.writev(channel.fileno(), run)

    def _sent(self, written: int) -> None:
        self.waiting -= written
        self.written += written
        while self._pieces and written >= len(self._pieces[0][0]):
            written -= len(self._pieces.popleft()[0])
        if written:
            piece, descriptor = self._pieces[0]
            self._pieces[0] = piece[written:], descriptor

    def __bool__(self) -> bool:
        return bool(self._pieces)
