"""When a cell is over, nothing of it is left; nor when the process that ran it is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.contract.cells import (
    DEADLINE,
    NEEDS,
    Script,
    children,
    descendants,
    python,
    run,
    wait_for_the_end_of,
)

pytestmark = [pytest.mark.contract, NEEDS]

ENDINGS = {
    "return": "1",
    "exception": "1 / 0",
    "exit": "import os; os._exit(3)",
    "segfault": "import ctypes; ctypes.string_at(0)",
    "abort": "import os; os.abort()",
    "exec": "import os; os.execv('/bin/true', ['true'])",
    "timeout": "while True: pass",
    "daemon": "import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
    "        while True: pass\n    os._exit(0)\nos.wait()",
    "subprocess": "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)",
    "threads": "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()",
    "zombies": "import os\nfor _ in range(5):\n    if os.fork() == 0: os._exit(0)",
    "stopped": "import os, signal\npid = os.fork()\nif pid == 0:\n    while True: signal.pause()\n"
    "os.kill(pid, signal.SIGSTOP)",
    "ignores": "import os, signal\nfor s in set(signal.valid_signals()) - {9, 19, 32, 33}:\n"
    "    signal.signal(s, signal.SIG_IGN)\nif os.fork() == 0:\n    while True: signal.pause()",
}


def _census() -> dict[str, object]:
    """What the process has: descriptors and their targets, threads, children, mounts."""
    return {
        "descriptors": {
            number: os.readlink(f"/proc/self/fd/{number}")
            for number in os.listdir("/proc/self/fd")
            if os.path.lexists(f"/proc/self/fd/{number}")
        },
        "threads": threading.active_count(),
        "children": children(os.getpid()),
        "mounts": Path("/proc/self/mountinfo").read_bytes(),
        "cwd": os.getcwd(),
        "handler": signal.getsignal(signal.SIGINT),
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "environment": dict(os.environ),
    }


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_left_of_a_cell(ending: str) -> None:
    """Descriptors, threads, children, mounts and signals are after the cell as before."""
    before = _census()
    run(ENDINGS[ending], timeout=0.7)
    assert _census() == before


def test_nothing_is_left_after_fifty_cells() -> None:
    """Nor does anything add up."""
    run("1")
    before = _census()
    for number in range(50):
        assert run(f"import os\nopen('/tmp/f', 'w').close()\nos.system('true')\n{number}").ok
    assert _census() == before


def test_census_would_show_a_leftover() -> None:
    """The look itself is no formality."""
    before = _census()
    reader, writer = os.pipe()
    assert _census() != before
    os.close(reader)
    os.close(writer)
    assert _census() == before


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_file_of_a_cell_is_on_the_host(ending: str, project: Path) -> None:
    """What it wrote to its places before its end is found in none of the host's."""
    places = ("/tmp", "/dev/shm", os.path.expanduser("~"), str(project))
    name = f"kavach-leftover-{ending}-{os.getpid()}"
    paths = [os.path.join(place, name) for place in places]
    write = f"for path in {paths!r}:\n    open(path, 'w').close()\nprint('written')\n"
    assert "written" in run(write + ENDINGS[ending], timeout=0.7).stdout
    assert [path for path in paths if os.path.lexists(path)] == []
    assert os.listdir(project) == ["data.txt"]


KERNEL = """
import sys
from kavach_ipy import Policy, Sandbox
from kavach_ipy.launch.script import script_body
class Live:
    def stream(self, name, text):
        print(text, end="", flush=True)
    def show(self, shown): pass
    def error(self, failure): pass
    def ask(self, prompt, *, password): raise EOFError
Sandbox(Policy(timeout=60)).execute(script_body(sys.argv[1], {}), sink=Live())
"""

DETACHED = """
import os, signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
subprocess.Popen(["sleep", "600"], start_new_session=True)
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(writer, b"x")
        while True: pass
    os._exit(0)
os.read(reader, 1)
print("started", flush=True)
while True: pass
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_no_process_outlives_a_killed_kernel(number: signal.Signals) -> None:
    """Its init, its cell and all that the cell detached are gone with it."""
    with Script(KERNEL, DETACHED) as kernel:
        kernel.wait_for(b"started")
        family = descendants(kernel.pid)
        # Init, the cell, the subprocess and the daemon.
        assert len(family) >= 4
        pidfds = [os.pidfd_open(pid) for pid in family]
        kernel.signal(number)
        wait_for_the_end_of(pidfds)


def test_killed_kernel_leaves_no_file(project: Path) -> None:
    """What its cell wrote, mapped and locked is on no file system of the host, nor is a core."""
    name = f"kavach-killed-{os.getpid()}"
    places = ["/tmp", "/dev/shm", os.path.expanduser("~"), str(project)]
    paths = [os.path.join(place, name) for place in places]
    write = f"for path in {paths!r}:\n    open(path, 'w').write('x' * 100_000)\n"
    before = {place: set(os.listdir(place)) for place in places}
    with Script(KERNEL, write + DETACHED) as kernel:
        kernel.wait_for(b"started")
        pidfds = [os.pidfd_open(pid) for pid in descendants(kernel.pid)]
        kernel.signal(signal.SIGKILL)
        wait_for_the_end_of(pidfds)
    assert [path for path in paths if os.path.lexists(path)] == []
    assert set(os.listdir(project)) == before[str(project)] == {"data.txt"}
    cores = {name for place in places for name in set(os.listdir(place)) - before[place]}
    assert [name for name in cores if name.startswith("core")] == []


STEPS = {
    "A": (
        "namespaces.unshare_all", "mounts.make_private", "inherited.open_mapped_files",
        "namespaces.become_mapped_root", "privileges.close_the_way_back", "mounts.Root",
    ),
    "cell": (
        "inherited.privatise_mappings", "descriptors.occupy", "procfs.replace_proc",
        "limits.apply", "privileges.drop_capabilities", "landlock.restrict", "seccomp.load",
    ),
}  # fmt: skip
"""What A and the cell call while they set up, each once; in the recipe's order."""

STOPS = """
import importlib, os, signal, sys
from kavach_ipy import Policy, Sandbox
from kavach_ipy.launch import parent
module, name = sys.argv[1].split(".")
parent.SHARES_MEMORY &= sys.argv[2] == "sharing"
Sandbox().run("1")
module = importlib.import_module("kavach_ipy.linux." + module)
step = getattr(module, name)
def stop_and_go(*arguments, **options):
    os.kill(os.getpid(), signal.SIGSTOP)
    return step(*arguments, **options)
setattr(module, name, stop_and_go)
print("next", flush=True)
Sandbox(Policy(timeout=60)).run("while True: pass")
"""


@pytest.mark.parametrize("memory", ["sharing", "apart"])
@pytest.mark.parametrize("step", [step for steps in STEPS.values() for step in steps])
def test_kernel_killed_at_any_step_leaves_no_process(step: str, memory: str) -> None:
    """Neither A, nor init, nor a half-confined cell goes on without the process that checks it."""
    with Script(STOPS, step, memory) as kernel:
        kernel.wait_for(b"next")
        family = _wait_for_a_stop(kernel)
        pidfds = [os.pidfd_open(pid) for pid in family]
        kernel.signal(signal.SIGKILL)
        wait_for_the_end_of(pidfds)


@pytest.mark.parametrize("memory", ["sharing", "apart"])
@pytest.mark.parametrize("process", STEPS)
def test_signals_wait_while_a_sandbox_is_set_up(process: str, memory: str) -> None:
    """Neither A nor the cell takes one: its handler would run in the middle of a step."""
    with Script(STOPS, STEPS[process][-1], memory) as kernel:
        kernel.wait_for(b"next")
        family = _wait_for_a_stop(kernel)
        (builder,) = (pid for pid in family if _state(pid) == "T")
        status = Path(f"/proc/{builder}/status").read_text(encoding="ascii")
        pidfds = [os.pidfd_open(pid) for pid in family]
        kernel.signal(signal.SIGKILL)
        wait_for_the_end_of(pidfds)
    (blocked,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:"))
    # proc(5): a mask of signals in hexadecimal, from 1; these two cannot be blocked.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        assert int(blocked, 16) >> (number - 1) & 1, number


def _wait_for_a_stop(kernel: Script) -> list[int]:
    """Wait until a descendant of the kernel has stopped itself; all descendants."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        family = descendants(kernel.pid)
        if "T" in {_state(pid) for pid in family}:
            return family
        os.sched_yield()
    raise AssertionError(f"no step stopped: {kernel.said.decode()}")


def _state(pid: int) -> str:
    """The state of a process: proc(5), /proc/<pid>/stat; nothing where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][:1]
    return ""


def test_cell_goes_on_while_its_kernel_lives() -> None:
    """What the test above sees end does not end by itself."""
    with Script(KERNEL, DETACHED) as kernel:
        kernel.wait_for(b"started")
        pidfds = [os.pidfd_open(pid) for pid in descendants(kernel.pid)]
        with pytest.raises(AssertionError, match="still lived"):
            wait_for_the_end_of(pidfds[:1], seconds=0.2)
        for fd in pidfds[1:]:
            os.close(fd)


def test_thread_that_ran_a_cell_may_end() -> None:
    """Cells of a thread that is gone leave nothing behind either."""
    before = _census()
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(run("1 + 1")))
    thread.start()
    thread.join(DEADLINE)
    assert [outcome.result for outcome in outcomes] == [2]
    assert _census() == before


def test_refused_cell_leaves_nothing() -> None:
    """A set-up that fails half-way is taken back as well."""
    done = python(
        """
        import os, resource
        from kavach_ipy import Sandbox, SetupFailed
        Sandbox().run("1")
        before = os.listdir("/proc/self/fd")
        # Too small for the cell's own numbers: a step fails with some layers in place.
        import kavach_ipy.linux.mounts as mounts
        def refuse(self):
            raise OSError(5, "as if refused")
        mounts.Root.enter = refuse
        try:
            Sandbox().run("print('ran')")
        except SetupFailed as error:
            print("refused:", error.step)
        assert os.listdir("/proc/self/fd") == before
        me = os.getpid()
        left = open(f"/proc/self/task/{me}/children").read().split()
        print("left:", left)
        """
    )
    assert "refused: pivot_root" in done.stdout, done.stderr
    assert "left: []" in done.stdout
    assert "ran" not in done.stdout


@pytest.mark.parametrize("shares_memory", [True, False], ids=["sharing", "apart"])
def test_killed_set_up_leaves_nobody(shares_memory: bool) -> None:
    """Whoever kills A at work leaves init and the cell to the caller, which ends and reaps both.

    Where A shares its memory the caller may not survive that (docs/decisions/0008), and takes
    them along.
    """
    done = python(
        f"""
        import os, signal
        from kavach_ipy import Sandbox, SetupFailed
        from kavach_ipy.launch import parent
        from kavach_ipy.linux import mounts
        Sandbox().run("1")
        parent.SHARES_MEMORY &= {shares_memory}
        before = os.listdir("/proc/self/fd")
        enter = mounts.Root.enter
        mounts.Root.enter = lambda self: os.kill(os.getpid(), signal.SIGKILL)
        try:
            Sandbox().run("print('ran')")
        except SetupFailed as error:
            print("refused:", error.step)
        mounts.Root.enter = enter
        assert os.listdir("/proc/self/fd") == before
        print("left:", open(f"/proc/self/task/{{os.getpid()}}/children").read().split())
        print("next:", Sandbox().run("1 + 1").result)
        """
    )
    assert "ran" not in done.stdout
    if not shares_memory or done.returncode == 0:
        assert done.stdout == "refused: forked\nleft: []\nnext: 2\n", done.stderr
