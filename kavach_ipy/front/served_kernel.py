"""The kernel of a session: ipykernel's, less its sockets, plus an interrupt that takes effect.

``IPythonKernel.do_execute`` itself is not touched. What it calls to be interrupted while a cell
awaits is replaced: ipykernel's own takes effect when the awaited thing ends (its signal handler
does not wake the event loop), and shows the cell a CancelledError.

Guarantees: an interrupt of a cell that awaits is raised at once, as KeyboardInterrupt, where it
waits.
Assumes: runs in the session, after "go".
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ipykernel import ipkernel
from IPython.core.error import UsageError
from tornado.ioloop import IOLoop

from kavach_ipy.front.awaiting import Throwing
from kavach_ipy.front.tracebacks import without_own_lines
from kavach_ipy.launch.exhausted import explain

if TYPE_CHECKING:
    from kavach_ipy.launch.link import ChildLink

__all__ = ["ServedKernel", "tie"]

# ipykernel annotates little, and otherwise from version to version.
_IPythonKernel: Any = ipkernel.IPythonKernel


class _NoThread:
    """Stands in for ipykernel 7's thread of the shell channel, which knows who its parent is."""

    parent_thread = threading.main_thread()


class ServedKernel(_IPythonKernel):  # type: ignore[misc] # as said above
    """A kernel without sockets."""

    link: ChildLink
    throwing: Throwing | None = None

    @contextmanager
    def _cancel_on_sigint(self, future: asyncio.Task[object]) -> Iterator[None]:
        """Let SIGINT be raised where the cell waits; called around the awaiting of ``future``."""
        loop = asyncio.get_running_loop()

        def interrupt() -> bool:
            throwing = self.throwing
            if throwing is None or asyncio.current_task(loop) is future:
                return False  # the cell's own lines are running, and the signal can raise there
            throwing.is_interrupted = True
            # The loop sleeps, and a handler of a signal does not wake it.
            loop.call_soon_threadsafe(future.cancel)
            return True

        self.link.divert = interrupt
        try:
            yield
        finally:
            self.link.divert = None


def tie(shell: Any, link: ChildLink, loop: asyncio.AbstractEventLoop) -> None:
    """Give the session's kernel what it needs of a running loop and of the channel.

    Args:
        shell: of a `ServedKernel`.
        link: hears of SIGINT first.
        loop: the session's; it is set, and does not run yet.
    """
    del loop
    kernel: ServedKernel = shell.kernel
    kernel.link = link
    kernel.shell_channel_thread = _NoThread()
    kernel.io_loop = IOLoop.current()
    _let_threads_know(shell)
    for kind, name in (("line", "kavach"), ("line_cell", "sandbox")):
        shell.register_magic_function(_not_inside, kind, name)
    shell.run_cell_async = _throwing(kernel, shell.run_cell_async)
    show: Callable[[object, BaseException | None, list[str]], None] = shell._showtraceback  # noqa: SLF001

    def show_explained(etype: object, evalue: BaseException | None, stb: list[str]) -> None:
        notes = explain(evalue, link.policy) if evalue is not None else ()
        show(etype, evalue, [*without_own_lines(stb), *notes])

    shell._showtraceback = show_explained  # noqa: SLF001 - made to be overridden


def _not_inside(line: str, cell: str | None = None) -> None:
    """Stand in for the magics of kavach_ipy, which the kernel's own process answers."""
    del line, cell
    raise UsageError(
        "every cell of this notebook runs in a sandbox: %kavach stands in a cell of its own,"
        " %%sandbox on a cell's first line, and %sandbox is for other notebooks"
    )


def _throwing(
    kernel: ServedKernel, run: Callable[..., Coroutine[object, object, object]]
) -> Callable[..., Coroutine[object, object, object]]:
    # ipykernel looks at the signature to know what it may pass.
    @functools.wraps(run)
    async def run_cell_async(*args: object, **options: object) -> object:
        kernel.throwing = throwing = Throwing(run(*args, **options))
        try:
            return await throwing
        finally:
            kernel.throwing = None

    return run_cell_async


def _let_threads_know(shell: Any) -> None:
    """Let what a thread prints belong to the cell that started it.

    A thread begins with an empty context, and ipykernel 7 then takes the cell that runs now;
    ipykernel 6 looks after threads itself. Nothing else of the context is handed on, so what a cell
    sets in its own is not seen by its threads, as in any Python.
    """
    speakers: list[Any] = [
        speaker
        for speaker in (sys.stdout, sys.stderr, shell.display_pub, shell.displayhook, shell)
        if isinstance(getattr(speaker, "_parent_header", None), contextvars.ContextVar)
    ]
    if not speakers:
        # ipykernel 6 noted the streams when it was built, and these are others.
        shell.kernel._stdout, shell.kernel._stderr = sys.stdout, sys.stderr  # noqa: SLF001
        return
    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        headers = [speaker.parent_header for speaker in speakers]
        run = thread.run

        def run_for_its_cell() -> None:
            for speaker, header in zip(speakers, headers, strict=True):
                speaker._parent_header.set(header)  # noqa: SLF001 - of this thread alone
            run()

        thread.run = run_for_its_cell  # type: ignore[method-assign]
        begin(thread)

    threading.Thread.start = start  # type: ignore[method-assign,assignment]
