"""The cell's exception, rebuilt from text.

Guarantees: the name is an identifier; texts went through the filter and are capped.
Assumes: nothing of what the child says of its exception.
"""

from __future__ import annotations

import keyword
from typing import Final

from kavach_ipy.errors import CellFailed
from kavach_ipy.gate.text import clean_text
from kavach_ipy.wire.messages import Done

__all__ = ["failure_from"]

_NAME: Final = 100
_TEXT: Final = 20_000
_LINE: Final = 10_000
_LINES: Final = 1000


def failure_from(done: Done) -> CellFailed | None:
    """Return the failure that DONE tells of, or None; notes that no line shows are added."""
    if done.failure is None:
        return None
    failure = done.failure
    lines = [clean_text(line, _LINE) for line in failure.lines[:_LINES]]
    if len(failure.lines) > _LINES:
        lines.append(f"… {len(failure.lines) - _LINES} more lines")
    rendered = "\n".join(lines)
    notes = [clean_text(note, _LINE) for note in failure.notes[:_LINES]]
    lines += [note for note in notes if note not in rendered]
    return CellFailed(_identifier(failure.name), clean_text(failure.text, _TEXT), tuple(lines))


def _identifier(name: str) -> str:
    # A class inside a function is called f.<locals>.Name.
    last = name[-_NAME:].rpartition(".")[2]
    is_name = last.isascii() and last.isidentifier() and not keyword.iskeyword(last)
    return last if is_name else "Exception"
