"""A look through an Arrow IPC stream before Arrow reads it: its messages, one by one.

A message is `FF FF FF FF`, the length of its metadata, the metadata (a flatbuffer), and a body; the
stream ends with a message of length 0. A flatbuffer's table begins with the distance to its vtable,
and the vtable says at which distance from the table each field stands, 0 for one that is absent
(flatbuffers, "FlatBuffer Internals"; Arrow's format/Message.fbs names the fields).

Guarantees: every message lies inside the stream, and nothing follows the last; the first is a
schema, the others are whole dictionaries and batches; none is compressed or big endian; no field is
of an extension type; the buffers of a message lie in its body one after the other, and items
without bytes are paid for, so that what it means is no larger than what it is.
Assumes: `raw` does not change meanwhile.
"""

from __future__ import annotations

import struct
from typing import Final

from kavach_ipy.gate.allowance import refused
from kavach_ipy.gate.budget import Budget
from kavach_ipy.wire.prices import stream

__all__ = ["check_stream"]

_MESSAGE_FIELDS: Final = {"type": 1, "header": 2, "length": 3}
_SCHEMA: Final = 1
_DICTIONARY: Final = 2
_BATCH: Final = 3
_ENDIANNESS: Final = 0
_NODES: Final = 1
_BUFFERS: Final = 2
_COMPRESSION: Final = 3
_DATA: Final = 1
_IS_DELTA: Final = 2
# A message costs at most a hundred microseconds, and each of its buffers up to three.
_MESSAGE: Final = 100
_BUFFER: Final = 3
# What a reader may make of an item that has no bit in the body.
_ITEM: Final = 16
# Arrow hands a field with this key to the class that registered the name after it.
_EXTENSION: Final = b"ARROW:extension"
_METADATA: Final = 1 << 20


def check_stream(raw: bytes | bytearray | memoryview, budget: Budget) -> int:
    """Check a whole stream; return the bytes of its largest dictionary.

    Args:
        raw: the stream.
        budget: pays for what Arrow will take and make.

    Raises:
        OutputWithheld: it has what no writer of ours writes.
        struct.error: it is cut off.
    """
    at, number, largest = 0, 0, 0
    while True:
        budget.spend_work(_MESSAGE)
        mark, size = struct.unpack_from("<Ii", raw, at)
        at += 8
        if mark != 0xFFFFFFFF or not 0 <= size <= _METADATA:
            raise refused("an Arrow stream has a message that is none, or with too much metadata")
        if size == 0:
            break
        metadata = bytes(raw[at : at + size])
        kind, length = _check_message(metadata, budget, is_first=number == 0)
        at += size + length
        if at > len(raw):
            raise refused("an Arrow stream has a message that is longer than the stream")
        number += 1
        if kind == _DICTIONARY:
            largest = max(largest, length)
    if number == 0 or at != len(raw):
        raise refused("an Arrow stream has no schema, or something after its end")
    return largest


def _check_message(metadata: bytes, budget: Budget, *, is_first: bool) -> tuple[int, int]:
    """Check the metadata of one message; return its kind and the length of its body."""
    if _EXTENSION in metadata:
        raise refused("a table has a column of an extension type")
    message = _follow(metadata, 0)
    kind = int(metadata[_field(metadata, message, _MESSAGE_FIELDS["type"])])
    header = _follow(metadata, _field(metadata, message, _MESSAGE_FIELDS["header"]))
    length_at = _find(metadata, message, _MESSAGE_FIELDS["length"])
    length: int = struct.unpack_from("<q", metadata, length_at)[0] if length_at else 0
    if kind != _SCHEMA if is_first else kind not in {_DICTIONARY, _BATCH}:
        raise refused("an Arrow stream has a message that is not due")
    if length < 0 or (is_first and length):
        raise refused("an Arrow stream has a body of an impossible length")
    if kind == _DICTIONARY:
        if _find(metadata, header, _IS_DELTA):
            raise refused("an Arrow stream has a dictionary that comes in pieces")
        header = _follow(metadata, _field(metadata, header, _DATA))
    if kind == _SCHEMA:
        budget.spend_memory(stream(1, 0, len(metadata)))
        # Arrow turns the bytes of the other order around before anybody can validate them.
        at = _find(metadata, header, _ENDIANNESS)
        if at and struct.unpack_from("<h", metadata, at)[0]:
            raise refused("an Arrow stream is not little endian")
    else:
        if _find(metadata, header, _COMPRESSION):
            raise refused("an Arrow stream is compressed")
        _check_nodes(_pairs(metadata, header, _NODES), length, budget)
        buffers = _pairs(metadata, header, _BUFFERS)
        budget.spend_work(_BUFFER * len(buffers))
        _check_buffers(buffers, length)
    return kind, length


def _check_nodes(nodes: list[tuple[int, int]], length: int, budget: Budget) -> None:
    """Check the lengths of all columns and of what is inside them.

    A list of nulls has as many as it says: 2**60 of them take no byte here, and polars' all memory.
    """
    items = [count for count, _ in nodes]
    if min(items, default=0) < 0:
        raise refused("an Arrow stream has a column of an impossible length")
    # Whatever has bytes has a bit at least.
    budget.spend_items(max(0, sum(items) - 8 * length) * _ITEM)
    budget.spend_memory(stream(1, len(items), 0))


def _check_buffers(buffers: list[tuple[int, int]], length: int) -> None:
    """Check that no two buffers of a body share memory.

    Ten thousand columns over one text of 32 MiB would be read ten thousand times, for minutes.
    """
    last = 0
    for start, size in buffers:
        if size:
            if start < last or not 0 < size <= length - start:
                raise refused("an Arrow stream has buffers that overlap, or lie out of its message")
            last = start + size


def _pairs(metadata: bytes, table: int, field: int) -> list[tuple[int, int]]:
    """Return a vector of structures of two 64-bit numbers."""
    if not _find(metadata, table, field):
        return []
    at = 4 + _follow(metadata, _field(metadata, table, field))
    count = int(struct.unpack_from("<I", metadata, at - 4)[0])
    return list(struct.iter_unpack("<qq", metadata[at : at + 16 * count]))


def _find(metadata: bytes, table: int, field: int) -> int:
    """Return where a field of a table stands; 0 where it is absent."""
    vtable = table - int(struct.unpack_from("<i", metadata, table)[0])
    size = struct.unpack_from("<H", metadata, _inside(metadata, vtable))[0]
    slot = 4 + 2 * field
    if slot + 2 > size:
        return 0
    distance = int(struct.unpack_from("<H", metadata, vtable + slot)[0])
    return table + distance if distance else 0


def _field(metadata: bytes, table: int, field: int) -> int:
    at = _find(metadata, table, field)
    if at == 0:
        raise refused("an Arrow stream has a message without its header")
    return at


def _follow(metadata: bytes, at: int) -> int:
    """Return where the object stands that an offset leads to."""
    return _inside(metadata, at + int(struct.unpack_from("<I", metadata, at)[0]))


def _inside(metadata: bytes, at: int) -> int:
    # struct takes a negative offset for one from the end.
    if not 0 <= at < len(metadata):
        raise refused("an Arrow stream has an offset that leads out of its message")
    return at
