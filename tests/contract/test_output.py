"""Text arrives whole, in order, live, from every way of printing."""

from __future__ import annotations

import os
import signal

import pytest

from kavach_ipy import Sandbox
from kavach_ipy.launch.script import script_body
from tests.contract.cells import NEEDS, Ear, children, run

pytestmark = [pytest.mark.contract, NEEDS]


def test_streams_are_kept_apart_and_in_order() -> None:
    """A sink hears what was printed in the order of the cell, stream by stream."""
    heard: list[tuple[str, str]] = []

    class Both(Ear):
        def stream(self, name: str, text: str) -> None:
            heard.append((name, text))

    code = "import sys\nfor n in range(50):\n    print(n, file=(sys.stdout, sys.stderr)[n % 2])"
    outcome = Sandbox().execute(script_body(code, {}), sink=Both())
    assert [text.strip() for _, text in heard] == [str(n) for n in range(50)]
    assert {name for name, text in heard if int(text) % 2} == {"stderr"}
    assert outcome.stdout.split() == [str(n) for n in range(0, 50, 2)]


def test_text_is_heard_while_the_cell_runs() -> None:
    """The cell waits until its first line has been heard, and is let go from outside."""

    class Answering(Ear):
        def at_text(self, text: str) -> None:
            for child in children(os.getpid()):
                os.kill(child, signal.SIGUSR1)

    ear = Answering()
    code = (
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        "print('waiting')\nsignal.sigtimedwait([signal.SIGUSR1], 30).si_signo"
    )
    outcome = Sandbox().execute(script_body(code, {}), sink=ear).check()
    assert (ear.heard, outcome.result) == ("waiting\n", int(signal.SIGUSR1))


def test_descriptors_one_and_two_are_heard() -> None:
    """Native code and subprocesses write to the same streams."""
    outcome = run(
        "import os\nos.write(1, b'one ')\nos.write(2, b'two ')\n"
        "os.system('echo three; echo four >&2')"
    ).check()
    assert (outcome.stdout, outcome.stderr) == ("one three\n", "two four\n")


def test_prints_and_native_text_keep_their_order() -> None:
    """What goes by the channel and what goes by the descriptors is heard as it was written."""
    heard: list[str] = []

    class Answering(Ear):
        def stream(self, name: str, text: str) -> None:
            del name
            heard.append(text)
            if text.endswith("last\n"):
                for child in children(os.getpid()):
                    os.kill(child, signal.SIGUSR1)

    rounds = 40
    code = (
        "import os, signal, subprocess\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        f"for n in range({rounds}):\n"
        "    print(n, 'print', flush=True)\n"
        "    os.write(1 + n % 2, b'%d native\\n' % n)\n"
        "    print(n, 'again', flush=True)\n"
        "    if n % 10 == 0:\n"
        "        subprocess.run(['/bin/sh', '-c', f'echo {n} process >&{1 + n % 2}'])\n"
        "    print(n, 'last', flush=True)\n"
        "    signal.sigtimedwait([signal.SIGUSR1], 30).si_signo"
    )
    Sandbox().execute(script_body(code, {}), sink=Answering()).check()
    assert "".join(heard).splitlines() == [
        f"{n} {word}"
        for n in range(rounds)
        for word in ("print", "native", "again", *(("process",) * (n % 10 == 0)), "last")
    ]


def test_text_without_a_newline_and_at_the_very_end_is_heard() -> None:
    """Nothing waits in a buffer when the cell is over."""
    assert run("print('a', end='')\nimport sys\nsys.stderr.write('b')").stdout == "a"
    assert run("import os\nprint('a', end='')\nos.write(1, b'b')\n1 / 0").stdout in ("ab", "ba")


def test_one_megabyte_to_one_stream_before_the_other_does_not_lock() -> None:
    """Both pipes are read as they fill."""
    code = "import os\nfor _ in range(16):\n    os.write(2, b'e' * 65536)\nos.write(1, b'o')"
    outcome = run(code).check()
    assert (len(outcome.stderr), outcome.stdout) == (1 << 20, "o")


def test_bytes_that_are_no_text_are_replaced() -> None:
    """Broken UTF-8 becomes U+FFFD; a character cut in two arrives whole."""
    assert run("import os\nos.write(1, b'\\xff')").stdout == "�"
    assert run("import os\nos.write(1, b'\\xc3')\nos.write(1, b'\\xa9')").stdout == "é"


def test_escape_codes_do_not_reach_the_caller() -> None:
    """Colours stay; what moves a cursor or sets a title goes."""
    text = run(r"print('\x1b[31mred\x1b[0m\x1b]0;t\x07\x1b[2J\x9b5n')").stdout
    assert "\x1b[31mred" in text
    assert not [code for code in ("\x1b]", "\x1b[2J", "\x9b", "\x07") if code in text]


def test_input_is_off() -> None:
    """`input` and standard input are at their end, and the cell does not wait."""
    code = """
    import os, sys
    try:
        input()
    except EOFError:
        asked = "EOFError"
    asked, sys.stdin.read(), os.read(0, 10)
    """
    assert run(code).check().result == ("EOFError", "", b"")


def test_text_of_a_forked_process_is_heard() -> None:
    """Prints of a child arrive with those of the cell."""
    code = """
    import os
    if os.fork() == 0:
        print("child", flush=True)
        os._exit(0)
    os.wait()
    print("cell")
    """
    assert sorted(run(code).check().stdout.split()) == ["cell", "child"]
