"""Which modules a value can make the kernel load: installed ones, wherever the notebook stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_READ = """
import sys
from kavach_ipy.gate.reader import read_pickle
from kavach_ipy.wire import {module}, tags
from tests.unit.gate.forging import Call, forge
sys.path.insert(0, {place!r})
try:
    print(read_pickle(forge(Call({call}))))
except Exception as error:
    print(error)
"""


def _read(place: str, where: Path, module: str, call: str) -> str:
    code = _READ.format(place=place, module=module, call=call)
    root = str(Path(__file__).parents[3])
    # Without the working directory in front, which -c adds by itself.
    run = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=where,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return run.stdout


_RAW = "polars_frames.frame, (1,)"
_SCALAR = "arrays.scalar, ('<i4', b'abcd')"


@pytest.mark.parametrize("is_relative", [True, False])
@pytest.mark.parametrize(
    ("name", "module", "call"),
    [
        ("polars", "polars_frames", _RAW),
        ("numpy", "arrays", _SCALAR),
        ("tzdata", "arrays", "tags.zone, ('Nowhere/Else',)"),
    ],
)
def test_a_value_cannot_load_a_module_of_the_notebook_s_directory(
    tmp_path: Path, name: str, module: str, call: str, *, is_relative: bool
) -> None:
    """A cell that may write there leaves a polars.py, and sends a value that names polars."""
    canary = tmp_path / "canary"
    where = tmp_path / "notebook"
    package = where / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
    _read("" if is_relative else str(where), where, module, call)
    assert not canary.exists()


def test_a_value_loads_what_is_installed(tmp_path: Path) -> None:
    """The same value finds the library that stands behind the notebook's own on the path."""
    (tmp_path / "numpy.py").write_text("raise SystemExit\n")
    assert _read("", tmp_path, "arrays", _SCALAR).strip() == str(int.from_bytes(b"abcd", "little"))


def test_a_module_that_is_only_in_the_notebook_s_directory_is_named(tmp_path: Path) -> None:
    """What the reader would not load, its owner can; other threads and later imports are free."""
    (tmp_path / "kavach_own.py").write_text("x = 1\n")
    code = f"""
import sys, threading
sys.path.insert(0, {str(tmp_path)!r})
from kavach_ipy.gate.imports import installed_only
before = list(sys.meta_path)
with installed_only():
    try:
        import kavach_own
    except ModuleNotFoundError as error:
        print(error)
    thread = threading.Thread(target=lambda: __import__("kavach_own"))
    thread.start()
    thread.join()
    print("kavach_own" in sys.modules)
assert sys.meta_path == before
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    refusal, found = run.stdout.splitlines()
    assert "import it in the notebook" in refusal
    assert found == "True"
