"""Values, failures and the outcome: what stands in the notebook when a cell is over."""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import math
import re
import socket
import threading
import weakref
from collections.abc import Iterator
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kavach_ipy.errors import CellFailed, CellStopped, OutputWithheld, ProtocolError
from kavach_ipy.gate.failures import failure_from
from kavach_ipy.gate.outcome import Outcome
from kavach_ipy.gate.values import read_value
from kavach_ipy.gate.withheld import Withheld, withheld
from kavach_ipy.wire.arena import Arena, ArenaWriter
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.frames import Frame, FrameLimits, Kind
from kavach_ipy.wire.messages import Done, Failure
from kavach_ipy.wire.value_frames import MAX_PARTS, Carried, unsent_frame, value_frame
from kavach_ipy.wire.values import encode_value
from tests.unit.gate.forging import program
from tests.unit.gate.pace import cpu_seconds

_ASKED = frozenset({"x"})


class _Colour(Enum):
    RED = 1


class _Number(IntEnum):
    ONE = 1


class _Dict(dict[str, int]):
    pass


class _Frame(pd.DataFrame):  # type: ignore[misc]  # pandas ships no types.
    @property
    def _constructor(self) -> Any:
        return _Frame


class Figure:
    """Looks like matplotlib's, as far as names go."""


Figure.__module__ = "matplotlib.figure"
Figure.__name__ = "Artist"
_socket = socket.socket(socket.AF_UNIX)
_socket.close()


class _Rude:
    def __repr__(self) -> str:
        raise SystemExit

    def __reduce__(self) -> str:
        raise ValueError("\x1b[2Jrude")


def _numbers() -> Iterator[int]:
    yield 1


def _back(value: object, **options: Any) -> object:
    name, back = read_value(encode_value("x", value, None, **options), None, _ASKED)
    assert name == "x"
    return back


def test_values_come_back_in_the_frame() -> None:
    """Without an arena, buffers travel in the frame, and arrays may be written to."""
    back = _back({"a": np.arange(100_000), "b": 1})
    assert isinstance(back, dict)
    assert back["a"].sum() == sum(range(100_000))
    back["a"][0] = 5


def test_values_come_back_by_the_arena() -> None:
    """With an arena, the pickle and every big buffer travel there."""
    value = {"a": np.arange(100_000), "text": "x" * 100_000}
    with Arena.create(1 << 22) as arena:
        frame = encode_value("x", value, ArenaWriter(arena.fd, arena.limit))
        assert not frame.buffers
        with arena.seal() as sealed:
            _, back = read_value(frame, sealed, _ASKED)
    assert isinstance(back, dict)
    assert back["text"] == value["text"]
    assert (back["a"] == value["a"]).all()


def test_a_full_arena_withholds_and_is_used_again() -> None:
    """A value that does not fit is withheld with numbers, and leaves its room to the next."""
    with Arena.create(1 << 20) as arena:
        writer = ArenaWriter(arena.fd, arena.limit)
        frame = encode_value("x", [np.zeros(100_000), np.zeros(100_000)], writer)
        assert frame.kind is Kind.UNSENT
        assert "800000 bytes" in str(frame.body["reason"])
        assert encode_value("x", np.zeros(100_000), writer).kind is Kind.VALUE


def test_a_value_beyond_the_frame_s_limits_is_withheld() -> None:
    """The child never sends a frame that the parent would take for an attack."""
    back = _back(np.zeros(100_000), limits=FrameLimits(buffer=1000))
    assert isinstance(back, Withheld)
    assert "too large" in back.reason


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        (lambda: 1, "function", "lambda"),
        (_numbers, "function", "code is never"),
        (len, "builtin_function_or_method", "code is never"),
        (int, "type", "code is never"),
        (math, "module", "module"),
        (_numbers(), "generator", "running code"),
        (ValueError("x"), "ValueError", "text only"),
        (io.StringIO(), "StringIO", "open file"),
        (threading.Lock(), "lock", "lock or a thread"),
        (asyncio.Lock(), "Lock", "not a listed type"),
        (concurrent.futures.Future(), "Future", "under way"),
        (_socket, "socket", "connection"),
        (weakref.ref(_Rude), "ReferenceType", "weak"),
        (re.compile("a"), "Pattern", "code"),
        (iter([1]), "list_iterator", "half-way"),
        (Figure(), "Figure", "figure is shown"),
        (_Colour.RED, "_Colour", "Enum"),
        (_Number.ONE, "_Number", "Enum"),
        (_Dict(a=1), "_Dict", "subclass"),
        (_Frame({"a": [1]}), "_Frame", "not a listed type"),
        (np.ma.masked_array([(1,)], dtype=[("a", "i4")]), "MaskedArray", "structures"),
        (np.dtype("i4"), "Int32DType", "listed"),
        (np.zeros(1, [("a", "O")]), "ndarray", "dtype"),
        (np.zeros(1, "g"), "ndarray", "dtype"),
        (pd.DataFrame({"a": pd.array([1, 0], "Sparse[int]")}), "DataFrame", "listed"),
        (object(), "object", "not a listed type"),
        (..., "ellipsis", "not a listed type"),
        (memoryview(b"x"), "memoryview", "view of memory"),
    ],
)
def test_what_stays_outside_says_why(value: object, kind: str, reason: str) -> None:
    """Every kind of thing that does not come back says what it is, why, and shows its repr."""
    for whole in (value, {"inside": [value]}):
        back = _back(whole)
        assert isinstance(back, Withheld)
        assert reason in back.reason
        if whole is value:
            # Libraries move their classes from module to module.
            assert back.kind.rpartition(".")[2] == kind
            assert back.shown
        else:
            assert back.kind == "dict"
            assert "it holds a" in back.reason or isinstance(value, pd.DataFrame | np.ndarray)


def test_attrs_and_flags_are_not_lost_silently() -> None:
    """What a frame carries beside its data and no tag can say is a reason to withhold it."""
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["unit"] = "kg"
    assert "attrs" in str(_back(frame))
    assert "duplicate" in str(
        _back(pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False))
    )


def test_a_repr_that_raises_is_survived() -> None:
    """A hostile repr and a hostile reduction end in text."""
    back = _back(_Rude())
    assert isinstance(back, Withheld)
    assert "SystemExit" in back.shown


def test_deep_values_are_withheld_by_the_child() -> None:
    """A value too deep to be pickled is withheld, with that reason."""
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    back = _back(value)
    assert isinstance(back, Withheld)
    assert "deep" in back.reason


def test_names_that_nobody_asked_for_break_the_wire() -> None:
    """Neither a value nor a reason comes out under a name that the user did not write."""
    for name in ("y", "get_ipython", "_", "In", "__builtins__", "x "):
        for frame in (encode_value(name, 1, None), unsent_frame(name, "int", "r")):
            with pytest.raises(ProtocolError, match="asked"):
                read_value(frame, None, _ASKED)


def test_broken_pickles_are_withheld_and_broken_frames_break_the_wire() -> None:
    """Hostile bytes inside a frame cost the value; a hostile frame costs the sandbox."""
    _, back = read_value(value_frame(Carried("x", "\x07int", (b"junk",))), None, _ASKED)
    assert back == Withheld("x", "int", "its pickle is not of protocol 5")
    body: dict[str, Json] = {"name": "x", "kind": "int", "parts": [[0, 5]]}
    for frame in (Frame(Kind.VALUE, body), Frame(Kind.GO), Frame(Kind.VALUE, {"name": "x"})):
        with pytest.raises(ProtocolError):
            read_value(frame, None, _ASKED)


def test_spans_used_twice_break_the_wire() -> None:
    """Two buffers over one span of the arena are refused, as one could change the other."""
    with Arena.create(1 << 20) as arena:
        ArenaWriter(arena.fd, arena.limit).put(bytes(8192))
        body: dict[str, Json] = {"name": "x", "kind": "a", "parts": [None, [0, 8], [0, 8]]}
        with arena.seal() as sealed, pytest.raises(ProtocolError, match="overlap"):
            read_value(Frame(Kind.VALUE, body, (program(b"N"),)), sealed, _ASKED)


def test_the_number_of_parts_is_bounded_at_both_ends() -> None:
    """A value of a million parts is an attack to the reader, and too large to the writer."""
    body: dict[str, Json] = {"name": "x", "kind": "a", "parts": [[0, 0]] * (MAX_PARTS + 1)}
    with pytest.raises(ProtocolError, match="parts"):
        read_value(Frame(Kind.VALUE, body), None, _ASKED)
    with Arena.create(1 << 29) as arena:
        many = [np.zeros(1) for _ in range(MAX_PARTS)]
        frame = encode_value("x", many, ArenaWriter(arena.fd, arena.limit), inline_limit=1)
    assert frame.kind is Kind.UNSENT
    assert "too large" in str(frame.body["reason"])


def test_withheld_is_text_and_escaped() -> None:
    """What the child says of a value cannot act on a terminal or in a page."""
    made = withheld("x", "<b>\x1b[31mk", "r\nr", "do\x07 it", "<script>\x1b]0;t\x07alert\n2")
    assert repr(made) == "<withheld: x (<b>k): r r; do it>\n<script>alert\n2"
    page = made._repr_html_()
    assert "<script>" not in page
    assert "<b>k" not in page
    assert "&lt;script&gt;" in page
    error = made.error()
    assert isinstance(error, OutputWithheld)
    assert str(error) == "x (<b>k): r r; do it"
    assert len(repr(withheld("n" * 999, "k" * 999, "r" * 9999, "m" * 999, "s" * 99999))) < 6000


def test_failures_are_text_with_an_identifier_for_a_name() -> None:
    """A failure's name is an identifier, its texts are filtered and capped, notes are kept."""
    failure = Failure(
        "m.<locals>.MyError", "t\x1b[2J", ("l\x1b[31m1", "\x1b]0;x\x07l2"), ("n", "l2")
    )
    made = failure_from(Done(failure))
    assert made is not None
    assert (made.name, made.text) == ("MyError", "t")
    assert made.lines == ("l\x1b[31m1", "l2", "n")
    assert failure_from(Done()) is None
    for name in ("", "a b", "class", "é", "x" * 500 + "!", "__import__('os')", "\x1bE", "1"):
        odd = failure_from(Done(Failure(name, "", ("l",) * 5000)))
        assert odd is not None
        assert odd.name == "Exception"
        assert len(odd.lines) == 1001


def test_notes_are_added_where_no_line_is_theirs() -> None:
    """A note that stands in the traceback, coloured or indented, is not said twice."""
    lines = ("Traceback", "  \x1b[31mE: text\x1b[0m", "first\nsecond")
    notes = ("second", "E: text", "first\nsecond", "E", "third", "sec")
    made = failure_from(Done(Failure("E", "text", lines, notes)))
    assert made is not None
    assert made.lines == (*lines, "E", "third", "sec")


def test_failures_of_any_size_are_read_soon_and_stay_small() -> None:
    """Thousands of lines and notes that nearly match take neither seconds nor megabytes."""
    lines = ("a" * 6900,) * 1000
    notes = ("a" * 400 + "b" + "a" * 100,) * 1000
    done = Done(Failure("E", "x", lines, notes))
    assert cpu_seconds(lambda: failure_from(done), 1.0) < 1.0
    made = failure_from(done)
    assert made is not None
    assert sum(map(len, made.lines)) < 1_100_000
    assert f"… {1000 - made.lines.count(lines[0])} more lines" in made.lines
    many = failure_from(Done(Failure("E", "x", ("l",), tuple(map(str, range(1000))))))
    assert many is not None
    assert len(many.lines) == 51


def test_outcome_says_how_it_ended() -> None:
    """An outcome is short to read, and `check` raises what went wrong."""
    fine = Outcome(result=1, values={"x": 1}, seconds=0.5)
    assert fine.ok
    assert fine.check() is fine
    assert repr(fine) == "<Outcome ok, values: x, 0.500 s>"
    for failure in (CellFailed("E", "no"), CellStopped("timeout", "30 s")):
        bad = Outcome(failure=failure, withheld={"x": withheld("x", "int", "r")})
        assert not bad.ok
        assert "withheld: x" in repr(bad)
        with pytest.raises(type(failure)):
            bad.check()
    assert len(repr(Outcome(failure=CellFailed("E", "x" * 10_000)))) < 300
