"""Who may import and call what: the invariants of the architecture, read from the source."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.repo.sources import ROOT, imported_names, modules, uses_of

# Everything in the standard library and our dependencies that turns bytes into objects by name.
UNPICKLERS = (
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "pickle._Unpickler",
    "pickle._load",
    "pickle._loads",
    "_pickle.load",
    "_pickle.loads",
    "_pickle.Unpickler",
    "cloudpickle.load",
    "cloudpickle.loads",
    "cloudpickle.cloudpickle.loads",
    "marshal.load",
    "marshal.loads",
    "shelve.open",
    "numpy.load",
    "pandas.read_pickle",
    "pandas.read_hdf",
    "copyreg.__newobj__",
    "copyreg._reconstructor",
)


def _roots(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imported_names(module)}


def test_imports_go_down_only() -> None:
    """Hub > front > sandbox | fresh > audit | hearing > launch | gate > policy, linux, wire."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run()",
            "--no-cache",
        ],
        cwd=ROOT,
        # Without this, the report is written with the locale's encoding.
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", modules())
def test_only_the_gate_may_hold_an_unpickler(module: str) -> None:
    """One module calls a stock unpickler, for --trust; the gate's reader is our own."""
    if module == "gate/stock.py":
        assert len(uses_of(module, *UNPICKLERS)) == 1
    else:
        assert uses_of(module, *UNPICKLERS) == []


def test_the_stock_unpickler_is_reached_from_one_place() -> None:
    """Only the gate's values may load it, and does so inside the branch that --trust opens."""
    users = [name for name in modules() if "kavach_ipy.gate.stock" in imported_names(name)]
    assert users == ["gate/values.py"]


@pytest.mark.parametrize("module", modules())
def test_pickle_is_imported_by_the_wire_writer_and_the_gate_alone(module: str) -> None:
    """The child's pickler lives in wire/, the parent's reader in gate/, and nobody else knows."""
    picklers = {"pickle", "_pickle", "cloudpickle", "pickletools", "marshal", "shelve", "dill"}
    if not module.startswith(("wire/", "gate/")):
        assert _roots(module) & picklers == set()


@pytest.mark.parametrize("module", modules())
def test_only_the_system_call_seam_imports_ctypes(module: str) -> None:
    """A forged pointer is a forged kernel: one reviewed module makes foreign calls."""
    if module != "linux/_libc.py":
        assert _roots(module) & {"ctypes", "_ctypes", "cffi"} == set()


@pytest.mark.parametrize("module", modules())
def test_only_front_imports_ipython(module: str) -> None:
    """Graders and scripts use the sandbox without IPython being there."""
    jupyter = {"IPython", "ipykernel", "traitlets", "jupyter_client", "jupyter_core", "zmq", "comm"}
    if module.startswith("hub/"):
        # Where Jupyter looks for kernels and settings is what an administrator's command is about.
        jupyter -= {"jupyter_client", "jupyter_core"}
    if not module.startswith("front/"):
        assert _roots(module) & jupyter == set()


@pytest.mark.parametrize("module", modules())
def test_nothing_from_the_child_is_evaluated(module: str) -> None:
    """Code is run where a cell runs, never where its output is read."""
    runs_cells = module.startswith("front/") or module == "launch/script.py"
    if not runs_cells:
        assert uses_of(module, "eval", "exec", "builtins.eval", "builtins.exec") == []


def test_the_search_sees_through_aliases(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above can fail: an aliased unpickler and a late import are found."""
    import ast

    from tests.repo import sources

    hidden = ast.parse(
        "import pickle as p\nfrom pickle import loads as l\nimport os.path\n"
        "def f():\n    import ctypes\n    p.loads(b''), l(b'')\n"
        "    import importlib\n    importlib.import_module('zmq')\n"
    )
    monkeypatch.setattr(sources, "tree", lambda _: hidden)
    assert uses_of("hidden.py", "pickle.loads") == [
        "hidden.py:6 pickle.loads",
        "hidden.py:6 pickle.loads",
    ]
    assert {"ctypes", "zmq", "pickle"} <= _roots("hidden.py")
