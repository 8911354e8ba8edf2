"""GNU OpenMP's pools end before a fork, and are made anew on both sides of it."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kavach_ipy.linux.mapped import MappedFiles
from kavach_ipy.linux.openmp import Runtimes
from kavach_ipy.linux.threads import NativeThreads
from tests.unit.linux.compiled import build, parallel_region
from tests.unit.linux.throwaway import forked

DEADLINE = 10.0


@pytest.fixture
def region(tmp_path: Path) -> Callable[[], int]:
    """A function with a parallel region of three threads; it returns their number."""
    return parallel_region(tmp_path)


def _in_a_fork(call: Callable[[], int], seconds: float) -> int | None:
    """What the function returns in a forked child; None where it does not return in time."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, str(call()).encode())
        os._exit(0)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], seconds)
    answer = os.read(reader, 64) if ready else b""
    os.close(reader)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return int(answer) if answer else None


def _end_pools() -> tuple[str, ...]:
    """Do what is done before a fork, by objects that have seen nothing yet."""
    return Runtimes().end_pools(MappedFiles().look(NativeThreads().look()).openmp)


def test_region_works_on_both_sides_of_a_fork_once_its_pool_was_ended(
    region: Callable[[], int],
) -> None:
    """The child's threads and the parent's are made anew."""
    for _ in range(2):
        assert region() == 3
        assert _end_pools() == ()
        assert _in_a_fork(region, DEADLINE) == 3
        assert region() == 3


def test_region_waits_for_ever_in_a_child_of_a_fork_with_its_pool(
    region: Callable[[], int],
) -> None:
    """Without the call there is the hang that it is for."""
    assert region() == 3
    assert _in_a_fork(region, 1.0) is None
    assert _end_pools() == ()


def test_pool_of_a_runtime_that_is_known_ends_without_another_look(
    region: Callable[[], int],
) -> None:
    """The second time nothing is read."""
    runtimes = Runtimes()
    threads = NativeThreads()
    assert region() == 3
    assert runtimes.end_pools(MappedFiles().look(threads.look()).openmp) == ()
    assert region() == 3
    assert runtimes.end_pools() == ()
    assert _in_a_fork(region, DEADLINE) == 3


def test_pool_of_another_thread_is_left_alone(region: Callable[[], int]) -> None:
    """It belongs to that thread, which goes on with it."""
    seen: list[int] = []
    turns = [threading.Event(), threading.Event()]

    def work() -> None:
        seen.append(region())
        turns[0].set()
        assert turns[1].wait(DEADLINE)
        seen.append(region())

    thread = threading.Thread(target=work)
    thread.start()
    assert turns[0].wait(DEADLINE)
    assert _end_pools() == ()
    assert _in_a_fork(region, DEADLINE) == 3
    turns[1].set()
    thread.join(DEADLINE)
    assert seen == [3, 3]


def test_runtime_without_the_call_is_named(tmp_path: Path) -> None:
    """An old one, whose pool nobody can end."""
    old = build(tmp_path, "libgomp-0ld.so.1", "int omp_get_level(void) { return 0; }")

    def look() -> list[str]:
        ctypes.CDLL(str(old))
        return list(Runtimes().end_pools([os.fsencode(old)]))

    # In a process of its own: in this one, it would be in the way of other tests' cells.
    assert forked(look).value == [str(old)]


def test_file_that_is_not_loaded_is_not_loaded_for_it(tmp_path: Path) -> None:
    """Looking for the call runs no initialiser of a library."""
    trap = "__attribute__((constructor)) static void at_load(void) { __builtin_trap(); }"
    path = build(tmp_path, "libgomp-trap.so.1", trap)
    assert Runtimes().end_pools([os.fsencode(path)]) == (str(path),)
