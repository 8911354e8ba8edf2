"""What a sandbox uses, measured from outside, against what it may.

Guarantees: the processor time of a process that has ended still counts, once.
Assumes: the sandbox's own /proc is mounted by us, before any line of the cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kavach_ipy.errors import CellStopped
from kavach_ipy.launch import verdicts
from kavach_ipy.linux import limits
from kavach_ipy.policy import Policy

__all__ = ["Meter"]


@dataclass(slots=True)
class Meter:
    """Measures one sandbox, during one cell or between two."""

    policy: Policy
    proc_root: int
    """The sandbox's own /proc."""

    arena: int
    """The one file of memory that the cell has without a file system; -1 where it has none."""

    inherited: int
    """Bytes of anonymous memory the process had that was forked."""

    is_program_changed: Callable[[], bool]
    """Tells whether the file that this process runs has another mode, group or time."""

    charged: Callable[[], float]
    """Seconds of processor time that a control group counts; 0 where there is none."""

    image: bytes | None = None
    """What tells a fork of the zygote by (`limits.image_of`); None for forks of this process."""

    held: Callable[[], dict[int, int]] = dict
    """Snapshots that wait (`limits.measure`)."""

    cpu_seconds: dict[tuple[int, int], float] = field(default_factory=dict)
    """Seconds of processor time of each process that was seen, also in earlier cells."""

    usage: limits.Usage | None = None
    """What was measured last."""

    _waited_seconds: float = 0.0

    def sample(self) -> CellStopped | None:
        """Measure once; why the sandbox must end, if it must."""
        held = self.held()
        usage = limits.measure(self.proc_root, self.inherited, self.arena, self.image, held)
        self.usage = usage
        for process, seconds in usage.cpu.items():
            # Kept after the process has ended: nobody may have waited for it.
            self.cpu_seconds[process] = max(seconds, self.cpu_seconds.get(process, 0.0))
        self._waited_seconds = max(self._waited_seconds, usage.waited)
        cpu = max(self._cpu_used(frozenset(usage.cpu)), self.charged())
        if self.is_program_changed():
            return verdicts.touched_program()
        if usage.memory > self.policy.memory:
            return verdicts.out_of_memory(self.policy, usage.memory)
        return verdicts.out_of_cpu(self.policy, cpu) if cpu > self.policy.cpu else None

    def _cpu_used(self, living: frozenset[tuple[int, int]]) -> float:
        """Seconds of the whole tree, those of its dead once: times(2).

        A dead process was seen while it lived, or is in what its parent waited for, or both; the
        greater of the two sums counts nothing twice.
        """
        alive = sum(self.cpu_seconds[process] for process in living)
        dead = sum(self.cpu_seconds.values()) - alive
        return alive + max(dead, self._waited_seconds)
