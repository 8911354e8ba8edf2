"""What a session runs before its first cell: the user's configuration, extensions, start-up files.

They came as text (`front.startup_files`), and are put into a profile directory inside the sandbox,
where IPython's own application code finds and runs them.

Guarantees: an error in them is shown, and the session goes on, as in an ordinary kernel.
Assumes: runs in the session, after "go".
"""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Mapping
from typing import Any, Final

from IPython.core.application import BaseIPythonApplication
from IPython.core.profiledir import ProfileDir
from IPython.core.shellapp import InteractiveShellApp
from traitlets.config import Application, Config

__all__ = ["run_startup"]

_PYTHONSTARTUP: Final = "PYTHONSTARTUP"
_ENVIRONMENT_DIRS: Final = ("/usr/local/etc/ipython", "/etc/ipython")
_Application: Any = BaseIPythonApplication
_ShellApplication: Any = InteractiveShellApp


class _Startup(_Application, _ShellApplication):  # type: ignore[misc] # IPython annotates little
    """IPython's application, less its command line and its files of the host."""

    name = "ipython-kernel"

    def _ipython_dir_changed(self, change: object) -> None:
        """Copy nothing of IPython's into a fresh directory."""

    def init_shell(self) -> None:
        """Make no shell: there is one."""


def run_startup(shell: Any, texts: Mapping[str, object], sections: Mapping[str, object]) -> None:
    """Configure the session's shell, and run what the user wants run first.

    Args:
        shell: the session's.
        texts: of the user's profile.
        sections: of the launcher's configuration; the user's comes on top.
    """
    try:
        _run(shell, texts, sections)
    except BaseException:  # noqa: BLE001 - also SystemExit: the session begins all the same
        traceback.print_exc()


def _run(shell: Any, texts: Mapping[str, object], sections: Mapping[str, object]) -> None:
    directory = _write(texts)
    profile = ProfileDir(location=directory)
    application = _Startup(ipython_dir=os.path.dirname(directory), profile_dir=profile)
    application.shell = shell
    shell.profile_dir = profile
    application.update_config(Config(dict(sections)))
    for name in ("ipython_config", "ipython_kernel_config"):
        Application.load_config_file(application, name, path=[directory, *_ENVIRONMENT_DIRS])
    config = application.config
    for configurable in (shell, *shell.configurables, shell.kernel):
        configurable.update_config(config)
    if _PYTHONSTARTUP in texts:
        os.environ[_PYTHONSTARTUP] = os.path.join(directory, _PYTHONSTARTUP)
    # It shows errors by the shell's own means.
    application.init_gui_pylab()
    application.init_extensions()
    application.init_code()


def _write(texts: Mapping[str, object]) -> str:
    """Write the profile, and return its directory."""
    home = os.path.join(os.path.expanduser("~"), ".ipython")
    directory = os.path.join(home, "profile_default")
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError:
        # Where the working directory is the home itself, its dot-entries cannot be written.
        directory = os.path.join(tempfile.mkdtemp(), "profile_default")
        os.makedirs(directory)
    os.environ["IPYTHONDIR"] = os.path.dirname(directory)
    for name, text in texts.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(str(text))
    return directory
