"""kavach_ipy: cells of a notebook in a sandbox, next to the notebook's variables.

``%load_ext kavach_ipy`` adds ``%%sandbox``; ``from kavach_ipy import Sandbox, Policy`` does the
same in a plain script, without IPython.

Guarantees: importing starts nothing and imports nothing heavy; a public name is loaded when it is
first used (PEP 562).
Assumes: Linux, for everything but the import itself.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kavach_ipy.errors import (
        CannotEnforce,
        CellFailed,
        CellStopped,
        KavachError,
        OutputWithheld,
        PolicyError,
        ProtocolError,
        SetupFailed,
    )
    from kavach_ipy.front.shells import Shell
    from kavach_ipy.gate.outcome import Outcome
    from kavach_ipy.gate.withheld import Withheld
    from kavach_ipy.policy import Network, Policy
    from kavach_ipy.sandbox import Sandbox
    from kavach_ipy.wire.trusted import distrust, trust

__all__ = [
    "CannotEnforce",
    "CellFailed",
    "CellStopped",
    "KavachError",
    "Network",
    "Outcome",
    "OutputWithheld",
    "Policy",
    "PolicyError",
    "ProtocolError",
    "Sandbox",
    "SetupFailed",
    "Withheld",
    "distrust",
    "load_ipython_extension",
    "trust",
    "unload_ipython_extension",
]

_HOMES: Final = {
    "CannotEnforce": "kavach_ipy.errors",
    "CellFailed": "kavach_ipy.errors",
    "CellStopped": "kavach_ipy.errors",
    "KavachError": "kavach_ipy.errors",
    "Network": "kavach_ipy.policy",
    "Outcome": "kavach_ipy.gate.outcome",
    "OutputWithheld": "kavach_ipy.errors",
    "Policy": "kavach_ipy.policy",
    "PolicyError": "kavach_ipy.errors",
    "ProtocolError": "kavach_ipy.errors",
    "Sandbox": "kavach_ipy.sandbox",
    "SetupFailed": "kavach_ipy.errors",
    "Withheld": "kavach_ipy.gate.withheld",
    "distrust": "kavach_ipy.wire.trusted",
    "trust": "kavach_ipy.wire.trusted",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kavach_ipy' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(ipython: Shell) -> None:
    """Add the magics, the settings and the completion; ``%load_ext kavach_ipy`` calls this.

    Raises:
        UsageError: this is not Linux; one sentence.
        TraitError: a setting makes no sense, or this version cannot keep it.
    """
    if sys.platform != "linux":
        from kavach_ipy.front.failures import needs_linux  # noqa: PLC0415

        raise needs_linux(sys.platform)
    from kavach_ipy.front.extension import load  # noqa: PLC0415

    load(ipython)


def unload_ipython_extension(ipython: Shell) -> None:
    """Leave the shell as it was before loading; ``%unload_ext kavach_ipy`` calls this."""
    if sys.platform == "linux":
        from kavach_ipy.front.extension import unload  # noqa: PLC0415

        unload(ipython)
