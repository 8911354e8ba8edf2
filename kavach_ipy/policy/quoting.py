"""Texts in quotes, inside a sentence.

Guarantees: what `quoted` writes is printable, on one line, and `read_quoted` gives it back.
Assumes: the texts may hold anything: quotes, new lines, escape codes, marks that turn the writing
direction, surrogates that stand for bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from kavach_ipy.errors import PolicyError

__all__ = ["quoted", "read_quoted"]

_QUOTED: Final = r'"((?:[^"\\]|\\["\\]|\\u[0-9a-f]{4}|\\U[0-9a-f]{8})*)"'
_ESCAPE: Final = r'\\(?:(["\\])|u([0-9a-f]{4})|U([0-9a-f]{8}))'
_BMP_END: Final = 0xFFFF


def quoted(texts: Iterable[str]) -> str:
    """Return ``texts`` in double quotes, joined by a comma and a blank; always printable."""
    return ", ".join(f'"{"".join(map(_escaped, text))}"' for text in texts)


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    # Also the surrogates that stand for bytes that are no UTF-8: they cannot be printed at all.
    code = ord(character)
    return f"\\u{code:04x}" if code <= _BMP_END else f"\\U{code:08x}"


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        return match[1]
    try:
        return chr(int(match[2] or match[3], 16))
    except (ValueError, OverflowError):
        raise PolicyError("sentences", match[0], "an escape names a character of Unicode") from None


def read_quoted(text: str) -> tuple[str, ...]:
    """Return the texts that `quoted` joined.

    Raises:
        PolicyError: not quoted texts joined by a comma and a blank.
    """
    paths: list[str] = []
    position = 0
    while match := re.match(_QUOTED, text[position:]):
        paths.append(re.sub(_ESCAPE, _unescaped, match[1]))
        position += match.end()
        if position == len(text):
            return tuple(paths)
        if not text.startswith(", ", position):
            break
        position += len(", ")
    raise PolicyError("sentences", text, 'paths in double quotes are, such as "/data", "/srv/a b"')
