"""The first line of a cell: what it asks for, and how misuse is told."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

from kavach_ipy.front.arguments import FRONT_FLAGS, policy_of, read_cell_line, read_code_line
from kavach_ipy.front.settings import Kavach
from kavach_ipy.policy import OPTIONS, Policy


def test_an_empty_line_asks_for_the_settings() -> None:
    """A bare ``%%sandbox`` is the default sandbox."""
    request = read_cell_line("")
    assert not request.wants_help
    assert not request.wants_report
    assert policy_of(request, Kavach()) == Policy()


def test_options_come_on_top_of_the_settings() -> None:
    """What a cell says wins over what the settings say, option by option."""
    request = read_cell_line("-o a,b --memory=1G --timeout '30s'")
    policy = policy_of(request, Kavach(memory="2G", pids=9))
    assert policy == Policy(outputs="a,b", memory="1G", timeout=30, pids=9)


def test_report_and_help_are_the_fronts_own() -> None:
    """They change what is shown, so the policy never hears of them."""
    request = read_cell_line("--no-net --report --help -o x")
    assert (request.wants_report, request.wants_help) == (True, True)
    assert request.options == ("--no-net", "-o", "x")


def test_a_value_spelt_like_our_own_option_stays_a_value() -> None:
    """``--out --report`` lacks a name; it does not silently ask for a report."""
    request = read_cell_line("--out --report")
    assert not request.wants_report
    with pytest.raises(UsageError, match="--out"):
        policy_of(request, Kavach())


@pytest.mark.parametrize(
    ("line", "options", "code"),
    [
        ("1 + 1", (), "1 + 1"),
        ("--no-net 1 + 1", ("--no-net",), "1 + 1"),
        ("-o y y = 'a  b'", ("-o", "y"), "y = 'a  b'"),
        ("--memory 1G x['key']", ("--memory", "1G"), "x['key']"),
        ("--memory=1G -- -x", ("--memory=1G",), "-x"),
        ('--rw "/a b" open("/a b/c")', ("--rw", "/a b"), 'open("/a b/c")'),
        (
            "--no-net print('it''s # not a comment')",
            ("--no-net",),
            "print('it''s # not a comment')",
        ),
        ("don't", (), "don't"),
        ("--no-net don't", ("--no-net",), "don't"),
        ("", (), ""),
    ],
)
def test_code_behind_the_options_is_left_as_it_was_written(
    line: str, options: tuple[str, ...], code: str
) -> None:
    """Quotes, blanks and comment signs of the code mean what Python says, not what a shell says."""
    request = read_code_line(line)
    assert request.options == options
    assert request.code == code


@pytest.mark.parametrize(
    ("line", "named", "hint"),
    [
        ("--memroy 1G", "--memroy", "--memory"),
        ("--memory much", "--memory", "512M"),
        ("--timeout -5", "--timeout", "30s"),
        ("--reprot", "--reprot", "--report"),
        ("--halp", "--halp", "--help"),
        ("-o for", "-o", "keyword"),
        ("-o print", "-o", "builtin"),
        ("-o a b", "b", "joined by commas"),
        ("-o *", "--out", "joined by commas"),
        ("--net", "--net", "--clean"),
        ("--no-net --loopback", "--loopback", "contradicts"),
        ("--profile generous", "--profile", "strict"),
        ("--pids", "--pids", "NUMBER"),
        ("x = 1", "x", "no option"),
    ],
)
def test_misuse_is_one_line_that_names_the_option_and_what_is_allowed(
    line: str, named: str, hint: str
) -> None:
    """Who mistypes is told what they typed and what would have been right."""
    with pytest.raises(UsageError) as caught:
        policy_of(read_cell_line(line), Kavach())
    text = str(caught.value)
    assert text.startswith(f"{named}:")
    assert hint in text
    assert "\n" not in text


@pytest.mark.parametrize("read", [read_cell_line, read_code_line])
def test_an_open_quotation_is_told(read: object) -> None:
    """A quotation mark that is missing is said, not guessed."""
    assert callable(read)
    with pytest.raises(UsageError, match="no closing quotation"):
        read('--rw "/a b')


def test_help_names_every_option_and_shows_three_examples() -> None:
    """The help is made from the same table that parses, so nothing can be missing."""
    from kavach_ipy.front.magics import KavachMagics

    text = KavachMagics.sandbox.__doc__ or ""
    for flag in (*FRONT_FLAGS, *(flag for option in OPTIONS for flag in option.flags)):
        assert flag in text
    assert text.count("%sandbox -") >= 3
