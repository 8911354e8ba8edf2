"""IPython in a terminal: no kernel, no messages, the same cells."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

ROOT = Path(__file__).resolve().parents[2]


def type_in(profile: Path, *cells: str) -> str:
    """Run cells in a terminal's shell and return all that it printed, without colours."""
    code = (
        "from IPython.terminal.interactiveshell import TerminalInteractiveShell\n"
        "shell = TerminalInteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'kavach_ipy')\n"
        f"for cell in {cells!r}:\n    shell.run_cell(cell, store_history=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "IPYTHONDIR": str(profile)},
        check=True,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def test_a_cell_prints_shows_and_returns(tmp_path: Path) -> None:
    """Text in order, ``Out[n]`` with the notebook's number, and the value behind ``_``."""
    text = type_in(
        tmp_path,
        "x = 20",
        "%%sandbox -o y\nprint('one')\ndisplay('two')\nprint('three')\ny = x + 1\ny * 2",
        "y, _",
    )
    wanted = ["one", "'two'", "three", "Out[2]: 42", "Out[3]: (21, 42)"]
    places = [text.index(piece) for piece in wanted]
    assert places == sorted(places)


def test_a_clean_cell_prints_shows_and_returns(tmp_path: Path) -> None:
    """The same from a fresh interpreter, whose shell has no kernel either; nothing is written."""
    text = type_in(
        tmp_path,
        "x = 20",
        "%%sandbox --clean -i x -o y\nprint('one')\ndisplay('two')\ny = x + 1\ny * 2",
        "y, _",
        "%%sandbox --clean\n1 / 0",
    )
    wanted = ["one", "'two'", "Out[2]: 42", "Out[3]: (21, 42)", "ZeroDivisionError: division"]
    places = [text.index(piece) for piece in wanted]
    assert places == sorted(places)
    assert "kavach_ipy/" not in text


def test_an_error_has_its_traceback(tmp_path: Path) -> None:
    """The cell's lines, once, and none of ours."""
    text = type_in(tmp_path, "%%sandbox\nx = 1\nx / 0", "1 + 1")
    assert text.count("ZeroDivisionError: division by zero") == 1
    assert "line 3" in text
    assert "kavach_ipy/" not in text
    assert "Out[2]: 2" in text


def test_an_error_that_the_cell_goes_on_after_is_shown(tmp_path: Path) -> None:
    """Once, where it happened; magics that note something in the profile work as well."""
    text = type_in(
        tmp_path,
        "%%sandbox\n%cd /tmp\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n"
        "    get_ipython().showtraceback()\nprint('after')",
    )
    assert text.count("ZeroDivisionError: division by zero") == 1
    assert text.index("division by zero") < text.index("after")
    assert "kavach_ipy/" not in text


def test_await_magics_and_capture_work(tmp_path: Path) -> None:
    """What a kernel's child can do, a terminal's can."""
    text = type_in(
        tmp_path,
        "%%sandbox\nimport asyncio\nawait asyncio.sleep(0.01, result='woken')",
        "%%sandbox\n!echo from the shell",
        "%%capture cap\n%%sandbox\nprint('said')\n'result'",
        "print('captured', repr(cap.stdout), cap.outputs[0].data['text/plain'])",
    )
    assert "'woken'" in text
    assert "from the shell" in text
    assert "captured 'said\\n' 'result'" in text


def test_input_without_a_terminal_is_an_error(tmp_path: Path) -> None:
    """Nobody is there to ask, so the cell is told so."""
    text = type_in(tmp_path, "%%sandbox\ninput('who?')")
    assert "EOFError" in text


def test_history_on_disk_is_the_notebooks_alone(tmp_path: Path) -> None:
    """The child never opens the history file."""
    type_in(tmp_path, "%%sandbox\n'inside'", "'outside'")
    text = type_in(tmp_path, "print(list(get_ipython().history_manager.get_tail(10)))")
    assert text.count("inside") == 1
    assert text.count("outside") == 1
