"""The file that this process is an exec of, which a fork of it can reach past every mount.

proc(5): /proc/self/exe leads to the file by the mount that it was started from, the host's own and
writable, whatever the process's root is now. Landlock keeps a cell from opening it, and does not
decide over chmod(2), chown(2), utimensat(2) and removexattr(2) (landlock(7)); only exec gives a
process another file. Where the user owns their interpreter (conda, uv, pyenv), a cell is its owner.

What does not work: a mount over the link, which stands in /proc once for each process to come;
PR_SET_MM_EXE_FILE, which is refused while the old file is mapped; a filter, which sees no paths.

Guarantees: a changed mode, group, modification time or attribute is noticed while the cell runs,
and put back once it is dead. Cells that run at the same time compare with one state, that from
before the first of them.
Assumes: nobody else changes the file meanwhile; called in the process that forked.
"""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

__all__ = ["Program"]

_EXE = "/proc/self/exe"


@dataclass(frozen=True, slots=True)
class _State:
    mode: int
    group: int
    modified: int
    attributes: tuple[tuple[str, bytes], ...]

    @classmethod
    def read(cls) -> Self:
        status = os.stat(_EXE)
        attributes: tuple[tuple[str, bytes], ...] = ()
        with suppress(OSError):  # not every file system has them
            names = sorted(os.listxattr(_EXE))
            attributes = tuple((name, os.getxattr(_EXE, name)) for name in names)
        return cls(stat.S_IMODE(status.st_mode), status.st_gid, status.st_mtime_ns, attributes)

    def write(self) -> None:
        # chown(2) clears bits of the mode, so the mode comes after it.
        with suppress(OSError):
            os.chown(_EXE, -1, self.group)
        with suppress(OSError):
            os.chmod(_EXE, self.mode)
        for name, value in self.attributes:
            with suppress(OSError):
                os.setxattr(_EXE, name, value)
        with suppress(OSError):
            os.utime(_EXE, ns=(os.stat(_EXE).st_atime_ns, self.modified))


class _Shared:
    """What all running cells of this process compare with."""

    lock = threading.Lock()
    cells = 0
    before: _State | None = None


class Program:
    """One cell's look at the file; made before its fork, and left once it is dead."""

    def __init__(self, owner: int) -> None:
        """Note what the file is like, unless another cell runs already.

        Args:
            owner: the cell's uid, as this process numbers it.
        """
        self._before: _State | None = None
        status = os.stat(_EXE)
        # utimensat(2), xattr(7): whoever may write to a file may also touch it.
        if status.st_uid != owner and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return
        with _Shared.lock:
            if _Shared.cells == 0 or _Shared.before is None:
                _Shared.before = _State.read()
            _Shared.cells += 1
            self._before = _Shared.before

    def is_changed(self) -> bool:
        """Tell whether somebody has changed it since."""
        return self._before is not None and _State.read() != self._before

    def leave(self) -> bool:
        """Put back what was changed, and look no more; True where there was something."""
        if self._before is None:
            return False
        with _Shared.lock:
            changed = self.is_changed()
            if changed:
                self._before.write()
            self._before = None
            _Shared.cells -= 1
        return changed
