"""All values of one run share one clock and one purse, and a hostile run comes to its end soon."""

from __future__ import annotations

import gc
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate import reader
from kavach_ipy.gate.allowance import MEMORY, Allowance
from kavach_ipy.gate.reader import IN_BAND, STREAM, read_pickle
from kavach_ipy.gate.values import read_value
from kavach_ipy.gate.withheld import Withheld
from kavach_ipy.wire import tags
from kavach_ipy.wire.value_frames import Carried, value_frame
from kavach_ipy.wire.values import encode_value
from tests.unit.gate.forging import Call, forge, paid, program, text
from tests.unit.gate.pace import cpu_seconds

_ASKED = frozenset({"x"})
_SURROGATE = b"\xed\xa0\x80"


def _refused(data: bytes, match: str, allowance: Allowance | None = None) -> None:
    with pytest.raises(OutputWithheld, match=match):
        read_pickle(data, (), allowance)


def _long(code: bytes, raw: bytes) -> bytes:
    return code + struct.pack("<Q", len(raw)) + raw


@pytest.mark.parametrize(
    "code", [b"\x8f", b"]", b"}", b")\x85", b"(\x91", b"C\x01x", b"G" + bytes(8)]
)
def test_what_a_short_opcode_makes_is_paid_for(code: bytes) -> None:
    """Many small objects of few bytes run out of memory that was allowed, not of the kernel's."""
    _refused(
        program(b"(", code * 1_000_000, b"t"), "memory", Allowance(seconds=60, memory=20 << 20)
    )


def test_twenty_megabytes_of_empty_sets_are_refused_soon() -> None:
    """The attack that once took 58 seconds and 4.7 GiB ends within two seconds."""
    data = program(b"(", b"\x8f" * 19_900_000, b"t")
    assert cpu_seconds(lambda: _refused(data, "memory|longer"), 2.5) < 2.5


@pytest.mark.parametrize(
    "body",
    [
        b"(" + b"N" * 16_000_000 + b"t",
        b"]" + b"Na" * 8_000_000,
        b"(" + b"]" * 16_000_000 + b"t",
        b"}" + b"".join(b"J" + struct.pack("<I", at) + b"Ns" for at in range(1_500_000)),
        b"\x8f(" + b"".join(b"J" + struct.pack("<I", at) for at in range(3_000_000)) + b"\x90",
        b"(" * 16_000_000,
        b"N" + b"\x94" * 16_000_000,
        b"(" + (b"\x8c\xff" + _SURROGATE * 85) * 60_000 + b"t",
    ],
    ids=["tuple", "list", "lists", "dict", "set", "marks", "memo", "texts"],
)
def test_megabytes_of_cheap_opcodes_end_soon(body: bytes) -> None:
    """The longest pickle of the shortest opcodes is read or refused within two seconds."""
    data = program(body)

    def read() -> None:
        with suppress(OutputWithheld):
            read_pickle(data)

    assert cpu_seconds(read, 2.5) < 2.5


def test_all_values_of_a_run_share_the_time() -> None:
    """What ten values take together is what one may take; the rest is withheld at once."""
    data, padding = paid(program(b"(", b"N" * 8_000_000, b"t"), 30 * 8_000_000)
    hostile = value_frame(Carried("x", "tuple", (data, *padding)))
    honest = encode_value("x", [1, 2], None)
    allowance = Allowance()
    backs = [read_value(hostile, None, _ASKED, allowance)[1] for _ in range(10)]
    last = read_value(honest, None, _ASKED, allowance)[1]
    assert isinstance(backs[-1], Withheld)
    assert isinstance(last, Withheld)
    assert "longer than 1.5 s" in last.reason
    assert read_value(honest, None, _ASKED) == ("x", [1, 2])


def test_all_values_of_a_run_share_the_memory() -> None:
    """A value that fits alone does not fit beside another that has taken most."""
    data, padding = paid(program(b"(", b"\x8f" * 30_000, b"t"), 10_000_000)
    allowance = Allowance(memory=10_000_000)
    assert read_pickle(data, padding, allowance) == (set(),) * 30_000
    with pytest.raises(OutputWithheld, match="beyond their memory"):
        read_pickle(data, padding, allowance)
    assert read_pickle(data, padding) == (set(),) * 30_000


def test_time_runs_only_while_values_are_read() -> None:
    """What the kernel does between two values is not theirs to pay."""
    allowance = Allowance(seconds=0.2)
    _wait(0.3)
    assert read_pickle(forge([1]), (), allowance) == [1]
    _wait(0.3)
    assert read_pickle(forge([1]), (), allowance) == [1]
    _refused(forge([1]), "longer than 0 s", Allowance(seconds=0))


def _wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_the_first_import_of_a_library_takes_no_time_of_the_cell() -> None:
    """A second of importing pandas is not a reason to withhold the first frame."""
    allowance = Allowance(seconds=0.05)
    with allowance.reading():
        with allowance.resting():
            _wait(0.1)
        allowance.check_time()
        with pytest.raises(OutputWithheld, match="longer"):
            allowance.check_time(1_000_000)
        _wait(0.06)
        with pytest.raises(OutputWithheld, match="longer"):
            allowance.check_time()


def test_a_library_that_the_kernel_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the notebook's environment has no such library, the reason says so."""
    missing = "kavach_no_such_library"
    assert missing not in sys.modules
    monkeypatch.setitem(reader._LIBRARIES, "kavach_ipy.wire.tags", missing)
    _refused(forge(Call(tags.date, (2024, 1, 1))), missing)


@pytest.mark.parametrize("is_enabled", [True, False])
@pytest.mark.parametrize("read", [read_pickle, lambda data: _refused(data[:-1], "broken")])
def test_the_garbage_collector_rests_and_is_left_as_it_was(
    is_enabled: bool, read: Callable[[bytes], Any]
) -> None:
    """No collection starts while a value is read, and afterwards all is as before."""
    started: list[str] = []

    def note(phase: str, _: dict[str, int]) -> None:
        started.append(phase)

    data = program(b"(", b"]" * 20_000, b"t")
    (gc.enable if is_enabled else gc.disable)()
    gc.callbacks.append(note)
    try:
        with Allowance().reading():
            read(data)
            assert not gc.isenabled()
            assert not started
        read(data)
        assert gc.isenabled() == is_enabled
    finally:
        gc.callbacks.remove(note)
        gc.enable()


def test_a_refusal_holds_nothing_of_what_was_read() -> None:
    """The exception's frames do not keep the half-made value in memory."""
    with pytest.raises(OutputWithheld) as caught:
        read_pickle(program(b"(", b"\x8f" * 1000, b"t)"))
    error: BaseException | None = caught.value
    assert error is not None
    assert error.__context__ is None
    traceback = error.__traceback__
    names = []
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert "run" not in names


def test_the_stream_is_capped_and_long_texts_are_apart() -> None:
    """Sixteen megabytes may be opcodes; a text, bytes or buffers may be longer."""
    endless = paid(program(b"(", b"N" * (IN_BAND + 5000), b"t"), 30 * IN_BAND)
    with pytest.raises(OutputWithheld, match="more than"):
        read_pickle(*endless, Allowance(seconds=60))
    with pytest.raises(OutputWithheld, match="allowed"):
        read_pickle(memoryview(bytes(STREAM + 1)))
    for value in ("x" * (IN_BAND + 5000), bytes(IN_BAND + 5000), bytearray(IN_BAND + 5000)):
        assert read_pickle(forge(value)) == value


@pytest.mark.parametrize(
    "raw",
    [_SURROGATE * 12_000_000, b"a" * 120_000_000 + b"\xf0\x9f\x98\x80"],
    ids=["surrogates", "wide"],
)
def test_texts_that_are_slow_to_decode_are_refused_before(raw: bytes) -> None:
    """One opcode cannot hold the kernel: what it would take is known before it is done."""
    data = program(_long(b"\x8d", raw))
    assert cpu_seconds(lambda: _refused(data, "longer|memory"), 1.0) < 1.0
    call = text("kavach_ipy.wire.tags") + text("text_list") + b"\x93C\x00\x97\x86R"

    def listed() -> None:
        with pytest.raises(OutputWithheld, match=r"long|memory"):
            read_pickle(program(call), [memoryview(raw)])

    assert cpu_seconds(listed, 1.0) < 1.0


def test_texts_of_any_script_come_back() -> None:
    """Texts that are wide, or hold a lone surrogate, are read where they are not endless."""
    for value in ("한글" * 100_000, "é" * 100_000, "\U0001f600" * 100_000, "\ud800x" * 100_000):
        assert read_pickle(*paid(forge(value), 5_000_000)) == value


def test_the_kernel_s_memory_has_a_bound_for_honest_cells_too() -> None:
    """The allowance is a gibibyte, whatever single budgets say."""
    allowance = Allowance()
    allowance.spend_memory(MEMORY)
    with pytest.raises(OutputWithheld, match="memory"):
        allowance.spend_memory(1)
