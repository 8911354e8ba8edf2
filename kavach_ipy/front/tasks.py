"""A cell for a fresh interpreter's shell, written down in the notebook's process.

Guarantees: text and numbers only; nothing of the notebook's variables is in it.
Assumes: `front.fresh` reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kavach_ipy.front.runner import Task
    from kavach_ipy.front.shells import Shell
    from kavach_ipy.wire.documents import Json

__all__ = ["KERNEL", "TERMINAL", "document_of"]

KERNEL: Final = "kavach_ipy.front.fresh:KernelRunner"
TERMINAL: Final = "kavach_ipy.front.fresh:TerminalRunner"


def document_of(shell: Shell, task: Task) -> dict[str, Json]:
    """Return what a runner is told of a cell, in the notebook's process."""
    return {
        "code": task.code,
        "magic_line": task.magic_line,
        "outputs": list(task.outputs),
        # In IPython 8 the counter is raised after a cell, in 9 before it; the display hook knows.
        "number": shell.displayhook.prompt_count,
        "mode": str(shell.InteractiveTB.mode),
        "colors": str(shell.colors),
    }
