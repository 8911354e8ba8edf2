"""The package itself: what it imports and what it exports."""

from __future__ import annotations

import json
import subprocess
import sys

import kavach_ipy.policy
from kavach_ipy.policy.suggestions import did_you_mean

PROBE = """
import json, sys
before = set(sys.modules)
import kavach_ipy.policy
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_importing_the_package_loads_no_heavy_module() -> None:
    """Neither argparse nor difflib, json, ctypes, IPython, nor anything from outside."""
    probe = [sys.executable, "-c", PROBE]
    done = subprocess.run(probe, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "kavach_ipy.policy.model" in loaded
    tops = {name.partition(".")[0] for name in loaded}
    assert tops <= {"kavach_ipy", *sys.stdlib_module_names}
    heavy = {"argparse", "ctypes", "decimal", "difflib", "fractions", "json", "logging", "socket"}
    assert not heavy & loaded
    assert not {name for name in loaded if name.startswith(("kavach_ipy.linux", "kavach_ipy.wire"))}


def test_every_export_exists_and_the_list_is_sorted() -> None:
    """__all__ is what `from kavach_ipy.policy import *` gives."""
    names = kavach_ipy.policy.__all__
    # Constants first, then classes, then functions: the order of ruff's RUF022.
    assert len(names) == len(set(names))
    assert all(hasattr(kavach_ipy.policy, name) for name in names)


def test_a_misspelt_word_gets_its_nearest_neighbours() -> None:
    """Two at most; with none near, all of them; with none at all, a plain word."""
    assert did_you_mean("memroy", ["memory", "cpu"]) == "did you mean 'memory'?"
    assert did_you_mean("zzz", ["memory", "cpu"]) == "allowed are cpu, memory"
    assert did_you_mean("x" * 10_000, []) == "none is defined"
