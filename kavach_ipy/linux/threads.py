"""The threads of this process that native libraries started, by the names that they gave them.

A fork copies the calling thread alone. A library that has started others waits, in the child, for
threads that are not there, and what it calls them tells which library it is.

Guarantees: the answer is /proc's; a name is read until it was the same in two looks, so that a
thread that was looked at before it had named itself is looked at again.
Assumes: /proc shows this process. Python's own threads are known to it, and need no look.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress

__all__ = ["NativeThreads", "native_threads"]

_TASKS = "/proc/self/task"


class NativeThreads:
    """What was seen at the last look, so that the next one reads the names of new threads only."""

    def __init__(self) -> None:
        self._seen: dict[int, str] = {}
        self._settled: dict[int, str] = {}

    def look(self) -> dict[int, str]:
        """Return the name of every thread that Python did not start, by its id.

        proc(5), /proc/pid/task/tid/comm: at most 15 bytes; a thread that has none of its own has
        that of the thread that started it.

        Raises:
            OSError: /proc is not mounted.
        """
        # One that ends meanwhile, or that Python starts, may be listed: it is gone the next time.
        python = {thread.native_id for thread in threading.enumerate()}
        listed = [tid for tid in map(int, os.listdir(_TASKS)) if tid not in python]
        seen: dict[int, str] = {}
        settled: dict[int, str] = {}
        for tid in listed:
            name = self._settled.get(tid)
            if name is None:
                with suppress(FileNotFoundError, ProcessLookupError):
                    name = _name_of(tid)
            if name is None:
                continue
            seen[tid] = name
            if self._seen.get(tid) == name:
                settled[tid] = name
        self._seen, self._settled = seen, settled
        return seen


native_threads = NativeThreads()
"""This process's."""


def _name_of(tid: int) -> str:
    # Not by open(): a text file costs more than what is read.
    fd = os.open(f"{_TASKS}/{tid}/comm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 64).rstrip(b"\n").decode("utf-8", "replace")
    finally:
        os.close(fd)
