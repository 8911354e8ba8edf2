"""What a broker hears of its session, in the service's thread, and hands over to the kernel's loop.

Guarantees: what reaches the loop or the front end has been through the gate; each request that was
expected gets its reply, or the reason why there is none.
Assumes: `expect` and `forget` are called in the loop.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kavach_ipy.errors import CellStopped, KavachError, PolicyError
from kavach_ipy.front.origins import Origin, Origins
from kavach_ipy.gate.replies import completed, executed, inspected, packed

if TYPE_CHECKING:
    from kavach_ipy.front.broker import Broker
    from kavach_ipy.front.making import Made
    from kavach_ipy.gate.mimes import DisplayPolicy
    from kavach_ipy.launch.layers import ConfinementReport
    from kavach_ipy.wire.messages import Question
    from kavach_ipy.wire.service import Published, Reply, Request

__all__ = ["Asked", "Ear", "Unread", "settle"]


class Unread(Exception):
    """A session died by itself, and has not read the cell that it was sent."""

    def __init__(self, reason: KavachError) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is under way."""

    request: Request
    origin: Origin | None
    """Of a cell: what it held back is shown before its reply."""


class Ear:
    """Hears one session."""

    origins: Origins

    def __init__(self, broker: Broker, kernel: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self._kernel = kernel
        self._loop = loop
        self._display: DisplayPolicy | None = None
        self._asked: dict[int, tuple[Asked, asyncio.Future[dict[str, Any]]]] = {}
        self.ready: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        self.report: ConfinementReport | None = None

    def display(self, made: Made) -> None:
        """Take what the session may show, before it begins."""
        self._display = made.display
        self.origins = Origins(self._kernel, made.display, self._after)

    def expect(self, asked: Asked) -> asyncio.Future[dict[str, Any]]:
        """Expect a reply."""
        future: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._asked[asked.request.number] = asked, future
        return future

    def forget(self, number: int) -> None:
        """Expect a reply no more."""
        self._asked.pop(number, None)

    def began(self, report: ConfinementReport) -> None:
        """Take what was verified."""
        self.report = report
        self._later(lambda: settle(self.ready, None))

    def published(self, published: Published) -> None:
        """Publish a message."""
        self.origins.hear(published)

    def output(self, name: Literal["stdout", "stderr"], data: bytes) -> None:
        """Publish what went to a descriptor."""
        self.origins.output(name, data)

    def rested(self) -> None:
        """Publish what was gathered."""
        self.origins.rested()

    def asked(self, question: Question) -> None:
        """Let the user be asked."""
        self.origins.rest()
        self._later(lambda: self._broker.ask(self, question))

    def unasked(self) -> None:
        """Let the user be asked no more."""
        self._later(self._broker.asking.stop)

    def replied(self, reply: Reply) -> None:
        """Take a reply, through the gate."""
        # Forgotten when it has its answer: what the gate refuses ends the session, and who waits
        # is told so.
        asked, future = self._asked[reply.number]
        assert self._display is not None
        content = dict(asked.request.content)
        answer: dict[str, Any]
        match asked.request.kind:
            case "execute":
                names = content["user_expressions"]
                assert isinstance(names, dict)
                answer = executed(reply.content, names, self._display).content
                if "outputs" in content and answer["status"] == "ok":
                    answer["packed"] = packed(reply.content)
                if asked.origin is not None:
                    self.origins.finish(asked.origin)
            case "complete":
                answer = completed(reply.content, len(str(content["code"])))
            case "inspect":
                answer = inspected(reply.content, self._display)
            case "comm_open" | "comm_msg" | "comm_close" | "take":
                if asked.origin is not None:
                    self.origins.finish(asked.origin)
                answer = {}
            case "hold":
                raise AssertionError("has no reply")
        self._asked.pop(reply.number)
        self._later(lambda: settle(future, answer))

    def refused(self, number: int, why: str) -> None:
        """Take why a cell did not run that was to be undone."""
        asked, future = self._asked.pop(number)
        value = f"-o {asked.request.content['outputs']}"
        error = PolicyError("%%sandbox", value, f"it could not be undone: {why}. Nothing ran")
        self._later(functools.partial(_fail, future, error))

    def unprotected(self, why: str) -> None:
        """Say why the cell that is about to run has no checkpoint."""
        self.origins.note_latest(
            f"there is no checkpoint before this cell: {why}. If the cell is stopped, the"
            " notebook's variables are gone."
        )

    def restored(
        self,
        report: ConfinementReport,
        stopped: CellStopped | None,
        lost: Iterable[int],
        unread: int | None,
    ) -> None:
        """Take that the session is what it was before its last cell."""
        self.report = report
        reason = stopped or CellStopped("session", "it went back to what it was before")
        waiting = [self._asked.pop(number) for number in lost]
        self._show_what_was_held(asked for asked, _ in waiting)
        self.origins.widgets.gone_back()
        for asked, future in waiting:
            self._later(functools.partial(_fail, future, _told(asked, reason, unread)))

    def ended(self, reason: KavachError, unread: int | None) -> None:
        """Take why there is no session any more."""

        def end() -> None:
            had_begun = self.ready.done() and not self.ready.cancelled()
            self._broker.over(self, reason, had_begun=had_begun)
            waiting = tuple(self._asked.values())
            self._asked.clear()
            _fail(self.ready, reason)
            for asked, future in waiting:
                _fail(future, _told(asked, reason, unread))
            settle(self.over, None)

        if hasattr(self, "origins"):
            self._show_what_was_held([asked for asked, _ in self._asked.values()])
            self.origins.widgets.end()
        self._later(end)

    def _show_what_was_held(self, waiting: Iterable[Asked]) -> None:
        for asked in waiting:
            if asked.origin is not None:
                self.origins.finish(asked.origin)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._later(lambda: self._loop.call_later(seconds, action))

    def _later(self, action: Callable[[], object]) -> None:
        # At its end the kernel closes its loop, and nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(action)


def _told(asked: Asked, reason: KavachError, unread: int | None) -> Exception:
    is_unread = unread is not None and asked.request.number >= unread
    return Unread(reason) if is_unread and asked.request.kind == "execute" else reason


def _fail(future: asyncio.Future[Any], reason: Exception) -> None:
    if not future.done():
        future.set_exception(reason)
        # Nobody may be waiting for it.
        future.exception()


def settle(future: asyncio.Future[Any], value: object) -> None:
    """Give a future its result, unless it has one."""
    if not future.done():
        future.set_result(value)
