"""What an interrupt means: for a cell that goes on, that asks, that has not heard of it yet."""

from __future__ import annotations

import time

from kavach_ipy.launch.interrupts import GRACE_SECONDS, Interrupts


def _interrupted(ago: float = 0.0) -> Interrupts:
    return Interrupts(lambda: None, last=time.monotonic() - ago)


def test_a_cell_that_nobody_interrupted_goes_on() -> None:
    """There is no deadline and no verdict."""
    fresh = Interrupts(lambda: None)
    assert fresh.deadline() is None
    assert fresh.verdict(time.monotonic() + 1000) is None


def test_two_interrupts_within_two_seconds_are_enough() -> None:
    """At once, and with a message that differs from that of one."""
    twice = _interrupted()
    assert not twice.came()
    stopped = twice.verdict(time.monotonic())
    assert stopped is not None
    assert "twice" in str(stopped)


def test_two_interrupts_far_apart_are_two_first_ones() -> None:
    """The second has two seconds of its own."""
    again = _interrupted(ago=GRACE_SECONDS + 1)
    assert again.came()
    assert again.verdict(time.monotonic()) is None
    stopped = again.verdict(time.monotonic() + GRACE_SECONDS)
    assert stopped is not None
    assert "twice" not in str(stopped)


def test_a_cell_that_asks_has_obeyed() -> None:
    """It came back to its user, who may think as long as they like."""
    obedient = _interrupted(ago=GRACE_SECONDS / 2)
    assert not obedient.is_due(1)
    assert obedient.deadline() is None
    assert obedient.verdict(time.monotonic() + 1000) is None
    assert not obedient.came()


def test_a_question_from_before_the_signal_is_answered_by_it() -> None:
    """Once: the cell hears of it by the answer, and may ask again."""
    crossed = Interrupts(lambda: None)
    assert crossed.came()
    crossed.pass_on()
    assert crossed.is_due(0)
    assert crossed.deadline() is not None
    assert not crossed.is_due(0)
    assert not crossed.is_due(1)


def test_a_question_from_after_the_signal_is_put() -> None:
    """The cell has heard of it, and asks what to do."""
    heard = Interrupts(lambda: None)
    assert heard.came()
    heard.pass_on()
    assert not heard.is_due(1)


def test_a_cell_that_has_gone_cannot_be_signalled() -> None:
    """And nothing is wrong with that: its end is seen elsewhere."""

    def gone() -> None:
        raise ProcessLookupError

    Interrupts(gone).pass_on()
