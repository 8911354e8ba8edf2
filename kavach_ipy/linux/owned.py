"""Files that only certain users can have written, read so that nobody can swap them meanwhile.

Guarantees: what `read_owned` returns was in a regular file, reached through no symbolic link, that
is of one of the owners and that nobody else can write, below directories of which the same is true;
each fact is read from the descriptor that is read from, never from a path that is walked again.
Assumes: the owners do not work against whoever asks; a POSIX ACL that lets somebody write shows in
the group's bits (acl(5): they are its mask).

A sticky directory of host root's, such as /tmp, may be above: unlink(2) and rename(2) refuse there
whoever owns neither the entry nor the directory, so what an owner put there stays.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from typing import NamedTuple

from kavach_ipy.errors import FileRefused

__all__ = ["check_owned_directory", "read_owned"]

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_DIRECTORY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: opening a FIFO would wait for its writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def read_owned(path: str, owners: Collection[int], *, limit: int) -> bytes | None:
    """Return what is in the file at ``path``, or None where there is no such file.

    Args:
        path: absolute and without ``.``, ``..`` and symbolic links.
        owners: user ids that may have written it; root always may.
        limit: the most bytes that it may hold.

    Raises:
        FileRefused: somebody else could have written it, or taken it away; it is no regular file,
            too long, or cannot be read.
    """
    _check_form(path)
    directory, name = os.path.split(path)
    parent, refusal, is_missing = _walk(directory, owners)
    if is_missing:
        # Where there is no such directory nobody has decided anything. In a user namespace whose
        # root is not this machine's, "/" is nobody's, and that is no reason to run no cell.
        return None
    if parent is None or refusal is not None:
        if parent is not None:
            os.close(parent)
        # Also where there is no file: whoever may write here could have taken it away.
        raise refusal or _unopened(directory, NotADirectoryError())
    try:
        fd = os.open(name, _FILE, dir_fd=parent)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unopened(path, error) from error
    finally:
        os.close(parent)
    try:
        return _read(fd, path, owners, limit)
    finally:
        os.close(fd)


def check_owned_directory(path: str, owners: Collection[int]) -> None:
    """Refuse a directory in which others can put or replace files.

    Of one that is missing, those above it are judged.

    Args:
        path: absolute and without ``.``, ``..`` and symbolic links.
        owners: user ids that may write it; root always may.

    Raises:
        FileRefused: naming the directory at fault, which may lie above.
    """
    _check_form(path)
    way = _walk(path, owners)
    if way.fd is not None:
        os.close(way.fd)
    if way.refusal is not None:
        raise way.refusal


def _check_form(path: str) -> None:
    # "//" is left to the implementation by POSIX, and normpath() keeps it.
    if not path.startswith("/") or path.startswith("//") or os.path.normpath(path) != path:
        raise FileRefused(
            path, 0, 0, "it is no absolute path in its shortest form", "such a path is needed"
        )


class _Way(NamedTuple):
    """A directory that was walked to from the root."""

    fd: int | None
    """It, open; None where it could not be reached."""

    refusal: FileRefused | None
    """The first thing that is wrong with it, or with one above."""

    is_missing: bool = False


def _walk(path: str, owners: Collection[int]) -> _Way:
    fd = os.open("/", _DIRECTORY)
    refusal = _refusal(os.fstat(fd), "/", owners)
    walked = ""
    for name in path.split("/")[1:] if path != "/" else ():
        walked = f"{walked}/{name}"
        try:
            child = os.open(name, _DIRECTORY, dir_fd=fd)
        except FileNotFoundError:
            return _Way(None, refusal, is_missing=True)
        except OSError as error:
            return _Way(None, refusal or _unopened(walked, error))
        finally:
            os.close(fd)
        fd = child
        status = os.fstat(fd)
        refusal = refusal or _refusal(status, walked, owners)
        if not stat.S_ISDIR(status.st_mode):
            os.close(fd)
            return _Way(None, refusal or _unopened(walked, NotADirectoryError()))
    return _Way(fd, refusal)


def _refusal(status: os.stat_result, path: str, owners: Collection[int]) -> FileRefused | None:
    """Return what is wrong with a directory on the way, or None."""
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        return FileRefused(
            path, 0, 0, "it is a symbolic link", f"the real path is, {os.path.realpath(path)}"
        )
    if status.st_uid not in {0, *owners}:
        return _of_another(path, status.st_uid, owners)
    is_sticky_of_root = bool(mode & stat.S_ISVTX) and status.st_uid == 0
    if mode & _WRITABLE_BY_OTHERS and not is_sticky_of_root:
        return _open_to_others(path, mode)
    return None


def _read(fd: int, path: str, owners: Collection[int], limit: int) -> bytes:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise FileRefused(path, 0, 0, "it is no regular file", "a regular file is needed")
    if status.st_uid not in {0, *owners}:
        raise _of_another(path, status.st_uid, owners)
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise _open_to_others(path, status.st_mode)
    chunks, left = [], limit + 1
    while left and (chunk := os.read(fd, left)):
        chunks.append(chunk)
        left -= len(chunk)
    if not left:
        raise FileRefused(path, 0, 0, f"it is longer than {limit} bytes", "make it shorter")
    return b"".join(chunks)


def _of_another(path: str, uid: int, owners: Collection[int]) -> FileRefused:
    allowed = " or ".join(map(str, sorted({0, *owners})))
    return FileRefused(
        path,
        0,
        0,
        f"its owner is user {uid}",
        f"user {allowed} must be, or whoever owns it decides: chown it",
    )


def _open_to_others(path: str, mode: int) -> FileRefused:
    return FileRefused(
        path,
        0,
        0,
        f"its mode is {stat.S_IMODE(mode):04o}, so others than its owner can write it",
        "take that away: chmod go-w",
    )


def _unopened(path: str, error: OSError) -> FileRefused:
    if os.path.islink(path):
        return FileRefused(
            path, 0, 0, "it is a symbolic link", f"the real path is, {os.path.realpath(path)}"
        )
    reason = os.strerror(error.errno).lower() if error.errno else "not a directory"
    return FileRefused(
        path, 0, 0, f"it cannot be opened: {reason}", "everybody who runs cells must be able to"
    )
