"""One row of the table in a real kernel: warmed, used in a cell, used in the notebook again.

Guarantees: every wait has a deadline, and a cell that hangs is ended and told.
Assumes: ipykernel; the kernels of `Kernels` are closed by whoever made them.
"""

from __future__ import annotations

import platform
import sqlite3
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kernel.kernels import Kernel, start_kernel
from tests.libraries.table import PYTHON, Row

__all__ = ["DEADLINE", "Kernels", "Measured", "version_of"]

DEADLINE = 20
"""Seconds after which a cell hangs. The slowest takes two or three."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a row."""

    printed: str
    heard: str
    """What the cell wrote to standard error: warnings."""

    error: str | None
    message: str
    displays: int
    seconds: float
    """From the request to the reply, of the cell alone."""

    printed_again: str
    """What the cell's code printed in the notebook afterwards."""


class Kernels:
    """A kernel for each group of rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kernels: dict[str, Kernel] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for kernel in self._kernels.values():
            kernel.close()

    def measure(self, row: Row) -> Measured:
        """Warm the library, use it in a cell, and use it again.

        Raises:
            AssertionError: the notebook's own code failed, or the kernel said nothing.
        """
        kernel = self._of(row)
        warmed = kernel.run(row.notebook)
        assert warmed.status == "ok", warmed.error
        start = time.perf_counter()
        ran = kernel.run(f"%%sandbox --timeout {DEADLINE}s\n{row.cell}")
        seconds = time.perf_counter() - start
        again = kernel.run(row.cell)
        assert again.status == "ok", again.error
        failure = ran.error if ran.status == "error" else None
        return Measured(
            printed=ran.stdout.strip(),
            heard=ran.stderr.strip(),
            error=None if failure is None else str(failure["ename"]),
            message="" if failure is None else str(failure["evalue"]),
            displays=len(ran.of("display_data")),
            seconds=seconds,
            printed_again=again.stdout.strip(),
        )

    def _of(self, row: Row) -> Kernel:
        kernel = self._kernels.get(row.group)
        if kernel is None:
            kernel = start_kernel(self._folder / row.group, **row.environment)
            self._kernels[row.group] = kernel
            assert kernel.run("%load_ext kavach_ipy").status == "ok"
        return kernel


def version_of(row: Row) -> str | None:
    """The installed version of a row's library; None where there is none."""
    if row.package == PYTHON:
        is_sqlite = row.did.startswith("sqlite3")
        return f"SQLite {sqlite3.sqlite_version}" if is_sqlite else platform.python_version()
    try:
        return version(row.package)
    except PackageNotFoundError:
        return None
