"""`Audit`: the one entry point, for every way in which a cell runs.

::

    with audit.cell(source, policy) as record:      # CannotEnforce: nothing runs
        outcome = …                                 # whatever leaves here is recorded
        record.finished(outcome, sizes, peaks)

Guarantees: where the mode is "required", the block is entered only once the beginning of the cell
stands in the log. Leaving it raises nothing of its own, and waits for a bounded time. What could
not be written is kept, and written before anything else once that is possible.
Assumes: its caller is in the kernel process.
"""

from __future__ import annotations

import atexit
import errno
import os
import resource
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from kavach_ipy.audit.events import (
    Event,
    beginning,
    ending,
    members_of,
    now,
    opening,
    refusal,
    who,
)
from kavach_ipy.audit.files import AuditProblem, default_directory
from kavach_ipy.audit.hiding import without
from kavach_ipy.audit.hooks import LOGGER, Hook, call_hooks
from kavach_ipy.audit.log import Log
from kavach_ipy.audit.source import CellSource
from kavach_ipy.errors import CannotEnforce
from kavach_ipy.policy.auditing import AuditMode

if TYPE_CHECKING:
    from kavach_ipy.gate.outcome import Outcome
    from kavach_ipy.policy import Policy

__all__ = ["Audit", "Recording"]

_PATIENCE: Final = {AuditMode.ON: 0.25, AuditMode.REQUIRED: 5.0}
"""Seconds for an answer that usually takes a tenth of a millisecond: the disk may be stuck."""

_AGAIN_SECONDS: Final = 30.0
"""Before the next attempt, where the mode is "on" and the last one took all of its patience."""

_KEPT: Final = 100
"""Events that are kept until they can be written."""


class Recording:
    """One cell, from its beginning to its event."""

    def __init__(self, began: Event) -> None:
        self._began = began
        self._start = time.monotonic()
        self._cpu = _cpu_of_children()
        self._end: Event = {}

    def finished(
        self, outcome: Outcome, sizes: Mapping[str, int], peaks: tuple[int, int] | None
    ) -> None:
        """Take what became of the cell; the arguments are those of `events.ending`."""
        is_over = self._began["way"] != "session"
        self._end = ending(
            outcome, sizes, peaks, _cpu_of_children() - self._cpu if is_over else None
        )

    def counted(self, counts: Mapping[str, int]) -> None:
        """Take what a cell has shown, where it is counted and not kept."""
        resources = self._end.get("resources")
        if isinstance(resources, dict):
            resources.update(counts)

    def failed(self, error: BaseException) -> None:
        """Take why there is no outcome."""
        self._end = self._end or refusal(error)

    def event(self, of: Event) -> Event:
        """Return the event; ``of`` is whose kernel this is."""
        took = round(time.monotonic() - self._start, 6)
        return {**self._began, "ended": now(), "seconds": took, "who": of, **self._end}


class Audit:
    """Records the cells of one kernel process.

    Args:
        mode: whether a cell may run that is not recorded.
        directory: where logs go; ``~/.local/state/kavach/audit`` where it is empty.
        key: path of a key file; each log has one of its own, beside it, where it is empty.
        with_code: keep the text of cells, and not their hash alone.
        hooks: callables that hear each event, besides those of `add_hook`.
        warn: is told, in a line, what could not be written; by default the logger.
    """

    def __init__(  # noqa: PLR0913 - one keyword a setting.
        self,
        mode: AuditMode | str = AuditMode.ON,
        *,
        directory: str = "",
        key: str = "",
        with_code: bool = False,
        hooks: Sequence[Hook] = (),
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self.mode = AuditMode(mode)
        self.directory = os.path.abspath(directory or default_directory())
        self._key = os.path.abspath(key) if key else ""
        self._with_code = with_code
        self._hooks = tuple(hooks)
        self.warn: Callable[[str], None] = LOGGER.error if warn is None else warn
        self._who = who()
        self._began = 0
        self._renew()
        _everyone.add(self)

    def _renew(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._log: Log | None = None
        self._unwritten: deque[tuple[int, bytes]] = deque(maxlen=_KEPT)
        self._said: set[tuple[object, ...]] = set()
        self._failure = ""
        self._has_recovered = False
        self._is_troubled = False
        self._not_before = 0.0

    @property
    def path(self) -> str | None:
        """The log that is being written; None before the first cell."""
        return None if self._log is None else self._log.path

    @property
    def failure(self) -> str:
        """What could not be written last, and when; empty where all could."""
        return self._failure + (" Written again since then." if self._has_recovered else "")

    def hiding(self, policy: Policy) -> Policy:
        """Return the policy with the log and the key out of the cell's reach.

        Raises:
            CannotEnforce: they lie where the cell's own scratch space is, and cannot be hidden.
        """
        if self.mode is AuditMode.OFF:
            return policy
        # What is not there yet cannot be hidden, and a session, which lives on, would see it come.
        # Where it cannot be made, there is no log either: the cell's beginning says why.
        with suppress(OSError):
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
        return without(policy, tuple(filter(None, (self.directory, self._key))))

    @contextmanager
    def cell(self, source: CellSource, policy: Policy) -> Iterator[Recording]:
        """Record one cell, whatever becomes of it.

        Args:
            source: what it is.
            policy: what it is allowed.

        Raises:
            CannotEnforce: the mode is "required", and the beginning cannot be written.
        """
        if self.mode is AuditMode.OFF:
            yield Recording({"way": "session"})
            return
        if self._owner != os.getpid():
            # A fork of the notebook's own: the log and its lock are the parent's.
            if self._log is not None:
                self._log.forget()
            self._renew()
            self._who = who()
        with self._lock:
            self._began += 1
            number = self._began
        began = beginning(source, policy, number, with_code=self._with_code)
        self._begin(number, began)
        recording = Recording(began)
        try:
            yield recording
        except BaseException as error:
            recording.failed(error)
            raise
        finally:
            self._end(number, recording.event(self._who))

    def close(self) -> None:
        """Write the log's last line, and end its writer."""
        with self._lock:
            log, self._log = self._log, None
        if log is not None:
            log.close()

    def _begin(self, number: int, began: Event) -> None:
        code = began["code"]
        assert isinstance(code, dict)
        start = {name: began[name] for name in ("cell", "began", "way")}
        members = members_of({**start, "code_sha256": code["sha256"]})
        try:
            with self._lock:
                self._put(b"b", number, members, wait=self.mode is AuditMode.REQUIRED)
        except AuditProblem as problem:
            if self.mode is not AuditMode.REQUIRED:
                self._report(problem)
                return
            self._note(f"{problem}. {problem.remedy}")
            raise CannotEnforce("audit", f"{problem}, and it is required", problem.remedy) from None

    def _end(self, number: int, event: Event) -> None:
        """Write the event and tell the hooks; nothing here may cost the cell's result."""
        try:
            text = members_of(event)
            with self._lock:
                self._is_troubled = False
                try:
                    self._put(b"c", number, text, wait=True)
                except AuditProblem as problem:
                    self._report(problem)
                place = self._place()
            for sentence in call_hooks(text, place, self._hooks):
                self._is_troubled = True
                self._say((sentence,), f"audit: {sentence}. The log has the event all the same.")
            if not self._is_troubled:
                # The next trouble is news again.
                self._said.clear()
                self._has_recovered = bool(self._failure)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - nor may a fault of ours.
            self._say((repr(error),), f"audit: the event of cell {number} was lost: {error!r}")

    def _put(self, kind: bytes, number: int, members: bytes, *, wait: bool) -> None:
        """Write what was kept, and then this; it is kept itself where that fails.

        Raises:
            AuditProblem: something was not written.
        """
        if kind == b"c":
            self._unwritten.append((number, members))
        log = self._living()
        while self._unwritten:
            self._wait(log, self._ask(log, b"c", *self._unwritten[0]))
            self._unwritten.popleft()
        if kind == b"b":
            asked = self._ask(log, kind, number, members)
            if wait:
                self._wait(log, asked)

    def _ask(self, log: Log, kind: bytes, number: int, members: bytes) -> int:
        try:
            return log.ask(kind, number, members)
        except AuditProblem:
            self._drop(log)
            raise

    def _wait(self, log: Log, asked: int) -> None:
        start = time.monotonic()
        patience = _PATIENCE[self.mode]
        try:
            log.wait(asked, patience)
        except AuditProblem as problem:
            if problem.ends_log:
                self._drop(log)
                if self.mode is AuditMode.ON and time.monotonic() - start >= patience:
                    self._not_before = time.monotonic() + _AGAIN_SECONDS
            if not problem.is_written:
                raise
            self._report(problem)

    def _living(self) -> Log:
        if self._log is None:
            if time.monotonic() < self._not_before:
                raise AuditProblem(
                    "the process that writes below",
                    self.directory,
                    errno.ETIMEDOUT,
                    "It is tried again later.",
                )
            log = Log(self.directory, self._key)
            self._log = log
            self._ask(log, b"o", 0, members_of(opening(log.chain, self._who)))
        return self._log

    def _drop(self, log: Log) -> None:
        self._log = None
        log.abandon()

    def _place(self) -> Event | None:
        """Return where the event stands that was written last; None where it waits."""
        log = self._log
        if log is None or self._unwritten:
            return None
        return {"file": log.path, "line": log.lines - 1, "mac": log.mac}

    def _report(self, problem: AuditProblem) -> None:
        self._is_troubled = True
        kept = len(self._unwritten)
        self._say(
            (problem.step, problem.number),
            f"audit: {problem}. {problem.remedy}"
            + (f" Events that wait to be written: {kept}." if kept else ""),
        )

    def _note(self, failure: str) -> None:
        self._failure, self._has_recovered = f"{now()}: {failure}", False

    def _say(self, what: tuple[object, ...], sentence: str) -> None:
        """Report once, until an event was written again."""
        self._note(sentence)
        if what in self._said:
            return
        self._said.add(what)
        try:
            self.warn(sentence)
        except Exception:  # noqa: BLE001 - the notebook's stream may be closed.
            LOGGER.error(sentence)


def _cpu_of_children() -> float:
    """Seconds of processor time of all children that ended: getrusage(2)."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


_everyone: weakref.WeakSet[Audit] = weakref.WeakSet()


@atexit.register
def _close_everyone() -> None:
    for audit in tuple(_everyone):
        audit.close()
