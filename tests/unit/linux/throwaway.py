"""A throw-away process for steps that can never be undone."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Ending", "errno_of", "forked", "raw"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How the child ended."""

    value: object
    """What the function returned, through JSON; None where it did not come to return."""

    signal: int
    """The signal that killed it, 0 for none."""


def forked(function: Callable[[], object]) -> Ending:
    """Run `function` in a fork and report its end; an exception there fails the test here."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            answer = json.dumps({"value": function()})
        except BaseException:
            answer = json.dumps({"error": traceback.format_exc()})
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        received = file.read()
    _, status = os.waitpid(pid, 0)
    answer = json.loads(received) if received else {}
    assert "error" not in answer, answer["error"]
    return Ending(answer.get("value"), os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)


def errno_of(call: Callable[..., object], *arguments: object) -> int:
    """The errno that the call fails with, 0 when it does not fail."""
    try:
        call(*arguments)
    except OSError as error:
        return error.errno or -1
    return 0


def raw(number: int, *arguments: int) -> int:
    """Make a system call by number; the errno, or 0."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    registers = (ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0, 0, 0)[:6])
    result = libc.syscall(ctypes.c_long(number), *registers)
    return ctypes.get_errno() if result == -1 else 0
