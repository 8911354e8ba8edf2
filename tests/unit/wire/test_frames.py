"""Frames: whole or an error, whatever arrives and however it is cut."""

from __future__ import annotations

import os
import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kavach_ipy.errors import ProtocolError
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.frames import (
    Decoder,
    Frame,
    FrameLimits,
    Kind,
    encode,
    read_frame,
    write_frame,
)

_SMALL = FrameLimits(body=1000, buffer=500, buffers=3, total=1200)

_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
)
_documents: st.SearchStrategy[dict[str, Json]] = st.dictionaries(
    st.text(),
    st.recursive(_leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
)
_frames = st.builds(
    Frame,
    st.sampled_from(Kind),
    _documents,
    st.lists(st.binary(max_size=50), max_size=4).map(tuple),
)


def _bytes(*frames: Frame) -> bytes:
    return b"".join(bytes(piece) for frame in frames for piece in encode(frame))


def _head(kind: int, buffers: int, body: int, *lengths: int) -> bytes:
    return struct.pack("<4sBBHI", b"kvch", 1, kind, buffers, body) + struct.pack(
        f"<{len(lengths)}Q", *lengths
    )


@given(st.lists(_frames, max_size=4), st.lists(st.integers(1, 30), max_size=200))
def test_frames_survive_any_chunking(frames: list[Frame], cuts: list[int]) -> None:
    """Frames come out as they went in, wherever the stream is cut."""
    data, decoder, seen = _bytes(*frames), Decoder(), []
    for cut in cuts:
        seen += decoder.feed(data[:cut])
        data = data[cut:]
    seen += decoder.feed(data)
    assert seen == frames
    assert decoder.is_idle


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_decode_or_raise_protocol_error(data: bytes, has_head: bool) -> None:
    """Hostile bytes are frames, an unfinished frame, or a ProtocolError; nothing else happens."""
    decoder = Decoder(_SMALL)
    try:
        frames = decoder.feed((_head(3, 0, 5) if has_head else b"") + data)
    except ProtocolError:
        with pytest.raises(ProtocolError):
            decoder.feed(b"")
    else:
        assert all(isinstance(frame, Frame) for frame in frames)


@given(st.lists(_frames, min_size=1, max_size=3), st.data())
def test_a_flipped_byte_decodes_or_raises_protocol_error(
    frames: list[Frame], data: st.DataObject
) -> None:
    """One changed byte in good frames is never more than a ProtocolError."""
    raw = bytearray(_bytes(*frames))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    decoder = Decoder()
    try:
        decoder.feed(raw)
    except ProtocolError:
        return
    assert decoder.offset <= len(raw)


@pytest.mark.parametrize(
    "head",
    [
        _head(3, 0, 1001),
        _head(3, 4, 0),
        _head(3, 1, 0, 501),
        _head(3, 1, 0, 2**63),
        _head(3, 3, 10, 500, 500, 500),
        _head(0, 0, 10),
        _head(12, 0, 10),
        b"KVCH" + _head(3, 0, 10)[4:],
        b"kvch\x02" + _head(3, 0, 10)[5:],
    ],
)
def test_decoder_refuses_a_length_before_its_bytes_arrive(head: bytes) -> None:
    """A length beyond a cap, a wrong kind or a wrong magic is refused as soon as it is read."""
    with pytest.raises(ProtocolError):
        Decoder(_SMALL).feed(head)


def test_decoder_accepts_lengths_at_the_caps() -> None:
    """What the caps allow is waited for and accepted."""
    frame = Frame(Kind.MESSAGE, {"a": "b" * 100}, (b"x" * 500, b"y" * 500, b""))
    assert Decoder(_SMALL).feed(b"".join(map(bytes, encode(frame, _SMALL)))) == [frame]


def test_encode_refuses_what_the_decoder_would() -> None:
    """A writer learns from an error, and not by its stream's end, that a frame is too large."""
    with pytest.raises(ProtocolError, match="500 allowed"):
        encode(Frame(Kind.VALUE, {}, (b"x" * 501,)), _SMALL)


def test_decoding_takes_linear_time_for_single_bytes() -> None:
    """A frame that arrives byte by byte is looked at once: no byte is kept twice."""
    data, decoder = _bytes(Frame(Kind.VALUE, {}, (bytes(50_000),))), Decoder()
    frames = [frame for at in range(len(data)) for frame in decoder.feed(data[at : at + 1])]
    assert len(frames) == 1


def test_write_and_read_carry_a_frame_larger_than_the_socket() -> None:
    """A frame beyond any socket buffer, of more pieces than writev takes, arrives whole."""
    ours, theirs = socket.socketpair()
    buffers = tuple(bytes([at % 256]) * 3000 for at in range(1024))
    frames = [Frame(Kind.VALUE, {"at": 1}, buffers), Frame(Kind.DONE, {"failure": None})]

    def write() -> None:
        with ours:
            for frame in frames:
                write_frame(ours.fileno(), frame)

    thread = threading.Thread(target=write)
    thread.start()
    with theirs:
        decoder = Decoder()
        assert [read_frame(theirs.fileno(), decoder) for _ in frames] == frames
        assert read_frame(theirs.fileno(), decoder) is None
    thread.join()


def test_write_waits_on_a_descriptor_that_does_not_block() -> None:
    """A full, non-blocking socket is waited for; nothing is lost."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    frame = Frame(Kind.VALUE, {}, (bytes(3_000_000),))
    thread = threading.Thread(target=write_frame, args=(ours.fileno(), frame))
    thread.start()
    assert read_frame(theirs.fileno(), Decoder()) == frame
    thread.join()
    ours.close()
    theirs.close()


def test_write_says_that_the_reader_has_gone() -> None:
    """A closed reader is an OSError, not a signal that ends the process."""
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        write_frame(writer, Frame(Kind.GO))
    os.close(writer)


def test_read_refuses_a_stream_that_ends_inside_a_frame() -> None:
    """A child that dies in the middle of a frame breaks the wire; it does not hang the parent."""
    reader, writer = os.pipe()
    os.write(writer, _bytes(Frame(Kind.DONE, {"failure": None}))[:-1])
    os.close(writer)
    with pytest.raises(ProtocolError, match="ends inside"):
        read_frame(reader, Decoder())
    os.close(reader)
