"""One log as the kernel process has it: a writer, what it is told, and what it answers.

Guarantees: no call waits beyond its deadline; a fork of this process never speaks to its parent's
writer; no key is in this process.
Assumes: the writer is our own program, but may be slow, stopped or killed.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import Final

from kavach_ipy.audit.files import AuditProblem, Files, make_files
from kavach_ipy.audit.writer import ANSWER, REQUEST

__all__ = ["Log"]

_ROOT: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The package lies last on the search path, so that nothing beside it stands in for the standard
# library's modules.
_BOOT: Final = """\
import sys
sys.path.append(sys.argv.pop(1))
from kavach_ipy.audit.writer import main
main()
"""
_END_SECONDS: Final = 2.0
START_SECONDS: Final = 10.0
"""For the writer's first answer: an interpreter has to start, on a machine that may be busy."""

_REMEDIES: Final = {
    "compare": "Somebody else wrote to the log, cut it or removed it; the next cell begins a new"
    " one. Look at it: kavach-jupyter audit verify",
    "key": "The key file holds something else than 64 hexadecimal digits.",
}
_STEPS: Final = {
    "compare": "fstat(2)",
    "open": "write(2) of the first line",
    "write": "write(2)",
    "head": "pwrite(2) of the head",
}
_ROOM: Final = "Make room there, or name another place in c.Kavach.audit_directory."


class Log:
    """A log that is being written."""

    def __init__(self, directory: str, key: str) -> None:
        """Make the files and start the writer, without waiting for it.

        Raises:
            AuditProblem: a file cannot be made, or no process be started.
        """
        _reap()
        files = make_files(directory, key)
        self.path = files.path
        self.chain = files.name
        self._suffixes = ("", ".head") if key else ("", ".head", ".key")
        self.lines = 0
        self.mac = ""
        """Of the line that was written last: what to keep elsewhere."""

        self.owner = os.getpid()
        self._asked = 0
        self._first_deadline = time.monotonic() + START_SECONDS
        try:
            self._channel, self._program = _start(files)
        except OSError as error:
            raise AuditProblem(
                "start of the writer", sys.executable, error.errno or errno.EIO, "Try again."
            ) from error
        finally:
            files.close()

    def ask(self, kind: bytes, cell: int, members: bytes) -> int:
        """Hand a record over; the number by which `wait` knows it.

        Raises:
            AuditProblem: the writer is gone, or does not read.
        """
        self._asked += 1
        packet = REQUEST.pack(kind, self._asked, cell) + members
        try:
            self._channel.send(packet, socket.MSG_NOSIGNAL)
        except OSError as error:
            raise self._lost(error.errno or errno.EIO) from error
        return self._asked

    def wait(self, number: int, seconds: float) -> None:
        """Wait until a record is written, and those before it.

        Raises:
            AuditProblem: one of them was not, or there is no answer in time. `is_lost` tells
                whether the log can go on.
        """
        deadline = max(time.monotonic() + seconds, self._first_deadline)
        problem = None
        answered = 0
        while answered < number:
            # The last one counts; what failed before it, its own waiter was not there to hear.
            answered, found = self._answer(deadline)
            problem = found or (problem and problem.of_an_earlier_record())
        self._first_deadline = 0.0
        if problem is not None:
            raise problem

    def close(self) -> None:
        """Have the last line written, and reap the writer; nothing where this is a fork."""
        if self.owner != os.getpid():
            self.forget()
            return
        with suppress(AuditProblem):
            self.wait(self.ask(b"e", 0, b""), _END_SECONDS)
        self._channel.close()
        with suppress(subprocess.TimeoutExpired):
            self._program.wait(_END_SECONDS)
        self._leave()

    def abandon(self) -> None:
        """Let the writer end by itself, without waiting: it may be stuck, or dead."""
        if self.owner == os.getpid():
            self._channel.close()
            self._leave()

    def forget(self) -> None:
        """In a fork: the writer is the child of another process, and nothing to wait for."""
        self._program.returncode = 0

    def _leave(self) -> None:
        _left.append(self._program)
        _reap()
        with suppress(OSError):
            if not os.stat(self.path).st_size:
                # No line was ever written, as on a full disk: the next log is another.
                for suffix in self._suffixes:
                    os.unlink(self.path + suffix)

    def _answer(self, deadline: float) -> tuple[int, AuditProblem | None]:
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise self._lost(errno.ETIMEDOUT)
        try:
            packet = self._channel.recv(ANSWER.size)
        except OSError as error:
            raise self._lost(error.errno or errno.EIO) from error
        if len(packet) != ANSWER.size:
            raise self._lost(errno.EPIPE)
        number, code, is_written, lines, last, raw = ANSWER.unpack(packet)
        step = raw.rstrip(b"\0").decode("ascii")
        if step == "key":
            raise AuditProblem(
                "reading of the key of", self.path, code, _REMEDIES[step], ends_log=True
            )
        if is_written:
            self.lines, self.mac = lines, last.hex()
        if not code:
            return number, None
        return number, AuditProblem(
            _STEPS[step],
            self.path,
            code,
            _REMEDIES.get(step, _ROOM),
            ends_log=step in ("compare", "open"),
            is_written=bool(is_written),
        )

    def _lost(self, number: int) -> AuditProblem:
        return AuditProblem(
            "the process that writes",
            self.path,
            number,
            "It has ended, or does not answer; the next cell starts another, with a new log.",
            ends_log=True,
        )


_left: Final[list[subprocess.Popen[bytes]]] = []
"""Writers that were left to end by themselves, to be reaped."""


def _reap() -> None:
    _left[:] = [program for program in _left if program.poll() is None]


def _start(files: Files) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    fds = (theirs.fileno(), files.log, files.head, files.key)
    with theirs:
        try:
            program = subprocess.Popen(  # noqa: S603 - our own program, in our own interpreter
                [
                    *(sys.executable, "-I", "-S", "-c", _BOOT, _ROOT),
                    *map(str, fds),
                    *(files.name, str(os.getpid())),
                ],
                # As for a zygote: the very file that this process runs.
                executable="/proc/self/exe",
                env=_environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=fds,
                # What a front end kills is a kernel's whole group; the log is closed after it.
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
    return ours, program


def _environment() -> dict[str, str]:
    # Where the loader finds the interpreter's own libraries: ld.so(8).
    kept = os.environ.get("LD_LIBRARY_PATH")
    return {} if kept is None else {"LD_LIBRARY_PATH": kept}
