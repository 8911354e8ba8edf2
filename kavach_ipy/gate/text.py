"""The stream filter: what a terminal or a page may be told by text of the cell's.

Kept: printable characters, newline, tab, carriage return, backspace, and SGR, the escape sequence
that sets colours (ECMA-48, 8.3.117). Marked: the controls that reorder text (Unicode TR 9).
Removed: every other control, escape sequence and lone surrogate. On a terminal that counts rows,
sequences that erase within a line (EL) or go up within the cell's own rows (CUU) are kept as well.

Guarantees: the output has that grammar, wherever the input is cut into chunks, and is the same as
for the whole; at most `_LONGEST` characters are held back; a character takes a tenth of a
microsecond at most.
Assumes: nothing.
"""

from __future__ import annotations

import re
from typing import Final
from unicodedata import combining

from kavach_ipy.gate.rows import Rows

__all__ = ["TextFilter", "clean_line", "clean_prompt", "clean_text", "mark_bidi", "without_colours"]

# An unended command string (OSC, DCS, …) must not swallow the rest of the output.
_LONGEST: Final = 4096
_PROMPT: Final = 200
# What remains of bytes without these is odd; of ASCII that takes a fifth of the pattern's time.
_EVEN: Final = b"\b\t\n\r" + bytes(range(0x20, 0x7F))
_BIDI: Final = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f"
_ODDITIES: Final = rf"\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff{_BIDI}"
_ODD: Final = re.compile(rf"[{_ODDITIES}]")
# Text that is odd for its colours alone. The pattern's stack grows with what it repeats.
_COLOURED: Final = re.compile(rf"(?:[^{_ODDITIES}]++|\x1b\[[0-9;:]{{0,64}}+m){{1,1000}}")

# ECMA-48: CSI has parameters, intermediates and one final; a command string runs to ST (or BEL).
_CSI: Final = r"(?:\x1b\[|\x9b)[0-?]{0,64}+[ -/]{0,8}+"
_STRING: Final = rf"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^{_CONTROLS}]{{0,{_LONGEST}}}+"
# Several in a row are one match: what a match costs in Python is many times what it costs in C.
# An atomic group, not a possessive one: Python before 3.11.5 leaves the position advanced where the
# body of a repeated possessive group fails half-way (gh-106052).
_PATTERN: Final = (
    rf"(?>(?:(?!KEPT)(?:{_CSI}[@-~]?+"
    rf"|{_STRING}(?:\x1b\\|\x9c|\x07)?+"
    r"|\x1b[ -/]{0,4}+[0-~]?+))+)"
)
_SGR: Final = r"\x1b\[[0-9;:]{0,64}m"
_SEQUENCES: Final = re.compile(_PATTERN.replace("KEPT", _SGR))
_SEQUENCES_ON_ROWS: Final = re.compile(
    _PATTERN.replace("KEPT", rf"{_SGR}|\x1b\[[0-2]?K|\x1b\[[0-9]{{0,3}}A")
)
_REMOVED: Final = re.compile(r"[\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\ud800-\udfff]++")
_BLANKS: Final = re.compile(" {2,}")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;:]*m")
_PARTIAL: Final = re.compile(rf"(?:{_CSI}|{_STRING}\x1b?+|\x1b[ -/]{{0,4}}+)\Z")


class TextFilter:
    """Filters one stream, chunk by chunk.

    Args:
        rows: those of the terminal that the stream goes to, with all others of its cell.
    """

    __slots__ = ("_held", "_rows")

    def __init__(self, rows: Rows | None = None) -> None:
        self._held = ""
        self._rows = rows

    def feed(self, text: str) -> str:
        """Return what may be shown of the next chunk; the start of a sequence is held back."""
        if not self._held and not _is_odd(text):
            return text if self._rows is None else self._rows.write(text)
        text = self._held + text
        # No sequence is longer than this, and none starts inside another.
        partial = _PARTIAL.search(text, max(0, len(text) - _LONGEST - 8))
        end = len(text) if partial is None else partial.start()
        self._held = text[end:]
        return self._filtered(text[:end])

    def finish(self) -> str:
        """End the stream: return what is left, without the sequence that was cut off."""
        text, self._held = self._held, ""
        return self._filtered(text)

    def _filtered(self, text: str) -> str:
        if self._rows is None:
            return _filtered(text)
        return self._rows.write(_filtered(text, _SEQUENCES_ON_ROWS))


def clean_text(text: str, limit: int) -> str:
    """Filter a whole text; where more than `limit` characters go in or come out, it is cut.

    An ellipsis after them says so.
    """
    whole = text if len(text) <= limit else text[:limit]
    if not _is_odd(whole):
        cleaned = whole
    else:
        cleaned = _filtered(whole)
        if len(cleaned) > limit:
            # A marked control is eight times as long. The cut may leave half a colour.
            return f"{_filtered(cleaned[:limit])}…"
    return cleaned if len(text) <= limit else f"{cleaned}…"


def clean_line(text: str, limit: int) -> str:
    """Filter a text that must stay on its line; colours have no place there either."""
    kept = without_colours(clean_text(text, limit))
    return "".join(mark if mark.isprintable() else " " for mark in kept)


def clean_prompt(text: str) -> str:
    """Filter what `input()` asks: one line of 200 characters, that overwrites nothing before it.

    The kernel puts a mark of its own in front, which says that a sandboxed cell asks.
    """
    # Blanks would move what follows to a place where it seems to stand alone.
    line = _BLANKS.sub(" ", clean_line(text, _PROMPT - 1))
    # A combining character would be drawn over the last one of the mark.
    return f" {line}"[:_PROMPT] if line and combining(line[0]) else line


def without_colours(text: str) -> str:
    """Return a filtered text without its colours, the only sequences in it."""
    return _COLOUR.sub("", text)


def _is_odd(text: str) -> bool:
    """Tell whether anything in a text is not to be shown as it is."""
    if text.isascii():
        return bool(text.encode("ascii").translate(None, _EVEN))
    return _ODD.search(text) is not None


def _filtered(text: str, sequences: re.Pattern[str] = _SEQUENCES) -> str:
    # Up to there nothing but a colour begins with a control, and no sequence is cut in two.
    at = 0
    while found := _COLOURED.match(text, at):
        at = found.end()
    if at == len(text):
        return text
    rest = text[at:] if at else text
    return text[:at] + mark_bidi(_REMOVED.sub("", sequences.sub("", rest)))


def mark_bidi(text: str) -> str:
    """Replace each control that reorders text by its number, which shows that it is there."""
    if text.isascii():
        return text
    for mark in _BIDI:
        # A call for each that is there; a pattern would make one for each place.
        text = text.replace(mark, f"[U+{ord(mark):04X}]")
    return text
