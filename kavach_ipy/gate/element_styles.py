"""The style of each element of one output: what its sheets declare, and then its own.

A table asks the same in every row, so what was found for a start tag is remembered, together with
the way through open elements that leads to it.

Guarantees: a style has been through `kavach_ipy.gate.styles`; styles from sheets take four million
characters at most, as one rule may mean every element; what is remembered is bounded.
Assumes: `of` and `close` hear of every element that is written, in order.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from kavach_ipy.gate.attributes import asked_by_selectors
from kavach_ipy.gate.elements import VOID
from kavach_ipy.gate.styles import clean_style
from kavach_ipy.gate.stylesheets import ONLY, Element, StyleSheets

__all__ = ["ElementStyles", "Styles"]

Styles: TypeAlias = tuple[str, str]
"""An element's style where it is the only one of its name, and where it is not."""

_WRITTEN: Final = 4 << 20
_KNOWN: Final = 1000


class ElementStyles:
    """The sheets of one output, and the elements that are open."""

    __slots__ = ("_elements", "_known", "_made", "_numbers", "_sheets", "_styled", "_ways")

    def __init__(self) -> None:
        self._sheets = StyleSheets()
        # As selectors see them; empty until there is a sheet.
        self._elements: list[Element] = []
        # A number for each way through open elements, and those of the ways to each open one.
        self._numbers: dict[tuple[int, Element], int] = {}
        self._ways: list[int] = []
        self._made = 0
        # What was found for a start tag, the number of the way through it, and how many characters
        # of its style came from sheets.
        self._known: dict[tuple[int, str, str], tuple[Element, int, Styles, int]] = {}
        self._styled = 0

    def __bool__(self) -> bool:
        """Tell whether there is a sheet."""
        return bool(self._sheets)

    def styles_all(self, name: str) -> bool:
        """Tell whether an element of this name may be styled though it has no id and no class."""
        return self._sheets.styles_all(name)

    def add(self, markup: str) -> None:
        """Read a style element."""
        start, _, rest = markup.partition(">")
        if "media" not in start:
            self._sheets.add(rest.rpartition("</")[0])
            self._known.clear()

    def of(self, name: str, rest: str, own: str, opened: list[str]) -> Styles:
        """Open an element, and return its style.

        Args:
            name: of the element.
            rest: what stands behind it in its start tag.
            own: the style that it gives itself.
            opened: names of the elements that it stands in, outermost first.
        """
        for early in opened[len(self._elements) :]:
            # Opened before the first sheet, so selectors know no more of it.
            element = Element(early, "", frozenset())
            way = self._way(element)
            self._elements.append(element)
            self._ways.append(way)
        key = self._ways[-1] if self._ways else 0, name, rest
        known = self._known.get(key) if self._styled <= _WRITTEN else None
        if known is None:
            ident, classes = asked_by_selectors(rest)
            element, before = Element(name, ident, classes), self._styled
            styles = self._found(element, own)
            known = element, self._way(element), styles, self._styled - before
            if len(self._known) < _KNOWN:
                self._known[key] = known
        else:
            self._styled += known[3]
        if name not in VOID:
            self._elements.append(known[0])
            self._ways.append(known[1])
        return known[2]

    def close(self, depth: int) -> None:
        """Close what stands deeper than that."""
        del self._elements[depth:], self._ways[depth:]

    def _way(self, element: Element) -> int:
        """Return a number for what is open and this: the same for the same, while few are."""
        step = self._ways[-1] if self._ways else 0, element
        self._made += 1
        number = self._numbers.get(step, self._made)
        if number == self._made and len(self._numbers) < _KNOWN:
            self._numbers[step] = number
        return number

    def _found(self, element: Element, own: str) -> Styles:
        declared = self._joined(element, own)
        if element.name != "th":
            return declared, declared
        only = Element(element.name, element.ident, element.classes | {ONLY})
        return self._joined(only, own), declared

    def _joined(self, element: Element, own: str) -> str:
        """Return a style in which an element's own declarations come last, and so count."""
        declared = self._sheets.style_of(element, self._elements)
        if not declared or self._styled > _WRITTEN:
            return own
        style = "; ".join(f"{key}: {value}" for key, value in declared.items())
        self._styled += len(style)
        return clean_style(f"{style}; {own}")
