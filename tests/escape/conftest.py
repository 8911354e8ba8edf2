"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.cells import Script
from tests.contract.places import project
from tests.escape.probes import SIBLING

__all__ = ["canaries", "project", "sibling"]


@pytest.fixture
def canaries(tmp_path: Path) -> Path:
    """A directory of the host that every id may change, if it can reach it."""
    folder = tmp_path / "canaries"
    (folder / "inner").mkdir(parents=True)
    for name in ("file", "inner/file"):
        (folder / name).write_text("canary", encoding="utf-8")
        (folder / name).chmod(0o666)
    folder.chmod(0o777)
    (folder / "inner").chmod(0o777)
    return folder


@pytest.fixture
def sibling() -> Iterator[Script]:
    """A process of the same user that says ``hit`` for each SIGWINCH that reaches it."""
    with Script(SIBLING) as script:
        script.wait_for(b"up")
        yield script
