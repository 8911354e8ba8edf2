"""``input()`` of a sandboxed session: the question goes to the front end, and the loop goes on.

ipykernel asks by waiting in its loop, so a kernel that asks answers nothing else. Here the answer
is awaited: messaging protocol, "Messages on the stdin (ROUTER/DEALER) channel".

Guarantees: the prompt begins with the mark that says who asks; an answer to an earlier question is
not taken for this one's.
Assumes: called in the kernel's loop, one question at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from kavach_ipy.gate.text import clean_prompt

if TYPE_CHECKING:
    from kavach_ipy.front.execution import Execution
    from kavach_ipy.wire.messages import Question

__all__ = ["Asking"]

_PROMPT: Final = "[sandbox] "
_LOOK_SECONDS: Final = 0.02
_LONGEST_LINE: Final = 1 << 20
_END: Final = "\x04"


class Asking:
    """The question of a session that is under way, if one is."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._task: asyncio.Task[None] | None = None

    def ask(self, cell: Execution, question: Question, answer: Callable[[str, str], None]) -> None:
        """Begin to ask the client that sent a cell; the arguments are those of `_ask_user`."""
        asks = _ask_user(self._kernel, cell.parent, cell.ident, question, answer)
        self._task = asyncio.ensure_future(asks)

    def stop(self) -> None:
        """Forget the question: it was interrupted, or its cell is over."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()


async def _ask_user(
    kernel: Any,
    parent: Mapping[str, Any],
    ident: object,
    question: Question,
    answer: Callable[[str, str], None],
) -> None:
    """Ask, and hand on the answer.

    Args:
        kernel: whose stdin channel it goes by.
        parent: the request of the cell that asks.
        ident: of the client that sent it.
        question: what is asked.
        answer: takes the text and how it was answered.
    """
    session, socket = kernel.session, kernel.stdin_socket
    while _receive(session, socket) is not None:
        continue
    content = {
        "prompt": f"{_PROMPT}{clean_prompt(question.prompt)}",
        "password": question.is_password,
    }
    session.send(socket, "input_request", content, parent=parent, ident=ident)
    while True:
        reply = _receive(session, socket)
        if reply:
            break
        await asyncio.sleep(_LOOK_SECONDS)
    value = reply.get("content", {}).get("value")
    if not isinstance(value, str) or value == _END:
        answer("EOF when reading a line", "eof")
    else:
        answer(value[:_LONGEST_LINE], "ok")


def _receive(session: Any, socket: Any) -> dict[str, Any] | None:
    """Return a message that has arrived, if one has."""
    try:
        _, message = session.recv(socket)
    except ValueError:
        # jupyter_client.session: what is not signed as it should be.
        return {}
    found: dict[str, Any] | None = message
    return found
