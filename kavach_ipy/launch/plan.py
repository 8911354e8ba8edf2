"""Policy × what the machine grants → a plan, or a refusal. The only place that refuses.

Guarantees: pure; a plan that is returned promises every layer; nothing has been changed when
`CannotEnforce` is raised.
Assumes: `host` was surveyed in the process that will fork.
"""

from __future__ import annotations

import functools
import math
import os
from dataclasses import dataclass, field

from kavach_ipy.errors import CannotEnforce
from kavach_ipy.launch.control import MOST_IDMAPPED
from kavach_ipy.launch.host import Host
from kavach_ipy.launch.libraries import Unforkable
from kavach_ipy.launch.places import Overlay, Places, View, lay_out
from kavach_ipy.linux import landlock, seccomp
from kavach_ipy.linux.identity import Identity, choose_identity
from kavach_ipy.linux.remedies import NO_RIGHTS_REMEDY, root_without
from kavach_ipy.policy import Network, Policy, survives

__all__ = ["Plan", "largest_file", "make_plan"]

_INODES_EACH = 16 << 10
"""Bytes of scratch space per inode: ext4's default ratio (mke2fs.conf)."""

# A process of ours in the cell's user namespace: init.
_OWN_PROCESSES = 1

_FILTERS: dict[Network, seccomp.Network] = {
    Network.NONE: "none",
    Network.LOOPBACK: "loopback",
    Network.HOST: "host",
}

# pid 1 is ours and unfiltered: nothing of the cell may look into it.
_PROC_COVERED = (b"1",)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the child does, as data."""

    policy: Policy
    kernel_pid: int
    identity: Identity
    forget_groups: bool
    places: Places
    idmapped: tuple[bytes, ...]
    """Directories whose root-owned files are to be the cell's, where the file system can."""

    mount_base: bytes
    proc_covered: tuple[bytes, ...]
    loopback: bool
    shares_network: bool
    """The cell stays in the network namespace of the kernel process."""

    closed_ports: tuple[tuple[int, int], ...]
    """Ranges of TCP ports that it is kept from then."""

    init: bytes
    environment: tuple[tuple[str, str], ...]
    last_capability: int
    landlock_abi: int
    seccomp_program: bytes
    counted_program: bytes | None
    """The filter of a cell whose group counts all its memory; None where no group is delegated."""

    scratch_inodes: int
    processes: int
    cgroup: str | None
    """Where the cell gets a control group of its own; None where none is delegated to us."""

    cpu_seconds: int
    file_bytes: int
    counts_memory: bool = False
    """`seccomp_program` is the `counted_program`: `groups.plan_within` decides."""

    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    """What is overwritten in the cell's memory (`linux.secrets`); `make_plan` knows none."""


@functools.lru_cache(maxsize=32)
def make_plan(
    policy: Policy, host: Host, *, may_trust: bool = False, may_trust_display: bool = False
) -> Plan:
    """Turn a policy into the steps that keep it on this machine.

    Cached, which a pure function allows: from cell to cell seldom anything changes.

    Args:
        policy: what was asked for.
        host: what this machine grants.
        may_trust: the administrator permits `Policy.trust`.
        may_trust_display: the administrator permits `Policy.trust_display`.

    Raises:
        CannotEnforce: naming the layer, what shows that it cannot be had, and the remedy.
    """
    if policy.trust and not may_trust:
        raise CannotEnforce(
            "--trust",
            "it lets a hostile cell run code in the notebook, and nobody has allowed it here",
            "Listed types come back without it, see %kavach explain types; an administrator may set"
            " c.Kavach.allow_trust, a script Sandbox(allow_trust=True).",
        )
    if policy.trust_display and not may_trust_display:
        raise CannotEnforce(
            "--trust-display",
            "it lets a hostile cell act in the page as its reader, and nobody has allowed it here",
            "Tables, pictures and formulas are shown without it; an administrator may set"
            " c.Kavach.allow_trust_display, a script Sandbox(allow_trust_display=True).",
        )
    _refuse_what_is_missing(host)
    if policy.network is Network.HOST:
        _refuse_open_ports(host.landlock_abi)
    _refuse_what_a_fork_breaks(host.unforkable)
    identity = _identity(host)
    places = lay_out(policy, host, other_id=identity.uid if identity.is_other else None)
    is_loopback = policy.network is Network.LOOPBACK
    landlock.prepare(host.landlock_abi, network=is_loopback)
    network = _FILTERS[policy.network]
    assert host.init is not None, "_refuse_what_is_missing saw to it"
    return Plan(
        policy=policy,
        kernel_pid=host.pid,
        identity=identity,
        forget_groups=identity.is_other and bool(host.groups),
        places=places,
        idmapped=_idmapped(places) if identity.is_other else (),
        mount_base=host.mount_base,
        proc_covered=(*_PROC_COVERED, *host.proc_covered),
        loopback=is_loopback,
        shares_network=policy.network is Network.HOST,
        closed_ports=host.closed_ports,
        init=host.init,
        environment=_environment(policy, host, places),
        last_capability=host.last_capability,
        landlock_abi=host.landlock_abi,
        seccomp_program=seccomp.build(network),
        counted_program=(
            None if host.cgroup is None else seccomp.build(network, is_memory_counted=True)
        ),
        scratch_inodes=max(256, policy.disk // _INODES_EACH),
        processes=policy.pids + _OWN_PROCESSES,
        cgroup=host.cgroup,
        cpu_seconds=max(1, math.ceil(policy.cpu)),
        file_bytes=largest_file(policy),
    )


def largest_file(policy: Policy) -> int:
    """Bytes that one file may have: the arena, which is one, holds as much as memory does."""
    return max(policy.disk, policy.memory)


def _refuse_open_ports(abi: int) -> None:
    if abi < landlock.PORTS_SINCE:
        raise CannotEnforce(
            "--net",
            f"Landlock's ABI is {abi} here, and closes no TCP port: the cell could read what"
            " notebooks print, as their kernels send it to whoever connects",
            "It needs Linux 6.7 or later. Cells without --net run here, also with --loopback.",
        )


def _refuse_what_is_missing(host: Host) -> None:
    if host.is_inside:
        raise CannotEnforce(
            "a sandbox inside a sandbox",
            "a sandboxed cell may not make namespaces of its own",
            "Run the inner cell in the notebook instead.",
        )
    if host.max_user_namespaces == 0:
        raise CannotEnforce(
            "user namespace",
            "/proc/sys/user/max_user_namespaces is 0, so unshare(2) would answer ENOSPC",
            "An administrator can allow them: sysctl -w user.max_user_namespaces=10000",
        )
    if not host.userns_clone_allowed:
        raise CannotEnforce(
            "user namespace",
            "/proc/sys/kernel/unprivileged_userns_clone is 0, so unshare(2) would answer EPERM",
            "An administrator can allow them: sysctl -w kernel.unprivileged_userns_clone=1",
        )
    if host.seccomp_missing is not None:
        raise CannotEnforce("seccomp", host.seccomp_missing, "")
    if host.landlock_abi < 1:
        raise CannotEnforce(
            "Landlock",
            "landlock_create_ruleset(2) answers ENOSYS or EOPNOTSUPP",
            "It needs Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK and landlock in the "
            "lsm= list of the kernel command line.",
        )
    if host.init is None:
        raise CannotEnforce(
            "PID namespace",
            "no cat(1) in /usr/bin or /bin to serve as the namespace's init",
            "Install coreutils.",
        )


def _refuse_what_a_fork_breaks(found: tuple[Unforkable, ...]) -> None:
    for it in found:
        raise CannotEnforce(
            "a forked cell",
            f"this notebook has used {it.library} ({it.sign}), and a fork does not copy threads or"
            " devices, so whatever uses them in the cell would wait for ever",
            "Run the cell in a process of its own, with what it needs: --clean -i NAMES, or"
            f" --session NAME. Or restart the notebook and use {it.library} in sandboxed cells"
            " only.",
        )


def _identity(host: Host) -> Identity:
    identity = choose_identity(host.uid, host.gid, host.uid_ranges, host.gid_ranges)
    if identity is None:
        raise CannotEnforce(
            "an unprivileged identity",
            f"the kernel runs as root and knows no other id ({host.uid_ranges})",
            "Run it as an ordinary user, or in a container with more than one id mapped.",
        )
    if identity.is_other and host.lacking_rights:
        raise CannotEnforce(
            "an unprivileged identity", root_without(host.lacking_rights), NO_RIGHTS_REMEDY
        )
    return identity


def _idmapped(places: Places) -> tuple[bytes, ...]:
    """The layers of overlays: a kernel of host root made their files, and its cell is another id.

    A plain bind stays as it is: its files are the system's, which any id may read.
    """
    layered = (place.path for place in places.order if isinstance(place, Overlay | View))
    return tuple(layered)[:MOST_IDMAPPED]


def _environment(policy: Policy, host: Host, places: Places) -> tuple[tuple[str, str], ...]:
    kept = {name: value for name, value in host.environment if survives(name, policy.environment)}
    kept["HOME"] = os.fsdecode(places.home)
    return tuple(sorted(kept.items()))
