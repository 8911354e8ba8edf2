"""Rules: what the reader does when a pickle names a tag.

Guarantees: a tag runs only after its rule has checked the exact type of every argument.
Assumes: arguments were made by the reader or by another rule, so their classes are honest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from kavach_ipy.gate.allowance import refused
from kavach_ipy.gate.budget import Budget
from kavach_ipy.wire.prices import price

__all__ = ["Arguments", "Build", "Rule", "exactly", "label", "rules"]

Arguments: TypeAlias = tuple[object, ...]
Build: TypeAlias = Callable[[Budget, Arguments], object]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a tag may do.

    Attributes:
        name: the tag's module and name, as a pickle says them.
        short: the name in the list of prices (`kavach_ipy.wire.prices`).
        build: checks the arguments, then calls the tag.
        cost: the time that one call takes at most, in microseconds, apart from what `build` spends.
        holds: the result keeps arguments that may be containers, so they are weighed first.
    """

    name: tuple[str, str]
    short: str
    build: Build
    cost: int
    holds: bool = False

    def apply(self, budget: Budget, arguments: Arguments) -> object:
        """Return the value that the tag makes.

        Raises:
            OutputWithheld: an argument is not allowed, or the budget is spent.
            Exception: whatever a public constructor raises for values that make no sense.
        """
        budget.spend_work(self.cost)
        budget.spend_memory(price(self.short, arguments))
        if not self.holds:
            return self.build(budget, arguments)
        # Objects that CPython frees without a limit on the C stack (defaultdict, ndarray) may hold
        # each other only as deep as this allows.
        depth, weight = budget.weigh(arguments)
        value = self.build(budget, arguments)
        budget.remember(value, depth, weight)
        return value


def rules(*entries: tuple[Callable[..., object], Build, int, bool]) -> dict[tuple[str, str], Rule]:
    """Return a table of rules by the names of their tags: (tag, build, cost, holds) each."""
    made: dict[tuple[str, str], Rule] = {}
    for tag, build, cost, holds in entries:
        name = (tag.__module__, tag.__name__)
        short = f"{tag.__module__.rpartition('.')[2]}.{tag.__name__}"
        made[name] = Rule(name, short, build, cost, holds)
    return made


def exactly(arguments: Arguments, *kinds: type | tuple[type, ...]) -> None:
    """Check that there are as many arguments as kinds, each of exactly one of its kinds.

    Raises:
        OutputWithheld: one is not.
    """
    if len(arguments) != len(kinds):
        raise refused(f"a tag has {len(arguments)} arguments instead of {len(kinds)}")
    for value, kind in zip(arguments, kinds, strict=True):
        # Not isinstance: True is an int to it, and a subclass may answer as it likes.
        if type(value) is not kind and (type(kind) is type or type(value) not in kind):  # type: ignore[operator]
            raise refused(f"an argument of a tag is a {type(value).__name__}")


def label(budget: Budget, value: object) -> None:
    """Check a name or label: something that can be hashed at a bounded cost.

    Raises:
        OutputWithheld: it cannot.
    """
    budget.check_key(value)
    hash(value)
