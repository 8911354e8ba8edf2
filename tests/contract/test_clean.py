"""A cell of a fresh interpreter: what it is given, what it lacks, and how its zygote lives."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kavach_ipy.errors import CellFailed, PolicyError
from kavach_ipy.launch.zygotes import end_zygotes
from kavach_ipy.policy import Policy
from kavach_ipy.sandbox import Sandbox
from kavach_ipy.wire.trusted import distrust, trust
from tests.contract.cells import (
    DEADLINE,
    NEEDS,
    Script,
    children,
    descendants,
    failed,
    run,
    stopped,
    value,
    wait_for_the_end_of,
)

pytestmark = [pytest.mark.contract, NEEDS]


def _zygotes() -> list[int]:
    """Children of this process between two cells: nothing but zygotes."""
    return children(os.getpid())


def test_clean_cell_has_its_inputs_and_brings_values_back() -> None:
    """Named values go in by the codec, big ones too, and come back by it."""
    np = pytest.importorskip("numpy")
    array = np.arange(1_000_000.0)
    outcome: Any = run(
        "total = float(a.sum())\na[:] = 0\nb = a[:3]\n(total, words)",
        inputs={"a": array, "words": {"one": [1, None, "é"]}},
        out=["b"],
        clean=True,
    ).check()
    assert outcome.result == (array.sum(), {"one": [1, None, "é"]})
    assert outcome.values["b"].tolist() == [0, 0, 0]
    assert array[-1] == 999_999


def test_clean_cell_sees_nothing_that_it_was_not_given() -> None:
    """No variable, no module of this process, no IPython, no command line."""
    code = "import sys\n(sorted(set(globals()) - {'sys'}), 'IPython' in sys.modules, sys.argv)"
    names, has_ipython, arguments = value(code, clean=True)
    assert [name for name in names if not name.startswith("__")] == []
    assert not has_ipython
    assert arguments == [""]
    assert value("import sys\n'pytest' in sys.modules", clean=False) is True
    assert value("import sys\n'pytest' in sys.modules", clean=True) is False
    assert value("import sys\nsys.path", clean=True) == sys.path


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (lambda: 1, "'x'.*function"),
        ([open], "'x'.*builtin_function_or_method"),
        (bytearray(65 << 20), "'x'.*bytearray.*--memory"),
        (["open sesame 12345678"], "'x'.*known_secrets"),
        (bytearray(b"-" * 100_000 + b"open sesame 12345678"), "'x'.*known_secrets"),
    ],
    ids=["function", "held", "too-large", "secret", "secret-in-a-buffer"],
)
def test_input_that_cannot_go_in_is_named_before_anything_runs(given: object, told: str) -> None:
    """Its name, its type and why; no zygote is even started for it."""
    end_zygotes()
    box = Sandbox(Policy(clean=True, memory="64M"), known_secrets=["open sesame 12345678"])
    with pytest.raises(PolicyError, match=f"{told}.*Nothing ran"):
        box.run("1", inputs={"y": 1, "x": given})
    assert _zygotes() == []


def test_inputs_that_are_too_large_together_are_refused() -> None:
    """What each could have, all cannot."""
    given = {name: bytearray(40 << 20) for name in "ab"}
    with pytest.raises(PolicyError, match="--memory"):
        value("1", inputs=given, clean=True, memory="64M")


ENDINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "exception": ("1 / 0", {}),
    "exit": ("import os; os._exit(3)", {}),
    "segfault": ("import ctypes; ctypes.string_at(0)", {}),
    "timeout": ("while True: pass", {"timeout": 0.5}),
    "memory": ("x = bytearray(1 << 28)", {"memory": "128M"}),
    "output": ("while True: print('x' * 10_000)", {"output": "64K"}),
    "disk": ("open('/tmp/x', 'wb').write(b'x' * (9 << 20))", {"disk": "8M"}),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_clean_cell_ends_as_a_forked_one_does(ending: str) -> None:
    """The same error, in the same words, and nothing but the zygote is left."""
    code, policy = ENDINGS[ending]
    forked, clean = (run(code, clean=clean, **policy).failure for clean in (False, True))
    assert type(forked) is type(clean)
    assert forked is not None
    told = "name" if isinstance(forked, CellFailed) else "limit"
    assert getattr(forked, told) == getattr(clean, told)
    assert len(_zygotes()) == 1


def test_clean_cell_is_confined_by_the_same_layers() -> None:
    """The report of a clean cell names what that of a forked one does, as well verified."""
    reports: list[Any] = [run("1", clean=clean).check().report for clean in (False, True)]
    forked, clean = [{layer.name: layer.state for layer in it.layers} for it in reports]
    assert forked.items() <= clean.items()
    assert reports[0].strength == reports[1].strength


def test_clean_cells_are_single_threaded_forks_of_one_zygote() -> None:
    """One is started, at the first cell, and used for the next ones."""
    end_zygotes()
    assert _zygotes() == []
    value("1", clean=True)
    first = _zygotes()
    assert len(first) == 1
    value("1", clean=True)
    assert _zygotes() == first
    assert len(os.listdir(f"/proc/{first[0]}/task")) == 1


def test_zygote_that_died_is_replaced() -> None:
    """Whoever kills it costs no cell anything but the time."""
    value("1", clean=True)
    (before,) = _zygotes()
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert value("2", clean=True) == 2
    (after,) = _zygotes()
    assert after != before


def test_modules_are_loaded_before_the_cell_comes() -> None:
    """What `preload` names is there; what the last cell loaded is not."""
    code = "import sys\n('decimal' in sys.modules, 'sqlite3' in sys.modules)"
    box = Sandbox(Policy(clean=True, timeout=DEADLINE), preload=["decimal"])
    assert box.run(code).check().result == (True, False)
    box.run("import sqlite3").check()
    assert box.run(code).check().result == (True, False)


def test_numbers_of_two_cells_are_not_the_same_random_ones() -> None:
    """A fresh interpreter's generators are seeded anew, also those that were loaded before."""
    pytest.importorskip("numpy")
    box = Sandbox(Policy(clean=True, timeout=DEADLINE), preload=["numpy.random"])
    code = "import random, numpy\n(random.random(), numpy.random.random())"
    first: Any
    second: Any
    first, second = [box.run(code).check().result for _ in range(2)]
    assert first[0] != second[0]
    assert first[1] != second[1]


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("no_such_module", "ModuleNotFoundError"),
        ("tests.contract.starts_a_thread", "it starts threads"),
    ],
)
def test_module_that_cannot_be_loaded_is_named(module: str, told: str) -> None:
    """Before the cell runs; and without it, cells run as before."""
    with pytest.raises(PolicyError, match=f"preload: '{module}'.*{told}.*Nothing ran"):
        Sandbox(Policy(clean=True), preload=[module]).run("1")
    assert value("1 + 1", clean=True) == 2


def test_zygote_imports_nothing_from_the_notebooks_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not confined, and a cell with --rw may have written there; the cell itself may."""
    (tmp_path / "beside.py").write_text("there = True\n", encoding="utf-8")
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    with pytest.raises(PolicyError, match=r"preload: 'beside'.*ModuleNotFoundError"):
        Sandbox(Policy(clean=True), preload=["beside"]).run("1")
    assert value("import beside\nbeside.there", clean=True) is True


def test_zygote_leads_a_session_of_its_own() -> None:
    """What a terminal sends to the notebook's process group does not reach it."""
    end_zygotes()
    value("1", clean=True)
    (zygote,) = _zygotes()
    assert os.getsid(zygote) == zygote != os.getsid(0)


def test_cells_of_several_threads_share_a_zygote() -> None:
    """It builds one sandbox at a time; the cells run beside each other."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: value(f"{number} * 2", clean=True), range(8)))
    assert found == [number * 2 for number in range(8)]


@dataclass
class Point:
    """A class that can be imported inside, too."""

    x: int


def test_instance_of_a_trusted_class_goes_in_where_the_cell_can_import_it(
    request: pytest.FixtureRequest,
) -> None:
    """By its constructor, there as here; one that is not to be had there is named."""
    request.addfinalizer(lambda: distrust(Point))
    trust(Point)
    outcome: Any = run("q = type(p)(p.x + 1)", inputs={"p": Point(1)}, out=["q"], clean=True)
    assert outcome.check().values["q"] == Point(2)

    @dataclass
    class Local:
        x: int

    trust(Local)
    request.addfinalizer(lambda: distrust(Local))
    failure = run("print('ran')", inputs={"p": Local(1)}, clean=True).failure
    assert isinstance(failure, CellFailed)
    assert failure.name == "InputRefused"
    assert "Local" in str(failure)
    assert "did not run" in str(failure)


def test_failure_and_limit_do_not_touch_the_next_cell() -> None:
    """What a cell leaves in its interpreter is gone with it."""
    assert failed("x = 1\nraise ValueError(x)", clean=True).name == "ValueError"
    assert stopped("while True: pass", clean=True, timeout=0.3).limit == "timeout"
    assert failed("x", clean=True).name == "NameError"


KERNEL = """
import signal, sys
from kavach_ipy import Policy, Sandbox
class Live:
    def stream(self, name, text): print(text, end="", flush=True)
    def show(self, shown): pass
from kavach_ipy.sandbox import FreshTask
box = Sandbox(Policy(timeout=60, clean=True))
task = FreshTask("kavach_ipy.fresh:ScriptRunner", {"code": sys.argv[1]})
outcome = box.execute_fresh(task, sink=Live())
print("failure:", type(outcome.failure).__name__, outcome.failure)
print("then:", box.run("1 + 1").result, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("is_running", [True, False], ids=["in-a-cell", "between-cells"])
def test_no_process_outlives_a_killed_kernel(is_running: bool) -> None:
    """Neither the zygote, nor the cell, nor what the cell started."""
    code = "1"
    if is_running:
        code = "import subprocess\nsubprocess.Popen(['sleep', '600'])\nprint('then:')\nwhile 1: 0"
    with Script(KERNEL, code) as kernel:
        kernel.wait_for(b"then:")
        family = descendants(kernel.pid)
        assert len(family) >= (4 if is_running else 1)
        pidfds = [os.pidfd_open(process) for process in family]
        kernel.kill()
        wait_for_the_end_of(pidfds)


FORKS = """
import os, signal
from kavach_ipy import Policy, Sandbox
Sandbox(Policy(clean=True)).run("1").check()
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    print("forked", flush=True)
    signal.pause()
signal.pause()
"""


def test_zygote_ends_with_its_kernel_although_a_fork_holds_its_socket() -> None:
    """A process of the notebook's own that lives on keeps the socket open."""
    with Script(FORKS) as kernel:
        kernel.wait_for(b"forked")
        zygote, forked = sorted(children(kernel.pid))
        pidfd = os.pidfd_open(zygote)
        kernel.kill()
        try:
            wait_for_the_end_of([pidfd])
        finally:
            os.kill(forked, signal.SIGKILL)


def test_interrupt_reaches_the_clean_cell_and_not_the_zygote() -> None:
    """The cell ends by KeyboardInterrupt, and the zygote serves the next one."""
    with Script(KERNEL, "print('started')\nimport time\ntime.sleep(600)") as kernel:
        kernel.wait_for(b"started")
        # Init and the cell are in another PID namespace.
        own = os.readlink("/proc/self/ns/pid")
        (zygote,) = [pid for pid in children(kernel.pid) if _namespace(pid) == own]
        # As a terminal's Ctrl-C does, to the whole group.
        os.killpg(kernel.pid, signal.SIGINT)
        kernel.wait_for(b"then: 2")
        assert zygote in children(kernel.pid)
    assert b"failure: CellFailed KeyboardInterrupt" in kernel.said


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/pid")


def test_fork_of_the_process_leaves_its_zygotes_alone() -> None:
    """A child of the notebook's own that ends, with its exit handlers, ends no zygote."""
    value("1", clean=True)
    before = _zygotes()
    pid = os.fork()
    if pid == 0:
        end_zygotes()
        os._exit(0)
    os.waitpid(pid, 0)
    assert value("1", clean=True) == 1
    assert _zygotes() == before


STEPS = (
    "namespaces.unshare_all",
    "namespaces.become_mapped_root",
    "mounts.Root",
    "seccomp.load",
)

STOPS = """
import os, signal, sys
from kavach_ipy import Policy, Sandbox
os.environ["KAVACH_STEP"] = sys.argv[1]
policy = Policy(timeout=60, clean=True, environment=["PATH", "KAVACH_STEP"])
box = Sandbox(policy, preload=["tests.contract.stops_at_a_step"])
try:
    box.run("1")
except Exception as error:
    print("raised", error, flush=True)
print("then", Sandbox(Policy(clean=True)).run("1 + 1").result, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("killed", ["kernel", "zygote"])
@pytest.mark.parametrize("step", STEPS)
def test_nobody_is_left_of_a_set_up_whose_parent_is_killed(step: str, killed: str) -> None:
    """Neither A, nor init, nor a half-confined cell; without its zygote, the kernel goes on."""
    with Script(STOPS, step) as kernel:
        family = _wait_for_a_stop(kernel.pid)
        zygote = min(children(kernel.pid), key=_start_time)
        pidfds: list[int] = []
        for pid in family:
            # A leaves when the cell has its root.
            with suppress(ProcessLookupError):
                pidfds.append(os.pidfd_open(pid))
        os.kill(kernel.pid if killed == "kernel" else zygote, signal.SIGKILL)
        if killed == "zygote":
            # Without its parent, what stopped ends; or it was adopted already, and is a cell.
            for pid in family:
                _go_on(pid)
            kernel.wait_for(b"then 2")
            assert len(children(kernel.pid)) == 1, "the next zygote"
        wait_for_the_end_of(pidfds)


def _wait_for_a_stop(pid: int) -> list[int]:
    limit = time.monotonic() + DEADLINE
    while time.monotonic() < limit:
        family = descendants(pid)
        if any(_state(member) == "T" for member in family):
            return family
    raise AssertionError("nobody stopped")


def _go_on(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _stat(pid: int) -> list[str]:
    """The fields of proc_pid_stat(5) from the third on, the state; none where it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(") ")[2].split()


def _state(pid: int) -> str:
    """The letter of proc_pid_stat(5); empty where the process is gone."""
    return next(iter(_stat(pid)), "")


def _start_time(pid: int) -> float:
    """When it began, in clock ticks since boot; of one that is gone, after all others."""
    fields = _stat(pid)
    # starttime is the 22nd field.
    return int(fields[19]) if fields else math.inf
