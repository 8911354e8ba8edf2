"""Whether this process is a sandboxed cell, or was forked by one.

Guarantees: False in the notebook's process; True after `enter`, and in all forks from there on.
"""

from __future__ import annotations

__all__ = ["enter", "is_inside"]

_inside = False


def enter() -> None:
    """Remember that this process is a cell now. There is no way back."""
    global _inside  # noqa: PLW0603 - a fact about this process
    _inside = True


def is_inside() -> bool:
    """Tell whether a cell is running here."""
    return _inside
