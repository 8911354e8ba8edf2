"""Thousands of cells through one kernel that sandboxes every cell: nothing adds up on either side.

Guarantees: every measure is taken from outside, of the kernel's process and of its session's; what
must be equal is compared with the look after the warm-up, and what may move is judged by its slope.
Assumes: called in a process that adopted orphans (`census.adopt_orphans`).
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.contract.cells import descendants
from tests.kernel.kernels import DEADLINE, Kernel, start_kernel
from tests.soak.census import Census, judge, take_census
from tests.soak.mixture import BROKER_CELLS, TOKEN, BrokerCell
from tests.soak.running import changes_in, not_as_due, run_mixture

__all__ = ["broker_cells"]

# The kernel's process keeps each cell's source, for the history, and the session its result, too.
_KERNEL_BOUNDS = {
    "anonymous memory, KiB": 2.0,
    "shared memory, KiB": 0.2,
    "address space, KiB": 8.0,
    "mappings": 0.01,
}
# What came of the latest thousand requests can still be told (front.origins): until then it grows.
_KNOWN = 1000
# And one heap of malloc's that is begun meanwhile is much for each of a few cells.
_WHILE_FEW = {"anonymous memory, KiB": 10.0, "address space, KiB": 100.0, "mappings": 0.1}
_SESSION_BOUNDS = {
    "anonymous memory, KiB": 4.0,
    "address space, KiB": 16.0,
    "mappings": 0.02,
}
_SETTLE_SECONDS = 3.0
_MOMENT = 0.2
# IPython 9 keeps all that cells print, and their errors, until it is told to forget them.
_REST = (
    "([getattr(get_ipython().history_manager, name, {}).clear() for name in"
    " ('outputs', 'exceptions')], __import__('gc').collect(), __import__('os').getpid())[-1]"
)
_PROGRAM = "-P -m kavach_ipy.kernel"


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at both processes."""

    kernel: Census
    session: Census

    def changes(self, later: _Look) -> list[str]:
        """What is not as it was."""
        return [
            f"{name}: {change}"
            for name, before, after in (
                ("kernel", self.kernel, later.kernel),
                ("session", self.session, later.session),
            )
            for change in before.changes(after)
        ]


def broker_cells(
    cells: int,
    seed: int,
    folder: Path,
    say: Callable[[str], None],
    looks: int = 20,
    *,
    checkpoint: str = "auto",
) -> list[str]:
    """Run `cells` cells of the mixture and measure between them; what did not hold.

    Args:
        cells: after a warm-up of an eighth of them, at least one of each kind.
        seed: for the order.
        folder: for the kernel's home, directory and temporary files.
        say: takes lines of progress.
        looks: how many times everything is measured.
        checkpoint: whether a snapshot is made before each cell, as in ``c.Kavach.checkpoint``.
    """
    kinds = [cell for cell in BROKER_CELLS if checkpoint == "auto" or not cell.ends_session]
    kernel, places = _start(folder, checkpoint)

    def run(cell: BrokerCell) -> list[str]:
        return _run(kernel, cell)

    def look(first: _Look | None) -> _Look:
        return _look(kernel, places, first)

    try:
        wrong, history = run_mixture(kinds, cells, random.Random(seed), run, look, say, looks)
    finally:
        kernel.close()
    wrong += changes_in(history)
    say("  the kernel's process")
    bounds = _KERNEL_BOUNDS if cells // 8 >= _KNOWN else {**_KERNEL_BOUNDS, **_WHILE_FEW}
    wrong += judge([(number, look.kernel) for number, look in history], bounds, say)
    say("  the session's")
    bounds = _SESSION_BOUNDS if cells // 8 >= _KNOWN else {**_SESSION_BOUNDS, **_WHILE_FEW}
    wrong += judge([(number, look.session) for number, look in history], bounds, say)
    return wrong


def _start(folder: Path, checkpoint: str) -> tuple[Kernel, list[Path]]:
    places = [folder / name for name in ("home", "project", "temporary")]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o777)
    home, project, temporary = map(str, places)
    program = f"{_PROGRAM} --Kavach.checkpoint={checkpoint}"
    kernel = start_kernel(folder / "ipython", project, program=program, HOME=home, TMPDIR=temporary)
    loaded = kernel.run("import numpy, pandas")
    assert loaded.status == "ok", loaded
    # The first message of more than 64 KiB makes pyzmq start a thread, and a context for it, which
    # stay (zmq.utils.garbage).
    assert len(kernel.run("print('x' * (1 << 20))").stdout) > 1 << 20
    # jedi reads its own files first, for longer than a completion may take.
    limit = time.monotonic() + DEADLINE
    while "print" not in kernel.complete("prin"):
        assert time.monotonic() < limit
    return kernel, places


def _run(kernel: Kernel, cell: BrokerCell) -> list[str]:
    if cell.completes:
        found = kernel.complete(cell.code)
        # Nothing, where it took too long: jedi looks at every name, and IPython makes two a cell.
        is_due = not found or cell.ends in found
        return [] if is_due else [f"{cell.name}: no {cell.ends!r} in {found!r:.300}"]
    run = kernel.run(cell.code, allow_stdin=False)
    return not_as_due(cell.name, run, cell.ends)


def _look(kernel: Kernel, places: list[Path], first: _Look | None) -> _Look:
    """Look when both are idle; again, for a moment, where something differs from the first."""
    inside = kernel.value(_REST)
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        # What is left of the request is a snapshot, which is being made.
        kernel.wait_on_control(_MOMENT)
        session = _session_of(kernel.pid, int(inside))
        look = _Look(_census(kernel.pid, places), _census(session))
        if first is None or not first.changes(look) or time.monotonic() > deadline:
            return look


def _census(pid: int, places: list[Path] | None = None) -> Census:
    """Look at a process whose children may be others each time: their number counts."""
    census = take_census(pid, places or [], TOKEN if places else "")
    census.exact["children"] = len(descendants(pid))
    found = census.exact["descriptors"]
    assert isinstance(found, dict)
    # A look at the session's memory may be under way, or have come before a cell that was long.
    census.exact["descriptors"] = {
        name: count for name, count in found.items() if not name.endswith("/smaps_rollup")
    }
    return census


def _session_of(kernel: int, inside: int) -> int:
    """The process that runs cells: the one that has this number in its namespace."""
    own = os.readlink(f"/proc/{kernel}/ns/pid")
    for pid in descendants(kernel):
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        numbers = re.search(r"^NSpid:\t(.*)$", status, re.MULTILINE)
        assert numbers is not None
        if int(numbers[1].split()[-1]) == inside and os.readlink(f"/proc/{pid}/ns/pid") != own:
            return pid
    raise AssertionError(f"no descendant of {kernel} is {inside} to itself")
