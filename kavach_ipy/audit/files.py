"""The files of a log: where they lie, and how they are opened.

One log for each kernel process, under a name that nobody can foresee::

    kavach-20261126T214106Z-5f2c….jsonl        the log
    kavach-20261126T214106Z-5f2c….jsonl.head   how far it goes
    kavach-20261126T214106Z-5f2c….jsonl.key    its secret, where no key file is named

Guarantees: a log is made, never found: whatever stands at its name already is an error, a symbolic
link included; only its owner may read it. A key is opened and not read.
Assumes: nothing about the directory: one that others could tamper with is refused.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

__all__ = ["AuditProblem", "Files", "default_directory", "make_files"]

_MAKE: Final = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class AuditProblem(Exception):
    """The log cannot be opened or written."""

    def __init__(  # noqa: PLR0913 - what it says, and what follows from it.
        self,
        step: str,
        path: str,
        number: int,
        remedy: str,
        *,
        ends_log: bool = False,
        is_written: bool = False,
    ) -> None:
        self.step = step
        self.path = path
        self.number = number
        self.remedy = remedy
        self.ends_log = ends_log
        """Nothing more can be written to it."""

        self.is_written = is_written
        """The record stands in it all the same."""

        code = errno.errorcode.get(number, str(number))
        super().__init__(f"{step} of {path!r}: {code} ({os.strerror(number)})")

    def of_an_earlier_record(self) -> AuditProblem:
        """Return the same, where the record that was waited for is written."""
        return AuditProblem(
            self.step, self.path, self.number, self.remedy, ends_log=self.ends_log, is_written=True
        )


@dataclass(slots=True)
class Files:
    """Descriptors of one log, all to be closed once its writer has them."""

    name: str
    """Of the chain: 32 hexadecimal digits."""

    path: str
    log: int = -1
    head: int = -1
    key: int = -1

    def close(self) -> None:
        """Close them."""
        for fd in (self.log, self.head, self.key):
            if fd >= 0:
                os.close(fd)
        self.log = self.head = self.key = -1


def default_directory() -> str:
    """Where logs go when nobody says: XDG Base Directory Specification 0.8, state files."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        state = os.path.expanduser("~/.local/state")
    return os.path.join(state, "kavach", "audit")


def make_files(directory: str, key: str) -> Files:
    """Make the files of a new log.

    Args:
        directory: absolute; it is made where it is not there.
        key: an existing key file, or an empty string for one of the log's own.

    Raises:
        AuditProblem: naming the call, the path, the errno and a remedy.
    """
    name = secrets.token_hex(16)
    file = f"kavach-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{name}.jsonl"
    files = Files(name, os.path.join(directory, file))
    place = _open_directory(directory)
    try:
        files.log = _make(place, directory, file, os.O_WRONLY | os.O_APPEND)
        files.head = _make(place, directory, f"{file}.head", os.O_WRONLY)
        if key:
            files.key = _open_key(key)
        else:
            files.key = _make(place, directory, f"{file}.key", os.O_RDWR)
    except AuditProblem:
        files.close()
        # Nothing was written yet: no log is better than one without lines.
        for made in (file, f"{file}.head"):
            with suppress(OSError):
                os.unlink(made, dir_fd=place)
        raise
    finally:
        os.close(place)
    return files


def _open_directory(path: str) -> int:
    remedy = "Make the directory, or name another in c.Kavach.audit_directory."
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        place = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise AuditProblem("open(2)", path, error.errno or errno.EIO, remedy) from error
    found = os.fstat(place)
    is_shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    if is_shared or found.st_uid not in (0, os.geteuid()):
        os.close(place)
        raise AuditProblem(
            "check of owner and mode",
            path,
            errno.EPERM,
            f"It belongs to uid {found.st_uid} with mode {stat.S_IMODE(found.st_mode):o}, so others"
            f" could take logs away: chmod go-w {path}, or name another in"
            " c.Kavach.audit_directory.",
        )
    return place


def _make(place: int, directory: str, name: str, flags: int) -> int:
    try:
        return os.open(name, flags | _MAKE, 0o600, dir_fd=place)
    except OSError as error:
        raise AuditProblem(
            "open(2)",
            os.path.join(directory, name),
            error.errno or errno.EIO,
            "Make room or give the right to write there, or name another place in"
            " c.Kavach.audit_directory.",
        ) from error


def _open_key(path: str) -> int:
    remedy = (
        "c.Kavach.audit_key names a file of 64 hexadecimal digits that only its owner can change"
        " and no other user can read: python -c 'import secrets; print(secrets.token_hex(32))'"
    )
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise AuditProblem("open(2)", path, error.errno or errno.EIO, remedy) from error
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o027 or not found.st_size:
        os.close(fd)
        raise AuditProblem("check of owner and mode", path, errno.EPERM, remedy)
    return fd
