"""Pools that were made before the cell: they work in it, or say that they cannot; none hangs."""

from __future__ import annotations

import multiprocessing
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import pytest

from kavach_ipy.errors import CellFailed
from tests.contract.cells import NEEDS, python, run, value
from tests.unit.linux.compiled import parallel_region

pytestmark = [pytest.mark.contract, NEEDS]

FORK = multiprocessing.get_context("fork")
ROOTS = [0.0, 1.0, 2.0]


@contextmanager
def _unused_processes() -> Iterator[Any]:
    with ProcessPoolExecutor(2, mp_context=FORK) as pool:
        yield pool


@contextmanager
def _processes() -> Iterator[Any]:
    with _unused_processes() as pool:
        assert list(pool.map(abs, [-1])) == [1]
        yield pool


@contextmanager
def _multiprocessing() -> Iterator[Any]:
    with FORK.Pool(2) as pool:
        assert pool.map(abs, [-1]) == [1]
        yield pool
        pool.close()
        pool.join()


@contextmanager
def _thread_pool() -> Iterator[Any]:
    with ThreadPool(2) as pool:
        assert pool.map(abs, [-1]) == [1]
        yield pool


def test_pool_of_threads_does_the_work_of_the_cell_and_then_the_notebooks() -> None:
    """Its threads are made anew in the cell, also for more work than it has threads."""
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
        code = "list(pool.map(abs, range(-40, 0)))[0], len(pool._threads)"
        assert value(code, inputs={"pool": pool}) == (40, 2)
        assert list(pool.map(abs, [-3])) == [3]


def test_work_that_waits_in_a_pool_of_threads_is_not_done_twice() -> None:
    """What was submitted outside is done outside, and not by the threads of the cell."""
    done: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        gate = threading.Event()
        first = pool.submit(gate.wait, 30)
        second = pool.submit(done.append, 1)
        code = "pool.submit(abs, -2).result(), done"
        assert value(code, inputs={"pool": pool, "done": done}) == (2, [])
        gate.set()
        first.result(30)
        second.result(30)
    assert done == [1]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (_processes, "BrokenProcessPool"),
        (_unused_processes, "BrokenProcessPool"),
        (_multiprocessing, "ValueError"),
        (_thread_pool, "ValueError"),
    ],
)
def test_pool_whose_workers_are_elsewhere_says_so(make: Callable[[], Any], error: str) -> None:
    """Whoever gives it work in a cell is told, and it goes on outside."""
    with make() as pool:
        failure = run("list(pool.map(abs, [-1]))", inputs={"pool": pool}, timeout=10).failure
        assert isinstance(failure, CellFailed), failure
        assert failure.name == error
        assert "made outside of the sandbox" in failure.text
        assert list(pool.map(abs, [-1])) == [1]


def test_pools_that_the_cell_makes_work_beside_one_of_the_notebook() -> None:
    """What refuses the notebook's lets the cell's through."""
    code = """
    import math, multiprocessing, warnings
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing.pool import ThreadPool
    warnings.simplefilter("ignore")
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(2, mp_context=fork) as futures, fork.Pool(2) as pool:
        got = [list(futures.map(math.sqrt, [0, 1, 4])), pool.map(math.sqrt, [0, 1, 4])]
    with ThreadPool(2) as threads:
        got.append(threads.map(math.sqrt, [0, 1, 4]))
    got
    """
    with _processes(), _multiprocessing():
        assert value(code) == [ROOTS, ROOTS, ROOTS]


def test_classes_of_pools_are_untouched_in_the_notebook() -> None:
    """What a cell sees of them is put in place in the cell."""
    before = ProcessPoolExecutor.submit, ThreadPoolExecutor.submit
    assert value("1") == 1
    assert (ProcessPoolExecutor.submit, ThreadPoolExecutor.submit) == before


def test_openmp_that_was_used_works_in_the_cell_and_afterwards(tmp_path: Path) -> None:
    """The pool of the notebook's main thread is ended before the fork; both make theirs anew."""
    region = parallel_region(tmp_path)
    for _ in range(2):
        assert region() == 3
        assert value("region()", inputs={"region": region}, timeout=10) == 3
        assert region() == 3


def test_openmp_that_was_used_in_another_thread_works_in_its_cell(tmp_path: Path) -> None:
    """The pool that matters is that of the thread that forks."""
    region = parallel_region(tmp_path)
    seen: list[int] = []

    def work() -> None:
        seen.append(region())
        seen.append(value("region()", inputs={"region": region}, timeout=10))

    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [3, 3, 3, 3]


POLARS = """
import polars
from kavach_ipy import CannotEnforce, Policy, Sandbox
def select(*, inside):
    code = "polars.DataFrame({'a': [1, 2]}).select(polars.col('a').sum()).item()"
    if inside:
        return Sandbox(Policy(timeout=10)).run(code, inputs={"polars": polars}).check().result
    return eval(code)
"""


def test_polars_that_was_imported_works() -> None:
    """And without a word: its own warning of forks is not for the user."""
    ran = python(f"{POLARS}\nprint(select(inside=True), select(inside=True))")
    assert (ran.stdout, ran.stderr) == ("3 3\n", "")


def test_polars_that_was_used_is_refused_and_nothing_runs() -> None:
    """The cell would wait for ever; in the notebook polars goes on."""
    program = f"""{POLARS}
select(inside=False)
try:
    select(inside=True)
except CannotEnforce as refusal:
    print(refusal.layer, "|", refusal.cause, "|", refusal.remedy)
print(select(inside=False))
"""
    said, outside = python(program).stdout.splitlines()
    assert said.startswith("a forked cell | this notebook has used polars (a thread of its pool")
    assert "--clean -i NAMES" in said
    assert outside == "3"


def test_warnings_of_a_fork_do_not_reach_the_user() -> None:
    """Python itself warns of the threads; polars and JAX do so in a hook."""
    program = """
    import os, sys, threading, warnings
    from kavach_ipy import Policy, Sandbox
    def warn():
        warnings.warn("fork() can cause this library to deadlock", RuntimeWarning, stacklevel=2)
    os.register_at_fork(before=warn)
    wait = threading.Event()
    threading.Thread(target=wait.wait, daemon=True).start()
    warnings.simplefilter("always")
    print(Sandbox(Policy(timeout=30)).run("1 + 1").check().result)
    warnings.warn("still heard", RuntimeWarning)
    """
    ran = python(program)
    assert ran.stdout == "2\n", ran.stderr
    assert "deadlock" not in ran.stderr
    assert "multi-threaded" not in ran.stderr
    assert "still heard" in ran.stderr


def test_warnings_filters_are_as_before() -> None:
    """What is silent during the fork is not silent afterwards."""
    before = list(warnings.filters)
    assert value("1") == 1
    assert warnings.filters == before
