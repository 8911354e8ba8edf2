"""The catalogue of guards (``make mutate``) means the code as it is."""

from __future__ import annotations

import pytest

from tests.mutation.guards import GUARDS, Guard
from tests.repo.sources import PACKAGE, ROOT


@pytest.mark.parametrize("guard", GUARDS, ids=[guard.name for guard in GUARDS])
def test_guard_stands_where_the_catalogue_says(guard: Guard) -> None:
    """Its text is there exactly once, something else takes its place, and its tests exist."""
    source = (PACKAGE / guard.file).read_text(encoding="utf-8")
    assert source.count(guard.old) == 1
    assert guard.new != guard.old
    assert all((ROOT / test).exists() for test in guard.tests.split())


def test_guards_have_names_of_their_own() -> None:
    """A verdict belongs to one guard."""
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)
