"""What a rule on arguments is made of: comparisons that a filter can make exactly.

Guarantees: `others` gives every other number exactly once, so rules made of it never overlap.
Assumes: registers of 64 bits, of which the kernel reads the low 32 of an int.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["LOW_32", "Match", "Rule", "choose", "others"]

LOW_32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Match:
    """True when ``argument & mask == value``; with `differs`, when it is not."""

    argument: int
    """Position, from 0."""

    value: int
    mask: int = LOW_32
    differs: bool = False
    """Only of whole registers, 64 bits: libseccomp has no masked "not equal"."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The verdict on `call` when every match holds."""

    call: str
    error: int | None
    """The errno to answer with; None lets the call through, 0 answers that it is done."""

    matches: tuple[Match, ...]


def others(values: frozenset[int], bits: int = 32) -> Iterator[tuple[int, int]]:
    """Pairs (mask, value), disjoint, that hold every number of `bits` bits except `values`.

    libseccomp cannot say "and for anything else" beside a conditional rule, and its order
    comparisons are made on 64 bits; a masked comparison of each differing prefix says it exactly.
    """

    def branch(
        bit: int, mask: int, prefix: int, inside: frozenset[int]
    ) -> Iterator[tuple[int, int]]:
        if not inside:
            yield mask, prefix
        elif bit:
            here = 1 << (bit - 1)
            for side in (0, here):
                rest = frozenset(value for value in inside if value & here == side)
                yield from branch(bit - 1, mask | here, prefix | side, rest)

    return branch(bits, 0, 0, values)


def choose(
    call: str, argument: int, allowed: frozenset[int], error: int, context: tuple[Match, ...] = ()
) -> Iterator[Rule]:
    """Allow `call` for the listed values of an argument, answer `error` for all others."""
    for value in sorted(allowed):
        yield Rule(call, None, (*context, Match(argument, value)))
    for mask, value in others(allowed):
        yield Rule(call, error, (*context, Match(argument, value, mask)))
