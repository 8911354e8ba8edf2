"""A cell that its session has never read: the proof that nothing of it ran.

A session that dies may have read its last cell or not, and nothing of a cell may run twice. What
proves that it did not is what this process has not written, or what nobody took from the channel::

    written: ── requests ──┤ the cell ├        less than its end: an honest session runs no part
    unread:            ... ┤ cell ├            the channel's last bytes are there, and were its end

Rejected: EPIPE, which says that nobody reads now, and not what was read before; that no output
came, for a cell may have written to files only.

Guarantees: `Order.unread` names a cell only where its frame was not whole in the channel, or where
the end of it was there when the last reader was dead.
Assumes: numbers grow; asked when every process is dead that might read, or sleeps and throws away
what it finds. A hostile session can look without taking (MSG_PEEK); it can run its cells twice
anyhow.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import sys
import termios

from kavach_ipy.launch.outbox import Outbox

__all__ = ["Order", "holds_unread", "was_reset"]


class Order:
    """The cell that a session was handed last."""

    def __init__(self, out: Outbox) -> None:
        self._out = out
        self._number = 0
        self._end: int | None = None

    def begin(self, number: int) -> None:
        """Take the number of a cell, of which nothing was put into the outbox yet."""
        self._number, self._end = number, None

    def added(self) -> None:
        """Note that the cell is the last in the outbox."""
        self._end = self._out.written + self._out.waiting

    @property
    def next(self) -> int:
        """The least number of a cell that was not handed over."""
        return self._number + 1

    def unread(self, *, is_left: bool) -> int:
        """Return the least number of a cell that nobody has read.

        Args:
            is_left: whether the channel held something when its last reader was dead.
        """
        if self._end is None or self._out.written < self._end:
            return self._number
        # Bytes are taken in order, so what is left has the last ones; they are the cell's only
        # where nothing was written behind it.
        return self._number if is_left and self._out.written == self._end else self.next


def holds_unread(channel: socket.socket) -> bool:
    """Tell whether something is left in the channel that was written here, and has a reader.

    unix(7), SIOCOUTQ: memory of what was sent and not taken, which a reader gives back as it takes.
    Where nobody has the other end any more, all of it is given back, and `was_reset` tells.
    """
    left = fcntl.ioctl(channel, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(left, sys.byteorder) > 0


def was_reset(channel: socket.socket) -> bool:
    """Tell whether something was left in the channel when its other end was closed; once.

    unix(7), ECONNRESET: Linux sets it where the end of a stream is closed that has unread bytes.
    Whoever reads or writes first is told instead of this.
    """
    return channel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
