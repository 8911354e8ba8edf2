"""Requests, replies and what is published meanwhile: there and back, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kavach_ipy.errors import ProtocolError
from kavach_ipy.wire.frames import Decoder, Frame, Kind, encode
from kavach_ipy.wire.marks import Mark
from kavach_ipy.wire.messages import Message
from kavach_ipy.wire.service import (
    Published,
    Reply,
    Request,
    publish_frame,
    read_publish,
    read_reply,
    read_request,
    reply_frame,
    request_frame,
)

_REQUEST = Request(7, "comm_msg", {"header": {"msg_id": "m"}}, {"data": {}}, (b"one", b""))
_MESSAGE = Message("stream", {"name": "stdout", "text": "x"}, {})
_PUBLISHED = publish_frame("m", _MESSAGE).body


def _sent(frame: Frame) -> Frame:
    (received,) = Decoder().feed(b"".join(bytes(piece) for piece in encode(frame)))
    return received


def test_frames_come_back_as_they_were_sent() -> None:
    """Numbers, kinds, parents and buffers."""
    assert read_request(_sent(request_frame(_REQUEST))) == _REQUEST
    assert read_reply(_sent(reply_frame(7, {"status": "ok"}))) == Reply(7, {"status": "ok"})
    published = publish_frame("m", _MESSAGE, Mark(1, 2, 3, 4))
    assert read_publish(_sent(published)) == Published("m", _MESSAGE)


@pytest.mark.parametrize(
    ("frame", "read"),
    [
        (reply_frame(1, {}), read_request),
        (request_frame(_REQUEST), read_reply),
        (replace(reply_frame(1, {}), buffers=(b"x",)), read_reply),
        (Frame(Kind.REPLY, {"number": True, "content": {}}), read_reply),
        (Frame(Kind.REPLY, {"number": 1}), read_reply),
        (Frame(Kind.REPLY, {"number": 1, "content": {}, "more": 1}), read_reply),
        (
            Frame(Kind.REQUEST, {"number": 1, "kind": "apply", "parent": {}, "content": {}}),
            read_request,
        ),
        (Frame(Kind.MESSAGE, _PUBLISHED), read_publish),
        (
            Frame(Kind.PUBLISH, {**_PUBLISHED, "parent": "x" * 257}),
            read_publish,
        ),
        (Frame(Kind.PUBLISH, {**_PUBLISHED, "parent": {}}), read_publish),
        (
            Frame(Kind.PUBLISH, {**_PUBLISHED, "type": "status"}),
            read_publish,
        ),
    ],
)
def test_frame_of_another_form_is_refused(frame: Frame, read: Any) -> None:
    """A wrong kind, key, type or length."""
    with pytest.raises(ProtocolError):
        read(frame)


def test_parent_is_cut_where_it_is_written() -> None:
    """So that an honest session never breaks the wire by a client's long ids."""
    assert read_publish(publish_frame("x" * 1000, _MESSAGE)).parent == "x" * 256
