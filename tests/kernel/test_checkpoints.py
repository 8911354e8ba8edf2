"""What a notebook's session keeps when a cell of it is stopped, and ``%kavach rollback``."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.kernel.kernels import Kernel, Run

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


@pytest.fixture
def session(kernel: Kernel) -> Iterator[Kernel]:
    """The module's kernel, with a session called ``s`` in which ``x`` is ``[1]``."""
    assert _cell(kernel, "import os\nx = [1]\nprint('begun')").status == "ok"
    yield kernel
    kernel.run("%kavach restart s")


def _cell(kernel: Kernel, code: str, options: str = "") -> Run:
    return kernel.run(f"%%sandbox --session s {options}\n{code}")


def _value(kernel: Kernel, code: str) -> str:
    run = _cell(kernel, code)
    assert run.status == "ok", run
    return str(run.result["data"]["text/plain"])


def _text_of(run: Run) -> str:
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(run.error["traceback"])).split())


def test_stopped_cell_costs_what_it_did(session: Kernel) -> None:
    """Variables, imports, Out and the display of text go on as before it."""
    assert _value(session, "x.append(2); x") == "[1, 2]"
    run = _cell(session, "print('out')\nx.clear()\nwhile True: pass", "--timeout 0.3s")
    assert run.error["ename"] == "CellStopped"
    assert run.stdout == "out\n"
    assert "is back at what it was before this cell" in _text_of(run)
    assert _value(session, "x, os.path.sep, _") == "([1, 2], '/', [1, 2])"
    run = _cell(session, "print('again')\nos._exit(1)")
    assert "is back" in _text_of(run)
    shown = _cell(session, "import asyncio\nprint('live')\nawait asyncio.sleep(0)\nx")
    assert (shown.stdout, shown.result["data"]["text/plain"]) == ("live\n", "[1, 2]")


def test_rollback_undoes_the_last_cell_and_says_which(session: Kernel) -> None:
    """By name, or the only one; one cell is kept."""
    assert "first cell" in session.run("%kavach rollback").stderr
    _cell(session, "x.append(2)")
    said = session.run("%kavach rollback").stdout
    assert "session 's' is back" in said
    assert "'x.append(2)'" in said
    assert "files stay" in said
    again = session.run("%kavach rollback s")
    assert again.status == "error"
    assert again.stderr.startswith("UsageError: rollback: 's'")
    assert "went back already" in again.stderr
    assert _value(session, "x") == "[1]"
    assert "there are: s" in session.run("%kavach rollback no_such").stderr


def test_session_without_a_checkpoint_says_why_once(session: Kernel) -> None:
    """A thread is in the way; the line comes before the cell's output."""
    _cell(session, "import threading\ngo = threading.Event()\n"
          "t = threading.Thread(target=go.wait, name='mine')\nt.start()")  # fmt: skip
    run = _cell(session, "print('runs')")
    assert "kavach: the session 's' has no checkpoint" in run.stderr
    assert "'mine' is running" in run.stderr
    assert run.stdout == "runs\n"
    assert _cell(session, "1").stderr == ""
    assert _cell(session, "go.set(); t.join()").status == "ok"


def test_checkpoint_is_a_setting(session: Kernel) -> None:
    """Off, a stopped cell ends its session; what is neither on nor off is refused."""
    try:
        session.run("%config Kavach.checkpoint = 'off'")
        assert _value(session, "x") == "[1]"
        assert "checkpoint was off" in session.run("%kavach rollback").stderr
        assert "session 's' has ended" in _text_of(_cell(session, "os._exit(1)"))
        wrong = session.run("%config Kavach.checkpoint = 'maybe'")
        assert "'maybe' is not allowed; auto and off are" in wrong.stderr
    finally:
        session.run("%config Kavach.checkpoint = 'auto'")
    _cell(session, "1")
