"""Errors as a notebook shows them."""

from __future__ import annotations

import pickle

import pytest
from IPython.core.error import UsageError

from kavach_ipy.errors import CannotEnforce, CellFailed, CellStopped, KavachError, SetupFailed
from kavach_ipy.front.failures import SandboxError, as_shown, needs_linux

REFUSALS = [
    CannotEnforce("landlock", "landlock_create_ruleset(2): ENOSYS", "Use a newer kernel."),
    SetupFailed("mount /proc", "mount(2)", 1, "masked."),
    CellStopped("timeout", "1.0 s", "1s", "Raise it with --timeout."),
]


def lines_of(error: object) -> list[str]:
    """What IPython would show."""
    render = getattr(error, "_render_traceback_", None)
    assert render is not None
    return list(render())


def test_a_failure_has_the_name_and_the_lines_of_the_cells_error() -> None:
    """Class name, text and traceback are the cell's, so a front end shows what it always shows."""
    error = as_shown(CellFailed("KeyError", "'k'", ("Traceback", "KeyError: 'k'")))
    assert type(error).__name__ == "KeyError"
    assert str(error) == "'k'"
    assert lines_of(error) == ["Traceback", "KeyError: 'k'"]


def test_a_failure_is_never_the_exception_that_it_names() -> None:
    """``except KeyError`` in the notebook is for the notebook's own; ours is a ``CellFailed``."""
    error = as_shown(CellFailed("KeyError", "'k'"))
    assert isinstance(error, SandboxError)
    assert isinstance(error, CellFailed)
    assert not isinstance(error, KeyError)
    # Without lines of the cell's there is still one to show.
    assert "'k'" in lines_of(error)[0]


@pytest.mark.parametrize("name", ["not a name", "", "for", "a.b", "__import__('os')"])
def test_a_name_that_is_no_identifier_becomes_ours(name: str) -> None:
    """What is shown as a class name can only ever be one."""
    assert type(as_shown(CellFailed(name, "text"))).__name__ == "SandboxError"


def test_a_usage_error_of_the_cell_is_one_of_the_notebook() -> None:
    """IPython shows those as one line, wherever they were raised."""
    error = as_shown(CellFailed("UsageError", "no such option"))
    assert isinstance(error, UsageError)
    assert str(error) == "no such option"


@pytest.mark.parametrize("error", REFUSALS)
def test_a_refusal_is_one_message_of_its_own_class(error: KavachError) -> None:
    """No traceback, the message in full, and ``except CannotEnforce`` works."""
    shown = as_shown(error)
    assert isinstance(shown, type(error))
    assert str(shown) == str(error)
    (text,) = lines_of(shown)
    assert type(error).__name__ in text
    assert " ".join(str(error).split()) in " ".join(text.split())


@pytest.mark.parametrize("error", [*REFUSALS, CellFailed("KeyError", "'k'", ("one", "two"))])
def test_what_is_raised_pickles_as_the_public_class(error: KavachError) -> None:
    """A class made on the spot cannot be found by name, so the one that it stands for is."""
    copy = pickle.loads(pickle.dumps(as_shown(error)))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)


def test_another_system_is_one_sentence_with_a_way_out() -> None:
    """On macOS and Windows the extension says what it needs and where to find it."""
    text = str(needs_linux("darwin"))
    assert "Linux" in text
    assert "darwin" in text
    assert "\n" not in text
