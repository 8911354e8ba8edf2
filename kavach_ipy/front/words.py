"""Lines that we ourselves write into a notebook's output.

Guarantees: they go where the notebook's own prints go now, captured or not.
Assumes: the text is ours, or has been through the gate.
"""

from __future__ import annotations

import sys
from typing import Literal

__all__ = ["say"]


def say(text: str, stream: Literal["stdout", "stderr"] = "stdout") -> None:
    """Write ``text`` and a line end."""
    (sys.stderr if stream == "stderr" else sys.stdout).write(f"{text}\n")
