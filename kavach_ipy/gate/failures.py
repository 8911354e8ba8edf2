"""The cell's exception, rebuilt from text.

Guarantees: the name is an identifier; texts went through the filter and are capped, each and in
all; the time is linear in what is kept.
Assumes: nothing of what the child says of its exception.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable
from typing import Final

from kavach_ipy.errors import CellFailed
from kavach_ipy.gate.text import clean_text, without_colours
from kavach_ipy.wire.messages import Done, Failure

__all__ = ["failure_from", "shown_failure"]

_NAME: Final = 100
_TEXT: Final = 20_000
_LINE: Final = 10_000
_LINES: Final = 1000
_NOTES: Final = 50
_RENDERED: Final = 1 << 20
"""Characters of all lines and notes together."""


def failure_from(done: Done) -> CellFailed | None:
    """Return the failure that DONE tells of, or None; notes that no line shows are added."""
    return None if done.failure is None else shown_failure(done.failure)


def shown_failure(failure: Failure) -> CellFailed:
    """Return a failure as it may be shown; notes that no line shows are added."""
    lines = _kept(failure.lines, _LINES, _RENDERED)
    notes = _kept(failure.notes, _NOTES, _RENDERED - sum(map(len, lines)))
    # Whole lines are compared: to look for each note in all of the text takes their product.
    seen = set(_plain_lines(lines))
    unseen = [note for note in notes if not seen.issuperset(_plain_lines([note]))]
    left = len(failure.lines) - len(lines)
    more = [f"… {left} more lines"] if left else []
    return CellFailed(
        _identifier(failure.name), clean_text(failure.text, _TEXT), (*lines, *more, *unseen)
    )


def _kept(texts: Iterable[str], count: int, room: int) -> list[str]:
    """Filter at most `count` texts of at most `room` characters together."""
    kept: list[str] = []
    for text in texts:
        cleaned = clean_text(text, _LINE)
        room -= len(cleaned)
        if room < 0 or len(kept) == count:
            break
        kept.append(cleaned)
    return kept


def _plain_lines(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        for line in without_colours(text).split("\n"):
            yield line.strip()


def _identifier(name: str) -> str:
    # A class inside a function is called f.<locals>.Name.
    last = name[-_NAME:].rpartition(".")[2]
    is_name = last.isascii() and last.isidentifier() and not keyword.iskeyword(last)
    return last if is_name else "Exception"
