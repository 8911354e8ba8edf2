"""Host name, clock and the accounting of users are the host's, and stay so."""

from __future__ import annotations

import os
import socket
import time

import pytest

from tests.contract.cells import NEEDS
from tests.escape.probes import POWERS, attack, found, number, outside

pytestmark = [pytest.mark.escape, NEEDS]


RENAME = f"""
import socket
answers = [
    attempt(socket.sethostname, "attacked"),
    call({number("setdomainname")}, b"x", 1),
    attempt(lambda: open("/proc/sys/kernel/hostname", "w")),
]
answers
"""


def test_host_name_is_neither_read_nor_set() -> None:
    """The cell has a name of its own and may not change even that."""
    before = os.uname().nodename
    code = "import os, socket\nsocket.gethostname(), os.uname().nodename"
    assert found(code) == ("sandbox", "sandbox")
    assert set(found(RENAME)) <= {"EPERM", "EACCES", "EROFS"}
    assert os.uname().nodename == before == socket.gethostname()


@pytest.mark.baseline("test_host_name_is_neither_read_nor_set")
def test_host_name_is_read_and_set_without_the_sandbox() -> None:
    """A plain process reads the host's; one with a name of its own sets that by each call."""
    assert outside("print(os.uname().nodename)") == f"{os.uname().nodename}\n"
    renamed = f"{POWERS}{RENAME}\nprint(answers[:2], os.uname().nodename)"
    assert outside(renamed) == "['done', 'done'] attacked\n"


SET_CLOCK = f"""
import time
[attempt(time.clock_settime, time.CLOCK_REALTIME, 0.0),
 call({number("settimeofday")}, bytes(16), 0)]
"""
# adjtimex(2): modes 0, as in these bytes, only reads, which Linux lets everybody do.
ADJUST = f"""
answers = [call({number("adjtimex")}, bytes(256)), call({number("clock_adjtime")}, 0, bytes(256))]
answers
"""


@pytest.mark.no_baseline("the clock is the whole machine's, in every namespace")
def test_clock_is_not_set() -> None:
    """No call that moves the machine's time works."""
    before = time.time()
    assert found(SET_CLOCK) == ["EPERM"] * 2
    assert 0 <= time.time() - before < 60


def test_clock_is_not_adjusted() -> None:
    """Calls that would bend it are refused even where they would only read."""
    assert found(ADJUST) == ["EPERM"] * 2
    assert outside(f"{ADJUST}\nprint(answers)") == "['done', 'done']\n"


@pytest.mark.no_baseline("shows what must work")
def test_clock_is_read() -> None:
    """The cell's time is the host's."""
    assert abs(found("import time\ntime.time()") - time.time()) < 60


@pytest.mark.baseline("test_random_numbers_of_the_notebook_go_on")
def test_random_numbers_of_the_notebook_go_on() -> None:
    """What a cell draws or seeds is not drawn from the notebook's generator."""
    import random

    state = random.getstate()
    code = "import random\nrandom.seed(0)\nrandom.random()"
    attack(code)
    assert random.getstate() == state
    # A plain cell runs in the notebook's own process.
    exec(code)
    assert random.getstate() != state
    random.setstate(state)


@pytest.mark.no_baseline("the system's source gives a plain process fresh randomness as well")
def test_two_cells_do_not_share_fresh_randomness() -> None:
    """The system's source gives each its own."""
    code = "import os, uuid\nos.urandom(8), str(uuid.uuid4())"
    assert found(code) != found(code)
