"""What is installed, what is in force and where it comes from, and whether it can be relied on.

Guarantees: nothing is written, and no configuration in Python is run; what the files say is read
from them again each time.
Assumes: Jupyter's rules of precedence (jupyter_core.paths, traitlets.config.application): of the
directories of `jupyter_config_path` an earlier one wins, in each a .json file over the .py of the
same name; a hub's command line wins over all.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.paths import jupyter_config_path

from kavach_ipy.errors import FileRefused, PolicyError
from kavach_ipy.front.floor import SYSTEM_FILE, floor_of, prefix_file, read_file
from kavach_ipy.hub.installing import state_of
from kavach_ipy.hub.manifest import Manifest, read_manifest
from kavach_ipy.hub.scopes import SCOPES, Scope, scope_of
from kavach_ipy.linux.owned import read_owned
from kavach_ipy.linux.probe import Finding
from kavach_ipy.policy import Floor

__all__ = ["findings", "shown"]

_SETTINGS: Final = {
    ("ServerApp", "kernel_spec_manager_class"): (
        "kavach_ipy.hub.kernelspecs.SandboxedKernelSpecManager"
    ),
    ("ServerApp", "terminals_enabled"): False,
    ("KernelSpecManager", "ensure_native_kernel"): False,
}
"""What a server must be told, and what it must be."""

_CONFIG: Final = "jupyter_server_config"
_LONGEST: Final = 1 << 20


def shown(scopes: Iterable[Scope]) -> Iterator[str]:
    """Say what is in force, and which file says so, line by line."""
    yield "policy files"
    try:
        sentences = floor_of().sentences
    except PolicyError as error:
        yield f"  no cell runs: {error}"
    else:
        yield from (f"  {sentence}" for sentence in sentences)
        if not sentences:
            places = " nor ".join(dict.fromkeys((SYSTEM_FILE, prefix_file(sys.prefix)[0])))
            yield f"  there is none: neither {places}; the settings alone bound a cell"
    yield "kernels of an ordinary server"
    for name, directory in sorted(KernelSpecManager().find_kernel_specs().items()):
        yield f"  {name:<16} {_nature_of(directory)}  {directory}"
    yield "server settings, but for those in .py files, which are not run here"
    for (section, name), wanted in _SETTINGS.items():
        value, path = _in_force(section, name)
        verdict = "as it should be" if value == wanted else f"sandboxed only with {wanted!r}"
        yield f"  {section}.{name} = {value!r}  ({path or 'not set'}; {verdict})"
    for scope in scopes:
        yield f"installed by kavach-jupyter enable --{scope.name}"
        yield from (f"  {line}" for line in _files_of(scope))


def findings(scopes: Sequence[Scope]) -> Iterator[Finding]:
    """Check what is installed; one finding a promise, as those of the machine's probe."""
    yield _floor_finding("policy file", floor_of)
    for scope in scopes:
        if scope.below and scope.policy is not None:
            # In an image that is being built: nobody has read it yet.
            yield _floor_finding("its policy file", functools.partial(_floor_in, scope))
        yield from _findings_of(scope)


def _floor_in(scope: Scope) -> Floor:
    file = read_file(scope.policy or "", scope.owner)
    return Floor(() if file is None else (file,))


def _floor_finding(layer: str, read: Callable[[], Floor]) -> Finding:
    try:
        names = ", ".join(file.path for file in read().files) or "there is none"
    except PolicyError as error:
        return Finding(layer, granted=False, cause=f"{error}.", remedy="No cell runs.")
    return Finding(layer, granted=True, cause=f"{names}.", remedy="")


def _findings_of(scope: Scope) -> Iterator[Finding]:
    name = f"files --{scope.name}"
    try:
        manifest = read_manifest(scope)
        if manifest is None:
            return
        wrong = [
            f"{target.path} is {state}"
            for target in scope.targets
            if (state := state_of(scope, target.path, manifest)) != "written"
            and not (state == "edited" and target.is_edited)
        ]
    except FileRefused as error:
        yield Finding(name, granted=False, cause=f"{error}.", remedy="Others decide what runs.")
        return
    if wrong:
        again = f"kavach-jupyter enable --{scope.name} says what is in the way."
        yield Finding(name, granted=False, cause=f"{'; '.join(wrong)}.", remedy=again)
    else:
        owner = "root" if scope.owner == 0 else f"user {scope.owner}"
        cause = f"{len(manifest.files)} files as they were written, and only {owner} can write."
        yield Finding(name, granted=True, cause=cause, remedy="")
    # Of an image that is being built, this machine's servers read nothing.
    if scope.policy is not None and not scope.below:
        yield _server_finding(scope)


def _server_finding(scope: Scope) -> Finding:
    wrong = []
    for (section, name), wanted in _SETTINGS.items():
        value, path = _in_force(section, name)
        if value != wanted:
            wrong.append(f"{section}.{name} is {value!r} by {path or 'no file'}")
    layer = f"server --{scope.name}"
    if wrong:
        return Finding(
            layer,
            granted=False,
            cause=f"{'; '.join(wrong)}.",
            remedy="A server of this user starts other kernels or terminals, but under a hub that"
            " was set up as in docs/how-to/jupyterhub.md.",
        )
    cause = "sandboxed kernels only, and no terminals, unless a .py file says otherwise."
    return Finding(layer, granted=True, cause=cause, remedy="")


def _files_of(scope: Scope) -> Iterator[str]:
    try:
        manifest = read_manifest(scope)
        if manifest is None:
            yield "nothing"
            return
        for path in manifest.files:
            yield f"{state_of(scope, path, manifest):<8} {path}"
    except FileRefused as error:
        yield f"cannot be relied on: {error}"


def _in_force(section: str, name: str) -> tuple[object, str | None]:
    """Return the value that a server's JSON files give a setting, and the file that does."""
    for directory in jupyter_config_path():
        path = os.path.join(directory, f"{_CONFIG}.json")
        try:
            with open(path, encoding="utf-8") as file:
                value = json.load(file)[section][name]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        return value, path
    return None, None


def _nature_of(directory: str) -> str:
    """Tell whether a kernel is one that this command wrote."""
    path = os.path.join(directory, "kernel.json")
    for name in SCOPES:
        scope = scope_of(name)
        try:
            manifest = read_manifest(scope) or Manifest()
            is_ours = read_owned(path, {scope.owner}, limit=_LONGEST) is not None
        except FileRefused:
            continue
        if is_ours and path in manifest.files and state_of(scope, path, manifest) == "written":
            return "sandboxed    "
    return "not sandboxed"
