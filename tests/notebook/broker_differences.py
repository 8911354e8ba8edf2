"""What may differ between a notebook of the stock kernel and one whose cells are all sandboxed.

One function a reason. Each is given what was seen of one cell in both, and returns it without that
difference: what is left must be equal.

Guarantees: the names are those of a table in docs/explanation/what-differs.md.
Assumes: nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["ANYWHERE", "CELLS", "DIFFERENCES"]

Outputs = list[Any]


def _without_notes(outputs: Outputs) -> Outputs:
    """A line on stderr says where no checkpoint could be kept."""
    found: Outputs = []
    for kind, content in outputs:
        if kind != "streams":
            found.append([kind, content])
            continue
        lines = content["stderr"].splitlines(keepends=True)
        kept = "".join(line for line in lines if "[sandbox] there is no checkpoint" not in line)
        if content["stdout"] or kept:
            found.append([kind, {**content, "stderr": kept}])
    return found


def _sizes(outputs: Outputs) -> Outputs:
    """Metadata are dropped, unless they are sizes of an image."""
    return [
        [kind, {**content, "metadata": {}} if isinstance(content, dict) else content]
        for kind, content in outputs
    ]


def _paged(outputs: Outputs) -> Outputs:
    """What a pager shows is displayed."""
    return [[kind, content] for kind, content in outputs if kind != "display_data"]


def _unwatched(outputs: Outputs) -> Outputs:
    """What other programs write is there when the cell ends; the stock kernel's may be late."""
    return [[kind, content] for kind, content in outputs if kind != "streams"]


def _deep(outputs: Outputs) -> Outputs:
    """Another number of calls is left until the limit of recursion."""
    return [
        [kind, {**content, "traceback": content["traceback"][:3]} if kind == "error" else content]
        for kind, content in outputs
    ]


DIFFERENCES: Final[Mapping[str, Callable[[Outputs], Outputs]]] = {
    "checkpoint": _without_notes,
    "metadata": _sizes,
    "pager": _paged,
    "late": _unwatched,
    "depth": _deep,
    "history": _unwatched,
}

ANYWHERE: Final = "checkpoint"
"""Which threads still run when a cell is over is a matter of moments."""

_PAGED: Final = (
    "help by a question mark",
    "source by question marks",
    "help on a pattern",
    "help on a magic",
    "a lookup of an object",
    "doc of an object",
    "help",
    "a source",
)
_LATE: Final = (
    "output of native code",
    "output of subprocesses",
    "output of the shell",
    "descriptors",
    "an asyncio shell",
    "the original stream",
)
CELLS: Final[Mapping[str, str]] = {
    "json": "metadata",
    **dict.fromkeys(_PAGED, "pager"),
    **dict.fromkeys(_LATE, "late"),
    "endless recursion": "depth",
    "a magic of history": "history",
}
"""The cells that differ, each with its reason."""
