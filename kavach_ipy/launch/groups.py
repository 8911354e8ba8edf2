"""The control group of one cell: made where one is delegated, and asked why a cell was killed.

Guarantees: a group that cannot be made is none, and the report says what holds the limits then.
Assumes: the limits of `linux.limits` and the watching parent are there in any case.
"""

from __future__ import annotations

import signal
from dataclasses import replace

from kavach_ipy.errors import CellStopped
from kavach_ipy.launch import verdicts
from kavach_ipy.launch.plan import Plan
from kavach_ipy.linux import _libc
from kavach_ipy.linux.cgroups import Group
from kavach_ipy.policy import Policy

__all__ = ["explain_kill", "group_for", "plan_within"]


def group_for(plan: Plan) -> Group | None:
    """Make a group with the plan's limits on memory and processes."""
    if plan.cgroup is None:
        return None
    limits = {
        # Scratch files are pages that their writer pays for, and have a limit of their own.
        "memory.max": str(_whole_pages(plan.policy.memory + plan.policy.disk)),
        # What is swapped out is off memory.max, and stays the cell's.
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": str(plan.processes),
    }
    try:
        return Group.create(plan.cgroup, limits)
    except _libc.SyscallError:
        # What was delegated when this process began may have been taken away since.
        return None


def plan_within(plan: Plan, group: Group | None) -> Plan:
    """Let the cell have memory that belongs to no process, where its group counts that."""
    if plan.counted_program is None or group is None or not group.counts_memory():
        return plan
    return replace(plan, seccomp_program=plan.counted_program, counts_memory=True)


def explain_kill(
    policy: Policy, stopped: CellStopped | None, group: Group | None
) -> CellStopped | None:
    """Say "memory" where a SIGKILL came from the kernel for want of it: it looks like any other."""
    if stopped is None or group is None or stopped.limit != "signal":
        return stopped
    if not stopped.used.startswith(signal.Signals.SIGKILL.name) or not group.was_out_of_memory():
        return stopped
    return verdicts.out_of_memory(policy, group.peak_memory() or policy.memory)


def _whole_pages(size: int) -> int:
    # memory.max is kept in pages, and reads back as it is kept.
    return size // 4096 * 4096
