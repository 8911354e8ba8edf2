"""What an auditor is told: an event for each sandboxed cell, in a log that shows changes.

::

    sandbox ──Audit.cell──> event ──log──> writer (a process of its own, with the key)
                              │               └─> FILE: lines, each vouching for all before it
                              └──hooks──> callables, logging, jupyter_events
    FILE + key ──verify──> intact, or the line and the reason

Guarantees: a cell that is forked from the kernel process finds no key in its memory, for none was
ever there; nothing that goes wrong here takes a result away.
Assumes: whoever controls the kernel process decides what is recorded from then on. What was
recorded before, they can only take away, and that shows (docs/reference/audit.md).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kavach_ipy.audit.hooks import add_hook, remove_hook
    from kavach_ipy.audit.record import Audit
    from kavach_ipy.audit.source import CellSource
    from kavach_ipy.policy.auditing import AuditMode, stricter

__all__ = ["Audit", "AuditMode", "CellSource", "add_hook", "remove_hook", "stricter"]

# PEP 562: the writer is a process of its own, and needs none of it.
_HOMES: Final = {
    "Audit": "kavach_ipy.audit.record",
    "AuditMode": "kavach_ipy.policy.auditing",
    "CellSource": "kavach_ipy.audit.source",
    "add_hook": "kavach_ipy.audit.hooks",
    "remove_hook": "kavach_ipy.audit.hooks",
    "stricter": "kavach_ipy.policy.auditing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kavach_ipy.audit' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
