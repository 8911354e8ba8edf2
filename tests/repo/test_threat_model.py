"""The threat model and the attacks on it match: a row each, and every attack could succeed.

An attack that fails everywhere proves nothing, so each test of tests/escape runs its probe without
the sandbox too: in its own body, or in a test that a ``baseline`` mark ties to it. Where that
would harm the machine or cannot be, a ``no_baseline`` mark says why.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repo.sources import ROOT

MODEL = ROOT / "docs/explanation/threat-model.md"
ESCAPE = sorted((ROOT / "tests/escape").glob("test_*.py"))

FEWEST_CASES = 120

# What runs a probe without a sandbox: tests/escape/probes.py and a plain fork.
PLAIN = {"forked", "found_in_a_fork", "looked_at_outside", "outside"}


def _promises() -> list[list[str]]:
    """The rows of the table of promises, as cells."""
    _, _, part = MODEL.read_text(encoding="utf-8").partition("\n## Rows of promises\n")
    part, _, _ = part.partition("\n## ")
    lines = [line for line in part.splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert head == ["attacker", "asset", "promise", "mechanism", "shown by"]
    return rows


PROMISES = _promises()


def _linked(row: list[str]) -> list[Path]:
    return [(MODEL.parent / link).resolve() for link in re.findall(r"\]\(([^)]+)\)", row[-1])]


def _tests(file: Path) -> list[ast.FunctionDef]:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return [
        node for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def _marked(test: ast.FunctionDef, mark: str) -> Iterator[list[str]]:
    """The arguments of each mark of that name, which are literals."""
    for decorator in test.decorator_list:
        match decorator:
            case ast.Call(func=func, args=arguments) if ast.unparse(func) == f"pytest.mark.{mark}":
                yield [ast.literal_eval(argument) for argument in arguments]
            case _:
                pass


def _runs_without_the_sandbox(test: ast.FunctionDef) -> bool:
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in PLAIN
        for node in ast.walk(test)
    )


def _names(file: Path) -> str:
    return file.name


@pytest.mark.parametrize("row", PROMISES, ids=[row[1] for row in PROMISES])
def test_promise_links_the_one_file_that_shows_it(row: list[str]) -> None:
    """A row of promises without its test is a wish."""
    assert len(row) == 5
    assert all(row)
    (file,) = _linked(row)
    assert file.is_file()
    assert file.is_relative_to(ROOT / "tests")
    assert file.name.startswith("test_")


def test_promises_share_no_file() -> None:
    """Who reads a row finds its attacks, and nothing else, in one place."""
    counts = Counter(file for row in PROMISES for file in _linked(row))
    assert [str(file) for file, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("file", ESCAPE, ids=_names)
def test_attacks_belong_to_a_promise(file: Path) -> None:
    """Every file of tests/escape is named by a row."""
    assert file in [linked for row in PROMISES for linked in _linked(row)]


@pytest.mark.parametrize("file", ESCAPE, ids=_names)
def test_every_attack_is_seen_to_succeed_without_the_sandbox(file: Path) -> None:
    """Each test has a run in a plain process, or a reason why it has none."""
    tests = _tests(file)
    shown = {test.name for test in tests if _runs_without_the_sandbox(test)}
    for test in tests:
        for named in _marked(test, "baseline"):
            shown |= {test.name, *named}
    assert shown, "nothing of this file is ever seen to succeed"
    excused = {test.name for test in tests if list(_marked(test, "no_baseline"))}
    assert [test.name for test in tests if test.name not in shown | excused] == []
    assert shown & excused == set(), "a reason outlived its cause"


@pytest.mark.parametrize("file", ESCAPE, ids=_names)
def test_marks_mean_something(file: Path) -> None:
    """What a baseline stands for exists in the same file; a reason is a reason."""
    names = {test.name for test in _tests(file)}
    for test in _tests(file):
        for named in _marked(test, "baseline"):
            assert named
            assert set(named) <= names
        for reason in _marked(test, "no_baseline"):
            assert len(reason) == 1
            assert len(reason[0].split()) >= 3


def test_there_are_enough_attacks() -> None:
    """Counted as pytest counts them, parameters and all."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/escape"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    counted = re.search(r"^(\d+) tests collected", done.stdout, re.MULTILINE)
    assert counted, done.stdout + done.stderr
    assert int(counted[1]) >= FEWEST_CASES
