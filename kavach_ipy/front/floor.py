"""The floor of this machine: which policy files hold, and what they say now.

::

    /etc/kavach/policy.toml            always, where it exists    written by root
    {sys.prefix}/etc/kavach/policy.toml  always, where it exists  by root or the environment's owner
    c.Kavach.policy_file               where it is named          by root or whoever runs the kernel

Guarantees: the first two cannot be left out by any setting; a file that is named and missing, or
that somebody else could have written, is an error, and so is one that makes no sense: no cell runs.
Assumes: who may write ``sys.prefix`` can replace this package, so that files below it are worth as
much as the environment; a kernel that runs as root has no floor against its own user.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import Final

from traitlets import TraitError, Unicode, validate
from traitlets.config import Configurable

from kavach_ipy.errors import FileRefused
from kavach_ipy.front.kinds import Proposal
from kavach_ipy.policy import Floor, PolicyFile

__all__ = ["POLICY_FILE", "ROOT", "SYSTEM_FILE", "Floored", "floor_of", "prefix_file", "read_file"]

POLICY_FILE: Final = "etc/kavach/policy.toml"
"""Where a policy file lies, below the root of the machine or of an environment."""

SYSTEM_FILE: Final = f"/{POLICY_FILE}"
"""Where the administrator of a machine puts it."""

ROOT: Final = 0
"""The only user who may have written that one."""


# The example with all its comments has 4 KiB.
_LONGEST: Final = 1 << 16


def floor_of(named: str = "") -> Floor:
    """Return what the policy files say, read at this moment.

    Args:
        named: one more, absolute; empty for none.

    Raises:
        FileRefused: naming the file, and the line where one is at fault; no cell may run.
    """
    prefix, owner = prefix_file(sys.prefix)
    found = [read_file(SYSTEM_FILE, ROOT)]
    if prefix != SYSTEM_FILE:
        found.append(read_file(prefix, owner))
    if named:
        # It can only tighten, so whoever runs the kernel may have written it.
        added = read_file(named, os.geteuid())
        if added is None:
            raise FileRefused(
                named, 0, 0, "there is no such file", "c.Kavach.policy_file must name one"
            )
        found.append(added)
    return Floor(tuple(file for file in found if file is not None))


# An environment does not move while a process runs from it.
@functools.lru_cache(maxsize=4)
def prefix_file(prefix: str) -> tuple[str, int]:
    """Return where the policy file of a Python environment lies, and who may have written it.

    Args:
        prefix: ``sys.prefix``.
    """
    # A virtual environment may stand behind a symbolic link, and a policy file may not.
    real = os.path.realpath(prefix)
    return os.path.join(real, POLICY_FILE), os.stat(real).st_uid


def read_file(path: str, owner: int) -> PolicyFile | None:
    """Return what one policy file says, or None where it does not exist.

    Args:
        path: absolute.
        owner: the user besides root who may have written it.

    Raises:
        FileRefused: it cannot be relied on, or makes no sense.
    """
    # With the first cell: loading the extension waits for nothing that it does not need.
    from kavach_ipy.linux.owned import read_owned  # noqa: PLC0415

    data = read_owned(path, {ROOT, owner}, limit=_LONGEST)
    if data is None:
        return None
    # Most machines have no policy file, and need not wait for a parser of TOML.
    from kavach_ipy.policy.file import read_policy_file  # noqa: PLC0415

    return read_policy_file(data, path)


class Floored(Configurable):
    """The part of the settings that names a policy file, and asks what all of them say."""

    policy_file = Unicode(
        "",
        help="A policy file besides that of this machine, as an absolute path. By default none."
        " Where it is missing, or others can write it, no cell runs. It can only tighten:"
        " /etc/kavach/policy.toml holds whatever stands here.",
    ).tag(config=True)

    def floor(self) -> Floor:
        """Return what no setting loosens, as the policy files say it now.

        Raises:
            FileRefused: a file that decides cannot be relied on, so no cell may run.
        """
        return floor_of(self.policy_file)

    @validate("policy_file")
    def _check_policy_file(self, proposal: Proposal) -> object:
        # What is in it, and whether it is there, is asked before each cell: a setting that was
        # refused would leave the notebook without the floor that it names.
        value = str(proposal["value"])
        if value and (not value.startswith("/") or os.path.normpath(value) != value):
            raise TraitError(
                f"c.Kavach.policy_file: {value!r} is not allowed; an absolute path without . and"
                " .. is, or nothing"
            )
        return value
