"""What comes back of a cell, in sentences: `%kavach explain types` prints it.

Guarantees: each tag that the reader has a rule for belongs to one sentence (tested), so the page
promises neither more nor less than the reader keeps.
Assumes: nothing.
"""

from __future__ import annotations

from typing import Final

from kavach_ipy.wire.trusted import trusted

__all__ = ["LISTED", "WITHHELD", "sentences"]

LISTED: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "Python": (
        (
            *("int_list", "float_list", "text_list", "text_lines", "mapping", "complex_number"),
            "padded",
        ),
        (
            "None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set and"
            " frozenset, 100 deep at most; what stands in two places is one object again"
        ),
    ),
    "time": (
        ("date", "time", "date_time", "time_delta", "time_zone", "zone"),
        "date, time, datetime, timedelta, timezone, ZoneInfo",
    ),
    "numbers": (("decimal", "fraction", "uuid"), "Decimal, Fraction, UUID"),
    "collections": (
        ("ordered_dict", "default_dict", "double_ended", "counter", "as_tuple"),
        (
            "OrderedDict, Counter, deque, defaultdict of a built-in type or without a factory; a"
            " namedtuple as a plain tuple"
        ),
    ),
    "other": (("range_of", "slice_of", "path"), "range, slice of integers, paths"),
    "NumPy": (
        ("array", "scalar", "object_array", "text_array", "masked_array"),
        (
            "arrays and scalars of booleans, numbers, times, texts and bytes, structures of them,"
            " objects of any listed type, StringDType; masked arrays; writable, and without a copy"
        ),
    ),
    "pandas": (
        (
            *("series", "frame", "frame_of", "index", "range_index", "multi_index", "dates"),
            *("categorical", "masked", "texts", "zoned", "periods", "intervals"),
            *("arrow_backed", "arrow_texts"),
            *("timestamp", "time_delta", "period", "interval", "missing"),
        ),
        (
            "Series, DataFrame and every Index of NumPy, nullable, categorical, string, zoned,"
            " period, interval and Arrow dtypes; Timestamp, Timedelta, Period, Interval, NA, NaT"
        ),
    ),
    "Arrow": (
        ("table", "batch", "chunked", "arrow_array"),
        (
            "Table, RecordBatch, ChunkedArray and Array of flat and nested types, dictionaries"
            " included, up to 480 MiB each"
        ),
    ),
    "polars": (("frame", "series"), "DataFrame and Series, but of Enum, Object and 128-bit dtypes"),
    "SciPy": (("compressed",), "sparse CSR and CSC, arrays and matrices"),
    "your own": (
        ("instance", "encoded"),
        (
            "dataclasses, attrs classes, pydantic models, Enums and NamedTuples after"
            " kavach_ipy.trust(Class) in the notebook, any class with encode= and decode=, and"
            " those of c.Kavach.trusted_types; a trusted class runs its constructor in the notebook"
        ),
    ),
}
"""By a word for the group: its tags, and what a reader is told."""

WITHHELD: Final = (
    "Functions, classes, modules, generators, locks, open files, connections, exceptions and"
    " figures stay in the sandbox, as does whatever holds one; the name then holds a Withheld that"
    " says why and shows the value as text."
)


def sentences() -> list[tuple[str, str]]:
    """Return the groups, each with what comes back, and the classes trusted here and now."""
    told = [(group, text) for group, (_, text) in LISTED.items()]
    return [*told, ("trusted", ", ".join(trusted()) or "no class is trusted in this notebook")]
