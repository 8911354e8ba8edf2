"""A working directory of the test's own, which a cell of host root may use as well.

Guarantees: the host's file in it is as it was when the test is over, or the test fails.
Assumes: imported by the conftest of a folder, which makes it a fixture there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["project"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with one file in it; the cell's id may read and write it.

    Host root's cell is another id outside, so without open modes it would be the file system's
    permissions that stop it, and not the sandbox.
    """
    folder = tmp_path / "project"
    folder.mkdir()
    folder.chmod(0o777)
    data = folder / "data.txt"
    data.write_text("as it was", encoding="utf-8")
    data.chmod(0o666)
    monkeypatch.chdir(folder)
    yield folder
    assert data.read_text(encoding="utf-8") == "as it was", "the host's file was changed"
