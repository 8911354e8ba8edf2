"""The loop of a soak: cells of a mixture drawn at random, and looks at the kernel between them.

Guarantees: each kind runs at least once before the first look; it ends early where much is wrong.
Assumes: `run` and `look` are called between two cells.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol, Self, TypeVar

from tests.kernel.kernels import Run

__all__ = ["History", "changes_in", "not_as_due", "run_mixture"]

_WRONG = 20


class _Kind(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def share(self) -> int: ...


class _Look(Protocol):
    def changes(self, later: Self, /) -> list[str]: ...


_K = TypeVar("_K", bound=_Kind)
_L = TypeVar("_L", bound=_Look)
History = list[tuple[int, _L]]
"""Looks, each with the number of cells before it."""


def run_mixture(
    kinds: Sequence[_K],
    cells: int,
    draw: random.Random,
    run: Callable[[_K], list[str]],
    look: Callable[[_L | None], _L],
    say: Callable[[str], None],
    looks: int,
) -> tuple[list[str], History[_L]]:
    """Run a warm-up of an eighth of the cells, then the cells; what was wrong, and the looks.

    Args:
        kinds: of the mixture, each as often as its share says.
        cells: after the warm-up.
        draw: decides the order.
        run: runs one cell; what was wrong with it.
        look: measures everything; it is given the first look, where there is one.
        say: takes lines of progress.
        looks: how many times everything is measured.
    """
    unit = [kind for kind in kinds for _ in range(kind.share)]
    wrong = [text for kind in (*kinds, *draw.choices(unit, k=cells // 8)) for text in run(kind)]
    history = [(0, look(None))]
    ran: Counter[str] = Counter()
    start = time.monotonic()
    for number in range(1, cells + 1):
        kind = draw.choice(unit)
        ran[kind.name] += 1
        wrong += run(kind)
        if number % max(1, cells // looks) == 0:
            history.append((number, look(history[0][1])))
            rate = number / (time.monotonic() - start)
            say(f"  {number} of {cells} cells, {rate:.0f} a second, {len(wrong)} wrong")
            if len(wrong) > _WRONG:
                break
    say(f"  kinds: {', '.join(f'{name} {count}' for name, count in sorted(ran.items()))}")
    return wrong, history


def not_as_due(name: str, run: Run, ends: str) -> list[str]:
    """What is wrong with how a cell ended.

    Args:
        name: of the kind of cell.
        run: what it did.
        ends: ``ok``, or a word of the error's name and text.
    """
    is_good = run.status == "ok"
    told = "ok" if is_good else f"{run.reply['ename']}: {run.reply['evalue']} {run.stderr}"
    return [] if ends in told else [f"cell {name}: {told!r:.300}, not {ends!r}"]


def changes_in(history: History[_L]) -> list[str]:
    """What is not as it was at the first look, in words."""
    first = history[0][1]
    return [
        f"after {number} cells, {change}"
        for number, later in history[1:]
        for change in first.changes(later)
    ]
