"""Sizes, durations and counts mean what people wrote, or are refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy import format_duration, format_size, parse_duration, parse_size
from kavach_ipy.policy.units import LARGEST, LONGEST, SHORTEST, parse_count
from tests.unit.policy.strategies import durations


class Grudging:
    """Has __index__ and refuses in it, like numpy's arrays and booleans."""

    def __index__(self) -> int:
        raise TypeError


class Willing:
    """An integer that is no int, like numpy's."""

    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("512M", 512 * 2**20),
        ("512m", 512 * 2**20),
        ("512 MiB", 512 * 2**20),
        (" 512Mi ", 512 * 2**20),
        ("1.5GiB", 3 * 2**29),
        ("0.3k", 307),
        ("4096", 4096),
        ("4096B", 4096),
        ("2T", 2**41),
        ("1P", 2**50),
        ("4E", LARGEST),
        (1, 1),
        (LARGEST, LARGEST),
        (Willing(), 7),
    ],
)
def test_sizes_are_powers_of_1024(text: object, expected: int) -> None:
    """M and MiB are 2**20 bytes, and a fraction of a byte is cut off."""
    assert parse_size(text) == expected


@pytest.mark.parametrize(
    "nonsense",
    [
        *("", " ", "M", "-1", "-5M", "+5M", "0", "0M", "1e3", "1e3M", "0x10", "1_000", "1,5G"),
        *("1.M", ".5G", "1.5", "1.5B", "12X", "12bib", "nan", "inf", "1G 1M", "1G1M", "٣M", "5E"),
        *("9" * 47, "9" * 5000, "1M\0", None, True, False, 0, -1, LARGEST + 1, 10**400),
        *(1.0, math.nan, math.inf, b"1M", [], {}, Grudging()),
    ],
)
def test_a_size_without_sense_is_refused_by_name(nonsense: object) -> None:
    """Every other value is an error that carries the field, the value and what is allowed."""
    with pytest.raises(PolicyError) as caught:
        parse_size(nonsense, field="memory")
    assert caught.value.field == "memory"
    assert caught.value.value is nonsense
    assert "512M" in caught.value.allowed


@pytest.mark.parametrize("text", ["1KB", "512MB", "1.5gb", "1 TB"])
def test_a_unit_with_two_readings_is_refused_with_both_ways_out(text: str) -> None:
    """MB is 1000**2 to some and 1024**2 to others, so nobody is left to guess."""
    with pytest.raises(PolicyError, match=r"write [KMGT] or [KMGT]iB"):
        parse_size(text)


@given(st.integers(1, LARGEST))
def test_a_size_survives_being_written(size: int) -> None:
    """What format_size writes, parse_size reads as the same number."""
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("size", "text"), [(2**32, "4GiB"), (3 * 2**29, "1536MiB"), (1000, "1000B"), (2**62, "4EiB")]
)
def test_a_size_is_written_in_the_largest_exact_unit(size: int, text: str) -> None:
    """The text is short, and nothing is rounded."""
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", 30.0),
        ("30", 30.0),
        ("0.5", 0.5),
        ("2min", 120.0),
        ("2m", 120.0),
        ("2 min", 120.0),
        ("1h30m", 5400.0),
        ("1h30min5s", 5405.0),
        ("1.5h", 5400.0),
        ("1d", 86400.0),
        ("500ms", 0.5),
        ("1m0.5s", 60.5),
        ("10SEC", 10.0),
        (30, 30.0),
        (0.25, 0.25),
        (Willing(), 7.0),
    ],
)
def test_durations_are_seconds(text: object, expected: float) -> None:
    """Every unit is understood, alone and in falling order."""
    result = parse_duration(text)
    assert result == expected
    assert type(result) is float


@pytest.mark.parametrize(
    "nonsense",
    [
        *("", "s", "-1s", "-1", "0", "0s", "0ms", "1e3", "nan", "inf", "1h30", "30s1h", "1m1m"),
        *(
            "1.5h30m",
            "5 parsecs",
            "1:30",
            "٣s",
            "9" * 47 + "s",
            "0.9ms",
            "9" * 30 + "d",
            "9" * 5000,
        ),
        *(None, True, False, 0, 0.0, -1, -0.5, math.nan, math.inf, -math.inf, 1e300, 10**400),
        *(LONGEST * 2, 5e-324, b"1s", [], Grudging()),
    ],
)
def test_a_duration_without_sense_is_refused_by_name(nonsense: object) -> None:
    """Every other value is an error that carries the field, the value and what is allowed."""
    with pytest.raises(PolicyError) as caught:
        parse_duration(nonsense, field="timeout")
    assert caught.value.field == "timeout"
    assert caught.value.value is nonsense
    assert "30s" in caught.value.allowed


@given(durations)
def test_a_duration_survives_being_written(seconds: float) -> None:
    """What format_duration writes, parse_duration reads as the very same float."""
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (SHORTEST, "1ms"),
        (0.5, "500ms"),
        (0.0012345, "0.0012345s"),
        (30.0, "30s"),
        (90.25, "90.25s"),
        (5400.0, "1h30min"),
        (86400.0, "1d"),
        (LONGEST, "53375d23h53min38s"),
        (0.0, "0ms"),
    ],
)
def test_a_duration_is_written_as_people_write_it(seconds: float, text: str) -> None:
    """Whole seconds are split into units; the rest stands as it is."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "expected"), [(64, 64), ("64", 64), (" 64 ", 64), (Willing(), 7)]
)
def test_counts_are_whole_numbers(value: object, expected: int) -> None:
    """Digits and integers are counts."""
    assert parse_count(value) == expected


@pytest.mark.parametrize(
    "nonsense",
    [
        *("", "x", "-1", "0", "1.0", "1e3", "64M", "1_0", "٣", "9" * 47, "9" * 5000, 0, -1),
        *(LARGEST + 1, True, None, 1.0, math.nan, [1], Grudging()),
    ],
)
def test_a_count_without_sense_is_refused_by_name(nonsense: object) -> None:
    """Units, fractions, zero and negative numbers are no counts."""
    with pytest.raises(PolicyError) as caught:
        parse_count(nonsense, field="pids")
    assert caught.value.field == "pids"
    assert caught.value.value is nonsense
