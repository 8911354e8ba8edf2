"""JSON documents as the wire accepts them: strict, shallow, and read in linear time.

Guarantees: `read_document` returns plain objects or raises `ValueError` with one sentence; it never
recurses deeper than `MAX_DEPTH`, and the time it takes is linear in the length of the text.
Assumes: the text's length was capped by the caller.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import NoReturn, TypeAlias

__all__ = ["MAX_DEPTH", "Json", "read_document", "write_document"]

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

MAX_DEPTH = 64
_KEYS_WORTH_COUNTING = 2000
_EQUAL_HASHES = 16
_INT_DIGITS = 20
_STRING = re.compile(r'"(?>[^"\\]+|\\.)*+"', re.DOTALL)
_STRING_OR_KEY = re.compile(r'("(?>[^"\\]+|\\.)*+")(\s*+:)?+', re.DOTALL)
_BRACES = str.maketrans("{}", "[]")
_NOT_BRACKETS = re.compile(r"[^\[\]{}]+")


def read_document(text: bytes) -> dict[str, Json]:
    """Read one JSON object (RFC 8259) from UTF-8.

    Raises:
        ValueError: it is not an object, nests deeper than `MAX_DEPTH`, repeats a key, holds NaN, an
            infinity, or an integer outside -2**63 to 2**64 - 1, or is not UTF-8 or not JSON.
    """
    document = text.decode("utf-8")
    if document.count("[") + document.count("{") > MAX_DEPTH:
        _check_depth(document)
    if document.count(":") > _KEYS_WORTH_COUNTING:
        _check_hashes(document)
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
        ValueError: it holds NaN or an infinity, or contains itself.
        TypeError: it holds something that JSON cannot say.
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


def _check_depth(document: str) -> None:
    # json.loads recurses once for each level; so the brackets are counted before it is called.
    # Taking out the innermost pairs costs one pass a level, and every pass shortens the text.
    # A brace may count as a bracket here: how deep they are does not depend on which they are.
    brackets = _NOT_BRACKETS.sub("", _STRING.sub("", document)).translate(_BRACES)
    for _ in range(MAX_DEPTH):
        shorter = brackets.replace("[]", "")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    if brackets:
        raise ValueError(f"brackets are unbalanced or nest deeper than {MAX_DEPTH}")


def _check_hashes(document: str) -> None:
    # A forked child knows the secret of our string hash, so it can make keys that all collide; the
    # decoder's dicts (and its memo of keys) would then take quadratic time.
    # Only the hash, an int, is the key here: ints of different hashes cannot be made to collide.
    first: dict[int, str] = {}
    collisions = 0
    for match in _STRING_OR_KEY.finditer(document):
        token, colon = match.groups()
        if colon is None:
            continue
        key = json.loads(token) if "\\" in token else token[1:-1]
        if first.setdefault(hash(key), key) != key:
            collisions += 1
            if collisions > _EQUAL_HASHES:
                raise ValueError(f"more than {_EQUAL_HASHES} keys have equal hashes")


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
