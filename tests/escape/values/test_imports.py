"""A cell that may write to the notebook's directory cannot choose what the kernel imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.cells import CHANNEL, NEEDS, ROOT
from tests.unit.gate.forging import program, text

pytestmark = [pytest.mark.escape, NEEDS]

_NOTEBOOK = """
import os, sys
from kavach_ipy import Policy, Sandbox
sys.path.insert(0, "")
code, data = sys.argv[1], bytes.fromhex(sys.argv[2])
with Sandbox(Policy(writable=(os.getcwd(),))) as box:
    outcome = box.run(code, inputs={"data": data}, out=["x"])
print(outcome.failure, outcome.withheld["x"].reason)
"""
_CELL = """
with open("polars.py", "w") as module:
    module.write("open('canary', 'w').close()")
send(frame(VALUE, {"name": "x", "kind": "int", "parts": [None]}, data))
send(frame(DONE, {"failure": None}))
os._exit(0)
"""


def _python(where: Path, *arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-P", "-c", *arguments],
        cwd=where,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return run.stdout


def test_a_module_that_a_cell_left_is_not_imported_by_its_value(tmp_path: Path) -> None:
    """The cell writes polars.py and sends a value that names polars; only its owner loads it."""
    where = tmp_path / "notebook"
    where.mkdir()
    # Under host root the cell is another user.
    where.chmod(0o777)
    canary = where / "canary"
    data = program(text("kavach_ipy.wire.polars_frames"), text("frame"), b"\x93)R")
    said = _python(where, _NOTEBOOK, f"{CHANNEL}\n{_CELL}", data.hex())
    assert said.startswith("None ")
    # What the cell left is there, as --rw says, and runs when somebody imports it there.
    assert (where / "polars.py").exists()
    assert not canary.exists()
    _python(where, "import sys; sys.path.insert(0, ''); import polars")
    assert canary.exists()
