"""What a fork inherits in descriptors, taken away without freeing the numbers.

Guarantees: after `occupy`, every open descriptor is either one of `keep` or /dev/null.
Assumes: single-threaded; /proc is the one of our own PID namespace.
"""

from __future__ import annotations

import os

__all__ = ["ceiling", "occupy", "open_descriptors"]


def open_descriptors() -> list[int]:
    """The numbers of this process's open descriptors, ascending."""
    listing = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        numbers = sorted(int(name) for name in os.listdir(listing))
    finally:
        os.close(listing)
    return [number for number in numbers if number != listing]


def ceiling(occupied: list[int], files: int) -> int:
    """The RLIMIT_NOFILE under which `files` more descriptors can be opened.

    getrlimit(2): the limit is one more than the highest number that may be *taken*; what is open
    above it stays open. The lowest free number is taken first, so gaps count.

    Args:
        occupied: the numbers in use, ascending.
        files: how many more there may be.
    """
    limit = files
    for number in occupied:
        if number >= limit:
            break
        limit += 1
    return limit


def occupy(keep: frozenset[int], standard: tuple[int, int]) -> list[int]:
    """Put /dev/null behind every descriptor that is not in `keep`, 0 included.

    Closing would free the numbers, and an object of the notebook that still holds one would then
    write into whatever the cell opens next. All are marked close-on-exec except 0, 1 and 2.

    Args:
        keep: descriptors that stay as they are.
        standard: descriptors that become 1 and 2.

    Returns:
        The occupied numbers.
    """
    numbers = open_descriptors()
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for number in numbers:
        if number > 2 and number not in keep:
            os.dup2(null, number, inheritable=False)
    os.dup2(null, 0, inheritable=True)
    for target, source in zip((1, 2), standard, strict=True):
        os.dup2(source, target, inheritable=True)
    for source in standard:
        if source > 2:
            os.dup2(null, source, inheritable=False)
    os.close(null)
    for number in keep - {0, 1, 2}:
        os.set_inheritable(number, False)
    return numbers
