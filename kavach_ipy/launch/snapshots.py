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
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace

from kavach_ipy.errors import SetupFailed
from kavach_ipy.launch.checkpoints import HELD, READY, TAKE_OVER, WAKE
from kavach_ipy.launch.layers import ConfinementReport, Layer
from kavach_ipy.launch.link import GO
from kavach_ipy.launch.listener import Listener
from kavach_ipy.launch.parent import Parent
from kavach_ipy.launch.plan import Plan
from kavach_ipy.launch.processes import NOBODY, Process, is_readable
from kavach_ipy.launch.report import verify_again
from kavach_ipy.launch.requests import send_hold
from kavach_ipy.launch.signals import Signals
from kavach_ipy.launch.watch import Watch
from kavach_ipy.linux import _libc, limits, verify
from kavach_ipy.policy import Policy, format_size
from kavach_ipy.wire.frames import Decoder

__all__ = ["Keeper"]

_ANSWER_SECONDS = 10.0
_ALONE_SECONDS = 5.0
_TICK_SECONDS = 0.002
_LINE = 300
_SHOWN = 60
_NO_PIPE = "it has no descriptor left for one; see --files"


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A process that waits. Its descriptors are the `Ends`'."""

    process: Process
    inner: int
    """Its pid in the sandbox."""

    spared: int
    """Bytes that it may keep beside the cell: what the session had when it was taken."""

    answer: int
    """The reading end of its pipe."""

    def tell(self, number: signal.Signals) -> None:
        # A cell may have stopped it.
        with suppress(_libc.SyscallError):
            _libc.pidfd_send_signal(self.process.fd, number)
            _libc.pidfd_send_signal(self.process.fd, signal.SIGCONT)

    @property
    def has_ended(self) -> bool:
        return is_readable(self.process.fd, 0)


class Keeper(Parent):
    """The parent of a session that may have a snapshot from before its last cell."""

    def __init__(self, plan: Plan, signals: Signals) -> None:
        super().__init__(replace(plan, processes=plan.processes + _OWN_PROCESSES), signals)
        self._snapshot: _Snapshot | None = None
        self._namespaces: dict[str, str] = {}

    def set_up(self) -> ConfinementReport:
        """As any; what its namespaces are is kept, for a process that takes over."""
        report = super().set_up()
        self._namespaces = verify.read_namespaces(self.cell.pid)
        return report

    @property
    def has_snapshot(self) -> bool:
        """Whether there is one, and it lives."""
        return self._snapshot is not None and not self._snapshot.has_ended

    def hold(self) -> str:
        """Have a snapshot taken, in place of an older one; why there is none, else nothing.

        Called between two cells. What the session says of it is cleaned, and cut.
        """
        self.release()
        try:
            spared = limits.inherited_resident_bytes(self.cell.pid)
        except (OSError, ValueError):
            return "it has ended"
        used, limit = spared - self._inherited, self.plan.policy.memory
        if used > limit // 2:
            return (
                f"it holds {format_size(used >> 20 << 20)}, more than half of --memory"
                f" {format_size(limit)}, and a snapshot may come to hold as much again"
            )
        reader, writer = os.pipe2(os.O_CLOEXEC)
        self._ends.keep(reader)
        try:
            send_hold(self.channel, writer)
            said = self._line(reader)
            if said != HELD:
                self._ends.drop(reader)
                return _in_words(said)
            # fcntl(2): the owner, as this process numbers it.
            owner = fcntl.fcntl(writer, fcntl.F_GETOWN)
            self._snapshot = self._snapshot_of(owner, reader, spared)
        except OSError as error:
            self._ends.drop(reader)
            return f"it could not be asked: {error.strerror}"
        finally:
            os.close(writer)
        return "" if self._snapshot is not None else "what it named is no process of its own"

    def release(self) -> None:
        """End the snapshot, if there is one."""
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            snapshot.process.kill()
            is_readable(snapshot.process.fd, _ALONE_SECONDS)
            self._ends.drop(snapshot.process.fd)
            self._ends.drop(snapshot.answer)

    def end_cell(self) -> None:
        """Kill every process of the sandbox but init and the snapshot; else all of it."""
        self._cell.kill()
        if self._snapshot is None or not self._outlives(self._snapshot):
            self._init.kill()

    def restore(self, report: ConfinementReport) -> ConfinementReport:
        """Let the snapshot be the session, after `end_cell`; what is verified of it.

        Args:
            report: of the session, before its first cell.

        Raises:
            SetupFailed: there is none any more, or it does not verify: the session has to end.
        """
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is None:
            raise _lost("there is none.")
        if self._cell is not NOBODY:
            self.status()
        if not self._is_alone(snapshot):
            raise _lost("it has ended, or other processes of the sandbox have not.")
        # Nobody is left who could write: what is here was written by the dead.
        self._ends.unblock()
        for fd in (self.channel.fileno(), self._ends.stdout, self._ends.stderr, snapshot.answer):
            _empty(fd)
        self.decoder = Decoder()
        snapshot.tell(TAKE_OVER)
        if self._line(snapshot.answer, snapshot.process.fd) != READY:
            raise _lost("it has not answered.")
        pid = snapshot.process.pid
        layers = verify_again(
            self.plan, pid, self._init.pid, self._namespaces, self._foreign, self._group
        )
        self._ends.drop(snapshot.answer)
        self._cell = snapshot.process
        self.channel.send(GO)
        again = {layer.name: layer for layer in layers}
        kept = tuple(again.get(layer.name, layer) for layer in report.layers)
        return ConfinementReport((*(it for it in kept if it.name != _LAYER), _layer(pid)))

    def _watch(self, policy: Policy, arena: int, listener: Listener, signals: Signals) -> Watch:
        watch = super()._watch(policy, arena, listener, signals)
        if self._snapshot is not None:
            watch.kill = self.end_cell
            watch.held = (self._snapshot.inner, self._snapshot.spared)
        return watch

    def _snapshot_of(self, pid: int, answer: int, spared: int) -> _Snapshot | None:
        """Take hold of a process of the sandbox that is not the cell; None where it is no such."""
        if pid <= 0 or pid == self.cell.pid or pid == self._init.pid:
            return None
        process = Process(pid, self._ends.keep(os.pidfd_open(pid)), is_child=False)
        try:
            # Read while the descriptor says that the number is still its.
            inner = verify.read_inner_pid(pid)
            if verify.read_namespaces(pid) == self._namespaces and not is_readable(process.fd, 0):
                return _Snapshot(process, inner, spared, answer)
        except OSError:
            pass
        self._ends.drop(process.fd)
        return None

    def _line(self, reader: int, *ends: int) -> bytes:
        """Read what the session answers; empty where nothing comes in time."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        said = b""
        while b"\n" not in said and len(said) < _LINE:
            if not _is_readable_before(reader, ends or (self.cell.fd,), deadline):
                return b""
            part = os.read(reader, _LINE)
            if not part:
                return b""
            said += part
        return said.partition(b"\n")[0]

    def _outlives(self, snapshot: _Snapshot) -> bool:
        """Let the snapshot kill all others, and see that it did."""
        deadline = time.monotonic() + _ALONE_SECONDS
        while time.monotonic() < deadline and not snapshot.has_ended:
            snapshot.tell(WAKE)
            if self._is_alone(snapshot):
                return True
            is_readable(snapshot.process.fd, _TICK_SECONDS)
        return False

    def _is_alone(self, snapshot: _Snapshot) -> bool:
        # What init is stands covered there.
        living = verify.read_living(self._proc_root)
        return living - {1} == {snapshot.inner} and not snapshot.has_ended


_OWN_PROCESSES = 2
"""A snapshot, and one that is ending or is about to be made."""

_LAYER = "checkpoint"


def _layer(pid: int) -> Layer:
    return Layer(_LAYER, "verified", f"process {pid} goes on from before a cell, and was alone")


def _in_words(said: bytes) -> str:
    """Say why a session has no snapshot; it is hostile, so the words are ours."""
    word, _, detail = said.decode("utf-8", "replace").partition(" ")
    shown = "".join(mark for mark in detail if mark.isprintable())[:_SHOWN]
    match word:
        case "thread":
            return f"its thread {shown!r} is running, and a fork takes no threads along"
        case "library":
            return f"it has used {shown}, whose threads a fork does not take along"
        case "fork":
            return f"it cannot fork: {shown}; see --pids and --memory"
        case _:
            return "it did not say why"


def _lost(detail: str) -> SetupFailed:
    return SetupFailed("snapshot", "restore", 0, detail)


def _is_readable_before(fd: int, ends: tuple[int, ...], deadline: float) -> bool:
    """Wait for a descriptor until a deadline, or until a process has ended."""
    while (left := deadline - time.monotonic()) > 0:
        if is_readable(fd, min(left, _TICK_SECONDS * 10)):
            return True
        if any(is_readable(end, 0) for end in ends):
            return is_readable(fd, 0)
    return False


def _empty(fd: int) -> None:
    """Take what is there; its writers are dead."""
    os.set_blocking(fd, False)
    with suppress(BlockingIOError, ConnectionResetError):
        while os.read(fd, 1 << 18):
            continue
