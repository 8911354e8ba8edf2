"""A control group of a cell's own, below one that was delegated to us: cgroup v2.

It counts what no other mechanism sees (pipes, socket buffers, page tables) at the moment it is
used, so where there is one it holds memory and processes, and the watching parent only looks on.

Guarantees: `Group` is removed with what was in it; a limit that was set is read back.
Assumes: kernel docs, admin-guide/cgroup-v2: a process may be moved by whoever may write to
cgroup.procs of the common ancestor ("Delegation Containment"); a group with controllers enabled for
its children holds no processes itself ("No Internal Process Constraint"), so ours is a sibling of
the kernel's own.
"""

from __future__ import annotations

import itertools
import os
import time
from contextlib import suppress
from dataclasses import dataclass

from kavach_ipy.linux import _libc, verify
from kavach_ipy.linux.knobs import write_knob

__all__ = ["Group", "find_delegated"]

_CONTROLLERS = frozenset(("memory", "pids"))
_PREFIX = "kavach"
_EMPTY_SECONDS = 2.0
_numbers = itertools.count(1)


def find_delegated() -> str | None:
    """The nearest ancestor of our own group that we may make groups in; None where there is none.

    One that has neither controller enabled for its children is of no use.
    """
    own = _own_group()
    root = next((mount.point for mount in verify.read_mounts(os.getpid()) if _is_v2(mount)), None)
    if own is None or root is None:
        return None
    path = os.path.normpath(own)
    while path != "/":
        path = os.path.dirname(path)
        folder = os.path.join(os.fsdecode(root), path.lstrip("/"))
        if _may_use(folder):
            return folder
    return None


def _is_v2(mount: verify.Mount) -> bool:
    return mount.fstype == b"cgroup2" and not mount.read_only


def _own_group() -> str | None:
    """The path after ``0::`` in /proc/self/cgroup: cgroups(7)."""
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        found = [line[3:].rstrip("\n") for line in file if line.startswith("0::")]
    return found[0] if found else None


def _may_use(folder: str) -> bool:
    may_write = all(
        os.access(path, os.W_OK) for path in (folder, os.path.join(folder, "cgroup.procs"))
    )
    return may_write and bool(_enabled(folder))


def _enabled(folder: str) -> frozenset[str]:
    """Those of our controllers that children of a group have."""
    try:
        names = _read(folder, "cgroup.subtree_control").decode("ascii").split()
    except OSError:
        return frozenset()
    return frozenset(names) & _CONTROLLERS


@dataclass(frozen=True, slots=True)
class Group:
    """One group, for the processes of one cell."""

    folder: str
    controllers: frozenset[str] = frozenset()
    """Of ``memory`` and ``pids``, those that hold something here."""

    @classmethod
    def create(cls, parent: str, limits: dict[str, str]) -> Group:
        """Make a group below `parent`, after groups that a killed process left there are removed.

        Args:
            parent: from `find_delegated`.
            limits: values by file (``{"pids.max": "64"}``); those of a controller that the
                parent has not enabled, and of a Linux that has no such file, are left out.

        Raises:
            SyscallError: naming the file that was refused.
        """
        _remove_leftovers(parent)
        folder = os.path.join(parent, f"{_PREFIX}-{os.getpid()}-{next(_numbers)}")
        group = cls(folder, _enabled(parent))
        try:
            os.mkdir(group.folder, 0o755)
        except OSError as error:
            raise _libc.SyscallError("mkdir", error.errno or 0, group.folder) from error
        try:
            for name, value in limits.items():
                if name.partition(".")[0] not in group.controllers or not group.has(name):
                    continue
                group._write(name, value)
                found = group.value(name)
                if found != value:
                    detail = f"{name} of {group.folder} reads {found}, and {value} was written"
                    raise _libc.SyscallError("verify", 0, detail)
        except _libc.SyscallError:
            group.remove()
            raise
        return group

    def add(self, pid: int) -> None:
        """Move a process here; its children are born here."""
        self._write("cgroup.procs", str(pid))

    def holds(self, pid: int) -> bool:
        """Tell whether a process is a member."""
        return str(pid).encode() in _read(self.folder, "cgroup.procs").split()

    def value(self, name: str) -> str:
        """What one file of the group reads."""
        return _read(self.folder, name).decode("ascii").strip()

    def has(self, name: str) -> bool:
        """Tell whether this Linux has such a file: without swap there is no ``memory.swap.max``."""
        return os.path.exists(os.path.join(self.folder, name))

    def counts_memory(self) -> bool:
        """Tell whether the bound on memory is set and nothing can leave it by being swapped out."""
        with suppress(OSError):
            return self.value("memory.max") != "max" and self.value("memory.swap.max") == "0"
        return False

    def processor_seconds(self) -> float:
        """What all members, living or dead, have used: cpu.stat, which needs no controller."""
        with suppress(OSError, ValueError):
            rows = (line.split() for line in _read(self.folder, "cpu.stat").splitlines())
            return sum(int(used) for name, used in rows if name == b"usage_usec") / 1e6
        return 0.0

    def was_out_of_memory(self) -> bool:
        """Tell whether the kernel killed a member for want of memory: memory.events, oom_kill."""
        with suppress(OSError):
            rows = (line.split() for line in _read(self.folder, "memory.events").splitlines())
            return any(name == b"oom_kill" and int(count) > 0 for name, count in rows)
        return False

    def peak_memory(self) -> int | None:
        """The most bytes that were in use at once; None before Linux 5.19."""
        with suppress(OSError, ValueError):
            return int(_read(self.folder, "memory.peak"))
        return None

    def kill(self) -> None:
        """Kill every member, and every process that is born meanwhile: cgroup.kill, Linux 5.14."""
        with suppress(_libc.SyscallError):
            self._write("cgroup.kill", "1")

    def remove(self) -> None:
        """Kill what is left and remove the group; one that does not empty stays for the next."""
        self.kill()
        deadline = time.monotonic() + _EMPTY_SECONDS
        while True:
            try:
                os.rmdir(self.folder)
            except FileNotFoundError:
                return
            except OSError:
                # EBUSY until the last member is reaped.
                if time.monotonic() >= deadline:
                    return
                os.sched_yield()
            else:
                return

    def _write(self, name: str, value: str) -> None:
        path = os.path.join(self.folder, name)
        write_knob(path, value.encode("ascii"), path)


def _remove_leftovers(parent: str) -> None:
    """Remove the empty groups of kernel processes that were killed."""
    for name in os.listdir(parent):
        prefix, _, rest = name.partition("-")
        pid, _, number = rest.partition("-")
        if prefix != _PREFIX or not pid.isdecimal() or not number.isdecimal():
            continue
        if not os.path.exists(f"/proc/{pid}"):
            # No kill: in another container's PID namespace that number may well be alive. A group
            # that has members cannot be removed (EBUSY).
            with suppress(OSError):
                os.rmdir(os.path.join(parent, name))


def _read(folder: str, name: str) -> bytes:
    fd = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16)
    finally:
        os.close(fd)
