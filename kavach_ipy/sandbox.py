"""`Sandbox`: one way through, from a policy and a cell to an `Outcome`.

::

    Policy ── survey, plan ── launch ── frames ── hearing ── gate ── Outcome

Guarantees: what the sink hears and what the outcome holds has been through the gate; values are
read only after every process of the sandbox is dead, or, where it is a session that lives on, from
a copy of its memory, which it has no more.
Assumes: Linux; called in a thread that outlives the call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from kavach_ipy.audit.source import CellSource
from kavach_ipy.errors import CellStopped, PolicyError
from kavach_ipy.gate.mimes import DisplayPolicy
from kavach_ipy.gate.pace import Pace
from kavach_ipy.hearing import Hearing, Progress, Sink
from kavach_ipy.policy import Network, Policy, check_secrets
from kavach_ipy.policy.names import check_names
from kavach_ipy.wire.arena import Arena
from kavach_ipy.wire.messages import RESULT
from kavach_ipy.wire.trusted import trusted

if TYPE_CHECKING:
    from kavach_ipy.audit.record import Audit
    from kavach_ipy.gate.outcome import Outcome
    from kavach_ipy.launch.launcher import Ending
    from kavach_ipy.launch.link import Body
    from kavach_ipy.launch.plan import Plan
    from kavach_ipy.launch.sessions import Sessions
    from kavach_ipy.launch.signals import Signals
    from kavach_ipy.wire.documents import Json

__all__ = ["RESULT", "FreshTask", "Progress", "Sandbox", "Sink"]

_SCRIPT = "kavach_ipy.fresh:ScriptRunner"


@dataclass(frozen=True, slots=True)
class FreshTask:
    """What is run in a fresh interpreter."""

    entry: str
    """``module:name`` of the runner, which a zygote imports."""

    document: dict[str, Json] = field(default_factory=dict)
    """For the runner."""

    source: CellSource | None = None
    """For the record."""

    throw_away: bool = False
    """In a session: undo it when it is over; what comes back is all that is left of it."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What every way of running a cell is given."""

    arena: Arena
    names: frozenset[str]
    hearing: Hearing
    signals: Signals


class Sandbox:
    """Runs code in forked, confined children of this process, one at a time.

    Args:
        policy: what every run is allowed; the default profile where it is None.
        known_secrets: values that are overwritten in the memory of each forked child before its
            first line. That takes about 0.1 s for each GiB that this process holds.
        allow_trust: permit a policy with `trust`: a hostile cell then runs code in this process.
        preload: modules that fresh interpreters (`Policy.clean`) have loaded when a cell begins.
            They are imported once, without any confinement, and not before they are needed.
        sessions: where the session that the policy names lives on. Without them, sessions are this
            object's own, and end with its block, or with this process.
        checkpoint: its own sessions keep what they were before their last cell, and a cell that is
            stopped costs no more than what it did.
        allow_trust_display: permit a policy with `trust_display`, under which what is displayed
            reaches the sink as the cell made it.
        withheld_types: MIME types that are not shown although the gate could clean them, such as
            ``text/html`` or ``image/*``.
        audit: records each cell; None for no record.

    Raises:
        PolicyError: a secret is too short to be told from other memory, or a type is none.

    But for sessions, a sandbox holds nothing between runs.
    """

    def __init__(  # noqa: PLR0913 - one keyword an allowance; no caller passes many.
        self,
        policy: Policy | None = None,
        *,
        known_secrets: Sequence[str] = (),
        allow_trust: bool = False,
        preload: Sequence[str] = (),
        sessions: Sessions | None = None,
        checkpoint: bool = True,
        allow_trust_display: bool = False,
        withheld_types: Sequence[str] = (),
        audit: Audit | None = None,
    ) -> None:
        self.policy = Policy() if policy is None else policy
        self._secrets = check_secrets(known_secrets)
        self._allow_trust = allow_trust
        self._preload = tuple(preload)
        self._sessions = sessions
        self._own_sessions: Sessions | None = None
        self._checkpoint = checkpoint
        self._allow_trust_display = allow_trust_display
        self._display = DisplayPolicy.of(withheld_types, is_trusted=self.policy.trust_display)
        self._audit = audit
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        if self._own_sessions is not None:
            self._own_sessions.end_all()

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
                what the code does to them happens to nobody. Under `Policy.clean` they are sent,
                and must be of types that also come back.
            out: names to bring back in `Outcome.values`.

        Raises:
            CannotEnforce, SetupFailed: nothing ran.
            PolicyError: the policy does not let such a name in or out, or an input cannot go into a
                fresh interpreter.
        """
        from kavach_ipy.launch.script import script_body  # noqa: PLC0415 - needs Linux

        given = dict(inputs or {})
        check_names("inputs", given, self.policy.inputs)
        if self.policy.clean:
            return self.execute_fresh(
                FreshTask(_SCRIPT, {"code": code}, CellSource(code)), inputs=given, out=out
            )
        return self.execute(script_body(code, given), out=out, source=CellSource(code))

    def try_out(
        self, code: str, *, inputs: Mapping[str, object] | None = None, out: Sequence[str] = ()
    ) -> Outcome:
        """Run Python source in a session, and undo it; only `out` is brought back into the session.

        Args:
            code: as for `run`; the processes that earlier cells have started end with it.
            inputs: as for `run`.
            out: names to bring back, into the session and in `Outcome.values`.

        Raises:
            CannotEnforce, SetupFailed: nothing ran.
            PolicyError: as for `run`; or the session cannot be brought back, and nothing ran.
        """
        given = dict(inputs or {})
        check_names("inputs", given, self.policy.inputs)
        task = FreshTask(_SCRIPT, {"code": code}, CellSource(code), throw_away=True)
        outcome = self.execute_fresh(task, inputs=given, out=out)
        if outcome.failure is None and outcome.values:
            self.execute_fresh(FreshTask(_SCRIPT, {"code": ""}), inputs=outcome.values).check()
        return outcome

    def execute(
        self,
        body: Body,
        *,
        out: Sequence[str] = (),
        sink: Sink | None = None,
        progress: Progress | None = None,
        source: CellSource | None = None,
    ) -> Outcome:
        """Run `body` in a child and wait for its end.

        In the main thread the first SIGINT becomes the cell's KeyboardInterrupt; a second, or none
        obeyed within two seconds, ends the sandbox.

        Args:
            body: called in the child with a `ChildLink`.
            out: names to bring back.
            sink: hears output live; it is collected in the outcome in any case. Where the policy
                has `stdin`, its `ask` is what input() of the cell calls, and the time until it
                returns does not count towards `timeout`.
            progress: is told what the cell uses, a few times a second.
            source: what `body` runs, for the record.

        Raises:
            CannotEnforce, SetupFailed: nothing ran.
            KeyboardInterrupt: SIGINT came before the cell ran, and nothing did.
            PolicyError: the policy does not let such a name out, or has the host's network.
        """
        if self.policy.network is Network.HOST:
            raise PolicyError(
                "network",
                self.policy.network.value,
                "a forked child knows the keys and ports of this process; execute_fresh is",
            )
        from kavach_ipy.launch.launcher import Job, launch  # noqa: PLC0415 - needs Linux

        def run(plan: Plan, run: _Run) -> Ending:
            if self._secrets:
                plan = replace(plan, secrets=self._forms())
            return launch(plan, Job(body, run.arena, run.names), run.hearing, run.signals)

        return self._recorded(source, lambda: self._execute(run, out, sink, progress))

    def execute_fresh(
        self,
        task: FreshTask,
        *,
        inputs: Mapping[str, object] | None = None,
        out: Sequence[str] = (),
        sink: Sink | None = None,
        progress: Progress | None = None,
    ) -> Outcome:
        """Run a task in a fresh interpreter and wait for its end.

        Args:
            task: what is run there.
            inputs: variables to send.
            out: as for `execute`.
            sink: as for `execute`.
            progress: as for `execute`.

        Raises:
            CannotEnforce, SetupFailed, KeyboardInterrupt: as for `execute`.
            PolicyError: also where an input cannot be sent, or a module cannot be loaded.
        """
        from kavach_ipy.launch.launcher import FreshJob, launch_fresh  # noqa: PLC0415 - needs Linux
        from kavach_ipy.launch.sessions import Sessions  # noqa: PLC0415 - needs Linux
        from kavach_ipy.launch.verdicts import in_session, restored  # noqa: PLC0415 - needs Linux
        from kavach_ipy.launch.zygotes import Breed  # noqa: PLC0415 - needs Linux
        from kavach_ipy.wire.inputs import pack_inputs  # noqa: PLC0415 - not for a fork

        given = dict(inputs or {})
        name = self.policy.session
        if self._sessions is None and name is not None:
            self._sessions = self._own_sessions = Sessions(checkpoint=self._checkpoint)
        sessions = self._sessions
        ended: list[Ending] = []

        def run(plan: Plan, run: _Run) -> Ending:
            packed = pack_inputs(given, self.policy.memory, self._forms(), lives_on=bool(name))
            with packed.arena:
                # Without values there is nothing to send.
                memory = packed.arena.fd if given else -1
                document: dict[str, Json] = {
                    **task.document,
                    "inputs": [*sorted(given)],
                    "frames": [*packed.frames],
                    "trusted": [*trusted()],
                }
                breed = Breed(plan.environment, task.entry, self._preload)
                if name is None or sessions is None or not sessions.has(name):
                    document["path"] = [*sys.path]
                job = FreshJob(breed, document, run.arena, memory, run.names)
                if name is None or sessions is None:
                    return launch_fresh(plan, job, run.hearing, run.signals)
                ended.append(
                    sessions.run(plan, job, run.hearing, run.signals, throw_away=task.throw_away)
                )
                return ended[-1]

        outcome = self._recorded(task.source, lambda: self._execute(run, out, sink, progress))
        if name is not None and isinstance(outcome.failure, CellStopped):
            assert sessions is not None
            if ended and ended[-1].is_restored:
                return replace(outcome, failure=restored(name, outcome.failure))
            # Also where it does not let go of memory that was to be emptied.
            sessions.end(name)
            return replace(outcome, failure=in_session(name, outcome.failure))
        return outcome

    def _recorded(
        self, source: CellSource | None, execute: Callable[[], tuple[Outcome, Hearing]]
    ) -> Outcome:
        """Run a cell, and record what becomes of it where that is asked for."""
        if self._audit is None:
            return execute()[0]
        with self._audit.cell(source or CellSource(""), self.policy) as record:
            outcome, hearing = execute()
            record.finished(outcome, hearing.sizes, hearing.peaks)
            return outcome

    def _execute(
        self,
        run: Callable[[Plan, _Run], Ending],
        out: Sequence[str],
        sink: Sink | None,
        progress: Progress | None,
    ) -> tuple[Outcome, Hearing]:
        from kavach_ipy.launch.host import survey  # noqa: PLC0415 - needs Linux
        from kavach_ipy.launch.plan import make_plan  # noqa: PLC0415 - needs Linux
        from kavach_ipy.launch.signals import handlers_later  # noqa: PLC0415 - needs Linux

        if self._closed:
            raise PolicyError("Sandbox", "closed", "open a new one; this one's block has ended")
        names = frozenset(out)
        check_names("outputs", names, self.policy.outputs)
        hearing = Hearing(sink, self.policy.stdin, self.policy.trust, progress, Pace(self._display))
        policy = self.policy if self._audit is None else self._audit.hiding(self.policy)
        name = policy.session
        with handlers_later() as signals:
            plan = make_plan(
                policy,
                survey(policy),
                may_trust=self._allow_trust,
                may_trust_display=self._allow_trust_display,
            )
            if self.policy.trust:
                # Before the fork: the child may be another user, who cannot walk to it.
                import kavach_ipy.wire.stock  # noqa: F401, PLC0415
            with Arena.create(self.policy.memory) as arena:
                ending = run(plan, _Run(arena, names, hearing, signals))
                try:
                    with signals.let_through():
                        outcome = hearing.outcome(ending, arena, names, is_session=bool(name))
                        return outcome, hearing
                except BaseException:
                    # Its user did not wait, and a session may have it still.
                    if name is not None and self._sessions is not None:
                        self._sessions.take_back(name, arena.fd)
                    raise

    def _forms(self) -> tuple[bytes, ...]:
        """Every form in which a known secret may stand in memory."""
        from kavach_ipy.linux.secrets import forms_of  # noqa: PLC0415 - needs Linux

        return tuple(form for secret in self._secrets for form in forms_of(secret))
