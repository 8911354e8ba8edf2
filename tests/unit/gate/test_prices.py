"""What a value costs the kernel, by the writer's account and by the reader's."""

from __future__ import annotations

import datetime as dt
import pickle
import sys
import tracemalloc
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate.allowance import Allowance
from kavach_ipy.gate.reader import RULES, read_pickle
from kavach_ipy.gate.values import read_value
from kavach_ipy.gate.withheld import Withheld
from kavach_ipy.wire import prices, tags
from kavach_ipy.wire.arena import Arena, ArenaWriter
from kavach_ipy.wire.metering import opcodes
from kavach_ipy.wire.prices import FACTOR, FLOOR, Account
from kavach_ipy.wire.value_frames import Carried, value_frame
from kavach_ipy.wire.values import encode_value, write_value
from tests.unit.gate.forging import Call, forge, paid, program, text
from tests.unit.gate.sameness import is_same

_MIB = 1 << 20
_RECORDS = [
    {"number": at, "part": at / 8, "text": f"text {at}", "none": None, "list": [at]}
    for at in range(8000)
]
_HONEST: dict[str, Any] = {
    "records": _RECORDS,
    "small lists": [[at, [at], [[]]] for at in range(6000)],
    "nothing": [None] * 250_000,
    "pairs": {at: (at, at) for at in range(12_000)},
    "equal hashes": {sign * at: None for at in range(8000) for sign in (1, -1)},
    "members": {at * 7 for at in range(20_000)},
    "sets": [{at} for at in range(12_000)],
    "frozen": [frozenset(range(at % 20)) for at in range(10_000)],
    "same lists": [one for one in [[at] for at in range(8000)] for _ in range(2)],
    "dates": [dt.date(2000, 1, 1) + dt.timedelta(at) for at in range(20_000)],
    "decimals": [Decimal(at) / 7 for at in range(10_000)],
    "bytes": [bytes(at % 300) for at in range(20_000)],
    "bytearrays": [bytearray(at % 300) for at in range(20_000)],
    "numbers": [3**at for at in range(5000)],
    "long text": "한글" * 400_000,
    "wide text": "x" * 1_000_000 + "\U0001f600",
    "texts": [f"text {at}" for at in range(200_000)],
    "texts with nothing": [None, *(f"é\0{at}" for at in range(100_000))],
    "series": [pd.Series([at, at + 1]) for at in range(1000)],
    "labels": pd.Series(range(50_000), index=[f"label {at}" for at in range(50_000)]),
    "arrays": [np.arange(at % 20) for at in range(5000)],
}


@pytest.mark.parametrize("name", _HONEST)
def test_honest_values_of_any_shape_pay_for_themselves(name: str) -> None:
    """Where a value would take more than it brings, its writer has sent what is lacking."""
    data, *buffers = write_value(_HONEST[name])
    allowance = Allowance(seconds=60)
    assert not isinstance(data, tuple)
    back = read_pickle(data, [memoryview(bytearray(part)) for part in buffers], allowance)
    assert is_same(_HONEST[name], back)
    account = allowance.account
    assert account.received == len(data) + sum(map(len, buffers))
    assert FLOOR < account.spent <= FACTOR * account.received
    # It is still a pickle.
    assert is_same(_HONEST[name], pickle.loads(data, buffers=buffers))


@pytest.mark.parametrize("name", _HONEST)
def test_a_price_is_not_below_what_is_taken(name: str) -> None:
    """What the account says was spent is no less than what Python took, at its worst moment."""
    data, *buffers = write_value(_HONEST[name])
    allowance = Allowance(seconds=600)
    views = [memoryview(part) for part in buffers if not isinstance(part, tuple)]
    raw = bytes(data)
    tracemalloc.start()
    try:
        back = read_pickle(raw, views, allowance)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    del back
    spent = allowance.account.spent - allowance.account.received
    assert taken <= spent
    # Nor many times as much: what it pays with is the cell's memory.
    assert spent < 12 * taken


def test_padding_is_memory_of_the_arena() -> None:
    """What pays really stands in the arena, and is read away by whoever reads the pickle."""
    with Arena.create(64 * _MIB) as arena:
        writer = ArenaWriter(arena.fd, arena.limit)
        frame = encode_value("x", _RECORDS, writer)
        places = frame.body["parts"]
        writer.finish()
        with arena.seal() as sealed:
            assert read_value(frame, sealed, frozenset({"x"})) == ("x", _RECORDS)
    assert isinstance(places, list)
    assert len(places) == 2
    small = encode_value("x", [1, 2], None)
    assert len(small.buffers) == 1


def test_a_pickle_that_does_not_pay_is_withheld() -> None:
    """The same bytes without their padding, or with half of it, are refused."""
    data, padding = write_value(_RECORDS)
    assert not isinstance(padding, tuple)
    assert read_pickle(data, [padding]) == _RECORDS  # type: ignore[arg-type]
    for less in (0, len(padding) // 2):
        with pytest.raises(OutputWithheld, match="memory budget"):
            read_pickle(data, [bytes(less)])  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [_MIB, 16])
@pytest.mark.parametrize(
    "unit", [b"]", b"}", b"\x8f", b"N\x85", b"N", b"C\x02xy", b"]Na", b"(N\x91", b"N\x94"]
)
def test_opcodes_that_make_much_do_not_pay(unit: bytes, count: int) -> None:
    """A mebibyte of them is withheld; a few of them are read."""
    data = program(b"(", unit * (count // len(unit)), b"t")
    if count == _MIB:
        with pytest.raises(OutputWithheld, match="memory budget"):
            read_pickle(data)
    else:
        assert isinstance(read_pickle(data), tuple)


@pytest.mark.parametrize("count", [40_000, 10])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("date", b"M\xe8\x07K\x01K\x01\x87"),
        ("path", b"\x8c\x04Path\x8c\xc8" + b"a/" * 100 + b"\x86"),
    ],
)
def test_tags_that_make_much_do_not_pay(name: str, arguments: bytes, count: int) -> None:
    """Their own price is taken, besides that of the opcodes."""
    head = text("kavach_ipy.wire.tags") + text(name) + b"\x93\x94" + arguments + b"\x94"
    data = program(b"(", head, b"h\x00h\x01R" * count, b"t")
    # Neither a tag nor its arguments are a value, so what can be paid is refused at the end.
    with pytest.raises(OutputWithheld, match="memory budget" if count > 10 else "what is none"):
        read_pickle(data, (), Allowance(seconds=60))


def test_values_of_one_cell_share_an_account() -> None:
    """A thousand small values come back together, and are allowed no more than one long one."""
    value: list[object] = [[] for _ in range(2000)]
    with Arena.create(64 * _MIB) as arena:
        writer = ArenaWriter(arena.fd, arena.limit)
        frames = [encode_value("x", value, writer) for _ in range(40)]
        writer.finish()
        allowance = Allowance(seconds=60)
        with arena.seal() as sealed:
            for frame in frames:
                assert read_value(frame, sealed, frozenset({"x"}), allowance) == ("x", value)
    assert allowance.account.spent <= FACTOR * allowance.account.received
    # Each of them alone would have been free.
    data = write_value(value)[0]
    allowance = Allowance(seconds=60)

    def read_all() -> None:
        for _ in range(40):
            read_pickle(data, (), allowance)  # type: ignore[arg-type]

    with pytest.raises(OutputWithheld, match="memory budget"):
        read_all()


def test_a_value_that_stays_takes_its_account_back() -> None:
    """What was written for a value that is then withheld is neither brought nor spent."""
    with Arena.create(64 * _MIB) as arena:
        writer = ArenaWriter(arena.fd, arena.limit)
        before = writer.state
        encode_value("x", [_RECORDS, np.zeros(_MIB), print], writer)
        assert writer.state == before


def test_what_a_value_brought_pays_for_those_after_it() -> None:
    """An array brings more than it takes, so small values beside it need no padding."""
    with Arena.create(64 * _MIB) as arena:
        writer = ArenaWriter(arena.fd, arena.limit)
        encode_value("big", np.zeros(4 * _MIB), writer)
        frame = encode_value("x", [None] * 300_000, writer)
        assert isinstance(frame.body["parts"], list)
        assert len(frame.body["parts"]) == 1


def test_buffers_without_bytes_are_not_free() -> None:
    """Sixty thousand of them take a few bytes each, and an object each in Python."""
    data = program(b"(", b"\x97" * 60_000, b"t")
    frame = value_frame(Carried("x", "tuple", (data, *[b""] * 60_000)))
    back = read_value(frame, None, frozenset({"x"}))[1]
    assert isinstance(back, Withheld)
    assert "buffers" in back.reason


@pytest.mark.parametrize("name", _HONEST)
def test_the_writer_s_opcodes_cost_what_the_reader_takes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read without tags, the two accounts agree to a few turns of the machine."""
    monkeypatch.setattr(prices, "FLOOR", 1 << 40)
    value = _HONEST[name]
    if name in {"dates", "decimals", "series", "labels", "arrays"}:
        value = [None]
    # A list inside is not packed.
    data = bytes(write_value((value,))[0])
    allowance = Allowance(seconds=60, memory=1 << 40)
    read_pickle(data, (), allowance)
    taken = allowance.account.spent - allowance.account.received
    assert taken <= opcodes(data) <= 1.3 * taken + 500_000


def test_every_tag_has_a_price() -> None:
    """What has no price would be made for nothing."""
    assert {f"{module.rpartition('.')[2]}.{name}" for module, name in RULES} == set(prices.TAGS)


def test_padding_cannot_make_a_value_contain_itself() -> None:
    """The tuple of a call may be in the memo, and with it what the call returns."""
    call = text("kavach_ipy.wire.tags") + text("padded") + b"\x93"
    assert read_pickle(program(call, b"]C\x00\x86R")) == []
    with pytest.raises(OutputWithheld, match="contains itself"):
        read_pickle(program(call, b"]C\x00\x86\x94Rh\x00a"))
    wrongs: tuple[tuple[object, ...], ...] = (([],), ([], None), ([], b"", b""))
    for wrong in wrongs:
        with pytest.raises(OutputWithheld):
            read_pickle(forge(Call(tags.padded, wrong)))
    assert sys.getrefcount(read_pickle(*paid(forge([]), 100))) < 4


def test_what_is_lacking_is_exactly_that() -> None:
    """One byte less would not do."""
    for received, spent in ((0, FLOOR + 1), (10, 5 * FLOOR), (3 * FLOOR, 12 * FLOOR + 1)):
        account = Account()
        account.received, account.spent = received, spent
        lacking = account.lacking()
        assert lacking > 0
        account.receive(lacking - 1)
        assert account.left < 0
        account.receive(1)
        assert account.left >= 0
    assert Account().lacking() == 0
