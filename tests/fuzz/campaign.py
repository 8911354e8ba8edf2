"""A campaign: programs that are read in children of their own, under an address-space limit.

Guarantees: a crash, a hang, or anything but a value or `OutputWithheld` is told with the seed and
the number of the program that caused it; the campaign's own process never reads a program.
Assumes: Linux; one thread in this process when a child is forked.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate.reader import read_pickle
from tests.fuzz.programs import Program, Programs

__all__ = [
    "FACTOR",
    "SECONDS",
    "Measured",
    "confine",
    "fuzz",
    "in_child",
    "measure",
    "read",
    "show",
]

SECONDS = 2.0
"""A program may take this long, by the processor's clock."""
FACTOR = 4.0
"""And this many times its size in memory."""
_HANGS = 60
_BATCH = 10_000
_ROOM = 2 << 30

Measured = tuple[str, float, float]
"""A long program's name, its seconds, and the memory it took in multiples of its size."""


def fuzz(count: int, seed: int, say: Callable[[str], None]) -> list[str]:
    """Read `count` programs; return a sentence for each thing that must not be.

    Args:
        count: programs in all, 10,000 a child.
        seed: decides all programs.
        say: hears the progress.
    """
    wrong: list[str] = []
    start = time.monotonic()
    # Values, refusals.
    totals = [0, 0]
    for first in range(0, count, _BATCH):
        size = min(_BATCH, count - first)
        told, code = in_child(lambda at=first, n=size: _batch(at, n, seed))  # type: ignore[misc]
        lines = told.splitlines()
        wrong += [line for line in lines if not line.startswith(("at ", "done "))]
        done = [line.split() for line in lines if line.startswith("done ")]
        if code or not done:
            last = [line for line in lines if line.startswith("at ")][-1:]
            wrong.append(f"seed {seed}: the child ended by {code} near program {last}")
            continue
        totals = [total + int(text) for total, text in zip(totals, done[0][1:], strict=True)]
        if first // _BATCH % 10 == 9:
            pace = (first + size) / (time.monotonic() - start)
            say(f"  {first + size} programs, {totals[0]} values, {pace:.0f} a second")
    say(f"  {count} programs: {totals[0]} were values, {totals[1]} were withheld")
    if sum(totals) != count:
        wrong.append(f"seed {seed}: {count - sum(totals)} programs have no verdict")
    return wrong


def measure(seed: int, size: int, drawn: int = 100) -> tuple[list[Measured], list[str]]:
    """Read hostile programs of `size` bytes; return what each took, and what must not be.

    Args:
        seed: decides what is drawn.
        size: of each, in bytes; a MiB, as less may take the floor of the account.
        drawn: how many are put together by chance, besides those that were thought of.
    """
    measured: list[Measured] = []
    wrong: list[str] = []
    command = [sys.executable, "-m", "tests.fuzz.measuring", *map(str, (seed, size, drawn))]
    run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1800)
    for line in run.stdout.splitlines():
        first, second, name = line.split(" ", 2)
        seconds, memory = float(first), float(second)
        measured.append((name, seconds, memory))
        # NaN, where the child has died, is neither.
        if not seconds <= SECONDS:
            wrong.append(f"seed {seed}, {name}: {size} bytes took {seconds:.1f} s")
        if not memory <= FACTOR:
            wrong.append(f"seed {seed}, {name}: {size} bytes took {memory:.1f} times the memory")
    return measured, wrong


def in_child(work: Callable[[], Iterator[str]]) -> tuple[str, str]:
    """Run `work` in a fork; return what it said, and how it ended if not well."""
    read, write = os.pipe()
    sys.stdout.flush()
    with warnings.catch_warnings():
        # The libraries' idle threads are not used before the fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(read)
            confine()
            for line in work():
                os.write(write, f"{line}\n".encode())
            code = 0
        except BaseException:
            os.write(write, traceback.format_exc().replace("\n", " | ").encode() + b"\n")
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, encoding="utf-8", errors="replace") as stream:
        told = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    ended = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit {status}"
    return told, ended if status else ""


def confine(*, is_silent: bool = True) -> None:
    """Bound the memory, and hear no word of what the libraries say of broken input."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    room = pages * resource.getpagesize() + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if is_silent:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
    warnings.simplefilter("ignore")


def _batch(first: int, count: int, seed: int) -> Iterator[str]:
    programs = Programs(f"{seed}/{first}")
    values = withheld = 0
    for number in range(first, first + count):
        if number % 100 == 0:
            yield f"at {number}"
            # setitimer(2) would be caught by a handler; alarm(2) without one ends the child.
            signal.alarm(_HANGS)
        program = programs.next()
        start = time.process_time()
        try:
            value = read(program)
            values += 1
            show(value)
            del value
        except OutputWithheld:
            withheld += 1
        except BaseException as error:
            yield f"seed {seed}, program {number}: {type(error).__name__}: {str(error)[:200]}"
        took = time.process_time() - start
        if took > SECONDS:
            yield f"seed {seed}, program {number}: took {took:.1f} s"
    yield f"done {values} {withheld}"


def show(value: object) -> None:
    """Walk through what came out, as a notebook does that shows it."""
    # pandas has times beyond the year 9999 and cannot print them, honest ones neither.
    with suppress(NotImplementedError):
        repr(value)


def read(program: Program) -> object:
    """Read a program as the kernel would."""
    return read_pickle(program.data, [memoryview(bytearray(part)) for part in program.buffers])
