"""JSON documents as the wire accepts them: strict, shallow, and read in linear time.

Guarantees: `read_document` returns plain objects or raises `ValueError` with one sentence; it never
recurses deeper than `MAX_DEPTH`; the time it takes is linear in the length of the text, about a
tenth of a microsecond a byte at most.
Assumes: the text's length was capped by the caller.
"""

from __future__ import annotations

import json
from array import array
from itertools import accumulate
from math import isfinite
from operator import ne
from typing import NoReturn, TypeAlias

__all__ = ["MAX_DEPTH", "MAX_VALUES", "Json", "read_document", "write_document"]

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

MAX_DEPTH = 64
MAX_VALUES = 1 << 19
"""Values of one document, keys and containers among them: half a second of decoding."""

_MARKS = "[{:,"
_LONG = 1000
_KEYS_WORTH_COUNTING = 2000
_EQUAL_HASHES = 16
_INT_DIGITS = 20
# To the depth, a brace is a bracket, and what is neither does not count.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_STEPS = bytes(set(range(256)) - set(b"[]{}"))


def read_document(text: bytes) -> dict[str, Json]:
    """Read one JSON object (RFC 8259) from UTF-8.

    Raises:
        ValueError: it is not an object, nests deeper than `MAX_DEPTH`, holds more than `MAX_VALUES`
            values, repeats a key, holds NaN, an infinity, or an integer outside -2**63 to
            2**64 - 1, or is not UTF-8 or not JSON.
    """
    document = text.decode("utf-8")
    _check_structure(document)
    value = json.loads(
        document,
        parse_int=_read_int,
        parse_float=_read_float,
        parse_constant=_refuse_constant,
        object_pairs_hook=_read_object,
    )
    if type(value) is not dict:
        raise ValueError(f"the document is a {type(value).__name__}; only an object is allowed")
    return value


def write_document(value: dict[str, Json]) -> bytes:
    """Write a JSON object in ASCII, without spaces.

    Raises:
        ValueError: it holds NaN or an infinity, contains itself, or is deeper or larger than
            `read_document` allows.
        TypeError: it holds something that JSON cannot say.
    """
    document = json.dumps(value, allow_nan=False, separators=(",", ":"))
    # Refused by the other end, it would be taken for an attack.
    _check_structure(document)
    return document.encode("ascii")


def _check_structure(document: str) -> None:
    # In a text these marks mean nothing, but where they are few they mean nothing anywhere.
    if _has_few_marks(document):
        return
    parts = _parts(document)
    outside = "".join(parts[::2])
    _check_depth(outside)
    # Each value but the first stands behind a mark.
    if sum(map(outside.count, _MARKS)) > MAX_VALUES:
        raise ValueError(f"it holds more than {MAX_VALUES} values")
    if outside.count(":") > _KEYS_WORTH_COUNTING:
        _check_hashes(parts)


def _has_few_marks(document: str) -> bool:
    """Tell whether at most `MAX_DEPTH` marks stand in a document.

    In a long text, str.find looks for one character with memchr(3), 50 times as fast as str.count.
    """
    if len(document) < _LONG:
        return sum(map(document.count, _MARKS)) <= MAX_DEPTH
    found = 0
    for mark in _MARKS:
        at = document.find(mark)
        while at >= 0:
            found += 1
            if found > MAX_DEPTH:
                return False
            at = document.find(mark, at + 1)
    return True


def _parts(document: str) -> list[str]:
    """Split a document at its quotes: what stands outside a text, the text's content, and so on.

    In the contents, NUL and a letter stand for two escapes; `_keys` turns them back.

    Raises:
        ValueError: a text has no end, or a NUL stands in the document.
    """
    # Three passes that each move forward only.
    # A regular expression for one text, tried at each quote, runs to the end of the document again
    # and again where the text has no end: 14 seconds for 60 KB.
    if "\0" in document:
        raise ValueError("a control character stands in it")
    parts = document.replace("\\\\", "\0b").replace('\\"', "\0q").split('"')
    if len(parts) % 2 == 0:
        raise ValueError("a text in it has no end")
    return parts


def _check_depth(outside: str) -> None:
    # json.loads recurses once for each level; so the brackets are counted before it is called.
    # It gives up at the first bracket of the wrong form, so their balance need not be checked.
    steps = array("b", outside.encode().translate(_STEPS, _NO_STEPS))
    if max(accumulate(steps), default=0) > MAX_DEPTH:
        raise ValueError(f"brackets nest deeper than {MAX_DEPTH}")


def _check_hashes(parts: list[str]) -> None:
    # A forked child knows the secret of our string hash, so it can make keys that all collide; the
    # decoder's dicts (and its memo of keys) would then take quadratic time.
    # Only the hash, an int, is the key here: ints of different hashes cannot be made to collide.
    keys = _keys(parts)
    hashes = list(map(hash, keys))
    last = dict(zip(hashes, keys, strict=True))
    if sum(map(ne, keys, map(last.__getitem__, hashes))) > _EQUAL_HASHES:
        raise ValueError(f"more than {_EQUAL_HASHES} keys have equal hashes")


def _keys(parts: list[str]) -> list[str]:
    keys = [
        text
        for text, after in zip(parts[1::2], parts[2::2], strict=True)
        if after.lstrip().startswith(":")
    ]
    # Decoded as one list of texts: no dict, and no step of Python's for each.
    joined = '","'.join(keys).replace("\0q", '\\"').replace("\0b", "\\\\")
    decoded: list[str] = json.loads(f'["{joined}"]')
    return decoded


def _read_object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("an object repeats a key")
    return made


def _read_int(digits: str) -> int:
    if len(digits) <= _INT_DIGITS and -(2**63) <= (number := int(digits)) < 2**64:
        return number
    raise ValueError(f"an integer of {len(digits)} digits does not fit into 64 bits")


def _read_float(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise ValueError("a number is too large for a double")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
