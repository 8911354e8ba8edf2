"""Kernels for the tests of this folder, each ended and reaped when its tests are done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.kernels import Kernel, start_kernel

__all__ = ["fresh_kernel", "kernel"]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with the extension loaded, shared by the tests of a module."""
    running = start_kernel(tmp_path_factory.mktemp("ipython"))
    try:
        loaded = running.run("%load_ext kavach_ipy")
        assert loaded.status == "ok", loaded
        yield running
    finally:
        running.close()


@pytest.fixture
def fresh_kernel(tmp_path: Path) -> Iterator[Kernel]:
    """A kernel of the test's own, without the extension."""
    running = start_kernel(tmp_path / "ipython")
    try:
        yield running
    finally:
        running.close()
