"""One failure, one sentence, one remedy: what an errno of a set-up step probably means.

Guarantees: pure text; a failure that is not in the table is still named by step, call and errno.
"""

from __future__ import annotations

import errno

__all__ = ["NO_RIGHTS_REMEDY", "remedy_for", "root_without"]

_APPARMOR = (
    "Ubuntu 23.10 and later let the namespace be made and then deny it everything "
    "(kernel.apparmor_restrict_unprivileged_userns=1): an administrator can set that to 0 or "
    "give this Python an AppArmor profile that says `userns,`."
)
_CONTAINER = (
    "Docker and Kubernetes forbid new namespaces by their default seccomp profile: allow unshare, "
    "mount and pivot_root for this container (docs/how-to/machines-that-refuse.md)."
)
NO_RIGHTS_REMEDY = (
    "Run the notebook as an ordinary user of the container (Docker `--user`), or leave root "
    "what it needs (`--cap-add SETUID --cap-add SETGID --cap-add DAC_READ_SEARCH`)."
)
"""What root does who has dropped what `linux.identity.lacking_rights` names."""

_TABLE: dict[tuple[str, str, int], str] = {
    ("namespaces", "unshare", errno.EPERM): (
        f"This machine refuses user namespaces. {_CONTAINER} Elsewhere: "
        "sysctl -w kernel.unprivileged_userns_clone=1."
    ),
    ("namespaces", "unshare", errno.ENOSPC): (
        "The number of user namespaces is used up: sysctl -w user.max_user_namespaces=10000."
    ),
    ("namespaces", "unshare", errno.EINVAL): (
        "The kernel lacks one of the namespaces (CONFIG_USER_NS, CONFIG_PID_NS, CONFIG_NET_NS, "
        "CONFIG_CGROUPS), or the child is not single-threaded."
    ),
    ("id maps", "write uid_map", errno.EPERM): _APPARMOR,
    ("id maps", "write gid_map", errno.EPERM): _APPARMOR,
    ("id maps", "write setgroups", errno.EACCES): (
        "The kernel process is not dumpable, so its children's /proc files belong to root."
    ),
    ("mount propagation", "mount", errno.EPERM): f"{_APPARMOR} {_CONTAINER}",
    ("mount propagation", "mount", errno.EACCES): _APPARMOR,
    ("root", "fsopen", errno.ENODEV): "The kernel lacks overlayfs or tmpfs: modprobe overlay.",
    ("root", "fsopen", errno.EPERM): f"{_CONTAINER} {_APPARMOR}",
    ("root", "fsconfig", errno.EINVAL): (
        "overlayfs refused the working directory as its lower layer; start the notebook in a "
        "directory on an ordinary file system."
    ),
    ("bind sources", "mount_setattr", errno.ENOSYS): "mount_setattr(2) needs Linux 5.12 or later.",
    ("bind sources", "open_tree", errno.ENOSYS): "open_tree(2) needs Linux 5.2 or later.",
    ("bind sources", "open_tree", errno.EACCES): (
        "A directory above it does not let this user through."
    ),
    ("/proc", "fsmount", errno.EPERM): (
        "A fresh proc is given only where the host's is fully visible, and container runtimes "
        "mask it: Docker `--security-opt systempaths=unconfined`, Kubernetes `procMount: Unmasked`."
    ),
    ("init", "open", errno.EAGAIN): "The user's process limit is reached (ulimit -u).",
    ("fork", "open", errno.ENOMEM): (
        "There is not enough memory to copy the kernel's page tables, or overcommit is off "
        "(vm.overcommit_memory=2)."
    ),
}


def root_without(rights: tuple[str, ...]) -> str:
    """Say what root cannot do without these capabilities."""
    return f"the kernel runs as root without {', '.join(rights)}, and cannot make a cell another id"


def remedy_for(step: str, call: str, number: int) -> str:
    """Say what to do about a failed step; where nothing is known, point to the doctor."""
    known = _TABLE.get((step, call, number))
    if known is not None:
        return known
    return "`%kavach doctor` tries each layer in a throw-away child and says what is missing."
