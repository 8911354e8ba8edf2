"""Landlock: a second wall around files, sockets and signals, which needs no privilege.

Guarantees: every right that the running kernel's ABI knows, up to ABI 6, is handled, so what no
rule allows is refused; a descriptor that a rule cannot be made for is an error, never skipped.
Assumes: no_new_privs is set; the process has one thread (the kernel restricts the calling one and
all that it starts); the descriptors name what the policy means, opened with O_PATH or more.

landlock(7) says what stays open: chmod, chown, stat, chdir, extended attributes, and descriptors
that were open before. The mount namespace and the closed descriptors answer for those.
"""

from __future__ import annotations

import enum
import errno
import functools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from kavach_ipy.linux import _libc

__all__ = [
    "PORTS_SINCE",
    "Applied",
    "FsAccess",
    "NetAccess",
    "Ports",
    "Scope",
    "abi",
    "handled_rights",
    "prepare",
    "restrict",
]


class FsAccess(enum.IntFlag):
    """LANDLOCK_ACCESS_FS_* of linux/landlock.h."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


class NetAccess(enum.IntFlag):
    """LANDLOCK_ACCESS_NET_* of linux/landlock.h."""

    BIND_TCP = 1 << 0
    CONNECT_TCP = 1 << 1


class Scope(enum.IntFlag):
    """LANDLOCK_SCOPE_* of linux/landlock.h: what may not reach outside the sandbox."""

    ABSTRACT_UNIX_SOCKET = 1 << 0
    SIGNAL = 1 << 1


# landlock(7): the ABI that brought each right; the first thirteen came with ABI 1.
_FS_SINCE = {FsAccess.REFER: 2, FsAccess.TRUNCATE: 3, FsAccess.IOCTL_DEV: 5}
PORTS_SINCE = 4
"""The ABI that knows TCP ports: Linux 6.7."""

_EVERY_PORT = NetAccess.BIND_TCP | NetAccess.CONNECT_TCP
_LAST_PORT = 65535
_SCOPE_SINCE = 6
_EVERY_SCOPE = Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL

# landlock_add_rule(2): EINVAL for any other right on something that is not a directory.
_OF_A_FILE = (
    FsAccess.EXECUTE
    | FsAccess.WRITE_FILE
    | FsAccess.READ_FILE
    | FsAccess.TRUNCATE
    | FsAccess.IOCTL_DEV
)
_READ = FsAccess.READ_FILE | FsAccess.READ_DIR | FsAccess.EXECUTE
# Nobody needs device nodes, and a character device 0:0 is an overlay's whiteout. (The difference
# is spelt with ^: what ~ of an IntFlag gives has changed between Python's minor versions.)
_WRITE = FsAccess((1 << 16) - 1) ^ (FsAccess.MAKE_CHAR | FsAccess.MAKE_BLOCK)
# Truncate: shells open /dev/null with O_TRUNC.
_DEVICE = (
    FsAccess.READ_FILE
    | FsAccess.READ_DIR
    | FsAccess.WRITE_FILE
    | FsAccess.TRUNCATE
    | FsAccess.IOCTL_DEV
)


@dataclass(frozen=True, slots=True)
class Ports:
    """The TCP ports that may be connected to, on every address; none may be bound."""

    closed: tuple[tuple[int, int], ...]
    """First and last of each range that may not; they do not overlap, and are in order."""

    def open(self) -> Iterator[int]:
        """Return the others, from 1 to 65535."""
        start = 1
        for first, last in (*self.closed, (_LAST_PORT + 1, _LAST_PORT + 1)):
            yield from range(start, first)
            start = last + 1


@dataclass(frozen=True, slots=True)
class Applied:
    """What `restrict` put in force."""

    abi: int
    fs: FsAccess
    """Rights on files that are refused unless a rule allows them."""

    net: NetAccess
    """Rights on TCP ports that are refused, but to the `Ports` that are open."""

    scoped: Scope


def abi() -> int:
    """The kernel's Landlock ABI; 0 where it is not built in or not switched on.

    Raises:
        SyscallError: for any other failure; a filter that answers EPERM is such a one.
    """
    try:
        return _libc.landlock_abi()
    except _libc.SyscallError as error:
        # landlock_create_ruleset(2): EOPNOTSUPP means disabled at boot.
        if error.errno in {errno.ENOSYS, errno.EOPNOTSUPP}:
            return 0
        raise


def handled_rights(version: int) -> FsAccess:
    """Every right on files that ABI `version` knows, up to ABI 6."""
    handled = FsAccess(0)
    for right in FsAccess:
        if _FS_SINCE.get(right, 1) <= version:
            handled |= right
    return handled


def restrict(
    read_fds: tuple[int, ...],
    write_fds: tuple[int, ...],
    device_fds: tuple[int, ...],
    *,
    network: bool | Ports,
) -> Applied:
    """Refuse this thread, and all it starts, everything but what the descriptors name, for good.

    Args:
        read_fds: files and directories to read, list and execute, with all below.
        write_fds: files and directories to do anything in but make device nodes.
        device_fds: devices, or directories of devices, to read, write and control.
        network: True leaves TCP alone; False refuses every bind and connect (ABI 4). `Ports`
            refuse every bind, and connecting to those that are closed, or are an error.

    Returns:
        What is now in force; it depends on the kernel's ABI.

    Raises:
        SyscallError: no Landlock (ENOSYS, EOPNOTSUPP), no no_new_privs (EPERM), a descriptor
            that no rule can be made for (EBADFD), or sixteen rulesets already (E2BIG); or there
            is no ABI 4 for ports (EINVAL).
    """
    masks = _masks(_libc.landlock_abi(), network=network is True)
    applied = masks.applied
    ruleset = _libc.landlock_create(*masks.handled)
    try:
        for fds, of_directory, of_file in (
            (read_fds, *masks.read),
            (write_fds, *masks.write),
            (device_fds, *masks.device),
        ):
            for fd in fds:
                _libc.landlock_add_path(ruleset, fd, of_directory if _is_directory(fd) else of_file)
        if isinstance(network, Ports):
            _libc.landlock_add_ports(ruleset, network.open(), int(NetAccess.CONNECT_TCP))
        _libc.landlock_restrict_self(ruleset)
    finally:
        os.close(ruleset)
    return applied


@dataclass(frozen=True, slots=True)
class _Masks:
    applied: Applied
    handled: tuple[int, int, int]
    """Of files, of TCP, and scopes."""

    read: tuple[int, int]
    """What a rule may allow on a directory, and on anything else."""

    write: tuple[int, int]
    device: tuple[int, int]


@functools.cache
def _masks(version: int, *, network: bool) -> _Masks:
    """Do the arithmetic of flags, which is slow, once; `prepare` does it before a fork."""
    fs = handled_rights(version)
    net = NetAccess(0) if network or version < PORTS_SINCE else _EVERY_PORT
    scoped = _EVERY_SCOPE if version >= _SCOPE_SINCE else Scope(0)

    def grantable(rights: FsAccess) -> tuple[int, int]:
        return int(rights & fs), int(rights & fs & _OF_A_FILE)

    return _Masks(
        applied=Applied(abi=version, fs=fs, net=net, scoped=scoped),
        handled=(int(fs), int(net), int(scoped)),
        read=grantable(_READ),
        write=grantable(_WRITE),
        device=grantable(_DEVICE),
    )


def prepare(version: int, *, network: bool) -> None:
    """Compute what `restrict` needs, in the parent, so that the child only makes system calls."""
    _masks(version, network=network)


def _is_directory(fd: int) -> bool:
    try:
        return stat.S_ISDIR(os.fstat(fd).st_mode)
    except OSError as error:
        raise _libc.SyscallError("fstat", error.errno or 0, str(fd)) from error
