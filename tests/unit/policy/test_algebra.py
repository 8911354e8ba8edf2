"""Combining two policies can only tighten, and gives the loosest of all tighter ones."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy import FIELDS, Network, Policy, is_at_most, survives, tighten
from kavach_ipy.policy.environment import intersect_patterns, normalise_patterns
from tests.unit.policy.strategies import NAMES, PATTERNS, VARIABLES, lies_in, policies

# Every path that a drawn policy can name, and one below each of them.
PROBES = [
    "/" + "/".join(steps)
    for depth in range(5)
    for steps in itertools.product(("a", "b", "ab"), repeat=depth)
]
HIDDEN, UNLISTED, READ, WRITE = -1, 0, 1, 2


def grant(policy: Policy, path: str) -> int:
    """Say what a policy grants at a path; written anew, to judge what is tested."""
    if any(lies_in(path, top) for top in policy.hidden):
        return HIDDEN
    marks = dict.fromkeys(policy.writable, WRITE) | dict.fromkeys(policy.read_only, READ)
    above = [entry for entry in marks if lies_in(path, entry)]
    return marks[max(above, key=len)] if above else UNLISTED


def allows_name(names: tuple[str, ...] | None, name: str) -> bool:
    """Say whether a list of names, where None is all, holds a name."""
    return names is None or name in names


@given(policies(), policies())
def test_tighten_is_never_looser_than_either(a: Policy, b: Policy) -> None:
    """Whatever one side forbids stays forbidden."""
    both = tighten(a, b)
    assert is_at_most(both, a)
    assert is_at_most(both, b)


@given(policies(), policies())
def test_tighten_forbids_nothing_that_both_allow(a: Policy, b: Policy) -> None:
    """At every path, name, variable and limit the result is exactly the tighter of the two."""
    both = tighten(a, b)
    for path in PROBES:
        assert grant(both, path) == min(grant(a, path), grant(b, path)), path
    for name in NAMES:
        for field in ("inputs", "outputs"):
            expected = all(allows_name(getattr(side, field), name) for side in (a, b))
            assert allows_name(getattr(both, field), name) == expected
    for variable in VARIABLES:
        expected = all(survives(variable, side.environment) for side in (a, b))
        assert survives(variable, both.environment) == expected
    for field in ("cpu", "memory", "pids", "files", "disk", "output", "messages"):
        assert getattr(both, field) == min(getattr(a, field), getattr(b, field))
    times = [side.timeout for side in (a, b) if side.timeout is not None]
    assert both.timeout == min(times, default=None)
    assert both.network in (a.network, b.network)
    assert both.network.rank == min(a.network.rank, b.network.rank)
    assert both.clean == (a.clean or b.clean)
    assert both.trust == (a.trust and b.trust)
    assert both.stdin == (a.stdin and b.stdin)
    assert both.trust_display == (a.trust_display and b.trust_display)
    assert both.session == (a.session or b.session)


@given(policies(), policies())
def test_tighten_does_not_depend_on_the_order(a: Policy, b: Policy) -> None:
    """Settings over file or file over settings: the same policy."""
    assert tighten(a, b) == tighten(b, a)


@given(policies(), policies(), policies())
def test_tighten_does_not_depend_on_the_grouping(a: Policy, b: Policy, c: Policy) -> None:
    """Three sources can be combined in any sequence."""
    assert tighten(tighten(a, b), c) == tighten(a, tighten(b, c))


@given(policies())
def test_tighten_with_itself_changes_nothing(a: Policy) -> None:
    """Applying a floor twice is applying it once."""
    assert tighten(a, a) == a


@given(policies(), policies())
def test_the_order_is_the_order_of_tighten(a: Policy, b: Policy) -> None:
    """A policy is at most another exactly when combining them gives it back."""
    assert is_at_most(a, b) == (tighten(a, b) == a)


@given(policies(), policies())
def test_the_order_agrees_with_what_is_granted(a: Policy, b: Policy) -> None:
    """With everything but the places equal, the order is that of the grants at every path."""
    places = {name: getattr(a, name) for name in ("read_only", "writable", "hidden")}
    moved = b.replace(**places)
    expected = all(grant(moved, path) <= grant(b, path) for path in PROBES)
    assert is_at_most(moved, b) == expected


@given(policies(), policies())
def test_two_policies_that_are_at_most_each_other_are_equal(a: Policy, b: Policy) -> None:
    """The order has no cycles, so there is one form for each meaning."""
    c = tighten(a, b)
    for left, right in ((a, b), (a, c), (b, c)):
        assert (is_at_most(left, right) and is_at_most(right, left)) == (left == right)


LOOSER: dict[str, tuple[object, object]] = {
    "network": ("none", "loopback"),
    "inputs": ("a", "a,b"),
    "outputs": ("a", None),
    "timeout": (5, None),
    "cpu": (5, 6),
    "memory": ("1G", "2G"),
    "pids": (5, 6),
    "files": (50, 60),
    "disk": ("1M", "2M"),
    "output": ("1M", "2M"),
    "messages": (5, 6),
    "read_only": ("/a/b", "/a"),
    "writable": ((), "/a"),
    "hidden": ("/a", "/a/b"),
    "environment": ("LC_ALL", "LC_*"),
    "clean": (True, False),
    "session": ("s", None),
    "trust": (False, True),
    "stdin": (False, True),
    "trust_display": (False, True),
}


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_is_part_of_the_order(field: str) -> None:
    """A new field that the algebra does not know would fail here."""
    tight, loose = (Policy.from_mapping({field: value}) for value in LOOSER[field])
    assert is_at_most(tight, loose)
    assert not is_at_most(loose, tight)
    assert tighten(tight, loose) == tight


def test_a_read_only_island_survives_a_side_that_would_write_there() -> None:
    """What one policy protects inside a writable place stays protected."""
    island = Policy(writable="/w", read_only="/w/keep")
    both = tighten(island, Policy(writable=["/w", "/x"]))
    assert both == island


def test_a_place_hidden_by_one_side_cannot_be_listed_by_the_other() -> None:
    """The entry of the other side goes; its neighbours stay."""
    both = tighten(Policy(hidden="/home/u"), Policy(read_only=["/home/u/x", "/home/u2"]))
    assert (both.hidden, both.read_only) == (("/home/u",), ())
    wide = Policy(read_only="/home")
    assert tighten(Policy(hidden="/home/u", read_only="/home"), wide).read_only == ("/home",)


def test_what_one_side_hides_cannot_make_it_looser() -> None:
    """Below a hidden path the lists of that side do not count, however wide they are."""
    hiding = Policy(writable="/w", hidden="/w/h")
    other = Policy(writable="/w", read_only="/w/h/x")
    assert is_at_most(hiding, other)
    assert tighten(hiding, other) == hiding
    assert not is_at_most(hiding.replace(hidden=()), other)


def test_the_hosts_network_is_left_only_where_both_have_it() -> None:
    """And then both are clean, so the result is a valid policy."""
    host = Policy(network="host", clean=True)
    assert tighten(host, host).network is Network.HOST
    assert tighten(host, Policy(network="loopback")).network is Network.LOOPBACK


def test_two_sessions_cannot_be_combined() -> None:
    """A cell runs in one session, and neither name is tighter than the other."""
    one, other = Policy(session="one"), Policy(session="other")
    with pytest.raises(PolicyError, match="the other policy says 'other'"):
        tighten(one, other)
    assert tighten(one, Policy()) == tighten(Policy(), one) == one
    assert not is_at_most(one, other)


@given(st.sets(st.sampled_from(PATTERNS)), st.sets(st.sampled_from(PATTERNS)))
def test_patterns_meet_where_both_let_through(left: set[str], right: set[str]) -> None:
    """The intersection of two lists is what both let through, already in its final form."""
    both = intersect_patterns(left, right)
    assert normalise_patterns(list(both)) == both
    for name in VARIABLES:
        assert survives(name, both) == (survives(name, left) and survives(name, right))
