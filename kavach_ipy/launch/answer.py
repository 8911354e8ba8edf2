"""What A is told while it builds a sandbox: its id maps, idmapped mounts, and its shared pages.

Guarantees: a step that fails is a `SetupFailed` that names it; no descriptor is left open here.
Assumes: A waits for it, and is in namespaces of its own.
"""

from __future__ import annotations

import os
import socket

from kavach_ipy.launch.control import send_mapped, send_mappings
from kavach_ipy.launch.hearing import parent_step
from kavach_ipy.launch.plan import Plan
from kavach_ipy.linux import inherited, mounts, namespaces
from kavach_ipy.linux.cgroups import Group

__all__ = ["answer_setter"]


def answer_setter(
    control: socket.socket, setter: int, plan: Plan, group: Group | None
) -> frozenset[bytes]:
    """Write A's id maps, and tell it what only its parent can; the directories left as they are.

    Args:
        control: our end of the control socket.
        setter: A, as this process numbers it.
        plan: what A builds.
        group: the control group that the cell is to be born in.

    Raises:
        SetupFailed: a step failed.
        OSError: A has ended.
    """
    identity = plan.identity
    with parent_step("id maps"):
        namespaces.write_id_maps(setter, identity.uid, identity.gid)
    if group is not None:
        with parent_step("cgroup"):
            # Before it forks, so that the cell is born there and its pages are counted there.
            group.add(setter)
    with parent_step("bind sources"):
        trees = mounts.clone_idmapped(plan.idmapped, setter)
    try:
        send_mapped(control, tuple(trees.values()))
    finally:
        for tree in trees.values():
            if tree >= 0:
                os.close(tree)
    # Its memory is that of the process that it is a fork of; read while it is at work.
    send_mappings(control, inherited.find_shared_mappings(setter))
    return frozenset(path for path, tree in trees.items() if tree < 0)
