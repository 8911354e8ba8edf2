"""The snapshot of a session, from outside: taken before a cell, verified before it takes over.

The session's process is asked for a fork of itself (`launch.checkpoints`), which this process holds
by a pidfd before the cell begins, so that no cell can put another in its place. When the cell's
process is dead, the snapshot kills what the cell has left; that it is alone, and confined, is read
from outside, as before a first cell.

Guarantees: no process but init and the snapshot lives on when `restore` returns; nothing that the
cell has written is read after that; where one of it cannot be seen, `restore` raises.
Assumes: what the session answers is hostile. It may have no snapshot, or end it; then there is
none, and all ends as without one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from kavach_ipy.errors import CellStopped, SetupFailed
from kavach_ipy.launch.checkpoints import HELD
from kavach_ipy.launch.held import ANSWER_SECONDS, Snapshot, read_answer, refusal_in_words
from kavach_ipy.launch.layers import ConfinementReport, Layer
from kavach_ipy.launch.link import GO
from kavach_ipy.launch.listener import Listener
from kavach_ipy.launch.meter import Meter
from kavach_ipy.launch.parent import Parent
from kavach_ipy.launch.plan import Plan
from kavach_ipy.launch.processes import NOBODY, Process, is_readable
from kavach_ipy.launch.report import verify_again
from kavach_ipy.launch.requests import send_hold
from kavach_ipy.launch.signals import Signals
from kavach_ipy.launch.unread import holds_unread
from kavach_ipy.linux import limits, verify
from kavach_ipy.policy import Policy, format_size
from kavach_ipy.wire.frames import Decoder

__all__ = ["Keeper"]


@dataclass(frozen=True, slots=True)
class _Question:
    """A snapshot that was asked for. The descriptors are the `Ends`'."""

    reader: int
    writer: int
    """The pipe's other end, which the session was given; its owner is the snapshot."""

    used: int


class Keeper(Parent):
    """The parent of a session that may have a snapshot from before its last cell."""

    def __init__(
        self, plan: Plan, signals: Signals, tell: Callable[[int], object] | None = None
    ) -> None:
        """Make the descriptors of a session.

        Args:
            plan: what it promises.
            signals: as of any.
            tell: hands the session the pipe for its answer, where the channel is not written to by
                the words of `launch.requests`.
        """
        super().__init__(replace(plan, processes=plan.processes + _OWN_PROCESSES), signals)
        self._tell = tell or (lambda writer: send_hold(self.channel, writer))
        self._snapshot: Snapshot | None = None
        self._stale: Snapshot | None = None
        self._dead = -1
        self._question: _Question | None = None
        self._is_mute = False
        self._ready: Snapshot | None = None
        """What `hold` is to keep."""

        self._namespaces: dict[str, str] = {}
        self.left_unread = False
        """Whether something was unread in the channel when `restore` had ended all readers."""

    def set_up(self) -> ConfinementReport:
        """As any; what its namespaces are is kept, for a process that takes over."""
        report = super().set_up()
        self._namespaces = verify.read_namespaces(self.cell.pid)
        return report

    @property
    def has_snapshot(self) -> bool:
        """Whether there is one, and it lives."""
        return self._snapshot is not None and not self._snapshot.has_ended

    def ask(self) -> None:
        """Ask for a snapshot, when a cell is over; `hold` takes the answer before the next one.

        So that it is made while its user reads. Nothing happens where it cannot be asked for.
        """
        self._forget_question()
        if self._is_mute:
            # No honest session is; nobody waits for it twice.
            return
        try:
            # Before it shares what the session has, which is then private to nobody.
            used = self.used_memory()
            reader, writer = os.pipe2(os.O_CLOEXEC)
            self._question = _Question(self._ends.keep(reader), self._ends.keep(writer), used)
            if self._may_grow(used):
                self._tell(writer)
        except (OSError, ValueError):
            self._forget_question()

    def hold(self) -> str:
        """Keep what is now, in place of what was before the last cell; why not, else nothing.

        Called between two cells. What the session says of it is cleaned, and cut.
        """
        why = self.settle()
        if why:
            # What was in the way when the last cell was over may be gone.
            self.ask()
            why = self.settle()
        self.keep()
        return why

    def keep(self) -> None:
        """Let what is ready, if anything is, be what there is to go back to."""
        # The older one ends when the cell is on its way: that takes as long as a fork.
        self._end_one(self._stale)
        self._stale, self._snapshot, self._ready = self._snapshot, self._ready, None

    def release(self) -> None:
        """End the snapshot, if there is one."""
        self.release_older()
        self._end_one(self._snapshot)
        self._snapshot = None

    def release_older(self) -> None:
        """End the snapshot before the last one: the cell is on its way."""
        self._end_one(self._stale)
        self._stale = None

    def forget_next(self) -> None:
        """End what is ready, and what was asked for: the session has done something since."""
        self._forget_question()
        self._end_one(self._ready)
        self._ready = None

    @property
    def is_ready(self) -> bool:
        """Whether `keep` would have something to keep."""
        return self._ready is not None and not self._ready.has_ended

    @property
    def answer(self) -> int:
        """The descriptor on which an answer is to come; -1 where none is."""
        question = self._question
        return question.reader if question and self._may_grow(question.used) else -1

    def _end_one(self, snapshot: Snapshot | None) -> None:
        if snapshot is not None:
            snapshot.process.kill()
            self._ends.drop(snapshot.process.fd)
            self._ends.drop(snapshot.answer)

    def settle(self, seconds: float = ANSWER_SECONDS) -> str:
        """Take hold of the snapshot that was asked for; why there is none, else nothing.

        Args:
            seconds: to wait for the answer; 0 where the session may be late, and be asked again.
        """
        if self.is_ready:
            return ""
        self._end_one(self._ready)
        self._ready = None
        question, self._question = self._question, None
        if question is None:
            return "it does not answer" if self._is_mute else "it could not be asked"
        try:
            if not self._may_grow(question.used):
                return (
                    f"it holds {format_size(question.used >> 20 << 20)}, more than half of"
                    f" --memory, and a snapshot may come to hold as much again"
                )
            said = read_answer(question.reader, self.cell.fd, seconds)
            self._is_mute = not said and seconds > 0
            if said != HELD:
                return refusal_in_words(said)
            # fcntl(2): the owner, as this process numbers it.
            owner = fcntl.fcntl(question.writer, fcntl.F_GETOWN)
            self._ready = self._snapshot_of(owner, question)
        except OSError as error:
            return f"it could not be asked: {error.strerror}"
        finally:
            self._ends.drop(question.writer)
            if self._ready is None:
                self._ends.drop(question.reader)
        return "" if self._ready is not None else "what it named is no process of its own"

    def _may_grow(self, used: int) -> bool:
        """Whether what the session holds, and a snapshot may come to hold, are within its bound."""
        return used <= self.plan.policy.memory // 2

    def _forget_question(self) -> None:
        question, self._question = self._question, None
        if question is not None:
            self._ends.drop(question.reader)
            self._ends.drop(question.writer)

    def end_cell(self) -> None:
        """Kill every process of the sandbox but init and the snapshot; else all of it."""
        self._cell.kill()
        if self._snapshot is None or not self._snapshot.outlives(self._proc_root):
            self._init.kill()

    def restore(self, report: ConfinementReport) -> ConfinementReport:
        """End the cell, and let the snapshot be the session; what is verified of it.

        Args:
            report: of the session, before its first cell.

        Raises:
            SetupFailed: there is none any more, or it does not verify: the session has to end.
        """
        self.left_unread = False
        self.end_cell()
        snapshot, self._snapshot = self._snapshot, None
        self.forget_next()
        if snapshot is None:
            raise _lost("there is none.")
        if self._cell is not NOBODY:
            self.status()
        self._ends.drop(self._dead)
        if not snapshot.is_alone(self._proc_root):
            raise _lost("it has ended, or other processes of the sandbox have not.")
        # The snapshot sleeps, and throws away what it finds.
        self.left_unread = holds_unread(self.channel)
        # Nobody is left who could write: what is here was written by the dead.
        self._ends.unblock()
        for fd in (self.channel.fileno(), self._ends.stdout, self._ends.stderr, snapshot.answer):
            _empty(fd)
        self.decoder = Decoder()
        if not snapshot.takes_over():
            raise _lost("it has not answered.")
        pid = snapshot.process.pid
        layers = verify_again(
            self.plan,
            pid,
            parent=self._init.pid,
            namespaces=self._namespaces,
            foreign=self._foreign,
            group=self._group,
        )
        self._ends.drop(snapshot.answer)
        self._cell = snapshot.process
        try:
            self.channel.send(GO)
        except OSError as error:
            raise _lost("its channel is shut.") from error
        again = {layer.name: layer for layer in layers}
        kept = tuple(again.get(layer.name, layer) for layer in report.layers)
        return ConfinementReport((*(it for it in kept if it.name != _LAYER), _layer(pid)))

    def watch(  # noqa: PLR0913 - as it is in `Parent`
        self,
        listener: Listener,
        names: frozenset[str],
        arena: int,
        signals: Signals,
        policy: Policy,
        *,
        lives_on: bool = False,
    ) -> CellStopped | None:
        """As any; the cell has been sent, so the snapshot before the last one can end."""
        self.release_older()
        return super().watch(listener, names, arena, signals, policy, lives_on=lives_on)

    def status(self) -> int | None:
        """As any; the descriptor is of no use once a snapshot takes over."""
        self._dead = self._cell.fd
        return super().status()

    def meter(self, policy: Policy, arena: int = -1) -> Meter:
        """As any; what snapshots keep is told from what the session uses."""
        meter = super().meter(policy, arena)
        meter.held = self._held
        return meter

    def look(self) -> CellStopped | None:
        """As any; a snapshot that was asked for is told from the session."""
        self.settle()
        return super().look()

    def used_memory(self) -> int:
        """As any; what a snapshot keeps of its own is not counted."""
        self.settle()
        held = self._held()
        return limits.measure(self._proc_root, self._inherited, -1, self._image, held).memory

    def _held(self) -> dict[int, int]:
        found = (self._stale, self._snapshot, self._ready)
        return {snapshot.inner: snapshot.used for snapshot in found if snapshot is not None}

    def _snapshot_of(self, pid: int, question: _Question) -> Snapshot | None:
        """Take hold of a process of the sandbox that is not the cell; None where it is no such."""
        if pid <= 0 or pid in (self.cell.pid, self._init.pid):
            return None
        process = Process(pid, self._ends.keep(os.pidfd_open(pid)), is_child=False)
        try:
            # Read while the descriptor says that the number is still its.
            inner = verify.read_inner_pid(pid)
            if verify.read_namespaces(pid) == self._namespaces and not is_readable(process.fd, 0):
                return Snapshot(process, inner, question.used, question.reader)
        except OSError:
            pass
        self._ends.drop(process.fd)
        return None


_OWN_PROCESSES = 4
"""A snapshot, one that is ending, one that is about to be made, and the process that makes it."""

_LAYER = "checkpoint"


def _layer(pid: int) -> Layer:
    return Layer(_LAYER, "verified", f"process {pid} goes on from before a cell, and was alone")


def _lost(detail: str) -> SetupFailed:
    return SetupFailed("snapshot", "restore", 0, detail)


def _empty(fd: int) -> None:
    """Take what is there; its writers are dead."""
    os.set_blocking(fd, False)
    with suppress(BlockingIOError, ConnectionResetError):
        while os.read(fd, 1 << 18):
            continue
