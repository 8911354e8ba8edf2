"""The terminal that the notebook was started in hears nothing and is typed into by nobody."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.cells import NEEDS, ROOT

pytestmark = [pytest.mark.escape, NEEDS]

ATTACK = """
import fcntl, os, termios
for fd in range(3, 64):
    try:
        os.write(fd, b"written")
    except OSError:
        pass
for fd in (*range(64), "/dev/tty", "/dev/console", "/dev/pts/0", "/proc/self/fd/0"):
    try:
        opened = fd if isinstance(fd, int) else os.open(fd, os.O_RDWR | os.O_NOCTTY)
        fcntl.ioctl(opened, termios.TIOCSCTTY, 0)
    except OSError:
        pass
    for byte in b"typed":
        try:
            fcntl.ioctl(opened, termios.TIOCSTI, bytes([byte]))
        except (OSError, NameError):
            pass
"""

KERNEL = f"""
import fcntl, os, select, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
attributes = termios.tcgetattr(0)
attributes[3] &= ~(termios.ICANON | termios.ECHO)
termios.tcsetattr(0, termios.TCSANOW, attributes)
attributes = termios.tcgetattr(0)
ATTACK = {ATTACK!r}
if sys.argv[1] == "inside":
    from kavach_ipy import Sandbox
    Sandbox().run(ATTACK)
    assert termios.tcgetattr(0) == attributes
else:
    fcntl.ioctl(0, termios.TIOCSTI, b"t")
typed = os.read(0, 100) if select.select([0], [], [], 0)[0] else b""
print("typed:", typed, file=sys.stderr)
"""


def _run_on_a_terminal(where: str) -> tuple[str, bytes]:
    """What the script found typed, and what the terminal was shown."""
    leader, follower = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", KERNEL, where],
            stdin=follower,
            stdout=follower,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            timeout=60,
            check=False,
            text=True,
        )
        shown = os.read(leader, 1000) if select.select([leader], [], [], 0)[0] else b""
    finally:
        os.close(leader)
        os.close(follower)
    assert done.returncode == 0, done.stderr
    return done.stderr, shown


def test_cell_neither_types_nor_writes_on_the_terminal() -> None:
    """Nothing waits to be read as if typed, nothing is shown, the modes are as they were."""
    assert _run_on_a_terminal("inside") == ("typed: b''\n", b"")


def test_typing_works_without_the_sandbox() -> None:
    """TIOCSTI is what it is feared for, where the machine still has it (Linux 6.2: a switch)."""
    switch = Path("/proc/sys/dev/tty/legacy_tiocsti")
    if switch.exists() and switch.read_text(encoding="ascii").strip() == "0":
        pytest.skip("dev.tty.legacy_tiocsti is 0: this machine lets nobody type")
    assert _run_on_a_terminal("outside")[0] == "typed: b't'\n"
