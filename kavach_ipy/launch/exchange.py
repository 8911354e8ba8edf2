"""What is under way between a kernel and the session that serves it: requests, limits, a question.

Guarantees: a reply is heard only where its request is under way, and once; what a session sends is
bounded in bytes and in number from one cell to the next, whether a cell runs or not; time that a
person takes to answer is not the cell's.
Assumes: one thread uses it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

from kavach_ipy.errors import CellStopped, KavachError, ProtocolError
from kavach_ipy.launch import verdicts
from kavach_ipy.launch.interrupts import Interrupts
from kavach_ipy.launch.order import StreamName
from kavach_ipy.wire.frames import Decoder, Frame, Kind
from kavach_ipy.wire.marks import Mark, read_mark
from kavach_ipy.wire.messages import STREAM_FRAME, Question, read_input
from kavach_ipy.wire.service import Published, Reply, Request, read_publish, read_reply

if TYPE_CHECKING:
    from kavach_ipy.launch.layers import ConfinementReport
    from kavach_ipy.launch.meter import Meter
    from kavach_ipy.launch.parent import Parent
    from kavach_ipy.policy import Policy

__all__ = ["Exchange", "Hearer"]

_SAMPLE_SECONDS: Final = 0.1
_SAMPLE_DUTY: Final = 30
_IDLE_SECONDS: Final = 1.0
_ANSWER_BYTES: Final = 4 << 20
"""Of a reply that is no cell's: completions, documentation."""
_QUESTIONS: Final = 1000
_NOBODY: Final = "input() has nobody to ask: no cell is running."


class Hearer(Protocol):
    """Who hears a session, in its service's thread; ProtocolError ends the session."""

    def began(self, report: ConfinementReport) -> None:
        """Take what was verified of the sandbox, before anything was asked of it."""

    def published(self, published: Published) -> None:
        """Take a message."""

    def output(self, name: StreamName, data: bytes) -> None:
        """Take bytes that went to the session's file descriptor 1 or 2."""

    def rested(self) -> None:
        """Take notice that nothing more has come for the moment."""

    def asked(self, question: Question) -> None:
        """Ask the user; `Service.answer` takes the answer."""

    def unasked(self) -> None:
        """Forget the question: it was interrupted."""

    def replied(self, reply: Reply) -> None:
        """Take the reply to a request."""

    def refused(self, number: int, why: str) -> None:
        """Take why a request was not sent: it was to be undone, and cannot be."""

    def unprotected(self, why: str) -> None:
        """Take why the cell that is about to run has no checkpoint."""

    def restored(
        self,
        report: ConfinementReport,
        stopped: CellStopped | None,
        lost: Iterable[int],
        unread: int | None,
    ) -> None:
        """Take that the session is what it was before its last cell.

        Args:
            report: what was verified of it.
            stopped: why; None where that was asked for.
            lost: numbers of the requests that no reply will come to.
            unread: nothing ran of cells from this number on; None where that is not known.
        """

    def ended(self, reason: KavachError, unread: int | None) -> None:
        """Take why there is no session any more, or none began.

        Args:
            reason: why.
            unread: as for `restored`.
        """


class Exchange:
    """The requests of one session, its budgets, and the question that it asks."""

    def __init__(self, hearer: Hearer, say: Callable[[str, str], None]) -> None:
        self._hearer = hearer
        self._say = say
        self._meter: Meter | None = None
        self._decoder = Decoder()
        self._signal: Callable[[], None] = lambda: None
        self._ask_to_give_way: Callable[[], None] = lambda: None
        self._interrupts = Interrupts(self._signal)
        self._pending: dict[int, Request] = {}
        self._policy: Policy | None = None
        self._began = 0.0
        self._bytes = self._messages = self._questions = 0
        self._asked: float | None = None
        self._answering = 0.0
        self._sample_at = 0.0
        self._stopped: CellStopped | None = None

    @property
    def policy(self) -> Policy:
        """What the cell that runs may take, or the last one might."""
        assert self._policy is not None, "attached before anything is read"
        return self._policy

    @property
    def is_running(self) -> bool:
        """Whether a cell runs."""
        return any(request.kind == "execute" for request in self._pending.values())

    def attach(self, parent: Parent) -> None:
        """Take the verified sandbox."""
        self._policy = parent.plan.policy
        self._decoder = parent.decoder
        self._meter = parent.meter(self._policy)
        self._signal = parent.cell.interrupt_group
        self._ask_to_give_way = parent.cell.ask_to_give_way
        self._sample_at = time.monotonic() + _SAMPLE_SECONDS

    def attach_again(self, parent: Parent) -> tuple[int, ...]:
        """Take what goes on in its place; the numbers of the requests that were under way."""
        lost = tuple(self._pending)
        self._pending.clear()
        self._asked = self._stopped = None
        self._bytes = self._messages = self._questions = 0
        self.attach(parent)
        return lost

    def begin(self, request: Request, policy: Policy, arena: int = -1) -> None:
        """Note a request that is being sent.

        Args:
            request: the request.
            policy: what it may take.
            arena: where the cell may put values until its reply, or what the session takes some
                from; -1 where there is none.
        """
        if arena >= 0 and self._meter is not None:
            self._meter.arena = arena
        if request.kind == "execute" or not self._pending:
            self._interrupts = Interrupts(self._signal)
            self._began, self._answering = time.monotonic(), 0.0
            self._sample_at = min(self._sample_at, self._began + _SAMPLE_SECONDS)
            self._policy = policy
        if request.kind == "execute":
            self._bytes = self._messages = self._questions = 0
        self._pending[request.number] = request

    def interrupt(self, number: int) -> None:
        """Interrupt a request, if it is under way."""
        if number not in self._pending:
            return
        if not self._interrupts.came():
            return
        if self._asked is None:
            self._interrupts.pass_on()
        else:
            self._withdraw("interrupted")

    def give_way(self, number: int) -> None:
        """Let a request that nobody waits for be over, if it is under way.

        No interrupt: it may have just ended, and what is not the user's must hit nothing else.
        """
        if number in self._pending:
            self._ask_to_give_way()

    def _withdraw(self, status: str) -> None:
        """Answer the question, if there is one, in the user's place."""
        if self._asked is not None:
            self._hearer.unasked()
            self.answer(_NOBODY if status == "eof" else "", status)

    def answer(self, text: str, status: str) -> None:
        """Answer the question."""
        if self._asked is not None:
            self._answering += time.monotonic() - self._asked
            self._asked = None
            self._say(text, status)

    def output(self, name: StreamName, data: bytes) -> None:
        """Take bytes of a standard stream."""
        self._bytes += len(data)
        self._hearer.output(name, data)

    def hear(self, data: bytes, catch_up: Callable[[Mark | None], None]) -> None:
        """Take bytes of the channel.

        Args:
            data: cut anywhere.
            catch_up: hears what the standard streams held when a frame was sent; all that they
                hold now, where it is given no mark.

        Raises:
            ProtocolError: no honest session sends that.
        """
        self._bytes += len(data)
        for frame in self._decoder.feed(data):
            self._hear(frame, catch_up)
        if self._decoder.broken is not None:
            raise self._decoder.broken

    def _hear(self, frame: Frame, catch_up: Callable[[Mark | None], None]) -> None:
        match frame.kind:
            case Kind.PUBLISH:
                catch_up(read_mark(frame))
                self._publish(frame)
            case Kind.REPLY:
                catch_up(None)
                self._reply(read_reply(frame), frame.size)
            case Kind.INPUT:
                catch_up(read_mark(frame))
                self._ask(read_input(frame))
            case _:
                raise ProtocolError(0, frame.kind.name, "a session may not say that.")

    def _publish(self, frame: Frame) -> None:
        if frame.body.get("type") == "stream":
            self._bytes -= STREAM_FRAME
        else:
            self._messages += 1
        if self._messages <= self.policy.messages:
            self._hearer.published(read_publish(frame))

    def _reply(self, reply: Reply, size: int) -> None:
        request = self._pending.get(reply.number)
        if request is None:
            raise ProtocolError(0, "REPLY", f"nothing with the number {reply.number} is under way.")
        if request.kind in {"execute", "take"}:
            assert self._meter is not None, "attached before anything is read"
            self._meter.arena = -1
        if request.kind != "execute":
            if size > _ANSWER_BYTES:
                raise ProtocolError(0, "REPLY", f"{size} bytes; {_ANSWER_BYTES} are allowed.")
            # What is offered by Tab is not printed, and nothing else bounds how often one asks.
            self._bytes -= size
        else:
            # A thread may ask while its cell ends; time would stand still for the next one.
            self._withdraw("eof")
        # What the gate refuses of it is the end of a cell that still runs.
        self._hearer.replied(reply)
        del self._pending[reply.number]

    def _ask(self, question: Question) -> None:
        self._questions += 1
        if self._asked is not None:
            raise ProtocolError(0, "INPUT", "a question while another one waits.")
        self._asked = time.monotonic()
        if not self._pending:
            self.answer(_NOBODY, "eof")
        elif self._interrupts.is_due(question.interrupts):
            self.answer("", "interrupted")
        else:
            self._hearer.asked(question)

    def patience(self) -> int:
        """Milliseconds until the next thing that must be looked at without being told."""
        now = time.monotonic()
        until = [self._sample_at]
        if self._pending and self._asked is None:
            if self.policy.timeout is not None:
                until.append(self._began + self.policy.timeout + self._answering)
            obeyed_by = self._interrupts.deadline()
            if obeyed_by is not None:
                until.append(obeyed_by)
        return max(0, int((min(until) - now) * 1000) + 1)

    def has_room(self) -> bool:
        """Tell whether the session may still say something."""
        return self._too_much() is None

    def verdict(self) -> CellStopped | None:
        """Why the session must end, if it must; looks at it where a look is due."""
        now = time.monotonic()
        if self._pending:
            overdue = self._overdue(now)
            if overdue is not None:
                return overdue
        if now >= self._sample_at:
            assert self._meter is not None
            self._stopped = self._meter.sample()
            cost = time.monotonic() - now
            least = _SAMPLE_SECONDS if self._pending else _IDLE_SECONDS
            self._sample_at = now + max(least, cost * _SAMPLE_DUTY)
        return self._stopped or self._too_much()

    def _overdue(self, now: float) -> CellStopped | None:
        limit = self.policy.timeout
        if limit is not None and self._asked is None:
            seconds = now - self._began - self._answering
            if seconds >= limit:
                return verdicts.out_of_time(self.policy, seconds)
        return self._interrupts.verdict(now)

    def _too_much(self) -> CellStopped | None:
        if self._bytes > self.policy.output:
            return verdicts.out_of_output(self.policy)
        if self._messages > self.policy.messages:
            return verdicts.out_of_messages(self.policy, self._messages)
        if self._questions > _QUESTIONS:
            return verdicts.asked_too_often(_QUESTIONS)
        return None
