"""A session that dies: one error that says why, a kernel that lives, a new session."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.cells import children, descendants, wait_for_the_end_of
from tests.kernel.broker.conftest import PROGRAM
from tests.kernel.broker.endings import ENDINGS
from tests.kernel.kernels import Kernel, Run, start_kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


@pytest.mark.parametrize(("code", "reason"), ENDINGS.values(), ids=ENDINGS)
def test_dead_session_is_one_error_and_the_next_cell_has_a_new_one(
    without_checkpoints: Kernel, code: str, reason: str
) -> None:
    """The reply says it too; that variables are gone is said once."""
    kernel = without_checkpoints
    kernel.run("kept = 1")
    run = kernel.run(code)
    assert (run.status, run.reply["ename"]) == ("error", "CellStopped")
    assert reason in run.error["evalue"]
    first = kernel.run("'kept' in globals()")
    assert first.result["data"]["text/plain"] == "False"
    assert first.stderr.count("variables of the one before are gone") == 1
    second = kernel.run("1")
    assert (second.status, second.stderr) == ("ok", "")


@pytest.fixture(scope="module")
def writing(tmp_path_factory: pytest.TempPathFactory, written: Path) -> Iterator[Kernel]:
    """A kernel whose session writes into a directory of the host."""
    program = f"{PROGRAM} --Kavach.writable={written}"
    running = start_kernel(tmp_path_factory.mktemp("ipython"), program=program)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def without_checkpoints(
    tmp_path_factory: pytest.TempPathFactory, written: Path
) -> Iterator[Kernel]:
    """A kernel whose sessions may have 256 MiB, and are not kept from before a cell."""
    options = f"--Kavach.memory=256M --Kavach.writable={written}"
    program = f"{PROGRAM} {options} --Kavach.checkpoint=off"
    running = start_kernel(tmp_path_factory.mktemp("ipython"), program=program)
    try:
        yield running
    finally:
        running.close()


def test_session_that_dies_between_cells_says_so(broker: Kernel) -> None:
    """To the next cell, which runs in a new one."""
    broker.run("kept = 1")
    pid = int(broker.run("%kavach sessions").stdout.split()[-1])
    session = os.pidfd_open(pid)
    broker.run("import asyncio, os\n_ = asyncio.get_running_loop().call_later(0.2, os._exit, 0)")
    wait_for_the_end_of([session])
    run = broker.run("'kept' in globals()")
    assert run.result["data"]["text/plain"] == "False"
    assert "are gone" in run.stderr


def _run_while_it_ends(kernel: Kernel, code: str) -> Run:
    """Send a cell to a session that is stopped, and kill the session then."""
    session = os.pidfd_open(int(kernel.run("%kavach sessions").stdout.split()[-1]))
    signal.pidfd_send_signal(session, signal.SIGSTOP)
    request = kernel.start(code)
    # The kernel's loop, which sends the cell, goes round meanwhile.
    for _ in range(3):
        kernel.on_control("kernel_info_request", {})
    signal.pidfd_send_signal(session, signal.SIGKILL)
    os.close(session)
    return kernel.finish(request)


def _append(file: Path) -> str:
    """Code that leaves a mark on the host, each time that it runs."""
    return f"import os\nwith open({str(file)!r}, 'a') as file:\n    _ = file.write('x')\n"


@pytest.mark.parametrize("size", [0, 1_000_000], ids=["small", "larger than the channel"])
def test_cell_that_a_dead_session_has_not_read_runs_in_a_new_one(
    written: Path, without_checkpoints: Kernel, size: int
) -> None:
    """Once, with the line that says why the variables are gone; it was killed from outside."""
    kernel = without_checkpoints
    file = written / f"unread {size}"
    kernel.run("kept = 1")
    run = _run_while_it_ends(kernel, f"{_append(file)}#{'x' * size}\n'kept' in globals()")
    assert run.status == "ok", run.outputs
    assert run.result["data"]["text/plain"] == "False"
    assert run.stderr.count("variables of the one before are gone: it ended by signal") == 1
    assert file.read_text(encoding="utf-8") == "x"


def test_cell_that_a_dead_session_has_not_read_runs_in_its_checkpoint(
    written: Path, writing: Kernel
) -> None:
    """Once, with all variables, and a line that says so; once as well where there is none yet."""
    file = written / "checkpoint"
    restored = 0
    # A checkpoint is made beside the cells that come, and a busy machine may not have made it.
    for _ in range(12):
        file.unlink(missing_ok=True)
        writing.run("kept = [1]")
        writing.run("kept")
        session = int(writing.run("%kavach sessions").stdout.split()[-1])
        looks = 0
        # Zygote, init, session, the state before the last cell, and that before the next; not the
        # session's child that makes it, and is there for a moment.
        while len(descendants(writing.pid)) < 5 or children(session):
            looks += 1
            assert looks < 100, "no checkpoint before the next cell"
            assert writing.wait_on_control(0.02)
        run = _run_while_it_ends(writing, f"{_append(file)}kept")
        assert file.read_text(encoding="utf-8") == "x"
        if run.status == "ok":
            assert run.result["data"]["text/plain"] == "[1]"
            assert "goes on from its checkpoint before this cell" in run.stderr
            restored += 1
        else:
            assert run.error["ename"] == "NameError", run.outputs
            assert "variables of the one before are gone" in run.stderr
        if restored == 2:
            return
    raise AssertionError(f"{restored} of 12 cells ran in a checkpoint")


def test_cell_that_was_read_never_runs_twice(
    written: Path, without_checkpoints: Kernel, writing: Kernel
) -> None:
    """A session that dies in its first moments with a cell has read it: the cell fails."""
    for kernel in (without_checkpoints, writing):
        file = written / f"read {kernel.pid}"
        kernel.run("1")
        for number in range(1, 6):
            run = kernel.run(f"{_append(file)}os._exit(1)")
            assert run.reply["ename"] == "CellStopped"
            assert file.read_text(encoding="utf-8") == "x" * number


def test_session_that_dies_at_its_start_is_not_begun_without_end(tmp_path: Path) -> None:
    """Start-up files that end the process: one error, that says so."""
    startup = tmp_path / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-end.py").write_text("import os\nos._exit(3)\n", encoding="utf-8")
    kernel = start_kernel(tmp_path, program=PROGRAM)
    try:
        run = kernel.run("1")
        assert "ended by itself with status 3" in run.error["evalue"]
        assert 1 <= run.stderr.count("a new session begins with this cell") <= 3
    finally:
        kernel.close()


def test_exit_ends_the_kernel_as_it_does_any_other(tmp_path: Path) -> None:
    """With the payload that front ends know; nothing of the session is left."""
    kernel = start_kernel(tmp_path, program=PROGRAM)
    try:
        kernel.run("1")
        family = [os.pidfd_open(pid) for pid in descendants(kernel.pid)]
        assert len(family) >= 3
        request = kernel.start("exit")
        reply = kernel.reply_to(request)
        assert reply["payload"] == [{"source": "ask_exit", "keepkernel": False}]
        wait_for_the_end_of(family)
    finally:
        kernel.close()


def test_keeping_exit_ends_nothing(broker: Kernel) -> None:
    """``exit(keep_kernel=True)`` is told to the front end, and the next cell runs."""
    run = broker.run("exit(keep_kernel=True)")
    assert run.reply["payload"] == [{"source": "ask_exit", "keepkernel": True}]
    assert broker.value("1 + 1") == "2"


def test_restart_by_magic_begins_anew(broker: Kernel) -> None:
    """``%kavach restart`` ends the session, ``%kavach off`` is refused, status is verified."""
    broker.run("kept = 1")
    assert "next cell begins a new one" in broker.run("%kavach restart").stdout
    assert broker.value("'kept' in globals()") == "False"
    assert "no other way" in broker.run("%kavach off").error["evalue"]
    status = broker.run("%kavach status").stdout
    assert "granted  user namespace " in broker.run("%kavach doctor").stdout
    assert re.search(r"verified +network +no interface", status)
