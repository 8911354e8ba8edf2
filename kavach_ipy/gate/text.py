"""The stream filter: what a terminal or a page may be told by text of the cell's.

Kept: printable characters, newline, tab, carriage return, backspace, and SGR, the escape sequence
that sets colours (ECMA-48, 8.3.117). Marked: the controls that reorder text (Unicode TR 9).
Removed: every other control, escape sequence and lone surrogate.

Guarantees: the output has that grammar, wherever the input is cut into chunks, and is the same as
for the whole; at most `_LONGEST` characters are held back.
Assumes: nothing.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["TextFilter", "clean_line", "clean_text"]

# An unended command string (OSC, DCS, …) must not swallow the rest of the output.
_LONGEST: Final = 4096
_BIDI: Final = "\u202a-\u202e\u2066-\u2069"
_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f"
_ODD: Final = re.compile(rf"[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff{_BIDI}]")

# ECMA-48: CSI has parameters, intermediates and one final; a command string runs to ST (or BEL).
_CSI: Final = r"(?:\x1b\[|\x9b)[0-?]{0,64}+[ -/]{0,8}+"
_STRING: Final = rf"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^{_CONTROLS}]{{0,{_LONGEST}}}+"
_TOKEN: Final = re.compile(
    rf"(?!\x1b\[[0-9;:]{{0,64}}m)(?:{_CSI}[@-~]?+"
    rf"|{_STRING}(?:\x1b\\|\x9c|\x07)?+"
    r"|\x1b[ -/]{0,4}+[0-~]?+"
    rf"|(?P<bidi>[{_BIDI}])"
    r"|[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff])"
)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;:]*m")
_PARTIAL: Final = re.compile(rf"(?:{_CSI}|{_STRING}\x1b?+|\x1b[ -/]{{0,4}}+)\Z")


class TextFilter:
    """Filters one stream, chunk by chunk."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what may be shown of the next chunk; the start of a sequence is held back."""
        if not self._held and _ODD.search(text) is None:
            return text
        text = self._held + text
        # No sequence is longer than this, and none starts inside another.
        partial = _PARTIAL.search(text, max(0, len(text) - _LONGEST - 8))
        end = len(text) if partial is None else partial.start()
        self._held = text[end:]
        return _TOKEN.sub(_replace, text[:end])

    def finish(self) -> str:
        """End the stream: return what is left, without the sequence that was cut off."""
        text, self._held = self._held, ""
        return _TOKEN.sub(_replace, text)


def clean_text(text: str, limit: int) -> str:
    """Filter a whole text, of which `limit` characters are looked at; an ellipsis says so."""
    whole = text if len(text) <= limit else text[:limit]
    cleaned = whole if _ODD.search(whole) is None else _TOKEN.sub(_replace, whole)
    return cleaned if len(text) <= limit else f"{cleaned}…"


def clean_line(text: str, limit: int) -> str:
    """Filter a text that must stay on its line; colours have no place there either."""
    kept = _COLOUR.sub("", clean_text(text, limit))
    return "".join(mark if mark.isprintable() else " " for mark in kept)


def _replace(match: re.Match[str]) -> str:
    return f"[U+{ord(match['bidi']):04X}]" if match["bidi"] else ""
