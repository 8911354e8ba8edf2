"""IPython at a real terminal: questions, Ctrl-C and the line of progress."""

from __future__ import annotations

import os
import pty
import re
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 30.0
SHELL = """
import os, sys
os.chdir(sys.argv[1])
sys.path.insert(0, sys.argv[1])
from IPython.terminal.interactiveshell import TerminalInteractiveShell
shell = TerminalInteractiveShell.instance()
shell.run_line_magic("load_ext", "kavach_ipy")
while True:
    cell = sys.stdin.readline()
    if not cell:
        break
    shell.run_cell(eval(cell), store_history=True)
    print("d" + "one")
"""


class Terminal:
    """IPython with a pseudoterminal of its own."""

    def __init__(self, profile: Path) -> None:
        self.said = ""
        self.pid, self._tty = pty.fork()
        if self.pid == 0:
            environment = {**os.environ, "IPYTHONDIR": str(profile), "COLUMNS": "100"}
            os.execve(sys.executable, [sys.executable, "-c", SHELL, str(ROOT)], environment)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._tty, text.encode())

    def run(self, cell: str) -> None:
        """Start a cell; what was said before is forgotten."""
        self.said = ""
        self.type(f"{cell!r}\n")
        echo = repr(cell)[-20:]
        self.said = self.wait_for(echo).partition(echo)[2]

    def interrupt(self, word: str) -> None:
        """Press Ctrl-C until the terminal shows a word.

        Python's input() does not notice a signal that comes between its prompt and its read, which
        nobody is quick enough for but a test on a busy machine; the next one it notices as one.
        """
        for _ in range(5):
            self.type("\x03")
            if self._shows(word, 3.0):
                return
        raise AssertionError(f"{word!r} did not come after {self.said!r}")

    def wait_for(self, word: str) -> str:
        """Wait until the terminal has shown a word; all that it has shown, without colours."""
        assert self._shows(word, DEADLINE), f"{word!r} did not come after {self.said!r}"
        return self.said

    def _shows(self, word: str, seconds: float) -> bool:
        limit = time.monotonic() + seconds
        while word not in self.said:
            ready, _, _ = select.select([self._tty], [], [], max(0.0, limit - time.monotonic()))
            if not ready:
                return False
            self.said += re.sub(r"\x1b\[[0-9;]*m", "", os.read(self._tty, 1 << 16).decode())
        return True

    def close(self) -> None:
        """End it."""
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self._tty)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """One for all tests of this file."""
    started = Terminal(tmp_path_factory.mktemp("ipython"))
    yield started
    started.close()


def test_input_asks_at_the_terminal_with_the_mark(terminal: Terminal) -> None:
    """The prompt says who asks, and Enter answers."""
    terminal.run("%%sandbox --stdin\nname = input('name: ')\nprint('hello', name)")
    terminal.wait_for("[sandbox] name: ")
    terminal.type("Ada\n")
    assert "hello Ada" in terminal.wait_for("done")


def test_getpass_shows_nothing_of_what_is_typed(terminal: Terminal) -> None:
    """And the terminal echoes again afterwards."""
    terminal.run("%%sandbox --stdin\nimport getpass\nprint(len(getpass.getpass('key: ')))")
    terminal.wait_for("[sandbox] key: ")
    terminal.type("secret\n")
    assert "secret" not in terminal.wait_for("done")
    assert "6" in terminal.said


def test_control_c_at_a_question_is_the_cells(terminal: Terminal) -> None:
    """The cell's KeyboardInterrupt, and the shell goes on."""
    terminal.run("%%sandbox --stdin\ninput('name: ')")
    terminal.wait_for("[sandbox] name: ")
    terminal.interrupt("done")
    assert "KeyboardInterrupt" in terminal.said
    terminal.run("print(40 + 2)")
    assert "42" in terminal.wait_for("done")


def test_the_debugger_works_at_the_terminal(terminal: Terminal) -> None:
    """``breakpoint()`` stops, shows variables and goes on."""
    terminal.run("%%sandbox --stdin\nvalue = 6\nbreakpoint()\nprint('end of it')")
    terminal.wait_for("db")
    terminal.type("p value * 7\n")
    terminal.wait_for("42")
    terminal.type("c\n")
    assert "end of it" in terminal.wait_for("done")


def test_progress_is_one_line_that_control_c_ends(terminal: Terminal) -> None:
    """It is written over itself, and a cell that is interrupted leaves nothing of it."""
    terminal.run("%%sandbox --report\nimport time\nprint('before')\ntime.sleep(600)")
    terminal.wait_for("running for 3s")
    terminal.type("\x03")
    terminal.wait_for("done")
    assert "KeyboardInterrupt" in terminal.said
    *_, line = re.findall(r"\r(\[sandbox\] running[^\r]*)", terminal.said)
    # As wide as what stood there, Ctrl-C's echo behind it included.
    width = len(line.removesuffix("^C")) + len("^C")
    assert f"\r{' ' * width}\r" in terminal.said


def test_bars_below_each_other_are_written_over(terminal: Terminal) -> None:
    """An inner bar is erased by the outer one, within the rows of the cell."""
    terminal.run(
        "%%sandbox\nfrom tqdm import tqdm\nfor _ in tqdm(range(2), mininterval=0):\n"
        "    for _ in tqdm(range(2), mininterval=0, leave=False): pass"
    )
    said = terminal.wait_for("done")
    assert said.count("\x1b[1A") >= 4
    terminal.run("%%sandbox\nprint('\\x1b[99Aevil')")
    assert "\x1b[99A" not in terminal.wait_for("done")
    assert "\x1b[" not in terminal.said.partition("evil")[0][-20:]
