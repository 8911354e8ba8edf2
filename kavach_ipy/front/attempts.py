"""One cell of a broker's session, sent again where the session has died and never read it.

Guarantees: a cell is sent again only where it is proved that nothing of it ran (`launch.unread`),
with a line below it that says why the session before had ended; a few times at most, and not where
the user has interrupted it meanwhile.
Assumes: called in the kernel's loop, one cell at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kavach_ipy.errors import CellStopped, KavachError
from kavach_ipy.front.ear import Ear, Unread
from kavach_ipy.front.undone import Sent, run_undone

if TYPE_CHECKING:
    from kavach_ipy.front.broker import Broker
    from kavach_ipy.front.early import Early
    from kavach_ipy.front.tightening import Tightened
    from kavach_ipy.launch.layers import ConfinementReport

__all__ = ["Attempt", "Attempts", "new_session"]

_MOST: Final = 3
"""A session whose start-up files end it would be begun without end."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A cell that is ready to be sent."""

    ear: Ear
    """Of the session that it is sent to."""

    report: ConfinementReport | None
    """What was verified of it."""

    sent: Sent
    tight: Tightened


class Attempts:
    """The way of one cell to a session that reads it."""

    def __init__(
        self, broker: Broker, early: Early, begin: Callable[[], Awaitable[Attempt]]
    ) -> None:
        """Begin without a session.

        Args:
            broker: whose cell it is.
            early: takes its interrupts.
            begin: has a session for it.
        """
        self._broker = broker
        self._early = early
        self._begin = begin
        self._last: Attempt | None = None

    @property
    def last(self) -> Attempt:
        """What was sent last, or is about to be."""
        assert self._last is not None, "begun"
        return self._last

    async def begin(self) -> Attempt:
        """Have a session for the cell.

        Raises:
            KavachError: why there can be none.
            KeyboardInterrupt: the user did not wait for it.
        """
        self._last = await self._begin()
        return self._last

    async def run(self) -> dict[str, Any]:
        """Run the cell; the content of its reply.

        Raises:
            KavachError: why there is none.
        """
        left = _MOST
        while True:
            left -= 1
            try:
                return await self._run(self.last)
            except Unread as unread:
                if not left or not self._early.was_not_read():
                    raise unread.reason from None
                await self._begin_again(unread.reason)

    async def _begin_again(self, reason: KavachError) -> None:
        before = self.last
        try:
            again = await self.begin()
        except KeyboardInterrupt:
            raise reason from None
        if again.tight.policy != before.tight.policy:
            # The settings have changed, and what is recorded of the cell is the policy before.
            raise reason
        if again.ear is before.ear:
            self._broker.note(
                again.sent.origin,
                "the session goes on from its checkpoint before this cell, with all variables: its"
                f" process had ended by {_why(reason)} before it read the cell",
            )

    async def _run(self, attempt: Attempt) -> dict[str, Any]:
        sent = attempt.sent
        if attempt.tight.outputs:
            return await run_undone(self._broker, sent, attempt.tight.outputs)
        _, reply = self._broker.submit(
            "execute", sent.parent, sent.content, sent.policy, sent.origin
        )
        self._broker.was_sent()
        return await reply


def new_session(lost: KavachError) -> str:
    """Return the line below the first cell of a session after one that has ended."""
    return (
        "a new session begins with this cell; the variables of the one before are gone: it ended by"
        f" {_why(lost)}"
    )


def _why(reason: KavachError) -> str:
    return reason.limit if isinstance(reason, CellStopped) else str(reason)
