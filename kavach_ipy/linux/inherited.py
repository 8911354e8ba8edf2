"""What a fork inherits in memory and exec would drop: environment and shared mappings.

Guarantees: the environment is the given one in Python, in the C library and in the bytes behind
/proc/self/environ; no page of this process is shared writable with another.
Assumes: single-threaded; file names in /proc/self/maps still mean what they meant to the parent.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import struct
import sys
from array import array
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from kavach_ipy.linux import _libc

__all__ = [
    "SharedMapping",
    "find_shared_mappings",
    "open_mapped_files",
    "privatise_mappings",
    "replace_environment",
]

# proc(5) /proc/pid/maps: address perms offset dev inode pathname; "s" in perms means MAP_SHARED.
_SHARED = re.compile(rb"(?:^|\n)([0-9a-f]+-[0-9a-f]+ [r-][w-][x-]s [^\n]*)")
_PROTECTION = {ord("r"): 1, ord("w"): 2, ord("x"): 4}
_READABLE = 1


@dataclass(frozen=True, slots=True)
class SharedMapping:
    """One MAP_SHARED mapping, as /proc/<pid>/maps shows it."""

    address: int
    size: int
    protection: int
    """PROT_* bits."""

    offset: int
    device: int
    inode: int
    path: bytes


def find_shared_mappings(pid: int) -> tuple[SharedMapping, ...]:
    """Read which pages of a process are shared with others, from outside: proc(5) maps.

    Linux 6.11 answers for the shared ones alone (PROCMAP_QUERY), which spares writing out and
    reading hundreds of lines to find one or two; before, the text is read.
    """
    fd = os.open(f"/proc/{pid}/maps", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            return tuple(_query(fd))
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EINVAL):
                raise
        chunks = []
        while chunk := os.read(fd, 1 << 20):
            chunks.append(chunk)
    finally:
        os.close(fd)
    return tuple(_parse(line) for line in _SHARED.findall(b"".join(chunks)))


# struct procmap_query of linux/fs.h: size, query_flags, query_addr; vma_start, vma_end, vma_flags,
# vma_page_size, vma_offset, inode; dev_major, dev_minor, vma_name_size, build_id_size;
# vma_name_addr, build_id_addr.
_PROCMAP = struct.Struct("=9Q4I2Q")
_PROCMAP_QUERY = 0xC0686611  # _IOWR('f', 17, struct procmap_query)
_VMA_SHARED, _COVERING_OR_NEXT = 0x8, 0x10
_NAME_BYTES = 4096


def _query(maps: int) -> Iterator[SharedMapping]:
    """Ask the kernel for one shared mapping after the other."""
    name = array("B", bytes(_NAME_BYTES))
    where, _ = name.buffer_info()
    flags = _VMA_SHARED | _COVERING_OR_NEXT
    address = 0
    while True:
        request = bytearray(
            _PROCMAP.pack(
                _PROCMAP.size, flags, address, 0, 0, 0, 0, 0, 0, 0, 0, _NAME_BYTES, 0, where, 0
            )
        )
        try:
            fcntl.ioctl(maps, _PROCMAP_QUERY, request)
        except FileNotFoundError:
            return  # ENOENT: no further mapping
        answer = _PROCMAP.unpack(request)
        start, end, protection, _, offset, inode = answer[3:9]
        yield SharedMapping(
            address=start,
            size=end - start,
            # PROCMAP_QUERY_VMA_READABLE, _WRITABLE and _EXECUTABLE have the values of PROT_*.
            protection=protection & 7,
            offset=offset,
            device=os.makedev(answer[9], answer[10]),
            inode=inode,
            path=name[: max(0, answer[11] - 1)].tobytes(),
        )
        address = end


def _parse(line: bytes) -> SharedMapping:
    fields = line.split(maxsplit=5)
    first, _, last = fields[0].partition(b"-")
    major, _, minor = fields[3].partition(b":")
    return SharedMapping(
        address=int(first, 16),
        size=int(last, 16) - int(first, 16),
        protection=sum(bit for char, bit in _PROTECTION.items() if char in fields[1]),
        offset=int(fields[2], 16),
        device=os.makedev(int(major, 16), int(minor, 16)),
        inode=int(fields[4]),
        path=fields[5] if len(fields) == 6 else b"",
    )


def open_mapped_files(mappings: tuple[SharedMapping, ...]) -> tuple[int, ...]:
    """Open the file behind each mapping for reading, -1 where it is no longer there by that name.

    Done while the process may still walk to the kernel's files and the old root is in place.
    """
    return tuple(_open_mapped_file(mapping) for mapping in mappings)


def _open_mapped_file(mapping: SharedMapping) -> int:
    if not mapping.path.startswith(b"/"):
        return -1
    with suppress(OSError):
        fd = os.open(mapping.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) == (mapping.device, mapping.inode) and stat.S_ISREG(
            found.st_mode
        ):
            return fd
        os.close(fd)
    return -1


def privatise_mappings(mappings: tuple[SharedMapping, ...], files: tuple[int, ...]) -> None:
    """Turn shared mappings of this process into private copies of themselves.

    A write of the cell to ``mmap.mmap(-1, n)``, ``numpy.memmap("r+")`` or shared memory would
    change the notebook. A file is mapped again, lazily and at the same place; memory that has no
    file is copied; device memory becomes zero pages, because a copy of a device means nothing.

    Args:
        mappings: what `find_shared_mappings` found for this process.
        files: a descriptor for each, from `open_mapped_files`; they are closed.
    """
    for mapping, fd in zip(mappings, files, strict=True):
        where = (mapping.address, mapping.size, mapping.protection)
        if fd >= 0:
            _libc.map_private(*where, fd, mapping.offset)
            os.close(fd)
        elif mapping.protection & _READABLE and not _is_device(mapping.path):
            _libc.move_mapping_over(*where)
        else:
            _libc.map_private(*where, -1, 0)


def _is_device(path: bytes) -> bool:
    return path.startswith(b"/dev/") and not path.startswith((b"/dev/shm/", b"/dev/zero"))


def replace_environment(kept: Mapping[str, str]) -> None:
    """Make `kept` the whole environment, in all four places where a name can be read.

    ``os.environ``; ``posix.environ``, the copy the interpreter took at start; the C library's
    list; and the block between env_start and env_end of proc(5) /proc/self/stat, which is what
    /proc/self/environ shows and which no setenv changes.
    """
    # Not os.environ.clear(): it calls unsetenv once a name, and clearenv(3) does it in one.
    data = getattr(os.environ, "_data", None)
    if not isinstance(data, dict):
        msg = "os.environ has changed its form; the environment cannot be replaced"
        raise TypeError(msg)
    data.clear()
    initial = getattr(sys.modules.get("posix"), "environ", None)
    if isinstance(initial, dict):
        initial.clear()
    _libc.clearenv()
    with open("/proc/self/stat", "rb", buffering=0) as file:
        # The command name may hold spaces and parentheses; fields are counted after the last ")".
        fields = file.read(4096).rpartition(b") ")[2].split()
    start, end = int(fields[47]), int(fields[48])
    if 0 < start < end:
        _libc.memset(start, end - start)
    os.environ.update(kept)
