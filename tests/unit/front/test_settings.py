"""The settings: defaults, refusals, and the policy that they make."""

from __future__ import annotations

from typing import Any

import pytest
from traitlets import TraitError
from traitlets.config import Config, Configurable

from kavach_ipy.front.settings import Kavach
from kavach_ipy.policy import OPTIONS, PROFILES, Policy, is_at_most

NOT_A_SETTING = {"outputs", "inputs", "clean", "session", "trust"}


def test_untouched_settings_make_the_default_policy() -> None:
    """Somebody who configures nothing gets what the documentation calls the default."""
    assert Kavach().to_policy() == Policy()


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.kind == "value"])
def test_every_option_with_a_value_has_a_setting(option: Any) -> None:
    """What can be said for a cell can be said for all cells, but for what belongs to one cell."""
    assert option.field in NOT_A_SETTING or option.field in Kavach.class_trait_names(config=True)


@pytest.mark.parametrize("name", sorted(Kavach.class_trait_names(config=True)))
def test_help_says_effect_default_and_safety(name: str) -> None:
    """A setting's help is a text of at least two sentences that states the default."""
    if hasattr(Configurable, name):
        pytest.skip(f"{name} is a setting of every traitlets class, not ours")
    text = str(Kavach.class_traits()[name].help)
    assert "y default" in text
    assert text.count(". ") >= 1
    assert text.endswith(".")


def test_a_configuration_file_sets_values() -> None:
    """``c.Kavach.memory = "1G"`` reaches the policy."""
    config = Config()
    config.Kavach.memory = "1G"
    config.Kavach.timeout = 30
    config.Kavach.network = "loopback"
    config.Kavach.readable = ["/srv/data"]
    policy = Kavach(config=config).to_policy()
    assert policy == Policy(memory="1G", timeout=30, network="loopback", read_only=["/srv/data"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory", "much"),
        ("memory", 0),
        ("memory", -1),
        ("timeout", "soon"),
        ("timeout", float("nan")),
        ("cpu", "none"),
        ("pids", 0),
        ("pids", "many"),
        ("files", 3),
        ("disk", "0"),
        ("output", "1MB"),
        ("messages", -5),
        ("network", "wifi"),
        ("readable", ["relative/path"]),
        ("writable", ["/a\0b"]),
        ("hidden", ["~nobody-of-that-name/x"]),
        ("environment", ["PA TH"]),
        ("profile", "generous"),
        ("profiles", {"strict": {"memory": "1G"}}),
        ("profiles", {"mine": {"memroy": "1G"}}),
        ("profiles", {"mine": {"memory": "-1"}}),
        ("profiles", {"mine": "1G"}),
    ],
)
def test_nonsense_is_refused_and_the_old_value_stays(name: str, value: object) -> None:
    """A wrong setting is an error that names it; nothing is repaired in silence."""
    settings = Kavach()
    before = settings.to_policy()
    with pytest.raises(TraitError, match=rf"Kavach\.{name}") as caught:
        setattr(settings, name, value)
    assert "\n" not in str(caught.value)
    assert settings.to_policy() == before


def test_a_misspelt_setting_is_refused() -> None:
    """``c.Kavach.hiden = [...]`` must not load as if the path were hidden."""
    config = Config()
    config.Kavach.hiden = ["/srv/secret"]
    with (
        pytest.warns(UserWarning, match="not recognized"),
        pytest.raises(TraitError, match=r"c\.Kavach\.hiden: .* did you mean 'hidden'"),
    ):
        Kavach(config=config)


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_profile_tightens_the_settings(name: str) -> None:
    """``c.Kavach.profile`` never allows more than the settings or the profile alone."""
    settings = Kavach(memory="100M", profile=name)
    policy = settings.to_policy()
    assert is_at_most(policy, PROFILES[name])
    assert is_at_most(policy, Policy(memory="100M"))


def test_own_profiles_are_the_settings_with_changes() -> None:
    """A user's profile says only what differs."""
    settings = Kavach(memory="1G")
    settings.profiles = {"students": {"timeout": "20s", "readable": ["/srv/course"]}}
    wanted = Policy(memory="1G", timeout=20, read_only=["/srv/course"])
    assert settings.own_profiles() == {"students": wanted}
    settings.profile = "students"
    assert settings.to_policy() == wanted


def test_profile_and_profiles_may_be_set_in_either_order() -> None:
    """A configuration file sets both at once; the order of its lines means nothing."""
    config = Config()
    config.Kavach.profile = "students"
    config.Kavach.profiles = {"students": {"timeout": "20s"}}
    assert Kavach(config=config).to_policy() == Policy(timeout=20)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("audit", "yes"),
        ("audit", ""),
        ("audit_directory", "logs"),
        ("audit_key", "key"),
        ("audit_hooks", ["print"]),
        ("audit_hooks", ["os.system('x')"]),
    ],
)
def test_audit_that_makes_no_sense_is_refused(name: str, value: object) -> None:
    """A misspelt mode, a relative path or no name of a callable: the old value stays."""
    settings = Kavach()
    with pytest.raises(TraitError, match="is not allowed"):
        setattr(settings, name, value)
    assert getattr(settings, name) == getattr(Kavach(), name)


def test_audit_is_off_and_can_be_insisted_on() -> None:
    """By default nothing is recorded; each mode can be set."""
    settings = Kavach()
    assert settings.audit == "off"
    for mode in ("on", "required", "off"):
        settings.audit = mode
    settings.audit_hooks = ["os.path.exists"]
    settings.audit_directory = "/var/log/kavach"


def test_with_the_hosts_network_every_cell_is_clean() -> None:
    """A fork knows the kernel's keys, so none has the network they work on."""
    settings = Kavach(network="host")
    assert settings.to_policy() == Policy(network="host", clean=True)
    settings.network = "loopback"
    assert settings.to_policy() == Policy(network="loopback")
