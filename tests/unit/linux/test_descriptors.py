"""How many files a cell may open does not depend on what the notebook has open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kavach_ipy.linux.descriptors import ceiling


@given(st.sets(st.integers(0, 200)), st.integers(1, 100))
def test_exactly_so_many_numbers_are_free_below_the_ceiling(occupied: set[int], files: int) -> None:
    """Gaps between the notebook's descriptors are neither lost nor given on top."""
    limit = ceiling(sorted(occupied), files)
    assert len(set(range(limit)) - occupied) == files


@pytest.mark.parametrize(("occupied", "limit"), [([], 4), ([0, 1, 2], 7), ([0, 900], 5)])
def test_the_ceiling_counts_from_the_lowest_free_number(occupied: list[int], limit: int) -> None:
    """What is open far above the ceiling stays open and does not raise it."""
    assert ceiling(occupied, 4) == limit
