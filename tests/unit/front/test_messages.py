"""What leaves the cell's shell: plain messages, in order, by the real link."""

from __future__ import annotations

import enum
import io
import json
import math
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some

from kavach_ipy.front.messages import Sender, plain
from kavach_ipy.launch.link import ChildLink
from kavach_ipy.policy import Policy
from kavach_ipy.wire.arena import Arena, ArenaWriter
from kavach_ipy.wire.documents import Json, read_document, write_document
from kavach_ipy.wire.frames import Decoder
from kavach_ipy.wire.messages import Message, read_message


class Channel:
    """Both ends of a channel in one process; what is sent is small enough for its buffer."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.arena = Arena.create(1 << 20)
        link = ChildLink(
            self.theirs.fileno(), ArenaWriter(self.arena.fd, 1 << 20), frozenset(), Policy()
        )
        self.sender = Sender(link)

    def arrived(self) -> list[Message]:
        """Everything that the sender sent until now."""
        self.ours.setblocking(False)
        decoder, messages = Decoder(), []
        try:
            while True:
                messages += [read_message(frame) for frame in decoder.feed(self.ours.recv(1 << 20))]
        except BlockingIOError:
            return messages

    def close(self) -> None:
        """Close all of it."""
        self.ours.close()
        self.theirs.close()
        self.arena.close()


@pytest.fixture
def channel() -> Iterator[Channel]:
    """A channel of the test's own."""
    made = Channel()
    yield made
    made.close()


JSON = some.recursive(
    some.none()
    | some.booleans()
    | some.integers(-(2**63), 2**64 - 1)
    | some.floats(allow_nan=False, allow_infinity=False)
    | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_passes_as_it_is(value: object) -> None:
    """What JSON can say is left alone."""
    assert plain(value) == value


@given(some.recursive(JSON | some.binary() | some.floats() | some.integers(), some.lists))
def test_whatever_is_made_plain_can_be_sent(value: object) -> None:
    """NaN, huge integers and bytes become something that the wire accepts."""
    read_document(write_document({"value": plain(value)}))


class Level(enum.IntEnum):
    """An integer whose own text is not JSON."""

    HIGH = 3


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"\x89PNG", "iVBORw=="),
        (math.inf, "inf"),
        (math.nan, "nan"),
        (2**70, str(2**70)),
        (Level.HIGH, 3),
        ((1, {2: "two"}), [1, {"2": "two"}]),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
    ],
)
def test_what_jupyter_converts_is_converted(value: object, wanted: object) -> None:
    """As a kernel's own session does it: images are base64, dates are ISO 8601."""
    assert plain(value) == wanted
    assert json.loads(json.dumps(plain(value))) == wanted


def test_numpy_scalars_and_arrays_are_plain() -> None:
    """Libraries put them into plot data."""
    numpy = pytest.importorskip("numpy")
    assert plain({"x": numpy.float64(0.5), "y": numpy.arange(3)}) == {"x": 0.5, "y": [0, 1, 2]}


def test_what_cannot_be_sent_is_told_on_stderr(channel: Channel) -> None:
    """The cell goes on, and its user reads why a display is missing."""
    loop: dict[str, object] = {}
    loop["itself"] = loop
    for data in ({"text/plain": object()}, loop, {"text/html": "x" * (9 << 20)}):
        channel.sender.message("display_data", {"data": data, "metadata": {}})
        (message,) = channel.arrived()
        assert message.msg_type == "stream"
        assert message.content["name"] == "stderr"
        assert "display_data stayed inside" in str(message.content["text"])


def test_a_long_text_is_cut_into_frames(channel: Channel) -> None:
    """One write of any length passes, and nothing of it is lost."""
    text = "a\N{GRINNING FACE}" * 3000
    pieces: list[str] = []
    for start in range(0, len(text), 1000):
        channel.sender.text("stdout", text[start : start + 1000])
        pieces += [str(message.content["text"]) for message in channel.arrived()]
    assert "".join(pieces) == text


def test_errors_and_the_kernels_own_messages_stay(channel: Channel) -> None:
    """Status, input and error messages are the parent's to make."""
    for msg_type in ("error", "status", "execute_input", "execute_reply", "shutdown_reply"):
        channel.sender.session_send(None, msg_type, {"some": "content"})
    assert channel.arrived() == []


def test_both_forms_of_send_are_understood(channel: Channel) -> None:
    """``Session.send`` takes a type and a content, or a message made before."""
    content: dict[str, Json] = {"data": {"text/plain": "1"}, "metadata": {}, "transient": {}}
    channel.sender.session_send(None, "display_data", content, metadata={"a": 1})
    channel.sender.session_send(
        None,
        {
            "header": {"msg_type": "display_data"},
            "msg_type": "display_data",
            "content": content,
            "metadata": {"a": 1},
        },
        buffers=[b"raw"],
    )
    first, second = channel.arrived()
    assert first == Message("display_data", content, {"a": 1})
    assert [bytes(buffer) for buffer in second.buffers] == [b"raw"]


def test_text_before_a_display_arrives_before_it(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A display flushes the streams first."""

    class Stream(io.StringIO):
        def flush(self) -> None:
            channel.sender.text("stdout", self.getvalue())

    monkeypatch.setattr(sys, "stdout", Stream("before"))
    channel.sender.message("clear_output", {"wait": False})
    monkeypatch.undo()
    assert [message.msg_type for message in channel.arrived()] == ["stream", "clear_output"]
