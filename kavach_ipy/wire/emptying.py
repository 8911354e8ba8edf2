"""Memory taken back from a sandbox that lives on, whatever descriptors and mappings it keeps.

Sealed memory changes no more, but is there as long as somebody has it. A file of no length that
cannot grow has no page: truncation takes pages out of every mapping, and F_SEAL_GROW holds for
write(2), ftruncate(2) and fallocate(2), also behind the end (fcntl(2), mm/shmem.c).

Guarantees: after `empty` the memory is nobody's, for good; what `copy_out` returns nobody else can
change.
Assumes: the memory is a memfd that can be sealed; who has it is hostile.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from contextlib import suppress
from typing import Final

from kavach_ipy.errors import ProtocolError

__all__ = ["copy_out", "empty"]

_STEP: Final = 64 << 20


def copy_out(fd: int, size: int) -> mmap.mmap:
    """Copy memory and cut off what was copied, so that both hold one step more than its size.

    Args:
        fd: of the memory.
        size: bytes, at least one, that this process can afford.

    Raises:
        ProtocolError: whoever has it has sealed it, or makes it shorter.
    """
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    # EINVAL is a kernel that was built without huge pages.
    with suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    with memoryview(memory) as whole:
        end = size
        while end:
            at = (end - 1) // _STEP * _STEP
            with whole[at:end] as part:
                _fill(fd, part, at)
            _cut(fd, at)
            end = at
    return memory


def _fill(fd: int, part: memoryview, offset: int) -> None:
    done = 0
    while done < len(part):
        with part[done:] as left:
            found = os.preadv(fd, [left], offset + done)
        if not found:
            raise ProtocolError(offset + done, "arena", "it became shorter while it was read.")
        done += found


def empty(fd: int) -> None:
    """Take the memory from everybody who has it; more than once is once.

    Raises:
        ProtocolError: whoever has it has filled it in between, or had sealed it before.
    """
    _cut(fd, 0)
    with suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    # Afterwards: somebody may have filled it before it was sealed, and nobody can from here on.
    seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    status = os.fstat(fd)
    if not seals & fcntl.F_SEAL_GROW or status.st_size or status.st_blocks:
        raise ProtocolError(0, "arena", "it cannot be emptied; a process still writes to it.")


def _cut(fd: int, size: int) -> None:
    try:
        os.ftruncate(fd, size)
    except OSError as error:
        # EPERM after F_SEAL_SHRINK, and where it would grow after F_SEAL_GROW.
        raise ProtocolError(
            size, "arena", f"ftruncate(2) refused: {error.strerror}; a process has sealed it."
        ) from error
