"""Messages of the page to the widgets of a broker's session.

Guarantees: a message reaches the session through the gate, and what it makes the session print or
show is published under it.
Assumes: called in the kernel's loop; `hand_on` while no cell runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kavach_ipy.errors import KavachError

if TYPE_CHECKING:
    from kavach_ipy.front.broker import Broker
    from kavach_ipy.front.origins import Origins
    from kavach_ipy.policy import Policy
    from kavach_ipy.wire.service import RequestKind

__all__ = ["Handed", "Messages", "hand_on"]


class Messages:
    """Messages of the page that wait for a cell."""

    def __init__(self) -> None:
        self._late: set[asyncio.Task[None]] = set()

    async def take(self, work: Coroutine[Any, Any, None], *, is_late: bool) -> None:
        """Do what hands on a message; one that comes while a cell runs is done later.

        ipykernel 7.4 lets messages in while a cell runs, and when one has been handled makes the
        request of that cell the current one again: another cell's may be by then, and its "idle"
        would be said to belong to the one before.
        """
        task = asyncio.get_running_loop().create_task(work)
        if is_late:
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        else:
            await task


@dataclass(frozen=True, slots=True)
class Handed:
    """A message of the page."""

    kind: RequestKind
    parent: Mapping[str, Any]
    """The message itself."""

    count: int
    """The prompt number."""

    policy: Policy


async def hand_on(broker: Broker, origins: Origins, handed: Handed) -> None:
    """Hand on a message, and wait until the session has done with it."""
    parent = handed.parent
    for message in origins.widgets.take(handed.kind, parent):
        origin = origins.add(parent, handed.count, is_cell=False)
        asked = {
            "header": parent.get("header", {}),
            "content": message.content,
            "metadata": message.metadata,
            "buffers": message.buffers,
        }
        # Where the session ends meanwhile, the next cell says so.
        with suppress(KavachError):
            _, reply = broker.submit(handed.kind, asked, {}, handed.policy, origin)
            await reply
