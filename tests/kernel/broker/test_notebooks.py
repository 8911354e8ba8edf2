"""Notebooks that are executed without a front end, by a kernelspec as it is installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.kernel.broker.conftest import ISOLATED

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


@pytest.fixture
def kernelspec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install a kernelspec for this test, and return its name."""
    spec = tmp_path / "kernels" / "sandboxed"
    spec.mkdir(parents=True)
    argv = [sys.executable, *ISOLATED.split(), "-f", "{connection_file}", "--log-level=ERROR"]
    text = {"argv": argv, "display_name": "Python (sandboxed)", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(text))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    # ipykernel leaves file descriptors 1 and 2 alone while that variable is set.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    return spec.name


def _execute(kernelspec: str, *sources: str) -> Any:
    made: Any = nbformat.v4
    notebook = made.new_notebook(cells=[made.new_code_cell(source) for source in sources])
    return NotebookClient(notebook, kernel_name=kernelspec, timeout=60).execute()


def test_notebook_is_executed_by_nbclient(kernelspec: str) -> None:
    """Outputs, counts and errors are where they are with any kernel."""
    error = "import sys\nprint('err', file=sys.stderr)"
    done = _execute(kernelspec, "x = 20\nprint('text')", "x + 1", error)
    assert [cell.execution_count for cell in done.cells] == [1, 2, 3]
    assert done.cells[0].outputs[0].text == "text\n"
    assert done.cells[1].outputs[0].data == {"text/plain": "21"}
    assert done.cells[2].outputs[0].name == "stderr"


def test_failing_cell_ends_the_execution(kernelspec: str) -> None:
    """With its own error; what it asks of a user is refused by name."""
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        _execute(kernelspec, "1 / 0", "open('/tmp/ran', 'w')")
    with pytest.raises(CellExecutionError, match="StdinNotImplementedError"):
        _execute(kernelspec, "input()")
