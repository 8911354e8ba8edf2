"""The classes that the settings trust; where --trust is permitted stands in test_floor.py."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

from kavach_ipy.front.trusting import apply_trusted_types
from kavach_ipy.wire.trusted import trusted


def test_classes_are_trusted_as_long_as_the_setting_names_them() -> None:
    """What the setting names is registered, and taken back when it is named no more."""
    before = trusted()
    made = apply_trusted_types(["http.HTTPStatus"], ())
    assert set(trusted()) - set(before) == {"http.HTTPStatus"}
    assert apply_trusted_types([], made) == ()
    assert trusted() == before


@pytest.mark.parametrize("bad", ["http.NoSuchThing", "fractions.Fraction"])
def test_one_wrong_class_leaves_none_of_the_setting_s_trusted(bad: str) -> None:
    """A class that is missing, or cannot be made by keywords, takes back those before it."""
    before = trusted()
    with pytest.raises(UsageError, match="nothing ran"):
        apply_trusted_types(["http.HTTPStatus", bad], ())
    assert trusted() == before
