"""Sandboxes that live on between cells: `--session NAME`.

A session is a clean cell's sandbox that takes further cells. Between two of them nobody listens to
it; a thread looks at its memory and its processor time, so that its limits hold all its life.

Guarantees: it was verified before its first cell, and no cell of it may do more than that one; a
cell that is stopped ends it; nothing of it outlives this process, nor `Sessions.end`; a fork of
this process has none.
Assumes: one cell of a session runs at a time.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kavach_ipy.errors import CellStopped, PolicyError
from kavach_ipy.launch import verdicts
from kavach_ipy.launch.launcher import Ending, FreshJob
from kavach_ipy.launch.layers import ConfinementReport
from kavach_ipy.launch.listener import Listener
from kavach_ipy.launch.parent import Parent
from kavach_ipy.launch.plan import Plan
from kavach_ipy.launch.requests import send_cell
from kavach_ipy.launch.signals import Signals
from kavach_ipy.launch.zygotes import zygote_for
from kavach_ipy.policy import Policy, is_at_most

__all__ = ["Session", "Sessions"]

_LOOK_SECONDS = 1.0
_JOIN_SECONDS = 10.0
# What this process watches over can be less from cell to cell; names are each cell's own; all else
# is how the sandbox was built.
_CAN_BE_LESS = ("timeout", "output", "messages")
_NAMES = ("inputs", "outputs")


@dataclass(slots=True, weakref_slot=True)
class Session:
    """One sandbox that lives on."""

    name: str
    policy: Policy
    """Of its first cell."""

    parent: Parent
    report: ConfinementReport
    began: float = field(default_factory=time.monotonic)
    cells: int = 0
    stopped: CellStopped | None = None
    """Why it was ended between two cells."""

    _busy: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """The process that runs its cells, as this process numbers it."""
        return self.parent.cell.pid

    def used_memory(self) -> int | None:
        """Bytes that its processes have, over what they inherited; None while a cell runs."""
        if not self._busy.acquire(blocking=False):
            return None
        try:
            return 0 if self._over.is_set() else self.parent.used_memory()
        finally:
            self._busy.release()

    def run(self, job: FreshJob, policy: Policy, listener: Listener, signals: Signals) -> Ending:
        """Run one cell; one that is stopped ends the session.

        Raises:
            PolicyError: it may do more than the first cell, or another cell is running.
        """
        self._check(policy)
        if not self._busy.acquire(blocking=False):
            raise PolicyError("session", self.name, "another cell is running in it. Nothing ran.")
        start = time.monotonic()
        stopped: CellStopped | None = None
        try:
            self.cells += 1
            try:
                send_cell(self.parent.channel, job.request(), job.arena.fd, job.inputs)
            except OSError:
                # It has ended, or has not read for long: then it is no use either.
                stopped = self.stopped or verdicts.gone()
            else:
                stopped = self.parent.watch(
                    listener, job.names, job.arena.fd, signals, policy, lives_on=True
                )
        except BaseException:
            self._end()
            raise
        finally:
            if stopped is not None:
                self._end()
            self._busy.release()
        if stopped is None and self._keeper is None:
            self._keeper = threading.Thread(
                target=self._keep, name=f"kavach-session-{self.name}", daemon=True
            )
            self._keeper.start()
        return Ending(self.report, stopped, time.monotonic() - start)

    def end(self) -> None:
        """Kill and reap all of it, also while another thread runs a cell in it."""
        if not self._busy.acquire(blocking=False):
            self.parent.stop()
            self._busy.acquire()
        try:
            self._end()
        finally:
            self._busy.release()
        keeper, self._keeper = self._keeper, None
        if keeper is not None and keeper is not threading.current_thread():
            keeper.join(_JOIN_SECONDS)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, by whatever cause."""
        if not self._over.is_set() and self.parent.has_ended and self._busy.acquire(blocking=False):
            self.stopped = self.stopped or verdicts.gone()
            self._end()
            self._busy.release()
        return self._over.is_set()

    def _end(self) -> None:
        if not self._over.is_set():
            self._over.set()
            try:
                self.parent.end()
            finally:
                self.parent.close()

    def _check(self, policy: Policy) -> None:
        first = self.policy
        asked = policy.replace(**{name: getattr(first, name) for name in _NAMES})
        built = asked.replace(**{name: getattr(first, name) for name in _CAN_BE_LESS})
        if built != first or not is_at_most(asked, first):
            raise PolicyError(
                "session",
                self.name,
                "this cell asks for something else than its first cell did, whose sandbox it is"
                f" ({first!r}); --timeout and --output can be less, and no other option can change."
                f" Use the same options, or end the session: %kavach restart {self.name}."
                " Nothing ran",
            )

    def _keep(self) -> None:
        """Watch over its limits while no cell runs."""
        while not self._over.wait(_LOOK_SECONDS):
            if not self._busy.acquire(blocking=False):
                continue
            try:
                stopped = None if self._over.is_set() else self.parent.look()
                if stopped is not None:
                    self.stopped = stopped
                    self._end()
            finally:
                self._busy.release()


class Sessions:
    """The sessions of one notebook, or of one `Sandbox`, by name."""

    def __init__(self) -> None:
        self._living: dict[str, Session] = {}
        self._owner = os.getpid()
        self._lock = threading.Lock()
        _everyone.add(self)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._own().values()))

    def has(self, name: str) -> bool:
        """Whether a cell would find a sandbox of this name; one that ended still has to say so."""
        return name in self._own()

    def run(self, plan: Plan, job: FreshJob, listener: Listener, signals: Signals) -> Ending:
        """Run a cell in the session that its policy names, which begins where there is none.

        Raises:
            PolicyError: the cell may do more than the session's first one.
            SetupFailed: a new one could not be set up; nothing ran.
            KeyboardInterrupt: SIGINT came during the set-up; nothing ran.
        """
        name = plan.policy.session
        assert name is not None
        with self._forgotten_when_over(name):
            with self._lock:
                session = self._own().get(name)
                if session is None:
                    session = self._living[name] = _begin(name, plan, job, signals)
            if session.is_over:
                return Ending(session.report, session.stopped or verdicts.gone(), 0.0)
            return session.run(job, plan.policy, listener, signals)

    def end(self, name: str) -> bool:
        """End one session; False where there is none of that name."""
        session = self._own().pop(name, None)
        if session is not None:
            session.end()
        return session is not None

    def end_all(self) -> None:
        """End all of them."""
        for name in tuple(self._own()):
            self.end(name)

    def _own(self) -> dict[str, Session]:
        # In a fork of this process, they are the parent's.
        if self._owner != os.getpid():
            self._owner = os.getpid()
            self._lock = threading.Lock()
            self._living = {}
        return self._living

    @contextmanager
    def _forgotten_when_over(self, name: str) -> Iterator[None]:
        try:
            yield
        finally:
            session = self._living.get(name)
            if session is not None and session.is_over:
                self.end(name)


_everyone: weakref.WeakSet[Sessions] = weakref.WeakSet()


@atexit.register
def _end_everyone() -> None:
    for sessions in tuple(_everyone):
        sessions.end_all()


def _begin(name: str, plan: Plan, job: FreshJob, signals: Signals) -> Session:
    parent = Parent(plan, signals)
    try:
        with zygote_for(job.breed, signals) as zygote:
            report = parent.confine(lambda: parent.start_in(zygote))
    except BaseException:
        parent.close()
        raise
    return Session(name, plan.policy, parent, report)
