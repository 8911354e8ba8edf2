"""The stream filter: its output has one grammar, wherever the input is cut."""

from __future__ import annotations

import re
from unicodedata import combining

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kavach_ipy.gate.text import TextFilter, clean_prompt, clean_text
from tests.unit.gate.pace import cpu_seconds

_ALLOWED = re.compile(
    r"(?:\x1b\[[0-9;:]*m|[\t\n\r\x08\x20-\x7e\xa0-\u2029\u202f-\u2065\u206a-\ud7ff"
    r"\ue000-\U0010ffff])*"
)
_PIECES = st.sampled_from(
    ["a", "é", "\n", "\x08", "\x1b", "\x1b[", "\x1b[31m", "\x1b[0;1m", "\x1b]0;t\x07", "\x1b]8;;x",
     "\x1b\\", "\x1bP", "\x9b", "\x9d", "\x9c", "\x07", "\x00", "3", ";", "m", "H", "(", "?", " ",
     "\u202e", "\u2069", "\ud800", "\U0001f600", "\x7f", "\x1b_G", "\x1b[>4;2m", "\x1b#8", "\x85"]
)  # fmt: skip
_texts = st.lists(_PIECES, max_size=30).map("".join) | st.text(
    st.characters(codec=None), max_size=60
)


def _whole(text: str) -> str:
    stream = TextFilter()
    return stream.feed(text) + stream.finish()


@given(_texts)
@settings(max_examples=1000)
def test_output_has_the_grammar_and_is_a_fixed_point(text: str) -> None:
    """Whatever goes in, printables, a few controls and colours come out; twice changes nothing."""
    out = _whole(text)
    assert _ALLOWED.fullmatch(out)
    assert _whole(out) == out


@given(_texts)
@settings(max_examples=500)
def test_every_split_point_gives_the_same(text: str) -> None:
    """A stream cut in two, anywhere, and one cut into single characters, say the same."""
    whole = _whole(text)
    for at in range(len(text) + 1):
        stream = TextFilter()
        assert stream.feed(text[:at]) + stream.feed(text[at:]) + stream.finish() == whole
    stream = TextFilter()
    assert "".join(map(stream.feed, text)) + stream.finish() == whole


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_text_is_untouched(text: str) -> None:
    """Printable text, tabs, newlines and carriage returns pass as they are."""
    assert _whole(f"{text}\t\r\n\x08") == f"{text}\t\r\n\x08"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[38;2;1;2;3mx\x1b[4:3m", "\x1b[38;2;1;2;3mx\x1b[4:3m"),
        ("a\x1b[2J\x1b[Hb", "ab"),
        ("a\x1b[?1049hb\x1b[6nc", "abc"),
        ("a\x1b[>4;2mb", "ab"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]52;c;aGk=\x1b\\b", "ab"),
        ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
        ("a\x1bPq#0\x1b\\b\x1b_Gx\x1b\\c\x1b^p\x9cd", "abcd"),
        ("a\x9b31mb\x9d0;t\x9cc\x85d", "abcd"),
        ("a\x1bcb\x1b(0c\x1b#8d", "abcd"),
        ("a\x00\x07\x0b\x0c\x0e\x7fb", "ab"),
        ("a\ud800b\udfff", "ab"),
        ("abc\u202edef\u202c", "abc[U+202E]def[U+202C]"),
        ("\x1b", ""),
        ("\x1b[", ""),
        ("a\x1b[31", "a"),
        ("\x1b\x1b[31mx", "\x1b[31mx"),
        ("\x1b[" + "1" * 70 + "mx", "111111mx"),
    ],
)
def test_known_sequences(text: str, shown: str) -> None:
    """Colours stay; titles, clipboards, links, images, cursors, modes and reordering do not act."""
    assert _whole(text) == shown


def test_an_unended_string_does_not_swallow_the_rest() -> None:
    """A sequence without an end is removed up to a bound; what follows is shown, and soon."""
    out = _whole("\x1b]0;" + "x" * 4096 + "y" * 100)
    assert out.endswith("y" * 100)
    stream = TextFilter()
    assert stream.feed("\x1b]0;title") == ""
    assert stream.feed("\nnext\n") == "\nnext\n"


def test_text_streams_fast() -> None:
    """Plain text passes at memory speed, and a sequence held back costs nothing like its square."""
    text = "one line of plain output, as a cell prints it\n" * 200_000
    assert TextFilter().feed(text) is text
    assert cpu_seconds(lambda: TextFilter().feed(text), len(text) / 50e6) < len(text) / 50e6

    def hold_back() -> None:
        stream = TextFilter()
        for _ in range(20_000):
            stream.feed("\x1b]x")

    assert cpu_seconds(hold_back, 2.0) < 2.0


_SLOW = [
    "\x7f",
    "a\x7f",
    "\x1b",
    "a\x1b",
    "\x1b[m",
    "a\x1b[J",
    "a\x1b]",
    "\x9b",
    "a\x85",
    "\u202e",
    "a\u2066",
]


@pytest.mark.parametrize("piece", _SLOW)
def test_eight_megabytes_of_controls_take_seconds_at_most(piece: str) -> None:
    """The longest message of what must be removed or marked takes a second or two to filter."""
    size = 8 << 20
    text = piece * (size // len(piece.encode()))
    assert cpu_seconds(lambda: _whole(text), 3.0) < 3.0


def test_clean_text_cuts_and_says_so() -> None:
    """A long text is cut at its limit; a short one is not."""
    assert clean_text("abc", 3) == "abc"
    assert clean_text("abcd", 3) == "abc…"
    assert clean_text("ab\x1b[31m", 4) == "ab…"


@given(_texts, st.integers(0, 40))
def test_what_is_marked_counts_towards_the_limit(text: str, limit: int) -> None:
    """However the text is cut, it keeps the grammar and the size, and an ellipsis says so."""
    out = clean_text(text, limit)
    assert _ALLOWED.fullmatch(out)
    assert len(out) <= limit + 1
    if len(out) > limit or len(text) > limit:
        assert out.endswith("…")
    assert len(clean_text("\u202e" * 1000, 1000)) == 1001
    assert clean_text("\u202e\x1b[31m", 10) == "[U+202E]…"


@given(_texts | st.text(max_size=400))
def test_a_prompt_cannot_leave_its_place(text: str) -> None:
    """A prompt is one line of bounded length that neither moves back nor acts on a terminal."""
    out = clean_prompt(text)
    assert len(out) <= 200
    assert out.isprintable()
    assert not out or not combining(out[0])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Name: ", "Name: "),
        ("\r\x08\x08Notebook password: \n", " Notebook password: "),
        ("\x1b[1mbold\x1b[0m\x1b[2K\x1b[1G", "bold"),
        ("a\u2028b\u200bc", "a b c"),
        ("\u0338x", " \u0338x"),
        ("x" * 300, "x" * 199 + "…"),
        ("", ""),
    ],
)
def test_known_prompts(text: str, shown: str) -> None:
    """Prompts are shown as they are, less what would move them over the kernel's own mark."""
    assert clean_prompt(text) == shown
