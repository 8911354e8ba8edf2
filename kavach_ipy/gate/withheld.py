"""`Withheld`: what stands in the notebook for a value that stayed outside.

Guarantees: its texts went through the filter, its HTML is escaped; it holds nothing else.
Assumes: it is made by `withheld` below.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate.text import clean_line, clean_text

__all__ = ["Withheld", "withheld"]


@dataclass(frozen=True, slots=True, repr=False)
class Withheld:
    """A value that was asked for and not brought back.

    Attributes:
        name: the variable.
        kind: the type's name, as the child gave it.
        reason: why it was withheld.
        remedy: what would allow it, or an empty string.
        shown: the value's repr, made in the child; may be empty.
    """

    name: str
    kind: str
    reason: str
    remedy: str = ""
    shown: str = ""

    def __repr__(self) -> str:
        """Return one line with type, reason and remedy, then the child's own repr."""
        remedy = f"; {self.remedy}" if self.remedy else ""
        line = f"<withheld: {self.name} ({self.kind}): {self.reason}{remedy}>"
        return f"{line}\n{self.shown}" if self.shown else line

    def _repr_html_(self) -> str:
        # Colours are left to the page's theme, dark or light.
        remedy = f"; {escape(self.remedy)}" if self.remedy else ""
        shown = f"<pre>{escape(self.shown)}</pre>" if self.shown else ""
        return (
            f'<div style="padding-left: 8px"><b>not brought back:</b> '
            f"<code>{escape(self.name)}</code> (<code>{escape(self.kind)}</code>): "
            f"{escape(self.reason)}{remedy}{shown}</div>"
        )

    def error(self) -> OutputWithheld:
        """Return the same as an exception, for who would rather raise it."""
        return OutputWithheld(self.name, self.kind, self.reason, self.remedy)


def withheld(name: str, kind: str, reason: str, remedy: str = "", shown: str = "") -> Withheld:
    """Make a `Withheld` of texts that the child may have written."""
    return Withheld(
        clean_line(name, 100),
        clean_line(kind, 200),
        clean_line(reason, 500),
        clean_line(remedy, 300),
        clean_text(shown, 4000),
    )
