"""What is heard of one cell, and what becomes of it: from frames to an `Outcome`.

::

    frames ──┬─ message ── gate.display, gate.text ── sink
             └─ value ─── gate.values ── Outcome

Guarantees: what the sink hears and what the outcome holds has been through the gate; values are
read only from memory that nobody can change any more.
Assumes: frames come in the order in which they were sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from kavach_ipy.errors import CellFailed, CellStopped, ProtocolError
from kavach_ipy.gate.allowance import Allowance
from kavach_ipy.gate.display import Shown
from kavach_ipy.gate.failures import failure_from, shown_failure
from kavach_ipy.gate.mimes import DisplayPolicy
from kavach_ipy.gate.outcome import Outcome
from kavach_ipy.gate.pace import Pace
from kavach_ipy.gate.rows import Rows
from kavach_ipy.gate.streams import StreamName, Streams
from kavach_ipy.gate.text import clean_prompt
from kavach_ipy.gate.values import read_value
from kavach_ipy.gate.withheld import Withheld
from kavach_ipy.wire.arena import Arena
from kavach_ipy.wire.frames import Frame, Kind
from kavach_ipy.wire.messages import (
    RESULT,
    Message,
    answer_frame,
    read_done,
    read_error,
    read_input,
    read_message,
)
from kavach_ipy.wire.value_frames import carried_bytes

if TYPE_CHECKING:
    from kavach_ipy.launch.launcher import Ending

__all__ = ["Hearing", "Progress", "Sink"]

_OFF = "input() is off in a sandboxed cell: to let it ask you, run it by %%sandbox --stdin."
_NOBODY = "input() has nobody to ask here: the sandbox was started without a sink."
_LONGEST_LINE = 1 << 20
"""Characters of an answer, which is one frame."""

Progress: TypeAlias = Callable[[float, int, int], None]
"""Takes seconds since the cell began, bytes of new memory, and the number of processes."""


class Sink(Protocol):
    """Hears a running cell, in the parent, live and in order; everything has been filtered.

    One with a true attribute `is_terminal` writes both streams to one terminal, and nothing else in
    between: text may go up within what the cell has printed, as progress bars do.
    """

    def stream(self, name: StreamName, text: str) -> None:
        """Take text that was printed."""

    def show(self, shown: Shown) -> None:
        """Take something that was displayed, updated or cleared."""

    def error(self, failure: CellFailed) -> None:
        """Take an error that the cell went on after."""

    def ask(self, prompt: str, *, password: bool) -> str:
        """Ask the user for a line, with a mark in front that says who asks.

        Called only where the policy has `stdin`. Raises EOFError, with the reason, where nobody can
        be asked; SIGINT has to end it.
        """


@dataclass(slots=True)
class Hearing:
    """Listens to one run, lets everything through the gate, and keeps what came out."""

    sink: Sink | None
    may_ask: bool
    is_stock: bool = False
    """The cell ran with `Policy.trust`, so its values are stock pickles."""

    progress: Progress | None = None
    pace: Pace = field(default_factory=lambda: Pace(DisplayPolicy()))
    streams: Streams = field(default_factory=Streams)
    outputs: list[Shown] = field(default_factory=list)
    texts: dict[StreamName, list[str]] = field(default_factory=lambda: {"stdout": [], "stderr": []})
    values: list[Frame] = field(default_factory=list)
    failure: CellFailed | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes that each value had on its way back."""

    peaks: tuple[int, int] | None = None
    """Most bytes of new memory and most processes that were seen; None before the first look."""

    def __post_init__(self) -> None:
        """Count rows where the sink is a terminal."""
        if getattr(self.sink, "is_terminal", False):
            self.streams = Streams(Rows())

    def frame(self, frame: Frame) -> Frame | None:
        """Take one frame; the answer to a question."""
        match frame.kind:
            case Kind.MESSAGE:
                self._message(read_message(frame))
            case Kind.VALUE | Kind.UNSENT:
                # Read when the sandbox is dead: until then its memory may still change.
                self.values.append(frame)
            case Kind.INPUT:
                return self._ask(frame)
            case Kind.DONE:
                self.failure = failure_from(read_done(frame))
            case _:
                raise ProtocolError(0, frame.kind.name, "the cell may not say that.")
        return None

    def output(self, name: StreamName, data: bytes) -> None:
        """Take bytes that native code or a subprocess wrote."""
        self._text(name, self.streams.feed_bytes(name, data))

    def usage(self, seconds: float, memory: int, processes: int) -> None:
        """Take what was seen of the cell from outside."""
        most = self.peaks or (0, 0)
        self.peaks = (max(memory, most[0]), max(processes, most[1]))
        if self.progress is not None:
            self.progress(seconds, memory, processes)

    def _message(self, message: Message) -> None:
        if message.msg_type == "stream":
            self._text(*self.streams.feed(message))
            return
        if message.msg_type == "error":
            self._error(shown_failure(read_error(message)))
            return
        self._show(self.pace.hear(message))

    def _settle(self) -> None:
        """Go below all that the cell has printed: something else comes next."""
        below = self.streams.settle()
        if below and self.sink is not None:
            self.sink.stream("stdout", below)

    def _show(self, all_shown: list[Shown]) -> None:
        if all_shown:
            self._settle()
        for shown in all_shown:
            self.outputs.append(shown)
            if self.sink is not None:
                self.sink.show(shown)

    def _text(self, name: StreamName, text: str) -> None:
        if text:
            self._show(self.pace.release())
            self.texts[name].append(text)
            if self.sink is not None:
                self.sink.stream(name, text)

    def _error(self, failure: CellFailed) -> None:
        self._show(self.pace.release())
        self._settle()
        self.texts["stderr"].append("\n".join((*failure.lines, "")))
        if self.sink is not None:
            self.sink.error(failure)

    def _ask(self, frame: Frame) -> Frame:
        question = read_input(frame)
        if self.sink is None or not self.may_ask:
            return answer_frame(_NOBODY if self.may_ask else _OFF, "eof")
        self._settle()
        try:
            line = self.sink.ask(clean_prompt(question.prompt), password=question.is_password)
        except EOFError as error:
            return answer_frame(str(error), "eof")
        return answer_frame(line[:_LONGEST_LINE])

    def outcome(
        self, ending: Ending, arena: Arena, names: frozenset[str], *, is_session: bool
    ) -> Outcome:
        """Put the outcome together once the sandbox is dead, or once its cell is over."""
        for name, text in self.streams.finish():
            self._text(name, text)
        self._show(self.pace.release())
        self._settle()
        self._text("stderr", self.pace.left_out())
        values, withheld, stopped = self._values(
            arena, names, lives_on=is_session and ending.lives_on
        )
        failure: CellFailed | CellStopped | None = ending.stopped or stopped or self.failure
        result = values.pop(RESULT, withheld.pop(RESULT, None))
        return Outcome(
            result=result,
            values=values,
            stdout="".join(self.texts["stdout"]),
            stderr="".join(self.texts["stderr"]),
            outputs=tuple(self.outputs),
            failure=failure,
            withheld=withheld,
            report=ending.report,
            seconds=ending.seconds,
        )

    def _values(
        self, arena: Arena, names: frozenset[str], *, lives_on: bool
    ) -> tuple[dict[str, object], dict[str, Withheld], CellStopped | None]:
        values: dict[str, object] = {}
        withheld: dict[str, Withheld] = {}
        asked = names | {RESULT}
        allowance = Allowance()
        try:
            with arena.take() if lives_on else arena.seal() as sealed:
                for frame in self.values:
                    name, value = read_value(
                        frame, sealed, asked, allowance, is_stock=self.is_stock
                    )
                    if isinstance(value, Withheld):
                        withheld[name] = value
                    else:
                        values[name] = value
                        self.sizes[name] = carried_bytes(frame)
        except ProtocolError as error:
            return {}, {}, CellStopped("protocol", str(error), "", "Nothing was brought back.")
        return values, withheld, None
