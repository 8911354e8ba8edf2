"""JSON on the wire: strict, shallow, and read in linear time."""

from __future__ import annotations

import json
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kavach_ipy.wire import documents
from kavach_ipy.wire.documents import MAX_DEPTH, read_document, write_document


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
    value = {"rows": [{"a\\": 1, 'b":': "x:y", "c": None}] * 10_000}
    assert read_document(json.dumps(value).encode()) == value


def test_write_refuses_what_is_no_json() -> None:
    """The writer neither guesses nor writes NaN."""
    with pytest.raises(ValueError, match=r"\w"):
        write_document({"a": float("nan")})
    with pytest.raises(TypeError):
        write_document({"a": object()})  # type: ignore[dict-item]
