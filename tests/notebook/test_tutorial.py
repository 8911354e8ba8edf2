"""The tutorial, typed into a real kernel: what it says will happen, happens."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.notebook.executing import ROOT, execute

if TYPE_CHECKING:
    from nbformat import NotebookNode

pytestmark = [
    pytest.mark.notebook,
    pytest.mark.needs("userns", "overlay", "seccomp", "landlock"),
]

# Cells that the tutorial says will fail, found by a word of theirs, with what ends them.
FAILS = {"urlopen": "URLError", "while True": "timeout", "os.kill": "SIGKILL"}


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[NotebookNode]:
    """Every console block of the tutorial as a cell, executed in order."""
    text = (ROOT / "docs/tutorial/first-cell.md").read_text(encoding="utf-8")
    made = [
        new_code_cell(block.rstrip("\n"))  # type: ignore[no-untyped-call]
        for block in re.findall(r"^```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]
    for cell in made:
        if any(word in cell.source for word in FAILS):
            cell.metadata["tags"] = ["raises-exception"]
    folder = tmp_path_factory.mktemp("tutorial")
    shutil.copytree(ROOT / "notebooks/data", folder / "data")
    path = folder / "tutorial.ipynb"
    nbformat.write(new_notebook(cells=made), path)  # type: ignore[no-untyped-call]
    return list(execute(path).values())


def _shown(cell: NotebookNode) -> str:
    return "\n".join(
        output.get("text", "")
        or output.get("data", {}).get("text/plain", "")
        or f"{output.get('ename')}: {output.get('evalue')}"
        for output in cell.outputs
    )


def _cell(cells: list[NotebookNode], word: str) -> NotebookNode:
    return next(cell for cell in cells if word in cell.source)


def test_doctor_grants_every_row(cells: list[NotebookNode]) -> None:
    """Where the capabilities of this test are there, no row of the doctor says refused."""
    shown = _shown(_cell(cells, "%kavach doctor"))
    assert "granted" in shown
    assert "refused" not in shown


def test_named_result_is_shown(cells: list[NotebookNode]) -> None:
    """The table below the cell is the one that the notebook then owns."""
    assert "6300" in _shown(_cell(cells, "heaviest"))


@pytest.mark.parametrize(("word", "ended_by"), FAILS.items())
def test_cell_fails_as_the_tutorial_says(
    cells: list[NotebookNode], word: str, ended_by: str
) -> None:
    """No network, a time limit, a killed process: each ends its own cell and no other."""
    errors = [output for output in _cell(cells, word).outputs if output.output_type == "error"]
    assert len(errors) == 1
    assert ended_by in f"{errors[0].ename}: {errors[0].evalue}"


def test_report_and_explanation_are_shown(cells: list[NotebookNode]) -> None:
    """After all the failures the kernel still answers, in whole sentences."""
    assert "verified" in _shown(_cell(cells, "--report"))
    assert "512MiB" in _shown(_cell(cells, "%kavach explain"))
    answer = _cell(cells, "-o answer")
    assert [output for output in answer.outputs if output.output_type == "error"] == []
