"""The notebook of `make demo`, executed from top to bottom in a real ipykernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.notebook.executing import ROOT, execute

if TYPE_CHECKING:
    from nbformat import NotebookNode

pytestmark = [pytest.mark.notebook, pytest.mark.needs("userns", "seccomp", "landlock")]


@pytest.fixture(scope="module")
def cells() -> dict[str, NotebookNode]:
    """Every cell of the executed notebook by its id."""
    return execute(ROOT / "notebooks/01_first_cell.ipynb")


def _text(cell: NotebookNode) -> str:
    """Everything a reader sees below the cell, as text."""
    shown = []
    for output in cell.outputs:
        match output.output_type:
            case "stream":
                shown.append(output.text)
            case "error":
                shown.append("\n".join(output.traceback))
            case _:
                shown.append(output.data.get("text/plain", ""))
    return "\n".join(shown)


def _error(cell: NotebookNode) -> str:
    errors = [output for output in cell.outputs if output.output_type == "error"]
    assert len(errors) == 1, _text(cell)
    return f"{errors[0].ename}: {errors[0].evalue}"


def test_result_comes_back_and_the_original_stays(cells: dict[str, NotebookNode]) -> None:
    """The mean of 123 Gentoo penguins arrives; the masses zeroed inside are whole outside."""
    assert "inside the sandbox the heaviest penguin has 0 g now" in _text(cells["summary"])
    assert "5076.0" in _text(cells["summary"])
    assert "outside, the heaviest penguin still has 6300 g" in _text(cells["intact"])
    assert "5076.0" in _text(cells["intact"])
    assert "DataFrame" in _text(cells["intact"])


def test_network_call_fails_as_an_ordinary_error(cells: dict[str, NotebookNode]) -> None:
    """A cell without network sees an OSError, in its own traceback."""
    assert _error(cells["connect"]).startswith("OSError")
    assert "create_connection" in _text(cells["connect"])


def test_nothing_written_is_there_afterwards(cells: dict[str, NotebookNode]) -> None:
    """Two places refuse; the third is the cell's own; outside, none of the files exists."""
    written = _text(cells["write"])
    assert "/etc: Read-only file system" in written
    assert "/var/tmp: written" not in written
    assert written.count("written, inside") == 1
    assert "True" not in _text(cells["unwritten"])
    assert _text(cells["unwritten"]).count("False") == 3
    assert _error(cells["outside"]).startswith("OSError")


def test_kernel_lives_after_a_crash(cells: dict[str, NotebookNode]) -> None:
    """A segmentation fault ends the cell with its name, and the next cell answers."""
    assert "SIGSEGV" in _error(cells["segfault"])
    assert _text(cells["alive"]) == "2"


def test_last_cell_shows_what_was_verified(cells: dict[str, NotebookNode]) -> None:
    """The confinement report is part of the output, layer by layer."""
    report = _text(cells["confinement"])
    assert "verified" in report
    for layer in ("namespaces", "capabilities", "files", "network"):
        assert layer in report
