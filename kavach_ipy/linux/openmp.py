"""GNU OpenMP's pools of threads, ended before a fork so that both sides make them anew.

libgomp keeps a pool for each thread that has entered a parallel region, and no handler of forks
(https://gcc.gnu.org/bugzilla/show_bug.cgi?id=60035): the next region in a forked child waits for
threads that are not there. PyTorch and scikit-learn bring a copy of it each, numba takes the
system's. OpenMP 5.0 has a call that gives the pool back, and the next region makes it again.

Rejected: a limit of one thread would stay with the notebook; a fork from a thread that has no pool
would take the main thread, and with it signals, from the cell.

Guarantees: the calling thread has no pool in a libgomp that was given, or its file is returned.
Assumes: called by the thread that forks, outside of a parallel region. The pools of other threads
stay: in the child these threads are not there, so nobody enters their pools.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from kavach_ipy.linux import _libc

__all__ = ["Runtimes", "runtimes"]

_HARD = 2  # omp_pause_hard of omp.h: the threads end, and are waited for


class Runtimes:
    """Every libgomp that was found loaded, and how to end the caller's pool in it."""

    def __init__(self) -> None:
        self._pause: dict[bytes, Callable[[int], int] | None] = {}

    def end_pools(self, mapped: Iterable[bytes] = ()) -> tuple[str, ...]:
        """End the calling thread's pools in what was found before, and in what is found now.

        It takes two microseconds where the thread has no pool.

        Args:
            mapped: paths of GNU OpenMP runtimes that are mapped into this process.

        Returns:
            The paths of those that cannot do so: they are older than GCC 9, or their file is gone.
        """
        for path in mapped:
            if path not in self._pause:
                self._pause = self._pause | {path: _libc.find_omp_pause(path)}
        return tuple(
            os.fsdecode(path)
            for path, pause in self._pause.items()
            if pause is None or pause(_HARD) != 0
        )


runtimes = Runtimes()
"""This process's."""
