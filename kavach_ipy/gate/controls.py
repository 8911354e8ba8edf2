"""Comms that a page opens, and how much a page may send.

A page that is loaded anew opens one comm with the target ``jupyter.widget.control``, asks for the
state of all widgets, and closes it (jupyter-widgets, packages/schema/messages.md).

Guarantees: a session hears of the page's comms under names of ours; few are open at a time.
Assumes: the page is the user's, so what it sends is bounded for the session's sake, not cleaned.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kavach_ipy.wire.documents import Json

__all__ = ["Controls", "translated", "within_bounds"]

_OPEN: Final = 16
_TEXT: Final = 4 << 20
_VALUES: Final = 100_000
_DEEPEST: Final = 40
_BUFFERS: Final = 256
_BYTES: Final = 256 << 20
_REFERENCE: Final = "IPY_MODEL_"


class Controls:
    """The control comms that pages have open, with the session's names for them."""

    __slots__ = ("_names", "_public")

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._public: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def open(self, public: str) -> str | None:
        """Open one; return the session's name for it, or None where there is one already."""
        if public in self._names:
            return None
        if len(self._names) >= _OPEN:
            # A page that went away has closed none of them.
            self.close(next(iter(self._names)))
        name = self._names[public] = secrets.token_hex(16)
        self._public[name] = public
        return name

    def close(self, public: str) -> bool:
        """Close one; return whether there was one."""
        name = self._names.pop(public, None)
        return name is not None and self._public.pop(name) == public

    def name(self, public: str) -> str | None:
        """Return the session's name for one."""
        return self._names.get(public)

    def public(self, name: Json) -> str | None:
        """Return the page's name for one."""
        return self._public.get(name) if isinstance(name, str) else None


def within_bounds(data: Json, buffers: Sequence[bytes | memoryview]) -> bool:
    """Tell whether a page's message is of a size that a session may be sent."""
    if len(buffers) > _BUFFERS or sum(memoryview(part).nbytes for part in buffers) > _BYTES:
        return False
    text = values = 0
    waiting = [(data, 1)]
    while waiting:
        value, depth = waiting.pop()
        values += 1
        if isinstance(value, str):
            text += len(value)
        elif isinstance(value, dict):
            text += sum(map(len, value))
            waiting += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            waiting += [(item, depth + 1) for item in value]
        if text > _TEXT or values + len(waiting) > _VALUES or depth > _DEEPEST:
            return False
    return True


def translated(value: Json, find: Callable[[str], str | None]) -> Json:
    """Return a value with every name of a widget, and reference to one, in the session's words."""
    if isinstance(value, str):
        bare = value.removeprefix(_REFERENCE)
        known = find(bare) if len(bare) <= 64 else None
        return value if known is None else f"{value[: len(value) - len(bare)]}{known}"
    if isinstance(value, list):
        return [translated(item, find) for item in value]
    if isinstance(value, dict):
        return {key: translated(item, find) for key, item in value.items()}
    return value
