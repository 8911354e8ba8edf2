"""What the kernel process does differently while a sandbox is set up.

Guarantees: everything is as before afterwards.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["no_collection", "turns"]


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
