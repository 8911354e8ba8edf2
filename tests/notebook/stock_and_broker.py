"""Notebooks executed by nbclient, by the stock kernel and by one that sandboxes every cell.

Guarantees: both run the same cells, from the first to the last, each in a process and a directory
of its own, with equal names; what is compared is what nbclient keeps of each cell, less what two
runs differ by anyway.
Assumes: as `tests.notebook.plain_and_sandboxed`, whose cells these notebooks are made of.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.notebook.plain_and_sandboxed import Snippet, joined_streams, normal, read_snippets

__all__ = ["ENDS", "execute_both", "shown"]

_PROGRAMS: Final = {
    "plain": ("-m", "ipykernel_launcher"),
    "sandboxed": ("-P", "-m", "kavach_ipy.kernel"),
}
_CELL_SECONDS: Final = 60
ENDS: Final = ("the exit of site",)
"""Cells that end a kernel, and with it the notebook's execution."""


def execute_both(files: Sequence[str], folder: Path) -> list[tuple[Snippet, Any, Any]]:
    """Execute the cells of some files in both kernels, at the same time.

    Args:
        files: below ``cells``, in the order of the notebook.
        folder: for the directories of both.

    Returns:
        Each cell, as the stock kernel and as the other one left it.
    """
    head = read_snippets("setup.ipy")
    snippets = (
        *head,
        *(one for file in files for one in read_snippets(file) if one.name not in ENDS),
    )

    async def execute() -> list[list[Any]]:
        both = (_execute(name, snippets, folder / name) for name in _PROGRAMS)
        return await asyncio.gather(*both)

    plain, sandboxed = asyncio.run(execute())
    found = list(zip(snippets, plain, sandboxed, strict=True))
    return found[len(head) :]


def shown(cell: Any) -> list[Any]:
    """What a reader sees of a cell: its number, and its outputs in order."""
    outputs = (
        (one["output_type"], {key: one[key] for key in one if key != "output_type"})
        for one in cell.outputs
    )
    seen: list[Any] = normal([("count", cell.execution_count), *joined_streams(outputs)])
    return seen


async def _execute(name: str, snippets: tuple[Snippet, ...], folder: Path) -> list[Any]:
    directory = folder / "notebook"
    directory.mkdir(parents=True)
    made: Any = nbformat.v4
    cells = [made.new_code_cell(snippet.code) for snippet in snippets]
    manager = AsyncKernelManager(kernel_name="python3")
    spec = manager.kernel_spec
    assert spec is not None
    argv = [sys.executable, *_PROGRAMS[name], "-f", "{connection_file}", "--log-level=ERROR"]
    spec.argv = argv
    spec.env = {"IPYTHONDIR": str(folder / "ipython")}
    client = NotebookClient(
        made.new_notebook(cells=cells),
        km=manager,
        timeout=_CELL_SECONDS,
        allow_errors=True,
        resources={"metadata": {"path": str(directory)}},
    )
    # Else it would end neither the kernel nor its own sockets.
    client.owns_km = True
    return list((await client.async_execute()).cells)
