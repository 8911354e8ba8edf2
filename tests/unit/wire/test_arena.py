"""The arena: written by the child, sealed, then read by the parent without a copy."""

from __future__ import annotations

import fcntl
import gc
import mmap
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kavach_ipy.errors import OutputWithheld, ProtocolError
from kavach_ipy.wire.arena import Arena, ArenaWriter

_PAGE = mmap.PAGESIZE


@pytest.fixture
def arena() -> Iterator[Arena]:
    """Return an arena of 64 pages."""
    with Arena.create(64 * _PAGE) as made:
        yield made


def _in_child(write: Callable[[], object]) -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            write()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_buffers_of_a_child_come_back(arena: Arena) -> None:
    """What a forked child puts is what the parent views, at page boundaries."""
    _in_child(lambda: [ArenaWriter(arena.fd, arena.limit).put(b"abc" * 2000)])
    with arena.seal() as sealed:
        assert bytes(sealed.view(0, 6000)) == b"abc" * 2000


def test_spans_start_at_pages(arena: Arena) -> None:
    """Each buffer starts a page of its own, an empty one too."""
    writer = ArenaWriter(arena.fd, arena.limit)
    assert [writer.put(data) for data in (b"a", b"", b"b" * (_PAGE + 1), b"c")] == [
        (0, 1),
        (_PAGE, 0),
        (_PAGE, _PAGE + 1),
        (3 * _PAGE, 1),
    ]


def test_a_view_is_writable_and_private(arena: Arena) -> None:
    """A change of a view is the caller's own; the sealed memory stays as the child left it."""
    ArenaWriter(arena.fd, arena.limit).put(b"abc")
    fd = os.dup(arena.fd)
    with arena.seal() as sealed:
        view = sealed.view(0, 3)
        view[0] = ord("x")
        assert bytes(view) == b"xbc"
        assert os.pread(fd, 3, 0) == b"abc"
    os.close(fd)


def test_nobody_can_write_after_the_seal(arena: Arena) -> None:
    """A descriptor that a straggler kept can neither write, grow nor shrink the memory."""
    ArenaWriter(arena.fd, arena.limit).put(b"abc")
    fd = os.dup(arena.fd)
    with arena.seal():
        for change in (
            lambda: os.pwrite(fd, b"x", 0),
            lambda: os.ftruncate(fd, 0),
            lambda: os.ftruncate(fd, 100 * _PAGE),
            lambda: mmap.mmap(fd, 3),
            lambda: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK),
        ):
            with pytest.raises(OSError, match=r"\w"):
                change()
    os.close(fd)


def test_seal_refuses_while_a_straggler_maps_it(arena: Arena) -> None:
    """A writable shared mapping, which could change the memory later, is a ProtocolError."""
    ArenaWriter(arena.fd, arena.limit).put(b"abc")
    with mmap.mmap(arena.fd, 3), pytest.raises(ProtocolError, match="F_ADD_SEALS"):
        arena.seal()


@pytest.mark.parametrize("seal", [fcntl.F_SEAL_SEAL, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_GROW])
def test_seal_refuses_what_the_child_sealed_first(arena: Arena, seal: int) -> None:
    """A child that forbids further seals, so that it may go on writing, is found out."""
    fcntl.fcntl(arena.fd, fcntl.F_ADD_SEALS, seal)
    with pytest.raises(ProtocolError):
        arena.seal()


def test_a_writer_that_finished_can_write_no_more_and_is_sealed(arena: Arena) -> None:
    """An honest child seals its memory, which saves the parent time; the last seal is ours."""
    writer = ArenaWriter(arena.fd, arena.limit)
    writer.put(b"abc")
    writer.finish()
    with pytest.raises(OutputWithheld, match="pwrite"):
        writer.put(b"d")
    fd = os.dup(arena.fd)
    with arena.seal() as sealed:
        assert bytes(sealed.view(0, 3)) == b"abc"
        assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SEAL
    os.close(fd)


def test_a_writer_that_cannot_finish_is_found_out_by_the_parent(arena: Arena) -> None:
    """A mapping of the cell's own, which forbids the seal, is no error of the writer's."""
    writer = ArenaWriter(arena.fd, arena.limit)
    writer.put(b"abc")
    with mmap.mmap(arena.fd, 3):
        writer.finish()
        with pytest.raises(ProtocolError, match="F_ADD_SEALS"):
            arena.seal()


def test_seal_refuses_a_sparse_arena(arena: Arena) -> None:
    """A size without memory behind it, which the parent would have to pay for, is refused."""
    os.ftruncate(arena.fd, 10 * _PAGE)
    with pytest.raises(ProtocolError, match="sparse"):
        arena.seal()


def test_seal_refuses_more_than_the_limit(arena: Arena) -> None:
    """A child that writes past the limit with calls of its own is refused."""
    os.pwrite(arena.fd, bytes(65 * _PAGE), 0)
    with pytest.raises(ProtocolError, match="allowed"):
        arena.seal()


def test_put_refuses_what_does_not_fit(arena: Arena) -> None:
    """An honest writer is told before it writes, and can go on with something smaller."""
    writer = ArenaWriter(arena.fd, arena.limit)
    with pytest.raises(OutputWithheld, match="bytes"):
        writer.put(bytes(65 * _PAGE))
    assert writer.put(bytes(64 * _PAGE)) == (0, 64 * _PAGE)
    with pytest.raises(OutputWithheld):
        writer.put(b"x")


@pytest.mark.parametrize(
    ("offset", "length"),
    [(-_PAGE, 1), (0, -1), (1, 1), (0, 2**63), (4 * _PAGE, _PAGE), (2**63, 0), (_PAGE, 4 * _PAGE)],
)
def test_spans_outside_are_refused(arena: Arena, offset: int, length: int) -> None:
    """Negative, odd, far and overlong spans break the wire."""
    ArenaWriter(arena.fd, arena.limit).put(bytes(4 * _PAGE))
    with arena.seal() as sealed, pytest.raises(ProtocolError):
        sealed.view(offset, length)


def test_spans_that_overlap_are_refused(arena: Arena) -> None:
    """No two values share memory, in whichever order their spans are taken."""
    ArenaWriter(arena.fd, arena.limit).put(bytes(10 * _PAGE))
    with arena.seal() as sealed:
        sealed.view(4 * _PAGE, 2 * _PAGE)
        sealed.view(6 * _PAGE, _PAGE)
        sealed.view(0, 4 * _PAGE)
        for at, length in ((4, 1), (5, 1), (3, 2), (6, 1), (0, 8), (0, 1)):
            with pytest.raises(ProtocolError, match="overlap"):
                sealed.view(at * _PAGE, length * _PAGE)


def test_views_outlive_the_arena_and_free_it() -> None:
    """A view stays valid after close; with the last view the memory and descriptors go."""
    before = len(os.listdir("/proc/self/fd"))
    arena = Arena.create(10 * _PAGE)
    ArenaWriter(arena.fd, arena.limit).put(b"abc")
    sealed = arena.seal()
    view = sealed.view(0, 3)
    sealed.close()
    assert bytes(view) == b"abc"
    del view, sealed
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def _flags_of(name: str) -> list[str]:
    """Return the VmFlags of the mappings of a file (proc_pid_smaps(5))."""
    flags, is_it = [], False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            is_it = name in line
        elif is_it and line.startswith("VmFlags:"):
            flags.append(line)
    return flags


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(),
    reason="this kernel was built without transparent huge pages",
)
def test_huge_pages_are_asked_for(arena: Arena) -> None:
    """The mapping says that it would have them; the kernel's own setting decides."""
    ArenaWriter(arena.fd, arena.limit).put(b"abc")
    with arena.seal() as sealed:
        view = sealed.view(0, 3)
        assert any(" hg" in flags for flags in _flags_of("memfd:kavach-arena"))
        assert bytes(view) == b"abc"


def test_a_closed_arena_gives_no_view(arena: Arena) -> None:
    """Who asks too late learns so, and gets nobody else's descriptor."""
    ArenaWriter(arena.fd, arena.limit).put(b"abc")
    sealed = arena.seal()
    sealed.close()
    with pytest.raises(ProtocolError, match="closed"):
        sealed.view(0, 3)
