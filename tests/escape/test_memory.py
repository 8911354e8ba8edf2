"""Memory that is shared between processes is not shared with a cell."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from multiprocessing import shared_memory
from pathlib import Path

import pytest

from tests.contract.cells import NEEDS, run, value
from tests.unit.linux.throwaway import forked

pytestmark = [pytest.mark.escape, NEEDS]


def _anonymous() -> Iterator[object]:
    with mmap.mmap(-1, 8192) as memory:
        memory[:8] = b"original"
        yield memory


def _file() -> Iterator[object]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"original" * 1024)
        file.flush()
        with mmap.mmap(file.fileno(), 8192) as memory:
            yield memory


def _deleted_file() -> Iterator[object]:
    with tempfile.TemporaryFile() as file:
        file.write(b"original" * 1024)
        file.flush()
        with mmap.mmap(file.fileno(), 8192) as memory:
            yield memory


def _memory_file() -> Iterator[object]:
    fd = os.memfd_create("canary")
    os.write(fd, b"original" * 1024)
    with mmap.mmap(fd, 8192) as memory:
        os.close(fd)
        yield memory


def _shared_memory() -> Iterator[object]:
    segment = shared_memory.SharedMemory(create=True, size=8192)
    assert segment.buf is not None
    segment.buf[:8] = b"original"
    yield segment.buf
    segment.close()
    segment.unlink()


def _array() -> Iterator[object]:
    shared = multiprocessing.get_context("fork").RawArray("B", 8192)
    view = memoryview(shared).cast("B")
    view[:8] = b"original"
    yield view


def _memmap() -> Iterator[object]:
    np = pytest.importorskip("numpy")
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"original" * 1024)
        file.flush()
        yield memoryview(np.memmap(file.name, dtype="u1", mode="r+"))


KINDS = {
    "anonymous": _anonymous,
    "file": _file,
    "deleted file": _deleted_file,
    "memory file": _memory_file,
    "shared memory": _shared_memory,
    "array": _array,
    "memmap": _memmap,
}


@pytest.fixture(params=KINDS)
def memory(request: pytest.FixtureRequest) -> Iterator[object]:
    """Writable memory of each kind that a fork shares, beginning with ``original``."""
    yield from KINDS[request.param]()


WRITE = "memory[:8] = b'attacked'"


def test_cell_writes_its_own_copy(memory: memoryview) -> None:
    """The cell reads what was there and what it wrote; the notebook reads the original."""
    code = f"before = bytes(memory[:8])\n{WRITE}\nbefore, bytes(memory[:8])"
    assert value(code, inputs={"memory": memory}) == (b"original", b"attacked")
    assert bytes(memory[:8]) == b"original"


@pytest.mark.baseline("test_cell_writes_its_own_copy")
def test_plain_fork_writes_the_notebooks_memory(memory: memoryview) -> None:
    """Without the sandbox all of them are shared."""
    forked(lambda: exec(WRITE, {"memory": memory}))
    assert bytes(memory[:8]) == b"attacked"


def test_notebook_that_writes_later_is_not_heard(memory: memoryview) -> None:
    """Nor does the cell see what the notebook writes after the fork: the pages are its own."""
    assert value("bytes(memory[:8])", inputs={"memory": memory}) == b"original"
    memory[:8] = b"changed!"
    assert value("bytes(memory[:8])", inputs={"memory": memory}) == b"changed!"


@pytest.mark.baseline("test_notebook_that_writes_later_is_not_heard")
def test_notebook_that_writes_later_is_heard_by_a_plain_fork(memory: memoryview) -> None:
    """A child that was made before the write reads what was written."""
    go, answer = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.read(go[0], 1)
        os.write(answer[1], bytes(memory[:8]))
        os._exit(0)
    memory[:8] = b"changed!"
    os.write(go[1], b"x")
    assert os.read(answer[0], 8) == b"changed!"
    os.waitpid(child, 0)
    for fd in (*go, *answer):
        os.close(fd)


def test_bytes_of_a_mapped_file_stay_on_the_disk(tmp_path: Path) -> None:
    """``flush`` and ``resize`` of an inherited mapping reach no file."""
    path = tmp_path / "file"
    path.write_bytes(b"original" * 1024)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 8192) as memory:
        code = f"{WRITE}\nmemory.flush()\nmemory.resize(16384)"
        run(code, inputs={"memory": memory})
        assert path.read_bytes() == b"original" * 1024
        forked(lambda: exec(code, {"memory": memory}))
        assert path.read_bytes() == b"attacked" + b"original" * 1023 + bytes(8192)


def test_semaphore_of_the_notebook_is_not_turned() -> None:
    """A POSIX semaphore is a shared mapping as well."""
    semaphore = multiprocessing.get_context("fork").Semaphore(1)
    run("semaphore.acquire()", inputs={"semaphore": semaphore})
    assert semaphore.acquire(block=False)
    semaphore.release()
    forked(semaphore.acquire)
    assert not semaphore.acquire(block=False)


def test_segment_of_the_host_is_not_attached() -> None:
    """/dev/shm is the cell's own, so a segment's name means nothing inside."""
    segment = shared_memory.SharedMemory(create=True, size=16)
    assert segment.buf is not None
    try:
        segment.buf[:8] = b"original"
        code = (
            "from multiprocessing.shared_memory import SharedMemory\n"
            "attached = SharedMemory(name=name)\nattached.buf[0] = 0"
        )
        outcome = run(code, inputs={"name": segment.name})
        assert getattr(outcome.failure, "name", None) == "FileNotFoundError"
        assert bytes(segment.buf[:8]) == b"original"
        forked(lambda: exec(code, {"name": segment.name}))
        assert bytes(segment.buf[:8]) == b"\0riginal"
    finally:
        segment.close()
        segment.unlink()
