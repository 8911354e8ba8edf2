"""Options make exactly the policy that they say, or an error that names them."""

from __future__ import annotations

import re
import shlex
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy import (
    FIELDS,
    OPTIONS,
    Network,
    Option,
    Policy,
    from_flags,
    is_at_most,
    profile,
    tighten,
    to_flags,
)
from tests.unit.policy.strategies import odd_paths, paths, policies

CWD = "/home/me"
ALL_FLAGS = {flag for option in OPTIONS for flag in option.flags}


def read(line: str, base: Policy | None = None) -> Policy:
    """Return the policy of a command line as a user types it."""
    return from_flags(shlex.split(line), base=base or Policy(), cwd=CWD)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", Policy()),
        ("--no-net", Policy()),
        ("--loopback", Policy(network="loopback")),
        ("--net --clean", Policy(network="host", clean=True)),
        ("--clean --net", Policy(network="host", clean=True)),
        ("-o a,b --out c", Policy(outputs="a,b,c")),
        ("-o=a --out=b", Policy(outputs="a,b")),
        ("-i df", Policy(inputs="df")),
        ("--in ''", Policy(inputs=())),
        ("--in '*'", Policy()),
        ("--timeout 30s", Policy(timeout=30)),
        ("--timeout none", Policy()),
        ("--cpu=10s", Policy(cpu=10)),
        ("--memory 512M", Policy(memory=2**29)),
        ("--pids 64 --files 256", Policy(pids=64, files=256)),
        ("--disk 64M --output 8M", Policy(disk=2**26, output=2**23)),
        ("--ro data --ro /srv", Policy(read_only=[f"{CWD}/data", "/srv"])),
        ("--rw '../a b' --hide .", Policy(writable="/home/a b", hidden=CWD)),
        ("--ro ./none", Policy(read_only=f"{CWD}/none")),
        ("--ro=-odd", Policy(read_only=f"{CWD}/-odd")),
        ("--session model-1", Policy(session="model-1")),
        ("--trust", Policy(trust=True)),
        ("--stdin", Policy(stdin=True)),
        ("--trust-display", Policy(trust_display=True)),
        ("--profile strict", profile("strict")),
    ],
)
def test_each_option_means_what_its_help_says(line: str, expected: Policy) -> None:
    """Every option of the design, alone, in both spellings, in any order."""
    assert read(line) == expected


@pytest.mark.parametrize(
    ("line", "field", "said"),
    [
        ("--memroy 1G", "--memroy", "did you mean '--memory'"),
        ("--no_net", "--no_net", "did you mean '--no-net'"),
        ("--mem 1G", "--mem", "did you mean '--memory'"),
        ("-memory 1G", "-memory", "did you mean '--memory'"),
        ("-oa", "-oa", "did you mean '-o a'"),
        ("-out a", "-out", "did you mean '--out'"),
        ("--", "--", "there is no such option"),
        ("a", "a", "options begin with --"),
        ("-o a, b", "b", "joined by commas without blanks"),
        ("-o a b", "b", "joined by commas without blanks"),
        ("--memory", "--memory", "it needs a SIZE"),
        ("--memory --no-net", "--memory", "it needs a SIZE"),
        ("--memory -o a", "--memory", "it needs a SIZE"),
        ("--ro --unknown", "--ro", "it needs a PATH"),
        ("--no-net=1", "--no-net", "takes no value"),
        ("--trust=", "--trust", "takes no value"),
        ("--no-net --net", "--net", "contradicts or repeats --no-net"),
        ("--memory 1G --memory 2G", "--memory", "contradicts or repeats --memory"),
        ("--profile strict --profile agent", "--profile", "contradicts or repeats"),
        ("--net", "--net", "--net only with --clean"),
        ("--timeout -5", "--timeout", "such as 30s"),
        ("--cpu none", "--cpu", "such as 30s"),
        ("--memory 512", "--memory", "without a unit it is bytes"),
        ("--memory 1MB", "--memory", "write M or MiB"),
        ("--pids 1e3", "--pids", "a whole number"),
        ("-o _x", "-o", "begin with _"),
        ("--out print", "--out", "a builtin of Python"),
        ("-o a,a.b", "-o", "a variable's name"),
        ("--session '../x'", "--session", "a letter followed by"),
        ("--ro ''", "--ro", "the working directory is a dot"),
        ("--ro '~nobody-has-this-name/x'", "--ro", "an absolute path"),
        ("--ro a --rw a", "--rw", "it is read-only as well"),
        ("--ro a/b --hide a", "--ro", "hidden wins"),
        ("--hide /", "--hide", "a path below /"),
        ("--hide /proc", "--hide", "the sandbox's own"),
        ("--hide /dev/null", "--hide", "the sandbox's own"),
        ("--profile stric", "--profile", "did you mean 'strict'"),
        ("--profile ''", "--profile", "default, strict, grading, agent"),
    ],
)
def test_misuse_is_an_error_that_names_the_option(line: str, field: str, said: str) -> None:
    """The message carries the option as it was written, and a way out."""
    with pytest.raises(PolicyError) as caught:
        read(line)
    assert caught.value.field == field
    assert said in str(caught.value)


@given(st.lists(st.text(max_size=8) | st.sampled_from(sorted(ALL_FLAGS)), max_size=5))
def test_any_command_line_is_a_policy_or_a_policy_error(argv: list[str]) -> None:
    """Nothing exits, and nothing else is ever raised."""
    try:
        policy = from_flags(argv, base=Policy(), cwd=CWD)
    except PolicyError:
        return
    assert from_flags(to_flags(policy, base=Policy()), base=Policy(), cwd="/") == policy


def test_a_relative_directory_to_start_from_is_refused() -> None:
    """Paths would depend on where the kernel happens to stand."""
    with pytest.raises(PolicyError, match="an absolute directory"):
        from_flags([], base=Policy(), cwd="here")


@given(policies(places=paths), policies(places=paths), st.sampled_from(("/", CWD)))
def test_options_written_for_a_policy_make_it_again(policy: Policy, base: Policy, cwd: str) -> None:
    """Any difference that options can express survives being written and read."""
    wanted = policy.replace(
        environment=base.environment,
        messages=base.messages,
        clean=policy.clean or base.clean,
        trust=policy.trust or base.trust,
        stdin=policy.stdin or base.stdin,
        trust_display=policy.trust_display or base.trust_display,
        session=policy.session or base.session,
    )
    line = shlex.join(to_flags(wanted, base=base))
    assert from_flags(shlex.split(line), base=base, cwd=cwd) == wanted


@given(policies(places=odd_paths))
def test_odd_paths_survive_as_options(policy: Policy) -> None:
    """Blanks, quotes, escapes and bytes that are no text are kept."""
    base = Policy(environment=policy.environment, messages=policy.messages)
    assert from_flags(to_flags(policy, base=base), base=base, cwd=CWD) == policy


def test_an_equal_policy_needs_no_options() -> None:
    """Only differences are written."""
    assert to_flags(Policy(memory="1G"), base=Policy(memory="1G")) == []
    assert to_flags(Policy(memory="1G"), base=Policy()) == ["--memory", "1GiB"]


@pytest.mark.parametrize(
    ("policy", "base"),
    [
        (Policy(environment="PATH"), Policy()),
        (Policy(messages=5), Policy()),
        (Policy(), Policy(clean=True)),
        (Policy(), Policy(trust=True)),
        (Policy(), Policy(stdin=True)),
        (Policy(), Policy(trust_display=True)),
        (Policy(), Policy(session="s")),
    ],
)
def test_what_no_option_can_say_is_an_error_and_not_lost(policy: Policy, base: Policy) -> None:
    """A line that would make another policy is never written."""
    with pytest.raises(PolicyError, match=r"no option can say so: set c\.Kavach"):
        to_flags(policy, base=base)


def test_paths_add_to_those_of_the_settings_until_told_to_start_afresh() -> None:
    """An option beside the settings does not take away what they hide."""
    base = Policy(read_only="/data", hidden="/secret")
    assert read("--ro /more --hide /other", base).read_only == ("/data", "/more")
    assert read("--ro /more --hide /other", base).hidden == ("/other", "/secret")
    assert read("--ro /more --ro none", base).read_only == ("/more",)
    assert read("--hide none", base).hidden == ()


def test_a_path_that_the_user_names_leaves_the_other_list_of_the_settings() -> None:
    """What is typed in the cell decides over the same place in the settings."""
    assert read("--rw /data", Policy(read_only="/data")) == Policy(writable="/data")
    assert read("--ro /data", Policy(writable="/data")) == Policy(read_only="/data")


def test_a_path_that_the_settings_hide_cannot_be_shown_by_accident() -> None:
    """Hidden wins, and the user is told instead of seeing nothing there."""
    with pytest.raises(PolicyError, match="hidden wins"):
        read("--ro /secret/x", Policy(hidden="/secret"))


@given(policies(sessions=(None,)), st.sampled_from(("default", "strict", "grading", "agent")))
def test_a_profile_tightens_the_settings_wherever_it_stands(base: Policy, name: str) -> None:
    """The result is at most both, and the other options come after it."""
    chosen = read(f"--profile {name}", base)
    assert chosen == tighten(base, profile(name))
    assert is_at_most(chosen, base)
    expected = chosen.replace(memory="3G")
    assert read(f"--profile {name} --memory 3G", base) == expected
    assert read(f"--memory 3G --profile {name}", base) == expected


def test_the_users_own_profiles_stand_in_the_place_of_the_settings() -> None:
    """They may be larger than the settings, and cannot take a built-in name."""
    own = {"big": Policy(memory="64G")}
    argv = ["--profile", "big"]
    assert from_flags(argv, base=Policy(), cwd=CWD, profiles=own).memory == 64 * 2**30
    with pytest.raises(PolicyError, match="did you mean 'big'"):
        from_flags(["--profile", "bigg"], base=Policy(), cwd=CWD, profiles=own)
    with pytest.raises(PolicyError, match="built-in"):
        from_flags(argv, base=Policy(), cwd=CWD, profiles={"strict": Policy()})


def test_the_table_covers_every_option_of_the_design() -> None:
    """Flags are unique, complete, and set fields that exist."""
    flags = [flag for option in OPTIONS for flag in option.flags]
    assert len(flags) == len(set(flags))
    assert set(flags) == {
        "--no-net",
        "--loopback",
        "--net",
        "-o",
        "--out",
        "-i",
        "--in",
        "--timeout",
        "--cpu",
        "--memory",
        "--pids",
        "--files",
        "--disk",
        "--output",
        "--ro",
        "--rw",
        "--hide",
        "--profile",
        "--session",
        "--clean",
        "--trust",
        "--stdin",
        "--trust-display",
    }
    assert {option.field for option in OPTIONS} == {*FIELDS, "profile"} - {
        "messages",
        "environment",
    }


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.flags[-1])
def test_every_help_text_tells_the_default_and_can_be_formatted(option: Option) -> None:
    """Help names the default, and holds no per cent sign, which argparse would interpret."""
    assert re.search(r"default", option.help, re.IGNORECASE)
    assert "%" not in option.help
    assert (option.metavar is None) == (option.kind == "switch") == (option.const is not None)
    assert option.is_repeatable == (option.kind in ("names", "paths"))
    with pytest.raises(FrozenInstanceError):
        option.help = ""  # type: ignore[misc]


def test_switches_are_members_of_their_fields() -> None:
    """The three network switches are the three networks."""
    consts = {option.const for option in OPTIONS if option.field == "network"}
    assert consts == set(Network)
