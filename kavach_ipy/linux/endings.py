"""How a process ended that is no child of ours: what its pidfd says of it.

wait(2) is for parents. Since Linux 6.15 a pidfd keeps the status of its process, whoever reaped it.

Guarantees: a wait status as waitpid(2) gives it, or None where this Linux does not tell.
Assumes: the pidfd was opened while the process lived.
"""

from __future__ import annotations

import fcntl
import struct
import time
from contextlib import suppress

__all__ = ["status_of"]

# linux/pidfd.h: struct pidfd_info, as long as in its first version; the status is its last field.
_INFO = struct.Struct("<QQ11Ii")
_GET_INFO = 0xC0000000 | _INFO.size << 16 | 0xFF << 8 | 11  # _IOWR(PIDFS_IOCTL_MAGIC, 11, …)
_EXIT = 1 << 3
_SECONDS = 0.2
"""The status is there when the process is reaped, a moment after the pidfd says that it ended."""


def status_of(pidfd: int) -> int | None:
    """Return the wait status of a process that has ended; None where it cannot be had."""
    deadline = time.monotonic() + _SECONDS
    asked = _INFO.pack(_EXIT, *(0,) * 13)
    with suppress(OSError):
        while time.monotonic() < deadline:
            mask, *_, status = _INFO.unpack(fcntl.ioctl(pidfd, _GET_INFO, asked))
            if mask & _EXIT:
                return int(status)
            time.sleep(0.001)
    return None
