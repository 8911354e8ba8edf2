"""Walls behind other walls: looked at alone, because the one in front hides whether they stand."""

from __future__ import annotations

import pytest

from tests.contract.cells import NEEDS, python, value

pytestmark = [pytest.mark.contract, NEEDS]

# landlock_restrict_self(2): a thread has at most 16 rulesets, then E2BIG.
DOMAINS = """
import ctypes, errno, os, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)
added = 0
while added < 20:
    ruleset = libc.syscall(444, struct.pack("Q", 1), 8, 0)
    if libc.syscall(446, ruleset, 0) != 0:
        break
    added += 1
"""


def test_cell_has_one_landlock_domain_already() -> None:
    """The kernel counts rulesets: a cell can add one fewer than a process without any."""
    assert value(f"{DOMAINS}\nadded, errno.errorcode[ctypes.get_errno()]") == (15, "E2BIG")
    done = python(f"{DOMAINS}\nprint(added, errno.errorcode[ctypes.get_errno()])")
    assert done.stdout == "16 E2BIG\n", done.stderr
