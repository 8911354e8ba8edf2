"""Which mechanism holds each limit of a cell, read back.

Guarantees: the amounts are those of the plan, or the cell does not run; a mechanism is named only
where the kernel shows it, or where it is this process that watches.
Assumes: the cell waits for "go" while it is looked at.
"""

from __future__ import annotations

from kavach_ipy.launch.layers import Layer, mismatch
from kavach_ipy.launch.plan import Plan
from kavach_ipy.linux import verify
from kavach_ipy.linux.cgroups import Group
from kavach_ipy.policy import format_duration, format_size

__all__ = ["verify_limits"]


def verify_limits(plan: Plan, cell: int, group: Group | None) -> Layer:
    """Check resource limits and the control group of the cell.

    Args:
        plan: what was promised.
        cell: its pid, as this process numbers it.
        group: the control group that it must be in, where there is one.

    Raises:
        SetupFailed: naming the limit, what was read and what was promised.
    """
    check_limits(plan, verify.read_limits(cell))
    check_group(plan, cell, group)
    return Layer("limits", "verified", _in_words(plan, group))


def check_group(plan: Plan, cell: int, group: Group | None) -> None:
    """Check that the cell is in its group, and has no memory that the group does not count."""
    if group is not None and not group.holds(cell):
        raise mismatch("cgroup", f"the cell is not a member of {group.folder}")
    if plan.counts_memory and (group is None or not group.counts_memory()):
        raise mismatch("cgroup", "memory that no process holds is allowed, and no group counts it")


def check_limits(plan: Plan, found: dict[str, int | None]) -> None:
    """Compare the soft limits of a process with the plan's."""
    promised = {
        "Max processes": plan.processes,
        "Max cpu time": plan.cpu_seconds,
        "Max file size": plan.file_bytes,
        "Max core file size": 1,
    }
    for name, bound in promised.items():
        value = found[name]
        if value is None or value > bound:
            raise mismatch("limits", f"{name} is {value}, promised {bound}")
    for name in ("Max data size", "Max open files"):
        # They count from what the fork inherited, which only the child knows.
        if found[name] is None:
            raise mismatch("limits", f"{name} is unlimited")


def _in_words(plan: Plan, group: Group | None) -> str:
    policy = plan.policy
    held = frozenset[str]() if group is None else group.controllers
    memory = "cgroup memory.max" if "memory" in held else "RLIMIT_DATA and the parent's count"
    processes = "cgroup pids.max" if "pids" in held else "RLIMIT_NPROC"
    rows = [
        (f"memory +{format_size(policy.memory)}", memory),
        (f"{policy.pids} processes", processes),
        (f"disk {format_size(policy.disk)}", "tmpfs"),
        (f"{policy.files} files", "RLIMIT_NOFILE"),
        (f"cpu {format_duration(policy.cpu)}", "RLIMIT_CPU and the parent's count"),
        (f"output {format_size(policy.output)}", "the parent's count"),
    ]
    if policy.timeout is not None:
        rows.append((f"time {format_duration(policy.timeout)}", "the parent's clock"))
    return ", ".join(f"{amount} ({holder})" for amount, holder in rows)
