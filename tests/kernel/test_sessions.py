"""``%%sandbox --session NAME`` and what ``%kavach`` says of sessions, in a real kernel."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

import pytest

from tests.contract.cells import descendants, wait_for_the_end_of
from tests.kernel.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

_CHILDREN = "len(__import__('psutil').Process().children(recursive=True))"


@pytest.fixture
def session(kernel: Kernel) -> Iterator[Kernel]:
    """The module's kernel, with a session called ``s`` in which ``x`` is 1."""
    assert kernel.run("%%sandbox --session s --memory 1G\nx = 1").status == "ok"
    yield kernel
    kernel.run("%kavach restart s")


def _in(kernel: Kernel, code: str, options: str = "") -> str:
    run = kernel.run(f"%%sandbox --session s --memory 1G {options}\n{code}")
    assert run.status == "ok", run
    return str(run.result["data"]["text/plain"])


def test_cells_of_a_session_share_their_variables(session: Kernel) -> None:
    """Functions, imports, Out and the event loop too; the notebook sees what it asks for."""
    session.run("%%sandbox --session s --memory 1G\nimport math\ndef f(): return x + 1\nmath.pi")
    assert _in(session, "f(), math.floor(_)") == "(2, 3)"
    assert _in(session, "import asyncio\nawait asyncio.sleep(0)\nx") == "1"
    session.run("y = 5")
    assert _in(session, "z = x + y\nz", "-i y -o z") == "6"
    assert session.value("z") == "6"
    assert session.run("x").error["ename"] == "NameError"


def test_traceback_shows_lines_of_an_earlier_cell(session: Kernel) -> None:
    """With the prompt number that the cell had in the notebook, and no frame of ours."""
    first = session.run("%%sandbox --session s --memory 1G\ndef f():\n    return 1 / 0")
    run = session.run("%%sandbox --session s --memory 1G\nf()")
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(run.error["traceback"]))
    assert f"In[{first.reply['execution_count']}], line 3" in text
    assert "kavach_ipy" not in text
    assert _in(session, "x") == "1"


def test_sessions_are_listed_and_ended(session: Kernel) -> None:
    """Name, age, pid, memory and what holds; after restart, its variables are gone."""
    table = session.run("%kavach sessions").stdout
    row = next(line for line in table.splitlines() if line.startswith("s "))
    pid = int(row.split()[2])
    assert os.path.exists(f"/proc/{pid}")
    assert "memory 1GiB" in row
    assert "MiB" in row
    assert "strength" in row
    ended = session.run("%kavach restart s")
    assert "variables are gone" in ended.stdout
    assert not os.path.exists(f"/proc/{pid}")
    run = session.run("%%sandbox --session s --memory 1G\nx")
    assert run.error["ename"] == "NameError"
    wrong = session.run("%kavach restart no_such")
    assert wrong.status == "error"
    assert "there are: s" in wrong.stderr


def test_cell_with_other_options_is_one_line_and_nothing_runs(session: Kernel) -> None:
    """A ``UsageError`` that names the first cell's, and how to begin anew."""
    run = session.run("%%sandbox --session s --memory 2G\nprint('ran')")
    assert run.status == "error"
    assert run.stderr.startswith("UsageError: session: 's' is not allowed")
    assert "%kavach restart s" in run.stderr
    assert run.stdout == ""


def test_killed_session_says_that_its_variables_are_gone(session: Kernel) -> None:
    """Without a checkpoint a limit ends it; the next cell begins a new one."""
    session.run("%config Kavach.checkpoint = 'off'")
    run = session.run("%%sandbox --session s --memory 1G --timeout 0.3s\nwhile True: pass")
    assert run.error["ename"] == "CellStopped"
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(run.error["traceback"])).split())
    assert "timeout" in text
    assert "its variables are gone, and the next cell begins a new one" in text
    assert "no sandbox lives on" in session.run("%kavach sessions").stdout
    assert _in(session, "'new'") == "'new'"
    session.run("%config Kavach.checkpoint = 'auto'")


def test_interrupt_keeps_the_session(session: Kernel) -> None:
    """The cell ends by KeyboardInterrupt."""
    code = "import time\nprint('on', flush=True)\ntime.sleep(600)"
    request = session.start(f"%%sandbox --session s --memory 1G\n{code}")
    while session.next_output(request)[0] != "stream":
        continue
    session.manager.interrupt_kernel()
    assert session.finish(request).error["ename"] == "KeyboardInterrupt"
    assert _in(session, "x") == "1"


def test_unloading_ends_all_sessions(session: Kernel) -> None:
    """No process of the extension is left, and loading it again finds no session."""
    session.run("%%sandbox --session t\n1")
    session.run("%unload_ext kavach_ipy")
    assert session.value(_CHILDREN) == "0"
    session.run("%load_ext kavach_ipy")
    assert "no sandbox lives on" in session.run("%kavach sessions").stdout


def _restart(kernel: Kernel) -> None:
    kernel.manager.restart_kernel(now=True)
    kernel.client.wait_for_ready(timeout=30)


def _ask_to_end(kernel: Kernel) -> None:
    kernel.manager.shutdown_kernel(now=False)


@pytest.mark.parametrize("end", [_restart, _ask_to_end], ids=["restarted", "shut-down"])
def test_no_session_outlives_its_kernel(
    fresh_kernel: Kernel, end: Callable[[Kernel], None]
) -> None:
    """Neither the session, nor what it started, nor the zygote."""
    fresh_kernel.run("%load_ext kavach_ipy")
    pid = fresh_kernel.value("__import__('os').getpid()")
    code = "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True).pid"
    assert fresh_kernel.run(f"%%sandbox --session s\n{code}").status == "ok"
    family = descendants(int(pid))
    assert len(family) >= 4
    pidfds = [os.pidfd_open(process) for process in family]
    end(fresh_kernel)
    wait_for_the_end_of(pidfds)
