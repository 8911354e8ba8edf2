"""The zygote: the process that clean cells are forks of.

It is exec'd by the kernel process with an environment that was built, an empty standard input, and
one socket. It imports what cells will need, and then forks A for each sandbox, which builds it as
it does in a fork of the kernel (`launch.child`). What it is asked stands in documents that only A
reads, so its memory never holds anything of a cell, nor of the notebook.

Guarantees: single-threaded when it forks; ends when the kernel process ends, whatever it does at
that moment; no child of its own stays a zombie.
Assumes: the socket's other end is the kernel process, which is its parent.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import time
from importlib import import_module
from typing import NoReturn

import prctl

from kavach_ipy.launch.child import ChildEnds, set_up
from kavach_ipy.launch.control import Report, send_report
from kavach_ipy.launch.copies import read_plan
from kavach_ipy.launch.fresh import find_runner, fresh_body
from kavach_ipy.launch.link import Body
from kavach_ipy.launch.requests import HATCH, START, read
from kavach_ipy.launch.signals import SIGNALS
from kavach_ipy.linux import privileges
from kavach_ipy.wire.documents import Json

__all__ = ["main"]

_DESCRIPTORS = 5
_DETAIL = 2000


def main() -> NoReturn:
    """Be the zygote; the arguments are the socket, the kernel's pid and the entry."""
    number, kernel_pid, entry = sys.argv[1:]
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, int(number))
    control.set_inheritable(False)
    # Modules may take their time to load, and nobody looks after the kernel meanwhile.
    privileges.die_with_parent(int(kernel_pid))
    kernel = os.pidfd_open(int(kernel_pid))
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    # signal(7): what is ignored stays so across exec, and with it nothing could be waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # What the command line was belongs to the zygote; a cell finds what an interpreter has.
    sys.argv[:] = [""]
    gc.disable()
    body = fresh_body(find_runner(entry)())
    _settle()
    for name in _hatch(control, kernel):
        _load(name, control)
        _settle()
    # Written to while it was loaded, for the kernel to quote where this process fails.
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for standard in (1, 2):
        os.dup2(null, standard)
    os.close(null)
    # It follows the thread that started us, which may end; the descriptor follows the process.
    prctl.set_pdeathsig(0)
    _say(control, word="ready")
    while _wait(control.fileno(), kernel):
        packet, fds = _take(control, START)
        if packet != START or len(fds) != _DESCRIPTORS:
            break
        _fork(control, kernel, fds, body)
    os._exit(0)


def _settle() -> None:
    """Leave no garbage, and nothing that a collection in a fork would write to."""
    gc.collect()
    gc.freeze()


def _hatch(control: socket.socket, kernel: int) -> list[str]:
    """Wait for the rest of the environment, and for the names of modules to import."""
    if not _wait(control.fileno(), kernel):
        os._exit(0)
    packet, fds = _take(control, HATCH)
    if packet != HATCH or len(fds) != 1:
        os._exit(0)
    task = read(fds[0])
    environment, preload = task["environment"], task["preload"]
    assert isinstance(environment, dict)
    assert isinstance(preload, list)
    os.environ.update({name: str(value) for name, value in environment.items()})
    # The C library has read it when this interpreter began: tzset(3).
    time.tzset()
    return [str(name) for name in preload]


def _load(name: str, control: socket.socket) -> None:
    """Import one module, and see that no thread of its own is left after a fork."""
    try:
        import_module(name)
    except BaseException as error:  # noqa: BLE001 - whatever a module raises, the kernel is told
        _fail(control, name, f"it cannot be imported: {type(error).__name__}: {error}")
    if _threads() == 1:
        return
    # Some libraries end their threads before a fork and begin new ones afterwards, when needed.
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    if _threads() > 1:
        _fail(
            control,
            name,
            "it starts threads when it is imported, and a fork would not take them along",
        )


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _fail(control: socket.socket, module: str, reason: str) -> NoReturn:
    _say(control, word="failed", module=module, reason=reason[:_DETAIL])
    os._exit(1)


def _say(control: socket.socket, **fields: Json) -> None:
    control.send(json.dumps(fields).encode("ascii"))


def _wait(fd: int, kernel: int) -> bool:
    """Wait until a descriptor has something to read; False when the kernel process has ended."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(kernel, select.POLLIN)
    return kernel not in dict(poll.poll())


def _take(control: socket.socket, word: bytes) -> tuple[bytes, list[int]]:
    packet, fds, _, _ = socket.recv_fds(
        control, len(word) + 1, _DESCRIPTORS + 1, socket.MSG_CMSG_CLOEXEC
    )
    return packet, fds


def _fork(control: socket.socket, kernel: int, fds: list[int], body: Body) -> None:
    """Start A, tell the kernel process who it is, and wait for its end."""
    pid = os.fork()
    if pid == 0:
        _be_a(fds, body)
    for fd in fds:
        os.close(fd)
    child = os.pidfd_open(pid)
    packet = json.dumps({"word": "begun", "pid": pid}).encode("ascii")
    try:
        socket.send_fds(control, [packet], [child])
    except OSError:
        # The kernel process has ended, or forgotten us.
        os.kill(pid, signal.SIGKILL)
    if not _wait(child, kernel):
        os.kill(pid, signal.SIGKILL)
    os.close(child)
    os.waitpid(pid, 0)


def _be_a(fds: list[int], body: Body) -> NoReturn:
    """Build one sandbox, and leave."""
    try:
        document, control, stdout, stderr, lifeline = fds
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, control)
        try:
            plan = read_plan(read(document)["plan"])
        except Exception as error:
            send_report(sock, Report("failed", "plan", type(error).__name__, 0, str(error)))
            raise
        ends = ChildEnds(
            control=sock,
            arena=-1,
            stdout=stdout,
            stderr=stderr,
            lifeline=lifeline,
            handled_signals=(),
        )
        set_up(plan, ends, body, frozenset())
    finally:
        os._exit(0)
