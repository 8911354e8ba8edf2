"""The body: what a forked child does between "go" and its end, for a shell.

Guarantees: the cell runs by the shell's own ``run_cell``, with its magics, hooks, formatters and
prompt number; what it raises leaves as text; a cell that fails brings no values back.
Assumes: the child is set up by ``launch.child``, and leaves by ``os._exit`` when the body returns.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from kavach_ipy.front.awaiting import interrupt_where_it_waits
from kavach_ipy.front.isolation import isolate, renew_event_loop
from kavach_ipy.front.messages import Sender
from kavach_ipy.front.names import (
    UNDEFINED,
    forget_all_but,
    forget_own_input,
    why_undefined,
)
from kavach_ipy.front.tracebacks import Recorder, failure_of, hide_own_frames
from kavach_ipy.launch.exhausted import explain
from kavach_ipy.launch.link import INTERRUPTED, Body, ChildLink
from kavach_ipy.wire.messages import RESULT, Failure

if TYPE_CHECKING:
    from kavach_ipy.front.shells import Shell

__all__ = ["Cell", "Task", "TiedShell", "cell_body"]


@dataclass(frozen=True, slots=True)
class Task:
    """One cell to run."""

    code: str
    magic_line: str | None
    """The cell's first line, ``%%sandbox …``; None where the code stood behind ``%sandbox``."""

    inputs: tuple[str, ...] | None
    """Names that the cell may see; None for all."""

    outputs: tuple[str, ...]
    """Names to send back."""


def cell_body(shell: Shell, task: Task) -> Body:
    """Return what runs ``task`` in a forked child of the process that ``shell`` lives in."""
    cell = Cell.of(shell, task, shell.displayhook.prompt_count, is_in_history=True)

    def body(link: ChildLink) -> Callable[[], None]:
        tied = TiedShell(shell, link)
        return lambda: tied.run(cell)

    return body


@dataclass(frozen=True, slots=True)
class Cell:
    """A task, and what is prepared of it before it runs."""

    task: Task
    code: str
    """As the shell runs it."""

    names: dict[str, int]
    """``id`` of what stands behind each name before the cell, for those who ask for one."""

    number: int
    """The notebook's prompt number. In IPython 8 the counter is raised after a cell, in 9 before
    it; the display hook knows."""

    is_in_history: bool
    """The shell's history ends with the notebook's cell that this one stood in, as in a fork."""

    @classmethod
    def of(cls, shell: Shell, task: Task, number: int, *, is_in_history: bool) -> Self:
        """Prepare a task; before the fork, where there is one."""
        # In the child of a fork, each object that is touched costs the copy of its page.
        names = {name: id(value) for name, value in shell.user_ns.items()} if task.outputs else {}
        return cls(task, _as_numbered(task), names, number, is_in_history)


class TiedShell:
    """A shell that is tied to the channel, in the child; it runs one cell, or several."""

    def __init__(self, shell: Shell, link: ChildLink) -> None:
        self._shell = shell
        self._link = link
        self._sender = Sender(link)
        self._failure: Failure | None = None
        self._has_begun = False
        try:
            self._flush = isolate(shell, self._sender, _asker(link), may_ask=link.policy.stdin)
        except Exception as error:  # noqa: BLE001 - told once there is somebody to tell
            self._failure = failure_of(error, traceback.format_exception(error))

    def run(self, cell: Cell) -> None:
        """Run a cell, send what it was asked for, and say that it is done."""
        link = self._link
        if self._failure is not None:
            link.done(self._failure)
            return
        self._shell.execution_count = cell.number
        try:
            link.heed_interrupts()
            if not self._has_begun:
                renew_event_loop()
                interrupt_where_it_waits(self._shell, link)
                hide_own_frames()
                self._has_begun = True
            failure = _run(self._shell, cell, link, self._sender)
        except KeyboardInterrupt:
            # Before or after the cell's own lines; in them, the shell catches it.
            failure = INTERRUPTED
        except BaseException as error:  # noqa: BLE001 - also SystemExit
            failure = failure_of(error, traceback.format_exception(error))
        link.put_interrupts_off()
        self._flush()
        link.done(failure)


def _run(shell: Shell, cell: Cell, link: ChildLink, sender: Sender) -> Failure | None:
    recorder = Recorder(shell, sender)
    before = cell.names
    if cell.task.inputs is not None:
        forget_all_but(shell, cell.task.inputs)
        before = {name: before[name] for name in shell.user_ns if name in before}
    if cell.is_in_history:
        forget_own_input(shell, cell.task.code)
    result = shell.run_cell(cell.code, store_history=True)
    error = result.error_before_exec or result.error_in_exec
    if error is not None:
        return recorder.end(error, explain(error, link.policy))
    recorder.show_kept()
    if result.result is not None:
        link.value(RESULT, result.result)
    _send_values(shell, cell.task.outputs, link, before)
    return None


def _send_values(
    shell: Shell, names: tuple[str, ...], link: ChildLink, before: dict[str, int]
) -> None:
    for name in names:
        if name in shell.user_ns:
            link.value(name, shell.user_ns[name])
        else:
            link.unsent(name, UNDEFINED, why_undefined(shell, before))


def _as_numbered(task: Task) -> str:
    """Put a line where the magic stood, so that line numbers are those of the notebook's cell."""
    first = task.code.lstrip("\n")
    # IPython finds a cell magic on the first line only, and nothing may stand above it.
    if task.magic_line is None or first.lstrip().startswith("%%"):
        return task.code
    # A comment in front of an indented cell must be indented too: IPython takes the first line's
    # indent away from every line.
    indent = re.match(r"[ \t]*", first)
    return f"{indent[0] if indent else ''}# {task.magic_line}\n{task.code}"


def _asker(link: ChildLink) -> Callable[[str, bool], str]:
    def ask(prompt: str, is_password: bool) -> str:
        # What was printed before the question is read before it.
        sys.stdout.flush()
        sys.stderr.flush()
        return link.ask(prompt, password=is_password)

    return ask
