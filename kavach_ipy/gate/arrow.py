"""Rules for the tags of Arrow and polars (`kavach_ipy.wire.arrow`, `.polars_frames`).

Arrow's reader believes what a stream says of itself: it inflates what is compressed, asks classes
of its users to read what is an extension, and takes offsets and lengths as they are. So the stream
is looked through before Arrow sees it, and everything is validated before anybody else does.

Guarantees: a stream has a schema, then dictionaries and batches, nothing is compressed, no type has
code of its own; offsets, lengths, indices, texts and decimals were validated in full.
Assumes: Arrow verifies the form of a message itself (flatbuffers' verifier), and
`Table.validate(full=True)` checks what it says it does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from kavach_ipy.gate.allowance import refused
from kavach_ipy.gate.budget import Budget
from kavach_ipy.gate.builders import BUFFERS, is_zone_key
from kavach_ipy.gate.ipc import check_stream
from kavach_ipy.gate.rules import Arguments, Build, exactly, rules
from kavach_ipy.wire import arrow, polars_frames
from kavach_ipy.wire.prices import besides

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LONGEST", "POLARS_RULES", "RULES"]

LONGEST: Final = 480 << 20
"""Bytes of one stream: all of it is looked at, at two nanoseconds each, within a second."""
_COLUMNS: Final = 10_000
_OFFSET: Final = re.compile(r"[+-]\d\d:\d\d", re.ASCII)
# One column of a table, or of a polars frame, in microseconds.
_COLUMN: Final = 60


def _stream(tag: Any) -> Build:
    def build(budget: Budget, arguments: Arguments) -> object:
        exactly(arguments, BUFFERS)
        raw = cast("bytes | bytearray | memoryview", arguments[0])
        if len(raw) > LONGEST:
            raise refused(
                f"its Arrow stream has {len(raw)} bytes; {LONGEST} can be validated in the time"
                " that is allowed",
                "bring it back in parts",
            )
        largest = check_stream(raw, budget)
        # Validating reads all once or twice.
        budget.spend_work(len(raw) >> 9)
        budget.claim(raw)
        with arrow.open_stream(raw) as reader:
            _check_schema(reader.schema)
        _check_table(budget, arrow.table(raw), largest)
        return tag(raw)

    return build


def _check_schema(schema: pa.Schema) -> None:
    if len(schema) > _COLUMNS:
        raise refused(f"a table has more than {_COLUMNS} columns")
    for field in schema:
        # Nothing else checks that a name is a text; it raises UnicodeDecodeError.
        _ = field.name
        if not arrow.is_listed(field.type):
            raise refused("a table has a column of a type that is not listed")
        _check_zones(field.type)


def _check_table(budget: Budget, table: pa.Table, largest: int) -> None:
    # A table without columns has any number of rows for free.
    budget.spend_items(16 * table.num_rows)
    table.validate()
    for column in table.columns:
        chunks = 1 + column.num_chunks
        # One dictionary may belong to every chunk of every column, and is read for each.
        read = chunks * arrow.dictionaries_in(column.type) * (largest >> 9)
        budget.spend_work(_COLUMN * chunks + read)
        # A column of nulls has any length for free; and this is what a copy of it would take.
        budget.spend_items(16 * len(column))
        # All that Arrow would otherwise believe; it raises ArrowInvalid.
        column.validate(full=True)


def _check_zones(kind: Any) -> None:
    zone = getattr(kind, "tz", None)
    if zone is not None and not (_OFFSET.fullmatch(zone) or is_zone_key(zone)):
        raise refused("a column of times has a zone that this machine does not know")
    for at in range(kind.num_fields):
        _ = kind.field(at).name
        _check_zones(kind.field(at).type)


def _polars(tag: Any) -> Build:
    def build(budget: Budget, arguments: Arguments) -> object:
        import polars as pl  # noqa: PLC0415 - imported when needed only.
        import pyarrow as pa  # noqa: PLC0415 - the argument is pyarrow's, so it is loaded.

        exactly(arguments, pa.Table)
        table = cast("pa.Table", arguments[0])
        budget.spend_work(_COLUMN * table.num_columns + (table.nbytes >> 9))
        budget.spend_memory(besides("polars_frames.frame", arguments))
        try:
            return tag(table)
        except pl.exceptions.PanicException as panic:
            # Not an Exception, so the reader would let it pass.
            raise refused("polars cannot make a frame of it") from panic

    return build


RULES = rules(
    (arrow.table, _stream(arrow.table), 200, False),
    (arrow.batch, _stream(arrow.batch), 200, False),
    (arrow.chunked, _stream(arrow.chunked), 200, False),
    (arrow.arrow_array, _stream(arrow.arrow_array), 200, False),
)
POLARS_RULES = rules(
    (polars_frames.frame, _polars(polars_frames.frame), 200, False),
    (polars_frames.series, _polars(polars_frames.series), 200, False),
)
