"""A Policy that exists is valid, in one form, and does not change."""

from __future__ import annotations

import math
import os
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest
from hypothesis import given

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy import DEFAULT_ENVIRONMENT, FIELDS, Network, Policy, survives
from kavach_ipy.policy.environment import normalise_patterns
from tests.unit.policy.strategies import odd_paths, policies


def test_user_forms_become_plain_values() -> None:
    """What people write in a call is kept as numbers, tuples and members."""
    policy = Policy(
        network="loopback",
        inputs="b, a,a",
        outputs=["y"],
        timeout=30,
        cpu="1m",
        memory="512M",
        pids="64",
        read_only=Path("/data"),
        writable=["/srv/../out/", "//scratch"],
        hidden=[b"/caf\xe9"],
        environment="PATH, LC_*",
    )
    assert policy.network is Network.LOOPBACK
    assert policy.inputs == ("a", "b")
    assert policy.outputs == ("y",)
    assert (policy.timeout, policy.cpu, policy.memory, policy.pids) == (30.0, 60.0, 2**29, 64)
    assert policy.read_only == ("/data",)
    assert policy.writable == ("/out", "/scratch")
    assert policy.hidden == ("/caf\udce9",)
    assert policy.environment == ("LC_*", "PATH")


def test_the_default_bounds_everything_but_the_clock() -> None:
    """A policy that nobody thought about has no network and a limit of every other kind."""
    policy = Policy()
    assert policy.network is Network.NONE
    assert policy.timeout is None
    assert (policy.cpu, policy.memory, policy.pids) == (3600.0, 4 * 2**30, 512)
    assert (policy.files, policy.disk, policy.output) == (1024, 2**29, 2**24)
    assert policy.messages == 10_000
    assert (policy.read_only, policy.writable, policy.hidden) == ((), (), ())
    assert (policy.clean, policy.session, policy.trust) == (False, None, False)
    assert not policy.stdin


def test_a_policy_cannot_be_changed() -> None:
    """Fields are frozen and no attribute can be added."""
    policy = Policy()
    with pytest.raises(FrozenInstanceError):
        policy.memory = 1  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        policy.memroy = 1  # type: ignore[attr-defined]
    assert not hasattr(policy, "__dict__")


@given(policies(places=odd_paths))
def test_equal_policies_are_one_key_and_survive_every_copy(policy: Policy) -> None:
    """Mapping, replacing and pickling give an equal policy with an equal hash."""
    copies = (
        Policy.from_mapping(policy.to_mapping()),
        policy.replace(),
        replace(policy),
        pickle.loads(pickle.dumps(policy)),
    )
    assert all(copy == policy and hash(copy) == hash(policy) for copy in copies)


def test_repr_shows_what_differs_from_the_default() -> None:
    """A policy in a traceback is short."""
    assert repr(Policy()) == "Policy()"
    assert repr(Policy(memory="1G", timeout=5)) == f"Policy(timeout=5.0, memory={2**30})"


BAD_VALUES: list[tuple[str, object]] = [
    *(("network", value) for value in ("NONE", "all", "", None, 0, True)),
    *(("memory", value) for value in (0, -1, True, math.nan, math.inf, 2**63, "1X", "512", None)),
    *(("timeout", value) for value in (0, -1, True, math.nan, math.inf, "forever", 2**63)),
    *(("cpu", value) for value in (None, "none", 0, False)),
    *(("pids", value) for value in (0, -1, True, 1.5, "64M", 2**63)),
    *(("files", value) for value in (15, True)),
    *(("disk", value) for value in (4095, "1")),
    *(("output", value) for value in (0, "8")),
    *(("messages", value) for value in (0, None)),
    *(("clean", value) for value in (0, 1, "yes", None)),
    *(("trust", value) for value in ("false", 1)),
    *(("stdin", value) for value in ("false", 1)),
    *(("trust_display", value) for value in ("false", 1)),
    *(("session", value) for value in ("", "1a", "a b", "a" * 33, "../x", "é", "a\n", 3, True)),
    *(("environment", value) for value in ("A**", "*A", "A=B", "1A", "A B", "Ä", "a,,b", 3)),
    *(("environment", value) for value in ([3], None, "A" * 300)),
    *(("inputs", value) for value in ("1a", "a b", "a,", "class", "__x", "In", "get_ipython", 3)),
    *(("inputs", value) for value in ([3], {"a": 1}, "None", "a" * 300)),
]


@pytest.mark.parametrize(("field", "value"), BAD_VALUES)
def test_nonsense_is_an_error_that_names_field_value_and_way_out(field: str, value: object) -> None:
    """No value is repaired or ignored."""
    with pytest.raises(PolicyError) as caught:
        Policy.from_mapping({field: value})
    assert caught.value.field == field
    assert caught.value.allowed


@pytest.mark.parametrize(
    "name",
    [
        *("_", "_x", "__x__", "__builtins__", "get_ipython", "In", "Out", "exit", "quit"),
        *("print", "open", "display", "class", "None", "a.b", "a[0]", "", "a-b", "1a", "a\0"),
        # Full-width letters are the same identifier to Python.
        *("ｅｘｉｔ", "ｐｒｉｎｔ"),  # noqa: RUF001
    ],
)
def test_a_name_that_would_change_the_shell_cannot_come_back(name: str) -> None:
    """Keywords, private names, builtins and the shell's own are refused, however they are spelt."""
    with pytest.raises(PolicyError) as caught:
        Policy(outputs=[name])
    assert caught.value.field == "outputs"


def test_ordinary_names_can_come_back() -> None:
    """Plain identifiers pass, also those that are soft keywords or not ASCII."""
    assert Policy(outputs="summary,match,größe,x_1").outputs == ("größe", "match", "summary", "x_1")
    assert Policy(inputs="_x,print").inputs == ("_x", "print")


@pytest.mark.parametrize(("value", "expected"), [(None, None), ("*", None), ("", ()), ([], ())])
def test_all_names_and_no_names_are_different(
    value: str | None, expected: tuple[str, ...] | None
) -> None:
    """Nothing given means all; an empty list means none."""
    assert Policy(inputs=value, outputs=value).inputs == expected
    assert Policy(inputs=value, outputs=value).outputs == expected


def test_the_hosts_network_needs_a_clean_interpreter() -> None:
    """A forked child knows the kernel's keys, so it never gets the network they work on."""
    with pytest.raises(PolicyError, match="--net only with --clean, because a forked child knows"):
        Policy(network="host")
    assert Policy(network="host", clean=True).network is Network.HOST


@pytest.mark.parametrize(
    "path",
    ["data", "", ".", "./x", "~nobody-has-this-name/x", "/a\0b", "/\ud800", "/" + "a/" * 2048],
)
@pytest.mark.parametrize("field", ["read_only", "writable", "hidden"])
def test_a_path_that_the_kernel_could_not_take_is_refused(field: str, path: str) -> None:
    """Relative, null-holding, unencodable and overlong paths are errors."""
    with pytest.raises(PolicyError) as caught:
        Policy.from_mapping({field: path})
    assert caught.value.field == field


@pytest.mark.parametrize("value", [3, None, [3], {"/a": 1}])
def test_what_is_no_path_is_refused(value: object) -> None:
    """Only texts, bytes and path objects are paths."""
    with pytest.raises(PolicyError):
        Policy.from_mapping({"read_only": value})


def test_the_home_directory_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde means the home, never a directory of that name."""
    monkeypatch.setenv("HOME", "/home/me")
    assert Policy(read_only="~/data").read_only == ("/home/me/data",)


@given(odd_paths)
def test_names_that_are_no_text_survive(path: str) -> None:
    """Any bytes that the kernel takes as a name come out as they went in."""
    assert os.fsencode(Policy(writable=path).writable[0]) == os.fsencode(path)


def test_one_file_has_one_text() -> None:
    """A spelling by surrogates cannot show what the ordinary spelling hides."""
    assert Policy(read_only="/caf\udcc3\udca9") == Policy(read_only="/café")
    with pytest.raises(PolicyError, match="hidden wins"):
        Policy(hidden="/café", read_only="/caf\udcc3\udca9/x")


def test_lists_that_mean_the_same_are_equal() -> None:
    """Order, doubles and entries that another entry includes make no difference."""
    long = Policy(
        read_only=["/a", "/a/b", "/a"], writable=["/a/b/c", "/w/x", "/w"], hidden=["/h/i", "/h"]
    )
    assert long == Policy(read_only="/a", writable=["/w", "/a/b/c"], hidden="/h")
    assert Policy(environment="OMP_*,OMP_NUM_THREADS") == Policy(environment="OMP_*")


def test_a_read_only_island_in_a_writable_place_is_kept() -> None:
    """The deeper entry speaks for what is below it."""
    policy = Policy(writable="/w", read_only=["/w/keep", "/w/keep/x"])
    assert (policy.writable, policy.read_only) == (("/w",), ("/w/keep",))


@pytest.mark.parametrize(
    ("mapping", "field"),
    [
        ({"read_only": "/a", "writable": "/a/."}, "writable"),
        ({"read_only": "/a/b", "hidden": "/a"}, "read_only"),
        ({"writable": "/a", "hidden": "/a"}, "writable"),
        ({"hidden": "/"}, "hidden"),
    ],
)
def test_paths_that_contradict_each_other_are_refused(
    mapping: dict[str, object], field: str
) -> None:
    """Nobody is left to guess which of two entries wins."""
    with pytest.raises(PolicyError) as caught:
        Policy.from_mapping(mapping)
    assert caught.value.field == field


def test_a_path_beside_a_hidden_one_is_allowed() -> None:
    """A common beginning of two names is no common directory."""
    assert Policy(read_only="/data2", hidden="/data").read_only == ("/data2",)


def test_an_unknown_setting_is_refused_with_the_nearest_known_one() -> None:
    """A misspelt limit is never a limit that is not there."""
    with pytest.raises(PolicyError, match="did you mean 'memory'"):
        Policy.from_mapping({"memroy": "1G"})
    with pytest.raises(PolicyError, match="did you mean 'read_only'"):
        Policy().replace(**{"read-only": "/a"})
    with pytest.raises(PolicyError, match="allowed are clean, cpu"):
        Policy.from_mapping({"": 1})


def test_replace_changes_only_what_it_names() -> None:
    """The other fields stay, and the result is checked like any policy."""
    policy = Policy(memory="1G", timeout=5).replace(timeout=None, pids=7)
    assert policy == Policy(memory="1G", pids=7)
    with pytest.raises(PolicyError):
        policy.replace(network="host")


def test_every_field_is_listed_and_described() -> None:
    """FIELDS is the order of the class, and every field says what enforces it."""
    assert tuple(field.name for field in fields(Policy)) == FIELDS
    source = Path(Policy.__init__.__code__.co_filename).read_text(encoding="utf-8")
    for name in FIELDS:
        described = source.partition(f"    {name}: ")[2].partition('"""')[2].partition('"""')[0]
        assert "Enforced by" in described, name


CREDENTIALS = [
    "ANTHROPIC_API_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "CONDA_TOKEN",
    "DATABASE_URL",
    "DBUS_SESSION_BUS_ADDRESS",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "HF_TOKEN",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "JPY_API_TOKEN",
    "JPY_PARENT_PID",
    "JPY_SESSION_NAME",
    "JUPYTERHUB_API_TOKEN",
    "JUPYTER_TOKEN",
    "KAGGLE_KEY",
    "KRB5CCNAME",
    "MLFLOW_TRACKING_URI",
    "NETRC",
    "OPENAI_API_KEY",
    "PGPASSWORD",
    "PIP_INDEX_URL",
    "PYTHONSTARTUP",
    "SSH_AUTH_SOCK",
    "TMPDIR",
    "VAULT_TOKEN",
    "WANDB_API_KEY",
    "XDG_RUNTIME_DIR",
    "BASH_ENV",
    "LD_PRELOAD",
    "http_proxy",
]
NEEDED = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TERM",
    "COLUMNS",
    "LINES",
    "PYTHONHASHSEED",
    "PYTHONIOENCODING",
    "PYTHONUTF8",
    "MPLBACKEND",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMBA_THREADING_LAYER",
    "VECLIB_MAXIMUM_THREADS",
    "TF_CPP_MIN_LOG_LEVEL",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
]


@pytest.mark.parametrize("name", CREDENTIALS)
def test_the_default_environment_carries_no_credentials(name: str) -> None:
    """Tokens, passwords, sockets and start-up hooks do not survive."""
    assert not survives(name, Policy().environment)


@pytest.mark.parametrize("name", NEEDED)
def test_the_default_environment_carries_what_numeric_notebooks_need(name: str) -> None:
    """Paths, language, clock and thread counts survive."""
    assert survives(name, Policy().environment)


def test_the_default_environment_is_in_its_final_form() -> None:
    """The shortcut for it returns what the long way would."""
    assert normalise_patterns(list(DEFAULT_ENVIRONMENT)) == DEFAULT_ENVIRONMENT


def test_a_star_in_a_variables_own_name_is_no_pattern() -> None:
    """The environment of a hostile parent cannot widen the list."""
    assert not survives("*", ("PATH",))
    assert not survives("PATH*", ("PATH",))
    assert survives("LC_", ("LC_*",))
