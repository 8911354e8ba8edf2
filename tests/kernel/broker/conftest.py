"""Kernels whose cells are all sandboxed, each ended and reaped when its tests are done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.kernels import Kernel, start_kernel

__all__ = ["ISOLATED", "PROGRAM", "broker", "written"]

PROGRAM = "-P -m kavach_ipy.kernel"
"""With the package that the tests run in, wherever that is: PYTHONPATH names it."""

ISOLATED = "-I -m kavach_ipy.kernel"
"""As a kernelspec has it."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel that runs its cells in a session, shared by the tests of a module."""
    directory = tmp_path_factory.mktemp("notebook")
    profile = tmp_path_factory.mktemp("ipython")
    running = start_kernel(profile, str(directory), program=PROGRAM)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the host for cells to write to, also where they are another user's."""
    directory = tmp_path_factory.mktemp("written")
    directory.chmod(0o777)
    return directory
