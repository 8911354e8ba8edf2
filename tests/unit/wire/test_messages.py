"""Bodies of frames: each builder has a strict reader."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kavach_ipy.errors import ProtocolError
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.frames import Decoder, Frame, Kind, encode
from kavach_ipy.wire.marks import Mark, read_mark
from kavach_ipy.wire.messages import (
    Answer,
    Done,
    Failure,
    Message,
    Question,
    SetupFault,
    answer_frame,
    done_frame,
    go_frame,
    input_frame,
    message_frame,
    read_answer,
    read_done,
    read_go,
    read_input,
    read_message,
    read_ready,
    ready_frame,
)
from kavach_ipy.wire.value_frames import (
    Carried,
    Unsent,
    read_carried,
    read_unsent,
    unsent_frame,
    value_frame,
)

_FAULT = SetupFault("mount /proc", "mount", 1, "x")
_FAILURE = Failure("ValueError", "no", ("line 1", "line 2"), ("note",))
_CASES: list[tuple[Frame, Callable[[Frame], object], object]] = [
    (ready_frame(), read_ready, None),
    (ready_frame(_FAULT), read_ready, _FAULT),
    (go_frame(), read_go, None),
    (
        message_frame("stream", {"name": "stdout", "text": "\ud800"}),
        read_message,
        Message("stream", {"name": "stdout", "text": "\ud800"}, {}),
    ),
    (
        message_frame("comm_msg", {}, {"a": 1}, (b"x",)),
        read_message,
        Message("comm_msg", {}, {"a": 1}, (b"x",)),
    ),
    (input_frame("? ", is_password=True), read_input, Question("? ", is_password=True)),
    (answer_frame("yes"), read_answer, Answer("yes")),
    (answer_frame("", "eof"), read_answer, Answer("", "eof")),
    (done_frame(), read_done, Done()),
    (done_frame(_FAILURE), read_done, Done(_FAILURE)),
    (
        value_frame(Carried("x", "int", (b"abc", (4096, 5), b"d"))),
        read_carried,
        Carried("x", "int", (b"abc", (4096, 5), b"d")),
    ),
    (
        unsent_frame("x", "function", "reason", "remedy", "shown"),
        read_unsent,
        Unsent("x", "function", "reason", "remedy", "shown"),
    ),
]
_READERS = {id(read): read for _, read, _ in _CASES}.values()


@pytest.mark.parametrize(("frame", "read", "meaning"), _CASES)
def test_what_is_built_is_read(
    frame: Frame, read: Callable[[Frame], object], meaning: object
) -> None:
    """Each record survives its way through the bytes of a frame."""
    (decoded,) = Decoder().feed(b"".join(map(bytes, encode(frame))))
    assert read(decoded) == meaning


@pytest.mark.parametrize(("frame", "read", "meaning"), _CASES)
def test_readers_refuse_other_keys_types_and_buffers(
    frame: Frame, read: Callable[[Frame], object], meaning: object
) -> None:
    """An unknown key, a missing key, a value of another type or an odd buffer is refused."""
    broken: list[Frame] = [Frame(frame.kind, {**frame.body, "more": 1}, frame.buffers)]
    if frame.kind is not Kind.MESSAGE:
        broken.append(Frame(frame.kind, frame.body, (*frame.buffers, b"x")))
    others: tuple[Json, ...] = (1.5, [None, 1], {"a": 1}, True)
    for key in frame.body:
        broken.append(
            Frame(frame.kind, {k: v for k, v in frame.body.items() if k != key}, frame.buffers)
        )
        broken += [
            Frame(frame.kind, {**frame.body, key: other}, frame.buffers)
            for other in others
            if type(other) is not type(frame.body[key])
        ]
    for bad in broken:
        with pytest.raises(ProtocolError):
            read(bad)


def test_a_mark_is_read_as_it_was_sent() -> None:
    """Time and counts survive, in a message as in a question."""
    mark = Mark(5, 6, 7, 8)
    assert read_mark(message_frame("clear_output", {}, mark=mark)) == mark
    assert read_mark(input_frame("? ", is_password=False, mark=mark)) == mark


@pytest.mark.parametrize(
    "mark",
    [
        [],
        [0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, -1],
        [True, 0, 0, 0],
        [0, 0.0, 0, 0],
        [0, None, 0, 0],
    ],
)
def test_a_mark_of_another_shape_is_refused(mark: list[Json]) -> None:
    """Four integers that are not negative, and nothing else."""
    frame = message_frame("clear_output", {})
    broken = Frame(frame.kind, {**frame.body, "mark": mark})
    for read in (read_mark, read_message):
        with pytest.raises(ProtocolError, match="mark"):
            read(broken)


@pytest.mark.parametrize(("frame", "read", "meaning"), _CASES)
def test_readers_refuse_other_kinds(
    frame: Frame, read: Callable[[Frame], object], meaning: object
) -> None:
    """A frame that was not due is refused, whichever it is."""
    for kind in Kind:
        if kind is not frame.kind:
            with pytest.raises(ProtocolError):
                read(Frame(kind, frame.body, frame.buffers))


@pytest.mark.parametrize("msg_type", ["execute_reply", "input_request", "status", "", "shutdown"])
def test_messages_of_other_types_are_refused(msg_type: str) -> None:
    """The child cannot make the parent send a reply, a status or a request."""
    body: dict[str, Json] = {"type": msg_type, "content": {}, "metadata": {}, "mark": [0, 0, 0, 0]}
    with pytest.raises(ProtocolError, match="message type"):
        read_message(Frame(Kind.MESSAGE, body))


@pytest.mark.parametrize(
    "body",
    [
        {"name": "E", "text": "t", "lines": ["a", 1], "notes": []},
        {"name": "E", "text": "t", "lines": "a", "notes": []},
        {"name": "E", "text": None, "lines": [], "notes": []},
        {"name": "E", "text": "t", "lines": []},
        "E",
    ],
)
def test_failures_that_are_no_texts_are_refused(body: Json) -> None:
    """A failure is texts in lists, nothing else."""
    with pytest.raises(ProtocolError):
        read_done(Frame(Kind.DONE, {"failure": body}))


def test_an_endless_traceback_still_fits_into_a_frame() -> None:
    """A cell that raises megabytes of text still gets its failure across, cut."""
    failure = Failure("E" * 10**6, "t" * 10**7, ("l" * 10**6,) * 10_000, ("n",) * 10_000)
    frame = done_frame(failure)
    encode(frame)
    cut = read_done(frame).failure
    assert cut is not None
    assert cut.lines[0].startswith("lll")


def _value(parts: list[Json], *buffers: bytes) -> Frame:
    return Frame(Kind.VALUE, {"name": "x", "kind": "int", "parts": parts}, buffers)


@pytest.mark.parametrize("parts", [[], [None], [None, None, None], [[0, 1]]])
def test_values_whose_parts_do_not_agree_are_refused(parts: list[Json]) -> None:
    """Parts without a buffer, and buffers without a part, break the wire."""
    assert read_carried(_value([None, None], b"a", b"b")).parts == (b"a", b"b")
    with pytest.raises(ProtocolError):
        read_carried(_value(parts, b"a", b"b"))


@pytest.mark.parametrize(
    "span", [[1], [1, -1], [-1, 1], [1, True], [False, 1], [1.0, 1], ["0", 1], "x", [0, 1, 2], {}]
)
def test_spans_that_are_not_two_numbers_are_refused(span: Json) -> None:
    """A place in the arena is an offset and a length, and neither is negative."""
    assert read_carried(_value([[0, 1]])).parts == ((0, 1),)
    with pytest.raises(ProtocolError):
        read_carried(_value([span]))
