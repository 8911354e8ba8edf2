"""Questions of a session: one at a time, of a cell, not without end, and on nobody's time."""

from __future__ import annotations

import pytest

from tests.kernel.broker.test_hostile_session import CHANNEL
from tests.kernel.kernels import Kernel, Run

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

_ASKS = """
import threading
def ask_after(kind=None):
    kernel, sent = get_ipython().kernel, threading.Event()
    link_class = type(kernel.link)
    send = link_class.send
    def noting(self, frame):
        send(self, frame)
        if frame.kind.name == (kind or "INPUT"):
            sent.set()
    link_class.send = noting
    def ask():
        if kind:
            sent.wait()
        try:
            kernel.raw_input("left?")
        except EOFError as error:
            print(error, flush=True)
    threading.Thread(target=ask).start()
    return sent
"""
_ASKS_BETWEEN_CELLS = f"{_ASKS}\n_ = ask_after('REPLY')"
_LEAVES_A_QUESTION = f"{_ASKS}\n_ = ask_after().wait()"
_ASKS_FOR_EVER = """%%sandbox --timeout 20s
import gc
from kavach_ipy.front.asked import Inbox
inbox = next(it for it in gc.get_objects() if isinstance(it, Inbox))
while True:
    try:
        inbox.ask("", False)
    except EOFError:
        pass
"""


def test_session_asks_one_question_at_a_time(broker: Kernel) -> None:
    """The second is a fault of the wire while the first one waits for its user."""
    request = broker.start(
        f"{CHANNEL}\nsend(frame(6, QUESTION) * 2)\nwhile True: pass", allow_stdin=True
    )
    run = broker.finish(request)
    assert "a question while another one waits" in run.reply["evalue"]


def test_question_while_no_cell_runs_has_nobody_to_answer(broker: Kernel) -> None:
    """A thread of an earlier cell hears so at once; nobody is asked."""
    request = broker.start(_ASKS_BETWEEN_CELLS, allow_stdin=True)
    assert _printed(broker, request) == "input() has nobody to ask: no cell is running.\n"


def test_cell_does_not_ask_without_end(broker: Kernel) -> None:
    """Where nobody answers, a loop that asks ends its session."""
    run = broker.run(_ASKS_FOR_EVER, allow_stdin=False)
    assert "cell stopped by questions" in run.error["evalue"]


def test_question_that_is_left_stops_no_clock(broker: Kernel) -> None:
    """Its cell is over: the thread that asked is told so, and the next cell has its time."""
    request = broker.start(_LEAVES_A_QUESTION, allow_stdin=True)
    assert "nobody to ask" in _printed(broker, request)
    limited = broker.run("%%sandbox --timeout 0.5s\nimport time\ntime.sleep(20)")
    assert "cell stopped by timeout" in limited.error["evalue"]


def _printed(kernel: Kernel, request: str) -> str:
    """Wait for the first line that a request prints, before or after its end."""
    run = Run()
    while "\n" not in run.stdout:
        run.outputs.append(kernel.next_output(request))
    assert kernel.reply_to(request)["status"] == "ok"
    return run.stdout
