"""What was verified: the parent reads the kernel's own account of the cell and compares.

Guarantees: a layer is "verified" only when it was read back from outside, in /proc; any mismatch
is a `SetupFailed`, and the cell does not run.
Assumes: the cell waits for "go" while it is looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from kavach_ipy.errors import SetupFailed
from kavach_ipy.launch.bounds import verify_limits
from kavach_ipy.launch.layers import ConfinementReport, Layer, mismatch
from kavach_ipy.launch.places import Bind, Device, Hide, Scratch, View
from kavach_ipy.launch.plan import Plan
from kavach_ipy.linux import verify
from kavach_ipy.linux.cgroups import Group
from kavach_ipy.linux.inherited import SharedMapping, find_shared_mappings
from kavach_ipy.policy import Network

__all__ = [
    "ConfinementReport",
    "Layer",
    "verify_again",
    "verify_identity",
    "verify_rights",
    "verify_view",
]


def verify_identity(plan: Plan, cell: int, own_namespaces: dict[str, str]) -> tuple[Layer, ...]:
    """Check what is settled when the cell is forked: namespaces and id maps.

    Args:
        plan: what was promised.
        cell: its pid, as this process numbers it.
        own_namespaces: this process's namespaces, as `linux.verify.read_namespaces` gives them.

    Raises:
        SetupFailed: naming the layer, what was read and what was promised.
    """
    with _readable():
        return (
            _id_maps(plan, cell),
            _namespaces(plan, verify.read_namespaces(cell), own_namespaces),
            _network(plan, verify.read_network(cell)),
        )


def verify_view(
    plan: Plan,
    cell: int,
    allowed: frozenset[str],
    foreign: frozenset[bytes],
    group: Group | None,
) -> tuple[Layer, ...]:
    """Check what the cell can reach, once it is ready: mounts, descriptors, limits.

    Args:
        plan: what was promised.
        cell: its pid, as this process numbers it.
        allowed: what its descriptors may link to, apart from /dev/null.
        foreign: directories whose files stayed host root's.
        group: the control group that it must be in.

    Raises:
        SetupFailed: naming the layer, what was read and what was promised.
    """
    with _readable():
        return (
            *_files(plan, verify.read_mounts(cell), foreign),
            _descriptors(verify.read_descriptors(cell), allowed),
            verify_limits(plan, cell, group),
            _environment(plan, verify.read_environment(cell)),
            _shared_memory(find_shared_mappings(cell)),
        )


def verify_rights(plan: Plan, cell: int, parent: int) -> tuple[Layer, ...]:
    """Check what the cell may do, once it is ready and A has ended: ids, capabilities, seccomp.

    Args:
        plan: what was promised.
        cell: its pid, as this process numbers it.
        parent: the pid that must be its parent.

    Raises:
        SetupFailed: naming the layer, what was read and what was promised.
    """
    with _readable():
        status = verify.read_status(cell)
        if status.parent != parent or status.threads != 1:
            raise mismatch("process", f"parent {status.parent}, {status.threads} threads")
        return tuple(_rights(plan, status))


def verify_again(  # noqa: PLR0913 - what was promised, and what it is compared with
    plan: Plan,
    cell: int,
    *,
    parent: int,
    namespaces: dict[str, str],
    foreign: frozenset[bytes],
    group: Group | None,
) -> tuple[Layer, ...]:
    """Check a fork of a process that was verified, before it runs anything.

    What earlier cells may change without leaving the sandbox is not looked at: descriptors, the
    environment, memory that is shared among its processes.

    Args:
        plan: what was promised.
        cell: its pid, as this process numbers it.
        parent: the pid that must be its parent.
        namespaces: those of the process that was verified.
        foreign: as for `verify_view`.
        group: as for `verify_view`.

    Raises:
        SetupFailed: naming the layer, what was read and what was promised.
    """
    with _readable():
        found = verify.read_namespaces(cell)
        if strange := sorted(name for name in found if found[name] != namespaces.get(name)):
            raise mismatch("namespaces", f"not those of the sandbox: {', '.join(strange)}")
        return (
            *verify_identity(plan, cell, verify.read_namespaces("self")),
            *_files(plan, verify.read_mounts(cell), foreign),
            verify_limits(plan, cell, group),
            *verify_rights(plan, cell, parent),
        )


@contextmanager
def _readable() -> Iterator[None]:
    """Turn a failure to read /proc into a failed verification: what is not read is not verified."""
    try:
        yield
    except (OSError, KeyError, ValueError, IndexError) as error:
        number = error.errno if isinstance(error, OSError) and error.errno else 0
        raise SetupFailed(
            "verification", "read /proc", number, f"the cell's state cannot be read: {error!r}."
        ) from error


def _rights(plan: Plan, status: verify.Status) -> Iterator[Layer]:
    wanted = plan.identity
    if set(status.uids) != {wanted.uid} or set(status.gids) != {wanted.gid}:
        raise mismatch("identity", f"uids {status.uids}, gids {status.gids}")
    if any(status.capabilities) or not status.no_new_privs:
        raise mismatch("capabilities", f"{status.capabilities}, no_new_privs {status.no_new_privs}")
    yield Layer("capabilities", "verified", "all five sets empty, no_new_privs set")
    if status.seccomp != 2:
        raise mismatch("seccomp", f"mode {status.seccomp}, promised 2 (filter)")
    size = len(plan.seccomp_program) // 8
    words = f"seccomp filter of {size} instructions"
    if plan.counts_memory:
        words += "; memory that no process holds is allowed, for the cgroup counts it"
    yield Layer("system calls", "verified", words)
    words = f"ABI {plan.landlock_abi}, a second wall around files"
    if plan.shares_network:
        closed = sum(last - first + 1 for first, last in plan.closed_ports)
        words += f"; {closed} TCP ports are closed to the cell, on every address"
    yield Layer("Landlock", "applied", words)


def _id_maps(plan: Plan, cell: int) -> Layer:
    wanted = plan.identity
    uid_map, gid_map = verify.read_uid_map(cell), verify.read_uid_map(cell, "gid_map")
    if uid_map != ((0, wanted.uid, 1),) or gid_map != ((0, wanted.gid, 1),):
        raise mismatch("uid_map", f"{uid_map} and {gid_map}")
    return Layer("identity", "verified", f"root inside is uid {wanted.uid} outside, and no other")


def _namespaces(plan: Plan, theirs: dict[str, str], own: dict[str, str]) -> Layer:
    shared = {name for name in own if theirs[name] == own[name]}
    promised = {"net"} if plan.shares_network else set()
    if shared != promised:
        raise mismatch(
            "namespaces",
            f"shared with the kernel: {', '.join(sorted(shared)) or 'none'};"
            f" promised: {', '.join(promised) or 'none'}",
        )
    return Layer("namespaces", "verified", f"its own: {', '.join(sorted(set(theirs) - shared))}")


def _network(plan: Plan, found: verify.NetworkView) -> Layer:
    if plan.shares_network:
        # `_namespaces` has compared it with this process's own, whose interfaces are the host's.
        return Layer("network", "open", "the host's; UDP, and TCP that never listens")
    is_loopback = plan.policy.network is Network.LOOPBACK
    if found.interfaces - {"lo"} or found.has_addresses != is_loopback:
        raise mismatch(
            "network",
            f"interfaces {sorted(found.interfaces)}, with addresses: {found.has_addresses}",
        )
    words = "no interface is up; no network sockets"
    if is_loopback:
        words = "a 127.0.0.1 of its own and no other interface"
    return Layer("network", "verified", words)


def _files(
    plan: Plan, mounts: tuple[verify.Mount, ...], foreign: frozenset[bytes]
) -> Iterator[Layer]:
    places = plan.places
    shown = {place.path for place in places.order if isinstance(place, Bind | Device | View)}
    expected = shown | set(places.writable) | {b"/", b"/proc", b"/dev/pts"}
    expected |= {place.path for place in places.order if isinstance(place, Scratch | Hide)}
    points = {mount.point for mount in mounts}
    if missing := sorted(expected - points):
        raise mismatch("mounts", f"missing: {_names(missing)}")
    roots = tuple(path + b"/" for path in (*shown, b"/proc")) + tuple(
        path + b"/" for path in places.writable
    )
    for mount in mounts:
        if mount.point not in expected and not mount.point.startswith(roots):
            raise mismatch("mounts", f"unexpected: {os.fsdecode(mount.point)}")
        if not mount.read_only and not _may_write(mount.point, expected, places.writable):
            raise mismatch("mounts", f"writable: {os.fsdecode(mount.point)}")
        if mount.fstype == b"proc" and mount.root == b"/" and mount.point != b"/proc":
            raise mismatch("/proc", f"another one at {os.fsdecode(mount.point)}")
    yield Layer(
        "files",
        "verified",
        f"{len(points)} mounts, the host's root gone; writable, and thrown away: "
        + _names(sorted(places.writable)),
    )
    note = places.cwd_note
    if places.cwd in foreign:
        note += "; files of host root stay as they are: no idmapped mount could be had"
    yield Layer("working directory", "verified", note)


def _may_write(point: bytes, places: set[bytes], writable: tuple[bytes, ...]) -> bool:
    """Ask the innermost place: one that is read-only may stand inside a writable one."""
    around = (path for path in places if point == path or point.startswith(path + b"/"))
    return max(around, key=len, default=b"/") in (*writable, b"/dev/pts")


def _descriptors(found: dict[int, str], allowed: frozenset[str]) -> Layer:
    strange = {
        number: link
        for number, link in found.items()
        if link not in ("/dev/null", "/null") and link not in allowed
    }
    if strange:
        raise mismatch("descriptors", f"{strange}")
    live = sum(link in allowed for link in found.values())
    return Layer("descriptors", "verified", f"{live} live, {len(found) - live} are /dev/null")


def _environment(plan: Plan, block: bytes) -> Layer:
    if block.strip(b"\0"):
        # Not its text: this message is shown, and what is left may be a token.
        raise mismatch("environment", "the block that the fork inherited is not blank")
    return Layer("environment", "verified", f"blank; {len(plan.environment)} names are set anew")


def _shared_memory(found: tuple[SharedMapping, ...]) -> Layer:
    if found:
        shown = ", ".join(f"{mapping.size} bytes of {mapping.path!r:.80}" for mapping in found)
        raise mismatch("shared memory", shown)
    return Layer("shared memory", "verified", "no page is shared with another process")


def _names(paths: list[bytes]) -> str:
    return ", ".join(os.fsdecode(path) for path in paths)
