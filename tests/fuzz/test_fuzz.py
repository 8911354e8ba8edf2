"""A short form of `make fuzz`, with a seed of its own."""

from __future__ import annotations

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate.reader import read_pickle
from kavach_ipy.wire.prices import TAGS
from tests.fuzz.campaign import FACTOR, SECONDS, fuzz, measure
from tests.fuzz.programs import Programs, seeds


def test_seeds_are_good_programs() -> None:
    """What is changed is what the reader takes, or all of it would be refused at once."""
    for program in seeds():
        assert read_pickle(program.data, [bytearray(part) for part in program.buffers]) is not None  # type: ignore[misc]


def test_a_seed_repeats_its_programs() -> None:
    """A crash that was found once can be found again; another seed finds others."""
    one, same, other = Programs(1), Programs(1), Programs(2)
    programs = [one.next() for _ in range(50)]
    assert programs == [same.next() for _ in range(50)]
    assert programs != [other.next() for _ in range(50)]


def test_changed_programs_reach_the_rules() -> None:
    """The fuzzer is no noise: some programs are still values, most are refused late and early."""
    programs, values = Programs(3), 0
    reasons = set()
    for _ in range(2000):
        program = programs.next()
        try:
            read_pickle(program.data, [memoryview(bytearray(part)) for part in program.buffers])
            values += 1
        except OutputWithheld as error:
            reasons.add(error.reason)
    assert 100 < values < 1900
    assert len(reasons) > 30


def test_ten_thousand_programs_are_values_or_withheld() -> None:
    """No crash, no hang, no other exception, under an address-space limit."""
    assert fuzz(10_000, 20261126, lambda line: None) == []


def test_a_mebibyte_of_hostile_bytes_is_over_soon_and_stays_small() -> None:
    """Whatever it asks for, a mebibyte takes four at most, its own among them, and two seconds."""
    measured, wrong = measure(20261126, 1 << 20, drawn=15)
    assert wrong == []
    names = {name for name, _, _ in measured}
    # Every tag was tried, and every opcode that makes something.
    assert {name.split()[0] for name in names} >= set(TAGS)
    assert len(names) > 120
    assert max(seconds for _, seconds, _ in measured) < SECONDS
    # The measure itself sees what is made: some programs come close to what they may.
    assert FACTOR / 2 < max(memory for _, _, memory in measured) < FACTOR
