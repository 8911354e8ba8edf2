"""A Jupyter server of the test's own, with JupyterLab and Notebook 7 on it.

Guarantees: nothing of the user's is read or written: configuration, data, runtime and notebooks are
in one new directory; the server listens on the loopback, and is ended with its kernels.
Assumes: jupyterlab and notebook are installed in this Python, or in the one that
KAVACH_TEST_JUPYTER names; kernels run in this Python in any case.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.browser.chromium import DEADLINE

__all__ = ["Server", "jupyter_server"]

_ROOT = Path(__file__).resolve().parents[2]
_CONFIGURATION = """
c.LabApp.expose_app_in_browser = True
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.JupyterNotebookApp.expose_app_in_browser = True
"""
_KERNELS = {
    "tested": ("-m", "ipykernel_launcher"),
    "sandboxed": ("-I", "-m", "kavach_ipy.kernel"),
}
"""One that runs cells of %%sandbox, and one whose cells are all in a session."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        home: scheme, host and port.
        token: what its addresses need.
        folder: where its notebooks are, and what a page could make files in.
    """

    home: str
    token: str
    folder: Path

    def lab(self, name: str) -> str:
        """Address of a notebook in JupyterLab."""
        return f"{self.home}/lab/tree/{name}?token={self.token}&reset"

    def classic(self, name: str) -> str:
        """Address of a notebook in Notebook 7."""
        return f"{self.home}/notebooks/{name}?token={self.token}"

    def write(self, name: str, cells: Sequence[str], kernel: str = "tested") -> None:
        """Write a notebook of code cells that were not executed; ``kernel`` is one of _KERNELS."""
        notebook: dict[str, Any] = {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": {"name": kernel, "display_name": kernel}},
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"cell-{at}",
                    "metadata": {},
                    "execution_count": None,
                    "outputs": [],
                    "source": source,
                }
                for at, source in enumerate(cells)
            ],
        }
        (self.folder / name).write_text(json.dumps(notebook), encoding="utf-8")


@contextmanager
def jupyter_server(place: Path) -> Iterator[Server]:
    """Start a server whose files are below ``place``; end it with the block."""
    python = os.environ.get("KAVACH_TEST_JUPYTER") or sys.executable
    token = secrets.token_hex(16)
    environment = _environment(place, token)
    folder = place / "notebooks"
    command = [
        python, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=0", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}",
        "--ServerApp.log_level=WARN",
    ]  # fmt: skip
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
        )
    try:
        yield Server(_address(process, place), token, folder)
    finally:
        # It ends its kernels, each with a grace of its own.
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(DEADLINE)
        finally:
            process.kill()
            process.wait()


def _environment(place: Path, token: str) -> dict[str, str]:
    for name in ("config", "runtime", "ipython", "notebooks", "settings"):
        (place / name).mkdir(parents=True, exist_ok=True)
    (place / "config/jupyter_server_config.py").write_text(_CONFIGURATION, encoding="utf-8")
    for name, program in _KERNELS.items():
        folder = place / "data/kernels" / name
        folder.mkdir(parents=True)
        argv = [sys.executable, *program, "-f", "{connection_file}"]
        spec = {"argv": argv, "display_name": name, "language": "python"}
        (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    # Written by hand: the setting above does not keep the question for news away.
    labels = place / "config/labconfig/page_config.json"
    labels.parent.mkdir(exist_ok=True)
    labels.write_text(
        json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}),
        encoding="utf-8",
    )
    kept = {
        name: value
        for name, value in os.environ.items()
        # ipykernel leaves file descriptors 1 and 2 alone while the last one is set.
        if not name.startswith("JUPYTER") and name != "PYTEST_CURRENT_TEST"
    }
    return kept | {
        "HOME": str(place),
        "IPYTHONDIR": str(place / "ipython"),
        "JUPYTER_CONFIG_DIR": str(place / "config"),
        "JUPYTER_DATA_DIR": str(place / "data"),
        "JUPYTER_RUNTIME_DIR": str(place / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(place / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(place / "workspaces"),
        "JUPYTER_TOKEN": token,
        "PYTHONPATH": str(_ROOT),
    }


def _address(process: subprocess.Popen[bytes], place: Path) -> str:
    """Wait for the file in which a server says where it listens."""
    file = place / "runtime" / f"jpserver-{process.pid}.json"
    limit = time.monotonic() + DEADLINE
    while time.monotonic() < limit and process.poll() is None:
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
            return f"http://127.0.0.1:{said['port']}"
        except (FileNotFoundError, json.JSONDecodeError):
            # Nothing tells of a new file without further packages.
            select.select([], [], [], 0.1)
    log = (place / "log").read_text(encoding="utf-8", errors="replace")
    raise AssertionError(f"the server did not start: {log[-2000:]}")
