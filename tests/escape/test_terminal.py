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

# The writing comes last: the first byte that is no frame on the cell's own channel ends the cell.
ATTACK = """
import fcntl, os, termios
def attempt(act, *arguments):
    try:
        return act(*arguments)
    except (OSError, termios.error):
        return -1
def change_modes(fd):
    modes = termios.tcgetattr(fd)
    modes[3] &= ~termios.ISIG
    termios.tcsetattr(fd, termios.TCSANOW, modes)
opened = [attempt(os.open, path, os.O_RDWR | os.O_NOCTTY) for path in PATHS]
opened = [fd for fd in opened if fd >= 0]
for fd in (*opened, *range(64)):
    attempt(fcntl.ioctl, fd, termios.TIOCSCTTY, 0)
    for byte in b"typed":
        attempt(fcntl.ioctl, fd, termios.TIOCSTI, bytes([byte]))
    attempt(change_modes, fd)
print("tried", flush=True)
for fd in (*opened, *range(3, 64)):
    attempt(os.write, fd, b"written")
"""
OWN = ("/dev/tty", "/proc/self/fd/0")
# Only a cell tries these: outside they may be the terminals of somebody else.
OTHERS = ("/dev/console", "/dev/pts/0", "/dev/pts/1", "/dev/tty1")

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
    assert "tried" in Sandbox().run("PATHS = {OWN + OTHERS!r}\\n" + ATTACK).stdout
else:
    PATHS = {OWN!r}
    exec(ATTACK)
typed = os.read(0, 100) if select.select([0], [], [], 0)[0] else b""
print(typed.decode(), termios.tcgetattr(0) == attributes, file=sys.stderr)
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
    assert _run_on_a_terminal("inside") == (" True\n", b"")


@pytest.mark.baseline("test_cell_neither_types_nor_writes_on_the_terminal")
def test_terminal_is_written_to_and_changed_without_the_sandbox() -> None:
    """The same attack by a plain process shows its text and switches the interrupt key off."""
    said, shown = _run_on_a_terminal("outside")
    assert said.endswith(" False\n")
    assert shown.count(b"written") >= len(OWN)


@pytest.mark.baseline("test_cell_neither_types_nor_writes_on_the_terminal")
def test_typing_works_without_the_sandbox() -> None:
    """TIOCSTI is what it is feared for, where the machine still has it (Linux 6.2: a switch)."""
    switch = Path("/proc/sys/dev/tty/legacy_tiocsti")
    if switch.exists() and switch.read_text(encoding="ascii").strip() == "0":
        pytest.skip("dev.tty.legacy_tiocsti is 0: this machine lets nobody type")
    assert _run_on_a_terminal("outside")[0].startswith("typed")
