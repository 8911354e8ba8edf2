"""An exception of the cell is text: its name, its words, the lines of the cell."""

from __future__ import annotations

import pytest

from tests.contract.cells import NEEDS, failed, run

pytestmark = [pytest.mark.contract, NEEDS]


def test_exception_has_name_text_and_the_cells_own_lines() -> None:
    """The traceback starts in the cell and shows its source; nothing of ours stands in it."""
    failure = failed("def f(n):\n    return 1 / n\n\nf(0)")
    assert (failure.name, failure.text) == ("ZeroDivisionError", "division by zero")
    shown = [line for line in failure.lines if set(line.strip()) - set("~^")]
    assert shown == [
        "Traceback (most recent call last):",
        '  File "<cell>", line 4, in <module>',
        "    f(0)",
        '  File "<cell>", line 2, in f',
        "    return 1 / n",
        "ZeroDivisionError: division by zero",
    ]


def test_exception_in_the_last_expression_has_its_line() -> None:
    """The part that is evaluated knows where it stands in the cell."""
    assert '  File "<cell>", line 3, in <module>' in failed("x = 0\n\n1 / x").lines


def test_chained_exceptions_are_all_shown() -> None:
    """``from`` and ``__context__`` come with their own tracebacks."""
    text = "\n".join(
        failed("try:\n    {}['k']\nexcept KeyError as e:\n    raise ValueError('v') from e").lines
    )
    assert text.index("KeyError: 'k'") < text.index("direct cause") < text.index("ValueError: v")
    assert "kavach_ipy" not in text


def test_notes_and_groups_are_shown() -> None:
    """PEP 678 notes and PEP 654 groups are in the lines."""
    text = "\n".join(failed("e = ValueError('v')\ne.add_note('a note')\nraise e").lines)
    assert "a note" in text
    failure = failed("raise ExceptionGroup('many', [ValueError('one'), TypeError('two')])")
    assert failure.name == "ExceptionGroup"
    assert "ValueError: one" in "\n".join(failure.lines)


def test_syntax_error_shows_the_cell_and_nothing_else() -> None:
    """The caret stands below the cell's line; no file of the machine is named."""
    failure = failed("a = 1\nx = = 1")
    assert failure.name == "SyntaxError"
    assert failure.lines[0] == '  File "<cell>", line 2'
    assert failure.lines[1] == "    x = = 1"
    assert failure.lines[-1] == "SyntaxError: invalid syntax"


@pytest.mark.parametrize(
    ("code", "name", "text"),
    [
        ("raise SystemExit(3)", "SystemExit", "3"),
        ("import sys; sys.exit('bye')", "SystemExit", "bye"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
        ("raise GeneratorExit", "GeneratorExit", ""),
        ("import asyncio; raise asyncio.CancelledError", "CancelledError", ""),
    ],
)
def test_what_is_no_exception_is_the_cells_all_the_same(code: str, name: str, text: str) -> None:
    """SystemExit and its like end the cell, and never this process."""
    failure = failed(code)
    assert (failure.name, failure.text) == (name, text)


def test_class_of_the_cells_own_comes_as_its_name() -> None:
    """No class crosses; the name does."""
    assert failed("class Mine(Exception): pass\nraise Mine('x')").name == "Mine"


def test_text_that_cannot_be_made_is_said_so() -> None:
    """An exception whose ``__str__`` raises still ends the cell as its own failure."""
    failure = failed("class E(Exception):\n    def __str__(self): raise OSError\nraise E")
    assert failure.name == "E"


def test_endless_recursion_is_an_exception() -> None:
    """RecursionError comes back within the bounds of a failure."""
    failure = failed("def f(): f()\nf()")
    assert failure.name == "RecursionError"
    assert len(failure.lines) < 3000


def test_text_of_ten_megabytes_is_cut() -> None:
    """A long message does not cross whole, and does not break the wire either."""
    failure = failed("raise ValueError('x' * (10 << 20))")
    assert failure.name == "ValueError"
    assert len(failure.text) < 1 << 20


def test_escape_codes_of_a_message_are_taken_out() -> None:
    """What a terminal would obey is not in the text."""
    assert "\x1b" not in failed("raise ValueError('\\x1b]0;title\\x07')").text


def test_output_before_the_exception_is_kept() -> None:
    """A failure does not swallow what was printed, and brings no value."""
    outcome = run("x = 1\nprint('before')\n1 / 0\nprint('after')", out=["x"])
    assert outcome.stdout == "before\n"
    assert not outcome.values
