"""A kernel that ends while a cell runs takes the cell along."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.contract.cells import descendants, wait_for_the_end_of
from tests.kernel.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

DETACHED = """%%sandbox
import signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "600"], start_new_session=True)
print("started", flush=True)
while True: pass
"""


def _restart(kernel: Kernel) -> None:
    kernel.manager.restart_kernel(now=True)
    kernel.client.wait_for_ready(timeout=30)


def _shut_down(kernel: Kernel) -> None:
    kernel.manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("end", [_restart, _shut_down], ids=["restarted", "shut-down"])
def test_no_process_of_a_cell_outlives_its_kernel(
    fresh_kernel: Kernel, end: Callable[[Kernel], None]
) -> None:
    """Neither init, nor the cell, nor what the cell detached is left."""
    fresh_kernel.run("%load_ext kavach_ipy")
    pid = fresh_kernel.value("__import__('os').getpid()")
    request = fresh_kernel.start(DETACHED)
    # The code itself comes back first, as execute_input.
    while fresh_kernel.next_output(request)[0] != "stream":
        continue
    family = descendants(int(pid))
    assert len(family) >= 3
    pidfds = [os.pidfd_open(process) for process in family]
    end(fresh_kernel)
    wait_for_the_end_of(pidfds)
