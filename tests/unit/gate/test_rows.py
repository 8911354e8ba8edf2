"""Text on a terminal: bars below each other are drawn, and nothing above a cell is."""

from __future__ import annotations

import io
import re

from hypothesis import given
from hypothesis import strategies as st

from kavach_ipy.gate.rows import Rows
from kavach_ipy.gate.text import TextFilter

_PIECES = st.sampled_from(
    ["\x1b[A", "\x1b[2A", "\x1b[99A", "\x1b[0A", "\x1b[K", "\x1b[2K", "\n", "\r", "a", "\x1b", "[",
     "A", "\x1b[1;1A", "\x1b[H", "\x1b[2J", "\x1b[B", "\x1b[31m", "\x1b]0;x\x07", "\x9b3A", "é"]
)  # fmt: skip
_MOVES = re.compile(r"\n|\x1b\[(\d*)A")
_GRAMMAR = re.compile(
    r"(?:[^\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f]|\x1b\[(?:[0-9;:]*m|[0-2]?K|\d+A))*"
)


def shown(*pieces: str) -> str:
    """Return what a terminal is told of pieces of one stream."""
    stream = TextFilter(Rows())
    return "".join(map(stream.feed, pieces)) + stream.finish()


def test_bars_below_each_other_are_drawn() -> None:
    """What tqdm writes for a second bar passes as it is."""
    text = "outer\n\rinner\x1b[A\router 2\n\r\x1b[Kinner 2\x1b[A\r"
    assert shown(text) == text.replace("\x1b[A", "\x1b[1A")
    assert "\x1b[A" not in TextFilter().feed(text)


def test_bars_of_tqdm_pass() -> None:
    """Three bars, nested, end where tqdm ends them."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    file = io.StringIO()
    for _ in tqdm(range(2), file=file, mininterval=0):
        for _ in tqdm(range(2), file=file, mininterval=0, leave=False):
            for _ in tqdm(range(2), file=file, mininterval=0, leave=False):
                pass
    said = file.getvalue()
    assert "\x1b[A\x1b[A" in said
    assert shown(said) == said.replace("\x1b[A", "\x1b[1A")


@given(st.lists(_PIECES, max_size=60))
def test_no_text_goes_above_the_first_row(pieces: list[str]) -> None:
    """Whatever the chunks, and only sequences that a terminal is meant to have."""
    told = shown(*pieces)
    assert _GRAMMAR.fullmatch(told)
    row = 0
    for move in _MOVES.finditer(told):
        row += 1 if move[0] == "\n" else -int(move[1])
        assert row >= 0
    assert told == shown("".join(pieces))


def test_rows_are_counted_over_both_streams() -> None:
    """A bar on stderr does not go above what stdout has printed before the cell."""
    rows = Rows()
    out, err = TextFilter(rows), TextFilter(rows)
    assert err.feed("\x1b[2A") == ""
    assert out.feed("one\ntwo\n") == "one\ntwo\n"
    assert err.feed("\x1b[3A") == "\x1b[2A"
    assert out.feed("\x1b[A") == ""


def test_what_others_print_stands_below_and_is_out_of_reach() -> None:
    """A line of the sandbox's own is neither written over nor written into."""
    rows = Rows()
    stream = TextFilter(rows)
    stream.feed("one\ntwo\nthree\n\x1b[2A")
    assert rows.settle() == "\n\n"
    assert rows.settle() == ""
    assert stream.feed("\x1b[A") == ""
