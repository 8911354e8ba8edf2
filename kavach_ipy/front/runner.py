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
from typing import TYPE_CHECKING, Final

from kavach_ipy.front.awaiting import interrupt_where_it_waits
from kavach_ipy.front.isolation import isolate, renew_event_loop
from kavach_ipy.front.messages import Sender
from kavach_ipy.front.names import defined_by, forget_all_but, forget_own_input
from kavach_ipy.front.tracebacks import Recorder, failure_of, hide_own_frames
from kavach_ipy.launch.exhausted import explain
from kavach_ipy.launch.link import INTERRUPTED, Body, ChildLink
from kavach_ipy.wire.messages import RESULT, Failure

if TYPE_CHECKING:
    from kavach_ipy.front.shells import Shell

__all__ = ["UNDEFINED", "Task", "cell_body"]

UNDEFINED: Final = "undefined"
"""The kind under which a name is reported that the cell did not define."""


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
    # In IPython 8 the counter is raised after a cell, in 9 before it; the display hook knows.
    number = shell.displayhook.prompt_count
    # Before the fork: in the child, each object that is touched costs the copy of its page.
    names = {name: id(value) for name, value in shell.user_ns.items()} if task.outputs else {}
    cell = _Cell(task, _as_numbered(task), names)

    def body(link: ChildLink) -> Callable[[], None]:
        sender = Sender(link)
        try:
            flush = isolate(shell, sender, _asker(link), may_ask=link.policy.stdin)
        except Exception as error:  # noqa: BLE001 - told once there is somebody to tell
            failed = failure_of(error, traceback.format_exception(error))
            return lambda: link.done(failed)
        shell.execution_count = number

        def run() -> None:
            try:
                link.heed_interrupts()
                renew_event_loop()
                interrupt_where_it_waits(shell, link)
                failure = _run(shell, cell, link, sender)
            except KeyboardInterrupt:
                # Before or after the cell's own lines; in them, the shell catches it.
                failure = INTERRUPTED
            except BaseException as error:  # noqa: BLE001 - also SystemExit
                failure = failure_of(error, traceback.format_exception(error))
            link.put_interrupts_off()
            flush()
            link.done(failure)

        return run

    return body


@dataclass(frozen=True, slots=True)
class _Cell:
    """A task, and what is prepared of it before the fork."""

    task: Task
    code: str
    """As the shell runs it."""

    names: dict[str, int]
    """``id`` of what stands behind each name before the cell, for those who ask for one."""


def _run(shell: Shell, cell: _Cell, link: ChildLink, sender: Sender) -> Failure | None:
    recorder = Recorder(shell, sender)
    hide_own_frames()
    before = cell.names
    if cell.task.inputs is not None:
        forget_all_but(shell, cell.task.inputs)
        before = {name: before[name] for name in shell.user_ns if name in before}
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
            made = defined_by(shell, before)
            link.unsent(name, UNDEFINED, f"the cell did not define it; it defined {made}")


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
