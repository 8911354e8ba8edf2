"""A process that waits in a session's sandbox, as the kernel process has hold of it.

Guarantees: no wait is without a deadline; that it is alone is read from the sandbox's own /proc.
Assumes: it may be a hostile cell's making, and what it says is taken for a word of a few or for
none; the pidfd was opened before the cell that it outlives.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass

from kavach_ipy.launch.checkpoints import READY, TAKE_OVER, WAKE
from kavach_ipy.launch.processes import Process, is_readable
from kavach_ipy.linux import _libc, verify

__all__ = ["ANSWER_SECONDS", "Snapshot", "read_answer", "refusal_in_words"]

ANSWER_SECONDS = 5.0
"""For a session that is asked, and for a snapshot that is woken."""

_ALONE_SECONDS = 5.0
_TICK_SECONDS = 0.002
_LINE = 300
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A process that waits. Its descriptors are the `Ends`'."""

    process: Process
    inner: int
    """Its pid in the sandbox."""

    used: int
    """Bytes that the session used when it was taken."""

    answer: int
    """The reading end of its pipe."""

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal, and let it go on; nothing happens where it has ended."""
        # A cell may have stopped it.
        with suppress(_libc.SyscallError):
            _libc.pidfd_send_signal(self.process.fd, number)
            _libc.pidfd_send_signal(self.process.fd, signal.SIGCONT)

    def takes_over(self) -> bool:
        """Let it be the session; whether it says that it is ready for that.

        A signal that waits already is not sent twice (signal(7)), and a cell may have sent it the
        same one, which it does not heed: so both words are said until it answers.
        """
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline and not self.has_ended:
            self.tell(WAKE)
            self.tell(TAKE_OVER)
            if is_readable(self.answer, _TICK_SECONDS):
                return os.read(self.answer, _LINE).partition(b"\n")[0] == READY
        return False

    @property
    def has_ended(self) -> bool:
        """Whether it is no use any more."""
        return is_readable(self.process.fd, 0)

    def outlives(self, proc_root: int) -> bool:
        """Let it kill all others, and see that it did.

        Args:
            proc_root: an open directory descriptor of the sandbox's own /proc.
        """
        deadline = time.monotonic() + _ALONE_SECONDS
        while time.monotonic() < deadline and not self.has_ended:
            self.tell(WAKE)
            if self.is_alone(proc_root):
                return True
            is_readable(self.process.fd, _TICK_SECONDS)
        return False

    def is_alone(self, proc_root: int) -> bool:
        """Whether nothing else of the sandbox lives, but init, which stands covered there."""
        living = verify.read_living(proc_root)
        return living - {1} == {self.inner} and not self.has_ended


def read_answer(reader: int, session: int, seconds: float) -> bytes:
    """Wait for the line that a session answers; empty where none comes in time.

    Args:
        reader: of the pipe that it was given.
        session: its pidfd.
        seconds: to wait; 0 where only what is there already counts.
    """
    deadline = time.monotonic() + seconds
    said = b""
    while b"\n" not in said and len(said) < _LINE:
        if not _is_readable_before(reader, session, deadline):
            return b""
        part = os.read(reader, _LINE)
        if not part:
            return b""
        said += part
    return said.partition(b"\n")[0]


def _is_readable_before(fd: int, session: int, deadline: float) -> bool:
    """Wait for a descriptor until a deadline, or until a process has ended."""
    while True:
        left = deadline - time.monotonic()
        if is_readable(fd, max(0.0, min(left, _TICK_SECONDS * 10))):
            return True
        if is_readable(session, 0):
            return is_readable(fd, 0)
        if left <= 0:
            return False


def refusal_in_words(said: bytes) -> str:
    """Say why a session has no snapshot; it is hostile, so the words are ours."""
    word, _, detail = said.decode("utf-8", "replace").partition(" ")
    shown = "".join(mark for mark in detail if mark.isprintable())[:_SHOWN]
    match word:
        case "thread":
            return f"its thread {shown!r} is running, and a fork takes no threads along"
        case "library":
            return f"it has used {shown}, whose threads a fork does not take along"
        case "fork":
            return f"it cannot fork: {shown}; see --pids and --memory"
        case "":
            return "it does not answer"
        case _:
            return "it did not say why"
