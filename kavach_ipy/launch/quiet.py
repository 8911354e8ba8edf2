"""What the kernel process does differently while a sandbox is set up.

Guarantees: everything is as before afterwards.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["SIGNALS", "Handler", "handlers_later", "no_collection", "python_handlers", "turns"]


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


SIGNALS = tuple(int(number) for number in signal.valid_signals())
"""Every signal, by number: asking for them makes an enum's members each time."""

Handler = Callable[[int, FrameType | None], object]


def python_handlers() -> dict[int, Handler]:
    """The signals that have a handler in Python, and which."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    return {number: handler for number, handler in handlers.items() if callable(handler)}


@contextmanager
def handlers_later() -> Iterator[None]:
    """Let the Python handlers of signals run at the end, in this process and not in A.

    The interpreter runs them between two instructions of its main thread, and A runs with that
    thread's state. A KeyboardInterrupt in a hook of os.fork is swallowed there, and is written to
    an ipykernel's stream, which waits ten seconds for a thread that no other process can wake.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: dict[int, None] = {}

    def keep(number: int, _: FrameType | None) -> None:
        came[number] = None

    handled = python_handlers()
    for number in handled:
        signal.signal(number, keep)
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)
