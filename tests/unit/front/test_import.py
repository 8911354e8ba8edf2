"""Importing costs next to nothing, and starts nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from IPython.core.error import UsageError

import kavach_ipy

if TYPE_CHECKING:
    from kavach_ipy.front.shells import Shell

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"IPython", "ipykernel", "traitlets", "numpy", "pandas", "ctypes", "asyncio", "nh3"}


def ask(code: str) -> object:
    """Run code in a fresh interpreter and return what it prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, timeout=60
    )
    return json.loads(done.stdout)


def test_import_loads_nothing_heavy() -> None:
    """A script that imports the package pays for the package's own few lines."""
    loaded = ask(
        "import sys; before = set(sys.modules); import kavach_ipy, json;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    assert isinstance(loaded, list)
    assert HEAVY.isdisjoint(loaded)
    assert [name for name in loaded if name.startswith("kavach_ipy")] == ["kavach_ipy"]


def test_the_python_interface_needs_no_ipython() -> None:
    """``Sandbox`` and ``Policy`` work in a plain script."""
    loaded = ask(
        "import json, sys; from kavach_ipy import Policy, Sandbox; Sandbox(Policy(memory='1G'));"
        "print(json.dumps(sorted(name.partition('.')[0] for name in sys.modules)))"
    )
    assert isinstance(loaded, list)
    assert {"IPython", "ipykernel", "traitlets", "numpy", "pandas"}.isdisjoint(loaded)


def test_loading_the_extension_loads_no_sandbox() -> None:
    """``%load_ext`` waits for nothing that only a cell needs; the first cell loads it."""
    loaded = ask(
        "import json, sys, kavach_ipy.front.extension; print(json.dumps(sorted(sys.modules)))"
    )
    assert isinstance(loaded, list)
    parts = {name.split(".")[1] for name in loaded if name.startswith("kavach_ipy.")}
    assert parts == {"errors", "front", "policy"}
    assert {"numpy", "pandas", "nh3", "prctl", "pyseccomp", "ipykernel"}.isdisjoint(loaded)


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_another_system_refuses_in_one_sentence(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS and Windows nothing is loaded, and the message is one line; unloading is nothing."""
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(UsageError, match=f"needs Linux, and this is {platform}"):
        kavach_ipy.load_ipython_extension(cast("Shell", None))
    kavach_ipy.unload_ipython_extension(cast("Shell", None))


def test_import_starts_nothing() -> None:
    """No thread, no process, no descriptor."""
    living = ask(
        "import os, json\n"
        "def living():\n"
        "    tasks = os.listdir('/proc/self/task')\n"
        "    children = [open(f'/proc/self/task/{t}/children').read() for t in tasks]\n"
        "    return [len(tasks), children, len(os.listdir('/proc/self/fd'))]\n"
        "before = living()\n"
        "import kavach_ipy.sandbox, kavach_ipy.front.cells\n"
        "print(json.dumps([before, living()]))"
    )
    assert isinstance(living, list)
    assert living[0] == living[1]


@pytest.mark.parametrize("name", kavach_ipy.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """``__all__`` promises nothing that cannot be had."""
    assert getattr(kavach_ipy, name) is not None
    assert name in dir(kavach_ipy)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """So that ``hasattr`` and ``from … import`` behave."""
    with pytest.raises(AttributeError, match="no attribute 'Sandbx'"):
        kavach_ipy.__getattr__("Sandbx")
