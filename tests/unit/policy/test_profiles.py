"""Profiles keep the promise of their name."""

from __future__ import annotations

import pytest

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy import PROFILES, Network, Policy, is_at_most, profile, survives


def test_the_four_profiles_exist_and_cannot_be_replaced() -> None:
    """The names are those of the design, and the mapping is read-only."""
    assert tuple(PROFILES) == ("default", "strict", "grading", "agent")
    assert profile("default") == Policy()
    with pytest.raises(TypeError):
        PROFILES["strict"] = Policy()  # type: ignore[index]


@pytest.mark.parametrize("name", ["strict", "grading", "agent"])
def test_every_profile_is_tighter_than_the_default(name: str) -> None:
    """Nothing is looser; time, memory, processes, disk and output are smaller."""
    default, chosen = profile("default"), profile(name)
    assert is_at_most(chosen, default)
    assert chosen != default
    assert chosen.timeout is not None
    for field in ("cpu", "memory", "pids", "files", "disk", "output", "messages"):
        assert getattr(chosen, field) < getattr(default, field), field
    assert chosen.network is Network.NONE
    assert not chosen.trust
    assert not chosen.stdin
    assert not chosen.trust_display
    assert not survives("LD_LIBRARY_PATH", chosen.environment)


def test_strict_has_the_smallest_limits_of_all() -> None:
    """No other profile is below it in any number."""
    strict = profile("strict")
    for other in PROFILES.values():
        for field in ("cpu", "memory", "pids", "files", "disk", "output", "messages"):
            assert getattr(strict, field) <= getattr(other, field), field


def test_grading_keeps_the_graders_memory_from_the_student() -> None:
    """Answer keys that stand in the grader's memory are in no fork of it."""
    assert profile("grading").clean
    assert not profile("agent").clean


@pytest.mark.parametrize("name", ["stric", "", "Strict"])
def test_an_unknown_profile_is_refused_with_the_known_ones(name: str) -> None:
    """The message lists every profile."""
    with pytest.raises(PolicyError, match="default, strict, grading, agent"):
        profile(name)
