"""The score speaks of verified layers alone, and the newer verifications refuse what is forged."""

from __future__ import annotations

import pytest

from kavach_ipy.errors import SetupFailed
from kavach_ipy.launch import report
from kavach_ipy.launch.host import survey
from kavach_ipy.launch.layers import ConfinementReport, Layer
from kavach_ipy.launch.plan import make_plan
from kavach_ipy.launch.strength import WEIGHTS, strength_of
from kavach_ipy.linux.inherited import SharedMapping
from kavach_ipy.linux.verify import NetworkView
from kavach_ipy.policy import Policy
from kavach_ipy.sandbox import Sandbox

LOOPBACK = Policy(network="loopback")


def test_weights_add_up_to_a_hundred() -> None:
    """A hundred is everything, verified; each weight says why it weighs so much."""
    assert sum(weight.points for weight in WEIGHTS.values()) == 100
    assert all(weight.points > 0 and weight.reason for weight in WEIGHTS.values())


@pytest.mark.parametrize("name", WEIGHTS)
def test_layer_that_is_not_verified_adds_nothing_and_is_named(name: str) -> None:
    """One layer less is its weight less, also where it was applied, and the text says which."""
    layers = tuple(
        Layer(layer, "applied" if layer == name else "verified", "") for layer in WEIGHTS
    )
    strength = ConfinementReport(layers).strength
    assert strength.score == 100 - WEIGHTS[name].points
    assert strength.missing == (name,)
    last = ConfinementReport(layers).text().splitlines()[-1]
    assert last.startswith(f"strength {strength.score} of 100")
    assert last.endswith(f"not verified: {name}")


def test_name_without_a_weight_adds_nothing() -> None:
    """Nothing is counted that the table does not know; nothing verified is nothing at all."""
    assert strength_of(["working directory", "luck"]).score == 0
    assert strength_of(WEIGHTS).score == 100
    assert strength_of(WEIGHTS).missing == ()


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("/home/a\x1b[2J\nb", r"/home/a\x1b[2J\nb"),
        ("/home/\udcff\u202eb", r"/home/\udcff\u202eb"),
        ("/home/é 日本", "/home/é 日本"),
    ],
)
def test_report_shows_the_path_of_an_archive_on_one_line(detail: str, shown: str) -> None:
    """A name that somebody else chose moves no cursor; what can be printed stays."""
    lines = ConfinementReport((Layer("files", "verified", detail),)).text().splitlines()
    assert len(lines) == 3
    assert lines[1].endswith(f"files  {shown}")


@pytest.mark.contract
@pytest.mark.needs("userns", "seccomp", "landlock", "overlay")
@pytest.mark.parametrize("policy", [Policy(), LOOPBACK])
def test_report_of_a_cell_verifies_every_weight_but_landlock(policy: Policy) -> None:
    """Every other layer of the table is read back from outside for a real cell."""
    found = Sandbox(policy).run("1").report
    assert isinstance(found, ConfinementReport)
    assert found.strength.missing == ("Landlock",)


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        (Policy(), NetworkView(frozenset({"lo"}), has_addresses=True)),
        (Policy(), NetworkView(frozenset({"lo", "eth0"}), has_addresses=False)),
        (LOOPBACK, NetworkView(frozenset({"lo", "eth0"}), has_addresses=True)),
        (LOOPBACK, NetworkView(frozenset({"lo"}), has_addresses=False)),
    ],
)
def test_network_that_was_not_promised_is_refused(policy: Policy, found: NetworkView) -> None:
    """An interface too many, one that is up, and a loopback that is down do not verify."""
    plan = make_plan(policy, survey(policy))
    with pytest.raises(SetupFailed, match="network"):
        report._network(plan, found)


@pytest.mark.parametrize("policy", [Policy(), LOOPBACK])
def test_network_that_was_promised_is_verified(policy: Policy) -> None:
    """No address without a network, and one with a loopback."""
    plan = make_plan(policy, survey(policy))
    found = NetworkView(frozenset({"lo"}), has_addresses=policy is LOOPBACK)
    assert report._network(plan, found).state == "verified"


def test_network_of_the_host_is_open_and_adds_nothing() -> None:
    """The report says whose it is, and the score counts no point for it."""
    policy = Policy(network="host", clean=True)
    plan = make_plan(policy, survey(policy))
    layer = report._network(plan, NetworkView(frozenset({"lo", "eth0"}), has_addresses=True))
    assert layer.state == "open"
    assert layer.detail.startswith("the host's")
    others = (Layer(name, "verified", "") for name in WEIGHTS if name != "network")
    told = ConfinementReport((*others, layer))
    assert told.strength.score == 100 - WEIGHTS["network"].points
    assert told.text().endswith("counting what was verified; open: network")


def test_environment_that_is_left_is_refused_and_not_repeated() -> None:
    """What is left in the block may be a token, so the message does not say it."""
    policy = Policy()
    plan = make_plan(policy, survey(policy))
    assert report._environment(plan, bytes(4096)).state == "verified"
    with pytest.raises(SetupFailed, match="environment") as caught:
        report._environment(plan, b"\0TOKEN=abc\0")
    assert "abc" not in str(caught.value)


def test_page_that_is_still_shared_is_refused() -> None:
    """One shared mapping is one too many."""
    assert report._shared_memory(()).state == "verified"
    mapping = SharedMapping(4096, 8192, 3, 0, 1, 2, b"/dev/zero")
    with pytest.raises(SetupFailed, match="shared memory"):
        report._shared_memory((mapping,))
