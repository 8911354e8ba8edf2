"""The writer: the one process that has the key of a log.

It is exec'd by the kernel process with descriptors of the log, the head and the key, which it
reads or draws itself. So the key was never in the memory that cells are forks of.

::

    kernel process ── one packet a record ──▶ writer ──▶ FILE, FILE.head
                   ◀── one packet an answer ──

Guarantees: a line is whole in the file, or taken back, or named as torn; the end of the kernel
process, however it comes, is written down, with the cells that it left unfinished; it outlives that
by moments only.
Assumes: run as ``python -I -S``; imports nothing but the standard library and `audit.chain`.
"""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import socket
import struct
import sys
from contextlib import suppress
from typing import Final

from kavach_ipy.audit.chain import LONGEST, Chain, Link, parse_secret

__all__ = ["ANSWER", "REQUEST", "main"]

REQUEST: Final = struct.Struct("<cQQ")
"""Kind, number of the request, number of the cell; then members of a JSON object, as text."""

ANSWER: Final = struct.Struct("<QiBQ32s16s")
"""Number of the request, errno, whether the line was written, lines, last MAC, the step."""

KINDS: Final = {b"o": "open", b"b": "begin", b"c": "cell"}
_SYNC_SECONDS: Final = 1.0
_BOTH: Final = select.POLLIN | select.POLLHUP


class _Log:
    """The file, its head, and the chain through both."""

    def __init__(self, log: int, head: int, chain: Chain) -> None:
        self.chain = chain
        self.is_dirty = False
        self._log = log
        self._head = head
        self._size = os.fstat(log).st_size
        self._unfinished: set[int] = set()
        self._first_error = errno.EIO

    def append(self, kind: str, cell: int, members: bytes) -> tuple[int, bool, str]:
        """Write one line; errno, whether it stands there now, and the step that failed."""
        step = "compare"
        link = None
        try:
            if self._is_changed():
                return errno.ESTALE, False, step
            step = "open" if self.chain.lines == 0 else "write"
            if step == "open" and kind != "open":
                # A log begins with its name; one that could not is none.
                return self._first_error, False, step
            link = self.chain.link(kind, members)
            self._write(link)
        except ValueError:
            return errno.EMSGSIZE, False, step
        except OSError as error:
            self._first_error = error.errno or errno.EIO
            return self._first_error, False, step
        if kind == "begin":
            self._unfinished.add(cell)
        elif kind == "cell":
            self._unfinished.discard(cell)
        return self._note("open")

    def close(self, why: str) -> None:
        """Write the last line, and that it is the last."""
        cells = ",".join(map(str, sorted(self._unfinished)))
        with suppress(OSError, ValueError):
            if not self._is_changed():
                self._write(
                    self.chain.link("close", f'"why":"{why}","unfinished":[{cells}]'.encode())
                )
                self._note("closed")
        self.sync()

    def sync(self) -> None:
        """Have the disk keep what was written."""
        self.is_dirty = False
        for fd in (self._log, self._head):
            with suppress(OSError):
                os.fdatasync(fd)

    def _is_changed(self) -> bool:
        # Somebody else wrote to it, cut it, or took it out of its directory.
        found = os.fstat(self._log)
        return found.st_size != self._size or not found.st_nlink

    def _write(self, link: Link) -> None:
        left = memoryview(link.data)
        try:
            while left:
                left = left[os.write(self._log, left) :]
        except OSError:
            # Part of a line is none: the next one would stand behind it.
            os.ftruncate(self._log, self._size)
            raise
        self._size += len(link.data)
        self.chain.written(link)
        self.is_dirty = True

    def _note(self, state: str) -> tuple[int, bool, str]:
        try:
            os.pwrite(self._head, self.chain.head(state), 0)
        except OSError as error:
            return error.errno or errno.EIO, True, "head"
        return 0, True, ""


def main() -> None:
    """Be the writer; the arguments are descriptors, the chain's name and the kernel's pid."""
    control, log, head, key, name, kernel = sys.argv[1:]
    # They are for the kernel's whole group, and it is the kernel's end that ends this process.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    channel = socket.socket(fileno=int(control))
    try:
        parent = os.pidfd_open(int(kernel))
    except ProcessLookupError:
        return
    if os.getppid() != int(kernel):
        return
    secret = _secret(int(key))
    if isinstance(secret, int):
        _answer(channel, 0, (secret, False, "key"), None)
        return
    os.close(int(key))
    _serve(channel, parent, _Log(int(log), int(head), Chain(secret, name)))


def _secret(fd: int) -> bytes | int:
    """Read the secret, or draw one where the file is empty; an errno where that fails."""
    try:
        text = os.pread(fd, 1 << 10, 0)
        if not text:
            text = os.urandom(32).hex().encode("ascii") + b"\n"
            if os.pwrite(fd, text, 0) != len(text):
                return errno.ENOSPC
            os.fsync(fd)
    except OSError as error:
        return error.errno or errno.EIO
    secret = parse_secret(text)
    return errno.EINVAL if secret is None else secret


def _serve(channel: socket.socket, parent: int, log: _Log) -> None:
    """Write what comes, until the kernel process has ended or has no more to say."""
    poll = select.poll()
    poll.register(channel, _BOTH)
    # A fork of the notebook's own may hold its end open; the kernel's own end is told by the pidfd.
    poll.register(parent, select.POLLIN)
    while True:
        ready = dict(poll.poll(_SYNC_SECONDS * 1000 if log.is_dirty else None))
        if not ready:
            log.sync()
        elif channel.fileno() in ready:
            if not _take(channel, log):
                return
        else:
            while _take(channel, log, socket.MSG_DONTWAIT):
                pass
            return


def _take(channel: socket.socket, log: _Log, flags: int = 0) -> bool:
    """Take one packet; False where there are no more, and the log is closed."""
    try:
        packet = channel.recv(LONGEST, flags)
    except BlockingIOError:
        packet = b""
    if not packet:
        log.close("the kernel process ended, or closed its end, without a word")
        return False
    kind, number, cell = REQUEST.unpack_from(packet)
    if kind == b"e":
        log.close("the kernel process closed it")
        _answer(channel, number, (0, True, ""), log.chain)
        return False
    _answer(channel, number, log.append(KINDS[kind], cell, packet[REQUEST.size :]), log.chain)
    return True


def _answer(
    channel: socket.socket, number: int, found: tuple[int, bool, str], chain: Chain | None
) -> None:
    code, is_written, step = found
    lines, last = (0, bytes(32)) if chain is None else (chain.lines, chain.last)
    packet = ANSWER.pack(number, code, is_written, lines, last, step.encode("ascii"))
    # The kernel process has ended, or does not read: then nobody waits for it.
    with suppress(OSError):
        channel.send(packet, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
