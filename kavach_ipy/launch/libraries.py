"""Native libraries of the notebook whose threads a fork leaves behind.

A forked child has one thread. OpenBLAS, MKL, Arrow, DuckDB and LLVM's OpenMP see to that
themselves; GNU OpenMP is seen to here; what cannot be helped is told, for `launch.plan` to refuse.

Guarantees: a pool of GNU OpenMP's that the calling thread had is ended, and made anew by the next
parallel region, in the notebook as in the cell; nothing else is changed.
Assumes: called by the thread that will fork.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kavach_ipy.linux.mapped import mapped_files
from kavach_ipy.linux.openmp import runtimes
from kavach_ipy.linux.threads import native_threads

__all__ = ["Libraries", "prepare_libraries"]

# Threads that wait for work, by the names their libraries give them, where nothing starts them
# anew in a forked child: the next call there waits for ever. Importing polars starts a thread too
# (polars-ooc-clea), which nobody waits for.
_POOLS = (
    (re.compile(r"polars-\d+|async-executor-"), "polars"),
    (re.compile(r"rayon"), "a library that is written with rayon"),
    (re.compile(r"tf_"), "JAX or TensorFlow"),
)


@dataclass(frozen=True, slots=True)
class Libraries:
    """What tells of libraries that a forked child could not use."""

    threads: frozenset[str] = frozenset()
    """Names of the threads that native code started."""

    devices: tuple[str, ...] = ()
    """Device files of GPUs that are mapped into this process."""

    pools: tuple[str, ...] = ()
    """Files of GNU OpenMP runtimes whose pools cannot be ended."""

    def left_behind(self) -> tuple[tuple[str, str], ...]:
        """Say which libraries a forked child could not use: each with what shows it."""
        found = [
            (library, f"a thread of its pool is there: {min(names)}")
            for pattern, library in _POOLS
            if (names := [name for name in self.threads if pattern.match(name)])
        ]
        if self.devices:
            found.append(("a GPU", f"{self.devices[0]} is mapped into it"))
        found += [("GNU OpenMP", f"{path} has no omp_pause_resource_all(3)") for path in self.pools]
        return tuple(found)


def prepare_libraries() -> Libraries:
    """End the pools that can be ended, and look at what is left.

    Raises:
        OSError: /proc is not mounted.
    """
    # First those that are known: their threads are gone then, and nothing has to be read again.
    runtimes.end_pools()
    threads = native_threads.look()
    mapped = mapped_files.look(threads)
    return Libraries(
        threads=frozenset(threads.values()),
        devices=mapped.gpus,
        pools=runtimes.end_pools(mapped.openmp),
    )
