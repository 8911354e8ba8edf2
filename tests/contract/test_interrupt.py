"""SIGINT to the process that runs a cell: the cell gets a chance, the process goes on."""

from __future__ import annotations

import signal
import time

import prctl
import pytest

from tests.contract.cells import NEEDS, Script

pytestmark = [pytest.mark.contract, NEEDS]

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
box = Sandbox(Policy(timeout=60))
outcome = box.execute(script_body(sys.argv[1], {}), sink=Live())
print("failure:", type(outcome.failure).__name__, outcome.failure)
print("result:", outcome.result)
print("then:", box.run("1 + 1").result)
"""


def test_first_interrupt_is_a_keyboard_interrupt_of_the_cell() -> None:
    """The cell may handle it, finish, and bring its result back."""
    code = """
try:
    print("started")
    while True: pass
except KeyboardInterrupt:
    word = "tidy"
word
"""
    with Script(KERNEL, code) as kernel:
        kernel.wait_for(b"started")
        kernel.signal(signal.SIGINT)
        text = kernel.rest()
    assert "failure: NoneType None" in text
    assert "result: tidy" in text
    assert "then: 2" in text


def test_interrupt_that_is_not_handled_ends_the_cell() -> None:
    """As in a plain interpreter, the cell fails with KeyboardInterrupt; the process lives."""
    with Script(KERNEL, "print('started')\nimport time\ntime.sleep(600)") as kernel:
        kernel.wait_for(b"started")
        kernel.signal(signal.SIGINT)
        text = kernel.rest()
    assert "failure: CellFailed KeyboardInterrupt" in text
    assert "then: 2" in text


@pytest.mark.parametrize(
    "code",
    [
        "import signal; signal.signal(2, signal.SIG_IGN)\nprint('started')\nwhile True: pass",
        "import signal; signal.pthread_sigmask(0, [2])\nprint('started')\nwhile True: pass",
        "import signal; signal.signal(2, lambda *_: None)\nprint('started')\nwhile True: pass",
    ],
    ids=["ignored", "blocked", "swallowed"],
)
def test_cell_that_does_not_obey_is_ended(code: str) -> None:
    """Two seconds after the first interrupt nothing is waited for any more."""
    with Script(KERNEL, code) as kernel:
        kernel.wait_for(b"started")
        start = time.monotonic()
        kernel.signal(signal.SIGINT)
        text = kernel.rest()
    assert "failure: CellStopped cell stopped by interrupt" in text
    assert "then: 2" in text
    assert time.monotonic() - start < 6


def test_second_interrupt_ends_the_cell_at_once() -> None:
    """Who asks twice does not wait for the two seconds."""
    code = """
import signal
def heard(*_): print("heard")
signal.signal(2, heard)
print("started")
while True: pass
"""
    with Script(KERNEL, code) as kernel:
        kernel.wait_for(b"started")
        kernel.signal(signal.SIGINT)
        kernel.wait_for(b"heard")
        start = time.monotonic()
        kernel.signal(signal.SIGINT)
        text = kernel.rest()
    assert "failure: CellStopped cell stopped by interrupt" in text
    assert "then: 2" in text
    assert time.monotonic() - start < 2


def test_handler_of_the_caller_is_back_afterwards() -> None:
    """After the cell, SIGINT is a KeyboardInterrupt of the process again."""
    code = """
import signal
from kavach_ipy import Sandbox
own = signal.getsignal(signal.SIGINT)
Sandbox().run("1")
assert signal.getsignal(signal.SIGINT) is own is signal.default_int_handler
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("as ever")
"""
    with Script(code) as kernel:
        assert kernel.rest() == "as ever\n"


def test_interrupt_of_the_set_up_is_the_callers() -> None:
    """SIGINT during the fork is raised where the cell was started, and nothing of it is left.

    The hook runs in the process that sets up, which may share the caller's memory: an exception in
    it would be swallowed, and so would be the interrupt.
    """
    code = """
import os, signal, threading, time
from kavach_ipy import Policy, Sandbox
Sandbox().run("1")
# Signals are blocked in the thread that starts a cell; another one takes them.
threading.Thread(target=threading.Event().wait, daemon=True).start()
caller = os.getpid()
def hook():
    if os.getpid() != caller:
        os.write(1, b"forks\\n")
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            pass
os.register_at_fork(before=hook)
try:
    print(Sandbox(Policy(timeout=3)).run("while True: pass").failure)
except KeyboardInterrupt:
    print("interrupted")
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
print(open(f"/proc/self/task/{caller}/children").read().split())
"""
    with Script(code) as kernel:
        kernel.wait_for(b"forks\n")
        kernel.signal(signal.SIGINT)
        assert kernel.rest() == "forks\ninterrupted\nTrue\n[]\n"


EVERYWHERE = """
import gc, os, signal, sys, threading, time
from kavach_ipy import Policy, Sandbox

again, step = int(sys.argv[1]), int(sys.argv[2])
caller = os.getpid()
box = Sandbox(Policy(timeout=20))
box.run("1")

def look():
    gc.collect()
    with open(f"/proc/self/task/{caller}/children") as file:
        children = file.read().split()
    files = sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                   if os.path.lexists(f"/proc/self/fd/{fd}"))
    return children, files, signal.getsignal(signal.SIGINT) is signal.default_int_handler

first = look()

def interrupted_at(line):
    seen = 0
    def trace(frame, event, _):
        nonlocal seen
        # A and the cell run with this thread's state, and so with its trace function.
        if os.getpid() != caller or "kavach_ipy" not in frame.f_code.co_filename:
            return None
        if event == "line":
            seen += 1
            if seen == line or (again and line and seen > line and (seen - line) % again == 0):
                signal.raise_signal(signal.SIGINT)
        return trace
    end = "not interrupted"
    sys.settrace(trace)
    try:
        outcome = box.run("import time; time.sleep(600)" if line else "1")
        end = str(outcome.failure)
    except KeyboardInterrupt:
        end = "KeyboardInterrupt"
    finally:
        sys.settrace(None)
    return seen, end

total, _ = interrupted_at(0)
ends = set()
for line in range(1, total, step):
    start = time.monotonic()
    seen, end = interrupted_at(line)
    if time.monotonic() - start > 15:
        print("left somebody who was waited for, at", line, "of", total, end)
        break
    ends.add(end.split(":")[0])
    found = look()
    if found != first:
        print("left at", line, "of", total, end, [b for a, b in zip(first, found) if a != b])
        first = found
    assert box.run("6 * 7").result == 42
    print(line, end=" ", flush=True)
print(total > 500, sorted(ends))
"""


@pytest.mark.parametrize("again", [0, 7], ids=["once", "again-and-again"])
def test_interrupt_at_any_line_leaves_nothing(again: int, request: pytest.FixtureRequest) -> None:
    """Whichever line of ours SIGINT comes at: no process, no descriptor and no handler stays.

    Orphans of the script become this process's, which does not reap them: nothing may wait for it.
    """
    was_subreaper = prctl.get_child_subreaper()
    prctl.set_child_subreaper(True)
    request.addfinalizer(lambda: prctl.set_child_subreaper(was_subreaper))
    with Script(EVERYWHERE, str(again), "23") as kernel:
        text = kernel.rest()
    assert " True [" in text, text
    assert "left" not in text, text
