"""Thousands of cells in one real kernel: nothing adds up.

Guarantees: every measure is taken from outside, between two cells; what must be equal is compared
with the look after the warm-up, and what may move is judged by its slope.
Assumes: called in a process that adopted orphans (`census.adopt_orphans`).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.kernel.kernels import Kernel, Run
from tests.soak.census import (
    HOST_COUNTERS,
    Census,
    judge,
    take_census,
    wait_for_no_leftovers,
)
from tests.soak.kernel import rest, soaked_kernel
from tests.soak.mixture import CELLS, TOKEN, Cell

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
    draw = random.Random(seed)
    wrong: list[str] = []
    with soaked_kernel(folder) as (kernel, places):
        pid = int(kernel.value("__import__('os').getpid()"))
        unit = [cell for cell in CELLS for _ in range(cell.share)]
        warm_up = [*CELLS, *draw.choices(unit, k=cells // 8)]
        for cell in warm_up:
            wrong += _run(kernel, cell)
        history = [(0, _look(kernel, pid, places))]
        ran: Counter[str] = Counter()
        start = time.monotonic()
        for number in range(1, cells + 1):
            cell = draw.choice(unit)
            ran[cell.name] += 1
            wrong += _run(kernel, cell)
            if number % max(1, cells // looks) == 0:
                history.append((number, _look(kernel, pid, places, history[0][1])))
                rate = number / (time.monotonic() - start)
                say(f"  {number} of {cells} cells, {rate:.0f} a second, {len(wrong)} wrong")
                if len(wrong) > 20:
                    break
        say(f"  kinds: {', '.join(f'{name} {count}' for name, count in sorted(ran.items()))}")
        return wrong + _judge(history, say)


def _run(kernel: Kernel, cell: Cell) -> list[str]:
    run = kernel.run(cell.code)
    told = "ok" if run.status == "ok" else _words(run)
    return [] if cell.ends in told else [f"cell {cell.name}: {told!r:.300}, not {cell.ends!r}"]


def _words(run: Run) -> str:
    return f"{run.reply['ename']}: {run.reply['evalue']} {run.stderr}"


def _look(kernel: Kernel, pid: int, places: list[Path], first: Census | None = None) -> Census:
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
    first = history[0][1]
    wrong = [
        f"after {number} cells, {change}"
        for number, census in history[1:]
        for change in first.changes(census)
    ]
    bounds = dict(BOUNDS)
    for name in HOST_COUNTERS:
        bounds[name] = max(bounds[name], _HOST_SLACK / history[-1][0])
        if history[-1][0] < _MANY:
            # Other programs open and close files meanwhile; only many cells outweigh them.
            del bounds[name]
    return wrong + judge(history, bounds, say)
