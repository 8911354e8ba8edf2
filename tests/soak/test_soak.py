"""The short form of ``make soak``: a minute of what runs for half an hour there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import prctl
import pytest

from tests.soak.broker_cells import broker_cells
from tests.soak.census import adopt_orphans, slope, take_census, wait_for_no_leftovers
from tests.soak.hostile_frames import hostile_frames
from tests.soak.kernel import rest, soaked_kernel
from tests.soak.many_cells import many_cells
from tests.soak.random_ends import random_ends
from tests.soak.random_policies import random_policies

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.slow,
    pytest.mark.needs("userns", "seccomp", "landlock", "overlay"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a cell of host root can walk to; this process adopts who is left."""
    was_subreaper = prctl.get_child_subreaper()
    adopt_orphans()
    try:
        with TemporaryDirectory(prefix="kavach-soak.", dir="/var/tmp") as name:
            Path(name).chmod(0o755)
            yield Path(name)
    finally:
        prctl.set_child_subreaper(was_subreaper)


def _holds(part: Callable[[Callable[[str], None]], list[str]]) -> None:
    said: list[str] = []
    wrong = part(said.append)
    assert wrong == [], "\n".join(said)


def test_nothing_adds_up_over_many_cells(folder: Path) -> None:
    """Descriptors, mounts, processes, threads, files and memory of one kernel stay as they were."""
    _holds(lambda say: many_cells(240, 1, folder, say, looks=6))


@pytest.mark.skipif(os.geteuid() != 0, reason="what is not dumpable shows itself to root alone")
def test_nothing_adds_up_where_every_cell_is_sandboxed(folder: Path) -> None:
    """Of a kernel that runs none itself, and of its session, with a snapshot before each cell."""
    _holds(lambda say: broker_cells(150, 1, folder, say, looks=5))


def test_cells_killed_at_random_leave_nothing(folder: Path) -> None:
    """Interrupts and kills of the cell, of init and of the kernel, at any moment."""
    _holds(lambda say: random_ends(16, 1, folder, say, ("interrupt", "cell", "init", "kernel")))


def test_forged_frames_never_surprise_the_kernel(folder: Path) -> None:
    """Each stream ends as a result, as the cell's failure, or as a cell that was stopped."""
    _holds(partial(hostile_frames, 8.0, 1, folder))


def test_random_policies_are_refused_or_kept(folder: Path) -> None:
    """What is planned is what the cell and the host's files show."""
    _holds(lambda say: random_policies(200, 15, 1, folder, say))


def test_census_sees_what_is_left(folder: Path) -> None:
    """A descriptor, a thread, a child, a file and another directory of the kernel are told."""
    with soaked_kernel(folder) as (kernel, places):
        pid = int(kernel.value("__import__('os').getpid()"))
        rest(kernel)
        before = take_census(pid, places)
        assert before.changes(take_census(pid, places)) == []
        for leak, name in {
            "import os; left = os.pipe()": "descriptors",
            "import threading; threading.Thread(target=threading.Event().wait).start()": "state",
            "import subprocess; child = subprocess.Popen(['sleep', '600'])": "children",
            "open('left', 'w').close()": "files",
            "os.umask(0); os.chdir('/')": "directory",
        }.items():
            assert kernel.run(leak).status == "ok"
            rest(kernel)
            told = before.changes(take_census(pid, places))
            assert [text for text in told if text.startswith(name)], (name, told)
        assert wait_for_no_leftovers(pid, 0)
        kernel.run("child.kill(); child.wait()")
        assert not wait_for_no_leftovers(pid, 5)


def test_slope_is_of_what_grows() -> None:
    """A leak in each cell shows, and one burst does not."""
    assert slope([(number, 100.0 + 2 * number) for number in range(20)]) == pytest.approx(2)
    burst = [(number, 100.0 + 1000 * (number == 7)) for number in range(20)]
    assert slope(burst) == 0
    assert slope([]) == 0
