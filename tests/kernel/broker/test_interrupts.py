"""The stop button of a kernel whose cells run in a session: the cell's first, then its end."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.kernel.kernels import Kernel, Run

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


def _interrupt(kernel: Kernel, code: str, times: int = 1) -> tuple[Run, float]:
    """Run a cell, and interrupt it when it says "on"; what it did, and how long that took."""
    run = Run()
    request = kernel.start(code)
    kernel.wait_for(request, "on", run)
    start = time.monotonic()
    for _ in range(times):
        kernel.manager.interrupt_kernel()
        # Two signals of one number that wait are one: signal(7).
        kernel.on_control("kernel_info_request", {})
    return kernel.finish(request, run), time.monotonic() - start


@pytest.mark.parametrize(
    "line",
    [
        "time.sleep(600)",
        "await asyncio.sleep(600)",
        "while True: pass",
        "await asyncio.Event().wait()",
    ],
)
def test_interrupt_is_the_cells_keyboard_interrupt(broker: Kernel, line: str) -> None:
    """At once, also where the cell awaits; its ``finally`` runs, and its variables stay."""
    run, seconds = _interrupt(
        broker,
        "import asyncio, time\n"
        "kept = 'kept'\n"
        "try:\n"
        "    print('on', flush=True)\n"
        f"    {line}\n"
        "finally:\n"
        "    print('finally')",
    )
    assert run.error["ename"] == "KeyboardInterrupt"
    assert run.stdout == "on\nfinally\n"
    assert seconds < 2
    assert broker.value("kept") == "'kept'"


def test_interrupt_ends_a_question(broker: Kernel) -> None:
    """And the next question has an answer of its own."""
    request = broker.start("input('first ')")
    assert broker.is_asked()[0] == "[sandbox] first "
    broker.manager.interrupt_kernel()
    assert broker.finish(request).error["ename"] == "KeyboardInterrupt"
    request = broker.start("input('second ')")
    assert broker.is_asked()[0] == "[sandbox] second "
    broker.client.input("line")
    assert broker.finish(request).result["data"]["text/plain"] == "'line'"


_DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('on', flush=True)\n"


# On a busy machine several that wait are one, so there are more than two.
@pytest.mark.parametrize("times", [1, 6])
def test_cell_that_does_not_obey_is_ended(broker: Kernel, times: int) -> None:
    """After two seconds, or by the second interrupt; what was before it is there again."""
    broker.run("kept = 1")
    run, seconds = _interrupt(broker, f"{_DEAF}while True: pass", times)
    assert run.error["ename"] == "CellStopped"
    assert "interrupted" in run.error["evalue"]
    assert seconds < (1.8 if times > 1 else 4)
    assert "back at what it was before this cell" in run.error["evalue"]
    after = broker.run("kept")
    assert (after.result["data"]["text/plain"], after.stderr) == ("1", "")


def test_interrupt_while_nothing_runs_is_nobodys(broker: Kernel) -> None:
    """Neither the kernel nor the next cell notices."""
    for number in range(15):
        # The session is about to be kept from before the next cell, which comes at once.
        broker.run(f"idle = {number}")
        broker.manager.interrupt_kernel()
        assert broker.on_control("kernel_info_request", {})["status"] == "ok"
        assert broker.value("idle") == str(number)


_SLOW = """\
import time
class Slow:
    def _ipython_key_completions_(self):
        time.sleep(600)
slow = Slow()
"""


def test_completion_that_takes_long_gives_way_to_a_cell(broker: Kernel) -> None:
    """Nobody waits for it any more; the cell is not interrupted by that."""
    broker.run(_SLOW)
    assert broker.complete("slow['") == []
    assert broker.value("1 + 1") == "2"


def test_word_to_give_way_that_comes_late_hits_no_cell(broker: Kernel) -> None:
    """A completion may have ended just before it: neither the next cell nor a running one is it."""
    session = int(broker.run("%kavach sessions").stdout.split()[-1])
    os.kill(session, signal.SIGURG)
    run = Run()
    request = broker.start("import time\nprint('on', flush=True)\ntime.sleep(0.3)\n7")
    broker.wait_for(request, "on", run)
    os.kill(session, signal.SIGURG)
    assert broker.finish(request, run).result["data"]["text/plain"] == "7"
