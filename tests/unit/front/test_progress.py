"""The line of a running cell, as a terminal shows it, and where there is none."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from types import SimpleNamespace
from typing import Any, cast

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher

from kavach_ipy.front.progress import AFTER, Progress, progress_for

CAPTURE = cast("Callable[[], object]", CapturingDisplayPublisher)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def screen(self) -> str:
        """What is read on it: each line as its last writing left it."""
        lines = []
        for line in self.getvalue().split("\n"):
            shown = ""
            for written in line.split("\r"):
                shown = written + shown[len(written) :]
            lines.append(shown.rstrip())
        return "\n".join(lines)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    """A terminal of eighty columns."""
    stream = _Terminal()
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((80, 24)))
    return stream


def _shell(**parts: Any) -> Any:
    return SimpleNamespace(display_pub=object(), **parts)


def _line(terminal: _Terminal, clock: list[float]) -> Progress:
    # Here, because pytest puts its own stream back after each fixture.
    with redirect_stdout(terminal):
        made = progress_for(_shell())
    made._now = lambda: clock[0]
    return made


def test_the_line_appears_after_two_seconds_and_goes(terminal: _Terminal) -> None:
    """Not before, one line all the time, and at the end nothing."""
    clock = [0.0]
    line = _line(terminal, clock)
    line.used(AFTER - 0.1, 5 << 20, 1)
    assert terminal.getvalue() == ""
    line.used(AFTER, 5 << 20, 1)
    assert terminal.screen() == "[sandbox] running for 2s, 5MiB of new memory, 1 process"
    clock[0] += 0.1
    line.used(AFTER + 0.1, 900 << 20, 12)
    assert "900" not in terminal.screen()
    clock[0] += 60
    line.used(AFTER + 60, 900 << 20, 12)
    assert terminal.screen() == "[sandbox] running for 1min2s, 900MiB of new memory, 12 processes"
    line.end()
    assert terminal.screen() == ""


def test_output_of_the_cell_takes_the_place_of_the_line(terminal: _Terminal) -> None:
    """It is printed as without the line, which comes back where the cell's line has ended."""
    clock = [0.0]
    line = _line(terminal, clock)
    line.used(3, 0, 1)
    line.make_room("half a ")
    terminal.write("half a ")
    clock[0] += 1
    line.used(4, 0, 1)
    assert terminal.screen() == "half a"
    line.make_room("line\n")
    terminal.write("line\n")
    clock[0] += 1
    line.used(5, 0, 1)
    assert terminal.screen().split("\n")[0] == "half a line"
    assert "running for 5s" in terminal.screen().split("\n")[1]
    line.end()
    assert terminal.screen() == "half a line\n"


def test_a_narrow_terminal_has_one_line_still(
    terminal: _Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second line could not be taken away."""
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((30, 24)))
    _line(terminal, [0.0]).used(3, 0, 1)
    assert len(terminal.screen()) == 27


@pytest.mark.parametrize(
    "shell",
    [
        _shell(),
        SimpleNamespace(display_pub=CAPTURE(), kernel=SimpleNamespace(_allow_stdin=True)),
        _shell(kernel=SimpleNamespace(_allow_stdin=False)),
    ],
    ids=["no terminal", "captured", "executed"],
)
def test_where_nobody_looks_there_is_no_line(shell: Any) -> None:
    """A file, a capture and an executed notebook would keep it."""
    stream = io.StringIO()
    with redirect_stdout(stream):
        line = progress_for(shell)
        assert line._line is None
        line.used(60, 1, 1)
        line.end()
    assert stream.getvalue() == ""
