"""The parent's side of one cell: fork, map, verify, go, listen, kill, reap.

Guarantees: when `launch` returns or raises, nothing of the child is left: no process, descriptor,
mount or zombie. The cell runs only after everything was read back from outside. The child cannot
keep the caller waiting beyond a deadline.
Assumes: called in the thread that stays alive meanwhile (the parent-death signal follows it).
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import prctl

from kavach_ipy.errors import CellStopped, SetupFailed
from kavach_ipy.launch.child import ChildEnds, set_up
from kavach_ipy.launch.control import (
    Report,
    refuse_mapped,
    send_mapped,
    send_mappings,
    setup_failure,
    take_report,
)
from kavach_ipy.launch.ends import Ends
from kavach_ipy.launch.link import GO, READY, Body
from kavach_ipy.launch.plan import Plan
from kavach_ipy.launch.processes import NOBODY, Process, end_children_in, is_readable
from kavach_ipy.launch.quiet import handlers_later, no_collection, turns
from kavach_ipy.launch.report import ConfinementReport, verify_identity, verify_rights, verify_view
from kavach_ipy.launch.watch import Listener, Watch, WatchedEnds
from kavach_ipy.linux import _libc, inherited, limits, namespaces, privileges, verify
from kavach_ipy.wire.arena import Arena
from kavach_ipy.wire.frames import Decoder
from kavach_ipy.wire.messages import RESULT

__all__ = ["Ending", "launch"]

_SETUP_SECONDS = 30.0
_ABANDON_SECONDS = 2.0
_PACKET = 1 << 16
SHARES_MEMORY = sys.version_info < (3, 14)
"""Python 3.14 checks the stack pointer against the thread's own stack, and A runs on another."""

_SIGNALS = tuple(int(number) for number in signal.valid_signals())


@dataclass(frozen=True, slots=True)
class Ending:
    """How one cell ended."""

    report: ConfinementReport
    stopped: CellStopped | None
    """None where the cell said "done" itself."""

    seconds: float
    """Wall time from "go" to the end."""


def launch(
    plan: Plan,
    body: Body,
    listener: Listener,
    arena: Arena,
    names: frozenset[str] = frozenset(),
) -> Ending:
    """Run `body` in a forked, confined child and wait for its end.

    Args:
        plan: from `make_plan`, made in this process.
        body: runs in the child, after verification.
        listener: hears frames and raw output, live.
        arena: made by the caller and closed by it; every process that knew it is dead afterwards.
        names: the values that the body was asked for.

    Raises:
        SetupFailed: a step failed or did not verify; nothing of the cell ran.
    """
    with _Parent(plan, arena.fd) as parent:
        with privileges.adopting_orphans(), no_collection():
            parent.start(body, names)
            report = parent.set_up()
        start = time.monotonic()
        stopped = parent.watch(listener, names)
        parent.end()
        seconds = time.monotonic() - start
        return Ending(report, stopped, seconds)


class _Parent:
    """One child from before its fork until nothing of it is left."""

    def __init__(self, plan: Plan, arena: int) -> None:
        self.plan = plan
        self.decoder = Decoder()
        self._arena = arena
        self._setter = self._cell = self._init = NOBODY
        self._proc_root = -1
        self._user_namespace = ""
        self._ends = Ends()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.end()
        finally:
            self._ends.close()

    def start(self, body: Body, names: frozenset[str]) -> None:
        """Run A to its end, or beside us, until the cell is forked and the root is built.

        Signals are blocked meanwhile, and stay so in the cell until it runs.
        """
        for stream in (sys.stdout, sys.stderr):
            # Text that waits in a buffer would be written twice.
            with suppress(AttributeError, ValueError, OSError):
                stream.flush()
        ends = ChildEnds(
            control=self._ends.child_control,
            channel=self._ends.child_channel.fileno(),
            arena=self._arena,
            stdout=self._ends.child_stdout,
            stderr=self._ends.child_stderr,
            lifeline=self._ends.child_lifeline,
            handled_signals=tuple(
                number for number in _SIGNALS if callable(signal.getsignal(number))
            ),
        )
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of every fork with threads. Ours never runs the parent's code
                # again, and a library whose locks cannot survive is refused before the fork.
                warnings.simplefilter("ignore", DeprecationWarning)
                start = self._start_sharing if SHARES_MEMORY else self._start_apart
                start(lambda: set_up(self.plan, ends, body, names))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._ends.forget_child_ends()

    def _start_sharing(self, action: Callable[[], None]) -> None:
        """Run A in our own memory; another thread answers it, because this one sleeps."""
        wrong: list[BaseException] = []

        def run() -> None:
            try:
                action()
            except BaseException as error:  # noqa: BLE001 - a callback of C's may not raise
                wrong.append(error)

        def answer() -> None:
            try:
                self._map_ids()
            except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
                wrong.append(error)
                refuse_mapped(self._ends.control)

        # A changes its credentials, which clears the dumpable flag of the memory, and so ours; two
        # at once would clear it under each other's forks.
        with turns.take(), handlers_later():
            dumpable = prctl.get_dumpable()
            thread = threading.Thread(target=answer, name="kavach-set-up", daemon=True)
            thread.start()
            try:
                self._setter = self._process(_libc.run_sharing_memory(run))
            finally:
                prctl.set_dumpable(bool(dumpable))
                self._ends.child_control.close()
                thread.join()
        if wrong:
            raise wrong[0]

    def _start_apart(self, action: Callable[[], None]) -> None:
        """Run A in a copy of our memory, beside us."""
        pid = os.fork()
        if pid == 0:
            try:
                action()
            finally:
                os._exit(0)
        self._setter = self._process(pid)
        self._ends.forget_child_ends()
        self._map_ids()

    def _map_ids(self) -> None:
        """Answer A: write its id maps, and tell it which pages of its memory are shared."""
        (setter,) = self._expect("unshared", time.monotonic() + _SETUP_SECONDS).pids
        with suppress(OSError):
            # Where A has ended already there is nothing to read, and it had no children yet.
            self._user_namespace = verify.read_user_namespace(setter)
        identity = self.plan.identity
        try:
            namespaces.write_id_maps(setter, identity.uid, identity.gid)
        except _libc.SyscallError as error:
            raise setup_failure("id maps", error.call, error.errno or 0, error.arguments) from error
        send_mapped(self._ends.control)
        # Its memory is ours, as it is or as it was at the fork; read while it is at work.
        send_mappings(self._ends.control, inherited.find_shared_mappings(setter))

    def set_up(self) -> ConfinementReport:
        """Wait for "ready", verify from outside, and say "go"."""
        deadline = time.monotonic() + _SETUP_SECONDS
        own_namespaces = verify.read_namespaces("self")
        links = self._ends.links(self._arena)
        forked = self._expect("forked", deadline)
        if len(forked.pids) != 2:
            raise SetupFailed("fork", "report", 0, f"two pids expected, not {forked.pids}.")
        try:
            self._init = self._process(forked.pids[1])
            self._cell = self._process(forked.pids[0])
            settled = verify_identity(self.plan, self._cell.pid, own_namespaces)
        except (ProcessLookupError, SetupFailed) as error:
            # A cell that has ended already cannot be looked at, and has said why it ended.
            if is_readable(self._ends.control.fileno(), 0):
                self._expect("ready", deadline)
            if isinstance(error, SetupFailed):
                raise
            raise SetupFailed("fork", "pidfd_open", 3, "the cell ended without a word.") from error
        self._await_ready(deadline)
        layers = (*settled, *verify_view(self.plan, self._cell.pid, links))
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
        )
        resident = limits.inherited_resident_bytes()
        return Watch(
            policy=self.plan.policy,
            ends=ends,
            listener=listener,
            decoder=self.decoder,
            inherited=resident,
            reap=self.status,
            kill=self._init.kill,
            names=names | {RESULT},
        ).run()

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

    def _expect(self, word: str, deadline: float) -> Report:
        if not is_readable(self._ends.control.fileno(), deadline - time.monotonic()):
            raise SetupFailed(word, "wait", 0, f"no answer within {_SETUP_SECONDS:.0f} s.")
        packet = self._ends.control.recv(_PACKET)
        if not packet:
            raise SetupFailed(word, "wait", 0, "the child ended without a word.")
        report = take_report(packet)
        if report.word != word:
            raise SetupFailed(word, "wait", 0, f"the child said {report.word!r} instead.")
        return report

    def _await_ready(self, deadline: float) -> None:
        control, channel = self._ends.control.fileno(), self._ends.channel.fileno()
        poll = select.poll()
        poll.register(control, select.POLLIN)
        poll.register(channel, select.POLLIN)
        while True:
            ready = dict(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
            if not ready:
                raise SetupFailed("ready", "wait", 0, f"not within {_SETUP_SECONDS:.0f} s.")
            if control in ready:
                packet = self._ends.control.recv(_PACKET)
                if packet:
                    take_report(packet)
                # Its end is no news: A leaves, and C gives it up just before it is ready.
                poll.unregister(control)
            elif channel in ready:
                said = self._ends.channel.recv(len(READY))
                if said == READY:
                    return
                raise SetupFailed("ready", "wait", 0, f"the child said {said!r} instead.")

    def _process(self, pid: int) -> Process:
        return Process(pid, self._ends.keep(os.pidfd_open(pid)))
