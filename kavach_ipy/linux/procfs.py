"""A /proc of the cell's own: fresh, masked, and the host's gone.

Guarantees: after `replace_proc` the only proc(5) in the mount namespace is the new PID
namespace's, read-only, with the given names covered.
Assumes: the caller is a member of the new PID namespace (the mount shows the mounter's) and
holds CAP_SYS_ADMIN in its owner; the host's proc still stands at /proc.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from kavach_ipy.linux import _libc
from kavach_ipy.linux._libc import MountAttr, UmountFlag
from kavach_ipy.linux.mounts import cover, new_filesystem
from kavach_ipy.linux.namespaces import limit_user_counts

__all__ = ["replace_proc"]

_PROC = b"/proc"
_ATTRIBUTES = MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC
_READ_ONLY = _ATTRIBUTES | MountAttr.RDONLY


def replace_proc(covered: tuple[bytes, ...]) -> None:
    """Put a fresh proc at /proc in place of the host's, cover parts of it, make it read-only.

    The kernel gives a fresh proc only where a fully visible one is mounted already
    (fs/namespace.c, mount_too_revealing), so the host's stays until the new one exists and goes
    before the new one is attached. Read-only as a whole: nothing that a cell needs is written
    there, and sysctl, sysrq-trigger and each process's own knobs are out of reach together.

    Args:
        covered: names below /proc that show nothing; those that do not exist are passed over.
    """
    fresh = new_filesystem(b"proc", (), _ATTRIBUTES)
    _libc.umount(_PROC, UmountFlag.DETACH)
    root = os.open(b"/", os.O_PATH | os.O_CLOEXEC)
    _libc.move_mount(fresh, root, b"proc")
    limit_user_counts(_PROC)
    for name in covered:
        with suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=fresh)
            tree = cover(directory=stat.S_ISDIR(status.st_mode))
            _libc.move_mount(tree, fresh, name)
            os.close(tree)
    _libc.mount_setattr(fresh, b"", _READ_ONLY, recursive=False)
    os.close(fresh)
    os.close(root)
