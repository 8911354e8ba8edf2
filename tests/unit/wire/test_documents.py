"""JSON on the wire: strict, shallow, and read in linear time."""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kavach_ipy.wire import documents
from kavach_ipy.wire.documents import MAX_DEPTH, MAX_VALUES, read_document, write_document


@given(st.binary(max_size=200) | st.text(alphabet='[]{}":,\\1e-', max_size=60).map(str.encode))
def test_any_bytes_are_a_document_or_a_value_error(text: bytes) -> None:
    """Whatever arrives is an object or a ValueError."""
    try:
        value = read_document(text)
    except ValueError:
        return
    assert read_document(write_document(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":18446744073709551616}',
        b'{"a":-9223372036854775809}',
        b'{"a":' + b"9" * 100_000 + b"}",
        b'{"a":1,"a":2}',
        b"[1]",
        b"null",
        b'{"a":"\xff"}',
        b'{"a":1}'.decode().encode("utf-16"),
        b'{"a":1}x',
        b"{1:2}",
        b"",
    ],
)
def test_what_json_should_not_say_is_refused(text: bytes) -> None:
    """Numbers that no double or 64 bits hold, repeated keys and other encodings are refused."""
    with pytest.raises(ValueError, match=r"\w"):
        read_document(text)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 8_000_000,
        b'{"a":' * 1_000_000,
        b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
        b'{"\\"' + b'["' * 100_000,
    ],
)
def test_deep_documents_are_refused_without_recursion(text: bytes) -> None:
    """A flood of brackets is refused on a stack on which the decoder itself could not recurse."""
    seen: list[str] = []

    def read() -> None:
        try:
            read_document(text)
        except ValueError as error:
            seen.append(str(error))

    limit = sys.getrecursionlimit()
    size = threading.stack_size(256 << 10)
    sys.setrecursionlimit(100_000)
    try:
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(size)
    assert len(seen) == 1


_BODY = 8 << 20


def _seconds(text: bytes) -> float:
    start = time.process_time()
    with suppress(ValueError):
        read_document(text)
    return time.process_time() - start


@pytest.mark.parametrize("head", [b'{"a":' + b"[" * 65, b"{" + b":" * 2001, b'{"a":['])
def test_a_text_without_an_end_takes_linear_time(head: bytes) -> None:
    """An unclosed text of escaped quotes is read once, not once more from each quote."""
    assert _seconds(head + b'"' + b'\\"' * 30_000) < 1.0


_PIECES = st.sampled_from(
    ['"', '\\"', "\\", "\\\\", "[", "]", "{", "}", ":", ",", '"a":', '"",', " ", "0", "1e5",
     "é", "\n"]
)  # fmt: skip
_RUNS = st.lists(_PIECES, min_size=1, max_size=5).map("".join)


@given(st.lists(_RUNS, max_size=2).map("".join), st.integers(0, 3000), _RUNS)
@settings(deadline=None)
def test_repeated_pieces_take_linear_time(head: str, count: int, piece: str) -> None:
    """Whatever is repeated after whatever start, 64 KiB take no time that could be a square."""
    text = (head * count + piece * (1 << 16))[: 1 << 16]
    assert _seconds(text.encode()) < 1.0


_WORST = {
    "quotes": b'"' * _BODY,
    "quotes in a text": b'{"a":' + b"[" * 65 + b'"' + b'\\"' * (_BODY // 2 - 40),
    "backslashes": b'{"a":' + b"[" * 65 + b'"' + b"\\" * (_BODY - 80),
    "colons": b":" * _BODY,
    "pairs": (b"[" * 63 + b"]" * 63) * (_BODY // 126),
    "objects": b'{"a":[' + b'{"":1},' * 1_190_000 + b"1]}",
    "escaped keys": b'{"a":[' + b'{"\\n":1},' * 900_000 + b"1]}",
    "most values": b'{"a":[' + b"[]," * (MAX_VALUES // 2 - 9) + b"1]}",
    "most keys": b'{"a":0' + b"".join(b',"%012x":0' % at for at in range(MAX_VALUES // 2)) + b"}",
    "numbers": b'{"a":[' + b"0.1234567890123," * 500_000 + b"1]}",
    "digits": b'{"a":' + b"1" * (_BODY - 30) + b".5e-8000000}",
}  # fmt: skip


@pytest.mark.parametrize("name", _WORST)
def test_no_body_takes_two_seconds(name: str) -> None:
    """The largest body that a frame may have is read or refused within a second or so."""
    text = _WORST[name]
    assert len(text) <= _BODY
    assert _seconds(text) < 2.0


def test_a_text_without_an_end_is_refused_with_that_reason() -> None:
    """A quote too many, and a NUL, which no writer leaves as it is, are refused."""
    for text, reason in ((b'{"a":["' + b"," * 100, "no end"), (b'["\0"' + b"," * 100, "control")):
        with pytest.raises(ValueError, match=reason):
            read_document(text)


def test_no_document_holds_more_values_than_are_allowed() -> None:
    """The reader refuses one value too many, and the writer, so that no honest child sends it."""
    value: dict[str, documents.Json] = {"a": [0] * (MAX_VALUES - 2)}
    assert read_document(write_document(value)) == value
    text = json.dumps({"a": [0] * MAX_VALUES}).encode()
    with pytest.raises(ValueError, match="values"):
        read_document(text)
    with pytest.raises(ValueError, match="values"):
        write_document({"a": [0] * MAX_VALUES})


def test_the_writer_keeps_to_the_depth() -> None:
    """What the reader would take for an attack never leaves an honest writer."""
    deep: documents.Json = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    with pytest.raises(ValueError, match="deeper"):
        write_document({"a": deep})


def test_brackets_in_texts_do_not_count() -> None:
    """Brackets inside strings, after escaped quotes too, are no nesting."""
    value = {"a": '\\"[[{' * 1000, "b": ["[" * 500] * (MAX_DEPTH + 1)}
    assert read_document(json.dumps(value).encode()) == value


def test_a_document_of_the_largest_depth_is_read() -> None:
    """The deepest document that is allowed is allowed."""
    text = b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert list(read_document(text)) == ["a"]


def test_keys_that_share_a_hash_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys made to collide are refused before a dict of them is built."""
    # Texts that really collide take the attacker's knowledge of the secret; so hash() is narrowed.
    monkeypatch.setattr(documents, "hash", len, raising=False)
    keys = {f"{at:04}": at for at in range(3000)}
    with pytest.raises(ValueError, match="equal hashes"):
        read_document(json.dumps(keys).encode())


def test_many_keys_that_repeat_are_read() -> None:
    """Records, which repeat their keys ten thousand times, and escaped keys are fine."""
    value = {"rows": [{"a\\": 1, 'b":': "x:y", "c": None, '\\"é\U0001f600': 1}] * 10_000}
    assert read_document(json.dumps(value).encode()) == value


def test_write_refuses_what_is_no_json() -> None:
    """The writer neither guesses nor writes NaN."""
    with pytest.raises(ValueError, match=r"\w"):
        write_document({"a": float("nan")})
    with pytest.raises(TypeError):
        write_document({"a": object()})  # type: ignore[dict-item]
