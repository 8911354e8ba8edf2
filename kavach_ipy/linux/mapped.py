"""What tells of OpenMP and of GPUs among the files that are mapped into this process.

The list of them takes the kernel milliseconds to write. Both start threads when they are used, so a
list that was read after the newest thread was there says all that matters: it is read again when
there are new ones.

Guarantees: what started one of the threads that were given is found.
Assumes: a library, or a driver's device, is mapped before it starts a thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass

__all__ = ["Mapped", "MappedFiles", "mapped_files"]

# proc(5), /proc/pid/maps: the name is the last field, and a newline in it is written as \\012.
# Wheels rename what they bring: libgomp-e985bcbb.so.1.0.0.
_TOLD = re.compile(rb" (/dev/(?:kfd|nvidia)[^\n]*|/[^\n]*/libgomp[^\n/]*)\n")


@dataclass(frozen=True, slots=True)
class Mapped:
    """The files that are looked for."""

    openmp: tuple[bytes, ...] = ()
    """GNU OpenMP runtimes."""

    gpus: tuple[str, ...] = ()
    """Devices of AMD's and NVIDIA's drivers for computing."""


class MappedFiles:
    """What was mapped at the last look."""

    def __init__(self, maps: str = "/proc/self/maps") -> None:
        self._maps = maps
        self._threads: frozenset[int] = frozenset()
        self._found = Mapped()

    def look(self, threads: Collection[int]) -> Mapped:
        """Return what was mapped when the newest thread had been started.

        Args:
            threads: the ids of the threads that native libraries started.

        Raises:
            OSError: /proc is not mounted.
        """
        if not self._threads.issuperset(threads):
            with open(self._maps, "rb") as file:
                paths = sorted(set(_TOLD.findall(file.read())))
            gpus = tuple(os.fsdecode(path) for path in paths if path.startswith(b"/dev/"))
            openmp = tuple(path for path in paths if not path.startswith(b"/dev/"))
            self._found = Mapped(openmp, gpus)
        # Also where nothing was read: the id of a thread that is gone may come again.
        self._threads = frozenset(threads)
        return self._found


mapped_files = MappedFiles()
"""This process's."""
