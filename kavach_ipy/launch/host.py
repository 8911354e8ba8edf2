"""What this machine and this process are, surveyed before a plan is made.

Guarantees: plain, frozen facts; nothing is decided here, and nothing is changed but what
`launch.libraries` puts right.
Assumes: called in the process that will fork.
"""

from __future__ import annotations

import functools
import os
import shutil
import stat
import sys
from dataclasses import dataclass
from typing import Final

from kavach_ipy.launch import inside
from kavach_ipy.launch.libraries import Unforkable, prepare_libraries
from kavach_ipy.launch.ports import closed_ports
from kavach_ipy.linux import _libc, cgroups, landlock, privileges, seccomp, verify
from kavach_ipy.linux.identity import IdRange, lacking_rights
from kavach_ipy.policy import Network, Policy

__all__ = ["Entry", "Host", "describe", "survey"]

_SYSTEM = (b"/usr", b"/bin", b"/sbin", b"/lib", b"/lib32", b"/lib64", b"/libx32", b"/etc", b"/opt")
_STORES = (b"/nix/store", b"/gnu/store")
# What runs by itself later stays read-only inside a path given with --rw (design section 5).
_AUTOSTART = (
    b".git", b".ipython", b".jupyter", b".local", b".config", b".ssh",
    b".bashrc", b".bash_profile", b".profile", b".zshrc", b".zprofile", b".zshenv", b".pythonrc",
    b"sitecustomize.py", b"usercustomize.py",
)  # fmt: skip
# resolv.conf(5) and its like, for whoever looks up names.
_RESOLVER = (b"resolv.conf", b"hosts", b"nsswitch.conf", b"host.conf", b"gai.conf", b"services")
_TOPOLOGY = b"/sys/devices/system/cpu"


@dataclass(frozen=True, slots=True)
class Entry:
    """One existing path that a cell may need to see."""

    path: bytes
    """Absolute, as it is named."""

    real: bytes
    """The same with every symbolic link resolved."""

    directory: bool
    special: bool
    """A socket, a pipe or a device."""

    has_mounts: bool
    """Other file systems are mounted somewhere below."""

    mode: int
    """Permission bits of the resolved path."""

    owner: int
    links: tuple[tuple[bytes, bytes], ...] = ()
    """Every symbolic link on the way from `path` to `real`, with what it resolves to."""


@dataclass(frozen=True, slots=True)
class Host:
    """The facts a plan is made from."""

    pid: int
    uid: int
    gid: int
    groups: tuple[int, ...]
    uid_ranges: tuple[IdRange, ...]
    gid_ranges: tuple[IdRange, ...]
    home: bytes
    cwd: Entry | None
    """None when the working directory has been deleted."""

    cwd_dot_entries: tuple[bytes, ...]
    """Names that begin with a dot in the working directory, and those of credentials, there or not.

    Listed only where it is the home.
    """

    system: tuple[Entry, ...]
    python: tuple[Entry, ...]
    init: bytes | None
    """A program that copies standard input until its end: cat(1)."""

    environment: tuple[tuple[str, str], ...]
    last_capability: int
    landlock_abi: int
    seccomp_missing: str | None
    max_user_namespaces: int
    userns_clone_allowed: bool
    is_inside: bool
    """This process is a sandboxed cell itself."""

    proc_covered: tuple[bytes, ...]
    mount_base: bytes
    cgroup: str | None
    """A delegated control group that cells can have groups of their own in."""

    named: tuple[tuple[str, Entry | None], ...]
    """The paths that the policy shows, and what is there."""

    hidden: tuple[Entry, ...]
    """What is there of the paths that the policy hides."""

    autostart: tuple[Entry, ...]
    """Files below the writable ones that run by themselves later."""

    unforkable: tuple[Unforkable, ...]
    """Libraries that were used in this process, and that a forked child could not use; none where
    the cell is no fork of it."""

    lacking_rights: tuple[str, ...] = ()
    """Capabilities that root would need for cells of another id; containers drop them."""

    closed_ports: tuple[tuple[int, int], ...] = ()
    """Ranges of TCP ports that a cell with the host's network is kept from."""

    resolver: tuple[Entry, ...] = ()
    """The files by which such a cell looks up names, where links lead to them."""


def survey(policy: Policy) -> Host:
    """Look at this process and its machine as they are now.

    Args:
        policy: for the paths it names, and whether it is a fork and has the host's network;
            nothing else of it is looked at.

    Raises:
        OSError: when /proc is not mounted.
    """
    home = os.fsencode(os.path.expanduser("~"))
    mount_points = _mount_points()
    cwd = _working_directory(mount_points)
    return Host(
        pid=os.getpid(),
        uid=os.geteuid(),
        gid=os.getegid(),
        groups=tuple(os.getgroups()),
        home=home,
        cwd=cwd,
        cwd_dot_entries=_dot_entries(cwd, home),
        system=_system_entries(mount_points),
        python=_python_entries(tuple(sys.path), mount_points),
        environment=tuple(os.environ.items()),
        is_inside=inside.is_inside(),
        named=tuple(
            (path, describe(path, mount_points)) for path in (*policy.read_only, *policy.writable)
        ),
        hidden=tuple(
            entry for path in policy.hidden if (entry := describe(path, mount_points)) is not None
        ),
        autostart=_autostart_entries(policy.writable),
        # A clean cell is no fork of this process, whose pools need not end for it.
        unforkable=() if policy.clean else prepare_libraries(),
        closed_ports=closed_ports() if policy.network is Network.HOST else (),
        resolver=_resolver_entries() if policy.network is Network.HOST else (),
        **_machine(),  # type: ignore[arg-type]
    )


def describe(path: str | bytes, mount_points: tuple[bytes, ...]) -> Entry | None:
    """An `Entry` for one path, or None where there is nothing."""
    name = os.fsencode(path)
    real = os.path.realpath(name)
    try:
        status = os.stat(real)
    except OSError:
        return None
    return Entry(
        path=name,
        real=real,
        directory=stat.S_ISDIR(status.st_mode),
        special=not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode),
        has_mounts=any(point.startswith(real.rstrip(b"/") + b"/") for point in mount_points),
        mode=stat.S_IMODE(status.st_mode),
        owner=status.st_uid,
        links=_links_on_the_way(name) if real != name else (),
    )


def _autostart_entries(writable: tuple[str, ...]) -> tuple[Entry, ...]:
    found = (
        describe(os.path.join(os.path.realpath(os.fsencode(path)), name), ())
        for path in writable
        for name in _AUTOSTART
    )
    return tuple(entry for entry in found if entry is not None)


def _resolver_entries() -> tuple[Entry, ...]:
    """Find what stands behind links in /etc: systemd-resolved's is below /run, for one."""
    found = (describe(b"/etc/" + name, ()) for name in _RESOLVER)
    return tuple(
        entry
        for entry in found
        if entry and entry.links and not entry.special and not entry.directory
    )


def _links_on_the_way(path: bytes) -> tuple[tuple[bytes, bytes], ...]:
    found = []
    here = b"/"
    for part in path.strip(b"/").split(b"/"):
        step = os.path.join(here, part)
        here = os.path.realpath(step)
        if os.path.islink(step):
            found.append((step, here))
    return tuple(found)


@functools.cache
def _machine() -> dict[str, object]:
    """The facts that do not change while this process lives."""
    try:
        abi = landlock.abi()
    except _libc.SyscallError:
        abi = 0
    cat = shutil.which("cat", path="/usr/bin:/bin")
    return {
        "uid_ranges": _id_ranges("uid_map"),
        "gid_ranges": _id_ranges("gid_map"),
        "init": os.path.realpath(os.fsencode(cat)) if cat else None,
        "lacking_rights": lacking_rights(verify.read_status(os.getpid()).capabilities[2]),
        "last_capability": privileges.last_capability(),
        "landlock_abi": abi,
        "seccomp_missing": seccomp.missing(),
        "max_user_namespaces": _sysctl("user/max_user_namespaces", default=1),
        "cgroup": cgroups.find_delegated(),
        "userns_clone_allowed": os.geteuid() == 0
        or bool(_sysctl("kernel/unprivileged_userns_clone", default=1)),
        "proc_covered": tuple(
            name
            for name in (
                b"kcore", b"keys", b"key-users", b"timer_list", b"sched_debug", b"kallsyms",
                b"acpi", b"scsi", b"asound",
            )
            if os.path.exists(b"/proc/" + name)
        ),
        "mount_base": next(
            (base for base in (b"/tmp", b"/mnt", b"/var", b"/usr") if os.path.isdir(base)), b"/usr"
        ),
    }  # fmt: skip


def _sysctl(name: str, *, default: int) -> int:
    try:
        with open(f"/proc/sys/{name}", encoding="ascii") as file:
            return int(file.read())
    except OSError:
        return default


def _id_ranges(name: str) -> tuple[IdRange, ...]:
    return tuple(IdRange(*row) for row in verify.read_uid_map(os.getpid(), name))


def _mount_points() -> tuple[bytes, ...]:
    return tuple(mount.point for mount in verify.read_mounts(os.getpid()))


def _working_directory(mount_points: tuple[bytes, ...]) -> Entry | None:
    try:
        return describe(os.getcwdb(), mount_points)
    except FileNotFoundError:
        return None


# A session lives on while its user logs in somewhere, and what is made later shows through.
_CREDENTIALS: Final = frozenset(
    b".%s" % name
    for name in (
        b"aws azure boto config condarc databrickscfg docker env gem git-credentials gitconfig"
        b" gnupg huggingface kaggle kube my.cnf mylogin.cnf netrc npmrc password-store pgpass"
        b" pypirc s3cfg ssh terraform.d vault-token wandb"
    ).split()
)


def _dot_entries(cwd: Entry | None, home: bytes) -> tuple[bytes, ...]:
    if cwd is None or cwd.real != os.path.realpath(home):
        return ()
    there = {name for name in os.listdir(cwd.real) if name.startswith(b".")}
    return tuple(sorted(there | _CREDENTIALS))


@functools.lru_cache(maxsize=8)
def _system_entries(mount_points: tuple[bytes, ...]) -> tuple[Entry, ...]:
    found = (describe(path, mount_points) for path in (*_SYSTEM, *_STORES, _TOPOLOGY))
    return tuple(entry for entry in found if entry is not None)


@functools.lru_cache(maxsize=8)
def _python_entries(
    search_path: tuple[str, ...], mount_points: tuple[bytes, ...]
) -> tuple[Entry, ...]:
    """The interpreter's own directories and every existing entry of sys.path.

    Cached by sys.path: an entry that came into being later is seen when sys.path changes.
    """
    names = dict.fromkeys((sys.prefix, sys.base_prefix, sys.exec_prefix, *search_path))
    found = (describe(name, mount_points) for name in names if name and os.path.isabs(name))
    return tuple(entry for entry in found if entry is not None)
