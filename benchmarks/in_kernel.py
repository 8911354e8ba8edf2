"""What the benchmark runs inside a real kernel: interleaved rounds, all in one process.

Guarantees: each round measures a bare fork, a plain cell and a sandboxed cell one after the other,
so that whatever else the machine does falls on all three.
Assumes: executed in an ipykernel with kavach_ipy loaded; `ROUNDS`, `BALLAST` and `KIND` are set.
"""

from __future__ import annotations

import json
import os
import statistics
import time
import warnings
from collections.abc import Callable

ROUNDS: int
BALLAST: int
KIND: str


def bare_fork() -> None:
    """Fork this kernel, let the child exit at once, and wait for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def cell(source: str) -> Callable[[], None]:
    """Run one cell as the kernel does, without the messages."""

    def run() -> None:
        result = get_ipython().run_cell(source, silent=True)  # type: ignore[name-defined]
        result.raise_error()

    return run


def milliseconds(action: Callable[[], None]) -> float:
    """Measure one call by the clock."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


def ballast(size: int, kind: str) -> object:
    """Make the kernel hold `size` bytes: one array that was written, or many small objects."""
    if not size:
        return None
    if kind == "numpy":
        import numpy as np

        return np.ones(size // 8)
    # A float and its place in a list take 32 bytes; nothing else points to it.
    return [float(number) for number in range(size // 32)]


held = ballast(BALLAST, KIND)
actions = {
    "fork": bare_fork,
    "plain": cell("pass"),
    "sandbox": cell("%%sandbox --no-net\npass"),
}
for warm_up in actions.values():
    warm_up()
rounds = [{name: milliseconds(action) for name, action in actions.items()} for _ in range(ROUNDS)]
medians = {name: statistics.median(one[name] for one in rounds) for name in actions}
print(json.dumps(medians))
