"""One sandbox that lives on between cells: `--session NAME`.

Between two cells nobody listens to it; a thread looks at its memory and its processor time, so that
its limits hold all its life.

Guarantees: it was verified before its first cell, and no cell of it may do more than that one; a
cell that is stopped ends it, unless a snapshot from before the cell goes on in its place
(`launch.snapshots`).
Assumes: one cell of it runs at a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from kavach_ipy.errors import CellStopped, PolicyError, SetupFailed
from kavach_ipy.launch import verdicts
from kavach_ipy.launch.launcher import Ending, FreshJob
from kavach_ipy.launch.layers import ConfinementReport
from kavach_ipy.launch.listener import Listener
from kavach_ipy.launch.requests import send_cell
from kavach_ipy.launch.signals import Signals
from kavach_ipy.launch.snapshots import Keeper
from kavach_ipy.policy import Policy, is_at_most

__all__ = ["Session", "first_line", "may_go_back"]

_LOOK_SECONDS = 1.0
_JOIN_SECONDS = 10.0
# What this process watches over can be less from cell to cell; names are each cell's own; all else
# is how the sandbox was built.
_CAN_BE_LESS = ("timeout", "output", "messages")
_NAMES = ("inputs", "outputs")
# What a state from before the cell does not help against: processor time is that of the session's
# whole life, and who changed the interpreter's own file is not given another try.
_FINAL = ("cpu", "program")
_SHOWN = 60


@dataclass(slots=True, weakref_slot=True)
class Session:
    """One sandbox that lives on."""

    name: str
    policy: Policy
    """Of its first cell."""

    parent: Keeper
    report: ConfinementReport
    began: float = field(default_factory=time.monotonic)
    cells: int = 0
    stopped: CellStopped | None = None
    """Why it was ended between two cells."""

    last: str = ""
    """The first line of its last cell."""

    why_no_snapshot: str = "before its first cell there was nothing; see %kavach restart"
    """Why there is no state to go back to."""

    _busy: threading.Lock = field(default_factory=threading.Lock)
    """Held by a cell, and by what takes its place."""

    _looking: threading.Lock = field(default_factory=threading.Lock)
    """Held beside it, and for a moment by the thread that looks between two cells."""

    _over: threading.Event = field(default_factory=threading.Event)
    _due: threading.Event = field(default_factory=threading.Event)
    """A cell is over, and a snapshot is to be asked for."""

    _keeper: threading.Thread | None = None
    _told: set[str] = field(default_factory=set)

    @property
    def pid(self) -> int:
        """The process that runs its cells, as this process numbers it."""
        return self.parent.cell.pid

    def used_memory(self) -> int | None:
        """Bytes that its processes have, over what they inherited; None while a cell runs."""
        if not self._busy.acquire(blocking=False):
            return None
        try:
            with self._looking:
                return 0 if self._over.is_set() else self.parent.used_memory()
        finally:
            self._busy.release()

    def run(  # noqa: PLR0913 - a cell, and how its session is kept
        self,
        job: FreshJob,
        policy: Policy,
        listener: Listener,
        signals: Signals,
        *,
        checkpoint: bool = False,
        notify: Callable[[str], object] = str,
        throw_away: bool = False,
    ) -> Ending:
        """Run one cell; one that is stopped ends the session, or brings back what was before it.

        Args:
            job: the cell.
            policy: what it may do.
            listener: hears it.
            signals: let through meanwhile.
            checkpoint: keep a snapshot from before the cell.
            notify: is told why there is none, once for each reason.
            throw_away: bring back what was before the cell in any case.

        Raises:
            PolicyError: it may do more than the first cell, another cell is running, or what it
                does could not be thrown away; nothing ran.
        """
        self._check(policy)
        if not self._busy.acquire(blocking=False):
            raise PolicyError("session", self.name, "another cell is running in it. Nothing ran.")
        self._looking.acquire()
        report = self.report
        start = time.monotonic()
        stopped: CellStopped | None = None
        is_restored = False
        refusal: PolicyError | None = None
        try:
            # Before the first one there is nothing to lose.
            if self.cells:
                self._hold(notify, is_wanted=checkpoint or throw_away)
            if throw_away and not self.parent.has_snapshot:
                refusal = PolicyError(
                    "throw-away",
                    self.name,
                    f"it could not be undone: {self.why_no_snapshot}. Nothing ran",
                )
            else:
                self.cells += 1
                stopped, is_restored = self._run(job, policy, listener, signals, throw_away)
        except BaseException:
            self._end()
            raise
        finally:
            if stopped is not None and not is_restored:
                self._end()
            self._looking.release()
            self._busy.release()
        if refusal is not None:
            raise refusal
        if self._keeper is None and not self._over.is_set():
            self._keeper = threading.Thread(
                target=self._keep, name=f"kavach-session-{self.name}", daemon=True
            )
            self._keeper.start()
        if checkpoint:
            self._due.set()
        return Ending(report, stopped, time.monotonic() - start, is_restored)

    def _run(
        self,
        job: FreshJob,
        policy: Policy,
        listener: Listener,
        signals: Signals,
        throw_away: bool,
    ) -> tuple[CellStopped | None, bool]:
        """Run one cell; why it was stopped, if it was, and whether it was undone."""
        self.last = first_line(job.task.get("code"))
        try:
            send_cell(self.parent.channel, job.request(), job.arena.fd, job.inputs)
        except OSError:
            # It has ended, or has not read for long: then it is no use either.
            stopped: CellStopped | None = self.stopped or verdicts.gone()
        else:
            stopped = self.parent.watch(
                listener, job.names, job.arena.fd, signals, policy, lives_on=True
            )
        if stopped is not None:
            return stopped, self._restore(stopped)
        if not throw_away:
            return None, False
        is_restored = self._undo()
        return (None if is_restored else verdicts.not_undone()), is_restored

    def roll_back(self) -> str:
        """Bring back what was before the last cell; that cell's first line.

        Raises:
            PolicyError: there is nothing to go back to, or a cell is running.
            SetupFailed: the snapshot does not verify; the session has ended.
        """
        if not self._busy.acquire(blocking=False):
            raise PolicyError("rollback", self.name, "a cell is running in this session")
        self._looking.acquire()
        try:
            if self._over.is_set() or not self.parent.has_snapshot:
                raise PolicyError("rollback", self.name, f"there is none: {self.why_no_snapshot}")
            try:
                self.report = self.parent.restore(self.report)
            except BaseException:
                self._end()
                raise
            self.why_no_snapshot = "it went back already, and one cell is kept"
            return self.last
        finally:
            self._looking.release()
            self._busy.release()

    def _hold(self, notify: Callable[[str], object], *, is_wanted: bool) -> None:
        if not is_wanted:
            self.parent.release()
            self.why_no_snapshot = "c.Kavach.checkpoint was off"
            return
        self.why_no_snapshot = why = self.parent.hold()
        if why and why not in self._told:
            self._told.add(why)
            notify(
                f"the session {self.name!r} has no checkpoint before this cell: {why}. If the cell"
                " is stopped, its variables are gone."
            )

    def _restore(self, stopped: CellStopped) -> bool:
        """Go on with what was before the cell; False where that cannot be had."""
        return may_go_back(stopped) and self._undo()

    def _undo(self) -> bool:
        if not self.parent.has_snapshot:
            return False
        try:
            self.report = self.parent.restore(self.report)
        except (SetupFailed, OSError):
            return False
        self.why_no_snapshot = "the last cell was undone already, and one cell is kept"
        return True

    def end(self) -> None:
        """Kill and reap all of it, also while another thread runs a cell in it."""
        if not self._busy.acquire(blocking=False):
            self.parent.stop()
            self._busy.acquire()
        try:
            with self._looking:
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
            with self._looking:
                self.stopped = self.stopped or verdicts.gone()
                self._end()
            self._busy.release()
        return self._over.is_set()

    def _end(self) -> None:
        if not self._over.is_set():
            self._over.set()
            self._due.set()
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
        """Watch over its limits while no cell runs, and have it make the next snapshot."""
        while not self._over.is_set():
            is_due = self._due.wait(_LOOK_SECONDS)
            self._due.clear()
            if not self._looking.acquire(blocking=False):
                continue
            try:
                if self._over.is_set():
                    return
                if is_due:
                    # Here, and not at the end of the cell: nobody waits for it.
                    self.parent.ask()
                    continue
                stopped = self.parent.look()
                if stopped is not None:
                    self.stopped = stopped
                    self._end()
            finally:
                self._looking.release()


def may_go_back(stopped: CellStopped) -> bool:
    """Tell whether the state from before a cell is another chance."""
    return stopped.limit not in _FINAL


def first_line(code: object) -> str:
    """Return the first line of a cell that says something, for a person, cut where it is long."""
    line = next((line.strip() for line in str(code or "").splitlines() if line.strip()), "")
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
