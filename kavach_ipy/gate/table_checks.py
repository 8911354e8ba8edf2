"""Small checks that the rules of pandas' tags share.

Guarantees: texts that pandas parses (frequencies, units, zones) are of a closed form.
Assumes: nothing.
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

from kavach_ipy.gate.allowance import refused
from kavach_ipy.gate.builders import ZONES, is_zone_key
from kavach_ipy.gate.rules import Arguments

__all__ = [
    "check_closed",
    "check_freq",
    "check_int64",
    "check_unit",
    "check_zone",
    "many",
    "three",
    "two",
]

_UNITS: Final = frozenset({"s", "ms", "us", "ns"})
_CLOSED: Final = frozenset({"left", "right", "both", "neither"})
_FREQ: Final = re.compile(r"-?\d{0,9}[A-Za-z]{1,4}(?:-[A-Z]{3}){0,2}(?:-\d{1,2})?", re.ASCII)


def many(arguments: Arguments, count: int) -> Any:
    """Check the number of arguments."""
    if len(arguments) != count:
        raise refused(f"a tag has {len(arguments)} arguments instead of {count}")
    return arguments


def two(arguments: Arguments) -> tuple[Any, Any]:
    """Return two arguments."""
    return cast("tuple[Any, Any]", many(arguments, 2))


def three(arguments: Arguments) -> tuple[Any, Any, Any]:
    """Return three arguments."""
    return cast("tuple[Any, Any, Any]", many(arguments, 3))


def check_zone(zone: Any) -> None:
    """Check a time zone: its key, or an object that the reader made."""
    is_key = type(zone) is str and (zone == "UTC" or is_zone_key(zone))
    if not is_key and type(zone) not in ZONES:
        raise refused("a time zone is not a listed one")


def check_freq(freq: Any) -> None:
    """Check the form of a frequency."""
    if type(freq) is not str or len(freq) > 24 or _FREQ.fullmatch(freq) is None:
        raise refused("a frequency is not of the form that pandas writes")


def check_unit(value: Any, unit: Any) -> None:
    """Check a number of units, and the unit."""
    check_int64(value)
    if type(unit) is not str or unit not in _UNITS:
        raise refused("the unit of a time is not a listed one")


def check_int64(value: Any) -> None:
    """Check that a number fits into 64 bits."""
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise refused("a number of a table does not fit into 64 bits")


def check_closed(closed: Any) -> None:
    """Check the sides on which an interval is closed."""
    if type(closed) is not str or closed not in _CLOSED:
        raise refused("an Interval is closed on no known side")
