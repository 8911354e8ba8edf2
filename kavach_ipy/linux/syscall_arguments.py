"""Rules on arguments: the calls whose verdict depends on what they are asked to do.

Every comparison but that of a pointer with null is made on the low 32 bits, because that is what
the kernel reads of an int or unsigned int: compared on 64 bits, ``ioctl(0, TIOCSTI | 1 << 32)``
would pass as something else.

Guarantees: the rules of one call never overlap with different verdicts, so that no order of
evaluation matters; what no rule matches gets the filter's default, ENOSYS.
Assumes: arguments that are pointers are never looked at; a filter cannot follow them.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

from kavach_ipy.linux.filter_rules import LOW_32, Match, Rule, choose, others
from kavach_ipy.linux.socket_rules import Network, socket_rules

__all__ = ["argument_rules"]

_ALL_64 = 0xFFFFFFFFFFFFFFFF


# linux/sched.h. A namespace made here would give capabilities back (user_namespaces(7)).
# CLONE_PARENT would make the new process a child of our supervisor, which stands outside.
_CLONE_REFUSED = {
    "CLONE_PARENT": 0x00008000,
    "CLONE_NEWNS": 0x00020000,
    "CLONE_NEWCGROUP": 0x02000000,
    "CLONE_NEWUTS": 0x04000000,
    "CLONE_NEWIPC": 0x08000000,
    "CLONE_NEWUSER": 0x10000000,
    "CLONE_NEWPID": 0x20000000,
    "CLONE_NEWNET": 0x40000000,
}


def _clone() -> Iterator[Rule]:
    yield Rule("clone", None, (Match(0, 0, sum(_CLONE_REFUSED.values())),))
    for flag in _CLONE_REFUSED.values():
        yield Rule("clone", errno.EPERM, (Match(0, flag, flag),))


# ioctl_tty(2), ioctl_console(2): type into, paste into, or change the line discipline of a
# terminal; the first two run commands in whatever shell reads it.
_IOCTL_REFUSED = frozenset({0x5412, 0x541C, 0x5423})  # TIOCSTI, TIOCLINUX, TIOCSETD


def _ioctl() -> Iterator[Rule]:
    for command in sorted(_IOCTL_REFUSED):
        yield Rule("ioctl", errno.EPERM, (Match(1, command),))
    for mask, value in others(_IOCTL_REFUSED):
        yield Rule("ioctl", None, (Match(1, value, mask),))


# F_SETOWN and F_SETSIG stay: what they name lies in the PID namespace.
_FCNTL_REFUSED = {
    # fcntl(2): the owner of a file may lease it through a descriptor that only reads, and the
    # host's next open for writing waits lease-break-time, 45 seconds, for the cell to let go.
    "F_SETLEASE": 1024,
    "F_NOTIFY": 1026,  # signals for each change in a host directory; inotify does it within limits
    "F_SETDELEG": 1040,  # the lease of Linux 6.19 on directories
}


def _fcntl() -> Iterator[Rule]:
    refused = frozenset(_FCNTL_REFUSED.values())
    for command in sorted(refused):
        yield Rule("fcntl", errno.EPERM, (Match(1, command),))
    for mask, value in others(refused):
        yield Rule("fcntl", None, (Match(1, value, mask),))


# mmap(2), asm-generic/mman-common.h; docs/decisions/0011. Pages of a shared mapping without a file
# belong to no process: madvise(MADV_DONTNEED), a partial munmap or the end of a fork takes them off
# every bill that proc(5) shows, and they stay. ENODEV is what mmap(2) says of memory that cannot be
# mapped, and what a device without pages says.
_MAP_SHARED, _MAP_PRIVATE, _MAP_ANONYMOUS = 0x01, 0x02, 0x20


def _mmap() -> Iterator[Rule]:
    kind = _MAP_SHARED | _MAP_PRIVATE  # both bits: MAP_SHARED_VALIDATE, which needs a file
    shared = _MAP_SHARED | _MAP_ANONYMOUS
    yield Rule("mmap", None, (Match(3, 0, _MAP_SHARED),))
    yield Rule("mmap", None, (Match(3, kind, kind),))
    yield Rule("mmap", None, (Match(3, _MAP_SHARED, kind | _MAP_ANONYMOUS),))
    yield Rule("mmap", errno.ENODEV, (Match(3, shared, kind | _MAP_ANONYMOUS),))


# core(5): a limit of 1 keeps a core_pattern that is a pipe from being fed the whole memory of a
# crash, and 0 does not; a hard limit can be lowered by anybody. Programs with secrets ask for 0 and
# end when they are refused (gpg-agent), so they hear success: no core file is what they get.
_RLIMIT_CORE = 4


def _rlimits() -> Iterator[Rule]:
    # There are sixteen resources; what other numbers get instead of EINVAL is no matter.
    bits = 4
    for call, argument in (("setrlimit", 0), ("prlimit64", 1)):
        for mask, value in others(frozenset({_RLIMIT_CORE}), bits):
            yield Rule(call, None, (Match(argument, value, mask),))
    yield Rule("setrlimit", 0, (Match(0, _RLIMIT_CORE, 0xF),))
    core = Match(1, _RLIMIT_CORE, 0xF)
    # A pointer, not followed: null means that the limit is only read.
    yield Rule("prlimit64", None, (core, Match(2, 0, _ALL_64)))
    yield Rule("prlimit64", 0, (core, Match(2, 0, _ALL_64, differs=True)))


# prctl(2), linux/prctl.h. Everything else answers ENOSYS.
_PRCTL_ALLOWED = {
    "PR_SET_PDEATHSIG": 1,  # torch.multiprocessing; a fork clears it anyway
    "PR_GET_PDEATHSIG": 2,
    "PR_GET_DUMPABLE": 3,
    "PR_SET_NAME": 15,
    "PR_GET_NAME": 16,
    "PR_GET_SECCOMP": 21,
    "PR_SET_SECCOMP": 22,  # nested filters only tighten
    "PR_CAPBSET_READ": 23,
    "PR_GET_SECUREBITS": 27,
    "PR_SET_TIMERSLACK": 29,
    "PR_GET_TIMERSLACK": 30,
    "PR_SET_CHILD_SUBREAPER": 36,  # reaches its own descendants only
    "PR_GET_CHILD_SUBREAPER": 37,
    "PR_SET_NO_NEW_PRIVS": 38,
    "PR_GET_NO_NEW_PRIVS": 39,
    "PR_SET_THP_DISABLE": 41,
    "PR_GET_THP_DISABLE": 42,
    "PR_SVE_SET_VL": 50,  # aarch64: vector length, read by numerical libraries
    "PR_SVE_GET_VL": 51,
    "PR_GET_SPECULATION_CTRL": 52,
    "PR_SET_TAGGED_ADDR_CTRL": 55,  # aarch64: asked by glibc's allocator
    "PR_GET_TAGGED_ADDR_CTRL": 56,
    "PR_SME_SET_VL": 63,
    "PR_SME_GET_VL": 64,
    "PR_SET_VMA": 0x53564D41,  # names anonymous mappings
    "PR_GET_AUXV": 0x41555856,
}
_PRCTL_REFUSED = {
    "PR_SET_DUMPABLE": 4,  # 0 would hide /proc/<pid> from the parent that measures memory
    "PR_SET_KEEPCAPS": 8,
    "PR_CAPBSET_DROP": 24,
    "PR_SET_TSC": 26,
    "PR_SET_SECUREBITS": 28,
    "PR_SET_MM": 35,  # moves what /proc/self/environ and cmdline show
    "PR_CAP_AMBIENT": 47,
    "PR_SET_SPECULATION_CTRL": 53,  # would switch a processor mitigation off
    "PR_SET_IO_FLUSHER": 57,
    "PR_SET_SYSCALL_USER_DISPATCH": 59,
    "PR_SCHED_CORE": 62,  # would share a core with a chosen process
    "PR_SET_PTRACER": 0x59616D61,  # would let processes outside trace this one
}


def _prctl() -> Iterator[Rule]:
    for option in _PRCTL_ALLOWED.values():
        yield Rule("prctl", None, (Match(0, option),))
    for option in _PRCTL_REFUSED.values():
        yield Rule("prctl", errno.EPERM, (Match(0, option),))


def _personality() -> Iterator[Rule]:
    # personality(2): 0xffffffff asks, 0 is plain Linux; others switch off address randomisation,
    # map the zero page, or make every readable page executable.
    return choose("personality", 0, frozenset({0, LOW_32}), errno.EPERM)


def _sched_setscheduler() -> Iterator[Rule]:
    # sched(7): normal, batch and idle may be chosen; the others starve whatever shares the core.
    policy = LOW_32 & ~0x40000000  # SCHED_RESET_ON_FORK is a flag beside the policy
    for allowed in (0, 3, 5):
        yield Rule("sched_setscheduler", None, (Match(1, allowed, policy),))
    for refused in (1, 2, 6, 7):  # SCHED_FIFO, SCHED_RR, SCHED_DEADLINE, SCHED_EXT
        yield Rule("sched_setscheduler", errno.EPERM, (Match(1, refused, policy),))


# inode(7). A setuid or setgid file that the cell makes in a writable place belongs to the user of
# the notebook, and gives that user's rights to whoever runs it later, outside, where our mounts'
# nosuid does not reach. Directories pay too, since a filter cannot tell them apart: shutil.copytree
# of a setgid one ends with EPERM. mkdir(2) needs no rule, the kernel drops both bits there.
_SETUID, _SETGID = 0o4000, 0o2000


def _set_id_modes(call: str, argument: int, *context: Match) -> Iterator[Rule]:
    either = _SETUID | _SETGID
    yield Rule(call, None, (*context, Match(argument, 0, either)))
    yield Rule(call, errno.EPERM, (*context, Match(argument, _SETUID, _SETUID)))
    yield Rule(call, errno.EPERM, (*context, Match(argument, _SETGID, either)))


def _chmod() -> Iterator[Rule]:
    for call, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2)):
        yield from _set_id_modes(call, argument)


def _open() -> Iterator[Rule]:
    # open(2): without one of these the kernel reads no mode, and the register may hold anything.
    # Their bits are asm-generic's, on both architectures; __O_TMPFILE is O_TMPFILE's own bit.
    create, temporary = 0o100, 0o20000000
    yield from _set_id_modes("creat", 1)
    for call, flags in (("open", 1), ("openat", 2)):
        yield Rule(call, None, (Match(flags, 0, create | temporary),))
        yield from _set_id_modes(call, flags + 1, Match(flags, create, create))
        yield from _set_id_modes(call, flags + 1, Match(flags, temporary, create | temporary))


def _mknod() -> Iterator[Rule]:
    # inode(7). A character device 0:0 needs no capability since Linux 5.8, and is a whiteout to
    # whatever overlay is later mounted over the directory.
    for call, argument in (("mknod", 1), ("mknodat", 2)):
        for kind in (0, 0o100000, 0o010000, 0o140000):  # none, S_IFREG, S_IFIFO, S_IFSOCK
            yield Rule(call, None, (Match(argument, kind, 0o170000 | _SETUID | _SETGID),))
        for kind in (0o020000, 0o060000):  # S_IFCHR, S_IFBLK
            yield Rule(call, errno.EPERM, (Match(argument, kind, 0o170000),))
        for bit in (_SETUID, _SETGID):
            yield Rule(call, errno.EPERM, (Match(argument, bit, bit),))


def argument_rules(network: Network, *, is_memory_counted: bool = False) -> tuple[Rule, ...]:
    """Every rule that looks at an argument.

    Args:
        network: the socket families.
        is_memory_counted: a control group counts memory that belongs to no process, too.
    """
    return (
        *_clone(),
        *_ioctl(),
        *_fcntl(),
        *(() if is_memory_counted else _mmap()),
        *_rlimits(),
        *_prctl(),
        *_personality(),
        *_sched_setscheduler(),
        *_chmod(),
        *_open(),
        *_mknod(),
        *socket_rules(network),
    )
