"""A /proc of the cell's own: fresh, masked, and the host's gone.

Guarantees: after `replace_proc` the only proc(5) in the mount namespace is the new PID
namespace's, with the given names read-only or covered.
Assumes: the caller is a member of the new PID namespace (the mount shows the mounter's) and
holds CAP_SYS_ADMIN in its owner; the host's proc still stands at /proc.
"""

from __future__ import annotations

import os
from contextlib import suppress

from kavach_ipy.linux import _libc
from kavach_ipy.linux._libc import MountAttr, UmountFlag
from kavach_ipy.linux.mounts import cover, new_filesystem
from kavach_ipy.linux.namespaces import forbid_user_namespaces

__all__ = ["replace_proc"]

_PROC = b"/proc"
_ATTRIBUTES = MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC


def replace_proc(read_only: tuple[bytes, ...], covered: tuple[bytes, ...]) -> None:
    """Put a fresh proc at /proc in place of the host's and mask it.

    The kernel gives a fresh proc only where a fully visible one is mounted already
    (fs/namespace.c, mount_too_revealing), so the host's stays until the new one exists and goes
    before the new one is attached.

    Args:
        read_only: names below /proc that may be read but not written.
        covered: names below /proc that show nothing; those that do not exist are passed over.
    """
    fresh = new_filesystem(b"proc", (), _ATTRIBUTES)
    _libc.umount(_PROC, UmountFlag.DETACH)
    root = os.open(b"/", os.O_PATH | os.O_CLOEXEC)
    _libc.move_mount(fresh, root, b"proc")
    forbid_user_namespaces(_PROC)
    for name in read_only:
        with suppress(FileNotFoundError):
            tree = _libc.open_tree(fresh, recursive=True, path=name)
            _libc.mount_setattr(tree, b"", _ATTRIBUTES | MountAttr.RDONLY, recursive=True)
            _libc.move_mount(tree, fresh, name)
            os.close(tree)
    for name in covered:
        with suppress(FileNotFoundError):
            directory = os.path.isdir(os.path.join(_PROC, name))
            tree = cover(directory=directory)
            _libc.move_mount(tree, fresh, name)
            os.close(tree)
    os.close(fresh)
    os.close(root)
