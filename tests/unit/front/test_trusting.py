"""Where --trust is permitted: by the settings alone, and never against a policy file."""

from __future__ import annotations

from pathlib import Path

import pytest

from kavach_ipy.front import trusting
from kavach_ipy.front.settings import Kavach
from kavach_ipy.front.trusting import may_trust


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


@pytest.mark.parametrize("is_dangling", [False, True])
def test_a_policy_file_forbids_trust(policy_file: Path, *, is_dangling: bool) -> None:
    """What this version cannot read, it does not loosen, where it cannot be opened either."""
    if is_dangling:
        policy_file.symlink_to("nowhere")
    else:
        policy_file.touch()
    assert not may_trust(Kavach(allow_trust=True))
