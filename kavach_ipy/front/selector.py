"""The selector of a session's event loop, which a fork that is to be the session makes anew.

epoll(7): a fork shares the interest list, so what one process registers the other waits for, too.

Guarantees: after `renew` it waits for what was registered in this process, and for nothing else.
Assumes: `renew` is called while nobody waits in `select`.
"""

from __future__ import annotations

import selectors
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

__all__ = ["Selector"]


class Selector(selectors.BaseSelector):
    """The best one that the platform has, in place of which another can be put."""

    def __init__(self) -> None:
        self._current: selectors.BaseSelector = selectors.DefaultSelector()

    def renew(self) -> None:
        """Wait by an interest list of this process alone."""
        before, self._current = self._current, selectors.DefaultSelector()
        for key in (before.get_map() or {}).values():
            # What was closed meanwhile nobody waits for.
            with suppress(OSError):
                self._current.register(key.fileobj, key.events, key.data)
        before.close()

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: object = None
    ) -> selectors.SelectorKey:
        """As in `selectors.BaseSelector`."""
        return self._current.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """As in `selectors.BaseSelector`."""
        return self._current.unregister(fileobj)

    def modify(
        self, fileobj: FileDescriptorLike, events: int, data: object = None
    ) -> selectors.SelectorKey:
        """As in `selectors.BaseSelector`."""
        return self._current.modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As in `selectors.BaseSelector`."""
        return self._current.select(timeout)

    def close(self) -> None:
        """As in `selectors.BaseSelector`."""
        self._current.close()

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        """As in `selectors.BaseSelector`."""
        return self._current.get_map() or {}
