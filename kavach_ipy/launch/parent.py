"""The kernel process's side of one sandbox, from before its fork until nothing of it is left.

Guarantees: `end` and leaving the block leave no process, descriptor, mount or zombie. "go" is said
only after everything was read back from outside. No wait is without a deadline.
Assumes: called in the thread that stays alive meanwhile (the parent-death signal follows it); the
set-up is in `adopting_orphans`.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from kavach_ipy.errors import CellStopped, SetupFailed
from kavach_ipy.launch.answer import answer_setter
from kavach_ipy.launch.beginnings import SHARES_MEMORY, start_apart, start_sharing
from kavach_ipy.launch.child import ChildEnds, set_up
from kavach_ipy.launch.control import refuse_mapped
from kavach_ipy.launch.ends import Ends
from kavach_ipy.launch.groups import explain_kill, group_for, plan_within
from kavach_ipy.launch.hearing import (
    await_ready,
    deadline_of_set_up,
    expect,
    expect_channel,
    expect_forked,
)
from kavach_ipy.launch.interrupts import Interrupts
from kavach_ipy.launch.layers import ConfinementReport
from kavach_ipy.launch.link import GO, Body, ChildLink
from kavach_ipy.launch.listener import Listener
from kavach_ipy.launch.meter import Meter
from kavach_ipy.launch.plan import Plan
from kavach_ipy.launch.pools import prepare_pools
from kavach_ipy.launch.processes import NOBODY, Process, end_children_in, is_readable
from kavach_ipy.launch.program import Program
from kavach_ipy.launch.quiet import flush_files, no_collection, no_warning_of_forks
from kavach_ipy.launch.report import verify_identity, verify_rights, verify_view
from kavach_ipy.launch.signals import SIGNALS, Signals
from kavach_ipy.launch.watch import Watch, WatchedEnds
from kavach_ipy.linux import limits, privileges, verify
from kavach_ipy.policy import Policy
from kavach_ipy.wire.frames import Decoder
from kavach_ipy.wire.messages import RESULT

if TYPE_CHECKING:
    from kavach_ipy.launch.zygotes import Zygote

__all__ = ["Parent"]

_ABANDON_SECONDS = 2.0


class Parent:
    """One child from before its fork until nothing of it is left."""

    def __init__(self, plan: Plan, signals: Signals, arena: int = -1) -> None:
        """Make the descriptors of a sandbox.

        Args:
            plan: what it promises.
            signals: lets Python's handlers through while there is something to wait for.
            arena: the arena of the one cell; -1 where each cell brings its own.
        """
        self._group = group_for(plan)
        self.plan = plan_within(plan, self._group)
        self._signals = signals
        self.decoder = Decoder()
        self._arena = arena
        self._setter = self._cell = self._init = NOBODY
        self._proc_root = -1
        self._foreign: frozenset[bytes] = frozenset()
        self._user_namespace = ""
        self._inherited = 0
        self._image: bytes | None = None
        self._cpu_seconds: dict[tuple[int, int], float] = {}
        self._ends = Ends()
        self.program = Program(plan.identity.uid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what is left, and close every descriptor; more than once is once."""
        try:
            self.end()
        finally:
            self.program.leave()
            self._ends.close()
            group, self._group = self._group, None
            if group is not None:
                group.remove()

    @property
    def channel(self) -> socket.socket:
        """Our end of the channel."""
        return self._ends.channel

    @property
    def cell(self) -> Process:
        """The process that runs cells, once it was verified."""
        return self._cell

    def confine(self, start: Callable[[], None]) -> ConfinementReport:
        """Start a sandbox, set it up and verify it; nothing is left of one that fails.

        Args:
            start: one of `start` and `start_in`, with its arguments.

        Raises:
            SetupFailed: a step failed or did not verify; nothing of the cell ran.
            KeyboardInterrupt: SIGINT came meanwhile; nothing of the cell ran.
        """
        with privileges.adopting_orphans(), no_collection():
            try:
                start()
                return self.set_up()
            except BaseException:
                # While orphans are still ours: those of an A that is ended go to another process
                # later, and where that does not reap them, init stays, and who waits for it.
                self.end()
                raise

    def start_in(self, zygote: Zygote) -> None:
        """Let a zygote run A: the cell will be a fork of it, and of no memory of ours."""
        try:
            self._image = limits.image_of(zygote.process.pid)
            self._inherited = limits.inherited_resident_bytes(zygote.process.pid)
        except OSError as error:
            raise zygote.lost(error.errno or 0) from error
        self.plan = replace(self.plan, kernel_pid=zygote.process.pid)
        ends = self._ends
        self._setter = zygote.fork(self.plan, ends.for_zygote())
        ends.keep(self._setter.fd)
        ends.forget_child_ends()
        self._map_ids()

    def start(self, body: Body, names: frozenset[str]) -> None:
        """Run A to its end, or beside us, until the cell is forked and the root is built.

        Signals are blocked meanwhile, and stay so in the cell until it runs.
        """
        flush_files()
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
            self._foreign = answer_setter(self._ends.control, setter, self.plan, self._group)
        except (SetupFailed, OSError):
            # Of an A that has failed and ended meanwhile there is nothing to map; it has said why.
            if is_readable(self._ends.control.fileno(), 0):
                expect(self._ends.control, "forked", deadline_of_set_up())
            raise

    def set_up(self) -> ConfinementReport:
        """Wait for "ready", verify from outside, and say "go"."""
        deadline = deadline_of_set_up()
        own_namespaces = verify.read_namespaces("self")
        links = self._ends.links(self._arena)
        with self._signals.let_through():
            is_readable(self._ends.control.fileno(), deadline - time.monotonic())
        cell, init = expect_forked(self._ends.control, deadline)
        try:
            self._init = self._process(init)
            self._cell = self._process(cell)
            settled = verify_identity(self.plan, cell, own_namespaces)
        except (ProcessLookupError, SetupFailed) as error:
            # A cell that has ended already cannot be looked at, and has said why it ended.
            if is_readable(self._ends.control.fileno(), 0):
                expect(self._ends.control, "ready", deadline)
            if isinstance(error, SetupFailed):
                raise
            raise SetupFailed("fork", "pidfd_open", 3, "the cell ended without a word.") from error
        with self._signals.let_through():
            await_ready(self._ends.control, self._ends.channel, deadline)
        layers = (*settled, *verify_view(self.plan, cell, links, self._foreign, self._group))
        # A has built the root and ends meanwhile; then init and the cell are children of ours.
        self._setter.reap()
        self._setter = NOBODY
        report = ConfinementReport((*layers, *verify_rights(self.plan, cell, os.getpid())))
        self._proc_root = self._ends.keep(verify.open_proc(cell))
        self._ends.channel.send(GO)
        return report

    def watch(  # noqa: PLR0913 - a cell, and all that is its own
        self,
        listener: Listener,
        names: frozenset[str],
        arena: int,
        signals: Signals,
        policy: Policy,
        *,
        lives_on: bool = False,
    ) -> CellStopped | None:
        """Listen to the running cell.

        Args:
            listener: hears it.
            names: the values that it was asked for.
            arena: where its values go.
            signals: let through meanwhile.
            policy: of this cell.
            lives_on: leave the sandbox alive when the cell has said that it is done.
        """
        watch = Watch(
            policy=policy,
            ends=self.watched_ends(),
            listener=listener,
            signals=signals,
            names=names | {RESULT},
            decoder=self.decoder,
            meter=self.meter(policy, arena),
            reap=self.status,
            kill=self.end_cell,
            interrupts=Interrupts(self._cell.interrupt_group),
            lives_on=lives_on,
        )
        return self.explain(policy, watch.run())

    def watched_ends(self) -> WatchedEnds:
        """Return what somebody reads who listens to the verified sandbox; it does not block."""
        ends = self._ends
        ends.unblock()
        return WatchedEnds(ends.channel.fileno(), ends.stdout, ends.stderr, self._cell.fd)

    def explain(self, policy: Policy, stopped: CellStopped | None) -> CellStopped | None:
        """Say "memory" where the kernel ended the sandbox for want of it."""
        return explain_kill(policy, stopped, self._group)

    def look(self) -> CellStopped | None:
        """Look once at a sandbox in which no cell runs; why it must end, if it must."""
        return self.meter(self.plan.policy).sample()

    def end_cell(self) -> None:
        """Kill what a cell may have left: every process of the sandbox."""
        self.stop()

    def stop(self) -> None:
        """Kill every process of the sandbox; somebody else waits for the end."""
        self._init.kill()

    def used_memory(self) -> int:
        """Bytes that the sandbox uses now, over what it inherited."""
        return limits.measure(self._proc_root, self._inherited, -1, self._image).memory

    @property
    def has_ended(self) -> bool:
        """Whether the process that runs cells has ended."""
        return self._cell is NOBODY or is_readable(self._cell.fd, 0)

    def meter(self, policy: Policy, arena: int = -1) -> Meter:
        """Return what measures the sandbox."""
        return Meter(
            policy=policy,
            proc_root=self._proc_root,
            arena=arena,
            inherited=self._inherited or limits.inherited_resident_bytes(),
            is_program_changed=self.program.is_changed,
            charged=float if self._group is None else self._group.processor_seconds,
            image=self._image,
            cpu_seconds=self._cpu_seconds,
        )

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
