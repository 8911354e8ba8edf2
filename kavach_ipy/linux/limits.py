"""Limits on one process, and the measures a watching parent reads of a whole tree.

Guarantees: `apply` sets soft and hard limit alike, so nothing inside can raise them; processor
time alone has a second between the two.
Assumes: amounts are what the cell may use *on top of* what the fork brought along.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from kavach_ipy.linux import _libc

__all__ = [
    "Usage",
    "apply",
    "data_bytes",
    "image_of",
    "inherited_resident_bytes",
    "measure",
]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_ADDRESSES = 64 << 30
"""Bytes of addresses that a cell may map without using them."""

_TICKS = os.sysconf("SC_CLK_TCK")


def _statm(pid: int | str = "self") -> list[int]:
    """The fields of proc(5) /proc/<pid>/statm, in pages."""
    # Not open(): in a fresh fork each Python object that it makes and touches costs a page's copy.
    fd = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return [int(field) for field in os.read(fd, 256).split()]
    finally:
        os.close(fd)


def apply(
    *, memory: int, processes: int, cpu_seconds: int, descriptors: int, file_bytes: int
) -> None:
    """Bound this process and, each by itself, all that it starts: setrlimit(2).

    Args:
        memory: new bytes of private memory, on top of what is mapped now.
        processes: processes and threads of this user in this user namespace. getrlimit(2):
            since Linux 5.14 they are counted per namespace; they do not bind kuid 0, which is
            why a kernel of host root becomes another id.
        cpu_seconds: of each process; SIGXCPU at the end.
        descriptors: one more than the highest number that may be open.
        file_bytes: size of any one file, memfd included.

    Raises:
        SyscallError: naming the limit that the kernel refused.
    """
    mapped, *_, data, _ = _statm()
    amounts = {
        # getrlimit(2): since Linux 4.7 it counts private anonymous mappings too, so current data
        # plus an allowance bounds *new* memory, whatever the notebook holds.
        "RLIMIT_DATA": data * _PAGE + memory,
        # Libraries reserve addresses generously; page tables for these take 1/512 of them.
        "RLIMIT_AS": mapped * _PAGE + memory + _ADDRESSES,
        "RLIMIT_NPROC": processes,
        "RLIMIT_CPU": cpu_seconds,
        "RLIMIT_NOFILE": descriptors,
        "RLIMIT_FSIZE": file_bytes,
        # core(5): 0 does not keep a core_pattern that is a pipe from being fed the whole memory;
        # 1 does (fs/coredump.c takes it for a handler that crashed), and no file is that small.
        "RLIMIT_CORE": 1,
        "RLIMIT_MSGQUEUE": 0,
        # Timers and queued signals are counted in every user namespace up to the first, so a cell
        # without a bound of its own takes those of its user's other programs, or of host root's.
        "RLIMIT_SIGPENDING": 1024,
        "RLIMIT_RTPRIO": 0,
        "RLIMIT_NICE": 0,
        "RLIMIT_MEMLOCK": 8 << 20,
    }
    for name, amount in amounts.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        bound = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        # getrlimit(2): SIGXCPU, which says what happened, comes at the soft limit; at the hard one
        # it is SIGKILL, and where both are equal the kernel asks for the hard one first.
        ceiling = bound + 1 if name == "RLIMIT_CPU" and bound != hard else bound
        try:
            resource.setrlimit(kind, (bound, ceiling))
        except (OSError, ValueError) as error:
            number = error.errno if isinstance(error, OSError) and error.errno else 22
            raise _libc.SyscallError("setrlimit", number, f"{name}, {bound}") from error


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tree of processes uses at one moment."""

    memory: int
    """Bytes that exist because of the tree, over what it inherited."""

    cpu: dict[tuple[int, int], float]
    """Seconds of processor time of each living process, by pid and start time."""

    waited: float
    """Seconds of processor time of the processes that the living ones have waited for."""


def data_bytes() -> int:
    """Bytes of this process that RLIMIT_DATA counts: getrlimit(2)."""
    return _statm()[5] * _PAGE


def inherited_resident_bytes(pid: int | str = "self") -> int:
    """Bytes of anonymous memory of a process that are in RAM: RssAnon, from proc(5) statm."""
    _, resident, shared, *_ = _statm(pid)
    return (resident - shared) * _PAGE


def image_of(pid: int | str = "self") -> bytes:
    """Where a process's arguments lie: a fork keeps the place, exec chooses another (proc(5))."""
    with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        return _image(file.read(4096))


def measure(
    proc_root: int,
    inherited: int,
    arena: int,
    image: bytes | None = None,
    held: Mapping[int, int] | None = None,
) -> Usage:
    """Add up the processes that a proc(5) mount shows, except its pid 1.

    A forked page counts as new when it is written. smaps_rollup (Linux 4.14) tells private from
    shared pages; pages that are shared among the cell's own processes show only in the
    proportional sum, from which the forks' share of inherited pages is taken off. Page tables
    are counted too, and the arena, which is the one file that lies in no file system of the cell's:
    the filter lets it make neither a memfd nor shared memory without a file, unless a control
    group counts them.

    Args:
        proc_root: an open directory descriptor of the sandbox's own /proc, so that processes
            cannot leave the sum by a double fork.
        inherited: bytes of anonymous memory that the process had which forked.
        arena: a descriptor of the arena; -1 where there is none.
        image: `image_of` the process that forked; of this one where it is None.
        held: forks of the session that wait, by pid, the last one last; and how many bytes were in
            use at each fork. Of these, what a fork alone has is what the session has changed or
            given back since, which is not counted; what is left is the session's still, although
            it is private to neither.
    """
    private = proportional = forks = 0
    waiting = held or {}
    last = next(reversed(waiting), None) if waiting else None
    cpu: dict[tuple[int, int], float] = {}
    waited = 0
    own_image = image_of() if image is None else image
    for name in os.listdir(proc_root):
        if not name.isdecimal() or name == "1":
            continue
        # A process may end between the listing and the read.
        with suppress(OSError, IndexError, ValueError):
            stat = _read(proc_root, f"{name}/stat")
            fields = stat.rpartition(b") ")[2].split()
            cpu[int(name), int(fields[19])] = sum(int(ticks) for ticks in fields[11:13]) / _TICKS
            waited += sum(int(ticks) for ticks in fields[13:15])
            sizes, tables = _memory(proc_root, name)
            apart = sizes.get(b"SwapPss", 0) + tables
            # hugetlb pages stand in no other sum: proc(5), /proc/pid/smaps.
            apart += sizes.get(b"Private_Hugetlb", 0) + sizes.get(b"Shared_Hugetlb", 0)
            alone = sizes.get(b"Private_Dirty", 0) + apart
            proportional += sizes.get(b"Pss_Anon", 0) + apart
            if (used := waiting.get(int(name))) is not None:
                proportional -= min(alone, used)
                alone = abs(used - alone) if int(name) == last else max(0, alone - used)
            private += alone
            forks += _image(stat) == own_image
    # The kernel maps inherited pages too, so n forks that never exec'd account for n/(n+1).
    share = inherited * forks // (forks + 1)
    # stat(2): st_blocks counts 512 bytes, whatever the file system's own block is.
    apart = os.fstat(arena).st_blocks * 512 if arena >= 0 else 0
    memory = max(private, proportional - share) + apart
    return Usage(memory=memory, cpu=cpu, waited=waited / _TICKS)


def _memory(proc_root: int, name: str) -> tuple[dict[bytes, int], int]:
    """The sums of smaps_rollup and the bytes of page tables of one process.

    pthreads(7): a first thread that has ended leaves a zombie, which /proc/<pid> then shows, with
    no memory. The others go on, and each of them shows what they share.
    """
    with suppress(OSError):
        sizes = _rollup(_read(proc_root, f"{name}/smaps_rollup"))
        if sizes:
            return sizes, _page_tables(proc_root, name)
    for thread in _names(proc_root, f"{name}/task"):
        if thread == name:
            continue
        with suppress(OSError):
            sizes = _rollup(_read(proc_root, f"{name}/task/{thread}/smaps_rollup"))
            if sizes:
                return sizes, _page_tables(proc_root, f"{name}/task/{thread}")
    return {}, 0


def _names(proc_root: int, path: str) -> list[str]:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc_root)
    try:
        return os.listdir(folder)
    finally:
        os.close(folder)


def _rollup(text: bytes) -> dict[bytes, int]:
    """The fields of smaps_rollup in bytes; the file counts kB."""
    rows = (line.split() for line in text.splitlines()[1:])
    return {row[0].rstrip(b":"): int(row[1]) << 10 for row in rows if len(row) == 3}


def _image(stat: bytes) -> bytes:
    return stat.rpartition(b") ")[2].split()[45]


def _page_tables(proc_root: int, name: str) -> int:
    """Bytes of page tables (VmPTE): a sparse mapping takes them and no page."""
    for line in _read(proc_root, f"{name}/status").splitlines():
        if line.startswith(b"VmPTE:"):
            return int(line.split()[1]) << 10
    return 0


def _read(proc_root: int, path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc_root)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)
