"""The budget of one value, alone: the clock and the memory of the whole run take no part."""

from __future__ import annotations

import pytest

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate.allowance import Allowance
from kavach_ipy.gate.budget import KEY_ITEMS, Budget

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
    """A fixed part and forty bytes for each of the pickle are granted, and not one more."""
    budget.spend_memory(32 << 20)
    budget.spend_memory(40 * STREAM)
    with pytest.raises(OutputWithheld, match="memory budget"):
        budget.spend_memory(1)


def test_key_is_refused_before_it_is_hashed(budget: Budget) -> None:
    """Each of its items is hashed anew wherever it is looked up."""
    budget.check_key(tuple(range(KEY_ITEMS)))
    with pytest.raises(OutputWithheld, match="one of its keys"):
        budget.check_key(tuple(range(KEY_ITEMS + 1)))
