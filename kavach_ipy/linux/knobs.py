"""Files by which the kernel is told something: one write each, in /proc and in cgroupfs.

Guarantees: a value goes out in one write(2), as the kernel wants it; a refusal names the file.
Assumes: the file exists; nothing is read back here.
"""

from __future__ import annotations

import os

from kavach_ipy.linux import _libc

__all__ = ["write_knob"]


def write_knob(path: str | bytes, value: bytes, shown: object) -> None:
    """Write ``value`` to the file at ``path``.

    Args:
        path: where it is; its last part names the call in an error (``write uid_map``).
        value: the bytes of the one write.
        shown: what an error says of the arguments.

    Raises:
        SyscallError: the kernel refuses the file or the value.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value)
        finally:
            os.close(fd)
    except OSError as error:
        call = f"write {os.path.basename(os.fsdecode(path))}"
        raise _libc.SyscallError(call, error.errno or 0, shown) from error
