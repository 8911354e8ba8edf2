"""What the cell's shell sends, as the messages that may cross.

Guarantees: a message that crosses is plain JSON and buffers; one that cannot be made so, or that is
too large for a frame, becomes a line on stderr that says so, and the cell goes on; text written
before a message arrives before it.
Assumes: runs in the child, so nothing here protects the parent: the gate does.
"""

from __future__ import annotations

import base64
import math
import sys
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, Final, get_args

from kavach_ipy.errors import ProtocolError
from kavach_ipy.front.streams import Name, send_pieces
from kavach_ipy.launch.link import ChildLink
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.messages import Failure, MessageType, shortened

__all__ = ["Sender", "plain", "plain_dict"]

# The wire refuses integers that do not fit 64 bits (wire.documents).
_LEAST: Final = -(2**63)
_MOST: Final = 2**64 - 1
# Errors are not the kernel's to send: front.tracebacks takes them before.
_SENT: Final[dict[str, MessageType]] = {
    kind: kind for kind in get_args(MessageType) if kind != "error"
}


class Sender:
    """Gives the shell's messages to the link."""

    def __init__(self, link: ChildLink) -> None:
        self._link = link
        self._text = send_pieces(self._send_piece)

    def message(
        self,
        msg_type: str,
        content: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[bytes | memoryview] = (),
    ) -> None:
        """Send one message; the streams are flushed first, so that order is kept."""
        if msg_type == "stream":
            name: Name = "stderr" if content.get("name") == "stderr" else "stdout"
            self.text(name, str(content.get("text", "")))
            return
        kind = _SENT.get(msg_type)
        if kind is None:
            return
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            self._link.message(kind, plain_dict(content), plain_dict(metadata or {}), buffers)
        except (ProtocolError, RecursionError, TypeError, ValueError) as error:
            self.text("stderr", f"[sandbox] a {msg_type} stayed inside: {error}\n")

    def error(self, failure: Failure) -> None:
        """Show an error that the cell goes on after."""
        sys.stdout.flush()
        sys.stderr.flush()
        shown = shortened(failure)
        content: dict[str, Json] = {
            "ename": shown.name,
            "evalue": shown.text,
            "traceback": list(shown.lines),
        }
        self._link.message("error", content)

    def text(self, name: Name, text: str) -> None:
        """Send text of a standard stream, in as many messages as it takes."""
        self._text(name, text)

    def session_send(  # noqa: PLR0913, PLR0917 - the signature of jupyter_client.session.Session.send
        self,
        stream: object,
        msg_or_type: str | dict[str, Any],
        content: dict[str, Any] | None = None,
        parent: object = None,
        ident: object = None,
        buffers: Sequence[bytes | memoryview] | None = None,
        track: bool = False,
        header: object = None,
        metadata: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Stand in for ``Session.send``: the socket and the headers are the parent's business."""
        del stream, ident, track, header
        if isinstance(msg_or_type, dict):
            message = msg_or_type
            buffers = buffers or message.get("buffers")
            parent = parent or message.get("parent_header")
        else:
            message = {"msg_type": msg_or_type, "content": content, "metadata": metadata}
        msg_type = str(message.get("msg_type") or message["header"]["msg_type"])
        content, metadata = message.get("content") or {}, message.get("metadata") or {}
        self._forward(parent, msg_type, content, metadata, tuple(buffers or ()))
        return message

    def _forward(
        self,
        parent: object,
        msg_type: str,
        content: dict[str, Any],
        metadata: dict[str, Any],
        buffers: tuple[bytes | memoryview, ...],
    ) -> None:
        """Pass on what ``Session.send`` was given; ``parent`` is the message that caused it."""
        del parent
        self.message(msg_type, content, metadata, buffers)

    def _send_piece(self, name: Name, text: str) -> None:
        self._link.message("stream", {"name": name, "text": text})


def plain(value: object) -> Json:
    """Return ``value`` as JSON objects, converted as ``jupyter_client`` converts what it sends.

    Bytes become base64, dates ISO 8601, NaN and infinities their names.

    Raises:
        TypeError: JSON cannot say it.
        RecursionError: it contains itself, or is too deep.
    """
    match value:
        case None | bool() | str():
            return value
        case int():
            # Also the subclasses, such as IntEnum, whose own text is not JSON.
            return int(value) if _LEAST <= value <= _MOST else str(int(value))
        case float():
            return float(value) if math.isfinite(value) else repr(float(value))
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode("ascii")
        case datetime() | date():
            return value.isoformat()
        case dict():
            return plain_dict(value)
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case _:
            return _plain_other(value)


def plain_dict(value: dict[Any, Any]) -> dict[str, Json]:
    """Return a dict as `plain` does, its keys as text."""
    return {str(key): plain(item) for key, item in value.items()}


def _plain_other(value: object) -> Json:
    # numpy's scalars and arrays, without importing numpy.
    convert: Callable[[], object] | None = getattr(value, "tolist", None)
    if convert is None or type(value).__module__ != "numpy":
        raise TypeError(f"a {type(value).__name__} is not JSON")
    return plain(convert())
