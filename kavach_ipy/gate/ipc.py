"""A look through an Arrow IPC stream before Arrow reads it: its messages, one by one.

A message is `FF FF FF FF`, the length of its metadata, the metadata (a flatbuffer), and a body; the
stream ends with a message of length 0. A flatbuffer's table begins with the distance to its vtable,
and the vtable says at which distance from the table each field stands, 0 for one that is absent
(flatbuffers, "FlatBuffer Internals"; Arrow's format/Message.fbs names the fields).

Guarantees: every message lies inside the stream, and nothing but zeros follows the last; the first
is a schema, the others are whole dictionaries and batches; none is compressed; no field is of an
extension type.
Assumes: `raw` does not change meanwhile.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from kavach_ipy.gate.allowance import refused

__all__ = ["check_stream"]

_MESSAGE_FIELDS: Final = {"type": 1, "header": 2, "length": 3}
_SCHEMA: Final = 1
_DICTIONARY: Final = 2
_BATCH: Final = 3
_COMPRESSION: Final = 3
_DATA: Final = 1
_IS_DELTA: Final = 2
# Arrow hands a field with this key to the class that registered the name after it.
_EXTENSION: Final = b"ARROW:extension"
_METADATA: Final = 1 << 20


def check_stream(raw: bytes | bytearray | memoryview, spend: Callable[[], None]) -> None:
    """Check a whole stream.

    Args:
        raw: the stream.
        spend: called for each message.

    Raises:
        OutputWithheld: it has what no writer of ours writes.
        struct.error: it is cut off.
    """
    at, number = 0, 0
    while True:
        spend()
        mark, size = struct.unpack_from("<Ii", raw, at)
        at += 8
        if mark != 0xFFFFFFFF or not 0 <= size <= _METADATA:
            raise refused("an Arrow stream has a message that is none, or with too much metadata")
        if size == 0:
            break
        metadata = bytes(raw[at : at + size])
        at += size + _check_message(metadata, is_first=number == 0)
        if at > len(raw):
            raise refused("an Arrow stream has a message that is longer than the stream")
        number += 1
    if number == 0 or at != len(raw):
        raise refused("an Arrow stream has no schema, or something after its end")


def _check_message(metadata: bytes, *, is_first: bool) -> int:
    """Check the metadata of one message; return the length of its body."""
    if _EXTENSION in metadata:
        raise refused("a table has a column of an extension type")
    message = _follow(metadata, 0)
    kind = metadata[_field(metadata, message, _MESSAGE_FIELDS["type"])]
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
    if kind != _SCHEMA and _find(metadata, header, _COMPRESSION):
        raise refused("an Arrow stream is compressed")
    return length


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
