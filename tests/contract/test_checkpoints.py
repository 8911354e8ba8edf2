"""What a session keeps when a cell of it is stopped: what it was before, in a verified process."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kavach_ipy.errors import CellFailed, CellStopped, PolicyError, SetupFailed
from kavach_ipy.gate.outcome import Outcome
from kavach_ipy.launch import held as held_processes
from kavach_ipy.launch.layers import ConfinementReport
from kavach_ipy.launch.sessions import Session, Sessions
from kavach_ipy.linux import verify
from kavach_ipy.policy import Policy
from kavach_ipy.sandbox import FreshTask, Sandbox
from tests.contract.cells import CHANNEL, DEADLINE, NEEDS, Ear, Script, wait_for_the_end_of

pytestmark = [pytest.mark.contract, NEEDS]


class Kept:
    """Cells of a session called ``s``, which keeps what it was."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.sessions = Sessions(notify=self.told.append)

    def run(self, code: str, **policy: Any) -> Outcome:
        """Run one cell."""
        allowed = Policy.from_mapping({"timeout": DEADLINE, "session": "s", **policy})
        return Sandbox(allowed, sessions=self.sessions).run(code)

    def value(self, code: str, **policy: Any) -> Any:
        """Run one cell and return its result."""
        return self.run(code, **policy).check().result

    def stopped(self, code: str, **policy: Any) -> str:
        """Run one cell that is stopped, and return what is said of it."""
        failure = self.run(code, **policy).failure
        assert isinstance(failure, CellStopped), failure
        return str(failure)

    @property
    def only(self) -> Session:
        """The one session that there is."""
        (session,) = self.sessions
        return session

    def members(self) -> set[int]:
        """The processes of its PID namespace that live, seen from outside."""
        return _members(os.readlink(f"/proc/{self.only.pid}/ns/pid"))


def _members(namespace: str) -> set[int]:
    found = set()
    for name in os.listdir("/proc"):
        try:
            if name.isdecimal() and os.readlink(f"/proc/{name}/ns/pid") == namespace:
                found.add(int(name))
        except OSError:
            continue
    return found


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Sessions that are ended after the test."""
    made = Kept()
    yield made
    made.sessions.end_all()


@pytest.fixture
def held(kept: Kept) -> Kept:
    """The same, with a cell behind it: ``x`` is ``[1]``."""
    kept.run("import os, signal, sys\nx = [1]").check()
    return kept


END = "import os; os._exit(3)"


@pytest.mark.parametrize(
    ("code", "policy", "limit"),
    [
        ("x.append(2)\nwhile True: pass", {"timeout": 0.3}, "timeout"),
        ("x.append(2); import os; os._exit(3)", {}, "exit"),
        ("x.append(2); import ctypes; ctypes.string_at(0)", {}, "signal"),
        ("x.append(2)\nwhile True: print('x' * 10_000)", {"output": "64K"}, "output"),
        ("x.append(2); import os; os.kill(os.getpid(), 9)", {}, "signal"),
    ],
    ids=["timeout", "exit", "segfault", "output", "killed"],
)
def test_stopped_cell_costs_what_it_did_and_nothing_else(
    held: Kept, code: str, policy: dict[str, Any], limit: str
) -> None:
    """What the session was is back, in another process, and the error says what is gone."""
    before = held.only.pid
    said = held.stopped(code, **policy)
    assert f"stopped by {limit}" in said
    assert "session 's' is back at what it was before this cell" in said
    assert "variables and imports are kept" in said
    assert "Files stay" in said
    assert held.value("x.append(3)\n(x, os.path.sep)") == ([1, 3], "/")
    assert held.only.pid != before


def test_memory_limit_brings_back_what_was_before(kept: Kept) -> None:
    """Also where processes of the cell took it together."""
    kept.run("x = 1", memory="160M").check()
    code = """
x = 2
import subprocess, sys
held = "x = bytearray(80 << 20)\\nimport time\\ntime.sleep(600)"
started = [subprocess.Popen([sys.executable, "-c", held]) for _ in range(3)]
while True: pass
"""
    assert "stopped by memory" in kept.stopped(code, memory="160M")
    assert kept.value("x", memory="160M") == 1


def test_next_cell_runs_in_a_process_that_was_verified(held: Kept) -> None:
    """The report names it; what the kernel says of it is what it said of the first."""
    first = held.run("1").report
    assert isinstance(first, ConfinementReport)
    kind = verify.read_namespaces(held.only.pid)
    held.stopped(END)
    report = held.run("2").check().report
    assert isinstance(report, ConfinementReport)
    layers = {layer.name: layer for layer in report.layers}
    assert layers["checkpoint"].state == "verified"
    assert str(held.only.pid) in layers["checkpoint"].detail
    assert report.strength == first.strength
    assert verify.read_namespaces(held.only.pid) == kind
    status = verify.read_status(held.only.pid)
    assert (status.no_new_privs, status.seccomp, any(status.capabilities)) == (True, 2, False)


def test_one_cell_after_the_other_is_undone(held: Kept) -> None:
    """A restored session keeps what it was as any does."""
    for number in range(2, 5):
        held.run(f"x.append({number})").check()
        held.stopped(f"x.clear(); {END}")
    assert held.value("x") == [1, 2, 3, 4]


def test_random_numbers_go_on_where_they_were(held: Kept) -> None:
    """A fork seeds Python's generator anew, and the state before a cell holds it, too."""
    held.run("import random; random.seed(7)").check()
    expected = held.value("twin = random.Random(7); twin.random()")
    held.stopped(f"random.random(); {END}")
    assert held.value("random.random()") == expected


def test_off_is_off(kept: Kept) -> None:
    """No process waits, and a stopped cell ends the session."""
    kept.sessions.checkpoint = False
    kept.run("import os; x = 1").check()
    kept.run("x").check()
    assert len(kept.members()) == 2, "init and the session"
    assert "session 's' has ended" in kept.stopped(END)
    assert isinstance(kept.run("x").failure, CellFailed)


def test_processor_time_that_is_used_up_ends_the_session(held: Kept) -> None:
    """It is that of its whole life, so what was before would be over the limit, too."""
    held.sessions.end_all()
    held.run("x = 1", cpu=1).check()
    assert "session 's' has ended" in held.stopped("while True: pass", cpu=1)


def test_files_of_the_stopped_cell_stay(held: Kept) -> None:
    """Only memory goes back; the promise says so."""
    held.stopped(f"open('/tmp/left', 'w').write('here'); {END}")
    assert held.value("open('/tmp/left').read()") == "here"


DAEMONS = """
import subprocess, sys
for number in range(20):
    subprocess.Popen(["sleep", "600"], start_new_session=True)
for number in range(20):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            while True:
                signal.pause()
        os._exit(0)
"""


def test_nothing_of_the_stopped_cell_lives_on(held: Kept) -> None:
    """Detached, with signals blocked: the process table says that two are left."""
    held.stopped(DAEMONS + END)
    assert held.value("x") == [1]
    held.only.parent.release()
    _wait_until(lambda: len(held.members()) <= 3)
    assert {held.only.pid} <= held.members()


def _wait_until(condition: Any) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


BOMB = """
def bomb():
    while True:
        try:
            if os.fork() == 0:
                os.setsid()
        except OSError:
            pass
if os.fork() == 0:
    bomb()
"""


def test_fork_bomb_does_not_reach_the_restored_session(held: Kept) -> None:
    """Every process is killed at once, those among them that are about to be born."""
    held.sessions.end_all()
    held.run("import os\nx = [1]", pids=40).check()
    held.stopped(f"{BOMB}while True: pass", pids=40, timeout=1)
    assert held.value("x", pids=40) == [1]
    assert (
        held.value("len([name for name in os.listdir('/proc') if name.isdecimal()])", pids=40) < 6
    )


FORGER = f"""
{CHANNEL}
if os.fork() == 0:
    os.setsid()
    while True:
        send(stream("forged"))
"""


def test_frames_that_the_stopped_cell_forged_are_not_the_next_ones(held: Kept) -> None:
    """What was written before its writer died is read by nobody."""
    assert "is back" in held.stopped(FORGER + "while True: pass", output="64K")
    outcome = held.run("print('mine')\nx").check()
    assert (outcome.stdout, outcome.result) == ("mine\n", [1])


WAITING = """
waiting = max(int(name) for name in os.listdir("/proc") if name.isdecimal())
"""
"""Code for a cell: the snapshot, which any process of its user may find."""


def test_cell_that_kills_the_snapshot_has_none(held: Kept) -> None:
    """It is of its own user: then all ends as without one."""
    said = held.stopped(f"{WAITING}os.kill(waiting, 9)\n{END}")
    assert "session 's' has ended" in said
    assert isinstance(held.run("x").failure, CellFailed)


def test_snapshot_that_was_stopped_goes_on(held: Kept) -> None:
    """A stop signal holds it no longer than the cell lives."""
    assert "is back" in held.stopped(f"{WAITING}os.kill(waiting, signal.SIGSTOP)\n{END}")
    assert held.value("x") == [1]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGTERM])
def test_signals_of_the_cell_do_not_wake_the_snapshot(held: Kept, number: int) -> None:
    """Only those from outside do, and the kernel says which they are."""
    held.run(f"{WAITING}os.kill(waiting, {number:d})\nx.append(2)").check()
    held.stopped(f"{WAITING}os.kill(waiting, {number:d})\nx.clear()\n{END}")
    assert held.value("x") == [1, 2]


def test_memory_of_the_snapshot_cannot_be_written(held: Kept) -> None:
    """Its user may, by /proc; the mount is read-only."""
    code = f"""{WAITING}
try:
    open(f"/proc/{{waiting}}/mem", "r+b")
except OSError as error:
    found = error.errno
found"""
    assert held.value(code) == 30, "EROFS"


def test_cell_finds_no_child_that_it_did_not_make(held: Kept) -> None:
    """A loop over os.wait() would wait for a snapshot for ever."""
    code = """
try:
    found = os.wait()
except ChildProcessError:
    found = None
found"""
    assert held.value(code) is None


LIAR = """
import fcntl, threading, time
from kavach_ipy.launch import checkpoints, fresh
def lie(link, answer):
    pid = os.fork()
    if pid == 0:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        {thread}
        fcntl.fcntl(answer, fcntl.F_SETOWN, os.getpid())
        os.write(answer, b"held\\n")
        while signal.sigwait({{10, 12}}) == 10:
            pass
        x.append("liar")
        link.adopt()
        os.write(answer, b"r\\n")
        link.await_go()
        return True
    os.close(answer)
fresh.hold = lie
"""


def test_process_that_is_not_as_promised_does_not_take_over(held: Kept) -> None:
    """An earlier cell may put its own in the place of a snapshot; it is verified as any."""
    thread = "threading.Thread(target=time.sleep, args=(600,)).start()"
    held.run(LIAR.format(thread=thread)).check()
    assert "session 's' has ended" in held.stopped(END)
    # With one thread it is a process of the sandbox like any other.
    held.run("import os, signal, sys\nx = [1]").check()
    held.run(LIAR.format(thread="pass")).check()
    assert "is back" in held.stopped(END)
    assert held.value("x") == [1, "liar"]


def test_nobody_takes_over_beside_what_the_cell_has_left(
    held: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot of an earlier cell's making may let it live; it is seen from outside."""
    monkeypatch.setattr(held_processes, "_ALONE_SECONDS", 0.5)
    held.run(LIAR.format(thread="pass")).check()
    left = "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)"
    assert "session 's' has ended" in held.stopped(f"{left}\n{END}")


@pytest.mark.parametrize(
    "answer",
    ["pass", "os.write(answer, b'held\\n')", "os.write(answer, b'x' * 5000)",
     "fcntl.fcntl(answer, 8, 1); os.write(answer, b'held\\n')",
     "fcntl.fcntl(answer, 8, os.getpid()); os.write(answer, b'held\\n')"],
    ids=["nothing", "nobody", "much", "init", "itself"],
)  # fmt: skip
def test_answer_that_is_none_means_no_snapshot(
    held: Kept, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next cell runs, and the user is told."""
    monkeypatch.setattr(held_processes, "ANSWER_SECONDS", 0.3)
    held.run(f"import fcntl\nfrom kavach_ipy.launch import fresh\n"
             f"def lie(link, answer): {answer}\nfresh.hold = lie").check()  # fmt: skip
    held.run("1").check()
    assert held.value("x") == [1]
    (told,) = held.told
    assert "has no checkpoint before this cell" in told
    assert "session 's' has ended" in held.stopped(END)


def test_session_with_a_thread_has_no_checkpoint_and_says_so_once(held: Kept) -> None:
    """A fork would lose it; when it has ended, there is one again."""
    held.run("import threading\ngo = threading.Event()\n"
             "t = threading.Thread(target=go.wait, name='mine')\nt.start()").check()  # fmt: skip
    held.run("1").check()
    held.run("2").check()
    (told,) = held.told
    assert "'mine' is running" in told
    with pytest.raises(PolicyError, match="'mine' is running"):
        held.sessions.roll_back("s")
    held.run("go.set(); t.join()").check()
    held.stopped(f"x.clear(); {END}")
    assert held.value("x") == [1]


def test_thread_that_only_refreshes_is_not_in_the_way(held: Kept) -> None:
    """Tqdm starts one with its first bar, and a bar does without."""
    code = "import threading\nclass Monitor(threading.Thread):\n    __module__ = 'tqdm._monitor'\n"
    held.run(f"{code}Monitor(target=threading.Event().wait, daemon=True).start()").check()
    assert "is back" in held.stopped(END)
    assert held.told == []


def test_session_that_holds_much_has_no_checkpoint(kept: Kept) -> None:
    """A snapshot may come to hold as much again; the bound is on both."""
    kept.run("x = bytearray(100 << 20)", memory="160M").check()
    kept.run("1", memory="160M").check()
    (told,) = kept.told
    assert "more than half" in told
    assert "session 's' has ended" in kept.stopped(END, memory="160M")


def test_what_a_snapshot_keeps_is_not_the_cells(kept: Kept) -> None:
    """A cell that changes all that there is has its whole allowance still."""
    kept.run("x = bytearray(b'1') * (60 << 20)", memory="160M").check()
    code = """
import time
for at in range(0, len(x), 1 << 20):
    x[at : at + (1 << 20)] = b'2' * (1 << 20)
y = bytearray(b'3') * (50 << 20)
end = time.monotonic() + 0.5
while time.monotonic() < end: pass
"""
    kept.run(code, memory="160M").check()
    assert kept.told == []
    assert kept.only.parent.has_snapshot
    used = kept.only.used_memory()
    assert used is not None
    assert 108 << 20 < used < 130 << 20


def test_all_that_a_cell_may_start_it_may_start_beside_a_snapshot(kept: Kept) -> None:
    """A snapshot takes none of its processes."""
    kept.run("import os, signal", pids=8).check()
    code = """
made = []
for _ in range(7):
    pid = os.fork()
    if pid == 0:
        signal.pause()
    made.append(pid)
for pid in made:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
len(made)
"""
    assert kept.value(code, pids=8) == 7


def test_cell_that_is_thrown_away_leaves_what_was_asked_for(held: Kept) -> None:
    """The session is what it was, and has the names that were to come back."""
    box = Sandbox(Policy(timeout=DEADLINE, session="s"), sessions=held.sessions)
    outcome = box.try_out("x.clear(); y = z + 1; w = 5\n'shown'", inputs={"z": 6}, out=["y"])
    assert (outcome.check().result, outcome.values) == ("shown", {"y": 7})
    assert held.value("x, y, 'w' in globals(), 'z' in globals()") == ([1], 7, False, False)
    assert isinstance(box.try_out("x.clear(); 1 / 0").failure, CellFailed)
    stopped = box.try_out(f"x.clear(); {END}").failure
    assert "is back" in str(stopped)
    assert held.value("x") == [1]


def test_cell_that_could_not_be_undone_does_not_run(held: Kept) -> None:
    """Nor does one go on that ended the state to go back to."""
    box = Sandbox(Policy(timeout=DEADLINE, session="s"), sessions=held.sessions)
    held.run("import threading\ngo = threading.Event()\n"
             "t = threading.Thread(target=go.wait, name='mine')\nt.start()").check()  # fmt: skip
    with pytest.raises(PolicyError, match=r"'mine' is running.*Nothing ran"):
        box.try_out("x.clear()")
    assert held.value("go.set(); t.join(); x") == [1]
    failure = box.try_out(f"{WAITING}os.kill(waiting, 9)\nx.clear()").failure
    assert "could not be undone" in str(failure)
    assert isinstance(held.run("x").failure, CellFailed)
    held.sessions.end_all()
    with pytest.raises(PolicyError, match="no session of this name"):
        box.try_out("1")
    assert held.value("1") == 1


def test_rollback_by_hand_undoes_one_cell_and_says_which(held: Kept) -> None:
    """One is kept; a second time there is none, and the session stays."""
    with pytest.raises(PolicyError, match="first cell"):
        held.sessions.roll_back("s")
    held.run("\nx.append(2)  # this\nprint(x)").check()
    assert held.sessions.roll_back("s") == "x.append(2)  # this"
    with pytest.raises(PolicyError, match="went back already"):
        held.sessions.roll_back("s")
    assert held.value("x") == [1]
    held.run("x.append(3)").check()
    assert held.sessions.roll_back("s") == "x.append(3)"
    assert held.value("x") == [1]
    with pytest.raises(PolicyError, match="no session"):
        held.sessions.roll_back("t")


def test_rollback_while_a_cell_runs_is_refused(held: Kept) -> None:
    """The cell goes on."""
    started = threading.Event()

    class Live(Ear):
        def at_text(self, text: str) -> None:
            started.set()

    box = Sandbox(Policy(timeout=DEADLINE, session="s"), sessions=held.sessions)
    code = "print('on')\nimport time\nwhile not os.path.exists('/tmp/go'): time.sleep(0.01)"
    task = FreshTask("kavach_ipy.fresh:ScriptRunner", {"code": code})
    thread = threading.Thread(target=box.execute_fresh, args=(task,), kwargs={"sink": Live()})
    thread.start()
    assert started.wait(DEADLINE)
    with pytest.raises(PolicyError, match="a cell is running"):
        held.sessions.roll_back("s")
    assert held.sessions.end("s")
    thread.join(DEADLINE)


def test_rollback_to_a_snapshot_that_is_gone_ends_the_session(held: Kept) -> None:
    """What cannot be verified does not go on."""
    held.run(f"{WAITING}import subprocess\nsubprocess.Popen(['sleep', '600'])").check()
    session = held.only
    namespace = os.readlink(f"/proc/{session.pid}/ns/pid")
    session.parent.end_cell()
    session.parent.release()
    with pytest.raises((SetupFailed, PolicyError)):
        held.sessions.roll_back("s")
    held.sessions.end_all()
    assert _members(namespace) == set()


def test_restored_session_is_said_how_it_ends(held: Kept) -> None:
    """Init is its parent and takes its status; a pidfd keeps it, from Linux 6.15 on."""
    held.stopped(END)
    said = held.stopped("import ctypes; ctypes.string_at(0)")
    assert "is back" in said
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 15):
        assert "SIGSEGV" in said


INTERRUPTED = """
from kavach_ipy import Policy, Sandbox
from kavach_ipy.sandbox import FreshTask
class Live:
    def stream(self, name, text): print(text, end="", flush=True)
    def show(self, shown): pass
box = Sandbox(Policy(timeout=60, session="s"))
box.run("x = 1").check()
print(box.run("import os; os._exit(1)").failure)
code = "import time; print('started'); time.sleep(60)"
outcome = box.execute_fresh(FreshTask("kavach_ipy.fresh:ScriptRunner", {"code": code}), sink=Live())
print("failure:", type(outcome.failure).__name__, outcome.failure)
print("then:", getattr(box.run("x"), "result", None), flush=True)
"""


def test_interrupt_reaches_a_restored_session() -> None:
    """It leads a group of its own, as the first did."""
    with Script(INTERRUPTED) as kernel:
        kernel.wait_for(b"started")
        kernel.signal(signal.SIGINT)
        text = kernel.rest()
    assert "failure: CellFailed KeyboardInterrupt" in text
    assert "then: 1" in text


def test_restored_session_ends_and_leaves_nothing(held: Kept) -> None:
    """No process and no descriptor, however often it was restored."""
    held.stopped(END)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(8):
        held.stopped(END)
    # The next snapshot may be asked for at this moment, or not yet.
    assert len(os.listdir("/proc/self/fd")) < before + 6
    pidfds = [os.pidfd_open(pid) for pid in held.members()]
    assert held.sessions.end("s")
    wait_for_the_end_of(pidfds)


def test_restored_session_does_not_outlive_its_kernel() -> None:
    """The lifeline is init's."""
    code = (
        "from kavach_ipy import Policy, Sandbox\nimport signal\n"
        "box = Sandbox(Policy(session='s', timeout=60))\nbox.run('x = 1').check()\n"
        "print(box.run('import os; os._exit(1)').failure)\nprint('x is', box.run('x').result)\n"
        "(session,) = box._own_sessions\nprint('pid', session.pid, flush=True)\nsignal.pause()\n"
    )
    with Script(code) as kernel:
        kernel.wait_for(b"pid")
        namespaces = {_namespace_of(pid) for pid in os.listdir("/proc") if pid.isdecimal()}
        own = os.readlink("/proc/self/ns/pid")
        pidfds = [
            os.pidfd_open(pid)
            for namespace in namespaces - {None, own}
            for pid in _members(str(namespace))
            if _is_below(pid, kernel.pid)
        ]
        assert len(pidfds) >= 2
        kernel.kill()
        wait_for_the_end_of(pidfds)


def _namespace_of(pid: str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return None


def _is_below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = verify.read_status(pid).parent
        except OSError:
            return False
    return False
