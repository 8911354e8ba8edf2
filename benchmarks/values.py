"""Values on their way back, against stock pickle and one bare copy: ``make bench-values``.

All numbers come from one run on one machine. "End to end" is a whole sandboxed cell, set-up
included; the parent's share is what it does with a value after the sandbox is dead.

Guarantees: the exit code is 0 when every number that a bound is set for keeps it.
Assumes: the package, numpy and pandas are installed, and some 4 GiB of memory are free.
"""

from __future__ import annotations

import mmap
import os
import pickle
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from run import Row

from kavach_ipy import Policy, Sandbox
from kavach_ipy.gate.allowance import Allowance
from kavach_ipy.gate.values import read_value
from kavach_ipy.wire.arena import Arena, ArenaWriter
from kavach_ipy.wire.values import encode_value

GIB = 1 << 30
ROUNDS = 5


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the median of several runs; what a run returns is freed outside its time."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        made = work()
        taken.append(time.perf_counter() - start)
        del made
    return statistics.median(taken)


def copy_into_memfd(array: np.ndarray[Any, Any]) -> None:
    """Do what the child must do at least, once."""
    fd = os.memfd_create("copy")
    os.ftruncate(fd, array.nbytes)
    with mmap.mmap(fd, array.nbytes) as shared:
        target = np.frombuffer(shared, array.dtype).reshape(array.shape)
        np.copyto(target, array)
        del target
    os.close(fd)


def through_stock(value: object) -> object:
    """Pickle and unpickle, buffers in band, as everybody does."""
    return pickle.loads(pickle.dumps(value, 5))


def through_gate(value: object) -> tuple[float, float, float]:
    """Return the seconds of the writer, of the seal, and of the reader; medians."""
    parts: list[tuple[float, float, float]] = []
    for _ in range(ROUNDS):
        with Arena.create(4 * GIB) as arena:
            start = time.perf_counter()
            writer = ArenaWriter(arena.fd, arena.limit)
            frame = encode_value("x", value, writer)
            writer.finish()
            written = time.perf_counter()
            with arena.seal() as sealed:
                at_rest = time.perf_counter()
                made = read_value(frame, sealed, frozenset({"x"}), Allowance())
                read = time.perf_counter()
        assert type(made[1]) is type(value), made[1]
        del made
        parts.append((written - start, at_rest - written, read - at_rest))
    columns = list(zip(*parts, strict=True))
    return (
        statistics.median(columns[0]),
        statistics.median(columns[1]),
        statistics.median(columns[2]),
    )


def array_rows() -> list[Row]:
    """A GiB of doubles, through a whole cell."""
    array = np.ones(GIB // 8)
    copied = seconds(lambda: copy_into_memfd(array))
    box = Sandbox(Policy(memory="4G"))

    def cell() -> object:
        return box.run("", inputs={"a": array}, out=["a"]).check().values["a"]  # noqa: PD011 - an Outcome's

    whole = seconds(cell)
    write, seal, read = through_gate(array)
    return [
        Row("1 GiB float64: one np.copyto into a memfd", copied * 1000, "ms"),
        Row("1 GiB float64: the child's write", write * 1000, "ms"),
        Row("1 GiB float64: end to end, a whole cell", whole * 1000, "ms"),
        Row("1 GiB float64: end to end ÷ one copy", whole / copied, "x", 1.5),
        Row("1 GiB float64: the parent's share", (seal + read) * 1000, "ms", 5.0),
    ]


def frame() -> pd.DataFrame:
    """A million rows of floats, ints, texts, times and categories."""
    rows = 1_000_000
    rng = np.random.default_rng(1)
    numbers = rng.integers(0, 1_000_000, rows)
    return pd.DataFrame(
        {
            "float": rng.normal(size=rows),
            "int": numbers,
            "str": [f"name {number}" for number in numbers],
            "time": np.datetime64("2024-01-01", "ns") + numbers.astype("m8[s]"),
            "category": pd.Categorical.from_codes(numbers % 50, [f"c{at:02}" for at in range(50)]),
        }
    )


def against_stock(name: str, value: object, bound: float) -> list[Row]:
    """Compare a value's way through writer, arena and reader with stock pickle's."""
    stock = seconds(lambda: through_stock(value))
    write, seal, read = through_gate(value)
    return [
        Row(f"{name}: pickle.dumps + loads", stock * 1000, "ms"),
        Row(f"{name}: the child's share", write * 1000, "ms"),
        Row(f"{name}: the parent's share", (seal + read) * 1000, "ms"),
        Row(f"{name}: both ÷ stock", (write + seal + read) / stock, "x", bound),
    ]


def main() -> int:
    """Measure, print the table, and say whether every bound was kept."""
    table = frame()
    objects = table.astype({"str": object})
    rows = [
        *array_rows(),
        *against_stock("frame of 1,000,000 rows", table, 1.5),
        *against_stock("the same, str as objects", objects, 1.5),
        *against_stock("list of 1,000,000 ints", list(range(1_000_000)), 3.0),
        *against_stock(
            "dict of 100,000 short strings",
            {f"key {at}": f"value {at}" for at in range(100_000)},
            3.0,
        ),
    ]
    print("\n".join(map(str, rows)))
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
