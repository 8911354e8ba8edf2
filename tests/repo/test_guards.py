"""The catalogue of guards (``make mutate``) means the code as it is, and all of it."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kavach_ipy.linux.syscalls import ALLOWED, DENIED, UNANSWERED, UNSUPPORTED
from tests.mutation.__main__ import _run, without
from tests.mutation.guard import Edit, Guard
from tests.mutation.guards import GUARDS, NO_GUARDS
from tests.repo.sources import PACKAGE, ROOT, tree

PROCESSES = {"_set_up": "A", "become_the_cell": "C"}
"""The two halves of the recipe, and the process that each is of."""


@pytest.mark.parametrize("guard", GUARDS, ids=[guard.name for guard in GUARDS])
def test_guard_stands_where_the_catalogue_says(guard: Guard) -> None:
    """Its text is there exactly once, what takes its place is Python, and its tests exist."""
    for edit in guard.edits:
        source = (PACKAGE / edit.file).read_text(encoding="utf-8")
        assert without(source, edit) != source
    assert guard.tests.split()
    for test in guard.tests.split():
        file, _, name = test.partition("::")
        functions = {
            node.name
            for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)
        }
        assert not name or name in functions, test
    assert bool(guard.also) == bool(guard.why_also)


def test_guards_have_names_of_their_own() -> None:
    """A verdict belongs to one guard."""
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)


def _steps() -> set[str]:
    """Every ``with step("name")`` of the recipe."""
    found = set()
    for function in tree("launch/child.py").body:
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Name(id="step"), args=[ast.Constant(value=str(name))]):
                    found.add(f"{PROCESSES[function.name]}: {name}")
                case _:
                    pass
    return found


def test_every_step_of_the_recipe_is_a_guard_or_is_none_for_a_reason() -> None:
    """A step that nobody switches off could be lost without a test that notices."""
    groups = (*ALLOWED, *DENIED, *UNANSWERED, *UNSUPPORTED)
    parts = _steps() | {f"calls: {group.purpose}" for group in groups}
    assert len(_steps()) > 25
    guarded = {guard.of for guard in GUARDS if guard.of}
    assert guarded | NO_GUARDS.keys() == parts
    assert not guarded & NO_GUARDS.keys()
    assert all(NO_GUARDS.values())


def test_calls_that_are_let_through_are_not_made() -> None:
    """The verdict on a whole group is asked of the program: reboot(2) is in one of them."""
    files = {guard.tests for guard in GUARDS if guard.of.startswith("calls: ")}
    assert files == {
        "tests/unit/linux/test_seccomp.py::test_every_number_has_the_verdict_of_the_table"
    }


def test_mutant_of_host_root_has_names_and_mounts_of_its_own(tmp_path: Path) -> None:
    """A test that gets through where a guard is off reaches nothing of the machine's."""
    own = tuple(os.readlink(f"/proc/self/ns/{name}") for name in ("uts", "ipc", "mnt"))
    (tmp_path / "test_looks.py").write_text(
        "import os\n"
        "def test_looks():\n"
        "    for name, theirs in zip(('uts', 'ipc', 'mnt'), " + repr(own) + "):\n"
        "        assert os.geteuid() != 0 or os.readlink(f'/proc/self/ns/{name}') != theirs\n",
        encoding="utf-8",
    )
    assert _run(tmp_path, ["test_looks.py"], 60) == 0


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (Edit("x.py", "b\n", "c\n"), "stands 2 times"),
        (Edit("x.py", "z\n", "c\n"), "stands 0 times"),
        (Edit("x.py", "a\n", "if\n"), "invalid syntax"),
    ],
)
def test_edit_that_would_say_nothing_is_refused(edit: Edit, words: str) -> None:
    """Text that is not there once, or a module that no test could even import."""
    with pytest.raises(SystemExit, match=words):
        without("a\nb\nb\n", edit)


RUN = """
import sys
from pathlib import Path
from tests.mutation import __main__ as runner
Path("test_waits.py").write_text(
    "import os, time\\n"
    "def test_waits():\\n"
    "    print(os.getpid(), flush=True)\\n"
    "    os.fork()\\n"
    "    time.sleep(60)\\n"
)
runner._run(Path.cwd(), ["-s", "test_waits.py"], 60, is_shown=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
def test_runner_that_ends_takes_its_tests_along(tmp_path: Path, number: signal.Signals) -> None:
    """Neither pytest nor what a test has started goes on without anybody to tell."""
    runner = subprocess.Popen(
        [sys.executable, "-c", RUN],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert runner.stdout is not None
    with runner, runner.stdout as said:
        pid = next(int(line) for line in said if line.strip().isdigit())
        runner.send_signal(number)
        runner.wait(10)
        group = pid
        until = time.monotonic() + 10
        while _has_members(group) and time.monotonic() < until:
            os.sched_yield()
        assert not _has_members(group)


def _has_members(group: int) -> bool:
    """Tell whether a process of a group still runs: proc(5), /proc/<pid>/stat."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="ascii", errors="replace").rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            return True
    return False
