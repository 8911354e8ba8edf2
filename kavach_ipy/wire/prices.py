"""What a value costs the kernel in memory: one list of prices for who writes it and who reads it.

A short pickle may mean much: a list that is empty takes one byte on the wire and 72 in Python. So
the reader takes the price of everything before it makes it, out of an account that is fed by the
bytes that it was sent; and the writer, which knows the same prices, sends padding where they are
too few (`kavach_ipy.wire.metering`).

Guarantees: a price is not below what CPython 3.11 to 3.14, NumPy, pandas, pyarrow, polars and SciPy
take on a 64-bit machine, at the worst moment, or below what the reader notes of it (measured).
Assumes: nothing; sizes are asked of built-in and library objects only.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, Final

__all__ = ["FACTOR", "FLOOR", "TAGS", "Account", "besides", "price", "stream", "text"]

FLOOR: Final = 4 << 20
"""Bytes that all values of a cell may cost together, however short they are."""
FACTOR: Final = 4
"""Bytes that they may cost for each byte that came with them, those bytes among them."""

OPCODE: Final = 24
"""Any opcode: a slot of the stack, and one of the container or the memo."""
INT: Final = 32
FLOAT: Final = 32
BYTES: Final = 64
TEXT: Final = 96
"""A text; and `WIDE` bytes for each of its UTF-8, where it is short."""
WIDE: Final = 5
MARK: Final = 104
TUPLE: Final = 64
LIST: Final = 112
DICT: Final = 80
SET: Final = 240
BUFFER: Final = 700
SHARED: Final = 400
"""What the memo hands out for the first time, where it is neither text, bytes nor a number."""
FEW: Final = 190
"""The first items of a dict, where they are no more than `FEW_ITEMS`."""
FEW_ITEMS: Final = 5
FEW_MEMBERS: Final = 4
"""Members of a set that need no table of their own."""
ENTRY: Final = 180
"""Any other item of a dict or member of a set, whose tables grow by leaps."""
NOTED: Final = 250
"""The note of a key's hash, in a container of more than `gate.budget.EQUAL_HASHES`."""
NOTED_FROM: Final = 64
"""Keys of a container that may share a hash, so that fewer need no note."""
TURNS: Final = 1000
"""Opcodes that the reader takes between two looks at the clock, and pays for at once."""

MESSAGE: Final = 2000
"""A message of an Arrow stream."""
NODE: Final = 2500
"""A column of a batch, or one inside a column."""
SCHEMA: Final = 12
"""Each byte of a schema."""
_LABEL: Final = 64
_HASHED: Final = 50
LABELS: Final = 4096
"""Labels whose hashes are looked at together."""

TAGS: Final[dict[str, tuple[int, ...]]] = {
    "tags.complex_number": (48,),
    "tags.date": (48,),
    "tags.time": (64,),
    "tags.date_time": (64,),
    "tags.time_delta": (64,),
    "tags.time_zone": (64,),
    "tags.zone": (8000,),
    "tags.decimal": (160, 1),
    "tags.fraction": (80,),
    "tags.uuid": (160,),
    "tags.range_of": (80,),
    "tags.slice_of": (96,),
    "tags.path": (300, 0, 64),
    "tags.as_tuple": (0,),
    "tags.ordered_dict": (400, 260),
    "tags.default_dict": (400, 0, 180),
    "tags.counter": (400, 180),
    "tags.double_ended": (1200, 10),
    "tags.int_list": (200, 7),
    "tags.float_list": (200, 7),
    "tags.text_list": (300, 30),
    "tags.text_lines": (300,),
    "tags.mapping": (150, 180),
    "tags.padded": (0,),
    "arrays.array": (900,),
    "arrays.object_array": (600, 0, 10),
    "arrays.text_array": (800, 0, 40),
    "arrays.masked_array": (1200,),
    "arrays.scalar": (100,),
    "tables.categorical": (1400, 20),
    "tables.masked": (200,),
    "tables.texts": (800, 0, 0, 24),
    "tables.arrow_backed": (600,),
    "tables.arrow_texts": (1000, 0, 16),
    "tables.zoned": (8000, 32),
    "tables.periods": (1800, 16),
    "tables.intervals": (1400, 24, 24),
    "tables.index": (1000,),
    "tables.dates": (2800, 80),
    "tables.range_index": (600,),
    "tables.multi_index": (2800,),
    "tables.series": (1700,),
    "tables.frame": (1800, 0, 0, 2200),
    "tables.frame_of": (2000,),
    "tables.timestamp": (250,),
    "tables.time_delta": (300,),
    "tables.period": (250,),
    "tables.interval": (120,),
    "tables.missing": (0,),
    "arrow.table": (2000,),
    "arrow.batch": (2000,),
    "arrow.chunked": (2000,),
    "arrow.arrow_array": (2000,),
    "polars_frames.frame": (1500,),
    "polars_frames.series": (1500,),
    "sparse.compressed": (5000, 0, 0, 0, 16, 16),
    "trusted.instance": (1500, 0, 100),
    "trusted.encoded": (1500,),
}
"""By module and name: a call, then each item of its first argument, of its second, and so on.

An item is a byte of a buffer, a character, an item of a list, tuple, dict, array or index."""

_PLAIN: Final = frozenset({str, bytes, bytearray, memoryview, list, tuple, dict})
_LIBRARIES: Final = frozenset({"numpy", "pandas", "pyarrow"})


class Account:
    """What the values of one run have brought, and what they have cost.

    Attributes:
        received: bytes of pickles and buffers.
        spent: the same bytes, and the price of what was made of them.
    """

    __slots__ = ("received", "spent")

    def __init__(self) -> None:
        self.received = 0
        self.spent = 0

    def receive(self, size: int) -> None:
        """Take in the bytes of a value, which are in memory themselves."""
        self.received += size
        self.spent += size

    @property
    def left(self) -> int:
        """Bytes that may still be made; negative where they are owed."""
        return max(FLOOR, FACTOR * self.received) - self.spent

    def pays(self, size: int, cost: int) -> bool:
        """Tell whether a value of `size` bytes could cost so much."""
        return max(FLOOR, FACTOR * (self.received + size)) - self.spent - size >= cost

    def lacking(self) -> int:
        """Return the bytes that have to be received for nothing to be owed."""
        if self.left >= 0:
            return 0
        # Each brings FACTOR and costs itself.
        return -((FACTOR * self.received - self.spent) // (FACTOR - 1))


def price(name: str, arguments: tuple[Any, ...]) -> int:
    """Return what a call of a tag costs by the table, apart from `besides`.

    Args:
        name: `tags.date`, for instance.
        arguments: as the tag takes them; nothing else is asked of them than how long they are.
    """
    fixed, *rates = TAGS[name]
    if not rates:
        return fixed
    return fixed + sum(
        rate * _size(argument) for rate, argument in zip(rates, arguments, strict=False) if rate
    )


def besides(name: str, arguments: tuple[Any, ...]) -> int:
    """Return what a call costs besides, by what its arguments hold."""
    of = _EXTRAS.get(name)
    return 0 if of is None else of(*arguments)


def text(raw: bytes) -> int:
    """Return what a long text costs, from its UTF-8."""
    # One character beyond U+FFFF makes all of them four bytes wide, from two, while they are read.
    return TEXT + (1 if raw.isascii() else 6) * len(raw)


def text_list(raw: bytes) -> int:
    """Return what the texts cost that are cut from one, apart from an object each."""
    return text(raw) + (1 if raw.isascii() else 5) * len(raw)


def text_lines(raw: bytes) -> int:
    """Return what the texts cost that a NUL separates."""
    return text_list(raw) + 120 * (raw.count(b"\0") + 1)


def layout(shape: object) -> int:
    """Return what a structure's dtype costs, by the number of tuples and fields in it."""
    if type(shape) is not tuple:
        return 0
    return 200 + sum(map(layout, shape)) + 200 * len(shape)


def labels(index: Any) -> int:
    """Return what it costs to see that no label of an index repeats."""
    return len(index) * _LABEL + hashed(index)


def hashed(values: Any) -> int:
    """Return what it costs to look at the hashes of labels: objects and texts have one."""
    kind = values.dtype
    count = len(values)
    if kind.kind == "O" and type(kind).__module__.startswith("numpy"):
        return count * _HASHED
    if not is_text(kind):
        return 0
    # So many of their texts are made at once, and gone afterwards.
    return count * _HASHED + min(count, LABELS) * 100 + 4 * int(values.nbytes)


def is_text(kind: Any) -> bool:
    """True for pandas' string dtype, whichever library stores it, and for Arrow's own."""
    return str(kind) in {"str", "string"} or str(kind).startswith(("string[", "large_string["))


def stream(messages: int, nodes: int, schema: int) -> int:
    """Return what an Arrow stream costs, by its messages, their nodes, and its schema's bytes."""
    return messages * MESSAGE + nodes * NODE + schema * SCHEMA


def _array(shape: object, _: object, __: object, raw: Any) -> int:
    # Fields of characters are copied to be looked at.
    return layout(shape) + _size(raw) if type(shape) is tuple else 0


def _text_array(_: object, items: Any) -> int:
    return 8 * sum(map(len, getattr(items, "items", items)))


def _texts(storage: str, _: object, items: Any) -> int:
    if storage == "python":
        return 0
    return sum(100 + 8 * len(item) for item in getattr(items, "items", items) if item is not None)


def _multi_index(levels: list[Any], codes: list[Any], names: list[Any]) -> int:
    held = sum(1500 + labels(level) for level in levels)
    return held + sum(20 * len(code) for code in codes) + 100 * len(names)


def _polars(table: Any) -> int:
    wide = table.num_columns
    return int(2 * table.nbytes + wide * (2500 + 32 * table.num_rows))


def _numbers(*numbers: int) -> int:
    # A long one is made again, when it is divided or subtracted.
    return sum(number.bit_length() >> 2 for number in numbers)


_EXTRAS: Final[dict[str, Callable[..., int]]] = {
    "tags.fraction": _numbers,
    "tags.range_of": _numbers,
    "arrays.array": _array,
    "arrays.scalar": lambda shape, raw: layout(shape) + len(raw),
    "arrays.text_array": _text_array,
    "tables.categorical": lambda _codes, categories, _ordered: labels(categories),
    "tables.index": lambda values, _name: 16 * len(values) + hashed(values),
    "tables.texts": _texts,
    "tables.multi_index": _multi_index,
    "polars_frames.frame": _polars,
    "polars_frames.series": _polars,
}


def _size(argument: Any) -> int:
    """Return the items of an argument; only objects that cannot lie are asked."""
    cls = type(argument)
    if cls in _PLAIN:
        return len(argument)
    if cls is pickle.PickleBuffer:
        return int(argument.raw().nbytes)
    # A list that stands for itself in a packed form (`kavach_ipy.wire.packing`).
    items = (
        getattr(argument, "items", None) if cls.__module__ == "kavach_ipy.wire.packing" else None
    )
    if type(items) is list:
        return len(items)
    if cls.__module__.partition(".")[0] in _LIBRARIES and hasattr(argument, "__len__"):
        return int(argument.size if cls.__name__ == "ndarray" else len(argument))
    return 0
