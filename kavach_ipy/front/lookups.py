"""What a person asks while typing: completions, documentation, and which widgets are there.

Guarantees: an answer within two seconds, which is empty while a cell runs; what takes longer in the
session gives way to the next cell.
Assumes: called in the kernel's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from kavach_ipy.errors import KavachError

if TYPE_CHECKING:
    from kavach_ipy.front.broker import Broker
    from kavach_ipy.launch.serving import Service
    from kavach_ipy.wire.service import RequestKind

__all__ = ["Lookups"]

_QUICK_SECONDS: Final = 2.0
"""For what a person waits for while typing."""


class Lookups:
    """What is looked up in one kernel's session."""

    def __init__(self, broker: Broker, kernel: Any) -> None:
        self._broker = broker
        self._kernel = kernel
        self._late: set[int] = set()

    async def complete(self, code: str, cursor: int | None) -> dict[str, Any]:
        """Complete in the session; nothing while a cell runs, or where it takes too long."""
        place = len(code) if cursor is None else cursor
        content = {"code": code, "cursor_pos": place}
        return await self._quick("complete", content) or {
            "status": "ok",
            "matches": [],
            "cursor_start": place,
            "cursor_end": place,
            "metadata": {},
        }

    async def inspect(
        self, code: str, cursor: int, level: int, omitted: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Look something up in the session; nothing as for `complete`."""
        content = {
            "code": code,
            "cursor_pos": cursor,
            "detail_level": level,
            "omit_sections": [*omitted],
        }
        nothing = {"status": "ok", "found": False, "data": {}, "metadata": {}}
        return await self._quick("inspect", content) or nothing

    async def comm_info(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the content of a ``comm_info_reply``: widgets that the front end knows.

        Args:
            asked: the ``comm_info_request``.
        """
        target = asked["content"].get("target_name")
        comms = self._broker.comms().items()
        known = {key: {"target_name": name} for key, name in comms if target in (None, name)}
        return {"status": "ok", "comms": known}

    async def _quick(self, kind: RequestKind, content: dict[str, Any]) -> dict[str, Any] | None:
        made = self._broker.idle
        if made is None:
            return None
        parent = self._kernel.get_parent()
        try:
            number, waiting = self._broker.submit(kind, parent, content, made.policy)
        except KavachError:
            return None
        done, _ = await asyncio.wait({waiting}, timeout=_QUICK_SECONDS)
        if not done:
            # It may go on, and is quicker the next time, until a cell needs the session.
            self._late.add(number)
            waiting.add_done_callback(_forget)
            return None
        return None if waiting.exception() is not None else waiting.result()

    def give_way(self, service: Service) -> None:
        """Interrupt what still is looked up: a cell comes."""
        while self._late:
            service.give_way(self._late.pop())


def _forget(waiting: asyncio.Future[dict[str, Any]]) -> None:
    if not waiting.cancelled():
        waiting.exception()
