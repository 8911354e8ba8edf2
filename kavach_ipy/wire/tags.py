"""Tags of the pickle dialect: the functions that a value's pickle names, and nothing else is named.

A tag rebuilds a value of the standard library from plain arguments, so that stock `pickle.loads`
reads the dialect too.
The gate never calls a tag before its own rule has checked the exact type and range of every
argument (`kavach_ipy.gate.builders`).

Guarantees: every tag uses public constructors only; its arguments are what the opcodes of protocol
5 say directly, buffers, or values of other tags.
Assumes: arguments that were checked, or a pickle that is trusted anyway.
"""

from __future__ import annotations

import datetime as dt
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Hashable
from decimal import Decimal
from fractions import Fraction
from math import nan
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Final, TypeAlias, cast
from uuid import UUID
from zoneinfo import ZoneInfo

__all__ = [
    "FACTORIES",
    "PATHS",
    "Buffer",
    "as_tuple",
    "complex_number",
    "counter",
    "date",
    "date_time",
    "decimal",
    "default_dict",
    "double_ended",
    "float_list",
    "fraction",
    "int_list",
    "mapping",
    "ordered_dict",
    "padded",
    "path",
    "range_of",
    "slice_of",
    "text_lines",
    "text_list",
    "time",
    "time_delta",
    "time_zone",
    "uuid",
    "zone",
]

Buffer: TypeAlias = "bytes | bytearray | memoryview"

FACTORIES: Final[dict[str, Callable[[], object]]] = {
    kind.__name__: kind for kind in (bool, bytes, dict, float, int, list, set, str, tuple)
}
"""The factories that a defaultdict may keep; each makes an empty or zero value and runs no code."""

PATHS: Final[dict[str, Callable[[str], PurePath]]] = {
    "Path": Path,
    "PurePosixPath": PurePosixPath,
    "PureWindowsPath": PureWindowsPath,
}


def complex_number(real: float, imag: float) -> complex:
    """A `complex`."""
    return complex(real, imag)


def date(year: int, month: int, day: int) -> dt.date:
    """A `datetime.date`."""
    return dt.date(year, month, day)


def time(  # noqa: PLR0913, PLR0917 - datetime.time has six arguments.
    hour: int, minute: int, second: int, microsecond: int, zone: dt.tzinfo | None, fold: int
) -> dt.time:
    """A `datetime.time`."""
    return dt.time(hour, minute, second, microsecond, zone, fold=fold)


def date_time(day: dt.date, clock: dt.time) -> dt.datetime:
    """A `datetime.datetime`; the zone and the fold are the clock's."""
    return dt.datetime.combine(day, clock)


def time_delta(days: int, seconds: int, microseconds: int) -> dt.timedelta:
    """A `datetime.timedelta`."""
    return dt.timedelta(days, seconds, microseconds)


def time_zone(offset: dt.timedelta, name: str | None) -> dt.timezone:
    """A `datetime.timezone` of a fixed offset."""
    return dt.timezone(offset) if name is None else dt.timezone(offset, name)


def zone(key: str) -> ZoneInfo:
    """A `zoneinfo.ZoneInfo` by its key in the IANA database."""
    return ZoneInfo(key)


def decimal(text: str) -> Decimal:
    """A `Decimal` by its exact text."""
    return Decimal(text)


def fraction(numerator: int, denominator: int) -> Fraction:
    """A `Fraction`."""
    return Fraction(numerator, denominator)


def uuid(raw: bytes) -> UUID:
    """A `UUID` by its 16 bytes, big endian."""
    return UUID(bytes=raw)


def range_of(start: int, stop: int, step: int) -> range:
    """A `range`."""
    return range(start, stop, step)


def slice_of(start: int | None, stop: int | None, step: int | None) -> slice:
    """A `slice` of integers."""
    return slice(start, stop, step)


def path(kind: str, text: str) -> PurePath:
    """A path of one of the `PATHS`; nothing is looked up."""
    return PATHS[kind](text)


def as_tuple(items: tuple[object, ...]) -> tuple[object, ...]:
    """A plain tuple, sent for a named tuple, whose class stays in the sandbox."""
    return items


def ordered_dict(items: dict[Hashable, object]) -> OrderedDict[Hashable, object]:
    """An `OrderedDict`."""
    return OrderedDict(items)


def default_dict(
    factory: str | None, items: dict[Hashable, object]
) -> defaultdict[Hashable, object]:
    """A `defaultdict` with no factory or one of the `FACTORIES`."""
    return defaultdict(None if factory is None else FACTORIES[factory], items)


def double_ended(items: list[object], longest: int | None) -> deque[object]:
    """A `deque`."""
    return deque(items, longest)


def counter(items: dict[Hashable, object]) -> Counter[Hashable]:
    """A `Counter`; as in Python, its counts may be anything."""
    made: Counter[Hashable] = Counter()
    # dict.update, as Counter's own would add the counts up, one Python step each.
    dict.update(made, cast("dict[Hashable, int]", items))
    return made


def int_list(raw: Buffer) -> list[int]:
    """A list of ints from 64-bit integers, little endian."""
    numbers = array("q")
    numbers.frombytes(raw)
    return numbers.tolist()


def float_list(raw: Buffer) -> list[float]:
    """A list of floats from 64-bit doubles, little endian."""
    numbers = array("d")
    numbers.frombytes(raw)
    return numbers.tolist()


def text_list(lengths: Buffer, blob: Buffer) -> list[str | float | None]:
    """A list of texts from their lengths in code points and all of them joined, in UTF-8.

    Args:
        lengths: 32-bit integers, little endian; -1 stands for None, -2 for NaN.
        blob: the texts; lone surrogates are encoded as `surrogatepass` does.

    Raises:
        ValueError: the lengths do not add up to the text.
    """
    counts = array("i")
    counts.frombytes(lengths)
    joined = str(blob, "utf-8", "surrogatepass")
    texts: list[str | float | None] = []
    at = 0
    for count in counts:
        if count >= 0:
            texts.append(joined[at : at + count])
            at += count
        else:
            texts.append(None if count == -1 else nan)
    if at != len(joined):
        raise ValueError(f"the lengths add up to {at}, the text has {len(joined)} code points")
    return texts


def text_lines(raw: Buffer) -> list[str]:
    """A list of texts from all of them in UTF-8, with a NUL between two; none holds one."""
    return str(raw, "utf-8", "surrogatepass").split("\0")


def padded(value: object, _padding: Buffer) -> object:
    """The value; what was sent beside it pays for the memory that it takes."""
    return value


def mapping(keys: list[Hashable], values: list[object]) -> dict[Hashable, object]:
    """A dict of many keys and values, each sent as a list."""
    return dict(zip(keys, values, strict=True))
