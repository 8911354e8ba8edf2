"""Can this machine keep the promises? Each layer is tried, for real, in a throw-away child.

Guarantees: a layer is "granted" only when it was done in a child that was then thrown away; each
is tried on its own, so that one answer does not hide another; this process is left as it was.
Assumes: fork(2) works; the caller accepts some tens of milliseconds.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from kavach_ipy.linux import (
    _libc,
    landlock,
    mounts,
    namespaces,
    privileges,
    procfs,
    seccomp,
    verify,
)
from kavach_ipy.linux._libc import CloneFlag
from kavach_ipy.linux.identity import Identity, IdRange, choose_identity, lacking_rights
from kavach_ipy.linux.remedies import NO_RIGHTS_REMEDY, remedy_for, root_without

__all__ = ["Finding", "run_probe"]

# Every system has it, and what is mounted over it is seen by the child alone.
_MOUNT_BASE = b"/usr"
_BASE = CloneFlag.NEWUSER | CloneFlag.NEWNS


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer for one layer."""

    layer: str
    granted: bool
    cause: str
    """What was done, or the call and errno that refused it."""

    remedy: str


def run_probe() -> tuple[Finding, ...]:
    """Try every layer; one finding each, in the order in which a cell meets them."""
    identity = _identity()
    if identity is None:
        remedy = "Run the kernel as an ordinary user, or map more than one id in its container."
        return (
            Finding(
                "user namespace", granted=False, cause="only host root is mapped", remedy=remedy
            ),
        )
    lacking = lacking_rights(verify.read_status(os.getpid()).capabilities[2])
    if identity.is_other and lacking:
        cause = root_without(lacking)
        return (Finding("user namespace", granted=False, cause=cause, remedy=NO_RIGHTS_REMEDY),)
    # Read here: a child that has become another id may not read this interpreter's own files.
    last = privileges.last_capability()
    give_up = functools.partial(_try_capabilities, last)
    with tempfile.TemporaryDirectory(prefix="kavach-probe-") as folder:
        # The child may be another id, and must be able to walk here.
        os.chmod(folder, 0o755)  # noqa: S103 - nothing is in it
        lower = os.fsencode(folder)
        attempts: tuple[tuple[str, str, CloneFlag, Callable[[], None]], ...] = (
            ("user namespace", "namespaces", CloneFlag.NEWUSER, _nothing),
            ("mounts", "mount propagation", _BASE, _try_mounts),
            ("overlay", "root", _BASE, functools.partial(_try_overlay, lower)),
            ("fresh /proc", "/proc", _BASE | CloneFlag.NEWPID, _try_proc),
            (
                "network namespace",
                "loopback",
                CloneFlag.NEWUSER | CloneFlag.NEWNET,
                namespaces.raise_loopback,
            ),
            ("other namespaces", "namespaces", namespaces.ALL, _nothing),
            ("capabilities", "capabilities", CloneFlag.NEWUSER, give_up),
            ("landlock", "Landlock", CloneFlag.NEWUSER, functools.partial(_try_landlock, last)),
        )
        findings = [_attempt(*attempt, identity) for attempt in attempts]
    missing = seccomp.missing()
    if missing is not None:
        findings.append(Finding("seccomp", granted=False, cause=missing, remedy=""))
    else:
        attempt = functools.partial(_try_seccomp, last, seccomp.build("none"))
        findings.append(_attempt("seccomp", "seccomp", CloneFlag.NEWUSER, attempt, identity))
    return tuple(findings)


def _identity() -> Identity | None:
    ranges = (
        tuple(IdRange(*row) for row in verify.read_uid_map(os.getpid(), name))
        for name in ("uid_map", "gid_map")
    )
    return choose_identity(os.geteuid(), os.getegid(), *ranges)


def _attempt(
    layer: str, step: str, flags: CloneFlag, act: Callable[[], None], identity: Identity
) -> Finding:
    """Fork, unshare, map, act; what came of it."""
    from_child, to_parent = os.pipe2(os.O_CLOEXEC)
    from_parent, to_child = os.pipe2(os.O_CLOEXEC)
    with warnings.catch_warnings():
        # The child runs none of the parent's code again (Python 3.12 warns of forks with threads).
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        # With an end of the parent's left open it would not see that the parent has closed it.
        os.close(from_child)
        os.close(to_child)
        _be_the_child(step, flags, act, from_parent, to_parent)
    os.close(to_parent)
    os.close(from_parent)
    try:
        answer = os.read(from_child, 1 << 12)
        if answer == b"unshared":
            answer = _map(pid, identity, to_child, from_child)
    finally:
        os.close(from_child)
        os.close(to_child)
        os.waitpid(pid, 0)
    if answer == b"done":
        return Finding(layer, granted=True, cause="done in a throw-away child", remedy="")
    failed, call, number, detail = json.loads(answer or b'["child", "fork", 0, "it died"]')
    why = f"{call}({detail}): {os.strerror(number)}" if number else f"{call}: {detail}"
    return Finding(layer, granted=False, cause=why, remedy=remedy_for(failed, call, number))


def _map(pid: int, identity: Identity, to_child: int, from_child: int) -> bytes:
    try:
        namespaces.write_id_maps(pid, identity.uid, identity.gid)
    except _libc.SyscallError as error:
        return json.dumps(["id maps", error.call, error.errno, error.arguments]).encode()
    os.write(to_child, b"m")
    return os.read(from_child, 1 << 12)


def _be_the_child(
    step: str, flags: CloneFlag, act: Callable[[], None], from_parent: int, to_parent: int
) -> NoReturn:
    with suppress(BaseException):
        answer = b"done"
        try:
            privileges.make_dumpable()
            step, wanted = "namespaces", step
            _libc.unshare(flags)
            os.write(to_parent, b"unshared")
            if os.read(from_parent, 1) != b"m":
                os._exit(1)
            step = wanted
            namespaces.become_mapped_root()
            act()
        except _libc.SyscallError as error:
            answer = json.dumps([step, error.call, error.errno, error.arguments]).encode()
        except BaseException as error:  # noqa: BLE001 - reported; the child is thrown away
            answer = json.dumps([step, type(error).__name__, 0, str(error)]).encode()
        os.write(to_parent, answer)
    os._exit(0)


def _nothing() -> None:
    """Do no more than enter the namespaces."""


def _try_mounts() -> None:
    mounts.make_private()
    tree = mounts.clone_tree(b"/usr", writable=False)
    root = mounts.Root(_MOUNT_BASE)
    root.place(tree, b"/usr", directory=True)
    root.place_pts()
    root.enter()


def _try_overlay(lower: bytes) -> None:
    mounts.make_private()
    layer = os.open(lower, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    root = mounts.Root(_MOUNT_BASE)
    root.open_scratch(1 << 20, 64)
    root.place_overlay(layer, b"/work", ())


def _try_proc() -> None:
    # Only a member of the new PID namespace may mount its proc, so one more fork.
    mounts.make_private()
    # The host's /proc is locked to its namespace and cannot be taken away; a clone of it can.
    base = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
    _libc.move_mount(mounts.clone_tree(b"/proc", writable=True), base)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            answer = b"done"
            try:
                procfs.replace_proc(())
            except _libc.SyscallError as error:
                answer = json.dumps([error.call, error.errno, error.arguments]).encode()
            os.write(writer, answer)
        os._exit(0)
    os.close(writer)
    answer = os.read(reader, 1 << 12)
    os.waitpid(pid, 0)
    if answer != b"done":
        call, number, arguments = json.loads(answer or b'["fork", 0, "it died"]')
        raise _libc.SyscallError(call, number, arguments)


def _try_capabilities(last: int) -> None:
    privileges.close_the_way_back(last)
    privileges.drop_capabilities()


def _try_landlock(last: int) -> None:
    privileges.close_the_way_back(last)
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    landlock.restrict((root,), (), (), network=False)


def _try_seccomp(last: int, program: bytes) -> None:
    privileges.close_the_way_back(last)
    seccomp.load(program)


def main() -> int:
    """Print the findings as a table; 0 when all layers are granted."""
    findings = run_probe()
    for finding in findings:
        word = "granted" if finding.granted else "REFUSED"
        sys.stdout.write(f"{word}  {finding.layer:<18} {finding.cause}\n")
        if finding.remedy:
            sys.stdout.write(f"         {finding.remedy}\n")
    return 0 if all(finding.granted for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
