"""Which limit an ordinary error of the kernel's means, said where the error is: in the cell.

At some limits the kernel does not end a cell but refuses a call, and the cell may go on: ENOSPC,
EMFILE, EAGAIN, EFBIG, MemoryError. What it tells is true of the machine and no help to the user.
Memory that no limit would see is refused altogether (docs/decisions/0011): ENODEV, ENOSYS.

Guarantees: a line names the limit, the amount used and the option that raises it, and there is one
only where the limit is reached; for memory that is refused it names what to use.
Assumes: runs in the cell, so that it is as true as the cell is honest; the gate filters it.
"""

from __future__ import annotations

import errno
import mmap
import os
import resource
from collections.abc import Iterator
from contextlib import suppress

from kavach_ipy.launch.plan import largest_file
from kavach_ipy.linux import limits
from kavach_ipy.policy import Policy, format_size

__all__ = ["explain"]

_CHAIN = 10
_UNSEEN = "is refused in a sandboxed cell, because no limit would see it."
_SHARED = (
    f"mmap: memory that is shared and has no file {_UNSEEN} For memory of its own: mmap.mmap(-1, n,"
    " flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS). To share it with processes:"
    " multiprocessing.shared_memory, which counts as --disk."
)
_MEMFD = (
    f"os.memfd_create: a file without a file system {_UNSEEN} Use"
    ' tempfile.TemporaryFile(dir="/dev/shm"), which counts as --disk.'
)


def explain(error: BaseException, policy: Policy) -> tuple[str, ...]:
    """Return the line for the limit that an exception, or one that it came from, ran into."""
    with suppress(Exception):  # an attribute of a cell's own exception may raise anything
        for link in _chain(error):
            line = _line(link, policy)
            if line is not None:
                return (line,)
    return ()


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    for _ in range(_CHAIN):
        if current is None:
            return
        yield current
        current = current.__cause__ or current.__context__


def _line(error: BaseException, policy: Policy) -> str | None:
    if isinstance(error, MemoryError):
        return _memory(policy)
    if isinstance(error, OSError):
        return _line_of(error, policy)
    if type(error) is RuntimeError and "new thread" in str(error):
        return _processes(policy)
    return None


def _line_of(error: OSError, policy: Policy) -> str | None:
    match error.errno:
        case errno.ENOMEM:
            return _memory(policy)
        case errno.ENOSPC:
            return _disk(policy)
        case errno.EMFILE:
            return _files(policy)
        case errno.EAGAIN:
            return _processes(policy)
        case errno.EFBIG:
            size = format_size(largest_file(policy))
            return _said("disk", f"more than {size} in one file", size, "--disk")
        case errno.ENODEV if error.filename is None and _is_refused():
            return _SHARED
        case errno.ENOSYS if "memfd_create" in _names_where(error):
            return _MEMFD
        case _:
            return None


def _is_refused() -> bool:
    """Tell whether shared memory without a file cannot be had, and not only some odd device."""
    try:
        mmap.mmap(-1, mmap.PAGESIZE).close()
    except OSError as error:
        return error.errno == errno.ENODEV
    return False


def _names_where(error: BaseException) -> tuple[str, ...]:
    """The names that the code uses which made the call."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return () if place is None else place.tb_frame.f_code.co_names


def _said(limit: str, used: str, allowed: str, option: str) -> str:
    reached = f"the sandbox's limit is reached: {limit}, {used} (allowed: {allowed})."
    return f"{reached} Raise it with {option}."


def _memory(policy: Policy) -> str:
    # What was asked for and refused is not in use; getrlimit(2) RLIMIT_DATA says what is allowed.
    allowed, _ = resource.getrlimit(resource.RLIMIT_DATA)
    used = max(0, limits.data_bytes() - (allowed - policy.memory))
    words = f"{format_size(used >> 10 << 10)} in use, and the next request was more than is left"
    return _said("memory", words, format_size(policy.memory), "--memory")


def _files(policy: Policy) -> str | None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        return None  # a limit of the cell's own
    return _said("files", f"{policy.files} open", str(policy.files), "--files")


def _disk(policy: Policy) -> str | None:
    # All writable places share one file system. A full one of --rw is none of ours.
    found = os.statvfs(b"/tmp")
    if found.f_bavail == 0:
        used = format_size((found.f_blocks - found.f_bfree) * found.f_frsize)
        return _said("disk", f"{used} written", format_size(policy.disk), "--disk")
    if found.f_favail == 0:
        count = f"{found.f_files} files and directories made"
        allowed = f"{found.f_files} for {format_size(policy.disk)}"
        return _said("disk", count, allowed, "--disk")
    return None


def _processes(policy: Policy) -> str | None:
    count = 0
    for name in os.listdir("/proc"):
        # init is ours, and covered.
        if name.isdecimal() and name != "1":
            with suppress(OSError):
                count += len(os.listdir(f"/proc/{name}/task"))
    if count < policy.pids:
        return None
    return _said("pids", f"{count} processes and threads", str(policy.pids), "--pids")
