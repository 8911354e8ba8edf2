"""Output of a sandboxed cell, written where an ordinary cell's goes.

Everything is emitted by the shell's own high-level calls (``sys.stdout.write``, ``display_pub``,
the display hook) and not as raw messages, so that ``%%capture``, history and any front end treat it
as they treat the notebook's own output.

Guarantees: streams, displays and results appear live and in order; a result is one
``execute_result`` under the notebook's own prompt number.
Assumes: what arrives here has been through the gate; called in the notebook's process.
"""

from __future__ import annotations

import builtins
import getpass
import sys
import threading
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final, Literal, assert_never

from IPython.core.error import StdinNotImplementedError

from kavach_ipy.errors import CellFailed
from kavach_ipy.front.failures import as_shown
from kavach_ipy.front.names import UNDEFINED
from kavach_ipy.front.plots import give_library
from kavach_ipy.front.progress import Progress
from kavach_ipy.front.words import say
from kavach_ipy.gate.withheld import Withheld
from kavach_ipy.launch.layers import ConfinementReport

if TYPE_CHECKING:
    from kavach_ipy.front.shells import Shell
    from kavach_ipy.gate.display import Shown
    from kavach_ipy.gate.outcome import Outcome

__all__ = ["ShellSink", "assign", "bring_back", "explain_missing", "say_report"]

_ONE_RESULT: Final = threading.Lock()
_PROMPT: Final = "[sandbox] "
_CANNOT_ASK: Final = (
    "input() has nobody to ask: this client of the kernel takes no questions (allow_stdin is off),"
    " as when a notebook is executed by nbclient or nbconvert."
)
_BURST: Final = 0.02
"""Seconds between two flushes at least: each waits half a millisecond for the kernel's thread."""
_FLOOD: Final = 1 << 16
"""Characters at once that nobody waits for."""


class ShellSink:
    """Receives what a cell shows while it runs, and shows it."""

    def __init__(self, shell: Shell, progress: Progress) -> None:
        self._shell = shell
        self._progress = progress
        self._flushed = 0.0
        self.has_result = False
        """Whether a result was shown, so that ``Out[n]`` is due."""

        self.is_terminal = (
            getattr(shell, "kernel", None) is None
            and not progress.is_shown
            and sys.stdout.isatty()
            and sys.stderr.isatty()
        )
        """Whether the cell's text may go up within its own rows (`kavach_ipy.hearing.Sink`).

        A line of ours below it would be written into one of the cell's.
        """

    def stream(self, name: Literal["stdout", "stderr"], text: str) -> None:
        """Write text to the notebook's own stream, whatever that is now.

        It waited in the child already, so it is not left to wait here, unless more follows at once:
        a kernel's stream gathers that, as it does a plain cell's.
        """
        self._progress.make_room(text)
        stream = sys.stderr if name == "stderr" else sys.stdout
        stream.write(text)
        now = time.monotonic()
        if now - self._flushed > _BURST and len(text) < _FLOOD:
            stream.flush()
            self._flushed = now

    def show(self, shown: Shown) -> None:
        """Show a display, update or clear one, or show the result."""
        self._progress.make_room()
        if shown.needs_plotly:
            give_library(self._shell)
        match shown.msg_type:
            case "display_data" | "update_display_data":
                self._shell.display_pub.publish(
                    data=dict(shown.data),
                    metadata=dict(shown.metadata),
                    transient=dict(shown.transient),
                    update=shown.msg_type == "update_display_data",
                )
            case "clear_output":
                self._shell.display_pub.clear_output(wait=shown.wait)
            case "execute_result":
                self.has_result = True
                _show_result(self._shell, dict(shown.data), dict(shown.metadata))
            case _:
                assert_never(shown.msg_type)

    def error(self, failure: CellFailed) -> None:
        """Show an error that the cell went on after, as the shell shows its own."""
        shown = as_shown(failure)
        lines = list(failure.lines) or [f"{failure.name}: {failure.text}"]
        self._shell._showtraceback(type(shown), shown, lines)  # noqa: SLF001 - made to be overridden

    def ask(self, prompt: str, *, password: bool) -> str:
        """Ask the user, who is told that it is the sandbox that asks.

        Raises:
            EOFError: the front end cannot ask.
        """
        self._progress.make_room()
        read = getpass.getpass if password else builtins.input
        try:
            return read(f"{_PROMPT}{prompt}")
        except StdinNotImplementedError as error:
            raise EOFError(_CANNOT_ASK) from error


def bring_back(shell: Shell, outcome: Outcome, asked: Collection[str], sink: ShellSink) -> None:
    """Assign what came back: the result to ``_`` and ``Out[n]``, and the names that were asked for.

    A value that stays outside is assigned as its `Withheld`; a name that the cell did not define
    is left as it was. A cell that did not come to its end brings nothing back.
    """
    if outcome.failure is not None:
        return
    if sink.has_result and outcome.result is not None:
        shell.displayhook.update_user_ns(outcome.result)
        shell.displayhook.fill_exec_result(outcome.result)
    assign(shell, outcome, asked)


def assign(shell: Shell, outcome: Outcome, asked: Collection[str]) -> None:
    """Assign the names that were asked for and came back, or what stands for them."""
    back: dict[str, object] = {}
    for name in asked:
        if name in outcome.values:
            back[name] = outcome.values[name]
        elif name in outcome.withheld and outcome.withheld[name].kind != UNDEFINED:
            back[name] = outcome.withheld[name]
    shell.push(back)


def explain_missing(outcome: Outcome, asked: Collection[str]) -> None:
    """Write a line for each name that did not come back, and why."""
    if outcome.failure is not None:
        if asked:
            say(f"not brought back: {', '.join(asked)} (the cell did not finish)", "stderr")
        return
    lost = [name for name in asked if name not in outcome.values and name not in outcome.withheld]
    if lost:
        say(f"not brought back: {', '.join(lost)} (nothing was sent for it)", "stderr")
    for name in asked:
        value = outcome.withheld.get(name)
        if value is not None:
            say(f"not brought back: {_line(name, value)}", "stderr")


def say_report(outcome: Outcome) -> None:
    """Write what was verified of the cell's confinement."""
    # The gate, where outcomes are made, does not know what a report is.
    if isinstance(outcome.report, ConfinementReport):
        say(outcome.report.text())


def _line(name: str, value: Withheld) -> str:
    if value.kind == UNDEFINED:
        return f"{name} ({value.reason})"
    remedy = f"; {value.remedy}" if value.remedy else ""
    return f"{name} ({value.kind}: {value.reason}{remedy})"


def _show_result(shell: Shell, data: dict[str, Any], metadata: dict[str, Any]) -> None:
    hook = shell.displayhook
    current: object = sys.displayhook
    if current is not hook:
        # Captured, or replaced by the user: it formats what it is given, and is given the bundle.
        sys.displayhook(_Bundle(data, metadata))
        return
    # What DisplayHook.__call__ does for a value, in its order, with the child's representations in
    # place of the value's own. The value follows when the cell is over (bring_back). Between start
    # and finish the hook holds one message, and a thread may run another cell.
    with _ONE_RESULT:
        hook.start_displayhook()
        hook.write_output_prompt()
        if data:
            hook.write_format_data(data, metadata)
            hook.log_output(data)
        hook.finish_displayhook()


class _Bundle:
    """An object whose representations are given."""

    def __init__(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        self._data = data
        self._metadata = metadata

    def __repr__(self) -> str:
        return str(self._data.get("text/plain", ""))

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        del include, exclude
        return self._data, self._metadata
