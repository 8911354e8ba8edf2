"""One ``execute_request`` of a broker, and the reply where no session gives one.

Guarantees: a cell that was refused or stopped has exactly one error, whose lines say why, and a
reply of the same error.
Assumes: called in the kernel's loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kavach_ipy.errors import CellStopped, KavachError
from kavach_ipy.front.failures import as_shown

__all__ = ["Execution", "in_words", "refuse"]


@dataclass(frozen=True, slots=True)
class Execution:
    """One ``execute_request``, as ipykernel's ``do_execute`` has it."""

    code: str
    silent: bool
    store_history: bool
    user_expressions: Mapping[str, str]
    allow_stdin: bool
    parent: Mapping[str, Any]
    ident: Any
    """Of the client, on whose stdin channel a question goes."""

    metadata: object = None
    cell_id: object = None


def refuse(kernel: Any, cell: Execution, count: int, error: BaseException) -> dict[str, Any]:
    """Show why a cell did not run, or was stopped; the content of its reply."""
    shown = as_shown(error) if isinstance(error, KavachError) else error
    render = getattr(shown, "_render_traceback_", None)
    name = type(shown).__name__
    lines = [f"{name}: {shown}".removesuffix(": ")] if render is None else list(render())
    content = {"ename": name, "evalue": str(shown), "traceback": lines}
    kernel.session.send(
        kernel.iopub_socket,
        "error",
        content,
        parent=cell.parent,
        ident=kernel._topic("error"),  # noqa: SLF001 - subscribers know messages by it
    )
    if cell.store_history and not cell.silent:
        kernel.shell.execution_count = count + 1
    return {
        "status": "error",
        **content,
        "execution_count": count,
        "payload": [],
        "user_expressions": {},
    }


def in_words(error: KavachError) -> KavachError:
    """Add what the end of a cell means for the notebook."""
    if not isinstance(error, CellStopped):
        return error
    remedy = (
        f"{error.remedy} The session has ended with it: its variables are gone, and the next cell"
        " begins a new one."
    )
    return CellStopped(error.limit, error.used, error.allowed, remedy.strip())
