"""The parent's side of one cell: fork, map, verify, go, listen, kill, reap.

Guarantees: when `launch` returns or raises, nothing of the child is left: no process, descriptor,
mount or zombie. The cell runs only after everything was read back from outside. The child cannot
keep the caller waiting beyond a deadline.
Assumes: called in the thread that stays alive meanwhile (the parent-death signal follows it).
"""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from kavach_ipy.errors import CellStopped, SetupFailed
from kavach_ipy.launch import verdicts
from kavach_ipy.launch.beginnings import SHARES_MEMORY, start_apart, start_sharing
from kavach_ipy.launch.child import ChildEnds, set_up
from kavach_ipy.launch.control import (
    refuse_mapped,
    send_mapped,
    send_mappings,
)
from kavach_ipy.launch.ends import Ends
from kavach_ipy.launch.groups import explain_kill, group_for, plan_within
from kavach_ipy.launch.hearing import (
    await_ready,
    deadline_of_set_up,
    expect,
    expect_channel,
    parent_step,
)
from kavach_ipy.launch.interrupts import Interrupts
from kavach_ipy.launch.layers import ConfinementReport
from kavach_ipy.launch.link import GO, Body, ChildLink
from kavach_ipy.launch.plan import Plan
from kavach_ipy.launch.pools import prepare_pools
from kavach_ipy.launch.processes import NOBODY, Process, end_children_in, is_readable
from kavach_ipy.launch.program import Program
from kavach_ipy.launch.quiet import no_collection, no_warning_of_forks
from kavach_ipy.launch.report import verify_identity, verify_rights, verify_view
from kavach_ipy.launch.signals import SIGNALS, Signals
from kavach_ipy.launch.watch import Listener, Watch, WatchedEnds
from kavach_ipy.linux import inherited, limits, mounts, namespaces, privileges, verify
from kavach_ipy.wire.arena import Arena
from kavach_ipy.wire.frames import Decoder
from kavach_ipy.wire.messages import RESULT

__all__ = ["Ending", "Job", "launch"]

_ABANDON_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Job:
    """What is run, and what it gives back."""

    body: Body
    """Runs in the child, after verification."""

    arena: Arena
    """Made by the caller and closed by it; every process that knew it is dead afterwards."""

    names: frozenset[str] = frozenset()
    """The values that the body was asked for."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one cell ended."""

    report: ConfinementReport
    stopped: CellStopped | None
    """None where the cell said "done" itself."""

    seconds: float
    """Wall time from "go" to the end."""


def launch(plan: Plan, job: Job, listener: Listener, signals: Signals) -> Ending:
    """Run a job in a forked, confined child and wait for its end.

    Args:
        plan: from `make_plan`, made in this process.
        job: the body, its arena and its names.
        listener: hears frames and raw output, live.
        signals: puts Python's handlers off; they are let through while there is something to wait
            for.

    Raises:
        SetupFailed: a step failed or did not verify; nothing of the cell ran.
        KeyboardInterrupt: SIGINT came during the set-up; nothing of the cell ran.
    """
    with _Parent(plan, job.arena.fd, signals) as parent:
        with privileges.adopting_orphans(), no_collection():
            try:
                parent.start(job.body, job.names)
                report = parent.set_up()
            except BaseException:
                # While orphans are still ours: those of an A that is ended go to another process
                # later, and where that does not reap them, init stays, and who waits for it.
                parent.end()
                raise
        start = time.monotonic()
        stopped = parent.watch(listener, job.names)
        parent.end()
        if parent.program.leave():
            stopped = verdicts.touched_program()
        seconds = time.monotonic() - start
        return Ending(report, stopped, seconds)


class _Parent:
    """One child from before its fork until nothing of it is left."""

    def __init__(self, plan: Plan, arena: int, signals: Signals) -> None:
        self._group = group_for(plan)
        self.plan = plan_within(plan, self._group)
        self._signals = signals
        self.decoder = Decoder()
        self._arena = arena
        self._setter = self._cell = self._init = NOBODY
        self._proc_root = -1
        self._foreign: frozenset[bytes] = frozenset()
        self._user_namespace = ""
        self._ends = Ends()
        self.program = Program(plan.identity.uid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.end()
        finally:
            self.program.leave()
            self._ends.close()
            if self._group is not None:
                self._group.remove()

    def start(self, body: Body, names: frozenset[str]) -> None:
        """Run A to its end, or beside us, until the cell is forked and the root is built.

        Signals are blocked meanwhile, and stay so in the cell until it runs.
        """
        for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
            # Text that waits in a file's buffer would be written twice. A kernel's streams are no
            # files: the child empties its copies, and a flush would wait for the IOPub thread.
            if isinstance(stream, io.TextIOWrapper):
                with suppress(ValueError, OSError):
                    stream.flush()
        ends = ChildEnds(
            control=self._ends.child_control,
            arena=self._arena,
            stdout=self._ends.child_stdout,
            stderr=self._ends.child_stderr,
            lifeline=self._ends.child_lifeline,
            handled_signals=self._signals.handled,
        )
        prepare_pools()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            with no_warning_of_forks() as warn_again:

                def heard(link: ChildLink) -> Callable[[], None]:
                    warn_again()
                    return body(link)

                self._start(lambda: set_up(self.plan, ends, heard, names))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._ends.forget_child_ends()

    def _start(self, action: Callable[[], None]) -> None:
        if SHARES_MEMORY:
            start_sharing(
                action,
                answer=self._map_ids,
                refuse=lambda: refuse_mapped(self._ends.control),
                hang_up=self._ends.child_control.close,
                take=self._take_setter,
            )
            return
        self._take_setter(start_apart(action))
        self._ends.forget_child_ends()
        self._map_ids()

    def _take_setter(self, pid: int) -> None:
        self._setter = self._process(pid)

    def _map_ids(self) -> None:
        """Answer A: write its id maps, and tell it which pages of its memory are shared."""
        report, channel = expect_channel(self._ends.control, deadline_of_set_up())
        self._ends.take_channel(channel, report.detail)
        (setter,) = report.pids
        with suppress(OSError):
            # Where A has ended already there is nothing to read, and it had no children yet.
            self._user_namespace = verify.read_user_namespace(setter)
        try:
            self._give(setter)
        except (SetupFailed, OSError):
            # Of an A that has failed and ended meanwhile there is nothing to map; it has said why.
            if is_readable(self._ends.control.fileno(), 0):
                expect(self._ends.control, "forked", deadline_of_set_up())
            raise

    def _give(self, setter: int) -> None:
        identity = self.plan.identity
        with parent_step("id maps"):
            namespaces.write_id_maps(setter, identity.uid, identity.gid)
        if self._group is not None:
            with parent_step("cgroup"):
                # Before it forks, so that the cell is born there and its pages are counted there.
                self._group.add(setter)
        with parent_step("bind sources"):
            trees = mounts.clone_idmapped(self.plan.idmapped, setter)
        self._foreign = frozenset(path for path, tree in trees.items() if tree < 0)
        try:
            send_mapped(self._ends.control, tuple(trees.values()))
        finally:
            for tree in trees.values():
                if tree >= 0:
                    os.close(tree)
        # Its memory is ours, as it is or as it was at the fork; read while it is at work.
        send_mappings(self._ends.control, inherited.find_shared_mappings(setter))

    def set_up(self) -> ConfinementReport:
        """Wait for "ready", verify from outside, and say "go"."""
        deadline = deadline_of_set_up()
        own_namespaces = verify.read_namespaces("self")
        links = self._ends.links(self._arena)
        with self._signals.let_through():
            is_readable(self._ends.control.fileno(), deadline - time.monotonic())
        forked = expect(self._ends.control, "forked", deadline)
        if len(forked.pids) != 2:
            raise SetupFailed("fork", "report", 0, f"two pids expected, not {forked.pids}.")
        try:
            self._init = self._process(forked.pids[1])
            self._cell = self._process(forked.pids[0])
            settled = verify_identity(self.plan, self._cell.pid, own_namespaces)
        except (ProcessLookupError, SetupFailed) as error:
            # A cell that has ended already cannot be looked at, and has said why it ended.
            if is_readable(self._ends.control.fileno(), 0):
                expect(self._ends.control, "ready", deadline)
            if isinstance(error, SetupFailed):
                raise
            raise SetupFailed("fork", "pidfd_open", 3, "the cell ended without a word.") from error
        with self._signals.let_through():
            await_ready(self._ends.control, self._ends.channel, deadline)
        cell = self._cell.pid
        layers = (*settled, *verify_view(self.plan, cell, links, self._foreign, self._group))
        # A has built the root and ends meanwhile; then init and the cell are children of ours.
        self._setter.reap()
        self._setter = NOBODY
        report = ConfinementReport(
            (*layers, *verify_rights(self.plan, self._cell.pid, os.getpid()))
        )
        path = f"/proc/{self._cell.pid}/root/proc"
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._proc_root = self._ends.keep(folder)
        self._ends.channel.send(GO)
        return report

    def watch(self, listener: Listener, names: frozenset[str]) -> CellStopped | None:
        """Listen to the running cell."""
        self._ends.unblock()
        ends = WatchedEnds(
            channel=self._ends.channel.fileno(),
            stdout=self._ends.stdout,
            stderr=self._ends.stderr,
            cell=self._cell.fd,
            proc_root=self._proc_root,
            arena=self._arena,
        )
        resident = limits.inherited_resident_bytes()
        stopped = Watch(
            policy=self.plan.policy,
            ends=ends,
            listener=listener,
            decoder=self.decoder,
            inherited=resident,
            reap=self.status,
            kill=self._init.kill,
            interrupts=Interrupts(self._interrupt),
            names=names | {RESULT},
            signals=self._signals,
            is_program_changed=self.program.is_changed,
            charged=float if self._group is None else self._group.processor_seconds,
        ).run()
        return explain_kill(self.plan.policy, stopped, self._group)

    def _interrupt(self) -> None:
        # As the stop button does to the group of a kernel: worker processes hear it too. The cell
        # leads its session, and so (setpgid(2)) its group for good; until it is reaped, no other
        # group has its number.
        os.killpg(self._cell.pid, signal.SIGINT)

    def status(self) -> int | None:
        """Reap the cell, which has ended; its wait status, None where somebody else took it."""
        cell, self._cell = self._cell, NOBODY
        return cell.reap()

    def end(self) -> None:
        """Kill what is left and reap it. Killing init kills every process of its namespace."""
        if self._init is not NOBODY:
            self._init.kill()
        if self._setter is not NOBODY:
            self._abandon_set_up()
        for process in (self._setter, self._cell, self._init):
            if process is not NOBODY:
                process.reap()
        self._init = self._setter = self._cell = NOBODY

    def _abandon_set_up(self) -> None:
        """End A, which may have children that we do not know of yet.

        Without the lifeline init ends, and with it the cell; A ignores SIGCHLD, so as long as it
        lives the kernel reaps them, and nothing is left for us to adopt.
        """
        self._ends.cut_lifeline()
        self._setter.wait_for_children_to_end(_ABANDON_SECONDS)
        self._setter.kill()
        self._setter.reap()
        self._setter = NOBODY
        # Where A was killed we were its children's next parent, and they are nobody else's to reap.
        end_children_in(self._user_namespace)

    def _process(self, pid: int) -> Process:
        return Process(pid, self._ends.keep(os.pidfd_open(pid)))
