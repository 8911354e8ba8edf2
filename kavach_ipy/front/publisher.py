"""What a session's shell sends, as the messages that may cross, each with what it belongs to.

Everything that an ipykernel publishes goes through ``jupyter_client.session.Session.send``, and is
given the message that caused it as its parent: of a thread or a task, the cell that started it. The
parent's ``msg_id`` crosses, and the kernel's process, which knows the header, puts it on.

Guarantees: as `front.messages`.
Assumes: runs in the session, so nothing here protects the kernel's process: the gate does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from kavach_ipy.errors import ProtocolError
from kavach_ipy.front.messages import Sender, plain_dict
from kavach_ipy.wire.messages import MESSAGE_TYPES, Message, MessageType

if TYPE_CHECKING:
    from kavach_ipy.front.streams import Name
    from kavach_ipy.launch.link import ChildLink
    from kavach_ipy.wire.documents import Json

__all__ = ["Publisher"]

_PIECE: Final = 1 << 18


class Publisher(Sender):
    """Gives the messages of a session's shell to the link."""

    def __init__(self, link: ChildLink) -> None:
        super().__init__(link)
        self.current = ""
        """The request under way; messages that name no parent are taken for its own."""

    def _forward(
        self,
        parent: object,
        msg_type: str,
        content: dict[str, Any],
        metadata: dict[str, Any],
        buffers: tuple[bytes | memoryview, ...],
    ) -> None:
        if msg_type in MESSAGE_TYPES:
            kind = cast("MessageType", msg_type)
            self._publish(_msg_id(parent) or self.current, kind, content, metadata, buffers)

    def text(self, name: Name, text: str) -> None:
        """Send text that the request under way has printed."""
        self._publish(self.current, "stream", {"name": name, "text": text}, {}, ())

    def _publish(
        self,
        parent: str,
        kind: MessageType,
        content: dict[str, Any],
        metadata: dict[str, Any],
        buffers: tuple[bytes | memoryview, ...],
    ) -> None:
        if kind == "stream":
            name, text = content.get("name"), str(content.get("text", ""))
            for start in range(0, len(text), _PIECE):
                piece: dict[str, Json] = {"name": name, "text": text[start : start + _PIECE]}
                self._link.publish(parent, Message("stream", piece, {}))
            return
        try:
            shown = Message(kind, plain_dict(content), plain_dict(metadata), buffers)
            self._link.publish(parent, shown)
        except (ProtocolError, RecursionError, TypeError, ValueError) as error:
            note: dict[str, Json] = {
                "name": "stderr",
                "text": f"[sandbox] a {kind} stayed inside: {error}\n",
            }
            self._link.publish(parent, Message("stream", note, {}))


def _msg_id(parent: object) -> str:
    """Return the id of a message, or of a header."""
    header = parent.get("header", parent) if isinstance(parent, dict) else None
    found = header.get("msg_id") if isinstance(header, dict) else None
    return found if isinstance(found, str) else ""
