"""Rules for the tags of the standard library (`kavach_ipy.wire.tags`).

Guarantees: as `kavach_ipy.gate.rules`; numbers are as large, and texts as long, as the budget says.
Assumes: the constructors of the standard library check their ranges, which they do in C.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from functools import cache
from typing import Any, cast

from kavach_ipy.gate.allowance import refused
from kavach_ipy.gate.budget import Budget
from kavach_ipy.gate.rules import Arguments, Build, exactly, rules
from kavach_ipy.wire import prices, tags
from kavach_ipy.wire.prices import besides

__all__ = ["BUFFERS", "RULES", "ZONES", "is_zone_key"]

BUFFERS = (bytes, bytearray, memoryview)
ZONES = (dt.timezone, zoneinfo.ZoneInfo)
_NONE = type(None)
_LONGEST_TEXT = 4096
_FLAT = frozenset({str, int, float, _NONE})


@cache
def _zone_keys() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def is_zone_key(key: str) -> bool:
    """True for a zone of this machine's database; `ZoneInfo` opens the file that its key names."""
    return key in _zone_keys()


def _simple(tag: Any, *kinds: type | tuple[type, ...]) -> Build:
    def build(_: Budget, arguments: Arguments) -> object:
        exactly(arguments, *kinds)
        return tag(*arguments)

    return build


def _zone(_: Budget, arguments: Arguments) -> object:
    exactly(arguments, str)
    key = cast("str", arguments[0])
    if not is_zone_key(key):
        raise refused("it names a time zone that this machine does not know")
    return tags.zone(key)


def _text(tag: Any, *kinds: type | tuple[type, ...]) -> Build:
    def build(_: Budget, arguments: Arguments) -> object:
        exactly(arguments, *kinds)
        if any(type(text) is str and len(text) > _LONGEST_TEXT for text in arguments):
            raise refused(f"a number, name or path in it is longer than {_LONGEST_TEXT} characters")
        return tag(*arguments)

    return build


def _fraction(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, int, int)
    numerator, denominator = cast("tuple[int, int]", arguments)
    budget.spend_memory(besides("tags.fraction", arguments))
    # The greatest common divisor takes time quadratic in the digits.
    digits = min(numerator.bit_length(), denominator.bit_length()) >> 8
    budget.spend_work(digits * digits // 16)
    return tags.fraction(numerator, denominator)


def _range(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, int, int, int)
    budget.spend_memory(besides("tags.range_of", arguments))
    return tags.range_of(*cast("tuple[int, int, int]", arguments))


def _path(_: Budget, arguments: Arguments) -> object:
    exactly(arguments, str, str)
    kind, text = cast("tuple[str, str]", arguments)
    if kind not in tags.PATHS or len(text) > _LONGEST_TEXT:
        raise refused(f"a path is of another kind or longer than {_LONGEST_TEXT} characters")
    return tags.path(kind, text)


def _mapping(tag: Any) -> Build:
    def build(budget: Budget, arguments: Arguments) -> object:
        exactly(arguments, dict)
        items = cast("dict[Any, Any]", arguments[0])
        budget.spend_work(len(items) // 4)
        return tag(items)

    return build


def _default_dict(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, (str, _NONE), dict)
    factory, items = cast("tuple[str | None, dict[Any, Any]]", arguments)
    if factory is not None and factory not in tags.FACTORIES:
        raise refused("the factory of a defaultdict is not a listed one")
    budget.spend_work(len(items) // 4)
    return tags.default_dict(factory, items)


def _double_ended(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, list, (int, _NONE))
    items, longest = cast("tuple[list[object], int | None]", arguments)
    budget.spend_work(len(items) // 16)
    return tags.double_ended(items, longest)


def _numbers(tag: Any) -> Build:
    def build(budget: Budget, arguments: Arguments) -> object:
        exactly(arguments, BUFFERS)
        raw = cast("tags.Buffer", arguments[0])
        budget.spend_work(len(raw) // 128)
        return tag(raw)

    return build


def _text_list(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, BUFFERS, BUFFERS)
    lengths, blob = cast("tuple[tags.Buffer, tags.Buffer]", arguments)
    raw = _whole(budget, blob)
    budget.spend_memory(prices.text_list(raw))
    budget.spend_text(raw)
    budget.spend_work(len(lengths) // 32)
    return tags.text_list(lengths, raw)


def _text_lines(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, BUFFERS)
    raw = _whole(budget, cast("tags.Buffer", arguments[0]))
    budget.spend_memory(prices.text_lines(raw))
    budget.spend_text(raw)
    budget.spend_work(raw.count(b"\0") // 32)
    return tags.text_lines(raw)


def _whole(budget: Budget, raw: tags.Buffer) -> bytes:
    """Return a buffer as bytes, which can be asked what they hold."""
    budget.spend_memory(len(raw))
    return bytes(raw)


def _mapping_of(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, list, list)
    keys, values = cast("tuple[list[Any], list[Any]]", arguments)
    if len(keys) != len(values) or not set(map(type, values)) <= _FLAT:
        raise refused("a dict of many keys has other values than numbers and texts")
    made: dict[Any, Any] = {}
    budget.check_keys(made, keys)
    budget.spend_work(len(keys) // 8)
    made.update(zip(keys, values, strict=True))
    if len(made) != len(keys):
        raise refused("its pickle repeats a key")
    return made


def _padded(budget: Budget, arguments: Arguments) -> object:
    if len(arguments) != 2 or type(arguments[1]) not in BUFFERS:
        raise refused("what pays for a value is no buffer")
    # The tuple of the arguments, which the memo may have, holds it as well.
    budget.share(arguments[0])
    return arguments[0]


RULES = rules(
    (tags.complex_number, _simple(tags.complex_number, float, float), 1, False),
    (tags.date, _simple(tags.date, int, int, int), 1, False),
    (tags.time, _simple(tags.time, int, int, int, int, (*ZONES, _NONE), int), 1, False),
    (tags.date_time, _simple(tags.date_time, dt.date, dt.time), 1, False),
    (tags.time_delta, _simple(tags.time_delta, int, int, int), 1, False),
    (tags.time_zone, _text(tags.time_zone, dt.timedelta, (str, _NONE)), 1, False),
    (tags.zone, _zone, 2, False),
    (tags.decimal, _text(tags.decimal, str), 5, False),
    (tags.fraction, _fraction, 2, False),
    (tags.uuid, _simple(tags.uuid, bytes), 2, False),
    (tags.range_of, _range, 1, False),
    (tags.slice_of, _simple(tags.slice_of, *[(int, _NONE)] * 3), 1, False),
    (tags.path, _path, 3, False),
    (tags.as_tuple, _simple(tags.as_tuple, tuple), 1, False),
    (tags.ordered_dict, _mapping(tags.ordered_dict), 1, True),
    (tags.default_dict, _default_dict, 1, True),
    (tags.counter, _mapping(tags.counter), 1, True),
    (tags.double_ended, _double_ended, 1, True),
    (tags.int_list, _numbers(tags.int_list), 1, False),
    (tags.float_list, _numbers(tags.float_list), 1, False),
    (tags.text_list, _text_list, 1, False),
    (tags.text_lines, _text_lines, 1, False),
    (tags.mapping, _mapping_of, 1, False),
    (tags.padded, _padded, 1, False),
)
