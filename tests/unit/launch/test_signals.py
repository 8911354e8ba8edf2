"""Handlers that are put off: none runs too early, none is lost, and each comes back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from kavach_ipy.launch.signals import handlers_later

HEARD = signal.SIGUSR1
OTHER = signal.SIGUSR2


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """Handlers of the test's own, which note what they are called for."""
    said: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        del frame
        said.append(number)

    before = {number: signal.signal(number, handler) for number in (HEARD, OTHER)}
    yield said
    for number, previous in before.items():
        signal.signal(number, previous)


def test_handler_runs_where_it_is_let_through_and_not_before(heard: list[int]) -> None:
    """What came while handlers were off is told as soon as they are on."""
    with handlers_later() as signals:
        signal.raise_signal(HEARD)
        assert heard == []
        with signals.let_through():
            assert heard == [HEARD]
            signal.raise_signal(OTHER)
            assert heard == [HEARD, OTHER]
        signal.raise_signal(OTHER)
        assert heard == [HEARD, OTHER]


def test_signal_that_came_is_told_at_the_end(heard: list[int]) -> None:
    """No signal is lost, whatever ends the block."""
    own = signal.getsignal(HEARD)

    def fail() -> None:
        with handlers_later():
            signal.raise_signal(HEARD)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert heard == [HEARD]
    assert signal.getsignal(HEARD) is own


def test_handler_that_raises_is_not_interrupted_on_its_way_out(heard: list[int]) -> None:
    """What it raises leaves through code that closes and reaps; others wait until then."""
    cleaned = []

    def raising(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise InterruptedError

    def interrupted() -> None:
        with handlers_later() as signals, signals.let_through():
            try:
                signal.raise_signal(HEARD)
            finally:
                signal.raise_signal(OTHER)
                cleaned.append(list(heard))

    before = signal.signal(HEARD, raising)
    try:
        with pytest.raises(InterruptedError):
            interrupted()
    finally:
        signal.signal(HEARD, before)
    assert cleaned == [[]]
    assert heard == [OTHER]


def test_handler_that_stands_in_does_so_for_a_while(heard: list[int]) -> None:
    """Then the caller's own is asked again."""
    stood_in: list[int] = []
    with handlers_later() as signals, signals.let_through():
        with signals.instead(HEARD, lambda number, _: stood_in.append(number)):
            signal.raise_signal(HEARD)
        signal.raise_signal(HEARD)
    assert (stood_in, heard) == ([HEARD], [HEARD])


def test_signal_without_a_handler_of_python_is_left_alone() -> None:
    """One that is ignored or ends the process does so now as well."""
    before = signal.signal(HEARD, signal.SIG_IGN)
    try:
        with handlers_later() as signals:
            assert HEARD not in signals.handled
            assert signal.getsignal(HEARD) is signal.SIG_IGN
    finally:
        signal.signal(HEARD, before)
