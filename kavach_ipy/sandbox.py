"""`Sandbox`: one way through, from a policy and a cell to an `Outcome`.

::

    Policy ── survey, plan ── launch ── frames ──┬─ message ── gate.display, gate.text ── sink
                                                 └─ value ─── gate.values ── Outcome

Guarantees: what the sink hears and what the outcome holds has been through the gate; values are
read only after every process of the sandbox is dead.
Assumes: Linux; called in a thread that outlives the call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, assert_never

from kavach_ipy.errors import CellFailed, CellStopped, PolicyError, ProtocolError
from kavach_ipy.gate.allowance import Allowance
from kavach_ipy.gate.display import Shown
from kavach_ipy.gate.failures import failure_from
from kavach_ipy.gate.mimes import DisplayPolicy
from kavach_ipy.gate.outcome import Outcome
from kavach_ipy.gate.pace import Pace
from kavach_ipy.gate.streams import StreamName, Streams
from kavach_ipy.gate.text import clean_text
from kavach_ipy.gate.values import read_value
from kavach_ipy.gate.withheld import Withheld
from kavach_ipy.policy import Policy, check_secrets
from kavach_ipy.wire.arena import Arena
from kavach_ipy.wire.frames import Frame, Kind
from kavach_ipy.wire.messages import (
    RESULT,
    Message,
    answer_frame,
    read_done,
    read_input,
    read_message,
)

if TYPE_CHECKING:
    from kavach_ipy.launch.launcher import Ending
    from kavach_ipy.launch.link import Body

__all__ = ["RESULT", "Sandbox", "Sink"]


_PROMPT = 1000
"""Characters of an input() prompt that are shown."""


class Sink(Protocol):
    """Hears a running cell, in the parent, live and in order; everything has been filtered."""

    def stream(self, name: StreamName, text: str) -> None:
        """Take text that was printed."""

    def show(self, shown: Shown) -> None:
        """Take something that was displayed, updated or cleared."""

    def ask(self, prompt: str, *, password: bool) -> str:
        """Ask the user for a line; EOFError where input is off."""


class Sandbox:
    """Runs code in forked, confined children of this process, one at a time.

    Args:
        policy: what every run is allowed; the default profile where it is None.
        known_secrets: values that are overwritten in the memory of each forked child before its
            first line. That takes about 0.1 s for each GiB that this process holds.
        allow_trust: permit a policy with `trust`, under which what comes back is unpickled: a
            hostile cell then runs code in this process.
        allow_trust_display: permit a policy with `trust_display`, under which what is displayed
            reaches the sink as the cell made it.
        withheld_types: MIME types that are not shown although the gate could clean them, such as
            ``text/html`` or ``image/*``.

    Raises:
        PolicyError: a secret is too short to be told from other memory, or a type is none.

    A sandbox holds nothing between runs, so leaving the context manager only ends its use.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        known_secrets: Sequence[str] = (),
        allow_trust: bool = False,
        allow_trust_display: bool = False,
        withheld_types: Sequence[str] = (),
    ) -> None:
        self.policy = Policy() if policy is None else policy
        self._secrets = check_secrets(known_secrets)
        self._allow_trust = allow_trust
        self._allow_trust_display = allow_trust_display
        self._display = DisplayPolicy.of(withheld_types, is_trusted=self.policy.trust_display)
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed = True

    def run(
        self,
        code: str,
        *,
        inputs: Mapping[str, object] | None = None,
        out: Sequence[str] = (),
    ) -> Outcome:
        """Run Python source in a namespace of its own.

        Args:
            code: the source; the value of a last expression is `Outcome.result`.
            inputs: variables that it starts with. They are shared by the fork, not copied, and
                what the code does to them happens to nobody.
            out: names to bring back in `Outcome.values`.

        Raises:
            CannotEnforce, SetupFailed: nothing ran.
            PolicyError: the policy does not let such a name in or out.
        """
        from kavach_ipy.launch.script import script_body  # noqa: PLC0415 - needs Linux

        given = dict(inputs or {})
        self._check_names("inputs", given, self.policy.inputs)
        return self.execute(script_body(code, given), out=out)

    def execute(
        self,
        body: Body,
        *,
        out: Sequence[str] = (),
        sink: Sink | None = None,
        allow_input: bool = False,
    ) -> Outcome:
        """Run `body` in a child and wait for its end.

        In the main thread the first SIGINT becomes the cell's KeyboardInterrupt; a second, or none
        obeyed within two seconds, ends the sandbox.

        Args:
            body: called in the child with a `ChildLink`.
            out: names to bring back.
            sink: hears output live; it is collected in the outcome in any case.
            allow_input: let the cell's input() reach `Sink.ask`. While somebody is asked, no limit
                is watched, so this is for people who sit in front of it.

        Raises:
            CannotEnforce, SetupFailed: nothing ran.
            KeyboardInterrupt: SIGINT came before the cell ran, and nothing did.
            PolicyError: the policy does not let such a name out.
        """
        from kavach_ipy.launch.host import survey  # noqa: PLC0415 - needs Linux
        from kavach_ipy.launch.launcher import Job, launch  # noqa: PLC0415 - needs Linux
        from kavach_ipy.launch.plan import make_plan  # noqa: PLC0415 - needs Linux
        from kavach_ipy.launch.signals import handlers_later  # noqa: PLC0415 - needs Linux
        from kavach_ipy.linux.secrets import forms_of  # noqa: PLC0415 - needs Linux

        if self._closed:
            raise PolicyError("Sandbox", "closed", "open a new one; this one's block has ended")
        names = frozenset(out)
        self._check_names("outputs", names, self.policy.outputs)
        hearing = _Hearing(sink, allow_input, self.policy.trust, Pace(self._display))
        with handlers_later() as signals:
            plan = make_plan(
                self.policy,
                survey(self.policy),
                may_trust=self._allow_trust,
                may_trust_display=self._allow_trust_display,
            )
            if self.policy.trust:
                # Before the fork: the child may be another user, who cannot walk to it.
                import kavach_ipy.wire.stock  # noqa: F401, PLC0415
            if self._secrets:
                forms = tuple(form for secret in self._secrets for form in forms_of(secret))
                plan = replace(plan, secrets=forms)
            with Arena.create(self.policy.memory) as arena:
                ending = launch(plan, Job(body, arena, names), hearing, signals)
                with signals.let_through():
                    return hearing.outcome(ending, arena, names)

    def _check_names(
        self,
        option: str,
        names: Mapping[str, object] | frozenset[str],
        allowed: Sequence[str] | None,
    ) -> None:
        for name in names:
            if allowed is not None and name not in allowed:
                raise PolicyError(option, name, f"the policy allows {', '.join(allowed) or 'none'}")


@dataclass(slots=True)
class _Hearing:
    """Listens to one run, lets everything through the gate, and keeps what came out."""

    sink: Sink | None
    allow_input: bool
    is_stock: bool = False
    """The cell ran with `Policy.trust`, so its values are stock pickles."""
    pace: Pace = field(default_factory=lambda: Pace(DisplayPolicy()))
    streams: Streams = field(default_factory=Streams)
    outputs: list[Shown] = field(default_factory=list)
    texts: dict[StreamName, list[str]] = field(default_factory=lambda: {"stdout": [], "stderr": []})
    values: list[Frame] = field(default_factory=list)
    failure: CellFailed | None = None

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
            case Kind.READY | Kind.GO | Kind.ANSWER:
                raise ProtocolError(0, frame.kind.name, "the cell may not say that.")
            case _:
                assert_never(frame.kind)
        return None

    def output(self, name: StreamName, data: bytes) -> None:
        """Take bytes that native code or a subprocess wrote."""
        self._text(name, self.streams.feed_bytes(name, data))

    def _message(self, message: Message) -> None:
        if message.msg_type == "stream":
            self._text(*self.streams.feed(message))
            return
        self._show(self.pace.hear(message))

    def _show(self, all_shown: list[Shown]) -> None:
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

    def _ask(self, frame: Frame) -> Frame:
        question = read_input(frame)
        if self.sink is None or not self.allow_input:
            return answer_frame("", "eof")
        prompt = clean_text(question.prompt, _PROMPT)
        try:
            return answer_frame(self.sink.ask(prompt, password=question.is_password))
        except EOFError:
            return answer_frame("", "eof")
        except KeyboardInterrupt:
            return answer_frame("", "interrupted")

    def outcome(self, ending: Ending, arena: Arena, names: frozenset[str]) -> Outcome:
        """Put the outcome together once the sandbox is dead."""
        for name, text in self.streams.finish():
            self._text(name, text)
        self._show(self.pace.release())
        self._text("stderr", self.pace.left_out())
        values, withheld, stopped = self._values(arena, names)
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
        self, arena: Arena, names: frozenset[str]
    ) -> tuple[dict[str, object], dict[str, Withheld], CellStopped | None]:
        values: dict[str, object] = {}
        withheld: dict[str, Withheld] = {}
        asked = names | {RESULT}
        allowance = Allowance()
        try:
            with arena.seal() as sealed:
                for frame in self.values:
                    name, value = read_value(
                        frame, sealed, asked, allowance, is_stock=self.is_stock
                    )
                    if isinstance(value, Withheld):
                        withheld[name] = value
                    else:
                        values[name] = value
        except ProtocolError as error:
            return {}, {}, CellStopped("protocol", str(error), "", "Nothing was brought back.")
        return values, withheld, None
