"""One cell from its launch to its end: fork, map, verify, go, listen, kill, reap.

Guarantees: when `launch` and `launch_fresh` return or raise, nothing of the child is left: no
process, descriptor, mount or zombie. The cell runs only after everything was read back from
outside. The child cannot keep the caller waiting beyond a deadline.
Assumes: called in the thread that stays alive meanwhile (the parent-death signal follows it).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kavach_ipy.errors import CellStopped
from kavach_ipy.launch import verdicts
from kavach_ipy.launch.layers import ConfinementReport
from kavach_ipy.launch.link import Body
from kavach_ipy.launch.listener import Listener
from kavach_ipy.launch.parent import Parent
from kavach_ipy.launch.plan import Plan
from kavach_ipy.launch.requests import send_cell
from kavach_ipy.launch.signals import Signals
from kavach_ipy.wire.arena import Arena
from kavach_ipy.wire.documents import Json

if TYPE_CHECKING:
    from kavach_ipy.launch.zygotes import Breed

__all__ = ["Ending", "FreshJob", "Job", "launch", "launch_fresh"]


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
class FreshJob:
    """What is run in a fresh interpreter, and what it gives back."""

    breed: Breed
    task: dict[str, Json]
    """For the runner that the breed names."""

    arena: Arena
    inputs: int = -1
    """Sealed memory that the cell is given; -1 for none."""

    names: frozenset[str] = frozenset()

    def request(self) -> dict[str, Json]:
        """What the sandbox is told of it."""
        return {**self.task, "names": [*sorted(self.names)]}


@dataclass(frozen=True, slots=True)
class Ending:
    """How one cell ended."""

    report: ConfinementReport
    stopped: CellStopped | None
    """None where the cell said "done" itself."""

    seconds: float
    """Wall time from "go" to the end."""

    is_restored: bool = False
    """Of a session whose cell was stopped: it goes on with what was before the cell."""

    @property
    def lives_on(self) -> bool:
        """Of a session: whether processes that ran the cell live."""
        return self.stopped is None and not self.is_restored


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
    with Parent(plan, signals, job.arena.fd) as parent:
        report = parent.confine(lambda: parent.start(job.body, job.names))
        return _finish(
            parent,
            report,
            lambda: parent.watch(listener, job.names, job.arena.fd, signals, plan.policy),
        )


def launch_fresh(plan: Plan, job: FreshJob, listener: Listener, signals: Signals) -> Ending:
    """Run a job in a fresh, confined interpreter, which is forked from a zygote.

    Args and raises as `launch`; also:

    Raises:
        PolicyError: a module that was to be loaded cannot be.
    """
    # It gives every fork of this process something to do, so it is for those who need it.
    from kavach_ipy.launch.zygotes import zygote_for  # noqa: PLC0415

    with Parent(plan, signals) as parent:
        with zygote_for(job.breed, signals) as zygote:
            report = parent.confine(lambda: parent.start_in(zygote))

        def listen() -> CellStopped | None:
            # A cell that has ended already is one that `watch` finds so.
            with suppress(OSError):
                send_cell(parent.channel, job.request(), job.arena.fd, job.inputs)
            return parent.watch(listener, job.names, job.arena.fd, signals, plan.policy)

        return _finish(parent, report, listen)


def _finish(
    parent: Parent, report: ConfinementReport, listen: Callable[[], CellStopped | None]
) -> Ending:
    start = time.monotonic()
    stopped = listen()
    parent.end()
    if parent.program.leave():
        stopped = verdicts.touched_program()
    return Ending(report, stopped, time.monotonic() - start)
