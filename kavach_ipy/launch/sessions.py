"""Sandboxes that live on between cells, by name.

Guarantees: nothing of one outlives this process, nor `Sessions.end`; a fork of this process has
none.
Assumes: one cell of a session runs at a time.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from kavach_ipy.errors import CellStopped, PolicyError, ProtocolError
from kavach_ipy.launch import verdicts
from kavach_ipy.launch.launcher import Ending, FreshJob
from kavach_ipy.launch.listener import Listener
from kavach_ipy.launch.plan import Plan
from kavach_ipy.launch.session import Session
from kavach_ipy.launch.signals import Signals
from kavach_ipy.launch.snapshots import Keeper
from kavach_ipy.launch.zygotes import zygote_for
from kavach_ipy.wire.emptying import empty

__all__ = ["Session", "Sessions"]


class Sessions:
    """The sessions of one notebook, or of one `Sandbox`, by name.

    Args:
        checkpoint: keep a snapshot of each from before its last cell.
        notify: is told where there is none, and why.
    """

    def __init__(self, *, checkpoint: bool = True, notify: Callable[[str], object] = str) -> None:
        self.checkpoint = checkpoint
        self._notify = notify
        self._living: dict[str, Session] = {}
        self._owner = os.getpid()
        self._lock = threading.Lock()
        _everyone.add(self)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._own().values()))

    def has(self, name: str) -> bool:
        """Whether a cell would find a sandbox of this name; one that ended still has to say so."""
        return name in self._own()

    def run(
        self,
        plan: Plan,
        job: FreshJob,
        listener: Listener,
        signals: Signals,
        *,
        throw_away: bool = False,
    ) -> Ending:
        """Run a cell in the session that its policy names, which begins where there is none.

        Args:
            plan: of the cell.
            job: the cell.
            listener: hears it.
            signals: let through meanwhile.
            throw_away: undo the cell when it is over.

        Raises:
            PolicyError: the cell may do more than the session's first one, or cannot be undone.
            SetupFailed: a new one could not be set up; nothing ran.
            KeyboardInterrupt: SIGINT came during the set-up; nothing ran.
        """
        name = plan.policy.session
        assert name is not None
        if throw_away and not self.has(name):
            raise PolicyError("throw-away", name, "there is no session of this name. Nothing ran")
        with self._forgotten_when_over(name):
            with self._lock:
                session = self._own().get(name)
                if session is None:
                    session = self._living[name] = _begin(name, plan, job, signals)
            if session.is_over:
                return Ending(session.report, session.stopped or verdicts.gone(), 0.0)
            ending = session.run(
                job,
                plan.policy,
                listener,
                signals,
                checkpoint=self.checkpoint,
                notify=self._notify,
                throw_away=throw_away,
            )
            if job.inputs >= 0 and ending.lives_on:
                stopped = self.take_back(name, job.inputs)
                return replace(ending, stopped=stopped)
            return ending

    def take_back(self, name: str, memory: int) -> CellStopped | None:
        """Take memory back that a session was given, and end one that does not let go of it.

        Args:
            name: of the session.
            memory: a descriptor of the memory.
        """
        try:
            empty(memory)
        except ProtocolError as error:
            self.end(name)
            return verdicts.broken_wire(str(error))
        return None

    def end(self, name: str) -> bool:
        """End one session; False where there is none of that name."""
        session = self._own().pop(name, None)
        if session is not None:
            session.end()
        return session is not None

    def roll_back(self, name: str) -> str:
        """Bring back what a session was before its last cell; that cell's first line.

        Raises:
            PolicyError, SetupFailed: as `Session.roll_back`; also where none has that name.
        """
        session = self._own().get(name)
        if session is None:
            raise PolicyError("rollback", name, "there is no session of this name")
        with self._forgotten_when_over(name):
            return session.roll_back()

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
    parent = Keeper(plan, signals)
    try:
        with zygote_for(job.breed, signals) as zygote:
            report = parent.confine(lambda: parent.start_in(zygote))
    except BaseException:
        parent.close()
        raise
    return Session(name, plan.policy, parent, report)
