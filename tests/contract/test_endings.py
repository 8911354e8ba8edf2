"""However a cell ends, the caller hears how, soon, and goes on."""

from __future__ import annotations

import re
import signal
import time

import pytest

from tests.contract.cells import NEEDS, run, stopped, value

pytestmark = [pytest.mark.contract, NEEDS]


@pytest.mark.parametrize(
    ("code", "limit", "word"),
    [
        ("import os; os._exit(7)", "exit", "status 7"),
        ("import ctypes; ctypes.string_at(0)", "signal", "SIGSEGV"),
        ("import os; os.abort()", "signal", "SIGABRT"),
        ("import os; os.kill(os.getpid(), 9)", "signal", "SIGKILL"),
        ("import os; os.execv('/bin/true', ['true'])", "exit", "status 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "signal", "SIGTERM"),
        ("import os; os.execv('/bin/sh', ['sh', '-c', 'exit 9'])", "exit", "status 9"),
    ],
)
def test_process_that_ends_itself_is_told(code: str, limit: str, word: str) -> None:
    """Signals and exits are named; no value comes back."""
    outcome = run(f"print('before')\nx = 1\n{code}", out=["x"])
    assert outcome.failure is not None
    assert getattr(outcome.failure, "limit", None) == limit
    assert word in str(outcome.failure)
    assert (outcome.stdout, dict(outcome.values)) == ("before\n", {})
    assert value("1 + 1") == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1], ids=["SIGTERM", "SIGUSR1"])
def test_handler_of_the_caller_is_not_the_cells(number: signal.Signals) -> None:
    """A signal that the caller handles does to the cell what it does to any program: it ends it."""
    heard: list[int] = []
    before = signal.signal(number, lambda *_: heard.append(number))
    try:
        failure = stopped(f"import os; os.kill(os.getpid(), {int(number)})\nprint('lived')")
        assert (failure.limit, heard) == ("signal", [])
        assert number.name in failure.used
        signal.raise_signal(number)
        assert heard == [number]
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(600)",
        "import signal\n[signal.signal(s, signal.SIG_IGN) for s in (2, 15, 1)]\nwhile True: pass",
        "import os\nif os.fork() == 0:\n    os.setsid()\n    os.fork()\nwhile True: pass",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
        "import threading as t\nw = t.Thread(target=t.Event().wait)\nw.start()\nw.join()",
        "import os; r, w = os.pipe(); os.read(r, 1)",
        "try:\n    while True: pass\nfinally:\n    while True: pass",
    ],
    ids=["busy", "asleep", "ignores", "daemons", "stopped", "threads", "reads", "finally"],
)
def test_no_cell_outlives_its_timeout(code: str) -> None:
    """Whatever it does meanwhile, it is over soon after the deadline; output so far is kept."""
    start = time.monotonic()
    outcome = run(f"print('before')\n{code}", timeout=0.5)
    assert time.monotonic() - start < 4
    assert getattr(outcome.failure, "limit", None) == "timeout"
    assert "--timeout" in str(outcome.failure)
    assert outcome.stdout == "before\n"


def test_cell_within_its_timeout_is_not_ended() -> None:
    """The deadline is not a duration: what is ready earlier comes back earlier."""
    start = time.monotonic()
    assert value("1", timeout=20) == 1
    assert time.monotonic() - start < 10


def test_end_does_not_wait_for_what_the_cell_started() -> None:
    """A detached process and a thread that runs on do not hold up the result."""
    start = time.monotonic()
    code = """
    import os, subprocess, threading, time
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    threading.Thread(target=time.sleep, args=(600,)).start()
    "ready"
    """
    assert value(code) == "ready"
    assert time.monotonic() - start < 10


def test_forked_process_that_returns_is_not_taken_for_the_cell() -> None:
    """`os.fork` without an exit runs the rest twice; there is one result, and it is the cell's."""
    outcome = run("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nbool(pid)", out=["pid"])
    assert outcome.ok, outcome.failure
    assert outcome.result is True
    assert outcome.values["pid"] != 0


def test_exit_handlers_and_finalisers_of_the_caller_do_not_run_in_the_cell() -> None:
    """The child leaves at once: what the notebook registered is the notebook's."""

    class Loud:
        def __del__(self) -> None:
            print("finalised")

    outcome = run("import atexit\natexit.register(print, 'exit')\nx = 1", inputs={"loud": Loud()})
    assert outcome.stdout == ""


def test_end_is_told_in_the_words_of_its_limit() -> None:
    """A stopped cell names what was used, what is allowed and the option that raises it."""
    failure = stopped("while True: pass", timeout=0.3)
    assert failure.allowed == "300ms"
    # On a busy machine it is looked at a little later.
    assert re.fullmatch(r"0\.[3-9] s", failure.used)
