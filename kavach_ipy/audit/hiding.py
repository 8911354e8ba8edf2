"""The log and its key, out of the cell's reach.

Guarantees: what a policy shows of the directory of logs is nothing, whatever else it lists.
Assumes: paths are absolute. What no place of the sandbox shows needs no hiding, and is not named.
"""

from __future__ import annotations

import functools
import os

from kavach_ipy.errors import CannotEnforce
from kavach_ipy.policy import Policy
from kavach_ipy.policy.paths import covers, is_covered

__all__ = ["without"]

_OWN = ("/tmp", "/dev/shm")  # noqa: S108 - the sandbox's own, of these names


def without(policy: Policy, paths: tuple[str, ...]) -> Policy:
    """Return the policy with these paths hidden.

    Raises:
        CannotEnforce: one lies below /tmp or /dev/shm, where nothing can be hidden, in a directory
            that the cell is shown.
    """
    return _without(policy, tuple(map(os.path.realpath, paths)), os.path.realpath(os.curdir))


@functools.lru_cache(maxsize=16)
def _without(policy: Policy, paths: tuple[str, ...], cwd: str) -> Policy:
    # Checking every value again costs as much as a fork, so it is done once for each policy.
    shown = (*policy.read_only, *policy.writable, cwd)
    hidden = set(policy.hidden)
    for path in paths:
        if not is_covered(path, _OWN):
            hidden.add(path)
        elif any(covers(top, path) for top in shown if top not in _OWN):
            raise CannotEnforce(
                "audit",
                f"the log or its key, {path!r}, lies in a directory below {' or '.join(_OWN)} that"
                " the cell is shown",
                "Name another place in c.Kavach.audit_directory.",
            )
    return policy.replace(hidden=tuple(sorted(hidden)))
