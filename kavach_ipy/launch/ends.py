"""The descriptors between the kernel process and one sandbox.

Guarantees: made close-on-exec; closed on both sides by `close`; a fork of the notebook's own never
keeps a sandbox alive.
Assumes: `forget_child_ends` is called after the fork, so that the parent sees ends of streams.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

__all__ = ["Ends"]

_SO_PASSRIGHTS = 83  # asm-generic/socket.h


class Ends:
    """The control sockets, our end of the channel, two output pipes, and the lifeline."""

    def __init__(self) -> None:
        self._fds: set[int] = set()
        self.control, self.child_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel: socket.socket | None = None
        self._channel_link = ""
        self.stdout, self.child_stdout = self._pipe()
        self.stderr, self.child_stderr = self._pipe()
        self.child_lifeline, self._lifeline = self._pipe()
        _lifelines[self._lifeline] = os.fstat(self._lifeline).st_ino

    @property
    def channel(self) -> socket.socket:
        """Our end of the channel, which A has made."""
        assert self._channel is not None, "A reports before anything is read"
        return self._channel

    def take_channel(self, fd: int, link: str) -> None:
        """Take charge of our end of the channel.

        Args:
            fd: our end.
            link: what the cell's end links to in /proc/<pid>/fd.
        """
        self._channel = socket.socket(fileno=fd)
        self._channel_link = link
        # Descriptors that a cell sends are closed where they arrive, in the kernel process, and
        # the last close(2) of some files waits. Linux 6.16 can refuse them (unix(7)).
        with suppress(OSError):
            self._channel.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)

    def links(self, arena: int) -> frozenset[str]:
        """What the cell's live descriptors must link to: the same files as our own ends do.

        Args:
            arena: of a cell that has one from its fork on, else -1.
        """
        ours = (self.stdout, self.stderr, *((arena,) if arena >= 0 else ()))
        return frozenset((self._channel_link, *(os.readlink(f"/proc/self/fd/{fd}") for fd in ours)))

    def for_zygote(self) -> tuple[int, int, int, int]:
        """Return what A gets where a zygote forks it: its control socket, pipes, the lifeline."""
        control = self.child_control.fileno()
        return control, self.child_stdout, self.child_stderr, self.child_lifeline

    def forget_child_ends(self) -> None:
        """Close what only the child uses."""
        self.child_control.close()
        for fd in (self.child_stdout, self.child_stderr, self.child_lifeline):
            if fd in self._fds:
                self._close(fd)

    def unblock(self) -> None:
        """Make reading from the cell never wait."""
        for fd in (self.channel.fileno(), self.stdout, self.stderr):
            os.set_blocking(fd, False)

    def cut_lifeline(self) -> None:
        """Let init read the end of its input: it ends, and with it the PID namespace."""
        if self._lifeline in self._fds:
            self._close(self._lifeline)

    def keep(self, fd: int) -> int:
        """Take charge of one more descriptor; it is closed with the others."""
        self._fds.add(fd)
        return fd

    def drop(self, fd: int) -> None:
        """Close one that was kept."""
        if fd in self._fds:
            self._close(fd)

    def close(self) -> None:
        """Close everything that is still open."""
        for end in (self.control, self.child_control, self._channel):
            if end is not None:
                end.close()
        for fd in tuple(self._fds):
            self._close(fd)

    def _pipe(self) -> tuple[int, int]:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        self._fds |= {reader, writer}
        return reader, writer

    def _close(self, fd: int) -> None:
        self._fds.discard(fd)
        _lifelines.pop(fd, None)
        os.close(fd)


# A fork, of the notebook's own (multiprocessing) or into a cell, would hold the lifelines of all
# running cells, and keep them alive when the kernel is killed. Registered once, at import; by
# descriptor, with the inode of the pipe.
_lifelines: dict[int, int] = {}


def _drop_lifelines() -> None:
    while _lifelines:
        fd, inode = _lifelines.popitem()
        # The parent may be a process that shares the kernel's memory, and not its descriptors.
        with suppress(OSError):
            if os.fstat(fd).st_ino == inode:
                os.close(fd)


os.register_at_fork(after_in_child=_drop_lifelines)
