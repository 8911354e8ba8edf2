"""The files of ``jupyter-config/``, filled in.

Guarantees: what is installed is what the templates say, with a few names put in, each quoted as its
file needs it; a name that would be left over is an error of the tests, not of a user.
Assumes: a wheel carries the folder inside of the package (pyproject.toml, force-include); a
checkout has it beside the package.
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Final

import kavach_ipy
from kavach_ipy.hub.scopes import HUB_KERNELS, Scope, Target

__all__ = ["FOLDER", "rendered"]

_PACKAGE: Final = Path(kavach_ipy.__file__).resolve().parent
_INSIDE: Final = _PACKAGE / "jupyter-config"

FOLDER: Final = _INSIDE if _INSIDE.is_dir() else _PACKAGE.parent / "jupyter-config"
"""Where the templates are."""


def rendered(scope: Scope, target: Target) -> bytes:
    """Return what the file of ``target`` holds when it is installed in ``scope``."""
    text = (FOLDER / target.template).read_text(encoding="utf-8")
    launcher = scope.within(scope.launcher)
    jupyter_path = os.path.join(os.path.dirname(launcher), "../..", os.path.dirname(HUB_KERNELS))
    names = {
        "@PYTHON@": scope.python,
        "@LAUNCHER@": launcher,
        "@CONFIG@": os.path.dirname(scope.within(scope.manifest)),
        "@JUPYTER_PATH@": os.path.normpath(jupyter_path),
        "@HUB_CONFIG@": scope.within(scope.hub_config or ""),
    }
    for name, value in names.items():
        text = text.replace(name, _quoted(value, target))
    return text.encode()


def _quoted(value: str, target: Target) -> str:
    if target.is_program:
        return shlex.quote(value)
    # Inside of the quotation marks that the template has: JSON's and Python's escapes agree here.
    return json.dumps(value)[1:-1]
