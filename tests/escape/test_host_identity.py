"""Host name, clock and the accounting of users are the host's, and stay so."""

from __future__ import annotations

import os
import socket
import time

import pytest

from tests.contract.cells import NEEDS
from tests.escape.probes import attack, found, number

pytestmark = [pytest.mark.escape, NEEDS]


def test_host_name_is_neither_read_nor_set() -> None:
    """The cell has a name of its own and may not change even that."""
    before = os.uname().nodename
    code = "import os, socket\nsocket.gethostname(), os.uname().nodename"
    assert found(code) == ("sandbox", "sandbox")
    code = f"""
    import socket
    [attempt(socket.sethostname, "attacked"), call({number("setdomainname")}, b"x", 1),
     attempt(lambda: open("/proc/sys/kernel/hostname", "w"))]
    """
    assert "done" not in found(code)
    assert os.uname().nodename == before == socket.gethostname()


def test_clock_is_not_set() -> None:
    """No call that moves the machine's time works."""
    code = f"""
    import time
    [attempt(time.clock_settime, time.CLOCK_REALTIME, 0.0),
     call({number("settimeofday")}, bytes(16), 0), call({number("adjtimex")}, bytes(256)),
     call({number("clock_adjtime")}, 0, bytes(256))]
    """
    before = time.time()
    assert found(code) == ["EPERM"] * 4
    assert 0 <= time.time() - before < 60


def test_clock_is_read() -> None:
    """The cell's time is the host's."""
    assert abs(found("import time\ntime.time()") - time.time()) < 60


def test_random_numbers_of_the_notebook_go_on() -> None:
    """What a cell draws or seeds is not drawn from the notebook's generator."""
    import random

    state = random.getstate()
    attack("import random\nrandom.seed(0)\nrandom.random()")
    assert random.getstate() == state


def test_two_cells_do_not_share_fresh_randomness() -> None:
    """The system's source gives each its own."""
    code = "import os, uuid\nos.urandom(8), str(uuid.uuid4())"
    assert found(code) != found(code)
