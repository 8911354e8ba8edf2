"""A cell of a broker's session that is undone: ``%%sandbox -o NAMES`` in a sandboxed notebook.

It runs in the session, so it sees all of it. What it was asked for is packed into memory, the
session goes back to what it was before the cell, and takes the names from there.

Guarantees: a cell that could not be undone does not run; one that cannot be undone any more ends
the session with it; the kernel's process reads nothing of what the cell has packed.
Assumes: called in the kernel's loop, one cell at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kavach_ipy.errors import PolicyError, ProtocolError
from kavach_ipy.front.ear import Ear, settle
from kavach_ipy.launch import verdicts
from kavach_ipy.wire.arena import Arena
from kavach_ipy.wire.emptying import empty

if TYPE_CHECKING:
    from kavach_ipy.front.broker import Broker
    from kavach_ipy.front.making import Made
    from kavach_ipy.front.origins import Origin
    from kavach_ipy.policy import Policy

__all__ = ["Sent", "go_back", "run_undone"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A cell, as its session is sent it."""

    parent: Mapping[str, Any]
    content: dict[str, Any]
    policy: Policy
    origin: Origin


async def go_back(made: Made | None, ear: Ear | None) -> None:
    """Bring back what a session was before its last cell.

    Args:
        made: the session; None where there is none.
        ear: who hears it.

    Raises:
        PolicyError: there is nothing to go back to, and why.
    """
    if made is None or ear is None:
        raise PolicyError("rollback", "the session", "there is none; the next cell begins one")
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()

    def told(why: str) -> None:
        loop.call_soon_threadsafe(settle, done, why)

    made.service.go_back(told)
    # A session that has ended, and is still being put away, hears nothing more.
    either: set[asyncio.Future[Any]] = {done, ear.over}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if why := done.result() if done.done() else "the session has ended":
        raise PolicyError("rollback", "the session", why)


async def run_undone(broker: Broker, sent: Sent, outputs: tuple[str, ...]) -> dict[str, Any]:
    """Run a cell and undo it; the content of its reply.

    Args:
        broker: whose session it is.
        sent: the cell.
        outputs: names that are brought back into the session.

    Raises:
        PolicyError: it could not be undone, and did not run.
        CellStopped: it was stopped, or is not to be undone any more, or does not let go of its
            memory, and has ended its session.
    """
    policy, origin = sent.policy, sent.origin
    with Arena.create(policy.memory) as arena:
        content = {**sent.content, "outputs": [*outputs]}
        _, reply = broker.submit("execute", sent.parent, content, policy, origin, arena.fd)
        broker.was_sent()
        answer = await reply
        try:
            await broker.go_back()
        except PolicyError:
            broker.end(wait=False)
            raise verdicts.not_undone() from None
        if answer["status"] != "ok":
            broker.note(origin, f"not brought back: {', '.join(outputs)} (the cell did not finish)")
        else:
            asked = {"names": [*outputs], "frames": answer.pop("packed")}
            _, reply = broker.submit("take", sent.parent, asked, policy, origin, arena.fd)
            await reply
            try:
                empty(arena.fd)
            except ProtocolError as error:
                broker.end(wait=False)
                raise verdicts.broken_wire(str(error)) from None
    return answer
