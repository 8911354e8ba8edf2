"""What a checkpoint costs a cell of a session: ``make bench-checkpoints``.

Two sessions, one with checkpoints and one without, take cells in turn; each waits a little between
two cells, as a person does, or not at all. Beside them stands a bare fork of the session's own
process, measured in it. Times are this machine's; ratios are what may be compared.

Guarantees: nothing is left running.
Assumes: the package is installed.
"""

from __future__ import annotations

import statistics
import sys
import time

from kavach_ipy.launch.sessions import Sessions
from kavach_ipy.policy import Policy
from kavach_ipy.sandbox import Sandbox

ROUNDS = 60
PAUSE_SECONDS = 0.03
FORK = """
import os, time
def milliseconds():
    start = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return (time.perf_counter() - start) * 1e3
sorted(milliseconds() for _ in range(31))[15]
"""
BALLAST = {
    "small": "held = None",
    "1 GiB in one array": "held = bytearray(b'1') * (1 << 30)",
    "a million objects": "held = [str(number) for number in range(1_000_000)]",
}


class Side:
    """One session."""

    def __init__(self, *, checkpoint: bool) -> None:
        self.sessions = Sessions(checkpoint=checkpoint)
        self.box = Sandbox(Policy(session="s", timeout=60), sessions=self.sessions)

    def cell(self, code: str) -> float:
        """Run a cell; milliseconds."""
        start = time.perf_counter()
        self.box.run(code).check()
        return (time.perf_counter() - start) * 1e3


def measure(ballast: str, pause: float) -> tuple[float, float, float]:
    """Medians in milliseconds: a cell with a checkpoint, one without, a bare fork."""
    sides = (Side(checkpoint=True), Side(checkpoint=False))
    try:
        for side in sides:
            side.cell(ballast)
            side.cell("1")
        fork = sides[1].box.run(FORK).check().result
        assert isinstance(fork, float)
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for side, found in zip(sides, times, strict=True):
                time.sleep(pause)
                found.append(side.cell("1"))
        return statistics.median(times[0]), statistics.median(times[1]), fork
    finally:
        for side in sides:
            side.sessions.end_all()


def main() -> None:
    """Print the table."""
    print_row = sys.stdout.write
    print_row(f"{'a session that holds':<22} {'between cells':<14} with  without  fork  in forks\n")
    for name, ballast in BALLAST.items():
        for pause in (PAUSE_SECONDS, 0.0):
            with_one, without, fork = measure(ballast, pause)
            between = f"{pause * 1e3:.0f} ms" if pause else "nothing"
            forks = (with_one - without) / fork
            print_row(
                f"{name:<22} {between:<14} {with_one:4.1f}  {without:7.1f}  {fork:4.1f}"
                f"  {forks:8.1f}\n"
            )


if __name__ == "__main__":
    main()
