"""A kernel without ipykernel's debugger, whose import takes 50 ms and 10 MB in each process.

ipykernel looks for debugpy once, when its own module for it is imported. A session has no socket
that a debugger could be reached by, and the kernel of a sandboxed notebook must have none.

Guarantees: a cell can import debugpy all the same.
Assumes: called before the process makes its kernel.
"""

from __future__ import annotations

import sys
from importlib import import_module

__all__ = ["leave_debugger_out"]


def leave_debugger_out() -> None:
    """Let ipykernel find no debugpy."""
    if "debugpy" in sys.modules:
        return
    # importlib: None in sys.modules makes an import fail.
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    try:
        import_module("ipykernel.debugger")
    finally:
        del sys.modules["debugpy"]
