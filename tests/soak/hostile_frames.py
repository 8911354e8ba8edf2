"""A hostile child against a real kernel: whatever it sends, the kernel's answer is one of three.

Guarantees: judged twice: in the kernel, by the class of what a cell raised and by what it brought
back; and from outside, by what the kernel has and how fast it answers.
Assumes: `assault` runs in an ipykernel with kavach_ipy loaded, `hostile_frames` outside of it.
"""

from __future__ import annotations

import gc
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kavach_ipy.errors import CellFailed, CellStopped
from kavach_ipy.gate.withheld import Withheld
from tests.soak.census import Census, slope, take_census, wait_for_no_leftovers
from tests.soak.forgery import ASKED, Forger
from tests.soak.kernel import rest, soaked_kernel
from tests.soak.mixture import TOKEN

__all__ = ["assault", "hostile_frames"]

_TIMEOUT = 3.0
_SLOWEST = _TIMEOUT + 4.0
_LIMITS = {"protocol", "output", "messages", "exit", "timeout", "signal", "memory", "cpu"}
_BATCH_SECONDS = 10.0
_ANSWER_SECONDS = 2.0
_GROWTH = 2.0
"""KiB of the kernel's own memory with each stream, over many."""

_MANY = 3000

_CELL = f"%%sandbox -o {','.join(ASKED)} --timeout {_TIMEOUT:.0f}s --memory 256M\nforged.send()"


def assault(shell: Any, seed: int, seconds: float) -> None:
    """Let cells send forged streams for a while, and print what did not hold as JSON."""
    forger = Forger(random.Random(seed))
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    slowest, number = 0.0, 0
    until = time.monotonic() + seconds
    known = set(shell.user_ns)
    while time.monotonic() < until and len(wrong) < 5:
        number += 1
        shell.user_ns["forged"] = forger.forge()
        start = time.monotonic()
        result = shell.run_cell(_CELL, silent=True)
        took = time.monotonic() - start
        slowest = max(slowest, took)
        error = result.error_before_exec or result.error_in_exec
        ends[_end_of(error)] += 1
        about = f"seed {seed}, stream {number}"
        if not _may_raise(error):
            wrong.append(f"{about}: {type(error).__mro__[1:3]} {error!r:.300}")
        if took > _SLOWEST:
            wrong.append(f"{about}: took {took:.1f} s")
        wrong += [f"{about}: {text}" for text in _values(shell, known)]
    gc.collect()
    report = {"streams": number, "ends": ends, "wrong": wrong, "slowest": slowest}
    # Cells print, too; a line of its own, with a word that no forged text holds.
    print(f"\nassault-report:{json.dumps(report)}", flush=True)


def hostile_frames(
    seconds: float, seed: int, folder: Path, say: Callable[[str], None]
) -> list[str]:
    """Let hostile cells send for `seconds`; what did not hold.

    Args:
        seconds: in batches of ten; each batch has a seed of its own, which is told when it fails.
        seed: the first batch's.
        folder: for the kernel's files.
        say: takes lines of progress.
    """
    wrong: list[str] = []
    ends: Counter[str] = Counter()
    streams, slowest = 0, 0.0
    with soaked_kernel(folder) as (kernel, places):
        pid = int(kernel.value("__import__('os').getpid()"))
        loaded = kernel.run("from tests.soak.hostile_frames import assault\n")
        assert loaded.status == "ok", loaded
        batch = min(_BATCH_SECONDS, seconds / 4)
        history: list[tuple[int, Census]] = []
        until = time.monotonic() + seconds
        while time.monotonic() < until and len(wrong) < 20:
            run = kernel.run(f"assault(get_ipython(), {seed}, {batch})", store_history=False)
            if run.status != "ok":
                wrong.append(f"seed {seed}: {run.reply}"[:500])
                break
            report = json.loads(run.stdout.rpartition("assault-report:")[2].splitlines()[0])
            wrong += report["wrong"]
            ends.update(report["ends"])
            streams += report["streams"]
            slowest = max(slowest, report["slowest"])
            rest(kernel)
            start = time.monotonic()
            assert kernel.value("1 + 1") == "2"
            if time.monotonic() - start > _ANSWER_SECONDS:
                wrong.append(f"after seed {seed} the kernel answered only after a while")
            if left := wait_for_no_leftovers(pid, 0):
                wrong.append(f"after seed {seed}, left behind: {left}")
            history.append((streams, take_census(pid, places, TOKEN)))
            wrong += [f"seed {seed}: {text}" for text in history[0][1].changes(history[-1][1])]
            seed += 1
            if seed % 6 == 0:
                say(f"  {streams} streams, {len(wrong)} wrong")
    growth = slope([(at, census.flat["anonymous memory, KiB"]) for at, census in history[1:]])
    say(f"  ends: {', '.join(f'{name} {count}' for name, count in ends.most_common())}")
    say(f"  {streams} streams, the slowest {slowest:.1f} s; {growth:+.3f} KiB a stream")
    # A heap takes its time to find its size.
    if streams >= _MANY and growth > _GROWTH:
        wrong.append(f"the kernel's memory grows by {growth:.3f} KiB with each stream")
    if not {"ok", "protocol"} <= ends.keys():
        wrong.append(f"the forged streams are all of one kind: {ends}")
    return wrong


def _end_of(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    return error.limit if isinstance(error, CellStopped) else type(error).__mro__[-5].__name__


def _may_raise(error: BaseException | None) -> bool:
    if isinstance(error, CellStopped):
        return error.limit in _LIMITS
    # A failure that says UsageError becomes IPython's, which is a line of text.
    return error is None or isinstance(error, CellFailed) or type(error).__name__ == "UsageError"


def _values(shell: Any, known: set[str]) -> list[str]:
    """Use what came back; a value that is not sound shows here, or takes the kernel along."""
    wrong = []
    for name in ASKED:
        value = shell.user_ns.pop(name, None)
        text = value.shown if isinstance(value, Withheld) else repr(value)
        assert isinstance(text, str)
        if hasattr(value, "copy"):
            value.copy()
    # A result that came back is Out[n], and "_n"; the notebook keeps a thousand of them.
    shell.displayhook.flush()
    strange = {
        name for name in set(shell.user_ns) - known - {"forged"} if name.strip("_0123456789")
    }
    if strange:
        wrong.append(f"names that nobody asked for: {sorted(strange)}")
    return wrong
