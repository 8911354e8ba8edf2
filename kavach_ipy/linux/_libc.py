"""The system-call seam: the only module that imports ctypes.

Guarantees: the *return value* decides whether a call failed, and only then is errno read; every
failure is a `SyscallError` that names the call, its arguments and the errno.
Assumes: Linux on x86-64 or aarch64, where the numbers of calls added since Linux 5.1 are the same.
One function a call; no policy, no logging, no retry.
"""

from __future__ import annotations

import ctypes
import enum
import mmap
import os
import sys
from collections.abc import Callable, Iterable

__all__ = [
    "CloneFlag",
    "MountAttr",
    "MountFlag",
    "SyscallError",
    "UmountFlag",
    "address_of",
    "become_zero",
    "capget",
    "capset_none",
    "clear_ambient",
    "clearenv",
    "close_range_cloexec",
    "drop_groups",
    "erase_copies",
    "find_omp_pause",
    "fsconfig_create",
    "fsconfig_flag",
    "fsconfig_string",
    "fsmount",
    "fsopen",
    "ignore_child_signals",
    "join_session_keyring",
    "landlock_abi",
    "landlock_add_path",
    "landlock_create",
    "landlock_restrict_self",
    "map_private",
    "memset",
    "mount",
    "mount_setattr",
    "move_mapping_over",
    "move_mount",
    "open_tree",
    "pidfd_send_signal",
    "pivot_root",
    "prctl",
    "run_sharing_memory",
    "seccomp_load",
    "sethostname",
    "umount",
    "unshare",
]


class SyscallError(OSError):
    """A system call failed; `call` names it, `errno` is the kernel's, `arguments` are in words."""

    def __init__(self, call: str, errno: int, arguments: object = ()) -> None:
        super().__init__(errno, os.strerror(errno))
        self.call = call
        values = arguments if isinstance(arguments, tuple) else (arguments,)
        self.arguments = ", ".join(_in_words(value) for value in values)

    def __str__(self) -> str:
        return f"{self.call}({self.arguments}): {os.strerror(self.errno or 0)}"


class CloneFlag(enum.IntFlag):
    """Namespace bits of linux/sched.h, for unshare(2) and setns(2)."""

    NEWNS = 0x00020000
    NEWCGROUP = 0x02000000
    NEWUTS = 0x04000000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000


class MountFlag(enum.IntFlag):
    """Bits of linux/mount.h for mount(2)."""

    RDONLY = 0x1
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    REC = 0x4000
    PRIVATE = 0x40000


class MountAttr(enum.IntFlag):
    """MOUNT_ATTR_* of linux/mount.h for fsmount(2) and mount_setattr(2)."""

    RDONLY = 0x1
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    IDMAP = 0x100000


class UmountFlag(enum.IntFlag):
    """MNT_* of linux/fs.h for umount2(2)."""

    DETACH = 0x2


if sys.platform != "linux":  # pragma: no cover - the front refuses earlier, with a remedy
    raise ImportError(f"kavach_ipy.linux needs Linux, not {sys.platform}")


def _in_words(value: object) -> str:
    """One argument for a message. Called on failure only: enum members are slow to print."""
    return repr(os.fsdecode(value)) if isinstance(value, bytes) else str(value)


_libc = ctypes.CDLL(None, use_errno=True)

# Numbers from asm-generic/unistd.h; calls added since 5.1 share one number on all 64-bit tables.
_NR_BY_MACHINE = {
    "x86_64": {
        "keyctl": 250, "pivot_root": 155, "seccomp": 317, "capset": 126, "capget": 125,
        "setgroups": 116, "setresuid": 117, "setresgid": 119,
    },
    "aarch64": {
        "keyctl": 219, "pivot_root": 41, "seccomp": 277, "capset": 91, "capget": 90,
        "setgroups": 159, "setresuid": 147, "setresgid": 149,
    },
}  # fmt: skip
_MACHINE = os.uname().machine
_NR = _NR_BY_MACHINE.get(_MACHINE, {}) | {
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "close_range": 436,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}

_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
# syscall(2) is variadic: argtypes stay open and every argument is wrapped at the call.
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000


def _call(name: str, *arguments: object, shown: object = ()) -> int:
    """Make the raw system call `name`; the return value, or a `SyscallError`."""
    number = _NR.get(name)
    if number is None:
        raise SyscallError(name, 38, f"no number is known on {_MACHINE}")  # 38: ENOSYS
    result: int = _syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise SyscallError(name, ctypes.get_errno(), shown)
    return result


def _checked(name: str, result: int, shown: object = ()) -> int:
    """Judge a libc function by its return value; errno counts only when that is negative."""
    if result < 0:
        raise SyscallError(name, ctypes.get_errno(), shown)
    return result


_libc.unshare.argtypes = [ctypes.c_int]
_libc.unshare.restype = ctypes.c_int


def unshare(flags: CloneFlag) -> None:
    """Leave the namespaces in `flags` for new ones: unshare(2)."""
    _checked("unshare", _libc.unshare(flags), flags)


_libc.sethostname.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
_libc.sethostname.restype = ctypes.c_int


def sethostname(name: bytes) -> None:
    """Set the host name of this UTS namespace: sethostname(2)."""
    _checked("sethostname", _libc.sethostname(name, len(name)), name)


_libc.mount.argtypes = [
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
]
_libc.mount.restype = ctypes.c_int


def mount(
    source: bytes, target: bytes, fstype: bytes | None, flags: MountFlag, data: bytes | None = None
) -> None:
    """Mount, or change a mount: mount(2). Paths are bytes, because file names are."""
    shown = (source, target, fstype, flags, data)
    _checked("mount", _libc.mount(source, target, fstype, flags, data), shown)


_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_libc.umount2.restype = ctypes.c_int


def umount(target: bytes, flags: UmountFlag) -> None:
    """Take a mount away: umount2(2)."""
    _checked("umount2", _libc.umount2(target, flags), (target, flags))


def pivot_root(new_root: bytes, put_old: bytes) -> None:
    """Make `new_root` the root and move the old one below `put_old`: pivot_root(2)."""
    _call("pivot_root", ctypes.c_char_p(new_root), ctypes.c_char_p(put_old))


def open_tree(dirfd: int, *, recursive: bool, path: bytes = b"") -> int:
    """Clone the mount at `dirfd` (or `path` below it) detached: open_tree(2), Linux 5.2.

    Returns a descriptor of the clone, to be placed with `move_mount`.
    """
    flags = 0x1 | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)  # 0x1: OPEN_TREE_CLONE
    if not path:
        flags |= _AT_EMPTY_PATH
    return _call(
        "open_tree",
        ctypes.c_int(dirfd),
        ctypes.c_char_p(path),
        ctypes.c_uint(flags),
        shown=(dirfd, path, flags),
    )


def move_mount(mount_fd: int, target_dirfd: int, target: bytes = b"") -> None:
    """Attach a detached mount at `target` below `target_dirfd`: move_mount(2), Linux 5.2."""
    flags = 0x4 | (0x40 if not target else 0)  # MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH
    _call(
        "move_mount",
        ctypes.c_int(mount_fd),
        ctypes.c_char_p(b""),
        ctypes.c_int(target_dirfd),
        ctypes.c_char_p(target),
        ctypes.c_uint(flags),
        shown=(mount_fd, target_dirfd, target),
    )


class _MountAttrArgument(ctypes.Structure):
    """struct mount_attr of linux/mount.h."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def mount_setattr(
    dirfd: int, path: bytes, attributes: MountAttr, *, recursive: bool, user_namespace: int = 0
) -> None:
    """Set mount attributes, on the whole tree when `recursive`: mount_setattr(2), Linux 5.12.

    Args:
        dirfd: a descriptor of the mount, or the directory that `path` is relative to.
        path: empty for the mount itself.
        attributes: what is set; nothing is cleared.
        recursive: all mounts below, too.
        user_namespace: a descriptor of the namespace whose map IDMAP uses; without it not read.
    """
    argument = _MountAttrArgument(attr_set=attributes, userns_fd=user_namespace)
    flags = (_AT_RECURSIVE if recursive else 0) | (0 if path else _AT_EMPTY_PATH)
    _call(
        "mount_setattr",
        ctypes.c_int(dirfd),
        ctypes.c_char_p(path),
        ctypes.c_uint(flags),
        ctypes.byref(argument),
        ctypes.c_size_t(ctypes.sizeof(argument)),
        shown=(dirfd, path, attributes),
    )


def fsopen(fstype: bytes) -> int:
    """Open a file system configuration context: fsopen(2), Linux 5.2."""
    return _call("fsopen", ctypes.c_char_p(fstype), ctypes.c_uint(1), shown=fstype)


def fsconfig_string(context: int, key: bytes, value: bytes) -> None:
    """Set one string option of a context: fsconfig(2) FSCONFIG_SET_STRING."""
    _call(
        "fsconfig",
        ctypes.c_int(context),
        ctypes.c_uint(1),
        ctypes.c_char_p(key),
        ctypes.c_char_p(value),
        ctypes.c_int(0),
        shown=(key, value),
    )


def fsconfig_flag(context: int, key: bytes) -> None:
    """Set one flag option of a context: fsconfig(2) FSCONFIG_SET_FLAG."""
    _call(
        "fsconfig",
        ctypes.c_int(context),
        ctypes.c_uint(0),
        ctypes.c_char_p(key),
        ctypes.c_void_p(None),
        ctypes.c_int(0),
        shown=key,
    )


def fsconfig_create(context: int) -> None:
    """Create the superblock of a context: fsconfig(2) FSCONFIG_CMD_CREATE."""
    _call(
        "fsconfig",
        ctypes.c_int(context),
        ctypes.c_uint(6),
        ctypes.c_void_p(None),
        ctypes.c_void_p(None),
        ctypes.c_int(0),
        shown="create",
    )


def fsmount(context: int, attributes: MountAttr) -> int:
    """Make a detached mount of a created context: fsmount(2), Linux 5.2."""
    return _call(
        "fsmount",
        ctypes.c_int(context),
        ctypes.c_uint(1),  # FSMOUNT_CLOEXEC
        ctypes.c_uint(attributes),
        shown=attributes,
    )


def close_range_cloexec(first: int, last: int = 0x7FFFFFFF) -> None:
    """Mark descriptors `first` to `last` close-on-exec: close_range(2), Linux 5.11."""
    _call(
        "close_range",
        ctypes.c_uint(first),
        ctypes.c_uint(last),
        ctypes.c_uint(4),  # CLOSE_RANGE_CLOEXEC
        shown=(first, last),
    )


def join_session_keyring() -> None:
    """Join a new anonymous session keyring: keyctl(2) KEYCTL_JOIN_SESSION_KEYRING.

    ENOSYS (a kernel without CONFIG_KEYS) is no failure: where there are no keys none is inherited.
    """
    try:
        _call("keyctl", ctypes.c_long(1), ctypes.c_void_p(None), shown="JOIN_SESSION_KEYRING")
    except SyscallError as error:
        if error.errno != 38:
            raise


# PyDLL keeps the interpreter lock, which belongs to the thread that calls.
_pylibc = ctypes.PyDLL(None, use_errno=True)
_locked_syscall = _pylibc.syscall
_locked_syscall.restype = ctypes.c_long
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_CLONE_VM, _CLONE_VFORK, _SIGCHLD = 0x100, 0x4000, 17
_STACK_BYTES = 16 << 20
_stacks: list[int] = []


def run_sharing_memory(action: Callable[[], None]) -> int:
    """Run `action` in a child process that shares this one's memory: clone(2), as vfork(2) does.

    The calling thread sleeps until the child has ended. The child has the thread's interpreter
    state and lock, but its own pid, descriptors, credentials, namespaces and signal dispositions.
    No page table is copied and no page is written twice. It runs on a stack of its own, where
    what it forks goes on running.

    Args:
        action: must return, never raise and never leave by _exit: the interpreter's state would
            be left in the middle of it. It must not close, by their objects, descriptors that
            this process goes on using.

    Returns:
        The child's pid; it has ended and is to be reaped.
    """
    stack = _stacks.pop() if _stacks else _new_stack()

    def call(_: int | None) -> int:
        action()
        return 0

    callback = _Callback(call)
    flags = _CLONE_VM | _CLONE_VFORK | _SIGCHLD
    # The stack grows downwards on both machines, and has to be aligned to 16 bytes.
    top = ctypes.c_void_p(stack + _STACK_BYTES - 64)
    try:
        return _checked(
            "clone",
            _pylibc.clone(callback, top, ctypes.c_int(flags), ctypes.c_void_p(None)),
            "CLONE_VM | CLONE_VFORK",
        )
    finally:
        _stacks.append(stack)


def _new_stack() -> int:
    """Map a stack whose lowest page cannot be touched, so that it does not grow into another."""
    flags = _MAP_PRIVATE | _MAP_ANONYMOUS | 0x20000  # MAP_STACK
    address: int | None = _libc.mmap(None, _STACK_BYTES, 0x3, flags, -1, 0)
    if address is None or address == _MAP_FAILED:
        raise SyscallError("mmap", ctypes.get_errno(), f"a stack of {_STACK_BYTES} bytes")
    _checked("mprotect", _libc.mprotect(address, 4096, 0), "guard page")
    return address


_libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
_libc.signal.restype = ctypes.c_void_p


def ignore_child_signals() -> None:
    """Ignore SIGCHLD in this process alone: signal(2), without telling the interpreter."""
    _libc.signal(_SIGCHLD, 1)  # SIG_IGN


def become_zero() -> None:
    """Take uid 0 and gid 0 in all places: setresgid(2), setresuid(2).

    Raw calls, for this one task: glibc's functions, and so Python's, make every thread that they
    know of change its ids as well, and in a process that shares memory those are another's.

    The interpreter's lock is kept: the change forgets the parent-death signal, and who took the
    lock here and was killed would leave this process waiting for it.
    """
    zero = ctypes.c_long(0)
    for name in ("setresgid", "setresuid"):
        _checked(name, _locked_syscall(ctypes.c_long(_NR[name]), zero, zero, zero), (0, 0, 0))


def drop_groups() -> None:
    """Leave all supplementary groups: setgroups(2), raw for the reason given above."""
    _call("setgroups", ctypes.c_long(0), ctypes.c_void_p(None), shown=0)


class _CapHeader(ctypes.Structure):
    """struct __user_cap_header_struct of linux/capability.h."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    """struct __user_cap_data_struct of linux/capability.h, one of two 32-bit halves."""

    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


_CAPABILITY_VERSION_3 = 0x20080522


def capset_none() -> None:
    """Empty the effective, permitted and inheritable sets: capset(2).

    Raw, because libcap writes only the capabilities its own headers name.
    """
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapData * 2)()
    _call("capset", ctypes.byref(header), ctypes.byref(data), shown="none")


def capget() -> tuple[int, int, int]:
    """The effective, permitted and inheritable sets of this thread as bit masks: capget(2)."""
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapData * 2)()
    _call("capget", ctypes.byref(header), ctypes.byref(data))
    low, high = data[0], data[1]
    return (
        low.effective | high.effective << 32,
        low.permitted | high.permitted << 32,
        low.inheritable | high.inheritable << 32,
    )


def clear_ambient() -> None:
    """Empty the ambient set: prctl(2) PR_CAP_AMBIENT_CLEAR_ALL, which python-prctl lacks."""
    prctl(47, 4)


_libc.prctl.restype = ctypes.c_int


def prctl(option: int, *arguments: int) -> int:
    """Make a prctl(2) that python-prctl has no name for; unused arguments are zero."""
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    return _checked("prctl", _libc.prctl(ctypes.c_int(option), *padded), option)


class _SockFprog(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def seccomp_load(program: bytes) -> None:
    """Install a classic BPF program on this thread: seccomp(2) SECCOMP_SET_MODE_FILTER.

    Args:
        program: an array of struct sock_filter, eight bytes an instruction.
    """
    block = ctypes.create_string_buffer(program, len(program))
    argument = _SockFprog(len(program) // 8, ctypes.addressof(block))
    _call(
        "seccomp",
        ctypes.c_uint(1),
        ctypes.c_uint(0),
        ctypes.byref(argument),
        shown=f"{len(program) // 8} instructions",
    )


class _LandlockRuleset(ctypes.Structure):
    """struct landlock_ruleset_attr of linux/landlock.h, ABI 6."""

    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _LandlockPathBeneath(ctypes.Structure):
    """struct landlock_path_beneath_attr of linux/landlock.h (packed there, and so here)."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def landlock_abi() -> int:
    """The kernel's Landlock ABI, 1 or more: landlock_create_ruleset(2) with the version flag."""
    return _call(
        "landlock_create_ruleset",
        ctypes.c_void_p(None),
        ctypes.c_size_t(0),
        ctypes.c_uint(1),
        shown="version",
    )


def landlock_create(fs: int, net: int, scoped: int) -> int:
    """Create a ruleset; masks that are 0 are not sent to kernels that do not know the field."""
    argument = _LandlockRuleset(fs, net, scoped)
    size = 24 if scoped else 16 if net else 8
    return _call(
        "landlock_create_ruleset",
        ctypes.byref(argument),
        ctypes.c_size_t(size),
        ctypes.c_uint(0),
        shown=(fs, net, scoped),
    )


def landlock_add_path(ruleset: int, path_fd: int, access: int) -> None:
    """Allow `access` below the directory, or on the file, open at `path_fd`."""
    argument = _LandlockPathBeneath(access, path_fd)
    _call(
        "landlock_add_rule",
        ctypes.c_int(ruleset),
        ctypes.c_uint(1),  # LANDLOCK_RULE_PATH_BENEATH
        ctypes.byref(argument),
        ctypes.c_uint(0),
        shown=(path_fd, access),
    )


class _LandlockNetPort(ctypes.Structure):
    """struct landlock_net_port_attr of linux/landlock.h."""

    _fields_ = (("allowed_access", ctypes.c_uint64), ("port", ctypes.c_uint64))


def landlock_add_ports(ruleset: int, ports: Iterable[int], access: int) -> None:
    """Allow `access` to TCP ports of every address: ABI 4."""
    argument = _LandlockNetPort(access, 0)
    # Not `_call`: there are tens of thousands of ports, and this takes half the time.
    arguments = (
        ctypes.c_long(_NR["landlock_add_rule"]),
        ctypes.c_int(ruleset),
        ctypes.c_uint(2),  # LANDLOCK_RULE_NET_PORT
        ctypes.byref(argument),
        ctypes.c_uint(0),
    )
    for port in ports:
        argument.port = port
        if _syscall(*arguments) < 0:
            raise SyscallError("landlock_add_rule", ctypes.get_errno(), port)


def landlock_restrict_self(ruleset: int) -> None:
    """Enforce the ruleset on this thread; no_new_privs must be set."""
    _call("landlock_restrict_self", ctypes.c_int(ruleset), ctypes.c_uint(0))


def pidfd_send_signal(pidfd: int, signal: int) -> None:
    """Send a signal through a pidfd: pidfd_send_signal(2), Linux 5.1."""
    _call(
        "pidfd_send_signal",
        ctypes.c_int(pidfd),
        ctypes.c_int(signal),
        ctypes.c_void_p(None),
        ctypes.c_uint(0),
        shown=signal,
    )


_libc.clearenv.argtypes = []
_libc.clearenv.restype = ctypes.c_int


def clearenv() -> None:
    """Forget the C environment: clearenv(3)."""
    if _libc.clearenv() != 0:
        raise SyscallError("clearenv", 12)


def address_of(pages: mmap.mmap) -> int:
    """Where a writable mapping stands."""
    return ctypes.addressof(ctypes.c_char.from_buffer(pages))


_libc.memmem.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t]
_libc.memmem.restype = ctypes.c_void_p
_MADV_NORMAL = 0


def erase_copies(needle: int, size: int, start: int, end: int) -> int:
    """Write zeros over each copy of the `size` bytes at `needle` between two addresses: memmem(3).

    Returns:
        How many there were.
    """
    if end <= start:
        return 0
    # madvise(2): ENOMEM where a part is not mapped, which memmem would end by SIGSEGV.
    if _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_NORMAL) != 0:
        raise SyscallError("madvise", ctypes.get_errno(), f"{start:#x}, {end - start}")
    count = 0
    while found := _libc.memmem(start, end - start, needle, size):
        ctypes.memset(found, 0, size)
        start = found + size
        count += 1
    return count


def memset(address: int, size: int) -> None:
    """Write `size` zero bytes at `address`."""
    ctypes.memset(address, 0, size)


_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_libc.mmap.restype = ctypes.c_void_p
_MAP_FAILED = ctypes.c_void_p(-1).value
_MAP_PRIVATE, _MAP_FIXED, _MAP_ANONYMOUS = 0x02, 0x10, 0x20


def map_private(address: int, size: int, protection: int, fd: int, offset: int) -> None:
    """Replace the pages at `address` by a private mapping of `fd` (-1: zero pages): mmap(2)."""
    flags = _MAP_PRIVATE | _MAP_FIXED | (_MAP_ANONYMOUS if fd < 0 else 0)
    if _libc.mmap(address, size, protection, flags, fd, offset) == _MAP_FAILED:
        raise SyscallError("mmap", ctypes.get_errno(), f"{address:#x}, {size}, fd {fd}")


_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.mprotect.restype = ctypes.c_int
_libc.mremap.restype = ctypes.c_void_p


def move_mapping_over(address: int, size: int, protection: int) -> None:
    """Replace the shared pages at `address` by a private copy of their bytes: mremap(2).

    The copy is made elsewhere and moved over in one call, so no reader sees a hole.
    """
    copy = _libc.mmap(None, size, 0x3, _MAP_PRIVATE | _MAP_ANONYMOUS, -1, 0)
    if copy == _MAP_FAILED:
        raise SyscallError("mmap", ctypes.get_errno(), f"copy of {size} bytes")
    ctypes.memmove(copy, address, size)
    _checked("mprotect", _libc.mprotect(copy, size, protection), hex(address))
    moved = _libc.mremap(
        ctypes.c_void_p(copy),
        ctypes.c_size_t(size),
        ctypes.c_size_t(size),
        ctypes.c_int(3),  # MREMAP_MAYMOVE | MREMAP_FIXED
        ctypes.c_void_p(address),
    )
    if moved == _MAP_FAILED:
        raise SyscallError("mremap", ctypes.get_errno(), hex(address))


def find_omp_pause(path: bytes) -> Callable[[int], int] | None:
    """Find omp_pause_resource_all of the OpenMP runtime that is loaded from `path`.

    OpenMP 5.0, in libgomp since GCC 9. None where the runtime has none or is not loaded from there;
    nothing is ever loaded.
    """
    try:
        pause = ctypes.CDLL(os.fsdecode(path), mode=os.RTLD_NOLOAD).omp_pause_resource_all
    except (OSError, AttributeError):
        return None
    pause.argtypes = [ctypes.c_int]
    pause.restype = ctypes.c_int
    return pause
