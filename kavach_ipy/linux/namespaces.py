"""New namespaces for one child, and the identities inside them.

Guarantees: after `unshare_all` and `write_id_maps` the child is uid 0 and gid 0 of its own user
namespace and nobody's superior outside it.
Assumes: the child is single-threaded (unshare(2) refuses CLONE_NEWUSER otherwise) and dumpable
(a process that is not has root-owned /proc files, which an ordinary parent cannot write).
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from kavach_ipy.linux import _libc
from kavach_ipy.linux._libc import CloneFlag
from kavach_ipy.linux.knobs import write_knob

__all__ = [
    "ALL",
    "become_mapped_root",
    "limit_user_counts",
    "raise_loopback",
    "set_host_name",
    "unshare_all",
    "write_id_maps",
]

ALL = (
    CloneFlag.NEWUSER
    | CloneFlag.NEWPID
    | CloneFlag.NEWNS
    | CloneFlag.NEWIPC
    | CloneFlag.NEWUTS
    | CloneFlag.NEWCGROUP
    | CloneFlag.NEWNET
)


def unshare_all(*, keeps_network: bool = False) -> None:
    """Leave all seven namespaces in one call; the PID namespace takes the *next* child.

    namespaces(7): with CLONE_NEWUSER among the flags the user namespace is made first and owns
    the others, so no privilege is needed outside it.

    Args:
        keeps_network: stay in the network namespace, which grants the new user namespace nothing.
    """
    _libc.unshare(ALL ^ CloneFlag.NEWNET if keeps_network else ALL)


def write_id_maps(pid: int, host_uid: int, host_gid: int) -> None:
    """Map uid 0 and gid 0 of the process `pid` to `host_uid` and `host_gid`, from its parent.

    user_namespaces(7): since Linux 3.19 "deny" must stand in setgroups before an unprivileged
    gid_map write, and each map can be written once, in one write.
    """
    base = f"/proc/{pid}"
    for name, line in (
        ("setgroups", "deny"),
        ("gid_map", f"0 {host_gid} 1\n"),
        ("uid_map", f"0 {host_uid} 1\n"),
    ):
        write_knob(f"{base}/{name}", line.encode(), line.strip())


def become_mapped_root() -> None:
    """Take uid 0 and gid 0 of the new namespace in all three places each: setresuid(2).

    Writing a map changes no credential: a kernel of host root would stay kuid 0, and own the
    host, until it really becomes the mapped id.
    """
    _libc.become_zero()


def set_host_name(name: str) -> None:
    """Give the UTS namespace a name of its own, so that the host's is not read inside."""
    _libc.sethostname(name.encode("ascii"))


# linux/sockios.h and linux/if.h
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFF_UP = 0x1


def raise_loopback() -> None:
    """Bring up `lo` of this network namespace: netdevice(7) SIOCSIFFLAGS."""
    request = struct.Struct("16sH14x")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        try:
            answer = fcntl.ioctl(control, _SIOCGIFFLAGS, request.pack(b"lo", 0))
            flags = request.unpack(answer)[1] | _IFF_UP
            fcntl.ioctl(control, _SIOCSIFFLAGS, request.pack(b"lo", flags))
        except OSError as error:
            raise _libc.SyscallError("ioctl", error.errno or 0, "SIOCSIFFLAGS lo") from error


# The host's own limits count for the whole user: a cell that used them up would lock the user's
# other programs out, so each has a smaller one of the namespace's own (namespaces(7)).
_USER_LIMITS = (
    (b"max_user_namespaces", b"0"),
    (b"max_inotify_instances", b"32"),
    (b"max_inotify_watches", b"8192"),
)


def limit_user_counts(proc: bytes) -> None:
    """Set what this user namespace may count to: no user namespaces, few inotify instances.

    Args:
        proc: the fresh proc mount.
    """
    for name, value in _USER_LIMITS:
        path = os.path.join(proc, b"sys/user", name)
        write_knob(path, value, path)
