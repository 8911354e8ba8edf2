"""A session that dies: one error that says why, a kernel that lives, a new session."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.cells import descendants, wait_for_the_end_of
from tests.kernel.broker.conftest import PROGRAM
from tests.kernel.broker.endings import ENDINGS
from tests.kernel.kernels import Kernel, start_kernel

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
def without_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel whose sessions may have 256 MiB, and are not kept from before a cell."""
    program = f"{PROGRAM} --Kavach.memory=256M --Kavach.checkpoint=off"
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
    while run.status == "error":
        # It was sent before the kernel had noticed.
        run = broker.run("'kept' in globals()")
    assert run.result["data"]["text/plain"] == "False"
    assert "are gone" in run.stderr


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
