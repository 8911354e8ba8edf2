"""What the writer's modules share: the form of a reduction, its refusal, and packed lists.

Guarantees: a list is packed only where nothing is lost: exact types, no value out of range.
Assumes: nothing.
"""

from __future__ import annotations

import pickle
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, cast

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.wire import prices, tags
from kavach_ipy.wire.prices import price

__all__ = ["Packed", "Reduced", "packed", "packed_dict", "unlisted"]

Reduced: TypeAlias = tuple[Callable[..., object], tuple[object, ...]]

_WORTH_PACKING = 100


def unlisted(reason: str, remedy: str = "", kind: str = "") -> OutputWithheld:
    """Return the refusal of a value inside; the writer knows the name that was asked for."""
    return OutputWithheld("a value", kind, reason, remedy)


@dataclass(frozen=True, slots=True)
class Packed:
    """Stands in the writer's input for a list that travels as buffers."""

    tag: Callable[..., object]
    arguments: tuple[object, ...]
    items: list[object]
    price: int
    """What it costs to unpack, apart from the opcodes."""


def _pack(
    tag: Callable[..., object], arguments: tuple[object, ...], items: list[object], besides: int = 0
) -> Packed:
    cost = price(f"tags.{tag.__name__}", arguments)
    return Packed(tag, arguments, items, cost + besides)


def packed(items: list[object]) -> list[object] | Packed:
    """Return the list, or what stands for it when it is long and of one kind only."""
    if len(items) < _WORTH_PACKING:
        return items
    kinds = set(map(type, items))
    if kinds == {int}:
        return _pack_numbers("q", tags.int_list, items)
    if kinds == {float}:
        return _pack_numbers("d", tags.float_list, items)
    if str in kinds and kinds <= {str, type(None), float}:
        return _pack_texts(items)
    return items


def packed_dict(items: dict[object, object]) -> dict[object, object] | Packed:
    """Return the dict, or what stands for it when its keys and its values travel as buffers."""
    if len(items) < _WORTH_PACKING:
        return items
    keys, values = packed(list(items)), packed(list(items.values()))
    # Values of many kinds may hold the dict itself, which only pickle's own way keeps track of.
    if not (isinstance(keys, Packed) and isinstance(values, Packed)):
        return items
    return _pack(tags.mapping, (keys, values), [], prices.NOTED * len(items))


def _pack_numbers(
    code: str, tag: Callable[..., object], items: list[object]
) -> Packed | list[object]:
    try:
        numbers = array(code, cast("list[int]", items))
    except OverflowError:
        return items
    return _pack(tag, (pickle.PickleBuffer(numbers),), items)


def _pack_texts(items: list[object]) -> Packed | list[object]:
    # Few texts that stand in many places: the pickle's memo sends each once and keeps them shared.
    if 2 * len(set(map(id, items))) < len(items):
        return items
    if set(map(type, items)) == {str}:
        joined = "\0".join(cast("list[str]", items))
        if joined.count("\0") == len(items) - 1:
            raw = joined.encode("utf-8", "surrogatepass")
            cost = len(raw) + prices.text_lines(raw)
            return _pack(tags.text_lines, (pickle.PickleBuffer(raw),), items, cost)
    lengths = array("i", bytes(4 * len(items)))
    texts: list[str] = []
    for at, item in enumerate(items):
        if type(item) is str:
            lengths[at] = len(item)
            texts.append(item)
        elif item is None:
            lengths[at] = -1
        elif item != item:  # noqa: PLR0124 - NaN is the only float that differs from itself.
            lengths[at] = -2
        else:
            return items
    blob = "".join(texts).encode("utf-8", "surrogatepass")
    cost = len(blob) + prices.text_list(blob)
    arguments = (pickle.PickleBuffer(lengths), pickle.PickleBuffer(blob))
    return _pack(tags.text_list, arguments, items, cost)
