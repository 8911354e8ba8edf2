"""``c.Kavach.default_on`` and ``%kavach on|off`` in an ordinary kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.contract.cells import descendants, wait_for_the_end_of
from tests.kernel.kernels import Kernel, start_kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

_PID = "__import__('os').getpid()"


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """An ordinary kernel, with the extension loaded, in which ``x`` is 1."""
    running = start_kernel(tmp_path)
    running.run("%load_ext kavach_ipy\nx = 1")
    return running


def test_cells_after_on_run_in_a_session(kernel: Kernel) -> None:
    """Without the notebook's variables, which are there again after off."""
    try:
        assert kernel.value(_PID) == str(kernel.pid)
        assert "%kavach off" in kernel.run("%kavach on").stdout
        assert kernel.value(_PID) != str(kernel.pid)
        assert kernel.run("x").error["ename"] == "NameError"
        kernel.run("inside_only = 2")
        assert any("inside_only" in kernel.complete("inside_o") for _ in range(5))
        assert kernel.reply_to(kernel.client.inspect("inside_only", 4))["found"]
        family = [os.pidfd_open(pid) for pid in descendants(kernel.pid)]
        assert len(family) >= 3
        assert "notebook's kernel again" in kernel.run("%kavach off").stdout
        assert kernel.value("x, " + _PID) == f"(1, {kernel.pid})"
        assert kernel.run("inside_only").error["ename"] == "NameError"
        kernel.run("%unload_ext kavach_ipy")
        wait_for_the_end_of(family)
        assert kernel.value("'do_execute' in vars(get_ipython().kernel)") == "False"
    finally:
        kernel.close()


def test_unloading_switches_off(kernel: Kernel) -> None:
    """Only from the kernel itself: in a cell of the session there is no such extension."""
    try:
        kernel.run("before = dict(get_ipython().kernel.shell_handlers)")
        kernel.run("import asyncio; loop = asyncio.get_event_loop()")
        kernel.run("from IPython.core.magic import register_line_magic")
        kernel.run("%kavach on")
        kernel.run("%unload_ext kavach_ipy")
        assert kernel.value(_PID) != str(kernel.pid)
        kernel.run("%kavach off")
        kernel.run("%unload_ext kavach_ipy")
        handlers = "before == dict(get_ipython().kernel.shell_handlers)"
        assert kernel.value(handlers) == "True"
    finally:
        kernel.close()


def test_interrupt_is_the_cells_and_the_kernel_lives(kernel: Kernel) -> None:
    """The stop button's signal goes to the kernel, whose loop only waits."""
    try:
        kernel.run("%kavach on")
        request = kernel.start("import time\nprint('on', flush=True)\ntime.sleep(600)")
        while kernel.next_output(request)[0] != "stream":
            continue
        kernel.manager.interrupt_kernel()
        assert kernel.finish(request).error["ename"] == "KeyboardInterrupt"
        assert kernel.value("1 + 1") == "2"
    finally:
        kernel.close()


def test_default_on_holds_from_the_first_cell(tmp_path: Path) -> None:
    """By the user's configuration; ``%kavach off`` is theirs as well."""
    profile = tmp_path / "profile_default"
    profile.mkdir()
    (profile / "ipython_kernel_config.py").write_text(
        "c.InteractiveShellApp.extensions = ['kavach_ipy']\n"
        "c.Kavach.default_on = True\n"
        "c.Kavach.memory = '1G'\n"
    )
    kernel = start_kernel(tmp_path)
    try:
        assert kernel.value(_PID) != str(kernel.pid)
        assert "1GiB" in kernel.run("%kavach explain").stdout
        kernel.run("%kavach off")
        assert kernel.value(_PID) == str(kernel.pid)
    finally:
        kernel.close()
