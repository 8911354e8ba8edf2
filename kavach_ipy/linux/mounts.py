"""The file system a cell sees: a new root on tmpfs, built from detached mounts.

Guarantees: a bind is read-only, with everything below it, before it is visible anywhere; nothing
of the old root is left after `enter`.
Assumes: a user and a mount namespace of our own; CAP_SYS_ADMIN in them.

Every source is cloned with open_tree(2) into a descriptor first and placed later, for two
reasons: an environment below /tmp must not be hidden by the scratch /tmp that is mounted above
it, and a kernel of host root loses the right to walk to its own files when it becomes the mapped
id (`docs/decisions/0002`).
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from kavach_ipy.linux import _libc
from kavach_ipy.linux._libc import MountAttr, MountFlag, UmountFlag

__all__ = [
    "Root",
    "clone_device",
    "clone_idmapped",
    "clone_tree",
    "cover",
    "make_private",
    "new_filesystem",
]

_AT_FDCWD = -100
# Joined once: arithmetic on enum members is slow, and slower in a child whose pages are all shared.
_QUIET = MountAttr.NOSUID | MountAttr.NODEV
_QUIET_READ_ONLY = _QUIET | MountAttr.RDONLY
_DEVICE = MountAttr.NOSUID | MountAttr.NOEXEC | MountAttr.RDONLY
_EMPTY = _QUIET | MountAttr.NOEXEC | MountAttr.RDONLY
_TERMINAL = MountAttr.NOSUID | MountAttr.NOEXEC
_PRIVATE = MountFlag.REC | MountFlag.PRIVATE
_NULL = b"/dev/null"


def make_private() -> None:
    """Cut propagation, so that no mount of ours travels out and none of the host's comes in.

    mount_namespaces(7): a less privileged mount namespace starts as a slave of its owner's.
    """
    _libc.mount(b"none", b"/", None, _PRIVATE)


def clone_tree(path: bytes, *, writable: bool) -> int:
    """Clone the mounts at `path` and below it, detached; read-only throughout unless `writable`.

    mount_setattr(2) with AT_RECURSIVE reaches submounts, which a read-only remount of a recursive
    bind leaves writable. Recursive always: a mount that was inherited with its neighbours is
    locked to them and cannot be cloned alone (mount_namespaces(7)).
    """
    tree = _libc.open_tree(_AT_FDCWD, recursive=True, path=path)
    _libc.mount_setattr(tree, b"", _QUIET if writable else _QUIET_READ_ONLY, recursive=True)
    return tree


def clone_idmapped(paths: tuple[bytes, ...], pid: int) -> dict[bytes, int]:
    """Clone directories detached, read-only, with ids shown as the user namespace of `pid` maps.

    mount_setattr(2), "ID-mapped mounts": what host root owns on disk then belongs to the id that
    uid 0 of that namespace is mapped to, and overlayfs can copy it up. Without this the owner is
    no id of the namespace at all (overlayfs answers EOVERFLOW).

    Args:
        paths: directories, as this process sees them.
        pid: a process in a user namespace whose maps are written.

    Returns:
        A descriptor for each path; -1 where its file system has no such mounts (EINVAL), was
        mounted by somebody with more rights than ours, or cannot be cloned by root of a container
        (EPERM: open_tree(2) needs CAP_SYS_ADMIN, which Docker gives to nobody).
    """
    if not paths:
        return {}
    namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return {path: _clone_idmapped(path, namespace) for path in paths}
    finally:
        os.close(namespace)


def _clone_idmapped(path: bytes, namespace: int) -> int:
    tree = -1
    try:
        tree = clone_tree(path, writable=False)
        _libc.mount_setattr(tree, b"", MountAttr.IDMAP, recursive=True, user_namespace=namespace)
    except _libc.SyscallError as error:
        if tree >= 0:
            os.close(tree)
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        return -1
    return tree


def clone_device(path: bytes) -> int:
    """Clone one device node: read-only as a mount, which does not bind what the device does."""
    tree = _libc.open_tree(_AT_FDCWD, recursive=True, path=path)
    _libc.mount_setattr(tree, b"", _DEVICE, recursive=True)
    return tree


def new_filesystem(
    fstype: bytes, options: tuple[tuple[bytes, bytes | None], ...], attributes: MountAttr
) -> int:
    """A detached mount of a new superblock."""
    context = _libc.fsopen(fstype)
    try:
        for key, value in options:
            if value is None:
                _libc.fsconfig_flag(context, key)
            else:
                _libc.fsconfig_string(context, key, value)
        _libc.fsconfig_create(context)
        return _libc.fsmount(context, attributes)
    finally:
        os.close(context)


class Root:
    """A new root under construction. Paths are absolute bytes, as they will read inside."""

    def __init__(self, base: bytes) -> None:
        """Mount the tmpfs of the new root on `base`, any directory of the old one."""
        options: tuple[tuple[bytes, bytes | None], ...] = (
            (b"size", b"4m"),
            (b"nr_inodes", b"4096"),
            (b"mode", b"0755"),
        )
        self._fd = new_filesystem(b"tmpfs", options, _QUIET)
        _libc.move_mount(self._fd, _AT_FDCWD, base)
        self._scratch = -1
        self._lowers: list[bytes] = []

    def attach(self, tree: int) -> int:
        """Attach a detached mount out of sight, until `enter`; an O_PATH descriptor of it.

        overlayfs wants layers that are part of a mount namespace.
        """
        name = b".lower%d" % len(self._lowers)
        _libc.move_mount(tree, self._fd, self.make_directory(name))
        os.close(tree)
        self._lowers.append(name)
        return os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._fd)

    def place(self, tree: int, target: bytes, *, directory: bool) -> None:
        """Attach a detached mount at `target`, making the mount point where it is missing."""
        relative = self._mount_point(target, directory=directory)
        _libc.move_mount(tree, self._fd, relative)
        os.close(tree)

    def link(self, target: bytes, to: bytes) -> None:
        """Make a symbolic link `target` → `to`, unless something is there already."""
        self.make_directory(os.path.dirname(target))
        with suppress(FileExistsError):
            os.symlink(to, target.lstrip(b"/"), dir_fd=self._fd)

    def make_directory(self, path: bytes, mode: int = 0o755) -> bytes:
        """Make `path` and its parents; its path relative to the root."""
        relative = path.strip(b"/")
        if not relative:
            return b"."
        done = b""
        for part in relative.split(b"/"):
            done = os.path.join(done, part)
            with suppress(FileExistsError):
                os.mkdir(done, 0o755, dir_fd=self._fd)
        if mode != 0o755:
            os.chmod(relative, mode, dir_fd=self._fd)
        return relative

    def _mount_point(self, target: bytes, *, directory: bool) -> bytes:
        relative = target.strip(b"/")
        try:
            os.stat(relative, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            if directory:
                return self.make_directory(target)
            self.make_directory(os.path.dirname(target))
            os.close(os.open(relative, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._fd))
        return relative

    def open_scratch(self, size: int, inodes: int) -> None:
        """Mount the one tmpfs that all writable places share, so that `size` bounds their sum.

        Args:
            size: bytes. tmpfs(5): pages are charged as they are written.
            inodes: files, directories and links together.
        """
        options: tuple[tuple[bytes, bytes | None], ...] = (
            (b"size", str(size).encode()),
            (b"nr_inodes", str(inodes).encode()),
            (b"mode", b"0755"),
        )
        self._scratch = new_filesystem(b"tmpfs", options, _QUIET)
        _libc.move_mount(self._scratch, self._fd, self.make_directory(b"/.scratch"))

    def place_scratch(self, name: bytes, target: bytes, mode: int) -> None:
        """Bind a new directory `name` of the scratch space, with permission bits, at `target`."""
        os.mkdir(name, dir_fd=self._scratch)
        os.chmod(name, mode, dir_fd=self._scratch)
        tree = _libc.open_tree(self._scratch, recursive=True, path=name)
        self.place(tree, target, directory=True)

    def place_overlay(self, lower: int, target: bytes, whiteouts: tuple[bytes, ...]) -> None:
        """Lay a writable layer of the scratch space over the directory open at `lower`.

        Layers are named by /proc/self/fd, because a real path may hold `:` or `,`, which overlayfs
        reads as separators. `userxattr`: trusted.* attributes need a capability of the host.

        Args:
            lower: an O_PATH descriptor of a directory in this mount namespace.
            target: where the result is seen.
            whiteouts: names in it that must not exist inside. A whiteout is a character device
                0:0, which anybody may make since Linux 5.8 (docs: filesystems/overlayfs).
        """
        for name in (b"upper", b"work"):
            os.mkdir(name, 0o755, dir_fd=self._scratch)
        upper = os.open(b"upper", os.O_PATH | os.O_CLOEXEC, dir_fd=self._scratch)
        work = os.open(b"work", os.O_PATH | os.O_CLOEXEC, dir_fd=self._scratch)
        for name in whiteouts:
            os.mknod(b"upper/" + name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=self._scratch)
        options: tuple[tuple[bytes, bytes | None], ...] = (
            (b"source", b"kavach"),
            (b"lowerdir", b"/proc/self/fd/%d" % lower),
            (b"upperdir", b"/proc/self/fd/%d" % upper),
            (b"workdir", b"/proc/self/fd/%d" % work),
            (b"userxattr", None),
        )
        overlay = new_filesystem(b"overlay", options, _QUIET)
        for fd in (lower, upper, work):
            os.close(fd)
        self.place(overlay, target, directory=True)

    def place_view(self, lower: int, target: bytes) -> None:
        """Show the directory open at `lower` through an overlay that has no writable layer.

        overlayfs wants two lower layers then; the second is an empty directory.
        """
        with suppress(FileExistsError):
            os.mkdir(b"nothing", 0o755, dir_fd=self._scratch)
        nothing = os.open(b"nothing", os.O_PATH | os.O_CLOEXEC, dir_fd=self._scratch)
        options: tuple[tuple[bytes, bytes | None], ...] = (
            (b"source", b"kavach"),
            (b"lowerdir", b"/proc/self/fd/%d:/proc/self/fd/%d" % (lower, nothing)),
            (b"userxattr", None),
        )
        view = new_filesystem(b"overlay", options, _QUIET_READ_ONLY)
        os.close(lower)
        os.close(nothing)
        self.place(view, target, directory=True)

    def hide(self, target: bytes) -> None:
        """Cover `target` with an empty read-only directory, or with /dev/null when it is a file.

        Args:
            target: a path without symbolic links; an error where there is nothing to cover.
        """
        relative = target.strip(b"/")
        is_directory = stat.S_ISDIR(os.lstat(relative, dir_fd=self._fd).st_mode)
        self.place(cover(directory=is_directory), target, directory=is_directory)

    def place_pts(self) -> None:
        """Mount a pseudo-terminal file system of its own at /dev/pts: devpts(5).

        `!command` runs on a pseudo-terminal; a new instance shows none of the host's.
        """
        options: tuple[tuple[bytes, bytes | None], ...] = (
            (b"newinstance", None),
            (b"ptmxmode", b"0666"),
            # kernel.pty.max bounds all instances of the machine together.
            (b"max", b"64"),
            (b"mode", b"0620"),
        )
        pts = new_filesystem(b"devpts", options, _TERMINAL)
        self.place(pts, b"/dev/pts", directory=True)
        self.link(b"/dev/ptmx", b"pts/ptmx")

    def enter(self) -> None:
        """Close the scratch space's own mount, make the root read-only, and pivot into it.

        pivot_root(2), "pivot_root(".", ".")": the old root is stacked on the new one and detached
        from under it, so no directory is needed for it.
        """
        os.fchdir(self._fd)
        for name in self._lowers:
            _libc.umount(name, UmountFlag.DETACH)
            os.rmdir(name)
        if self._scratch >= 0:
            _libc.umount(b".scratch", UmountFlag.DETACH)
            os.rmdir(b".scratch")
            os.close(self._scratch)
        _libc.mount_setattr(self._fd, b"", _QUIET_READ_ONLY, recursive=False)
        os.close(self._fd)
        _libc.pivot_root(b".", b".")
        _libc.umount(b".", UmountFlag.DETACH)
        os.chdir(b"/")


def cover(*, directory: bool) -> int:
    """A detached mount that shows nothing."""
    if not directory:
        return clone_device(_NULL)
    options: tuple[tuple[bytes, bytes | None], ...] = ((b"nr_inodes", b"1"), (b"mode", b"0555"))
    return new_filesystem(b"tmpfs", options, _EMPTY)
