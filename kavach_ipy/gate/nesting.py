"""Which widgets are shown in which: a page makes an element for every way to a widget.

A box that holds a box twice, which holds one twice, and so on thirty times, is thirty widgets and a
thousand million elements; one that holds itself never ends.

Guarantees: no widget holds itself, on any way; what one holds takes at most `MOST` elements and
nests at most `DEEPEST` deep.
Assumes: names are those of one session.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DEEPEST", "MOST", "Nesting"]

MOST: Final = 10_000
DEEPEST: Final = 40


class Nesting:
    """The widgets of a session, and what each of them holds."""

    __slots__ = ("_children", "_measures", "_parents")

    def __init__(self) -> None:
        self._children: dict[str, tuple[str, ...]] = {}
        self._parents: dict[str, set[str]] = {}
        # Elements that it takes to show a widget, and how deep they nest.
        self._measures: dict[str, tuple[int, int]] = {}

    def add(self, name: str) -> None:
        """Begin with a widget that holds nothing."""
        self._children[name] = ()
        self._parents[name] = set()
        self._measures[name] = (1, 1)

    def remove(self, name: str) -> None:
        """Forget a widget; those that hold it are measured as before until they hold others."""
        self._let_go(name)
        del self._children[name], self._parents[name], self._measures[name]

    def elements(self, name: str) -> int:
        """Return how many elements it takes to show a widget."""
        return self._measures[name][0]

    def held_by(self, name: str) -> tuple[str, ...]:
        """Return what a widget holds."""
        return self._children[name]

    def place(self, name: str, children: tuple[str, ...]) -> bool:
        """Let a widget hold these and no others; False, and no change, where it may not."""
        around = self._around(name)
        if not around.isdisjoint(children):
            return False
        before = self._children[name]
        self._hold(name, children)
        measures: dict[str, tuple[int, int]] = {}
        if self._measure(name, around, measures):
            # From a widget on, what holds it is measured anew; all of that is in `around`.
            for other in around:
                if not self._measure(other, around, measures):
                    break
            else:
                self._measures.update(measures)
                return True
        self._hold(name, before)
        return False

    def _measure(
        self, name: str, anew: set[str], measures: dict[str, tuple[int, int]], depth: int = 1
    ) -> bool:
        """Measure a widget and those of `anew` that it holds; False where it is too large."""
        if name in measures:
            return True
        elements, deepest = 1, 1
        for child in self._children[name]:
            if child in anew and not (
                depth < DEEPEST and self._measure(child, anew, measures, depth + 1)
            ):
                return False
            count, height = measures.get(child) or self._measures.get(child, (1, 1))
            elements += count
            deepest = max(deepest, height + 1)
        measures[name] = elements, deepest
        return elements <= MOST and deepest <= DEEPEST

    def _around(self, name: str) -> set[str]:
        """Return a widget and all that hold it, on any way."""
        found = {name}
        waiting = [name]
        while waiting:
            for parent in self._parents[waiting.pop()]:
                if parent not in found:
                    found.add(parent)
                    waiting.append(parent)
        return found

    def _hold(self, name: str, children: tuple[str, ...]) -> None:
        self._let_go(name)
        self._children[name] = children
        for child in set(children):
            self._parents[child].add(name)

    def _let_go(self, name: str) -> None:
        for child in set(self._children[name]):
            if child in self._parents:
                self._parents[child].discard(name)
