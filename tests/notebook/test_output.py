"""The notebook about what a cell shows, executed from top to bottom in a real ipykernel."""

from __future__ import annotations

from typing import Any

import pytest

from tests.notebook.executing import ROOT, execute

pytestmark = [pytest.mark.notebook, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


@pytest.fixture(scope="module")
def outputs() -> dict[str, list[Any]]:
    """What stands below each cell of the executed notebook, by the cell's id."""
    executed = execute(ROOT / "notebooks/04_output.ipynb")
    return {key: cell.outputs for key, cell in executed.items()}


def test_honest_output_is_rich(outputs: dict[str, list[Any]]) -> None:
    """A table, rendered Markdown and a formula."""
    assert "<table" in outputs["table"][0].data["text/html"]
    assert "<h2>Result</h2>" in outputs["markdown"][0].data["text/html"]
    assert "(https://example.org/data)" in outputs["markdown"][0].data["text/html"]
    assert outputs["formula"][0].data["text/latex"].startswith("$")


def test_what_would_act_leaves_a_line(outputs: dict[str, list[Any]]) -> None:
    """No script, handler, load or command of mathematics is in the notebook."""
    for output in outputs["script"]:
        assert output.data.keys() == {"text/plain"}
        assert "[not shown: " in output.data["text/plain"]
    assert outputs["handler"][0].data["text/html"].strip() == "<b>bold</b>"
    assert outputs["command"][0].data.keys() == {"text/plain"}
    assert outputs["escapes"][0].text == (
        "a \x1b[32mcolour\x1b[0m stays, a wiped screen does not\n"
    )


def test_a_flood_is_counted(outputs: dict[str, list[Any]]) -> None:
    """A thousand displays and one line, and the next cell runs."""
    assert len(outputs["many"]) == 1001
    assert "4000 more displays are not shown" in outputs["many"][-1].text
    assert outputs["kept"][0].data["text/plain"] == "True"


def test_the_setting_withholds_more(outputs: dict[str, list[Any]]) -> None:
    """The same frame comes as text, with a line."""
    assert outputs["textual"][0].data.keys() == {"text/plain"}
    assert "the settings withhold it" in outputs["textual"][0].data["text/plain"]
