"""Thousands of cells in one real kernel: nothing adds up.

Guarantees: every measure is taken from outside, between two cells; what must be equal is compared
with the look after the warm-up, and what may move is judged by its slope.
Assumes: called in a process that adopted orphans (`census.adopt_orphans`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.kernel.kernels import Kernel
from tests.soak.census import (
    HOST_COUNTERS,
    Census,
    judge,
    take_census,
    wait_for_no_leftovers,
)
from tests.soak.kernel import rest, soaked_kernel
from tests.soak.mixture import CELLS, TOKEN, Cell
from tests.soak.running import changes_in, not_as_due, run_mixture

__all__ = ["BOUNDS", "many_cells"]

BOUNDS = {
    # A notebook's own history takes about 1 KiB a cell: source, prompt number and Out[n].
    "anonymous memory, KiB": 4.0,
    "shared memory, KiB": 0.5,
    "address space, KiB": 16.0,
    "mappings": 0.02,
    "objects of Python": 12.0,
    # One leak in every cell would be 1.0, of a mount namespace 25 mounts.
    **dict.fromkeys(HOST_COUNTERS, 0.05),
}
"""What a measure may grow by with each cell."""

# The kernel frees slabs in bunches and after a while, and others work on the same machine.
_HOST_SLACK = 150.0
_MANY = 1000
_ANSWER_SECONDS = 2.0
_SETTLE_SECONDS = 3.0


def many_cells(
    cells: int, seed: int, folder: Path, say: Callable[[str], None], looks: int = 20
) -> list[str]:
    """Run `cells` cells of the mixture and measure between them; what did not hold.

    Args:
        cells: after a warm-up of an eighth of them, at least one of each kind.
        seed: for the order.
        folder: for the kernel's home, directory and temporary files.
        say: takes lines of progress.
        looks: how many times everything is measured.
    """
    with soaked_kernel(folder) as (kernel, places):
        pid = int(kernel.value("__import__('os').getpid()"))

        def run(cell: Cell) -> list[str]:
            return not_as_due(cell.name, kernel.run(cell.code), cell.ends)

        def look(first: Census | None) -> Census:
            return _look(kernel, pid, places, first)

        wrong, history = run_mixture(CELLS, cells, random.Random(seed), run, look, say, looks)
        return wrong + _judge(history, say)


def _look(kernel: Kernel, pid: int, places: list[Path], first: Census | None) -> Census:
    """Look when the kernel is idle; again, for a moment, where something differs from the first."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        rest(kernel)
        start = time.monotonic()
        objects = kernel.value("(__import__('gc').collect(), len(__import__('gc').get_objects()))")
        answered = time.monotonic() - start
        census = take_census(pid, places, TOKEN)
        census.flat["objects of Python"] = float(objects.rpartition(" ")[2].strip(")"))
        census.exact["answer"] = "in time" if answered < _ANSWER_SECONDS else f"{answered:.1f} s"
        census.exact["processes"] = wait_for_no_leftovers(pid, 0)
        if first is None or not first.changes(census) or time.monotonic() > deadline:
            return census


def _judge(history: list[tuple[int, Census]], say: Callable[[str], None]) -> list[str]:
    bounds = dict(BOUNDS)
    for name in HOST_COUNTERS:
        bounds[name] = max(bounds[name], _HOST_SLACK / history[-1][0])
        if history[-1][0] < _MANY:
            # Other programs open and close files meanwhile; only many cells outweigh them.
            del bounds[name]
    return changes_in(history) + judge(history, bounds, say)
