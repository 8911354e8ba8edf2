"""The notebooks that are shipped, executed from top to bottom in a real ipykernel."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["ROOT", "execute"]

ROOT = Path(__file__).resolve().parents[2]


def execute(path: Path) -> dict[str, NotebookNode]:
    """Return the code cells of a notebook by their ids, in order, each with its outputs."""
    # By path: notebooks/ is no package.
    run: Callable[[Path], NotebookNode] = runpy.run_path(str(ROOT / "notebooks/run.py"))["execute"]
    return {cell.id: cell for cell in run(path).cells if cell.cell_type == "code"}
