"""What a report is made of: layers, each verified, merely applied, or open.

Guarantees: a layer that does not verify is an error, and never a line of a report.
Assumes: `launch.report` and `launch.bounds` make the layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kavach_ipy.errors import SetupFailed
from kavach_ipy.launch.strength import Strength, strength_of

__all__ = ["ConfinementReport", "Layer", "mismatch"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the confinement of one cell."""

    name: str
    state: Literal["verified", "applied", "open"]
    """"verified": read back from outside. "applied": the call succeeded in the child, and the
    kernel shows no trace of it that another process could read. "open": the policy asks for no
    such layer, which was read back as well."""

    detail: str


@dataclass(frozen=True, slots=True)
class ConfinementReport:
    """What held while the cell ran."""

    layers: tuple[Layer, ...]

    @property
    def strength(self) -> Strength:
        """The score of what was verified."""
        return strength_of({layer.name for layer in self.layers if layer.state == "verified"})

    def text(self) -> str:
        """Lay the report out as plain text: one line a layer, and the score."""
        width = max((len(layer.name) for layer in self.layers), default=0)
        rows = (
            f"  {layer.state:<8}  {layer.name:<{width}}  {_on_a_line(layer.detail)}"
            for layer in self.layers
        )
        strength = self.strength
        total = f"strength {strength.score} of 100, counting what was verified"
        opened = [layer.name for layer in self.layers if layer.state == "open"]
        for word, names in (
            ("open", opened),
            ("not verified", [name for name in strength.missing if name not in opened]),
        ):
            if names:
                total += f"; {word}: {', '.join(names)}"
        return "\n".join(("confinement of this cell:", *rows, total))


def _on_a_line(detail: str) -> str:
    # A path of the host's, unpacked from somebody's archive, may hold escape sequences.
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode("ascii")
        for mark in detail
    )


def mismatch(layer: str, found: str) -> SetupFailed:
    """Make the error of a layer that reads back as something else than was promised."""
    return SetupFailed(f"verify {layer}", "verify", 0, f"read back from outside: {found}.")
