"""A directory that stands for the root of a machine, and the command that writes below it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kavach_ipy.hub.command import main

__all__ = ["Command", "kavach_jupyter", "root"]

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty directory that only we can write."""
    path = tmp_path / "image"
    path.mkdir(mode=0o755)
    return path


@pytest.fixture
def kavach_jupyter(root: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command for ``root``; its exit code, and all that it printed."""

    def run(command: str, *arguments: str) -> tuple[int, str]:
        # Whatever the umask of whoever installs is, everybody reads what is installed.
        before = os.umask(0o077)
        try:
            code = main([command, "--system", "--root", str(root), *arguments])
        finally:
            os.umask(before)
        said = capsys.readouterr()
        return code, said.out + said.err

    return run
