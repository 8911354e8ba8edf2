"""The event loop of a sandboxed cell is its own, and comes with the first use."""

from __future__ import annotations

import json

import pytest

from tests.contract.cells import NEEDS
from tests.kernel.kernels import Kernel

pytestmark = [pytest.mark.kernel, NEEDS]

OLD_STYLE = """%%sandbox -o got
import asyncio, warnings
warnings.simplefilter("ignore", DeprecationWarning)
loop = asyncio.get_event_loop()
same = loop is asyncio.get_event_loop()
got = [loop.run_until_complete(asyncio.sleep(0.01, result="woken")), same]
"""
OWN = """%%sandbox -o got
import asyncio, warnings
warnings.simplefilter("ignore", DeprecationWarning)
mine = asyncio.new_event_loop()
asyncio.set_event_loop(mine)
got = asyncio.get_event_loop() is mine
"""
LINKS = """%%sandbox -o got
import os
got = []
for name in os.listdir("/proc/self/fd"):
    if os.path.exists(f"/proc/self/fd/{name}"):
        got.append(os.readlink(f"/proc/self/fd/{name}").partition(":")[0])
got = [kind for kind in got if kind in ("anon_inode", "socket")]
"""


def test_cell_gets_a_loop_of_its_own_at_the_first_use(kernel: Kernel) -> None:
    """``get_event_loop`` makes one and keeps it, as it does in a plain script."""
    assert kernel.run(OLD_STYLE).status == "ok"
    assert json.loads(kernel.run("import json; print(json.dumps(got))").stdout) == ["woken", True]


def test_loop_that_a_cell_sets_is_the_one_it_gets(kernel: Kernel) -> None:
    """The loop that comes by itself never stands in the place of one that was chosen."""
    assert kernel.run(OWN).status == "ok"
    assert kernel.run("print(got)").stdout == "True\n"


def test_loop_of_the_notebook_goes_on(kernel: Kernel) -> None:
    """What a cell does to its loop happens to nobody."""
    kernel.run("import asyncio; loop = asyncio.get_running_loop()")
    cell = (
        "%%sandbox\nimport asyncio\nasyncio.set_event_loop(None)\nprint(asyncio.get_event_loop())"
    )
    assert "running=False" in kernel.run(cell).stdout
    assert kernel.run("print(asyncio.get_running_loop() is loop)").stdout == "True\n"


def test_cell_without_a_loop_has_no_descriptors_for_one(kernel: Kernel) -> None:
    """The channel is the one socket, and there is no epoll set, until somebody asks for a loop."""
    assert kernel.run(LINKS).status == "ok"
    assert kernel.run("print(got)").stdout == "['socket']\n"
