"""The broker: what a kernel is asked to run, run by one sandboxed session.

::

    kernel's loop ── Broker.execute ──▶ Service.submit ──▶ session
    kernel's loop ◀── a future ── Ear, in the service's thread ◀── replies, through the gate
    front end ◀── Origins, in that thread ◀── output, through the gate

The kernel's loop only ever awaits, so the kernel answers its front end whatever a cell does.

Guarantees: no user code runs in this process; a cell runs only in a verified session; a session
that dies ends its cell with one error that says why, and the next cell says once that the variables
are gone.
Assumes: every method but `interrupt` is called in the kernel's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from kavach_ipy.errors import CellStopped, KavachError, PolicyError, ProtocolError
from kavach_ipy.front.attempts import Attempt, Attempts, new_session
from kavach_ipy.front.broker_commands import command_in, run_broker_command
from kavach_ipy.front.broker_comms import Handed, Messages, hand_on
from kavach_ipy.front.ear import Asked, Ear
from kavach_ipy.front.early import Early
from kavach_ipy.front.execution import (
    Execution,
    accept,
    failure_in,
    in_words,
    interruptible,
    refuse,
    request_of,
)
from kavach_ipy.front.lookups import Lookups
from kavach_ipy.front.making import Made, check_still_allowed, first_words, make_service
from kavach_ipy.front.questions import Asking
from kavach_ipy.front.recording import Recorder, finish
from kavach_ipy.front.tightening import by_first_line, by_metadata
from kavach_ipy.front.undone import Sent, go_back
from kavach_ipy.launch.session import first_line

if TYPE_CHECKING:
    from kavach_ipy.front.origins import Origin
    from kavach_ipy.front.settings import Kavach
    from kavach_ipy.front.switch import Switch
    from kavach_ipy.launch.layers import ConfinementReport
    from kavach_ipy.policy import Policy
    from kavach_ipy.wire.documents import Json
    from kavach_ipy.wire.messages import Question
    from kavach_ipy.wire.service import RequestKind

__all__ = ["Broker"]


class Broker:
    """Runs the cells of one kernel in a session."""

    def __init__(
        self,
        kernel: Any,
        settings: Kavach,
        path: list[str] | None = None,
        startup: dict[str, Json] | None = None,
        switch: Switch | None = None,
    ) -> None:
        """Begin without a session.

        Args:
            kernel: whose cells are run; its shell keeps the count and the history.
            settings: what the session may do; read when one begins.
            path: where the session finds modules; None for this process's own.
            startup: what it runs before its first cell (`front.startup_files`).
            switch: what turns the broker off; None where the kernel has nothing else.
        """
        self._kernel = kernel
        self._settings = settings
        self._path = path
        self._switch = switch
        self._startup = startup or {"profile": {}, "config": {}}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn: asyncio.Lock | None = None
        self._made: Made | None = None
        self._ear: Ear | None = None
        self._number = 0
        self._lost: KavachError | None = None
        self._running: Execution | None = None
        self.asking = Asking(kernel)
        self.lookups = Lookups(self, kernel)
        self.recorder = Recorder(kernel, settings)
        self._last = ""
        self._early = Early()
        self._messages = Messages()

    @property
    def is_busy(self) -> bool:
        """Whether a cell runs, or waits for its turn."""
        return self._turn is not None and self._turn.locked()

    @property
    def idle(self) -> Made | None:
        """The session, where it has begun and no cell runs in it."""
        return None if self.is_busy else self._living

    @property
    def _living(self) -> Made | None:
        made = self._made
        return made if made is not None and made.service.pid else None

    @property
    def pid(self) -> int:
        """The session's process, as this process numbers it; 0 where there is none."""
        return 0 if self._made is None else self._made.service.pid

    @property
    def report(self) -> ConfinementReport | None:
        """What was verified of the session; None where there is none."""
        return None if self._ear is None else self._ear.report

    def start(self) -> None:
        """Begin a session, so that the first cell need not wait for one.

        Raises:
            KavachError: the settings contradict each other, or the log cannot be hidden.
            UsageError: a hook of the audit cannot be imported.
        """
        if self._made is None:
            loop = self._bind()
            ear = Ear(self, self._kernel, loop)
            words = first_words(self._path, self._kernel.shell.execution_count, self._startup)
            self._made = make_service(self._settings, ear, words, self.recorder.hiding)
            self._ear = ear
            ear.display(self._made)
            self._made.service.start()

    async def execute(self, cell: Execution) -> dict[str, Any]:
        """Run a cell; the content of its reply."""
        self._bind()
        assert self._turn is not None
        async with self._turn:
            with self._early.cell(), interruptible(self.interrupt):
                return await self._execute(cell)

    async def _execute(self, cell: Execution) -> dict[str, Any]:
        shell = self._kernel.shell
        count = shell.execution_count
        command = command_in(cell.code)
        if cell.store_history and not cell.silent and cell.code.strip():
            shell.history_manager.store_inputs(count, cell.code, cell.code)
        if command is not None:
            return await self._command(cell, command, count)
        attempts = Attempts(self, self._early, lambda: self._attempt(cell, count))
        try:
            tight = (await attempts.begin()).tight
        except (KavachError, UsageError, KeyboardInterrupt) as error:
            return refuse(self._kernel, cell, count, error)
        self._running = cell
        try:
            async with self.recorder.cell(tight.code, tight.policy) as record:
                try:
                    answer = await attempts.run()
                except CellStopped as stopped:
                    finish(record, attempts.last.sent.origin, attempts.last.report, stopped)
                    raise
                last = attempts.last
                finish(record, last.sent.origin, last.report, failure_in(answer))
        except (KavachError, UsageError) as error:
            told = in_words(error, is_restored=attempts.last.ear is self._ear)
            return refuse(self._kernel, cell, count, told)
        finally:
            self._running = None
            self._last = first_line(cell.code)
            self.asking.stop()
        return self._take(answer, count)

    async def _attempt(self, cell: Execution, count: int) -> Attempt:
        """Have a session for a cell, and what it is sent."""
        made, ear = await self._session()
        check_still_allowed(made.policy, self._settings)
        policy = by_metadata(made.policy, cell.metadata)
        tight = by_first_line(policy, cell.code, self._settings)
        origin = ear.origins.add(cell.parent, count, is_cell=True)
        lost, self._lost = self._lost, None
        if lost is not None:
            ear.origins.note(origin, new_session(lost))
        self.lookups.give_way(made.service)
        sent = Sent(cell.parent, cell.content(tight.code, count), tight.policy, origin)
        return Attempt(ear, ear.report, sent, tight)

    def was_sent(self) -> None:
        """Hand on an interrupt that came before the session was told of the cell."""
        if self._early.was_sent() and self._made is not None:
            self._made.service.interrupt(self._number)

    async def _command(self, cell: Execution, line: str, count: int) -> dict[str, Any]:
        """Answer a cell that is ``%kavach …``."""
        try:
            await run_broker_command(line, self, self._settings, self._switch)
        except (KavachError, UsageError) as error:
            return refuse(self._kernel, cell, count, error)
        return accept(self._kernel, cell, count)

    def _take(self, reply: dict[str, Any], count: int) -> dict[str, Any]:
        """Adopt what the session says of the count, and of the kernel's end."""
        shell = self._kernel.shell
        # A session that could choose would choose one that no session can count to.
        if reply["execution_count"] not in {count - 1, count}:
            reply["execution_count"] = count
        shell.execution_count = max(count, reply["execution_count"] + 1)
        if reply["payload"] and not reply["payload"][0]["keepkernel"]:
            self.end(wait=False)
            shell.exit_now = True
        return reply

    async def comm(self, kind: RequestKind, parent: Mapping[str, Any]) -> None:
        """Hand on a message to a widget: the one place where such messages enter a session."""
        self._bind()
        await self._messages.take(self._hand_on(kind, parent), is_late=self.is_busy)

    async def _hand_on(self, kind: RequestKind, parent: Mapping[str, Any]) -> None:
        assert self._turn is not None
        async with self._turn:
            made, ear = self._living, self._ear
            # The widgets of a session end with it.
            if made is not None and ear is not None:
                with interruptible(self.interrupt):
                    count = self._kernel.shell.execution_count
                    await hand_on(self, ear.origins, Handed(kind, parent, count, made.policy))

    def comms(self) -> dict[str, str]:
        """Return the comms that the front end knows of the session, with their targets."""
        return {} if self._ear is None else self._ear.origins.widgets.targets()

    def note(self, origin: Origin, text: str) -> None:
        """Publish a line of ours below a cell."""
        if self._ear is not None:
            self._ear.origins.note(origin, text)

    def submit(  # noqa: PLR0913, PLR0917 - a request has these parts
        self,
        kind: RequestKind,
        parent: Mapping[str, Any],
        content: dict[str, Any],
        policy: Policy,
        origin: Origin | None = None,
        arena: int = -1,
    ) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        """Ask the session for something; the number of the request, and its reply to come.

        An arena goes along with a cell that is to be undone, and with what takes from it.

        Raises:
            KavachError: why there will be none.
        """
        made, ear = self._made, self._ear
        if made is None or ear is None:
            raise CellStopped("session", "it has ended before")
        self._number += 1
        request = request_of(self._number, kind, parent, content)
        future = ear.expect(Asked(request, origin))
        try:
            if not made.service.submit(request, policy, arena):
                ear.forget(request.number)
                raise PolicyError(kind, "one more", "more waits for the session than it reads")
        except ProtocolError as error:
            ear.forget(request.number)
            raise PolicyError(kind, f"{len(str(content))} characters", error.detail) from None
        return request.number, future

    async def _session(self) -> tuple[Made, Ear]:
        """Have a session that has begun.

        Raises:
            KavachError: why there can be none.
            KeyboardInterrupt: the user did not wait for it.
        """
        if self._made is None or self._made.service.is_over:
            self._made = None
            self.start()
        made, ear = self._made, self._ear
        assert made is not None
        assert ear is not None
        await self._early.wait_for(ear.ready)
        return made, ear

    def over(self, ear: Ear, reason: KavachError, *, had_begun: bool) -> None:
        """Take the end of a session."""
        if ear is self._ear:
            self._made = self._ear = None
            if had_begun:
                self._lost = reason

    async def go_back(self) -> str:
        """Bring back what the session was before its last cell; that cell's first line.

        Raises:
            PolicyError: there is nothing to go back to, and why.
        """
        await go_back(self._living, self._ear)
        return self._last

    def interrupt(self, *_: object) -> None:
        """Interrupt the cell that runs; made for a signal handler."""
        made = self._made
        # While a cell or a widget has its turn, nothing else is submitted; else it is nobody's.
        if not self._early.note() and made is not None and self.is_busy:
            made.service.interrupt(self._number)

    def ask(self, ear: Ear, question: Question) -> None:
        """Ask the user what the session asks."""
        made, cell = self._made, self._running
        if made is None or ear is not self._ear:
            return
        if cell is None or not made.policy.stdin or not cell.allow_stdin:
            made.service.answer("input() is off: see c.Kavach.stdin.", "eof")
        else:
            self.asking.ask(cell, question, made.service.answer)

    def end(self, *, wait: bool = True) -> None:
        """End the session."""
        made, self._made, self._ear = self._made, None, None
        if made is not None:
            made.service.end(wait=wait)

    def close(self) -> None:
        """End the session, and the log of its cells."""
        self.end()
        self.recorder.close()

    def _bind(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_event_loop()
            self._turn = asyncio.Lock()
        return self._loop
