"""What the kernel answers while a cell runs: it has nothing else to do.

An ordinary kernel handles one request of the shell channel after the other, because the cell has
its loop. Here the cell runs elsewhere, so what needs no cell is answered at once: who the kernel
is, what its history is, and, for what a session would have to say, that there is nothing.

Guarantees: the last status that a front end hears while a cell runs is "busy", and after it "idle".
Assumes: called in the kernel's loop.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

__all__ = ["Meanwhile"]

_QUICK: Final = frozenset(
    {
        "comm_info_request",
        "complete_request",
        "history_request",
        "inspect_request",
        "is_complete_request",
        "kernel_info_request",
    }
)


class Meanwhile:
    """Answers what needs no cell."""

    def __init__(self, kernel: Any, is_busy: Callable[[], bool]) -> None:
        self._kernel = kernel
        self._is_busy = is_busy

    def is_due(self, frames: Any) -> bool:
        """Tell whether a request that has arrived is to be answered before the cell is over."""
        return self._is_busy() and self._kind(frames) in _QUICK

    async def answer(self, frames: Any) -> None:
        """Answer it."""
        kernel = self._kernel
        session = kernel.session
        idents, rest = session.feed_identities(frames, copy=False)
        message = session.deserialize(rest, content=True, copy=False)
        kernel._publish_status("busy", "shell", message)  # noqa: SLF001 - ipykernel's own
        try:
            found = kernel.shell_handlers[message["msg_type"]](kernel.shell_stream, idents, message)
            if inspect.isawaitable(found):
                await found
        finally:
            kernel._publish_status("idle", "shell", message)  # noqa: SLF001 - ipykernel's own
            if self._is_busy():
                # Front ends show the latest status, whosever it is.
                kernel._publish_status("busy", "shell")  # noqa: SLF001 - ipykernel's own

    def _kind(self, frames: Any) -> str:
        session = self._kernel.session
        try:
            _, rest = session.feed_identities(frames, copy=False)
            # Without its content, it does not count as seen: a message comes once only.
            header = session.deserialize(rest, content=False, copy=False)["header"]
            return str(header["msg_type"])
        except (KeyError, TypeError, ValueError):
            # Not signed, or no message: ipykernel says so.
            return ""
