"""Children of this process, held by pidfd: signalled, waited for, reaped.

Guarantees: a signal never reaches a process that took over an old number; a wait has an end.
Assumes: the processes are, or will be, children of this one, or a zygote's.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from kavach_ipy.linux import _libc, endings, verify

__all__ = ["NOBODY", "Process", "end_children_in", "is_readable"]

_REAP_SECONDS = 30.0


def is_readable(fd: int, seconds: float) -> bool:
    """Wait until a descriptor has something to read, or its end; False when it has not in time."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


@dataclass(frozen=True, slots=True)
class Process:
    """One child. The descriptor is its owner's to close."""

    pid: int
    fd: int
    """A pidfd: it means this process even when the number is used again."""

    is_child: bool = True
    """False for a zygote's or an init's, which becomes ours only where that has died."""

    def kill(self) -> None:
        """Send SIGKILL; nothing happens where it has ended."""
        with suppress(_libc.SyscallError):
            _libc.pidfd_send_signal(self.fd, signal.SIGKILL)

    def interrupt_group(self) -> None:
        """Send SIGINT to the group that this child leads; OSError where there is none.

        As the stop button does to the group of a kernel: worker processes hear it too. A cell leads
        its session, and so its group for good (setpgid(2)); until it is reaped, no other group has
        its number. Whom others reap is asked for by its pidfd first.
        """
        if not self.is_child and is_readable(self.fd, 0):
            raise _libc.SyscallError("killpg", errno.ESRCH, str(self.pid))
        os.killpg(self.pid, signal.SIGINT)

    def ask_to_give_way(self) -> None:
        """Send SIGURG, which nobody heeds who does not ask for it: signal(7)."""
        with suppress(_libc.SyscallError):
            _libc.pidfd_send_signal(self.fd, signal.SIGURG)

    def reap(self) -> int | None:
        """Wait for a child that is ending; its wait status, None where somebody else took it.

        One that does not end by itself is killed. pidfd_open(2): a pidfd polls as readable when
        its process has ended.
        """
        if not is_readable(self.fd, _REAP_SECONDS):
            self.kill()
        try:
            if not self.is_child:
                # By the pidfd: its parent may have reaped it, and its number be another child's.
                os.waitid(os.P_PIDFD, self.fd, os.WEXITED)
                return None
            return os.waitpid(self.pid, 0)[1]
        except ChildProcessError:
            # Another's child; or a SIGCHLD handler that waits for any child was faster.
            return endings.status_of(self.fd)

    def wait_for_children_to_end(self, seconds: float) -> None:
        """Wait until the process has no children: proc(5), /proc/<pid>/task/<tid>/children."""
        path = f"/proc/{self.pid}/task/{self.pid}/children"
        deadline = time.monotonic() + seconds
        with suppress(OSError):
            while time.monotonic() < deadline:
                with open(path, "rb") as file:
                    if not file.read() or is_readable(self.fd, _TICK_SECONDS):
                        return


def end_children_in(user_namespace: str) -> None:
    """Kill and reap every child of this process that is in a user namespace.

    In the order in which they end: pid_namespaces(7), the init of a PID namespace stays until the
    last member of it has been reaped.
    """
    left = {process.fd: process for process in _children_in(user_namespace)}
    poll = select.poll()
    for fd, process in left.items():
        process.kill()
        poll.register(fd, select.POLLIN)
    while left:
        for fd, _ in poll.poll():
            poll.unregister(fd)
            left.pop(fd).reap()
            os.close(fd)


def _children_in(user_namespace: str) -> Iterator[Process]:
    pids: list[int] = []
    for task in os.listdir("/proc/self/task"):
        # A thread may end meanwhile, and its children are another's then.
        with suppress(OSError), open(f"/proc/self/task/{task}/children", "rb") as file:
            pids += [int(pid) for pid in file.read().split()]
    for pid in pids:
        # Children of other programs may be reaped meanwhile, or not be ours to look at.
        with suppress(OSError):
            if user_namespace and verify.read_user_namespace(pid) == user_namespace:
                yield Process(pid, os.pidfd_open(pid))


_TICK_SECONDS = 0.005
NOBODY = Process(-1, -1)
"""No process: not forked yet, or reaped already."""
