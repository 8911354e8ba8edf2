"""A floor is a lower bound: by hypothesis, for any file and any policy."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy import Floor, Network, Policy, is_at_most
from kavach_ipy.policy.file import read_policy_file
from tests.unit.policy.strategies import policies

# Each example joins some twenty policies, so fewer of them than elsewhere.
_FEWER = settings(max_examples=40)

_FIELDS = (
    "network",
    "timeout",
    "cpu",
    "memory",
    "pids",
    "disk",
    "read_only",
    "writable",
    "hidden",
    "environment",
    "clean",
    "stdin",
)


@st.composite
def files(draw: st.DrawFn) -> tuple[str, Policy]:
    """Draw a policy file, and the policy that it speaks of."""
    policy = draw(policies())
    fields = draw(st.lists(st.sampled_from(_FIELDS), unique=True))
    lines = []
    for field in fields:
        value = getattr(policy, field)
        lines.append(f"{field} = {json.dumps('none' if value is None else value)}")
    return "\n".join(lines), policy


def _floor(text: str) -> Floor:
    return Floor((read_policy_file(text.encode(), "/f"),))


@_FEWER
@given(files(), policies())
def test_a_floor_never_loosens(file: tuple[str, Policy], policy: Policy) -> None:
    """What it returns is at most as loose as what was given, obeys the file, and stays so."""
    floor = _floor(file[0])
    result = floor.tighten(policy)
    assert is_at_most(result, policy)
    floor.check(result)
    assert floor.tighten(result) == result


@_FEWER
@given(files(), policies())
def test_a_policy_passes_where_tightening_changes_nothing(
    file: tuple[str, Policy], policy: Policy
) -> None:
    """The check and the join agree: neither lets through what the other takes away."""
    floor = _floor(file[0])
    try:
        floor.check(policy)
    except PolicyError:
        assert floor.tighten(policy) != policy
    else:
        assert floor.tighten(policy) == policy


@_FEWER
@given(files(), files(), policies())
def test_order_of_files_does_not_matter(
    one: tuple[str, Policy], two: tuple[str, Policy], policy: Policy
) -> None:
    """Whichever was read first, the same is allowed."""
    first, second = _floor(one[0]).files, _floor(two[0]).files
    both = Floor(first + second).tighten(policy)
    assert Floor(second + first).tighten(policy) == both
    assert both == _floor(two[0]).tighten(_floor(one[0]).tighten(policy))


@given(files())
def test_every_limit_of_the_file_holds(file: tuple[str, Policy]) -> None:
    """Judged line by line, and not by the order of policies."""
    text, said = file
    asked = Policy(memory="1T", pids=1 << 40, clean=True, network="host", stdin=True)
    held = _floor(text).tighten(asked)
    for line in text.splitlines():
        match line.partition(" ")[0]:
            case "memory":
                assert held.memory <= said.memory
            case "pids":
                assert held.pids <= said.pids
            case "network":
                assert held.network.rank <= said.network.rank
            case "stdin":
                assert said.stdin or not held.stdin
            case _:
                pass
    if "network" not in text:
        assert held.network is not Network.HOST
