"""What the kernel process does differently while a sandbox is set up.

Guarantees: everything is as before afterwards.
"""

from __future__ import annotations

import gc
import io
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["flush_files", "no_collection", "no_warning_of_forks", "turns"]


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
_WARNS_OF_FORKS = sys.version_info >= (3, 12)


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


@contextmanager
def no_warning_of_forks() -> Iterator[Callable[[], None]]:
    """Fork without what Python 3.12, polars and JAX warn of: every fork of a process with threads.

    Ours never runs the parent's code again, and a library that cannot survive it is refused before
    the fork (`launch.plan`).

    Yields:
        What gives a child that was forked meanwhile the notebook's filters back.
    """
    if _WARNS_OF_FORKS:
        caught = warnings.catch_warnings()
        with caught:
            warnings.simplefilter("ignore")
            yield lambda: caught.__exit__(None, None, None)
        return
    # Hooks of os.fork alone warn here. A change of filters, and a change back, would make the
    # notebook forget which warnings it has shown (Lib/warnings.py, _filters_mutated).
    shown = warnings.showwarning
    warnings.showwarning = _drop
    try:
        yield lambda: setattr(warnings, "showwarning", shown)
    finally:
        warnings.showwarning = shown


def _drop(*args: object, **kwargs: object) -> None:
    """Show nothing."""
