"""What the kernel says of a process, read from outside through proc(5).

Guarantees: plain values, as read at one moment; nothing is inferred.
Assumes: the process is dumpable and the reader is its user or owns its user namespace.
"""

from __future__ import annotations

import errno
import functools
import os
from contextlib import suppress
from dataclasses import dataclass

from kavach_ipy.linux import _libc

__all__ = [
    "NAMESPACES",
    "Mount",
    "NetworkView",
    "Status",
    "open_proc",
    "read_descriptors",
    "read_environment",
    "read_inner_pid",
    "read_limits",
    "read_living",
    "read_mounts",
    "read_namespaces",
    "read_network",
    "read_status",
    "read_uid_map",
    "read_user_namespace",
]

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


@dataclass(frozen=True, slots=True)
class Status:
    """The security fields of /proc/<pid>/status."""

    parent: int
    """PPid, as the reader's PID namespace numbers it."""

    threads: int
    uids: tuple[int, ...]
    """Real, effective, saved and file-system uid, as the reader's user namespace numbers them."""

    gids: tuple[int, ...]
    capabilities: tuple[int, ...]
    """CapInh, CapPrm, CapEff, CapBnd, CapAmb as bit masks."""

    no_new_privs: bool
    seccomp: int
    """0 off, 1 strict, 2 filter."""


def read_status(pid: int) -> Status:
    """Read /proc/<pid>/status; OSError when the process is gone."""
    fields = {}
    for line in _read(pid, "status").splitlines():
        key, _, value = line.partition(b":")
        fields[key] = value.split()
    capabilities = (b"CapInh", b"CapPrm", b"CapEff", b"CapBnd", b"CapAmb")
    return Status(
        parent=int(fields[b"PPid"][0]),
        threads=int(fields[b"Threads"][0]),
        uids=tuple(int(value) for value in fields[b"Uid"]),
        gids=tuple(int(value) for value in fields[b"Gid"]),
        capabilities=tuple(int(fields[key][0], 16) for key in capabilities),
        no_new_privs=fields[b"NoNewPrivs"][0] == b"1",
        seccomp=int(fields[b"Seccomp"][0]),
    )


def read_inner_pid(pid: int) -> int:
    """The number of a process in its own PID namespace: proc(5) NSpid, the last one.

    Raises:
        OSError: the process is gone.
    """
    for line in _read(pid, "status").splitlines():
        if line.startswith(b"NSpid:"):
            return int(line.split()[-1])
    raise _libc.SyscallError("read", errno.ESRCH, f"NSpid of {pid}")


def read_living(proc_root: int) -> set[int]:
    """The processes of a proc(5) mount that have not ended, those with a living thread among them.

    Args:
        proc_root: an open directory descriptor of it.
    """
    living = set()
    for name in os.listdir(proc_root):
        if name.isdecimal():
            # One that is reaped meanwhile has ended.
            with suppress(OSError):
                fields = _read_at(proc_root, f"{name}/stat").rpartition(b") ")[2].split()
                # A zombie, and not only its first thread: state and num_threads.
                if fields[0] not in (b"Z", b"X") or int(fields[17]) > 1:
                    living.add(int(name))
    return living


def open_proc(pid: int) -> int:
    """Open the /proc that a process sees, which shows its own PID namespace.

    Raises:
        OSError: the process has ended.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    return os.open(f"/proc/{pid}/root/proc", flags)


def read_namespaces(pid: int | str) -> dict[str, str]:
    """The seven namespaces of a process (``"self"`` for the reader's) by inode: namespaces(7)."""
    return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in NAMESPACES}


def read_user_namespace(pid: int) -> str:
    """The user namespace of a process by inode; of a zombie too, which has no other namespace."""
    return os.readlink(f"/proc/{pid}/ns/user")


def read_uid_map(pid: int, name: str = "uid_map") -> tuple[tuple[int, int, int], ...]:
    """The lines of uid_map or gid_map: first id inside, first id outside, count."""
    rows = (line.split() for line in _read(pid, name).splitlines())
    return tuple((int(row[0]), int(row[1]), int(row[2])) for row in rows)


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/<pid>/mountinfo."""

    point: bytes
    """Where it is mounted, in the process's own root."""

    read_only: bool
    """The mount's own flag, which is what open(2) for writing asks first."""

    fstype: bytes
    root: bytes
    """The directory of the file system that is seen here."""


def read_mounts(pid: int) -> tuple[Mount, ...]:
    """Read /proc/<pid>/mountinfo, which shows what is below the process's own root."""
    return _parse_mounts(_read(pid, "mountinfo"))


@functools.lru_cache(maxsize=4)
def _parse_mounts(text: bytes) -> tuple[Mount, ...]:
    # Cached by what was read: from cell to cell a machine's own mounts seldom change.
    mounts = []
    for line in text.splitlines():
        fields = line.split(b" ")
        dash = fields.index(b"-", 6)
        mounts.append(
            Mount(
                point=_unescape(fields[4]),
                read_only=b"ro" in fields[5].split(b","),
                fstype=fields[dash + 1],
                root=_unescape(fields[3]),
            )
        )
    return tuple(mounts)


@dataclass(frozen=True, slots=True)
class NetworkView:
    """The network namespace of a process, as proc(5) /proc/<pid>/net shows it."""

    interfaces: frozenset[str]
    has_addresses: bool
    """Some interface is up and has an address, which the routing table then names."""


def read_network(pid: int) -> NetworkView:
    """Read /proc/<pid>/net/dev and fib_trie, the kernel's own table of local addresses."""
    rows = _read(pid, "net/dev").splitlines()[2:]
    return NetworkView(
        interfaces=frozenset(row.partition(b":")[0].strip().decode("ascii") for row in rows),
        has_addresses=bool(_read(pid, "net/fib_trie").strip()),
    )


def read_environment(pid: int) -> bytes:
    """Read the block that /proc/<pid>/environ shows: what the process was started with."""
    return _read(pid, "environ")


def read_limits(pid: int) -> dict[str, int | None]:
    """The soft limits of /proc/<pid>/limits by name (``Max open files``); None: unlimited."""
    found: dict[str, int | None] = {}
    for line in _read(pid, "limits").splitlines()[1:]:
        # Columns of fixed width, the name padded to 25 characters: fs/proc/base.c.
        soft = line[25:].split()[0]
        found[line[:25].decode().strip()] = None if soft == b"unlimited" else int(soft)
    return found


def read_descriptors(pid: int) -> dict[int, str]:
    """The open descriptors of a process and what each links to."""
    folder = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return {int(name): os.readlink(name, dir_fd=folder) for name in os.listdir(folder)}
    finally:
        os.close(folder)


def _unescape(field: bytes) -> bytes:
    # proc(5): space, tab, newline and backslash stand as \040, \011, \012 and \134.
    if b"\\" not in field:
        return field
    for code, char in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(code, char)
    return field


def _read(pid: int | str, name: str) -> bytes:
    return _read_at(None, f"/proc/{pid}/{name}")


def _read_at(folder: int | None, path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        chunks = []
        while chunk := os.read(fd, 1 << 16):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(fd)
