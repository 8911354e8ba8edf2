"""The notebook about what comes back, executed from top to bottom in a real ipykernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.notebook.executing import ROOT, execute

if TYPE_CHECKING:
    from nbformat import NotebookNode

pytestmark = [pytest.mark.notebook, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


@pytest.fixture(scope="module")
def shown() -> dict[str, str]:
    """What a reader sees below each cell of the executed notebook, by the cell's id."""
    executed = execute(ROOT / "notebooks/03_results.ipynb")
    return {key: _text(cell) for key, cell in executed.items()}


def _text(cell: NotebookNode) -> str:
    parts = []
    for output in cell.outputs:
        match output.output_type:
            case "stream":
                parts.append(output.text)
            case "error":
                parts.append(f"{output.ename}: {output.evalue}")
            case _:
                parts.append(output.data.get("text/plain", ""))
    return "\n".join(parts)


def test_values_come_back_with_their_dtypes(shown: dict[str, str]) -> None:
    """Categories, zones, nullable ints, structures and shared lists are as they were made."""
    assert shown["make"] == ""
    for word in ("category", "Europe/Oslo", "Int64", "[2.5]", "Counter({'a': 3"):
        assert word in shown["have"]
    assert shown["have"].endswith("True")


def test_a_big_array_is_mapped_once_and_can_be_written(shown: dict[str, str]) -> None:
    """The memory is the arena's, and a change of the array is the notebook's own."""
    assert "244 MiB, 1 mapping, writable: True" in shown["mapped"]
    assert "True" in shown["mapped"].splitlines()[-1]


def test_what_stays_is_told_with_its_reason(shown: dict[str, str]) -> None:
    """One line each; the name explains itself."""
    lines = shown["unlisted"].strip().splitlines()
    assert len(lines) == 4
    assert all(line.startswith("not brought back: ") for line in lines)
    for words in ("code is never taken out", "lock or a thread", "open file", "explain types"):
        assert any(words in line for line in lines)
    assert "withheld: model" in shown["explained"]


def test_a_hostile_pickle_runs_nothing(shown: dict[str, str]) -> None:
    """The file is not there, and the value is withheld."""
    assert "no tag of the wire" in shown["attack"]
    assert shown["unharmed"].startswith("False")
    assert not (ROOT / "notebooks/owned").exists()


def test_a_trusted_class_comes_back_and_trust_is_refused(shown: dict[str, str]) -> None:
    """The dataclass is the notebook's own; --trust runs nothing by default."""
    assert shown["graded"] == "Grade(student='b', points=2.5)"
    assert "allow_trust" in shown["refused"]


def test_the_list_of_types_is_shown(shown: dict[str, str]) -> None:
    """A reader sees every group of listed types."""
    assert all(name in shown["listed"] for name in ("NumPy", "pandas", "Arrow", "polars", "SciPy"))
