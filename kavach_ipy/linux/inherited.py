"""What a fork inherits in memory and exec would drop: environment and shared mappings.

Guarantees: the environment is the given one in Python, in the C library and in the bytes behind
/proc/self/environ; no page of this process is shared writable with another.
Assumes: single-threaded; file names in /proc/self/maps still mean what they meant to the parent.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress

from kavach_ipy.linux import _libc

__all__ = ["privatise_mappings", "replace_environment"]

# proc(5) /proc/pid/maps: address perms offset dev inode pathname; "s" in perms means MAP_SHARED.
_SHARED = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) ([r-][w-][x-])s ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) *(.*)$",
    re.MULTILINE,
)
_PROTECTION = {ord("r"): 1, ord("w"): 2, ord("x"): 4}


def replace_environment(kept: Mapping[str, str]) -> None:
    """Make `kept` the whole environment, in all four places where a name can be read.

    ``os.environ``; ``posix.environ``, the copy the interpreter took at start; the C library's
    list; and the block between env_start and env_end of proc(5) /proc/self/stat, which is what
    /proc/self/environ shows and which no setenv changes.
    """
    os.environ.clear()
    initial = getattr(sys.modules.get("posix"), "environ", None)
    if isinstance(initial, dict):
        initial.clear()
    _libc.clearenv()
    with open("/proc/self/stat", "rb") as file:
        # The command name may hold spaces and parentheses; fields are counted after the last ")".
        fields = file.read().rpartition(b") ")[2].split()
    start, end = int(fields[47]), int(fields[48])
    if 0 < start < end:
        _libc.memset(start, end - start)
    os.environ.update(kept)


def privatise_mappings() -> int:
    """Turn every MAP_SHARED mapping into a private copy of itself; how many there were.

    A write of the cell to ``mmap.mmap(-1, n)``, ``numpy.memmap("r+")`` or shared memory would
    change the notebook. A file is mapped again, lazily and at the same place; what has no file
    left, or another one by that name, is copied. Device memory becomes zero pages.
    """
    with open("/proc/self/maps", "rb") as file:
        shared = _SHARED.findall(file.read())
    for first, last, permissions, offset, major, minor, inode, name in shared:
        address, size = int(first, 16), int(last, 16) - int(first, 16)
        protection = sum(bit for char, bit in _PROTECTION.items() if char in permissions)
        device = os.makedev(int(major, 16), int(minor, 16))
        if _map_file_again(
            address, size, protection, int(offset, 16), device, int(inode), name
        ):
            continue
        if name.startswith(b"/dev/") and not name.startswith((b"/dev/shm/", b"/dev/zero")):
            _libc.map_private(address, size, protection, -1, 0)
        elif protection & 1:
            _libc.move_mapping_over(address, size, protection)
        else:
            _libc.map_private(address, size, protection, -1, 0)
    return len(shared)


def _map_file_again(
    address: int, size: int, protection: int, offset: int, device: int, inode: int, name: bytes
) -> bool:
    """Map the file behind a shared mapping privately at the same place, if it is still there."""
    if not name.startswith(b"/") or name.endswith(b" (deleted)"):
        return False
    with suppress(OSError):
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino) == (device, inode):
                _libc.map_private(address, size, protection, fd, offset)
                return True
        finally:
            os.close(fd)
    return False
