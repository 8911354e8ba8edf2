"""The application around `SandboxKernel`: ipykernel's, less everything that runs the user's code.

An ordinary kernel reads Python files of the user's profile, loads extensions and runs start-up
files when it starts. All of that is code, so here it belongs into the session
(`front.beginning`), and this process reads its configuration only where its launcher says:
on the command line, and in the directories of ``--config-dir``.

Guarantees: nothing of the user's profile is read as code in this process; modules are found without
the working directory; the process is not dumpable, so no other process of its user can attach to it
or read its memory.
Assumes: whoever wrote the command line may decide what the kernel's cells may do.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

import prctl
from ipykernel import kernelapp
from traitlets import Dict, List, Unicode
from traitlets.config import Application

from kavach_ipy.errors import CannotEnforce
from kavach_ipy.front.debugging import leave_debugger_out
from kavach_ipy.front.kernel import SandboxKernel

__all__ = ["SandboxKernelApp", "main"]

_CONFIG: Final = "ipython_kernel_config"
# ipykernel annotates little, and otherwise from version to version.
_IPKernelApp: Any = kernelapp.IPKernelApp


class SandboxKernelApp(_IPKernelApp):  # type: ignore[misc] # as said above
    """Starts a kernel whose cells are all sandboxed."""

    kernel_class = SandboxKernel
    # A file that cannot be read may be the one that forbids something.
    raise_config_file_errors = True
    config_dirs = List(
        Unicode(),
        help="Directories with ipython_kernel_config.py or .json that this kernel reads, strongest"
        " first. By default none: a Python file is run as it is read, without any sandbox.",
    ).tag(config=True)

    aliases = Dict({**kernelapp.kernel_aliases, "config-dir": "SandboxKernelApp.config_dirs"})

    def initialize(self, argv: Any = None) -> None:
        """Become what cannot be looked into, and prepare the kernel."""
        forget_working_directory()
        become_undumpable()
        leave_debugger_out()
        super().initialize(argv)

    def load_config_file(self, *args: Any, **kwargs: Any) -> None:
        """Read what the launcher names, and nothing of the user's profile."""
        del args, kwargs
        Application.load_config_file(self, _CONFIG, path=list(self.config_dirs))

    def init_control(self, context: Any) -> None:
        """Make the control channel, and no subshells: a session runs one cell at a time."""
        super().init_control(context)
        self.shell_channel_thread = None

    def init_path(self) -> None:
        """Add nothing to the search path: the working directory is the user's."""

    def init_gui_pylab(self) -> None:
        """Load no library for plots; say to the session which one shows them in a page."""
        os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")

    def init_extensions(self) -> None:
        """Load no extension: the session does."""

    def init_code(self) -> None:
        """Run no start-up file: the session does."""


def forget_working_directory() -> None:
    """Take the working directory, and what is relative to it, out of the search path."""
    # IPython puts the site-packages of this one in front of all others.
    os.environ.pop("VIRTUAL_ENV", None)
    here = os.path.realpath(os.curdir)
    sys.path[:] = [
        path for path in sys.path if os.path.isabs(path) and os.path.realpath(path) != here
    ]


def become_undumpable() -> None:
    """Let no other process of this user attach to this one, or read its memory.

    Raises:
        CannotEnforce: the kernel says otherwise.
    """
    # prctl(2), PR_SET_DUMPABLE: /proc/<pid> belongs to root then, and ptrace(2) is refused.
    prctl.set_dumpable(0)
    if prctl.get_dumpable() != 0:
        raise CannotEnforce(
            "an undumpable kernel", "prctl(PR_SET_DUMPABLE, 0) has no effect", "Ask for help."
        )


def main() -> None:
    """Run the kernel until it is shut down."""
    SandboxKernelApp.launch_instance()
