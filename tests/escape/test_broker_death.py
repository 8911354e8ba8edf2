"""A kernel that sandboxes every cell is killed, whatever goes on: nothing of a cell lives on."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import prctl
import pytest

from tests.contract.cells import NEEDS, children, descendants
from tests.kernel.broker.conftest import PROGRAM
from tests.kernel.kernels import Kernel, Run, start_kernel

pytestmark = [pytest.mark.escape, pytest.mark.kernel, NEEDS]

_SECONDS = 10.0

# Their parents have gone, no signal but SIGKILL reaches them, and none comes with a parent's death.
_DAEMONS = """
import ctypes, os, signal, time
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        ctypes.CDLL(None).prctl(1, 0)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        while True:
            time.sleep(1)
"""
_IN_A_CELL = f"{_DAEMONS}\nprint('on', flush=True)\n"


@contextmanager
def _orphans() -> Iterator[Callable[[], list[int]]]:
    """Adopt what loses its parent: prctl(2), PR_SET_CHILD_SUBREAPER; whoever is left and is new."""
    before = set(descendants(os.getpid()))
    was_subreaper = prctl.get_child_subreaper()
    prctl.set_child_subreaper(True)

    def left() -> list[int]:
        new = [pid for pid in children(os.getpid()) if pid not in before]
        for pid in new:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        return [pid for pid in descendants(os.getpid()) if pid not in before]

    try:
        yield left
    finally:
        for pid in left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        prctl.set_child_subreaper(was_subreaper)


def _left_by(program: str, directory: Path, act: Callable[[Kernel], None], seconds: float) -> int:
    """How many processes a kernel leaves that is killed after ``act``, until none or too late."""
    with _orphans() as left:
        kernel = start_kernel(directory / "ipython", str(directory), program=program)
        try:
            act(kernel)
            os.kill(kernel.pid, signal.SIGKILL)
            limit = time.monotonic() + seconds
            while (pids := left()) and time.monotonic() < limit:
                _wait_for_one_of(pids, limit)
            return len(left())
        finally:
            kernel.close()


def _wait_for_one_of(pids: list[int], limit: float) -> None:
    """Until one has ended: the first process of a namespace waits for who reaps the others."""
    fds = []
    try:
        with suppress(ProcessLookupError):
            for pid in pids:
                fds.append(os.pidfd_open(pid))  # noqa: PERF401 - those before a failure are closed
            select.select(fds, [], [], max(0.0, limit - time.monotonic()))
    finally:
        for fd in fds:
            os.close(fd)


def _in_a_cell(then: str) -> Callable[[Kernel], None]:
    def act(kernel: Kernel) -> None:
        kernel.run("1")
        kernel.wait_for(kernel.start(f"{_IN_A_CELL}{then}"), "on", Run())

    return act


def _while_it_is_set_up(kernel: Kernel) -> None:
    known = len(descendants(kernel.pid))
    kernel.start(_DAEMONS)
    while len(descendants(kernel.pid)) == known:
        continue


def _between_cells(kernel: Kernel) -> None:
    kernel.run(_DAEMONS)
    kernel.run("1")


def _while_it_asks(kernel: Kernel) -> None:
    kernel.start(f"{_DAEMONS}\ninput()", allow_stdin=True)
    kernel.is_asked()


def _while_it_is_interrupted(kernel: Kernel) -> None:
    _in_a_cell("signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass")(kernel)
    kernel.manager.interrupt_kernel()


@pytest.mark.parametrize(
    "act",
    [
        _while_it_is_set_up,
        _between_cells,
        _while_it_asks,
        _while_it_is_interrupted,
        _in_a_cell("while True: time.sleep(1)"),
        _in_a_cell("while True: os.write(1, b'x')"),
        _in_a_cell("os.kill(os.getpid(), signal.SIGSTOP)"),
        _in_a_cell("os._exit(0)"),
    ],
    ids=[
        "set-up", "between", "question", "interrupt", "computes", "prints", "stopped", "goes back",
    ],
)  # fmt: skip
@pytest.mark.baseline("test_killed_kernel_leaves_what_its_cells_have_started")
def test_nothing_outlives_a_kernel_that_is_killed(
    act: Callable[[Kernel], None], tmp_path: Path
) -> None:
    """SIGKILL gives it no last word: neither the session, nor a snapshot, nor a daemon is left."""
    assert _left_by(PROGRAM, tmp_path, act, _SECONDS) == 0


def test_killed_kernel_leaves_what_its_cells_have_started(tmp_path: Path) -> None:
    """An ordinary one: its daemons go on."""
    assert _left_by("-m ipykernel_launcher", tmp_path, _between_cells, 1.0) == 2
