"""An interpreter that was exec'd before it was known what it will be: used where it fits."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kavach_ipy.launch.eggs import Egg, forget_laid, lay, search_path, take_egg
from kavach_ipy.launch.zygotes import end_zygotes
from kavach_ipy.policy import Policy
from kavach_ipy.sandbox import Sandbox
from tests.contract.cells import NEEDS, children, value, wait_for_the_end_of

pytestmark = [pytest.mark.contract, NEEDS]

ENTRY = "kavach_ipy.fresh:ScriptRunner"
SEEN = {"HOME": os.path.expanduser("~"), "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8", "TZ": "UTC"}


@pytest.fixture(autouse=True)
def laid(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """An egg of this process, which has no zygote; its process."""
    end_zygotes()
    for name, text in SEEN.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("A_TOKEN", "secret")
    monkeypatch.delenv("LANGUAGE", raising=False)
    monkeypatch.delenv("USER", raising=False)
    lay(ENTRY)
    (pid,) = children(os.getpid())
    yield pid
    end_zygotes()
    assert children(os.getpid()) == []


def _environment(pid: int) -> dict[str, str]:
    block = Path(f"/proc/{pid}/environ").read_text("utf-8").rstrip("\0")
    return dict(entry.split("=", 1) for entry in block.split("\0") if entry)


def _ended(egg: Egg) -> int:
    egg.end()
    return egg.process.pid


def test_egg_becomes_the_zygote_of_the_first_cell(laid: int) -> None:
    """Its cells see all that their policy lets through, though it was begun without it."""
    assert set(_environment(laid)) <= {*SEEN, "JE_ARROW_MALLOC_CONF", "LD_LIBRARY_PATH"}
    seen = value("import os, time\n(os.environ['PATH'], time.tzname[0])", clean=True)
    assert seen == (os.environ["PATH"], "UTC")
    assert children(os.getpid()) == [laid]


def test_zone_of_the_policy_is_that_of_the_cell(laid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is another than that which the egg began with, which then is not used."""
    monkeypatch.setenv("TZ", "XYZ-2")
    assert value("import time\ntime.tzname[0]", clean=True) == "XYZ"
    assert laid not in children(os.getpid())


def test_egg_is_not_used_where_the_policy_hides_what_it_has(laid: int) -> None:
    """A variable that a policy takes away is in no memory of its cells."""
    box = Sandbox(Policy(clean=True, environment=("PATH",)))
    assert box.run("import os\nsorted(os.environ)").check().result == ["HOME", "PATH"]
    (zygote,) = children(os.getpid())
    assert zygote != laid
    assert "LANG" not in _environment(zygote)


def test_egg_is_passed_over_where_it_is_not_as_asked_for() -> None:
    """By its entry, its search path, or its environment; and each egg is taken once."""
    here, path = dict(os.environ), search_path()
    for entry, places, environment in (
        ("kavach_ipy.front.fresh:TerminalRunner", path, here),
        (ENTRY, (*path, "/elsewhere"), here),
        (ENTRY, path, {**here, "LANG": "C"}),
        (ENTRY, path, {}),
    ):
        lay(ENTRY)
        there = set(children(os.getpid()))
        assert _ended(take_egg(entry, places, environment)) not in there
    lay(ENTRY)
    there = set(children(os.getpid()))
    assert _ended(take_egg(ENTRY, path, here)) in there
    assert _ended(take_egg(ENTRY, path, here)) not in there


def test_egg_that_died_costs_no_cell(laid: int) -> None:
    """Another is made in its place."""
    pidfd = os.pidfd_open(laid)
    os.kill(laid, signal.SIGKILL)
    wait_for_the_end_of([pidfd])
    assert value("1", clean=True) == 1


def test_fork_of_the_process_leaves_its_egg_alone(laid: int) -> None:
    """A child of the notebook's own neither uses nor ends it."""
    pid = os.fork()
    if pid == 0:
        forget_laid()
        os._exit(0)
    os.waitpid(pid, 0)
    assert _ended(take_egg(ENTRY, search_path(), os.environ)) == laid
