"""Lines that we ourselves write into a notebook's output.

Guarantees: they go where the notebook's own prints go now, captured or not.
Assumes: the text is ours, or has been through the gate.
"""

from __future__ import annotations

import sys
from typing import Literal

__all__ = ["gone_back", "say"]


def say(text: str, stream: Literal["stdout", "stderr"] = "stdout") -> None:
    """Write ``text`` and a line end."""
    (sys.stderr if stream == "stderr" else sys.stdout).write(f"{text}\n")


def gone_back(name: str, undone: str) -> str:
    """Say that a session is what it was before its last cell.

    Args:
        name: of the session; empty where the notebook has one for all of its cells.
        undone: the first line of that cell.
    """
    called = f" {name!r}" if name else ""
    return (
        f"the session{called} is back at what it was before its last cell, {undone!r}: variables"
        " and imports; its processes and connections are gone, and files stay as they are"
    )
