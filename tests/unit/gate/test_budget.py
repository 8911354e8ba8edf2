"""The budget of one value, alone: the clock and the memory of the whole run take no part."""

from __future__ import annotations

import pytest

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate.allowance import Allowance
from kavach_ipy.gate.budget import KEY_ITEMS, Budget
from kavach_ipy.wire.prices import FLOOR

STREAM = 1000


@pytest.fixture
def budget() -> Budget:
    """A small value's, in a run that may take a minute and much memory."""
    allowance = Allowance(seconds=60, memory=1 << 40)
    with allowance.reading():
        return Budget(STREAM, 0, frozenset(), allowance)


def test_work_is_refused_before_it_is_done(budget: Budget) -> None:
    """A second and a microsecond for each byte are granted in all, whatever the clock says."""
    budget.spend_work(1_000_000)
    budget.spend_work(STREAM)
    with pytest.raises(OutputWithheld, match="take too long"):
        budget.spend_work(1)


def test_memory_is_refused_before_it_is_made(budget: Budget) -> None:
    """What is granted whatever came is granted, its own bytes among it, and not one more."""
    budget.spend_memory(FLOOR - STREAM)
    with pytest.raises(OutputWithheld, match="memory budget"):
        budget.spend_memory(1)


def test_memory_is_granted_by_what_came() -> None:
    """Of a long value, or after one, four bytes for each that came, and not one more."""
    allowance = Allowance(seconds=60, memory=1 << 40)
    with allowance.reading():
        first = Budget(0, 10 * FLOOR, frozenset(), allowance)
        first.spend_memory(FLOOR)
        first.settle()
        second = Budget(STREAM, 0, frozenset(), allowance)
        second.spend_memory(29 * FLOOR + 3 * STREAM)
        with pytest.raises(OutputWithheld, match="memory budget"):
            second.spend_memory(1)


def test_items_without_bytes_are_not_endless(budget: Budget) -> None:
    """A column of nulls takes nothing, and may not be as long as it likes."""
    budget.spend_items((32 << 20) + 40 * STREAM)
    with pytest.raises(OutputWithheld, match="memory budget"):
        budget.spend_items(1)


def test_key_is_refused_before_it_is_hashed(budget: Budget) -> None:
    """Each of its items is hashed anew wherever it is looked up."""
    budget.check_key(tuple(range(KEY_ITEMS)))
    with pytest.raises(OutputWithheld, match="one of its keys"):
        budget.check_key(tuple(range(KEY_ITEMS + 1)))
