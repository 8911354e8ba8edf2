"""Cells that end the process they run in, and how the error begins that says so."""

from __future__ import annotations

from typing import Final

__all__ = ["ENDINGS"]

_FORKS: Final = """\
import os, time
for _ in range(8):
    if os.fork() == 0:
        held = bytearray(b"x" * (40 << 20))
        time.sleep(60)
time.sleep(60)
"""

ENDINGS: Final = {
    "exit": ("import os\nos._exit(3)", "exit: the process ended by itself with status 3"),
    "segv": ("import ctypes\nctypes.string_at(0)", "signal: SIGSEGV"),
    "kill": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "signal: SIGKILL"),
    "memory": (_FORKS, "memory"),
    "timeout": ("%%sandbox --timeout 0.3s\nwhile True: pass", "timeout"),
    "output": ("%%sandbox --output 1M\nwhile True: print('x' * 1000)", "output"),
}
"""In a kernel with 256 MiB."""
