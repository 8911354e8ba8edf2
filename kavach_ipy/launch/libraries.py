"""Native libraries of the notebook whose threads a fork leaves behind.

A forked child has one thread. OpenBLAS, MKL, Arrow, DuckDB and LLVM's OpenMP see to that
themselves; GNU OpenMP is seen to here; what cannot be helped is told, for `launch.plan` to refuse.

Guarantees: a pool of GNU OpenMP's that the calling thread had is ended, and made anew by the next
parallel region, in the notebook as in the cell; nothing else is changed.
Assumes: called by the thread that will fork.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from kavach_ipy.linux.mapped import mapped_files
from kavach_ipy.linux.openmp import runtimes
from kavach_ipy.linux.threads import native_threads

__all__ = ["Unforkable", "prepare_libraries", "unforkable"]

# Threads that wait for work, by the names their libraries give them, where nothing starts them
# anew in a forked child: the next call there waits for ever. Importing polars starts a thread too
# (polars-ooc-clea), which nobody waits for.
_POOLS = (
    (re.compile(r"polars-\d+|async-executor-"), "polars"),
    (re.compile(r"rayon"), "a library that is written with rayon"),
    (re.compile(r"tf_"), "JAX or TensorFlow"),
)


@dataclass(frozen=True, slots=True)
class Unforkable:
    """A library that the notebook has used, and that a forked child could not use."""

    library: str
    sign: str
    """What shows that it was used."""


def prepare_libraries() -> tuple[Unforkable, ...]:
    """End the pools that can be ended, and look at what is left.

    Raises:
        OSError: /proc is not mounted.
    """
    # First those that are known: their threads are gone then, and nothing has to be read again.
    runtimes.end_pools()
    threads = native_threads.look()
    mapped = mapped_files.look(threads)
    return unforkable(threads.values(), mapped.gpus, runtimes.end_pools(mapped.openmp))


def unforkable(
    threads: Collection[str], gpus: Collection[str], pools: Collection[str]
) -> tuple[Unforkable, ...]:
    """Say what a forked child could not use.

    Args:
        threads: names of the threads that native code has started.
        gpus: device files of GPUs that are mapped.
        pools: files of GNU OpenMP runtimes whose pools cannot be ended.
    """
    found = [
        Unforkable(library, f"a thread of its pool is there: {min(names)}")
        for pattern, library in _POOLS
        if (names := [name for name in threads if pattern.match(name)])
    ]
    if gpus:
        found.append(Unforkable("a GPU", f"{min(gpus)} is mapped into it"))
    if pools:
        found.append(Unforkable("GNU OpenMP", f"{min(pools)} has no omp_pause_resource_all"))
    return tuple(found)
