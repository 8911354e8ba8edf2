"""Top-level await in the child, such that an interrupt is raised where the cell waits.

IPython runs a cell that awaits by ``run_until_complete``. SIGINT would raise KeyboardInterrupt in
the event loop then: no line of the cell would stand in the traceback, and none of its ``finally``
blocks would run. To cancel the task, as ``asyncio.run`` does, would show the cell a CancelledError.
So the task is cancelled, and what is thrown into the cell's coroutine is a KeyboardInterrupt.

Guarantees: an interrupt takes effect at once, and only once for each signal.
Assumes: called in the child, in its main thread, after "go"; tasks that the cell started are its
own, and end with the child.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, cast

from IPython.core import async_helpers

from kavach_ipy.launch.link import ChildLink

if TYPE_CHECKING:
    from kavach_ipy.front.shells import Shell

__all__ = ["Throwing", "interrupt_where_it_waits"]


def interrupt_where_it_waits(shell: Shell, link: ChildLink) -> None:
    """Let ``shell`` run its cell's coroutine such that interrupts reach it; trio has its own way.

    Args:
        shell: in the child.
        link: hears of SIGINT first.
    """
    if shell.loop_runner is async_helpers._asyncio_runner:  # noqa: SLF001 - the default has no name
        shell.loop_runner = lambda coroutine: _run(coroutine, link)


def _run(coroutine: Coroutine[object, object, object], link: ChildLink) -> object:
    look_up = cast("Callable[[], asyncio.AbstractEventLoop]", async_helpers.get_asyncio_loop)
    loop = look_up()
    throwing = Throwing(coroutine)
    task = loop.create_task(_main(throwing))

    def interrupt() -> bool:
        if asyncio.current_task(loop) is task:
            return False  # the cell's own lines are running, and the signal can raise there
        throwing.is_interrupted = True
        # The loop sleeps, and a handler of a signal does not wake it.
        loop.call_soon_threadsafe(task.cancel)
        return True

    link.divert = interrupt
    try:
        return loop.run_until_complete(task)
    finally:
        link.divert = None


async def _main(throwing: Throwing) -> object:
    return await throwing


class Throwing(Awaitable[object]):
    """Awaits a coroutine, and throws KeyboardInterrupt into it where the task is cancelled."""

    def __init__(self, coroutine: Coroutine[object, object, object]) -> None:
        self._coroutine = coroutine
        self.is_interrupted = False

    def __await__(self) -> Generator[Any, Any, object]:
        """Pass on what the coroutine waits for, and what it is answered."""
        resume: Callable[[], object] = lambda: self._coroutine.send(None)  # noqa: E731
        while True:
            try:
                waits_for = resume()
            except StopIteration as end:
                return end.value
            try:
                answer = yield waits_for
            except asyncio.CancelledError as error:
                came, self.is_interrupted = self.is_interrupted, False
                thrown: BaseException = KeyboardInterrupt() if came else error
                resume = _later(self._coroutine.throw, thrown)
            except BaseException as error:  # noqa: BLE001 - handed on, whatever it is
                resume = _later(self._coroutine.throw, error)
            else:
                resume = _later(self._coroutine.send, answer)


def _later(call: Callable[[Any], object], argument: object) -> Callable[[], object]:
    return lambda: call(argument)
