"""What is left of a notebook whose cell was stopped: all that was there before the cell."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.cells import children, descendants, wait_for_the_end_of
from tests.kernel.broker.conftest import PROGRAM
from tests.kernel.broker.endings import ENDINGS
from tests.kernel.broker.pages import Page
from tests.kernel.kernels import Kernel, Run, start_kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

_FAMILY = ("zygote", "init", "session", "state before the last cell", "state before the next")
_STOPPED = "%%sandbox --timeout 0.3s\nwhile True: pass"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, written: Path) -> Iterator[Kernel]:
    """A kernel whose session may have 256 MiB, and write into a directory of the host."""
    program = f"{PROGRAM} --Kavach.memory=256M --Kavach.writable={written}"
    running = start_kernel(tmp_path_factory.mktemp("ipython"), str(written), program=program)
    try:
        yield running
    finally:
        running.close()


@pytest.mark.parametrize(("code", "reason"), ENDINGS.values(), ids=ENDINGS)
def test_stopped_cell_costs_what_it_did_and_no_more(small: Kernel, code: str, reason: str) -> None:
    """The error says why and what is left; variables are as before the cell, and limits hold."""
    small.run("kept = [1]\nimport json")
    run = small.run(f"{'' if code.startswith('%%') else 'kept.append(2)'}\n{code}")
    assert (run.status, run.reply["ename"]) == ("error", "CellStopped")
    assert reason in run.error["evalue"]
    assert "back at what it was before this cell" in run.error["evalue"]
    after = small.run("kept, json.dumps(1)")
    assert (after.result["data"]["text/plain"], after.stderr) == ("([1], '1')", "")
    again = small.run(_STOPPED)
    assert "timeout" in again.error["evalue"]


def test_cells_right_after_each_other_lose_nothing(broker: Kernel) -> None:
    """Where the next one comes before there was time for a fork, it waits for it."""
    for number in range(5):
        broker.run(f"last = {number}")
        broker.run("last = None\nimport os\nos._exit(1)")
        assert broker.value("last") == str(number)


def test_stopped_cell_is_not_run_a_second_time(small: Kernel, written: Path) -> None:
    """What a cell has written to the host is there once."""
    small.run("import os\nfile = os.open('written', os.O_APPEND | os.O_CREAT | os.O_WRONLY)")
    for _ in range(3):
        assert small.run("os.write(file, b'x')\nos._exit(1)").error["ename"] == "CellStopped"
        small.run("os.write(file, b'y')")
    assert (written / "written").read_text(encoding="utf-8") == "xyxyxy"


def test_event_loop_goes_on_from_before_the_cell(broker: Kernel) -> None:
    """Tasks of earlier cells run, descriptors are waited for, and what the cell added is gone."""
    broker.run(
        "import asyncio, os\n"
        "beats, heard = [], []\n"
        "async def beat():\n"
        "    while True:\n"
        "        beats.append(1)\n"
        "        await asyncio.sleep(0.01)\n"
        "task = asyncio.get_running_loop().create_task(beat())\n"
        "reader, writer = os.pipe()\n"
        "loop = asyncio.get_running_loop()\n"
        "loop.add_reader(reader, lambda: heard.append(os.read(reader, 9)))"
    )
    stopped = broker.run("loop.remove_reader(reader)\ntask.cancel()\nos._exit(2)")
    assert "status 2" in stopped.error["evalue"]
    run = broker.run(
        "count = len(beats)\n"
        "os.write(writer, b'here')\n"
        "while len(beats) < count + 3 or not heard: await asyncio.sleep(0.01)\n"
        "loop.remove_reader(reader)\n"
        "heard, task.cancel()"
    )
    assert run.result["data"]["text/plain"] == "([b'here'], True)"


def test_outputs_and_counts_go_on(broker: Kernel) -> None:
    """What a restored session prints and shows stands below its cell, under its own number."""
    broker.run("shown = 'before'")
    before = broker.run("1").reply["execution_count"]
    broker.run("import os\nos._exit(1)")
    run = broker.run(
        "import sys\nprint('out')\nprint('err', file=sys.stderr)\nprint(In[-1][:10])\n9"
    )
    assert run.reply["execution_count"] == before + 2
    assert (run.stdout, run.stderr) == ("out\nimport sys\n", "err\n")
    assert run.result["execution_count"] == before + 2
    assert broker.value(f"Out[{before + 2}]") == "9"


def test_rollback_undoes_one_cell_once(broker: Kernel) -> None:
    """By hand: the cell is named, and what it did is undone; then there is no more of it."""
    broker.run("kept = 'before'")
    broker.run("kept = 'after'\n1")
    run = broker.run("%kavach rollback")
    assert "'kept = \\'after\\''" in run.stdout or "\"kept = 'after'\"" in run.stdout
    twice = broker.run("%kavach rollback")
    assert "one cell is kept" in twice.error["evalue"]
    assert broker.value("kept") == "'before'"


def test_rollback_before_the_first_cell_says_why_not(tmp_path: Path) -> None:
    """Also where no session is there yet."""
    kernel = start_kernel(tmp_path, program=PROGRAM)
    try:
        kernel.run("%kavach restart")
        assert "the next cell begins one" in kernel.run("%kavach rollback").error["evalue"]
        kernel.run("kept = 1")
        assert "nothing" in kernel.run("%kavach rollback").error["evalue"]
        assert kernel.value("kept") == "1"
    finally:
        kernel.close()


def test_thread_of_the_notebook_means_no_checkpoint_and_is_said_once(broker: Kernel) -> None:
    """A fork would lose it; the cell runs, and what that means is said before."""
    broker.run("import threading\nevent = threading.Event()")
    broker.run("threading.Thread(target=event.wait, name='mine').start()")
    first = broker.run("kept = 1")
    assert first.stderr.count("no checkpoint before this cell") == 1
    assert "'mine'" in first.stderr
    assert broker.run("1").stderr == ""
    lost = broker.run("import os\nos._exit(1)")
    assert "variables are gone" in lost.error["evalue"]
    assert broker.run("'kept' in globals()").result["data"]["text/plain"] == "False"


def test_session_that_is_busy_between_cells_is_asked_again_later(tmp_path: Path) -> None:
    """The next cell waits for five seconds and runs without; a late snapshot ends by itself."""
    kernel = start_kernel(tmp_path, program=PROGRAM)
    try:
        kernel.run("import asyncio, os, time\nkept = 1")
        kernel.run("1")
        kernel.run("_ = asyncio.get_running_loop().call_soon(time.sleep, 6.5)")
        late = kernel.run("kept = 2")
        assert "it does not answer" in late.stderr
        assert kernel.run("kept").stderr == ""
        looks = 0
        while len(descendants(kernel.pid)) > len(_FAMILY):
            looks += 1
            assert looks < 100, "a snapshot that nobody waits for is there still"
            assert kernel.wait_on_control(0.05)
        assert "back at what it was" in kernel.run("os._exit(1)").error["evalue"]
        assert kernel.value("kept") == "2"
    finally:
        kernel.close()


def test_checkpoints_that_are_off_cost_and_keep_nothing(tmp_path: Path) -> None:
    """``c.Kavach.checkpoint = "off"``: no second process, and a stopped cell ends the session."""
    kernel = start_kernel(tmp_path, program=f"{PROGRAM} --Kavach.checkpoint=off")
    try:
        kernel.run("kept = 1")
        kernel.run("kept = 2")
        assert "c.Kavach.checkpoint was off" in kernel.run("%kavach rollback").error["evalue"]
        assert "variables are gone" in kernel.run("import os\nos._exit(1)").error["evalue"]
        assert kernel.run("'kept' in globals()").result["data"]["text/plain"] == "False"
    finally:
        kernel.close()


def test_processor_time_that_is_used_up_ends_the_session(tmp_path: Path) -> None:
    """It is that of the session's whole life, so what was before the cell has none either."""
    kernel = start_kernel(tmp_path, program=f"{PROGRAM} --Kavach.cpu=3s")
    try:
        kernel.run("kept = 1")
        run = kernel.run("while True: pass")
        assert "cpu" in run.error["evalue"]
        assert "variables are gone" in run.error["evalue"]
        assert kernel.run("'kept' in globals()").result["data"]["text/plain"] == "False"
    finally:
        kernel.close()


def test_interrupt_of_a_cell_that_waits_for_its_checkpoint_is_not_lost(broker: Kernel) -> None:
    """It is the cell's, as soon as there is one."""
    broker.run("held = bytearray(b'x' * (64 << 20))")
    for _ in range(5):
        broker.run("held[0] = 1")
        request = broker.start("import time\ntime.sleep(600)")
        # On its own channel, so it may overtake the cell.
        while broker.next_output(request)[0] != "execute_input":
            continue
        assert broker.wait_on_control(0.005)
        broker.manager.interrupt_kernel()
        assert broker.finish(request).reply["ename"] == "KeyboardInterrupt"


def test_interrupt_before_the_session_was_told_is_the_cells(tmp_path: Path) -> None:
    """Here, while the kernel waits for an audit's writer that is stopped."""
    logs = tmp_path / "audit"
    program = f"{PROGRAM} --Kavach.audit=required --Kavach.audit_directory={logs}"
    kernel = start_kernel(tmp_path / "ipython", program=program)
    try:
        kernel.run("import time")
        (writer,) = [pid for pid in children(kernel.pid) if "audit" in _command(pid)]
        os.kill(writer, signal.SIGSTOP)
        try:
            request = kernel.start("print('ran')\ntime.sleep(600)")
            while kernel.next_output(request)[0] != "execute_input":
                continue
            assert kernel.wait_on_control(0.05)
            kernel.manager.interrupt_kernel()
            kernel.on_control("kernel_info_request", {})
        finally:
            os.kill(writer, signal.SIGCONT)
        assert kernel.finish(request).error["ename"] == "KeyboardInterrupt"
    finally:
        kernel.close()


def test_widgets_of_a_stopped_cell_are_closed_and_the_others_live(broker: Kernel) -> None:
    """The page hears of both; a value that a page has set between two cells is kept."""
    page = Page(broker)
    page.run("import ipywidgets as w\nfrom IPython.display import display\ns = w.IntSlider(3)\ns")
    slider = page.of("IntSliderModel")[-1]
    page.send(slider, {"method": "update", "state": {"value": 7}, "buffer_paths": []})
    page.run("t = w.IntText(4)\ndisplay(t)\nimport os\nos._exit(1)")
    assert page.of("IntTextModel")[-1] in page.closed
    assert slider not in page.closed
    assert broker.value("s.value, 't' in globals()") == "(7, False)"
    page.run("s.value = 9")
    assert page.states[slider]["value"] == 9


def test_nothing_is_left_of_restored_sessions(tmp_path: Path) -> None:
    """Neither what a stopped cell has started, nor a snapshot, outlives it or the kernel."""
    kernel = start_kernel(tmp_path, program=PROGRAM)
    try:
        kernel.run("import os, subprocess, time")
        request = kernel.start(
            "subprocess.Popen(['sleep', '600'])\nprint('on', flush=True)\ntime.sleep(600)"
        )
        kernel.wait_for(request, "on", Run())
        started = [pid for pid in descendants(kernel.pid) if _program(pid) == "sleep"]
        assert started
        pidfds = [os.pidfd_open(pid) for pid in started]
        kernel.manager.interrupt_kernel()
        kernel.finish(request)
        kernel.run("os._exit(1)")
        wait_for_the_end_of(pidfds)
        family = [os.pidfd_open(pid) for pid in descendants(kernel.pid)]
    finally:
        kernel.close()
    wait_for_the_end_of(family)


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
