"""`Outcome`: everything that is known of one cell once it is over.

Guarantees: frozen; every text and value in it has been through the gate.
Assumes: whoever makes it passes only what the gate returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kavach_ipy.errors import CellFailed, CellStopped
from kavach_ipy.gate.display import Shown
from kavach_ipy.gate.withheld import Withheld

__all__ = ["Outcome"]

_NO_VALUES: Mapping[str, object] = MappingProxyType({})
_NO_WITHHELD: Mapping[str, Withheld] = MappingProxyType({})


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """What one cell did.

    Attributes:
        result: the last expression's value, its `Withheld`, or None.
        values: the names that were asked for and came back.
        stdout: what it printed, filtered.
        stderr: what it printed to standard error, filtered.
        outputs: what it displayed, in order, as the gate rebuilt it.
        failure: None, the cell's own exception, or what the sandbox stopped it for.
        withheld: the names that were asked for and stayed outside.
        report: what was verified of its confinement (`kavach_ipy.launch`).
        seconds: wall time from the fork to the end.
    """

    result: object = None
    values: Mapping[str, object] = field(default_factory=lambda: _NO_VALUES)
    stdout: str = ""
    stderr: str = ""
    outputs: tuple[Shown, ...] = ()
    failure: CellFailed | CellStopped | None = None
    withheld: Mapping[str, Withheld] = field(default_factory=lambda: _NO_WITHHELD)
    report: object = field(default=None, compare=False)
    seconds: float = field(default=0.0, compare=False)

    def __repr__(self) -> str:
        """Return how it ended and what came back, in one line."""
        end = "ok" if self.failure is None else f"{type(self.failure).__name__}: {self.failure}"
        names = f", values: {', '.join(self.values)}" if self.values else ""
        kept = f", withheld: {', '.join(self.withheld)}" if self.withheld else ""
        return f"<Outcome {end[:200]}{names}{kept}, {self.seconds:.3f} s>"

    @property
    def ok(self) -> bool:
        """True when the cell came to its end without an exception."""
        return self.failure is None

    def check(self) -> Outcome:
        """Return itself when the cell is fine.

        Raises:
            CellFailed: the cell raised an exception.
            CellStopped: the sandbox ended the cell.
        """
        if self.failure is not None:
            raise self.failure
        return self
