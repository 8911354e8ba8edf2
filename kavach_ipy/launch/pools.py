"""Pools of threads and processes that Python code of the notebook has made, in the cell.

The fork copied the objects, and none of the threads that feed them. A pool of threads is soundly
made anew. A pool of processes is not: its processes are the notebook's, and started again they
would be other ones, with nothing that the first were given. It would accept work and never do it,
so it says what it is instead. joblib's own pool, which nobody holds, is forgotten: the next use
makes another.

Guarantees: a pool that the cell makes is as any; none of the notebook's takes work and sits on it;
in the notebook nothing is replaced.
Assumes: what has not been imported yet has no pools.
"""

from __future__ import annotations

import functools
import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["prepare_pools", "renew_pools"]

_NOT_HERE = (
    "this pool was made outside of the sandbox, and its processes and threads stayed there: nobody"
    " would do the work. Make a pool in the sandboxed cell, or use this one in a plain cell."
)
_LOKY = ("joblib.externals.loky", "loky")

_renewals: dict[str, Callable[[], None]] = {}
"""What the child does, by the module that it is about."""


def prepare_pools() -> None:
    """Make what `renew_pools` puts in place. In the child, each new object costs a page's copy."""
    for name, prepare in _PREPARATIONS.items():
        if name not in _renewals and name in sys.modules:
            # A module that is being imported lacks its classes, and has made no pool either.
            with suppress(AttributeError):
                _renewals[name] = prepare(sys.modules[name])


def renew_pools() -> None:
    """Make pools of threads work, and pools of processes say that they do not. In the child."""
    for renew in _renewals.values():
        renew()


def _renew_threads(module: Any) -> Callable[[], None]:
    return _before(module.ThreadPoolExecutor, "submit", _start_anew)


def _start_anew(executor: Any) -> None:
    """Forget the threads of an executor that have all ended: they did so by the fork."""
    threads = executor._threads  # noqa: SLF001 - there is no other way in.
    if threads and not any(thread.is_alive() for thread in threads):
        executor._threads = set()  # noqa: SLF001
        executor._idle_semaphore = threading.Semaphore(0)  # noqa: SLF001
        # What waits in it is the notebook's to do, and another thread may have held the lock.
        executor._work_queue = queue.SimpleQueue()  # noqa: SLF001
        executor._shutdown_lock = threading.Lock()  # noqa: SLF001


def _refuse_futures(module: Any) -> Callable[[], None]:
    broken: type[Exception] = module.BrokenProcessPool

    def check(executor: Any) -> None:
        # Its queue notes who made it, and is made with it, long before the first process.
        if executor._call_queue._opid != os.getpid():  # noqa: SLF001
            raise broken(_NOT_HERE)

    return _before(module.ProcessPoolExecutor, "submit", check)


def _refuse_pools(module: Any) -> Callable[[], None]:
    def check(pool: Any) -> None:
        # What ends a pool belongs to the process that made it, and says which that is.
        if pool._terminate._pid != os.getpid():  # noqa: SLF001
            # What a pool raises that has ended.
            raise ValueError(_NOT_HERE)

    return _before(module.Pool, "_check_running", check)


def _forget_reusable(module: Any) -> Callable[[], None]:
    def forget() -> None:
        module._executor = module._executor_kwargs = None  # noqa: SLF001
        # Another thread may have held it at the fork.
        module._executor_lock = threading.RLock()  # noqa: SLF001

    return forget


def _before(kind: type, name: str, check: Callable[[Any], None]) -> Callable[[], None]:
    """Return what lets a method of a class call `check` with its object first."""
    method = getattr(kind, name)

    @functools.wraps(method)
    def checked(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        check(self)
        return method(self, *args, **kwargs)

    return functools.partial(setattr, kind, name, checked)


_PREPARATIONS: dict[str, Callable[[Any], Callable[[], None]]] = {
    "concurrent.futures.thread": _renew_threads,
    "concurrent.futures.process": _refuse_futures,
    "multiprocessing.pool": _refuse_pools,
    **{f"{loky}.process_executor": _refuse_futures for loky in _LOKY},
    **{f"{loky}.reusable_executor": _forget_reusable for loky in _LOKY},
}
"""How to get what the child does, by the module that it is about."""
