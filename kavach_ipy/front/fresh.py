"""A shell in a fresh interpreter: what ``%%sandbox --clean`` and ``--session`` run cells in.

The zygote builds it, before anything of a cell is there: of the kind that the notebook has, with no
socket, no history file, no profile directory and no thread. In the cell's process it is tied to the
channel as a forked shell is (``front.isolation``), and runs cells as one (``front.runner``).

Guarantees: nothing of the user's configuration or start-up files is read, and no file is written.
Assumes: runs in a zygote and in its children, never in the notebook's process.
"""

from __future__ import annotations

import logging
import os
import pdb  # noqa: T100 - given to the shell, not stopped in
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from IPython.core import debugger, interactiveshell
from IPython.core.profiledir import ProfileDir
from traitlets.config import Application, Config

from kavach_ipy.fresh import take_inputs
from kavach_ipy.front.debugging import leave_debugger_out
from kavach_ipy.front.runner import Cell, Task, TiedShell
from kavach_ipy.launch.link import ChildLink
from kavach_ipy.launch.requests import CellRequest

if TYPE_CHECKING:
    from kavach_ipy.front.shells import Shell

__all__ = ["KernelRunner", "TerminalRunner", "count_to", "stand_here"]

# The history would be a file of the user's home, and a thread that writes to it.
_CONFIG = Config({"HistoryManager": {"enabled": False, "hist_file": ":memory:"}})


class _NowhereDir(ProfileDir):
    """A profile directory that is none: ``ProfileDir`` would make one where it is told to be."""

    def check_dirs(self) -> None:
        """Make no directory."""

    def _mkdir(self, path: str, mode: int | None = None) -> bool:
        del path, mode
        return False


class _ShellRunner:
    """Runs each cell in one shell."""

    def __init__(self) -> None:
        # Called by the shell's constructor, and makes ~/.ipython.
        vars(interactiveshell)["get_ipython_dir"] = lambda: "/"
        self._shell = self._make()
        self._tied: TiedShell | None = None

    def _make(self) -> Shell:
        raise NotImplementedError

    def prepare(self, link: ChildLink) -> None:
        """Tie the shell to the channel."""
        stand_here(self._shell)
        self._tied = TiedShell(self._shell, link)

    def run(self, link: ChildLink, cell: CellRequest) -> None:
        """Run one cell."""
        assert self._tied is not None, "prepared before"
        inputs = take_inputs(link, cell)
        if inputs is None:
            return
        shell, document = self._shell, cell.task
        shell.push(inputs)
        number = int(str(document["number"]))
        _look_like(shell, str(document["mode"]), str(document["colors"]))
        count_to(shell, number)
        line, outputs = document["magic_line"], document["outputs"]
        assert isinstance(outputs, list)
        task = Task(
            str(document["code"]),
            None if line is None else str(line),
            None,
            tuple(str(name) for name in outputs),
        )
        self._tied.run(Cell.of(shell, task, number, is_in_history=False))


class TerminalRunner(_ShellRunner):
    """For a notebook side without a kernel."""

    def _make(self) -> Shell:
        make = cast("Callable[..., Shell]", interactiveshell.InteractiveShell.instance)
        return make(config=_CONFIG, profile_dir=_NowhereDir(location="/"))


class KernelRunner(_ShellRunner):
    """For an ipykernel: the shell of a kernel that has no socket."""

    kernel_class: Any = None
    """ipykernel's own where it is None."""

    def _make(self) -> Shell:
        # No other runner needs them, and they take their time.
        from ipykernel.ipkernel import IPythonKernel  # noqa: PLC0415
        from jupyter_client.session import Session  # noqa: PLC0415

        leave_debugger_out()
        kind = self.kernel_class or IPythonKernel
        kernel: Any = cast("Callable[..., object]", kind.instance)(
            config=_CONFIG,
            session=Session(key=b""),
            profile_dir=_NowhereDir(location="/"),
            iopub_socket=_silent_thread(),
            shell_channel_thread=None,
            log=_silent_log(),
        )
        kernel.iopub_thread = kernel.iopub_socket
        _be_found(kernel)
        return cast("Shell", kernel.shell)


def _be_found(kernel: Any) -> None:
    """Let a kernel be found, and its debugger used, as where ipykernel's application made it.

    ``%matplotlib`` and ``%gui`` look for the kernel at the application that is there.
    """
    application: Any = Application.instance()
    application.kernel = kernel
    # ipykernel.kernelapp.IPKernelApp.init_pdb: an interrupt ends what the debugger waits for.
    vars(debugger)["Pdb"] = vars(pdb)["Pdb"] = debugger.InterruptiblePdb
    vars(pdb)["set_trace"] = debugger.set_trace


def stand_here(shell: Shell) -> None:
    """Let the shell's list of directories begin where the cell's process stands.

    The zygote, where it was built, stands in the root directory.
    """
    with suppress(OSError):
        here = os.getcwd()
        shell.starting_dir = here
        visited = shell.user_ns["_dh"]
        visited[:] = [type(visited[0])(here)]


def _silent_log() -> logging.Logger:
    """Return the kernel's own log: an application's, and none that a cell sets up."""
    log = logging.getLogger("kavach_ipy.kernel")
    # ipykernel logs every error of a cell; where the cell shows INFO, it would see them twice.
    log.propagate = False
    log.addHandler(logging.NullHandler())
    return log


def _silent_thread() -> object:
    """Return what an ``OutStream`` takes for the kernel's thread: there is none here."""
    from ipykernel.iostream import IOPubThread  # noqa: PLC0415

    thread: Any = IOPubThread.__new__(IOPubThread)
    thread._master_pid = 0  # noqa: SLF001 - no process is its master, so it never forwards
    thread._pipe_flag = False  # noqa: SLF001
    thread.io_loop = None
    thread.thread = threading.main_thread()
    return thread


def _look_like(shell: Shell, mode: str, colors: str) -> None:
    """Show tracebacks as the notebook's shell would."""
    if shell.colors != colors:
        shell.colors = colors
    shell.InteractiveTB.set_mode(mode=mode)


def count_to(shell: Shell, number: int) -> None:
    """Let In[n] be where the notebook's is: what the cells in between were stays with them."""
    history = shell.history_manager
    if history is None:
        return
    for inputs in (history.input_hist_parsed, history.input_hist_raw):
        inputs.extend([""] * (number - len(inputs)))
