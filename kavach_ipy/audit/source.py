"""What a cell is, and where it stands, as whoever runs it says.

Guarantees: data only.
Assumes: nothing; the places are claims of a front end, and hostile text.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CellSource"]


@dataclass(frozen=True, slots=True)
class CellSource:
    """One cell, for the record of it."""

    code: str
    """Its text, without the line of the magic."""

    notebook: str | None = None
    """Path of the notebook."""

    cell_id: str | None = None
    """The notebook's own id of the cell."""
