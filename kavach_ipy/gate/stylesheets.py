"""Style sheets of the cell's: their declarations, moved into the elements that they mean.

A sheet on the page would style the whole notebook. pandas, its Styler and polars write sheets whose
selectors are ids, classes and names of elements one below the other; those are understood, and the
elements get a ``style`` attribute each.

Guarantees: only cleaned declarations come out (`kavach_ipy.gate.styles`); the time is bounded by a
number of comparisons, after which nothing is styled any more.
Assumes: elements are asked for in the order of the document, with what they stand in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from kavach_ipy.gate.styles import clean_style

__all__ = ["ONLY", "Element", "StyleSheets"]

ONLY: Final = ":only-of-type"
"""Stands among the classes of an element that has no sibling of its name: no class is called so."""

_SIZE: Final = 1 << 20
_RULES: Final = 50_000
_COMPARISONS: Final = 300_000
_LONGEST: Final = 5
_COMMENT: Final = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_BRACE: Final = re.compile(r"([{}])")
_COMPOUND: Final = re.compile(
    r"([a-z][a-z0-9]*)?((?:[#.][\w-]+)*)(:only-of-type)?", re.IGNORECASE | re.ASCII
)
_COMBINATOR: Final = re.compile(r"[\s>+~]+")
_PART: Final = re.compile(r"([#.])([\w-]+)", re.ASCII)


class Element(NamedTuple):
    """What a selector can ask of an element."""

    name: str
    ident: str
    classes: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Rule:
    """One selector, from its last compound to its first, and what it declares."""

    compounds: tuple[Element, ...]
    is_child: tuple[bool, ...]
    """Whether each compound but the last must be the parent of the one before it."""

    weight: tuple[int, int, int, int]
    """CSS Selectors 4, 17: ids, classes, names; then the order."""

    style: tuple[tuple[str, str], ...]


class StyleSheets:
    """The sheets of one output."""

    __slots__ = ("_comparisons", "_count", "_rules")

    def __init__(self) -> None:
        self._comparisons = _COMPARISONS
        self._count = 0
        # By the last compound's id, else its first class, else its name; "#", "." and "" tell them.
        self._rules: dict[tuple[str, str], list[_Rule]] = {}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def styles_all(self, name: str) -> bool:
        """Tell whether an element of this name may be styled though it has no id and no class."""
        return ("", name) in self._rules

    def add(self, sheet: str) -> None:
        """Read one sheet; what it says beyond the selectors above goes without a word."""
        if len(sheet) > _SIZE:
            return
        for selectors, body in _blocks(_COMMENT.sub(" ", sheet)):
            style = _pairs(clean_style(body))
            if not style:
                continue
            for selector in selectors.split(","):
                if self._count >= _RULES:
                    return
                if ":checked" in selector:
                    self._add_opened(selector, style)
                else:
                    self._add(selector, style)

    def style_of(self, element: Element, around: Sequence[Element]) -> dict[str, str]:
        """Return what the sheets declare for an element.

        Args:
            element: which it is.
            around: the elements that it stands in, outermost first.
        """
        keys = [("", element.name), *((".", word) for word in element.classes)]
        if element.ident:
            keys.append(("#", element.ident))
        found: list[_Rule] = []
        for key in keys:
            rules = self._rules.get(key, ())
            self._comparisons -= len(rules)
            if self._comparisons < 0:
                return {}
            found += [rule for rule in rules if self._fits(rule, element, around)]
        if len(found) > 1:
            found.sort(key=lambda rule: rule.weight)
        return {name: value for rule in found for name, value in rule.style}

    def _add(self, selector: str, style: tuple[tuple[str, str], ...]) -> None:
        compounds: list[Element] = []
        is_child: list[bool] = []
        for word in selector.replace(">", " > ").split():
            if word == ">":
                if not compounds or len(is_child) == len(compounds):
                    return
                is_child.append(True)
                continue
            compound = _compound(word)
            if compound is None or len(compounds) == _LONGEST:
                return
            if compounds and len(is_child) < len(compounds):
                is_child.append(False)
            compounds.append(compound)
        if not compounds or len(is_child) != len(compounds) - 1:
            return
        last = compounds[-1]
        key = ("#", last.ident) if last.ident else ("", last.name)
        if not last.ident and last.classes:
            key = (".", min(last.classes))
        self._count += 1
        weight = (
            sum(bool(compound.ident) for compound in compounds),
            sum(len(compound.classes) for compound in compounds),
            sum(bool(compound.name) for compound in compounds),
            self._count,
        )
        if weight[:2] <= (0, 1):
            # JupyterLab aligns cells by a selector of two classes, which such a rule does not
            # override on a page either; as a style of the element it would.
            style = tuple(pair for pair in style if pair[0] != "text-align")
        rule = _Rule(tuple(reversed(compounds)), tuple(reversed(is_child)), weight, style)
        self._rules.setdefault(key, []).append(rule)

    def _add_opened(self, selector: str, style: tuple[tuple[str, str], ...]) -> None:
        """Show what a check box would show: there are none on the page, so it is open for ever."""
        compound = _compound(_COMBINATOR.split(selector.strip())[-1])
        shown = tuple(pair for pair in style if pair[0] == "display" and pair[1] != "none")
        if compound is not None and compound.classes and shown:
            self._count += 1
            rule = _Rule((compound,), (), (0, _LONGEST, _LONGEST, self._count), shown)
            self._rules.setdefault((".", min(compound.classes)), []).append(rule)

    def _fits(self, rule: _Rule, element: Element, around: Sequence[Element]) -> bool:
        if not _is(rule.compounds[0], element):
            return False
        at = len(around)
        for compound, is_child in zip(rule.compounds[1:], rule.is_child, strict=True):
            # The nearest that fits: where a child was asked for above it, another might fit too,
            # and is not looked for.
            at -= 1
            while not is_child and at >= 0 and not _is(compound, around[at]):
                self._comparisons -= 1
                at -= 1
            if at < 0 or not _is(compound, around[at]):
                return False
        return True


def _is(asked: Element, element: Element) -> bool:
    return (
        (not asked.name or asked.name == element.name)
        and (not asked.ident or asked.ident == element.ident)
        and asked.classes <= element.classes
    )


def _compound(word: str) -> Element | None:
    match = _COMPOUND.fullmatch(word)
    if match is None:
        return None
    parts = _PART.findall(match[2])
    idents = [name for sign, name in parts if sign == "#"]
    if len(idents) > 1:
        return None
    classes = frozenset(name for sign, name in parts if sign == ".")
    if match[3]:
        classes |= {ONLY}
    return Element((match[1] or "").lower(), "".join(idents), classes)


def _blocks(sheet: str) -> Iterator[tuple[str, str]]:
    """Yield selectors and body of each rule that stands in no other."""
    depth = 0
    selectors = ""
    pieces = _BRACE.split(sheet)
    for text, sign in zip(pieces[::2], pieces[1::2], strict=False):
        if sign == "{":
            depth += 1
            if depth == 1:
                # An "@import x;" may stand before them.
                selectors = text.rpartition(";")[2].strip()
        else:
            if depth == 1 and not selectors.startswith("@"):
                yield selectors, text
            depth = max(0, depth - 1)


def _pairs(style: str) -> tuple[tuple[str, str], ...]:
    pairs = (declaration.partition(": ") for declaration in style.split("; ") if declaration)
    return tuple((name, value) for name, _, value in pairs)
