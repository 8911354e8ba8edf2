"""Two ways to start A, the process that builds a sandbox: in the caller's memory, or in a copy.

Guarantees: `answer` runs while A waits for it, and an error of it or of A reaches the caller.
Assumes: signals are blocked, and their Python handlers put off (`signals`), as A has the state of
the main thread; `docs/decisions/0008` says why A shares the memory where it can.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
from collections.abc import Callable

import prctl

from kavach_ipy.launch.quiet import turns
from kavach_ipy.linux import _libc

__all__ = ["SHARES_MEMORY", "start_apart", "start_sharing"]

SHARES_MEMORY = sys.version_info < (3, 14)
"""Python 3.14 checks the stack pointer against the thread's own stack, and A runs on another."""

_PATIENCE_SECONDS = 0.1
"""How long threads that want the interpreter's lock leave it to A, unless A lets it go itself."""


def start_sharing(
    action: Callable[[], None],
    answer: Callable[[], None],
    refuse: Callable[[], None],
    hang_up: Callable[[], None],
    take: Callable[[int], None],
) -> None:
    """Run A in our own memory, to its end; another thread answers it, because this one sleeps.

    Args:
        action: what A does.
        answer: what A waits for, with its pid not known yet.
        refuse: lets A go on without an answer, where `answer` failed.
        hang_up: tells an answer that still waits that A has ended.
        take: is given A's pid, to reap: it has ended.
    """
    wrong: list[BaseException] = []
    answered = threading.Lock()
    answered.acquire()

    def run() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - a callback of C's may not raise
            wrong.append(error)

    def answer_and_say() -> None:
        try:
            answer()
        except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
            wrong.append(error)
            refuse()
        finally:
            answered.release()

    # A changes its credentials, which clears the dumpable flag of the memory, and so ours; two
    # at once would clear it under each other's forks.
    with turns.take():
        dumpable = prctl.get_dumpable()
        interval = sys.getswitchinterval()
        # A begins with the interpreter's lock. Who took it before A can die with us, and is killed
        # with the kernel process, would leave A waiting for it for ever.
        sys.setswitchinterval(_PATIENCE_SECONDS)
        # Not threading.Thread: it waits until the thread runs, and a cell waits with it.
        _thread.start_new_thread(answer_and_say, ())
        try:
            take(_libc.run_sharing_memory(run))
        finally:
            sys.setswitchinterval(interval)
            prctl.set_dumpable(bool(dumpable))
            hang_up()
            answered.acquire()
    if wrong:
        raise wrong[0]


def start_apart(action: Callable[[], None]) -> int:
    """Start A in a copy of our memory, beside us; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        finally:
            os._exit(0)
    return pid
