"""The Python handlers of signals, put off while a sandbox is set up and taken down.

The interpreter runs a handler between any two instructions of the main thread. One that raises, as
SIGINT's does, would so leave a descriptor that nobody closes, or a process that nobody reaps. And A
runs with that thread's state (docs/decisions/0008): a KeyboardInterrupt in a hook of os.fork is
swallowed there, and is written to an ipykernel's stream, which waits ten seconds for a thread that
no other process can wake.

Guarantees: no signal is lost. A handler runs where it is let through, or at the end.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["SIGNALS", "Handler", "Signals", "handlers_later"]

SIGNALS = tuple(int(number) for number in signal.valid_signals())
"""Every signal, by number: asking for them makes an enum's members each time."""

Handler = Callable[[int, FrameType | None], object]


class Signals:
    """What stands in for the Python handlers, and what came for them."""

    def __init__(self, handlers: dict[int, Handler]) -> None:
        self._handlers = handlers
        self._came: dict[int, None] = {}
        self._is_open = False

    @property
    def handled(self) -> tuple[int, ...]:
        """The numbers of the signals that have a Python handler. None in other threads."""
        return tuple(self._handlers)

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Run the handlers of what has come and of what comes; one that raises ends this."""
        was_open = self._is_open
        try:
            self._is_open = True
            self._raise_again()
            yield
        finally:
            self._is_open = was_open

    @contextmanager
    def instead(self, number: int, handler: Handler) -> Iterator[None]:
        """Let `handler` stand in for that of the signal, where it has one in Python.

        A signal that is ignored, or ends the process, does so now as well.
        """
        if number not in self._handlers:
            yield
            return
        previous = self._handlers[number]
        self._handlers[number] = handler
        try:
            yield
        finally:
            self._handlers[number] = previous

    def forget(self, number: int) -> None:
        """Let what has come of one signal, and was not let through, be told to nobody."""
        self._came.pop(number, None)

    def came(self, number: int, frame: FrameType | None) -> None:
        """Be the handler of every signal that has one."""
        if not self._is_open:
            self._came[number] = None
            return
        # Closed first: what the handler raises leaves for code that must not be interrupted again.
        self._is_open = False
        self._handlers[number](number, frame)
        self._is_open = True

    def give_back(self) -> None:
        """Make the handlers what they were, and let those run whose signal has come."""
        raised: BaseException | None = None
        left = list(self._handlers.items())
        while left:
            try:
                signal.signal(*left[-1])
                left.pop()
            except BaseException as error:  # noqa: BLE001 - of a handler that is back already
                raised = error
        try:
            self._raise_again()
        finally:
            if raised is not None:
                raise raised

    def _raise_again(self) -> None:
        """Raise at once what has come: a handler that raises must not cost others their signal."""
        if not self._came:
            return
        numbers = tuple(self._came)
        self._came.clear()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        for number in numbers:
            signal.raise_signal(number)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def handlers_later() -> Iterator[Signals]:
    """Put the Python handlers of signals off; they are Python's main thread's alone."""
    if threading.current_thread() is not threading.main_thread():
        yield Signals({})
        return
    found = {number: signal.getsignal(number) for number in SIGNALS}
    signals = Signals({number: handler for number, handler in found.items() if callable(handler)})
    try:
        for number in signals.handled:
            signal.signal(number, signals.came)
        yield signals
    finally:
        signals.give_back()
