"""Rows of a terminal that a cell has printed, within which its text may move up again.

Progress bars below each other go up a row, write it anew and come down. Lines that are longer than
the terminal is wide take more rows than are counted here, so who goes up by no more than the count
stays below where the cell began.

Guarantees: no text reaches a row above the cell's first, or above what others have printed since
(`settle`); what others print next stands below all of the cell's.
Assumes: stdout and stderr of the cell go to one terminal, in order, and nothing else in between
but what `settle` was called for.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Rows"]

_UP: Final = re.compile(r"\x1b\[(\d*)A", re.ASCII)


class Rows:
    """Where a cell's text stands, in rows below its first."""

    __slots__ = ("_last", "_row")

    def __init__(self) -> None:
        self._row = self._last = 0

    def write(self, text: str) -> str:
        """Return a filtered text in which no movement leads above the first row."""
        if "\x1b" not in text:
            self._down(text.count("\n"))
            return text
        parts = _UP.split(text)
        kept = [parts[0]]
        self._down(parts[0].count("\n"))
        for number, between in zip(parts[1::2], parts[2::2], strict=True):
            # ECMA-48, 8.3.22: one row where no number is given; a terminal takes 0 for 1.
            rows = min(max(1, int(number or 1)), self._row)
            if rows:
                self._row -= rows
                kept.append(f"\x1b[{rows}A")
            kept.append(between)
            self._down(between.count("\n"))
        return "".join(kept)

    def settle(self) -> str:
        """Return what leads below all rows; what stands above is out of reach from now on."""
        below = "\n" * (self._last - self._row)
        self._row = self._last = 0
        return below

    def _down(self, rows: int) -> None:
        self._row += rows
        self._last = max(self._last, self._row)
