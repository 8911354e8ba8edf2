"""The files that are mapped into this process, read again only when it has new native threads.

The list takes the kernel milliseconds to write. What is looked for in it starts threads when it is
used, so a list that was read after the newest thread was there says all that matters.

Guarantees: every file whose threads are among those given was looked for since they were started.
Assumes: a library, or a device's driver, is mapped before it starts a thread.
"""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["MappedFiles", "mapped_files"]

# proc(5), /proc/pid/maps: the sixth field, to the end of the line, which a newline in a name is
# never: it is written as \012.
_FILE = re.compile(rb" (/[^\n]*)\n")


class MappedFiles:
    """What was mapped at the last look."""

    def __init__(self, maps: str = "/proc/self/maps") -> None:
        self._maps = maps
        self._threads: frozenset[int] = frozenset()
        self._files: frozenset[bytes] = frozenset()

    def look(self, threads: Collection[int]) -> frozenset[bytes]:
        """Return the paths of the files that were mapped when the newest thread had been started.

        Args:
            threads: the ids of the threads that native libraries started.

        Raises:
            OSError: /proc is not mounted.
        """
        if not self._threads.issuperset(threads):
            with open(self._maps, "rb") as file:
                self._files = frozenset(_FILE.findall(file.read()))
        # Also where nothing was read: the id of a thread that is gone may come again.
        self._threads = frozenset(threads)
        return self._files


mapped_files = MappedFiles()
"""This process's."""
