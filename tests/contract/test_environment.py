"""Environment variables that are not on the list are nowhere; those that are, stay."""

from __future__ import annotations

import json
import os

import pytest

from tests.contract.cells import NEEDS, python, value

pytestmark = [pytest.mark.contract, NEEDS]

SECRET = "5ec7e7-of-the-environment"

LOOK = """
import ctypes, os, subprocess
getenv = ctypes.CDLL(None).getenv
getenv.restype = ctypes.c_char_p
with open("/proc/self/environ", "rb") as file:
    block = file.read()
program = subprocess.run(["env"], capture_output=True, text=True).stdout
[
    dict(os.environ),
    {n: (getenv(n.encode()) or b"").decode() for n in ("KAVACH_TEST_TOKEN", "LC_KAVACH")},
    block.decode(),
    program,
]
"""

STARTED = """
import json, sys
from kavach_ipy import Policy, Sandbox
outcome = Sandbox(Policy(timeout=20)).run(sys.argv[1]).check()
import os
print(json.dumps([outcome.result, dict(os.environ)]))
"""


def test_variable_that_is_not_listed_is_in_none_of_the_four_places() -> None:
    """Python's mapping, the C library, /proc/self/environ and what a program inherits agree."""
    done = python(STARTED, LOOK, KAVACH_TEST_TOKEN=SECRET, LC_KAVACH="listed")
    assert done.returncode == 0, done.stderr
    (mapping, library, block, program), outside = json.loads(done.stdout)
    assert SECRET not in json.dumps([mapping, library, block, program])
    assert library == {"KAVACH_TEST_TOKEN": "", "LC_KAVACH": "listed"}
    assert mapping["LC_KAVACH"] == "listed"
    assert "LC_KAVACH=listed\n" in program
    assert outside["KAVACH_TEST_TOKEN"] == SECRET


def test_secret_is_seen_without_the_sandbox() -> None:
    """The same look in a plain process finds it in all four places."""
    code = LOOK.strip().rpartition("\n[")
    done = python(f"{code[0]}\nprint([{code[2]})", KAVACH_TEST_TOKEN=SECRET)
    assert done.stdout.count(SECRET) == 4


def test_variable_set_later_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller adds to ``os.environ`` while it runs is judged alike."""
    monkeypatch.setenv("KAVACH_TEST_TOKEN", SECRET)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    mapping, library, block, program = value(LOOK)
    assert SECRET not in repr((mapping, library, block, program))
    assert mapping["OMP_NUM_THREADS"] == "3"


def test_policy_names_what_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    """An allow-list of one lets one through, besides HOME."""
    monkeypatch.setenv("KAVACH_ONE", "1")
    monkeypatch.setenv("KAVACH_TWO", "2")
    seen = value("import os\ndict(os.environ)", environment="KAVACH_ONE")
    assert isinstance(seen, dict)
    assert (seen.keys() - {"HOME"}, seen["KAVACH_ONE"]) == ({"KAVACH_ONE"}, "1")


def test_changes_of_the_cell_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's environment is as it was."""
    monkeypatch.setenv("LANG", "C.UTF-8")
    code = "import os\nos.environ['LANG'] = 'x'\nos.putenv('NEW', '1')\nos.system('exit $NEW') >> 8"
    assert value(code) == 1
    assert os.environ["LANG"] == "C.UTF-8"
    assert "NEW" not in os.environ
