"""A process of its own in which long programs are measured, each in a fork of it.

A process that has done other things has free memory, which a program would take without being seen.

Guarantees: a line for each program: its seconds, its memory in multiples of its size, its name.
Assumes: it is started for this; libraries are loaded and warm before the first fork.

Usage: ``python -m tests.fuzz.measuring SEED SIZE DRAWN``
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.wire import prices
from tests.fuzz.campaign import in_child, read
from tests.fuzz.programs import Program, Programs, long_programs
from tests.fuzz.worst import searched_programs, worst_programs

__all__ = ["main"]

_LITTLE = 100_000
# Drawn programs from which on a campaign is no short one.
_MANY = 50
_GROWN = 128 << 10


def main(seed: int, size: int, drawn: int) -> None:
    """Measure every program, and print what it took."""
    _warm_up()
    worst = worst_programs(size, is_short=drawn < _MANY)
    chance = islice(searched_programs(seed, size), drawn)
    for name, program in chain(long_programs(seed, size), worst, chance):
        told, code = in_child(lambda it=program: _measure(it))  # type: ignore[misc]
        row = told.strip() if not code and told else f"nan nan the child ended by {code} in"
        print(row, name, flush=True)


def _measure(program: Program) -> Iterator[str]:
    _begin(program)
    filled = _fill()
    # proc(5), /proc/pid/clear_refs: 5 sets the peak of the resident memory back.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmHWM")
    start = time.process_time()
    kept: object = None
    with suppress(OutputWithheld):
        kept = read(program)
    seconds = time.process_time() - start
    peak = _status("VmHWM")
    del kept, filled
    yield f"{seconds:.3f} {(peak - before) / program.size:.2f}"


def _begin(program: Program) -> None:
    """Read a little of a program: a fork has yet to map the code of the libraries that it calls."""
    floor, prices.FLOOR = prices.FLOOR, _LITTLE  # type: ignore[misc]
    parts = tuple(part[:_LITTLE] for part in program.buffers)
    with suppress(OutputWithheld):
        read(Program(program.data[:_LITTLE], parts))
    prices.FLOOR = floor  # type: ignore[misc]


def _fill() -> list[bytes]:
    """Take what is free in this process already, or nobody would see that it is used."""
    kept: list[bytes] = []
    for size in (*range(1, 480, 16), 1000, 4000, 30_000, 100_000):
        before = _resident()
        while _resident() - before < _GROWN:
            kept.extend(bytes(size) for _ in range(max(1, 32_768 // (size + 33))))
    return kept


def _resident() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def _warm_up() -> None:
    programs = Programs(0)
    for _ in range(200):
        with suppress(OutputWithheld):
            read(programs.next())


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) << 10
    raise AssertionError(field)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
