"""Arrow in the dialect: tables, batches and arrays as one IPC stream each, uncompressed.

Guarantees: a stream's memory is not copied when it is read; only types of a closed list are written
and read, none of which has code of its own; pyarrow is imported only when a tag is called.
Assumes: for the tags, streams that were checked (`kavach_ipy.gate.arrow`), or a trusted pickle.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from kavach_ipy.wire.packing import Reduced, unlisted
from kavach_ipy.wire.prices import stream
from kavach_ipy.wire.tags import Buffer

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "arrow_array",
    "batch",
    "chunked",
    "cost_of",
    "dictionaries_in",
    "is_listed",
    "open_stream",
    "stream_of",
    "table",
    "take_apart",
]

_DEPTH = 8
# By pyarrow.types.is_*: what polars, pandas and Arrow itself make of plain data. Unions, views,
# run-end-encoded and extension types are not among them; the last may run code when they are read.
_FLAT = frozenset(
    f"is_{name}"
    for name in (
        *("boolean", "integer", "floating", "decimal", "date", "time", "timestamp", "duration"),
        *("string", "large_string", "binary", "large_binary", "fixed_size_binary", "null"),
    )
)


def table(raw: Buffer) -> pa.Table:
    """A table from its stream."""
    with open_stream(raw) as reader:
        return reader.read_all()


def batch(raw: Buffer) -> pa.RecordBatch:
    """A record batch, from the stream of a table of one chunk or none."""
    import pyarrow as pa  # noqa: PLC0415 - imported when needed only.

    whole = table(raw)
    batches = whole.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=whole.schema)


def chunked(raw: Buffer) -> pa.ChunkedArray:
    """A chunked array, from the stream of a table of one column."""
    return table(raw).column(0)


def arrow_array(raw: Buffer) -> pa.Array:
    """An array, from the stream of a table of one column and at most one chunk."""
    return batch(raw).column(0)


def open_stream(raw: Buffer) -> pa.RecordBatchStreamReader:
    """Return the reader of a stream, which has read the schema and nothing else."""
    import pyarrow as pa  # noqa: PLC0415 - imported when needed only.

    # No pool of threads for what is not even copied: a forked cell would inherit it without them.
    options = pa.ipc.IpcReadOptions(use_threads=False)
    return pa.ipc.open_stream(pa.py_buffer(raw), options=options)


def is_listed(kind: pa.DataType, depth: int = _DEPTH) -> bool:
    """True for a type that may cross: flat, or a container of such that nests a few deep."""
    from pyarrow import types  # noqa: PLC0415 - the type is pyarrow's, so it is loaded.

    if depth == 0:
        return False
    if any(getattr(types, name)(kind) for name in _FLAT):
        # An item without bytes would have any length for free.
        return not types.is_fixed_size_binary(kind) or kind.byte_width > 0
    if types.is_dictionary(kind):
        return is_listed(kind.value_type, 1)
    if types.is_list(kind) or types.is_large_list(kind):
        return is_listed(kind.value_type, depth - 1)
    if types.is_fixed_size_list(kind):
        return kind.list_size > 0 and is_listed(kind.value_type, depth - 1)
    if types.is_map(kind):
        return is_listed(kind.key_type, depth - 1) and is_listed(kind.item_type, depth - 1)
    if types.is_struct(kind):
        fields = [kind.field(at).type for at in range(kind.num_fields)]
        return bool(fields) and all(is_listed(field, depth - 1) for field in fields)
    return False


def stream_of(value: pa.Table) -> pickle.PickleBuffer:
    """Return a table as a stream.

    Raises:
        OutputWithheld: one of its types does not cross.
    """
    import pyarrow as pa  # noqa: PLC0415 - the value is pyarrow's, so it is loaded.

    for field in value.schema:
        if not is_listed(field.type) or b"ARROW:extension:name" in (field.metadata or {}):
            raise unlisted(f"its type {str(field.type)[:80]} is not listed", "cast it first")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, value.schema) as writer:
        writer.write_table(value)
    return pickle.PickleBuffer(sink.getvalue())


def cost_of(value: Any) -> int:
    """Return what it costs to read the stream of an object, apart from its tag."""
    import pyarrow as pa  # noqa: PLC0415 - the value is pyarrow's, so it is loaded.

    if isinstance(value, pa.Table | pa.RecordBatch):
        kinds = list(value.schema.types)
        schema = int(value.schema.serialize().size)
        batches = len(value.to_batches()) if isinstance(value, pa.Table) else 1
    else:
        kinds = [value.type]
        schema = int(pa.schema([("", value.type)]).serialize().size)
        batches = value.num_chunks if isinstance(value, pa.ChunkedArray) else 1
    nodes = sum(map(_nodes, kinds))
    # A dictionary may be sent anew with each batch.
    dictionaries = sum(map(dictionaries_in, kinds))
    return stream(1 + batches * (1 + dictionaries), batches * nodes, schema)


def _nodes(kind: Any) -> int:
    inner = sum(_nodes(kind.field(at).type) for at in range(kind.num_fields))
    return 1 + inner + (_nodes(kind.value_type) if hasattr(kind, "index_type") else 0)


def dictionaries_in(kind: Any) -> int:
    """Return how many dictionaries an Arrow type refers to, those of the types inside it too."""
    inner = sum(dictionaries_in(kind.field(at).type) for at in range(kind.num_fields))
    return inner + hasattr(kind, "index_type")


def take_apart(value: Any) -> Reduced:
    """Return the tag and the stream that rebuild an object of pyarrow.

    Raises:
        OutputWithheld: its class or one of its types is not one that comes back.
    """
    import pyarrow as pa  # noqa: PLC0415 - the value is pyarrow's, so it is loaded.

    if type(value) is pa.Table:
        return table, (stream_of(value),)
    if type(value) is pa.RecordBatch:
        return batch, (stream_of(pa.Table.from_batches([value])),)
    if type(value) is pa.ChunkedArray:
        return chunked, (stream_of(pa.table([value], names=[""])),)
    if isinstance(value, pa.Array):
        return arrow_array, (stream_of(pa.table([value], names=[""])),)
    raise unlisted("this type of pyarrow is not listed", "bring back a Table, or as_py()")
