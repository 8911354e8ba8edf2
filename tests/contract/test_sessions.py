"""A sandbox that lives on between cells: what it keeps, what ends it, and what is left then."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kavach_ipy.errors import CellFailed, CellStopped, PolicyError
from kavach_ipy.gate.outcome import Outcome
from kavach_ipy.launch.sessions import Session, Sessions
from kavach_ipy.policy import Policy
from kavach_ipy.sandbox import FreshTask, Sandbox
from tests.contract.cells import (
    DEADLINE,
    NEEDS,
    Ear,
    Script,
    children,
    descendants,
    run,
    shared_memory,
    wait_for_shared_memory,
    wait_for_the_end_of,
)

pytestmark = [pytest.mark.contract, NEEDS]


class Named:
    """Cells of a session called ``s``, which ends with a cell that is stopped."""

    def __init__(self) -> None:
        self.sessions = Sessions(checkpoint=False)

    def run(self, code: str, *, inputs: Any = None, out: Any = (), **policy: Any) -> Outcome:
        """Run one cell."""
        allowed = Policy.from_mapping({"timeout": DEADLINE, "session": "s", **policy})
        return Sandbox(allowed, sessions=self.sessions).run(code, inputs=inputs, out=out)

    @property
    def only(self) -> Session:
        """The one session that there is."""
        (session,) = self.sessions
        return session


@pytest.fixture
def named() -> Iterator[Named]:
    """Sessions that are ended after the test."""
    made = Named()
    yield made
    made.sessions.end_all()


def test_session_keeps_its_variables_and_nothing_else_sees_them(named: Named) -> None:
    """Names, imports, functions and the working directory live on, until another session."""
    named.run("import os\nx = [1]\ndef f(): return x\nos.chdir('/tmp')").check()
    assert named.run("x.append(2)\n(f(), os.getcwd())").check().result == ([1, 2], "/tmp")
    failure = run("x", clean=True).failure
    assert isinstance(failure, CellFailed)
    assert named.run("x", session="other").failure is not None
    assert named.run("x").check().result == [1, 2]


def test_values_go_in_and_come_back_with_each_cell(named: Named) -> None:
    """Each cell names its own, big ones too; what came back does not change with the session."""
    first = named.run("b = bytearray(a)", inputs={"a": b"x" * 100_000}, out=["b"]).check()
    again = named.run("b[:] = b'y' * len(b)\nc = n + 1", inputs={"n": 1}, out=["b", "c"]).check()
    assert first.values["b"] == b"x" * 100_000
    assert again.values == {"b": b"y" * 100_000, "c": 2}


def test_one_process_runs_all_cells_and_is_verified_before_the_first(named: Named) -> None:
    """The report of each cell is that of the sandbox."""
    reports = [named.run("1").check().report for _ in range(2)]
    assert reports[0] is reports[1]
    assert named.only.report is reports[0]
    assert named.only.cells == 2


@pytest.mark.parametrize(
    ("code", "policy", "limit"),
    [
        ("while True: pass", {"timeout": 0.3}, "timeout"),
        ("import os; os._exit(3)", {}, "exit"),
        ("import ctypes; ctypes.string_at(0)", {}, "signal"),
        ("while True: print('x' * 10_000)", {"output": "64K"}, "output"),
    ],
    ids=["timeout", "exit", "segfault", "output"],
)
def test_cell_that_is_stopped_ends_its_session_and_says_so(
    named: Named, code: str, policy: dict[str, Any], limit: str
) -> None:
    """Its variables are gone, and the next cell begins a new one."""
    named.run("x = 1").check()
    pid = named.only.pid
    failure = named.run(code, **policy).failure
    assert isinstance(failure, CellStopped)
    assert failure.limit == limit
    assert "session 's' has ended" in str(failure)
    assert "variables are gone" in str(failure)
    assert list(named.sessions) == []
    assert pid not in children(os.getpid())
    failure = named.run("x").failure
    assert isinstance(failure, CellFailed)
    assert failure.name == "NameError"


@pytest.mark.parametrize("code", ["1 / 0", "raise SystemExit(1)", "raise KeyboardInterrupt", "x ="])
def test_cell_that_fails_keeps_its_session(named: Named, code: str) -> None:
    """An error is no end."""
    named.run("x = 1").check()
    assert isinstance(named.run(code).failure, CellFailed)
    assert named.run("x").check().result == 1


def test_session_that_died_between_two_cells_says_so_once(named: Named) -> None:
    """The cell that came to it did not run; the next one begins a new session."""
    named.run("x = 1").check()
    os.kill(named.only.pid, signal.SIGKILL)
    failure = named.run("print('ran')").failure
    assert isinstance(failure, CellStopped)
    assert "variables are gone" in str(failure)
    assert named.run("2").check().result == 2


def test_limits_hold_between_two_cells(named: Named) -> None:
    """What a cell has started is counted together, also when nobody listens."""
    code = """
import subprocess, sys
held = "x = bytearray(80 << 20)\\nimport time\\ntime.sleep(600)"
for _ in range(3):
    subprocess.Popen([sys.executable, "-c", held])
"""
    named.run(code, memory="160M").check()
    wait_for_the_end_of([os.pidfd_open(named.only.pid)])
    failure = named.run("1", memory="160M").failure
    assert isinstance(failure, CellStopped)
    assert failure.limit == "memory"
    assert "variables are gone" in str(failure)


def test_memory_of_all_cells_together_is_bounded(named: Named) -> None:
    """What earlier cells hold counts."""
    named.run("kept = bytearray(100 << 20)", memory="160M").check()
    failure = named.run("more = bytearray(100 << 20)", memory="160M").failure
    assert failure is not None
    assert "memory" in str(failure).lower()


@pytest.mark.parametrize(
    "policy",
    [
        {"memory": "1G"},
        {"memory": "64M"},
        {"network": "loopback"},
        {"network": "host"},
        {"timeout": 60},
        {"pids": 7},
    ],
    ids=str,
)
def test_cell_with_other_rights_is_refused(named: Named, policy: dict[str, Any]) -> None:
    """The sandbox is the first cell's; what it cannot be is not passed over."""
    named.run("x = 1", memory="512M").check()
    with pytest.raises(PolicyError, match=r"session.*first cell.*%kavach restart s.*Nothing ran"):
        named.run("x", **{"memory": "512M", **policy})
    assert named.run("x", memory="512M").check().result == 1


def test_cell_with_less_time_and_output_is_served(named: Named) -> None:
    """Those are watched from outside, cell by cell."""
    named.run("x = 1").check()
    assert named.run("x", timeout=5, output="64K").check().result == 1


def test_late_output_comes_with_the_next_cell(named: Named) -> None:
    """A thread may print when its cell is over; nothing breaks."""
    code = """
import threading
go = threading.Event()
def late():
    go.wait()
    print("late")
t = threading.Thread(target=late)
t.start()
"""
    named.run(code).check()
    assert named.run("go.set()\nt.join()").check().stdout == "late\n"


ARENA = """
import os, mmap
for name in os.listdir("/proc/self/fd"):
    # The descriptor of the listing itself is gone.
    link = os.path.lexists(f"/proc/self/fd/{name}") and os.readlink(f"/proc/self/fd/{name}")
    if link and "kavach-arena" in link:
        arena = int(name)
"""
"""Code for a cell: the descriptor that its values go to."""


def test_arena_of_a_cell_is_nobodys_when_the_cell_is_over(named: Named) -> None:
    """A cell that keeps it has no memory by it; what came back stays as it was."""
    code = f"{ARENA}kept = os.dup(arena)\nvalue = bytes(100_000)"
    first = named.run(code, out=["value"]).check()
    probe = """
def attempt(act):
    try:
        act()
    except (OSError, ValueError) as error:
        return type(error).__name__
    return "done"
[os.fstat(kept).st_size, attempt(lambda: os.pwrite(kept, b"x", 0)),
 attempt(lambda: os.ftruncate(kept, 1)), attempt(lambda: os.posix_fallocate(kept, 4096, 1))]
"""
    assert named.run(probe).check().result == [0] + ["PermissionError"] * 3
    assert first.values["value"] == bytes(100_000)


def test_arena_that_a_session_has_mapped_changes_nothing_that_came_back(named: Named) -> None:
    """The mapping has no memory behind it any more, and the session goes on."""
    mapped = "os.posix_fallocate(arena, 0, 1 << 20)\nkept = mmap.mmap(arena, 1 << 20)"
    outcome = named.run(f"{ARENA}{mapped}\nvalue = b'x' * 9999", out=["value"]).check()
    assert outcome.values["value"] == b"x" * 9999
    assert named.run("1").check().result == 1
    # mmap(2): SIGBUS where the file has no such page.
    assert "SIGBUS" in str(named.run("kept[0]").failure)
    assert outcome.values["value"] == b"x" * 9999


@pytest.mark.parametrize("seal", ["F_SEAL_SHRINK", "F_SEAL_SEAL"])
def test_arena_that_cannot_be_emptied_ends_the_session(named: Named, seal: str) -> None:
    """A session that has sealed it would keep it, so nothing is read of it."""
    seals = f"import fcntl\nfcntl.fcntl(arena, fcntl.F_ADD_SEALS, fcntl.{seal})"
    filled = "os.posix_fallocate(arena, 0, 1 << 20)"
    outcome = named.run(f"{ARENA}{filled}\n{seals}\nvalue = 1", out=["value"])
    assert isinstance(outcome.failure, CellStopped)
    assert outcome.failure.limit == "protocol"
    assert outcome.values == {}
    assert list(named.sessions) == []


_SIZE = 64 << 20
_HOARDS = {
    "a descriptor": "kept.append(os.dup(arena))\nvalue = bytes(SIZE)",
    "a mapping": "os.ftruncate(arena, SIZE)\nkept.append(mmap.mmap(arena, SIZE))\n"
    "value = bytes(SIZE)",
    "one in flight": "pair = socket.socketpair()\nsocket.send_fds(pair[0], [b'x'], [arena])\n"
    "kept.append(pair)\nvalue = bytes(SIZE)",
    "one that nobody asked for": "os.posix_fallocate(arena, 0, SIZE)\nkept.append(os.dup(arena))",
    "one of a cell that fails": "os.posix_fallocate(arena, 0, SIZE)\nkept.append(os.dup(arena))\n"
    "raise ValueError",
    "one of another process": "value = bytes(SIZE)\nif not os.fork():\n    signal.pause()",
    "one that is filled again": "kept.append(os.dup(arena))\n"
    "def fill(fd=kept[-1]):\n"
    "    while True:\n"
    "        try:\n"
    "            os.posix_fallocate(fd, 0, SIZE)\n"
    "        except OSError:\n"
    "            pass\n"
    "threading.Thread(target=fill, daemon=True).start()",
}


@pytest.mark.parametrize("code", _HOARDS.values(), ids=_HOARDS)
def test_session_keeps_no_memory_of_its_arenas(named: Named, code: str) -> None:
    """However it holds on to them: the machine's shared memory is what it was."""
    named.run(f"import mmap, os, signal, socket, threading\nkept = []\nSIZE = {_SIZE}", memory="1G")
    before = shared_memory()
    for _ in range(5):
        wanted = ["value"] if "value =" in code else []
        named.run(f"{ARENA}{code}", out=wanted, memory="1G")
        # But for the one that never leaves it alone, which may end for that.
        assert list(named.sessions) or "fill" in code
    wait_for_shared_memory(before + 2 * _SIZE)


def test_session_keeps_no_memory_of_what_it_was_given(named: Named) -> None:
    """Inputs and the cell itself come in memory, too: it is taken back, or cannot grow."""
    named.run(
        "import os, socket\n"
        "kept, receive = [], socket.recv_fds\n"
        "def keep(*args, **options):\n"
        "    found = receive(*args, **options)\n"
        "    kept.extend(map(os.dup, found[1]))\n"
        "    return found\n"
        "socket.recv_fds = keep",
        memory="1G",
    ).check()
    before = shared_memory()
    for _ in range(5):
        given = named.run("len(given)", inputs={"given": bytes(_SIZE)}, memory="1G").check()
        assert given.result == _SIZE
    wait_for_shared_memory(before + 2 * _SIZE)
    probe = """
def grows(fd):
    try:
        os.posix_fallocate(fd, 0, 1 << 20)
    except PermissionError:
        return False
    return True
names = [os.readlink(f"/proc/self/fd/{fd}").split()[0] for fd in kept]
# The last two are this cell's own.
sorted(set(names)), any(map(grows, kept[:-2])), grows(kept[-2])
"""
    found = named.run(probe, memory="1G").check().result
    assert found == (["/memfd:kavach-arena", "/memfd:kavach-request"], False, False)


def test_session_that_used_up_its_descriptors_can_still_be_asked(named: Named) -> None:
    """A cell that does not find one for its values says so; one that frees some is served."""
    code = """
import os
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
big = bytes(100_000)
"""
    named.run(code, files=32).check()
    outcome = named.run("2", files=32, out=["big"])
    assert outcome.failure is not None or "big" in outcome.withheld
    named.run("for number in held: os.close(number)", files=32)
    assert named.run("2", files=32, out=["big"]).check().values["big"] == bytes(100_000)


def test_block_of_a_sandbox_ends_its_own_sessions() -> None:
    """As the sandbox that a plain script uses has nobody else who would."""
    before = children(os.getpid())
    with Sandbox(Policy(session="own", timeout=DEADLINE)) as box:
        box.run("x = 1").check()
        assert box.run("x").check().result == 1
        assert len(children(os.getpid())) > len(before)
    assert [pid for pid in children(os.getpid()) if _is_confined(pid)] == []


def _is_confined(pid: int) -> bool:
    return os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")


def test_session_that_is_ended_leaves_nothing(named: Named) -> None:
    """No process, descriptor or thread, also of what a cell detached."""
    run("1", clean=True)
    before = (len(os.listdir("/proc/self/fd")), threading.active_count(), children(os.getpid()))
    for _ in range(3):
        named.run("import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)")
        assert named.sessions.end("s")
    after = (len(os.listdir("/proc/self/fd")), threading.active_count(), children(os.getpid()))
    assert after == before
    assert not named.sessions.end("s")


def test_session_is_ended_while_another_thread_runs_a_cell_in_it(named: Named) -> None:
    """The cell is stopped, a second one beside it is refused, and nobody waits for ever."""
    named.run("1").check()
    started = threading.Event()

    class Live(Ear):
        def at_text(self, text: str) -> None:
            started.set()

    box = Sandbox(Policy(timeout=DEADLINE, session="s"), sessions=named.sessions)
    task = FreshTask("kavach_ipy.fresh:ScriptRunner", {"code": "print('on')\nwhile True: pass"})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(box.execute_fresh, task, sink=Live())
        assert started.wait(DEADLINE)
        with pytest.raises(PolicyError, match="another cell is running"):
            named.run("2")
        assert named.only.used_memory() is None
        assert named.sessions.end("s")
        assert isinstance(running.result(DEADLINE).failure, CellStopped)
    assert named.run("3").check().result == 3


def test_threads_that_begin_a_session_at_once_begin_one(named: Named) -> None:
    """The second one finds the first one's, or is told that it is in use."""

    def cell(_: int) -> object:
        try:
            return named.run("1").check().result
        except PolicyError as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(cell, range(4)))
    assert 1 in found
    assert all(it == 1 or "another cell" in str(it) for it in found)
    assert len([pid for pid in children(os.getpid()) if _is_confined(pid)]) == 2, "init and cell"


KERNEL = """
import os, signal, sys
from kavach_ipy import Policy, Sandbox
box = Sandbox(Policy(session="s", timeout=60))
box.run("import subprocess\\nsubprocess.Popen(['sleep', '600'], start_new_session=True)").check()
print("lives", flush=True)
if sys.argv[1:] == ["ends"]:
    sys.exit()
pid = os.fork()
if pid == 0:
    sys.exit()  # with its exit handlers, which are not the session's
os.waitpid(pid, 0)
print("and", box.run("1 + 1").result, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("how", ["killed", "ends"])
def test_session_does_not_outlive_its_kernel(how: str) -> None:
    """Idle as it is; a fork of the kernel that ends does not end it."""
    with Script(KERNEL, *([how] if how == "ends" else [])) as kernel:
        kernel.wait_for(b"lives")
        family = descendants(kernel.pid)
        pidfds = []
        for pid in family:
            try:
                pidfds.append(os.pidfd_open(pid))
            except ProcessLookupError:
                continue
        if how == "killed":
            kernel.wait_for(b"and 2")
            assert len(family) >= 4
            kernel.kill()
        wait_for_the_end_of(pidfds)


INTERRUPTED = """
import sys
from kavach_ipy import Policy, Sandbox
from kavach_ipy.sandbox import FreshTask
class Live:
    def stream(self, name, text): print(text, end="", flush=True)
    def show(self, shown): pass
box = Sandbox(Policy(timeout=60, session="s"), checkpoint=False)
box.run("x = 1").check()
task = FreshTask("kavach_ipy.fresh:ScriptRunner", {"code": sys.argv[1]})
outcome = box.execute_fresh(task, sink=Live())
print("failure:", type(outcome.failure).__name__, outcome.failure)
print("then:", getattr(box.run("x"), "result", None), flush=True)
"""


def test_interrupt_keeps_the_session() -> None:
    """The cell ends by KeyboardInterrupt, its variables stay."""
    with Script(INTERRUPTED, "print('started')\nwhile True: pass") as kernel:
        kernel.wait_for(b"started")
        kernel.signal(signal.SIGINT)
        text = kernel.rest()
    assert "failure: CellFailed KeyboardInterrupt" in text
    assert "then: 1" in text


def test_interrupt_that_is_not_obeyed_ends_the_session() -> None:
    """After two seconds, as for any cell."""
    code = "import signal; signal.signal(2, signal.SIG_IGN)\nprint('started')\nwhile True: pass"
    with Script(INTERRUPTED, code) as kernel:
        kernel.wait_for(b"started")
        kernel.signal(signal.SIGINT)
        text = kernel.rest()
    assert "failure: CellStopped" in text
    assert "session 's' has ended" in text
    assert "then: None" in text
