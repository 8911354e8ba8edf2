"""What may be imported while a cell's values are read: what is installed, and nothing else.

A value names a tag, and its rule loads the library: so the cell chooses when. The notebook's own
directory stands first on `sys.path`, and a cell with ``--rw .`` may have put a `polars.py` there,
or a `tzdata` that the standard library looks for.

Guarantees: while `installed_only` lasts, in its thread, no module is loaded for the first time from
a directory of `sys.path` that belongs neither to Python nor to its packages.
Assumes: nobody lets a cell write to those.
"""

from __future__ import annotations

import os
import site
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder
from types import ModuleType

__all__ = ["installed_only"]


@contextmanager
def installed_only() -> Iterator[None]:
    """Let this thread import from installed packages only."""
    gate = _Gate(threading.get_ident())
    sys.meta_path.insert(0, gate)
    try:
        yield
    finally:
        sys.meta_path.remove(gate)


class _Gate:
    """Stands before Python's own finders; answers None where they may go on."""

    def __init__(self, thread: int) -> None:
        self._thread = thread

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of an installed module, None where no directory of `sys.path` has it.

        Raises:
            ModuleNotFoundError: one that is not installed has it.
        """
        # A package that was found leads to its own parts.
        if path is not None or threading.get_ident() != self._thread:
            return None
        if BuiltinImporter.find_spec(name) or FrozenImporter.find_spec(name):
            return None
        places = [place for place in sys.path if _is_installed(place)]
        spec = PathFinder.find_spec(name, places, target)
        if spec is None and PathFinder.find_spec(name, None, target) is not None:
            reason = f"{name} is not installed where no cell can write; import it in the notebook"
            raise ModuleNotFoundError(reason, name=name)
        return spec


@cache
def _roots() -> tuple[str, ...]:
    roots = [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix]
    if site.ENABLE_USER_SITE:
        roots.append(site.getusersitepackages())
    return tuple(os.path.realpath(root) + os.sep for root in roots)


@cache
def _is_installed(place: str) -> bool:
    # The empty text, which is the notebook's directory, and relative ones move with it.
    return os.path.isabs(place) and f"{os.path.realpath(place)}{os.sep}".startswith(_roots())
