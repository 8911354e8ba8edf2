"""Rules for the tags of pandas' scalars (`kavach_ipy.wire.tables`).

Guarantees: numbers fit into 64 bits; units, zones and frequencies are of a closed form.
Assumes: as `kavach_ipy.gate.tables`.
"""

from __future__ import annotations

from typing import Any, cast

from kavach_ipy.gate.allowance import refused
from kavach_ipy.gate.budget import Budget
from kavach_ipy.gate.rules import Arguments, exactly, rules
from kavach_ipy.gate.table_checks import (
    check_closed,
    check_freq,
    check_int64,
    check_unit,
    check_zone,
    three,
    two,
)
from kavach_ipy.wire import tables

__all__ = ["RULES"]


def _timestamp(_: Budget, arguments: Arguments) -> object:
    value, unit, zone = three(arguments)
    check_unit(value, unit)
    if zone is not None:
        check_zone(zone)
    return tables.timestamp(value, unit, zone)


def _time_delta(_: Budget, arguments: Arguments) -> object:
    value, unit = two(arguments)
    check_unit(value, unit)
    return tables.time_delta(value, unit)


def _period(_: Budget, arguments: Arguments) -> object:
    ordinal, freq = two(arguments)
    check_int64(ordinal)
    check_freq(freq)
    return tables.period(ordinal, freq)


def _interval(_: Budget, arguments: Arguments) -> object:
    import numpy as np  # noqa: PLC0415 - imported when needed only.
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    left, right, closed = three(arguments)
    kinds = (int, float, pd.Timestamp, pd.Timedelta)
    for end in (left, right):
        if type(end) not in kinds and not isinstance(end, np.number):
            raise refused("an Interval's end is neither a number nor a time")
    check_closed(closed)
    return tables.interval(left, right, closed)


def _missing(_: Budget, arguments: Arguments) -> object:
    exactly(arguments, str)
    kind = cast("Any", arguments[0])
    if kind not in {"NA", "NaT"}:
        raise refused("a missing value is not a listed one")
    return tables.missing(kind)


RULES = rules(
    (tables.timestamp, _timestamp, 30, False),
    (tables.time_delta, _time_delta, 15, False),
    (tables.period, _period, 30, False),
    (tables.interval, _interval, 15, False),
    (tables.missing, _missing, 2, False),
)
