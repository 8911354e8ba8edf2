"""What a session that serves a kernel is asked, what it answers, and what it publishes meanwhile.

::

    kernel process ── REQUEST number, kind, parent ──▶ session
    kernel process ◀── PUBLISH parent, message ─────── session      any number, at any time
    kernel process ◀── REPLY number, content ───────── session      one for each request, but "hold"

Guarantees: a reader returns typed data, or raises `ProtocolError` for a wrong kind, a missing or
unknown key, or a wrong type; a parent is a short text, and never a header.
Assumes: what a reader returns is still hostile; whoever reads REPLY knows which numbers are due.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias, cast, get_args

from kavach_ipy.errors import ProtocolError
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.frames import Frame, Kind
from kavach_ipy.wire.marks import NO_MARK, Mark
from kavach_ipy.wire.messages import Message, message_frame, read_message, take

__all__ = [
    "Published",
    "Reply",
    "Request",
    "RequestKind",
    "publish_frame",
    "read_publish",
    "read_reply",
    "read_request",
    "reply_frame",
    "request_frame",
]

RequestKind: TypeAlias = Literal[
    "execute", "complete", "inspect", "comm_open", "comm_msg", "comm_close", "hold", "take"
]
_KINDS: Final[frozenset[str]] = frozenset(get_args(RequestKind))
_PARENT: Final = 256
"""Characters of a parent's msg_id; jupyter_client's have about fifty."""


@dataclass(frozen=True, slots=True)
class Request:
    """Something that the session is to do.

    Attributes:
        number: comes back in the reply.
        kind: the message type of the messaging protocol, without ``_request``; "hold", which
            asks for a snapshot by the descriptor that comes along (`launch.checkpoints`); "take",
            which brings what a cell that was undone has left in the memory that comes along.
        parent: the message that asked for it: header, metadata, content.
        content: the arguments.
        buffers: of a comm message.
    """

    number: int
    kind: RequestKind
    parent: dict[str, Json]
    content: dict[str, Json]
    buffers: tuple[bytes | memoryview, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a request."""

    number: int
    content: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Published:
    """A message, and the ``msg_id`` of the request that it belongs to; empty where none is."""

    parent: str
    message: Message = field(repr=False)


def request_frame(request: Request) -> Frame:
    """Ask the session for something."""
    body: dict[str, Json] = {
        "number": request.number,
        "kind": request.kind,
        "parent": request.parent,
        "content": request.content,
    }
    return Frame(Kind.REQUEST, body, request.buffers)


def read_request(frame: Frame) -> Request:
    """Read REQUEST."""
    _expect(frame, Kind.REQUEST, {"number", "kind", "parent", "content"})
    kind = take(frame, frame.body, "kind", str)
    if kind not in _KINDS:
        raise _broken(frame, f"kind {kind!r:.40}; allowed: {sorted(_KINDS)}.")
    return Request(
        take(frame, frame.body, "number", int),
        cast("RequestKind", kind),
        take(frame, frame.body, "parent", dict),
        take(frame, frame.body, "content", dict),
        frame.buffers,
    )


def reply_frame(number: int, content: dict[str, Json]) -> Frame:
    """Answer a request."""
    return Frame(Kind.REPLY, {"number": number, "content": content})


def read_reply(frame: Frame) -> Reply:
    """Read REPLY."""
    _expect(frame, Kind.REPLY, {"number", "content"})
    if frame.buffers:
        raise _broken(frame, f"{len(frame.buffers)} buffers where none is allowed.")
    return Reply(take(frame, frame.body, "number", int), take(frame, frame.body, "content", dict))


def publish_frame(parent: str, message: Message, mark: Mark = NO_MARK) -> Frame:
    """Publish a message of a request."""
    frame = message_frame(
        message.msg_type, message.content, message.metadata, message.buffers, mark
    )
    return replace(frame, kind=Kind.PUBLISH, body={**frame.body, "parent": parent[:_PARENT]})


def read_publish(frame: Frame) -> Published:
    """Read PUBLISH; only the types of `MESSAGE_TYPES` are allowed."""
    if frame.kind is not Kind.PUBLISH:
        raise _broken(frame, "PUBLISH was due.")
    parent = take(frame, frame.body, "parent", str)
    if len(parent) > _PARENT:
        raise _broken(frame, f"a parent of {len(parent)} characters; {_PARENT} are allowed.")
    body = {key: value for key, value in frame.body.items() if key != "parent"}
    return Published(parent, read_message(replace(frame, kind=Kind.MESSAGE, body=body)))


def _expect(frame: Frame, kind: Kind, keys: set[str]) -> None:
    if frame.kind is not kind:
        raise _broken(frame, f"{kind.name} was due.")
    if frame.body.keys() != keys:
        odd = sorted(frame.body.keys() ^ keys)
        raise _broken(frame, f"keys {odd!r:.80} are unknown or missing.")


def _broken(frame: Frame, detail: str) -> ProtocolError:
    return ProtocolError(0, frame.kind.name, detail)
