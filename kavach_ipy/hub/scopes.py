"""The three places where sandboxed kernels can be installed, and the files of each.

::

              --system                          --sys-prefix                      --user
    for       every user of the machine         every user of the environment     oneself
    kernels   /usr/local/share/jupyter/kernels  {sys.prefix}/share/jupyter/…      Jupyter's data
    server    /etc/jupyter                      {sys.prefix}/etc/jupyter          -
    policy    /etc/kavach/policy.toml           {sys.prefix}/etc/kavach/…         -

A user's own scope holds the kernel alone: terminals and other kernels are theirs to keep, and their
own settings bound their cells.

Guarantees: data only; nothing is read or written.
Assumes: Jupyter's search paths (jupyter_core.paths), of which these are some.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Final, Literal

from jupyter_core.paths import jupyter_data_dir

from kavach_ipy.front.floor import POLICY_FILE

__all__ = ["HUB_KERNELS", "KERNELS", "SCOPES", "Scope", "ScopeName", "Target", "scope_of"]

ScopeName = Literal["system", "sys-prefix", "user"]

SCOPES: Final[tuple[ScopeName, ...]] = ("system", "sys-prefix", "user")

KERNELS: Final = "share/jupyter/kernels"
"""Where Jupyter looks for kernels, below /usr/local or an environment."""

HUB_KERNELS: Final = "share/kavach/jupyter/kernels"
"""Where only a hub looks: a kernel named python3, which would hide the one of ipykernel."""

_LAUNCHER: Final = "lib/kavach/kavach-kernel"
_SERVER: Final = "etc/jupyter/jupyter_server_config.json"
_HUB: Final = "etc/kavach/jupyterhub_config.py"
_SECCOMP: Final = "etc/kavach/docker-seccomp.json"
_MANIFEST: Final = "etc/kavach/installed.json"


@dataclass(frozen=True, slots=True)
class Target:
    """One file of a scope."""

    template: str
    """Below ``jupyter-config/``."""

    path: str
    """Where it is installed, absolute."""

    is_program: bool = False
    is_edited: bool = False
    """Whether it is meant to be edited by who installs it; then an edit is no conflict."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One of the three places."""

    name: ScopeName
    owner: int
    """User id of whoever may write here besides root."""

    targets: tuple[Target, ...]
    manifest: str
    """The file that says what was written."""

    launcher: str
    python: str
    """The interpreter that runs kernels."""

    below: str = ""
    """Directory that stands for the root of the machine while an image is built; else empty."""

    def within(self, path: str) -> str:
        """Return ``path`` as it will be called when the image runs."""
        return path.removeprefix(self.below) if self.below else path

    @property
    def policy(self) -> str | None:
        """The policy file of this scope, if it has one."""
        return self._path_of("policy.toml")

    @property
    def hub_config(self) -> str | None:
        """The example for a hub, if it has one."""
        return self._path_of("jupyterhub_config.py")

    def _path_of(self, template: str) -> str | None:
        return next((it.path for it in self.targets if it.template == template), None)


def scope_of(name: ScopeName, below: str = "") -> Scope:
    """Return where the files of a scope are.

    Args:
        name: which of the three.
        below: directory that stands for the root of the machine, for ``system`` only; it is
            whoever's builds the image.
    """
    match name:
        case "system":
            local, etc = f"{below}/usr/local", below
            owner = os.geteuid() if below else 0
            return _shared(name, owner, local, etc, below)
        case "sys-prefix":
            # Behind a symbolic link nobody could say who may write.
            prefix = os.path.realpath(sys.prefix)
            return _shared(name, os.stat(prefix).st_uid, prefix, prefix, "")
        case "user":
            data = os.path.realpath(jupyter_data_dir())
            launcher = f"{data}/kavach/kavach-kernel"
            targets = (
                Target("kavach-kernel", launcher, is_program=True),
                Target(
                    "kernels/python3-kavach/kernel.json",
                    f"{data}/kernels/python3-kavach/kernel.json",
                ),
            )
            manifest = f"{data}/kavach/installed.json"
            return Scope(name, os.geteuid(), targets, manifest, launcher, sys.executable)


def _shared(name: ScopeName, owner: int, local: str, etc: str, below: str) -> Scope:
    launcher = f"{local}/{_LAUNCHER}"
    return Scope(
        name,
        owner,
        (
            Target("kavach-kernel", launcher, is_program=True),
            Target(
                "kernels/python3-kavach/kernel.json",
                f"{local}/{KERNELS}/python3-kavach/kernel.json",
            ),
            Target("kernels/python3/kernel.json", f"{local}/{HUB_KERNELS}/python3/kernel.json"),
            Target("jupyter_server_config.json", f"{etc}/{_SERVER}"),
            Target("jupyterhub_config.py", f"{etc}/{_HUB}", is_edited=True),
            Target("docker-seccomp.json", f"{etc}/{_SECCOMP}", is_edited=True),
            Target("policy.toml", f"{etc}/{POLICY_FILE}", is_edited=True),
        ),
        f"{etc}/{_MANIFEST}",
        launcher,
        sys.executable,
        below,
    )
