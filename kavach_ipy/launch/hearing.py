"""What the parent hears while a sandbox is set up, and what a failure of a step becomes.

Guarantees: every wait has a deadline; a step that failed is a `SetupFailed` that names step, call,
errno and remedy, whether A, C or the parent took it.
Assumes: the other side is our own code, before the cell runs; its packets are checked all the same.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kavach_ipy.errors import SetupFailed
from kavach_ipy.launch.control import Report, parse_report
from kavach_ipy.launch.link import READY
from kavach_ipy.launch.processes import is_readable
from kavach_ipy.linux import _libc
from kavach_ipy.linux.remedies import remedy_for

__all__ = [
    "await_ready",
    "deadline_of_set_up",
    "expect",
    "expect_channel",
    "expect_forked",
    "parent_step",
]

_SECONDS = 30.0
_PACKET = 1 << 16


def deadline_of_set_up() -> float:
    """When a set-up that begins now must be over, by the monotonic clock."""
    return time.monotonic() + _SECONDS


def expect(control: socket.socket, word: str, deadline: float) -> Report:
    """Wait for one report.

    Raises:
        SetupFailed: it says that a step failed, says another word, or does not come.
    """
    report, fds = _expect(control, word, deadline)
    for fd in fds:
        os.close(fd)
    return report


def expect_channel(control: socket.socket, deadline: float) -> tuple[Report, int]:
    """Wait for the report "unshared", and the parent's end of the channel that comes with it.

    Raises:
        SetupFailed: as `expect`, or nothing came with it.
    """
    report, fds = _expect(control, "unshared", deadline)
    if len(fds) != 1:
        raise SetupFailed("channel", "recvmsg", 0, f"{len(fds)} descriptors came.")
    return report, fds[0]


def expect_forked(control: socket.socket, deadline: float) -> tuple[int, int]:
    """Wait for the report "forked"; the pids of the cell and of init.

    Raises:
        SetupFailed: as `expect`, or other numbers came with it.
    """
    pids = expect(control, "forked", deadline).pids
    if len(pids) != 2:
        raise SetupFailed("fork", "report", 0, f"two pids expected, not {pids}.")
    return pids


def _expect(control: socket.socket, word: str, deadline: float) -> tuple[Report, list[int]]:
    if not is_readable(control.fileno(), deadline - time.monotonic()):
        raise SetupFailed(word, "wait", 0, f"no answer within {_SECONDS:.0f} s.")
    packet, fds = _receive(control)
    if not packet:
        raise SetupFailed(word, "wait", 0, "the child ended without a word.")
    report = _report(packet)
    if report.word != word:
        raise SetupFailed(word, "wait", 0, f"the child said {report.word!r} instead.")
    return report, fds


def await_ready(control: socket.socket, channel: socket.socket, deadline: float) -> None:
    """Wait until the cell says "ready" on its channel.

    Raises:
        SetupFailed: a step failed, or the cell ended or said something else.
    """
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(channel, select.POLLIN)
    while True:
        ready = dict(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
        if not ready:
            raise SetupFailed("ready", "wait", 0, f"not within {_SECONDS:.0f} s.")
        if control.fileno() in ready:
            packet, _ = _receive(control)
            if packet:
                _report(packet)
            # Its end is no news: A leaves, and C gives it up just before it is ready.
            poll.unregister(control)
        elif channel.fileno() in ready:
            said = channel.recv(len(READY))
            if said == READY:
                return
            raise SetupFailed("ready", "wait", 0, f"the child said {said!r} instead.")


@contextmanager
def parent_step(name: str) -> Iterator[None]:
    """Name a step that the parent takes, for the error that it may end in."""
    try:
        yield
    except _libc.SyscallError as error:
        raise _failure(name, error.call, error.errno or 0, error.arguments) from error


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    flags = socket.MSG_CMSG_CLOEXEC
    try:
        packet, fds, _, _ = socket.recv_fds(control, _PACKET, 1, flags)
    except ConnectionResetError:
        # unix(7): ECONNRESET where the other side ended with something of ours unread. The error is
        # told once, before what it sent, which is still there.
        packet, fds, _, _ = socket.recv_fds(control, _PACKET, 1, flags)
    return packet, fds


def _failure(step: str, call: str, number: int, detail: str) -> SetupFailed:
    with_values = f"{call}({detail})" if detail else call
    return SetupFailed(step, with_values, number, remedy_for(step, call, number))


def _report(packet: bytes) -> Report:
    """Parse one report; raise where it says that a step failed."""
    report = parse_report(packet)
    if report.word == "failed":
        raise _failure(report.step, report.call, report.number, report.detail)
    return report
