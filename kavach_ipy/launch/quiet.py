"""What the kernel process does differently while a sandbox is set up.

Guarantees: everything is as before afterwards.
"""

from __future__ import annotations

import gc
import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["flush_files", "no_collection", "turns"]


class Turns:
    """A lock that a fork of the notebook's own does not inherit locked."""

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for the others."""
        with self._lock:
            yield


turns = Turns()


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage collector from writing to, and so copying, the pages just shared."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def flush_files() -> None:
    """Empty the buffers of the standard streams: what waits in them would be written twice."""
    for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
        # A kernel's streams are no files: the child empties its copies, and a flush would wait for
        # the IOPub thread.
        if isinstance(stream, io.TextIOWrapper):
            with suppress(ValueError, OSError):
                stream.flush()
