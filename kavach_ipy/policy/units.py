"""Sizes, durations and counts: from what people write to plain numbers, and back.

Guarantees: every parser returns a positive, finite number inside the stated bounds or raises
``PolicyError``; ``parse_size(format_size(n)) == n`` and ``parse_duration(format_duration(s)) == s``
for every number that the parsers return.
Assumes: nothing about the value given; it may be of any type.

Units of size are powers of 1024: ``M``, ``MiB`` and ``m`` all mean 1,048,576 bytes.
``MB`` is refused, because it means 1,000,000 to some readers and 1,048,576 to others.
"""

from __future__ import annotations

import re
from operator import index
from typing import Final, NoReturn, SupportsIndex

from kavach_ipy.errors import PolicyError

__all__ = [
    "GIB",
    "KIB",
    "LARGEST",
    "LONGEST",
    "MIB",
    "SHORTEST",
    "format_duration",
    "format_size",
    "parse_count",
    "parse_duration",
    "parse_size",
]

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

# Sums of two limits must still fit the signed 64-bit numbers of rlimits and file offsets
# (getrlimit(2), rlim_t; off_t), hence 2**62 and not 2**63 - 1.
LARGEST: Final = 1 << 62

# Kernel clocks count nanoseconds in a signed 64-bit number (ktime_t), so the same bound is
# expressed in seconds here: about 146 years.
LONGEST: Final = float(LARGEST // 10**9)

# A fork alone takes about a millisecond, so a shorter limit could never let a cell finish.
SHORTEST: Final = 0.001

_SIZE_UNITS: Final = {
    "b": 1,
    "k": KIB,
    "m": MIB,
    "g": GIB,
    "t": 1 << 40,
    "p": 1 << 50,
    "e": 1 << 60,
}
_MILLISECONDS: Final = {"d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1_000, "ms": 1}
_DURATION_ALIASES: Final = {"m": "min", "sec": "s"}

# Longer digit strings cannot be in range; int() is quadratic and refuses above 4300 digits.
_MAX_TEXT: Final = 48

# Patterns are compiled on first use: importing the package must cost next to nothing.
_SIZE: Final = r"([0-9]+)(?:\.([0-9]+))? ?(b|[kmgtpe](?:ib?|b)?)?"
_DURATION_PART: Final = r"([0-9]+)(?:\.([0-9]+))? ?(ms|min|sec|[dhms])"
_PLAIN_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
_DIGITS: Final = r"[0-9]+"


def parse_size(value: object, *, field: str = "size", least: int = 1) -> int:
    """Return a number of bytes.

    Args:
        value: an integer of bytes, or text such as ``512M``, ``1.5GiB``, ``4096``.
            A fraction of a byte that the unit leaves over is cut off, never rounded up.
        field: the name to use in the error.
        least: the smallest size allowed, in bytes.

    Raises:
        PolicyError: not a size, or outside ``least`` to ``LARGEST``.
    """
    allowed = (
        f"a size from {format_size(least)} to {format_size(LARGEST)} is, such as 512M or 1.5GiB"
        " (K, M, G, T are powers of 1024; without a unit it is bytes)"
    )
    number = _whole(value)
    if number is None:
        number = _read_size(field, value, allowed)
    if not least <= number <= LARGEST:
        raise PolicyError(field, value, allowed)
    return number


def format_size(size: int) -> str:
    """Return ``size`` bytes in the largest unit that loses nothing: ``1536MiB``, ``1000B``."""
    for name, unit in (("EiB", 1 << 60), ("PiB", 1 << 50), ("TiB", 1 << 40)):
        if size and size % unit == 0:
            return f"{size // unit}{name}"
    for name, unit in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size and size % unit == 0:
            return f"{size // unit}{name}"
    return f"{size}B"


def parse_duration(value: object, *, field: str = "duration") -> float:
    """Return a number of seconds.

    Args:
        value: a number of seconds, or text such as ``30s``, ``2min``, ``1h30m``, ``500ms``,
            ``0.5``; ``m`` and ``min`` both mean minutes, without a unit it is seconds.
        field: the name to use in the error.

    Raises:
        PolicyError: not a duration, or outside ``SHORTEST`` to ``LONGEST``.
    """
    allowed = (
        f"a time from {format_duration(SHORTEST)} to {format_duration(LONGEST)} is, such as 30s,"
        " 2min, 1h30m or 500ms (without a unit it is seconds)"
    )
    if isinstance(value, str):
        seconds = _read_duration(field, value, allowed)
    elif isinstance(value, float):
        seconds = float(value)
    else:
        number = _whole(value)
        # Compared as an integer first: float() of a huge one raises OverflowError.
        if number is None or number > LARGEST:
            raise PolicyError(field, value, allowed)
        seconds = float(number)
    # Written so that a NaN, for which every comparison is false, is refused as well.
    if not SHORTEST <= seconds <= LONGEST:
        raise PolicyError(field, value, allowed)
    return seconds


def format_duration(seconds: float) -> str:
    """Return ``seconds`` so that nothing is lost: ``1h30min``, ``500ms``, ``90.25s``."""
    milliseconds = round(seconds * 1000)
    if seconds < 1 and milliseconds / 1000 == seconds:
        return f"{milliseconds}ms"
    if seconds != int(seconds):
        # repr() of a float is the shortest text that reads back as the same float, and has no
        # exponent between 1e-4 and 1e16, which holds SHORTEST to LONGEST.
        return f"{seconds!r}s"
    rest, text = int(seconds), ""
    for name in ("d", "h", "min", "s"):
        amount, rest = divmod(rest, _MILLISECONDS[name] // 1000)
        text += f"{amount}{name}" if amount else ""
    return text or "0s"


def parse_count(value: object, *, field: str = "count", least: int = 1) -> int:
    """Return a whole number, from an integer or from decimal digits.

    Args:
        value: the number.
        field: the name to use in the error.
        least: the smallest number allowed.

    Raises:
        PolicyError: not a whole number, or outside ``least`` to ``LARGEST``.
    """
    allowed = f"a whole number from {least} to {LARGEST} is"
    number = _whole(value)
    if number is None:
        if not isinstance(value, str) or len(value) > _MAX_TEXT:
            raise PolicyError(field, value, allowed)
        text = value.strip()
        if re.fullmatch(_DIGITS, text) is None:
            raise PolicyError(field, value, allowed)
        number = int(text)
    if not least <= number <= LARGEST:
        raise PolicyError(field, value, allowed)
    return number


def _whole(value: object) -> int | None:
    # bool is an int to Python; as a limit, True is somebody's mistake and never "1 byte".
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    try:
        return index(value)
    except TypeError:
        # numpy's bool and its arrays have __index__ and refuse in it.
        return None


def _read_size(field: str, value: object, allowed: str) -> int:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise PolicyError(field, value, allowed)
    match = re.fullmatch(_SIZE, value.strip().lower())
    if match is None:
        raise PolicyError(field, value, allowed)
    whole, fraction, unit = match[1], match[2] or "", match[3] or "b"
    if len(unit) == len("mb") and unit.endswith("b"):
        _refuse_decimal_unit(field, value, unit)
    if unit == "b" and fraction:
        raise PolicyError(field, value, allowed)
    factor: int = _SIZE_UNITS[unit[0]]
    scale: int = 10 ** len(fraction)
    return int(whole + fraction) * factor // scale


def _refuse_decimal_unit(field: str, value: str, unit: str) -> NoReturn:
    letter = unit[0].upper()
    raise PolicyError(
        field,
        value,
        f"{letter}B may be read as a power of 1000 or of 1024: write {letter} or {letter}iB, which"
        f" mean {_SIZE_UNITS[unit[0]]} bytes",
    )


def _read_duration(field: str, value: str, allowed: str) -> float:
    if len(value) > _MAX_TEXT:
        raise PolicyError(field, value, allowed)
    text = value.strip().lower()
    if re.fullmatch(_PLAIN_NUMBER, text):
        text += "s"
    position, numerator, denominator = 0, 0, 1000
    ranks = list(_MILLISECONDS)
    last = -1
    while position < len(text):
        match = re.match(_DURATION_PART, text[position:])
        # A fraction is for the last part only: "1.5h30m" is more likely a slip than a sum.
        if match is None or (match[2] and position + match.end() != len(text)):
            raise PolicyError(field, value, allowed)
        unit = _DURATION_ALIASES.get(match[3], match[3])
        # Large units come first and each once: "5s1h" and "1m1m" are slips too.
        if ranks.index(unit) <= last:
            raise PolicyError(field, value, allowed)
        last = ranks.index(unit)
        scale = 10 ** len(match[2] or "")
        numerator = numerator * scale + int(match[1] + (match[2] or "")) * _MILLISECONDS[unit]
        denominator *= scale
        position += match.end()
    if numerator > LARGEST * denominator:
        raise PolicyError(field, value, allowed)
    # Division of two integers is correctly rounded, so what repr() wrote reads back exactly.
    return numerator / denominator
