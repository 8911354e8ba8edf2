"""One ``execute_request`` of a broker, and the reply where no session gives one.

Guarantees: a cell that was refused or stopped has exactly one error, whose lines say why, and a
reply of the same error.
Assumes: called in the kernel's loop.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kavach_ipy.errors import CellFailed, CellStopped, KavachError
from kavach_ipy.front.failures import as_shown
from kavach_ipy.launch.verdicts import in_session, restored
from kavach_ipy.wire.service import Request

if TYPE_CHECKING:
    from kavach_ipy.wire.documents import Json
    from kavach_ipy.wire.service import RequestKind

__all__ = [
    "COMM_KINDS",
    "Execution",
    "accept",
    "execution_of",
    "failure_in",
    "in_words",
    "interruptible",
    "refuse",
    "request_of",
]

COMM_KINDS: Final = ("comm_open", "comm_msg", "comm_close")


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

    def content(self, code: str, count: int) -> dict[str, Any]:
        """Return what a session is told of it.

        Args:
            code: without what is the kernel's process's own.
            count: the prompt number.
        """
        return {
            "code": code,
            "silent": self.silent,
            "store_history": self.store_history,
            "user_expressions": dict(self.user_expressions),
            "allow_stdin": self.allow_stdin,
            "cell_id": self.cell_id,
            "count": count,
        }


def execution_of(  # noqa: PLR0913, PLR0917 - the signature of ipykernel's do_execute
    kernel: Any,
    code: str,
    silent: bool,
    store_history: bool = True,
    user_expressions: Mapping[str, str] | None = None,
    allow_stdin: bool = False,
    *,
    cell_meta: object = None,
    cell_id: object = None,
) -> Execution:
    """Return the request that a kernel's ``do_execute`` is called for."""
    # A request of the control channel is in the hands of another thread.
    is_control = threading.current_thread() is kernel.control_thread
    channel = "control" if is_control else "shell"
    return Execution(
        code=code,
        silent=silent,
        store_history=store_history,
        user_expressions=user_expressions or {},
        allow_stdin=allow_stdin,
        parent=kernel.get_parent(channel),
        ident=kernel._parent_ident[channel],  # noqa: SLF001 - kept for those who need it
        metadata=cell_meta,
        cell_id=cell_id,
    )


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


def accept(kernel: Any, cell: Execution, count: int) -> dict[str, Any]:
    """Return the content of the reply to a cell that the broker has answered itself."""
    if cell.store_history and not cell.silent:
        kernel.shell.execution_count = count + 1
    return {"status": "ok", "execution_count": count, "payload": [], "user_expressions": {}}


def failure_in(reply: Mapping[str, Any]) -> CellFailed | None:
    """Return the error that a reply tells of, or None."""
    if reply["status"] == "ok":
        return None
    return CellFailed(str(reply["ename"]), str(reply["evalue"]), tuple(reply["traceback"]))


def in_words(error: Exception, *, is_restored: bool) -> Exception:
    """Add what the end of a cell means for the notebook.

    Args:
        error: why it ended.
        is_restored: whether its session goes on from before it.
    """
    if not isinstance(error, CellStopped):
        return error
    return restored("", error) if is_restored else in_session("", error)


@contextmanager
def interruptible(handler: Callable[..., object]) -> Iterator[None]:
    """Let SIGINT be the cell's: raised here, it would end the kernel's loop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def request_of(
    number: int, kind: RequestKind, parent: Mapping[str, Any], content: dict[str, Any]
) -> Request:
    """Return what a session is asked; of the message that asked, only what it needs is in it."""
    header: dict[str, Json] = {key: str(value) for key, value in parent.get("header", {}).items()}
    if kind not in COMM_KINDS:
        return Request(number, kind, {"header": header, "metadata": {}, "content": {}}, content)
    message = {"header": header, "metadata": parent["metadata"], "content": parent["content"]}
    return Request(number, kind, message, content, tuple(parent.get("buffers") or ()))
