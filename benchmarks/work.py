"""What the cost of confinement is measured by: work of the processor, and reads of small files.

Guarantees: the same functions run inside and outside, called from the same notebook.
Assumes: executed in an ipykernel with kavach_ipy loaded; `ROUNDS`, `FOLDER` and `PACKAGES` are set.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROUNDS: int
FOLDER: str
PACKAGES: str

_FILES = 10_000


def nbody(steps: int = 240_000) -> None:
    """Arithmetic on floats: five bodies, as the benchmarks game has them."""
    bodies = [[float(n), n * 1.1, n * 0.7, 0.01 * n, 0.02, -0.01 * n, 1.0 + n] for n in range(5)]
    pairs = [(a, b) for index, a in enumerate(bodies) for b in bodies[index + 1 :]]
    for _ in range(steps // 10):
        for a, b in pairs:
            dx, dy, dz = a[0] - b[0], a[1] - b[1], a[2] - b[2]
            pull = 0.001 / (dx * dx + dy * dy + dz * dz + 0.01) ** 1.5
            for axis, distance in enumerate((dx, dy, dz), 3):
                a[axis] -= distance * b[6] * pull
                b[axis] += distance * a[6] * pull
        for body in bodies:
            for axis in range(3):
                body[axis] += 0.001 * body[axis + 3]


def documents(times: int = 120) -> None:
    """Documents of JSON, written and read."""
    rows = [{"id": n, "name": f"row {n}", "values": [n * 0.5, None, True]} for n in range(1000)]
    for _ in range(times):
        assert json.loads(json.dumps(rows))[-1]["id"] == 999


def expressions(times: int = 90) -> None:
    """Regular expressions over a text of 60 KiB."""
    text = "alpha beta-42 gamma@delta.example, 2026-11-26; " * 1300
    pattern = re.compile(r"(\w+)@(\w+\.\w+)|(\d{4})-(\d\d)-(\d\d)")
    for _ in range(times):
        assert sum(1 for _ in pattern.finditer(text)) == 2600


def dictionaries(times: int = 12) -> None:
    """Words counted in dictionaries, sorted, and thrown away."""
    for _ in range(times):
        counts: dict[str, int] = {}
        for number in range(60_000):
            key = f"k{number * 7919 % 10_007}"
            counts[key] = counts.get(key, 0) + 1
        assert len(sorted(counts.items(), key=lambda item: -item[1])) == 10_007


def matrices(times: int = 32) -> None:
    """Products of numpy, on as many threads as its library likes."""
    left = np.ones((900, 900))
    for _ in range(times):
        left = left @ left / 900.0
    assert left[0, 0] == 1.0


def read_all(paths: list[str]) -> None:
    """Open, read and close each file."""
    for path in paths:
        with open(path, "rb") as file:
            file.read()


def _project() -> list[str]:
    folder = Path(FOLDER)
    folder.mkdir(exist_ok=True)
    for number in range(_FILES):
        (folder / f"file-{number:05}").write_bytes(b"x" * 1000)
    return [str(folder / f"file-{number:05}") for number in range(_FILES)]


def _packages() -> list[str]:
    files = [path for path in Path(PACKAGES).rglob("*.py") if path.stat().st_size < 16_000]
    return (sorted(map(str, files)) * _FILES)[:_FILES]


project_files, package_files = _project(), _packages()
work: dict[str, Callable[[], None]] = {
    "nbody": nbody,
    "json": documents,
    "regular expressions": expressions,
    "dictionaries": dictionaries,
    "numpy matmul": matrices,
    "10,000 files of the working directory": lambda: read_all(project_files),
    "10,000 files of site-packages": lambda: read_all(package_files),
}
# What a cell reads first it looks up first, in an overlay that is as new as the cell is.
REPEATED = "the same 10,000 files of the working directory again"
work[REPEATED] = lambda: read_all(project_files)


def seconds(name: str) -> float:
    """Time one piece of work by the clock, where it runs."""
    if name == REPEATED:
        work[name]()
    start = time.perf_counter()
    work[name]()
    return time.perf_counter() - start


def cell(source: str) -> float:
    """Run a cell that leaves its time in `took`."""
    shell = get_ipython()  # type: ignore[name-defined]
    shell.run_cell(source, silent=True).raise_error()
    return float(shell.user_ns["took"])


def ratios(name: str) -> dict[str, float]:
    """Inside against outside: medians of rounds that run both, each first as often as the other."""
    sources = {
        "outside": f"took = seconds({name!r})",
        "inside": f"%%sandbox --no-net --cpu 600s -o took\ntook = seconds({name!r})",
    }
    rounds = []
    for number in range(ROUNDS + 1):
        order = sorted(sources, reverse=bool(number % 2))
        rounds.append({side: cell(sources[side]) for side in order})
    # The first round fills caches.
    measured = rounds[1:]
    return {
        "outside": statistics.median(one["outside"] for one in measured) * 1e3,
        "inside": statistics.median(one["inside"] for one in measured) * 1e3,
        "ratio": statistics.median(one["inside"] / one["outside"] for one in measured),
    }


print(json.dumps({name: ratios(name) for name in work}))
