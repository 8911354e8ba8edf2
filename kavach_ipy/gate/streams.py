"""The cell's standard streams, each through a filter of its own.

Text comes as `stream` messages, from Python, and as bytes, from native code and subprocesses that
write to descriptor 1 or 2.

Guarantees: text comes out under one of two names and with the grammar of `kavach_ipy.gate.text`,
however messages and bytes are mixed.
Assumes: all that one cell prints passes through one `Streams`, in order.
"""

from __future__ import annotations

import codecs
from typing import Final, Literal, TypeAlias

from kavach_ipy.errors import ProtocolError
from kavach_ipy.gate.rows import Rows
from kavach_ipy.gate.text import TextFilter
from kavach_ipy.wire.messages import Message

__all__ = ["StreamName", "Streams"]

StreamName: TypeAlias = Literal["stdout", "stderr"]
_NAMES: Final[tuple[StreamName, ...]] = ("stdout", "stderr")
_UTF8 = codecs.getincrementaldecoder("utf-8")


class Streams:
    """Filters what one cell prints.

    Args:
        rows: those of the terminal that both streams go to; None where they go elsewhere.
    """

    __slots__ = ("_decoders", "_filters", "_rows")

    def __init__(self, rows: Rows | None = None) -> None:
        self._rows = rows
        self._filters = {name: TextFilter(rows) for name in _NAMES}
        self._decoders = {name: _UTF8("replace") for name in _NAMES}

    def feed(self, message: Message) -> tuple[StreamName, str]:
        """Return the stream's name and what may be shown; the text may be empty.

        Raises:
            ProtocolError: the content is not a name and a text.
        """
        name, text = message.content.get("name"), message.content.get("text")
        if (
            message.content.keys() != {"name", "text"}
            or name not in _NAMES
            or type(text) is not str
        ):
            raise ProtocolError(0, "stream", "a stream has a name, stdout or stderr, and a text.")
        return name, self._filters[name].feed(text)

    def feed_bytes(self, name: StreamName, data: bytes) -> str:
        """Return what may be shown of bytes that went to a stream's descriptor."""
        return self._filters[name].feed(self._decoders[name].decode(data))

    def settle(self) -> str:
        """Return what is to be printed before others print: it leads below all that stands."""
        return "" if self._rows is None else self._rows.settle()

    def finish(self) -> tuple[tuple[StreamName, str], ...]:
        """End both streams; return what was held back and may still be shown."""
        rest = tuple((name, self._end(name)) for name in _NAMES)
        return tuple((name, text) for name, text in rest if text)

    def _end(self, name: StreamName) -> str:
        decoded = self._decoders[name].decode(b"", final=True)
        return self._filters[name].feed(decoded) + self._filters[name].finish()
