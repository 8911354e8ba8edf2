"""Values that a fork inherits in memory, overwritten wherever they stand.

A token that the notebook ever held lies in its heap in several copies: the text, its bytes, a
request that was sent with it. No list of objects finds them all, so memory itself is searched.

Guarantees: after `overwrite`, no private writable page of this process holds one of the values, in
any of the forms that Python keeps text in; the search's own copies are gone, too.
Assumes: called in a fork, single-threaded; the values are long enough not to stand in memory by
chance. It takes about a second for each GiB that the process has in RAM.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
from collections.abc import Sequence

from kavach_ipy.linux import _libc

__all__ = ["forms_of", "overwrite"]


_MAPS_BYTES = 16 << 20
_WRITABLE = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) rw[x-]p [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ (\d+)", re.MULTILINE
)
# proc(5), /proc/pid/pagemap: eight bytes a page; bits 63 and 62 say that it is in RAM, or swapped.
_ENTRY = 8
_ENTRIES = 8192
_TAKEN = re.compile(rb"[\x40-\xff]+")
_GAP = 16 * mmap.PAGESIZE
"""Pages without content that are searched all the same, because one long search is faster."""


def forms_of(secret: str) -> tuple[bytes, ...]:
    """The bytes by which a text is kept: UTF-8, and CPython's one, two or four a character.

    PEP 393: a str holds each character in as many bytes as its widest one needs.
    """
    forms = [secret.encode("utf-8", "surrogatepass")]
    for codec in ("latin-1", "utf-16-le", "utf-32-le"):
        try:
            forms.append(secret.encode(codec, "surrogatepass" if codec != "latin-1" else "strict"))
        except UnicodeEncodeError:
            continue
    return tuple(dict.fromkeys(forms))


def overwrite(forms: Sequence[bytes]) -> int:
    """Write zeros over every copy of the values in this process's private memory.

    Args:
        forms: what `forms_of` returned, before the fork: afterwards a kernel of host root cannot
            load a codec.

    Returns:
        How many copies there were.
    """
    # What is searched for must not be found, and overwritten, while it is needed: it gets pages of
    # its own, which the search leaves out. The list's own copies are found like all others.
    with (
        _pages(sum(map(len, forms))) as own,
        _pages(_MAPS_BYTES) as text,
        _pages(_ENTRY * _ENTRIES) as entries,
    ):
        own.write(b"".join(forms))
        first = address = _libc.address_of(own)
        needles = []
        for form in forms:
            needles.append((address, len(form)))
            address += len(form)
        # The kernel may have joined our pages with a neighbour: leave out ours alone.
        regions = [
            part
            for start, end in _with_content(_writable_memory(text), entries)
            for part in ((start, min(end, first)), (max(start, first + len(own)), end))
            if part[0] < part[1]
        ]
        count = sum(
            _libc.erase_copies(*needle, *region) for needle in needles for region in regions
        )
        _libc.memset(first, len(own))
    return count


def _pages(size: int) -> mmap.mmap:
    whole = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    return mmap.mmap(-1, whole, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _writable_memory(text: mmap.mmap) -> tuple[tuple[int, int, bool], ...]:
    """Start and end of each private mapping that can be written, and if it has no file: proc(5).

    Args:
        text: where to read it to. Not an object of Python's: a large one that comes and goes would
            change what is mapped after it was listed (malloc(3), M_MMAP_THRESHOLD).
    """
    fd = os.open("/proc/self/maps", os.O_RDONLY | os.O_CLOEXEC)
    size = 0
    with memoryview(text) as view:
        while count := os.readv(fd, [view[size:]]):
            size += count
    os.close(fd)
    if size == len(text):
        raise _libc.SyscallError("read", errno.EFBIG, "/proc/self/maps")
    return tuple(
        (int(found[1], 16), int(found[2], 16), found[3] == b"0")
        for found in _WRITABLE.finditer(text, 0, size)
    )


def _with_content(
    mappings: Sequence[tuple[int, int, bool]], entries: mmap.mmap
) -> list[tuple[int, int]]:
    """The parts of memory where a copy can stand.

    Libraries reserve gigabytes that they never touch (mimalloc, jemalloc); a page of memory without
    a file that is neither in RAM nor swapped out reads as zeros. Of a file, every page counts.

    Args:
        mappings: from `_writable_memory`.
        entries: where to read the page map to, for the reason given there.
    """
    parts: list[tuple[int, int]] = []
    fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    with memoryview(entries) as view:
        for start, end, is_anonymous in mappings:
            if not is_anonymous:
                parts.append((start, end))
                continue
            for at in range(start, end, _ENTRIES * mmap.PAGESIZE):
                size = min(_ENTRIES, (end - at) // mmap.PAGESIZE) * _ENTRY
                read = os.preadv(fd, [view[:size]], at // mmap.PAGESIZE * _ENTRY)
                if read != size:
                    raise _libc.SyscallError("pread", errno.EIO, "/proc/self/pagemap")
                for found in _TAKEN.finditer(bytes(view[_ENTRY - 1 : size : _ENTRY])):
                    first, last = (at + page * mmap.PAGESIZE for page in found.span())
                    if parts and start <= parts[-1][0] and first - parts[-1][1] <= _GAP:
                        # Also where two reads of the page map meet: a copy may stand across.
                        first = parts.pop()[0]
                    parts.append((first, last))
    os.close(fd)
    return parts
