"""The notebook for administrators, executed from top to bottom in a real ipykernel."""

from __future__ import annotations

from typing import Any

import pytest

from tests.notebook.executing import ROOT, execute

pytestmark = [pytest.mark.notebook, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


@pytest.fixture(scope="module")
def outputs() -> dict[str, list[Any]]:
    """What stands below each cell of the executed notebook, by the cell's id."""
    executed = execute(ROOT / "notebooks/05_for_administrators.ipynb")
    return {key: cell.outputs for key, cell in executed.items()}


def _text(outputs: list[Any]) -> str:
    """Return what a cell printed; an error's text where it ended by one."""
    return "".join(out.text if "text" in out else out.get("evalue", "") for out in outputs)


def test_the_floor_is_named_where_it_refuses(outputs: dict[str, list[Any]]) -> None:
    """File and line, and the cell within the floor runs."""
    assert 'policy.toml, line 1, says memory = "1G"' in _text(outputs["more"])
    assert "this does not run" not in _text(outputs["more"]) + _text(outputs["stopped"])
    assert _text(outputs["within"]) == "this does\n"
    assert "line 1, column 1: 'memori' is no key" in _text(outputs["stopped"])


def test_the_record_is_intact_until_it_is_forged(outputs: dict[str, list[Any]]) -> None:
    """One event says what came back, and a changed copy of the log is found out."""
    event = outputs["event"][0].data["text/plain"]
    assert "'name': 'answer'" in event
    assert "6 * 7" not in event
    assert ": intact, open" in _text(outputs["verify"])
    assert "NOT INTACT" in _text(outputs["forged"])


def test_every_cell_is_sandboxed_between_on_and_off(outputs: dict[str, list[Any]]) -> None:
    """No network while it is on, and the notebook's own variables afterwards."""
    assert "Address family not supported by protocol" in _text(outputs["inside"])
    assert outputs["back"][0].data["text/plain"] == "42"


def test_show_names_what_decides(outputs: dict[str, list[Any]]) -> None:
    """Policy files, kernels and settings of the server."""
    for word in ("policy files", "python3", "ServerApp.terminals_enabled"):
        assert word in _text(outputs["show"])
