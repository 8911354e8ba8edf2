"""Where --trust is permitted: by the settings alone, and never against a policy file."""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core.error import UsageError

from kavach_ipy.front import trusting
from kavach_ipy.front.settings import Kavach
from kavach_ipy.front.trusting import apply_trusted_types, may_trust, may_trust_display
from kavach_ipy.wire.trusted import trusted


@pytest.fixture
def policy_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the administrator of this machine would put a policy file."""
    path = tmp_path / "policy.toml"
    monkeypatch.setattr(trusting, "_POLICY_FILE", str(path))
    return path


@pytest.mark.usefixtures("policy_file")
def test_trust_is_off_until_the_setting_is_on() -> None:
    """On a machine without a policy file, the setting decides."""
    assert not may_trust(Kavach())
    assert may_trust(Kavach(allow_trust=True))
    assert not may_trust_display(Kavach(allow_trust=True))
    assert may_trust_display(Kavach(allow_trust_display=True))


@pytest.mark.parametrize("is_dangling", [False, True])
def test_a_policy_file_forbids_trust(policy_file: Path, *, is_dangling: bool) -> None:
    """What this version cannot read, it does not loosen, where it cannot be opened either."""
    if is_dangling:
        policy_file.symlink_to("nowhere")
    else:
        policy_file.touch()
    assert not may_trust(Kavach(allow_trust=True))
    assert not may_trust_display(Kavach(allow_trust_display=True))


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
