"""Privileges given up for good, through python-prctl and by number where it has no name.

Guarantees: after `close_the_way_back` no exec(2) can regain a capability; after
`drop_capabilities` all five sets are empty.
Assumes: `close_the_way_back` runs while CAP_SETPCAP is still held in the user namespace.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import prctl

from kavach_ipy.linux import _libc

__all__ = [
    "adopting_orphans",
    "close_the_way_back",
    "die_with_parent",
    "drop_capabilities",
    "forget_groups",
    "last_capability",
    "make_dumpable",
    "prove_unprivileged",
    "raise_oom_score",
]

# python-prctl 1.8 refuses the two ambient bits (Linux 4.3) as invalid, hence the raw call.
_PR_SET_SECUREBITS = 28
# linux/securebits.h: NOROOT, NO_SETUID_FIXUP, KEEP_CAPS and NO_CAP_AMBIENT_RAISE, each with its
# lock; KEEP_CAPS is locked at 0.
_SECUREBITS = 0x1 | 0x2 | 0x4 | 0x8 | 0x20 | 0x40 | 0x80


def make_dumpable() -> None:
    """Let the parent read this process's /proc files: prctl(2) PR_SET_DUMPABLE.

    A change of credentials clears the flag, and a kernel that is not dumpable hands that to its
    forks; either way /proc/<pid>/uid_map would belong to root and verification would fail.
    """
    prctl.set_dumpable(True)


def die_with_parent(parent: int | None) -> None:
    """Ask for SIGKILL when the thread that forked us ends: prctl(2) PR_SET_PDEATHSIG.

    A change of credentials clears the request, so it is made again after each.

    Args:
        parent: the pid that must still be our parent, or None where it is in another PID
            namespace and cannot be told.
    """
    prctl.set_pdeathsig(signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        # The parent died before the request; the signal will never come.
        os._exit(1)


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Make this process the new parent of descendants whose parent ends: PR_SET_CHILD_SUBREAPER.

    Only while a sandbox is set up, because the kernel would adopt daemons of the user's, too.
    Nested and concurrent uses are counted; a process that was a subreaper before stays one.
    """
    global _adopters, _was_subreaper  # noqa: PLW0603 - the flag is the process's, so is the count
    with _adopters_lock:
        if _adopters == 0:
            _was_subreaper = bool(prctl.get_child_subreaper())
            prctl.set_child_subreaper(True)
        _adopters += 1
    try:
        yield
    finally:
        with _adopters_lock:
            _adopters -= 1
            if _adopters == 0 and not _was_subreaper:
                prctl.set_child_subreaper(False)


_adopters = 0
_was_subreaper = False
_adopters_lock = threading.Lock()


def forget_groups() -> None:
    """Drop supplementary groups; only host root may, and setgroups is denied afterwards."""
    _libc.drop_groups()


def last_capability() -> int:
    """The highest capability this kernel knows, from /proc/sys/kernel/cap_last_cap."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


def close_the_way_back(last: int) -> None:
    """Empty the bounding and ambient sets, lock securebits, set no_new_privs.

    capabilities(7): without these an exec(2) by uid 0 gives every capability back. The effective
    set stays for the mounts still to be made; a program that is exec'd from here on has none.

    Args:
        last: the kernel's highest capability. python-prctl names fewer than newer kernels have,
            so all are dropped by number.
    """
    _libc.clear_ambient()
    for capability in range(last + 1):
        prctl.capbset_drop(capability)
    _libc.prctl(_PR_SET_SECUREBITS, _SECUREBITS)
    prctl.set_no_new_privs(1)


def drop_capabilities() -> None:
    """Empty the effective, permitted and inheritable sets, and check that they are."""
    _libc.capset_none()
    left = _libc.capget()
    if any(left):
        raise _libc.SyscallError("capget", 1, f"still held: {left}")


def prove_unprivileged(kernel_pid: int) -> None:
    """Fail unless the kernel's memory is out of reach: opening /proc/<pid>/mem must be refused.

    ptrace(2): the file needs PTRACE_MODE_ATTACH, which neither another user id nor capabilities
    of a descendant user namespace give.
    """
    try:
        fd = os.open(f"/proc/{kernel_pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except (PermissionError, FileNotFoundError):
        return
    os.close(fd)
    raise _libc.SyscallError("open", 0, f"/proc/{kernel_pid}/mem opened, and must not")


def raise_oom_score() -> None:
    """Offer this process first when memory runs out: proc(5) oom_score_adj."""
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, b"1000")
    finally:
        os.close(fd)
