"""The arena: memory of the parent's that big buffers travel in, so that nobody copies them twice.

::

    parent  Arena.create ─ fork ─┬─ child   ArenaWriter.put(buffer) → (offset, length)
                                 └─ parent  (the sandbox is dead) seal() → SealedArena.view(…)
                                            (it lives on)         take() → a copy, as such

Guarantees: after `take` nobody has memory of it, whatever descriptors and mappings
they keep; after `seal` nobody can change, shrink or grow the memory; a view lies inside what was
really written, at a page boundary, and overlaps no other view; writing to a view changes a private
copy of the page (mmap(2), MAP_PRIVATE).
Assumes: memfd_create(2) and fcntl(2) seals (Linux 3.17); for `seal`, that the sandbox is dead.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Final, Literal, Self

from kavach_ipy.errors import OutputWithheld, ProtocolError
from kavach_ipy.wire.emptying import copy_out, empty
from kavach_ipy.wire.prices import Account

__all__ = ["Arena", "ArenaWriter", "SealedArena"]

_PAGE: Final = mmap.PAGESIZE
# write(2): one call moves at most 0x7ffff000 bytes; a round number below it keeps pages whole.
_WRITE_SIZE: Final = 1 << 30
_SEALS: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
# stat(2): st_blocks counts 512 bytes, whatever the file system's own block is.
_BLOCK: Final = 512


class Arena:
    """The parent's end: an empty, sealable memfd, made before the fork.

    Attributes:
        fd: the descriptor to hand to the child; -1 once closed or sealed.
        limit: the largest size in bytes that `seal` accepts.
    """

    __slots__ = ("fd", "limit")

    def __init__(self, fd: int, limit: int) -> None:
        self.fd = fd
        self.limit = limit

    @classmethod
    def create(cls, limit: int) -> Arena:
        """Make an arena that accepts `limit` bytes; no memory is taken yet.

        Raises:
            OSError: memfd_create(2) failed.
        """
        flags = os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC
        return cls(os.memfd_create("kavach-arena", flags), limit)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor; an arena that was sealed has none."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def seal(self) -> SealedArena:
        """Make the memory unchangeable, check its size and hand it over; this arena is then closed.

        Raises:
            ProtocolError: a straggler still maps it for writing, the child sealed it first, or it
                is larger than `limit`, or sparse.
        """
        try:
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        except OSError as error:
            # fcntl(2): EBUSY where a writable shared mapping exists, EPERM after F_SEAL_SEAL.
            raise ProtocolError(
                0,
                "arena",
                f"fcntl(F_ADD_SEALS) refused: {error.strerror}; a process still holds it.",
            ) from error
        size = self._checked_size()
        fd, self.fd = self.fd, -1
        return SealedArena(fd, size)

    def take(self) -> SealedArena:
        """Copy what is there, and take the memory from everybody who still has it.

        For a sandbox that lives on: sealed memory would be there as long as it keeps a descriptor.

        Raises:
            ProtocolError: the sandbox has sealed it or still writes to it, or it is larger than
                `limit`, or sparse.
        """
        size = self._checked_size()
        memory = copy_out(self.fd, size) if size else None
        empty(self.fd)
        return SealedArena(-1, size, memory)

    def _checked_size(self) -> int:
        status = os.fstat(self.fd)
        if status.st_size > self.limit:
            raise ProtocolError(
                0, "arena", f"it holds {status.st_size} bytes; {self.limit} are allowed."
            )
        # A sparse memfd seals at 16 TiB with no block: reading it would take the parent's memory.
        if status.st_blocks * _BLOCK < status.st_size:
            raise ProtocolError(
                0,
                "arena",
                f"it is sparse: {status.st_size} bytes long, {status.st_blocks} blocks written.",
            )
        return status.st_size


class ArenaWriter:
    """The child's end: puts buffers one after the other, each at a page boundary.

    Args:
        fd: the descriptor that the fork inherited.
        limit: bytes in all that may be written.
        way: what the buffers do, for the words of an error.

    Attributes:
        account: what the values so far bring to the reader, and cost it.
        end: where the next buffer goes, before rounding up.
    """

    __slots__ = ("_fd", "_way", "account", "end", "limit")

    def __init__(
        self, fd: int, limit: int, way: Literal["come back", "go in"] = "come back"
    ) -> None:
        self._fd = fd
        self._way = way
        self.account = Account()
        self.end = 0
        self.limit = limit

    @property
    def state(self) -> tuple[int, int, int]:
        """Where the writer stands; set it back to take the last values out again."""
        return self.end, self.account.received, self.account.spent

    @state.setter
    def state(self, state: tuple[int, int, int]) -> None:
        self.end, self.account.received, self.account.spent = state

    def put(self, buffer: bytes | bytearray | memoryview) -> tuple[int, int]:
        """Copy a contiguous buffer into the arena; return its offset and its length in bytes.

        Raises:
            OutputWithheld: the arena is too small for it, or the memory cannot be had.
        """
        with memoryview(buffer) as view, view.cast("B") as flat:
            offset, end = self._place(len(flat))
            at = 0
            try:
                while at < len(flat):
                    at += os.pwrite(self._fd, flat[at : at + _WRITE_SIZE], offset + at)
            except OSError as error:
                raise OutputWithheld(
                    "buffer", "", f"pwrite(2) of {len(flat)} bytes failed: {error.strerror}"
                ) from error
            self.end = end
            return offset, end - offset

    def holds(self, text: bytes, spans: Iterable[tuple[int, int]]) -> bool:
        """Tell whether one of the spans that were written holds these bytes."""
        if not self.end:
            return False
        with mmap.mmap(self._fd, 0, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
            return any(memory.find(text, at, at + length) >= 0 for at, length in spans)

    def pad(self, size: int) -> tuple[int, int]:
        """Take memory of the arena that holds nothing; return its offset and its length in bytes.

        fallocate(2): the pages are there and count as any other, and nobody has to write them.

        Raises:
            OutputWithheld: the arena is too small for it, or the memory cannot be had.
        """
        offset, end = self._place(size)
        try:
            os.posix_fallocate(self._fd, offset, size)
        except OSError as error:
            raise OutputWithheld(
                "buffer", "", f"fallocate(2) of {size} bytes failed: {error.strerror}"
            ) from error
        self.end = end
        return offset, size

    def _place(self, size: int) -> tuple[int, int]:
        offset = -(-self.end // _PAGE) * _PAGE
        if offset + size > self.limit:
            raise OutputWithheld(
                "buffer",
                "",
                f"it holds {size} bytes, and {max(self.limit - offset, 0)} of the "
                f"{self.limit} that may {self._way} are left",
                "bring back less of it"
                if self._way == "come back"
                else "give less of it, or raise --memory",
            )
        return offset, offset + size

    def stop_growing(self) -> None:
        """Let whoever gets the memory have no more of it, and its owner take it back.

        Raises:
            OSError: fcntl(2) refused it.
        """
        fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)

    def finish(self) -> None:
        """Forbid every change from now on, so that the parent need not wait for it.

        fcntl(2): to add F_SEAL_WRITE the kernel looks at every page, 5 ms for a GiB; where it is
        there already, it does not look again. What fails here the parent finds out by itself.
        """
        if self.end:
            with suppress(OSError):
                fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, _SEALS & ~fcntl.F_SEAL_SEAL)


class SealedArena:
    """Memory that a child wrote and nobody can change any more.

    The descriptor is closed by `close`; the memory goes when the last view goes.
    Python before 3.13 keeps one more descriptor open as long as a view lives.
    """

    __slots__ = ("_fd", "_map", "_taken", "size")

    def __init__(self, fd: int, size: int, memory: mmap.mmap | None = None) -> None:
        self._fd = fd
        self._map = memory
        # One byte a page: a sorted list of spans would cost the square of their number.
        self._taken = bytearray(-(-size // _PAGE))
        self.size = size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor and forget the mapping; views that were handed out stay valid."""
        fd, self._fd = self._fd, -1
        self._map = None
        if fd >= 0:
            os.close(fd)

    def view(self, offset: int, length: int) -> memoryview:
        """Return a span as a flat, writable view of bytes that belongs to its caller alone.

        Raises:
            ProtocolError: the span is not at a page boundary, not inside, or overlaps another.
        """
        if offset < 0 or offset % _PAGE or length < 0 or offset + length > self.size:
            raise ProtocolError(
                offset, "arena", f"span of {length} bytes in an arena of {self.size} is refused."
            )
        if length == 0:
            return memoryview(bytearray())
        self._claim(offset, offset + length)
        if self._map is None:
            if self._fd < 0:
                raise ProtocolError(offset, "arena", "a span of an arena that is closed.")
            # One mapping for all spans: each costs a system call and an entry of max_map_count.
            self._map = mmap.mmap(
                self._fd, self.size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE
            )
            # Documentation/admin-guide/mm/transhuge.rst: a memfd has huge pages where shmem_enabled
            # allows them, and a mapping of it uses them as such where it was asked to. EINVAL is
            # a kernel that was built without.
            with suppress(OSError):
                self._map.madvise(mmap.MADV_HUGEPAGE)
        return memoryview(self._map)[offset : offset + length]

    def _claim(self, start: int, end: int) -> None:
        first, last = start // _PAGE, -(-end // _PAGE)
        if self._taken.find(1, first, last) >= 0:
            raise ProtocolError(start, "arena", "two spans overlap; each may be used once.")
        self._taken[first:last] = b"\1" * (last - first)
