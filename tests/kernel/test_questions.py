"""``--stdin``: input(), getpass and the debugger of a cell ask the person at the notebook."""

from __future__ import annotations

import pytest

from tests.kernel.kernels import Kernel, Run

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

MARK = "[sandbox] "
MANY = (
    "import os, threading, time\nfor _ in range(3):\n    if os.fork() == 0:\n"
    "        time.sleep(0.3)\n        block = b'x' * (60 << 20)\n        time.sleep(600)\n"
)
BUSY = (
    "import threading\nthreading.Thread(target=eval, args=('[0 for _ in iter(int, 1)]',)).start()\n"
)
UNTIL_A_LIMIT = {"memory": ("--memory 100M", MANY), "cpu": ("--cpu 1s", BUSY)}


def ask(
    kernel: Kernel, code: str, *answers: str, options: str = "--stdin"
) -> tuple[list[str], Run]:
    """Run a cell and answer what it asks; the prompts, and what it did."""
    request = kernel.start(f"%%sandbox {options}\n{code}", allow_stdin=True)
    prompts = []
    for answer in answers:
        prompts.append(kernel.is_asked()[0])
        kernel.client.input(answer)
    return prompts, kernel.finish(request)


def test_input_asks_with_the_sandboxs_mark(kernel: Kernel) -> None:
    """The user reads who asks, and the cell gets the line."""
    prompts, run = ask(kernel, "print('first')\n[input('name: '), input()]", "Ada", "ünï \\ ☃")
    assert prompts == [f"{MARK}name: ", MARK]
    assert run.stdout == "first\n"
    assert run.result["data"]["text/plain"] == "['Ada', 'ünï \\\\ ☃']"


def test_getpass_asks_for_a_password(kernel: Kernel) -> None:
    """What is typed is not shown, as ever."""
    request = kernel.start("%%sandbox --stdin\nimport getpass\nlen(getpass.getpass('key: '))")
    assert kernel.is_asked() == (f"{MARK}key: ", True)
    kernel.client.input("secret")
    assert kernel.finish(request).result["data"]["text/plain"] == "6"


@pytest.mark.parametrize("way", ["traceback.print_exc()", "logging.exception('caught')"])
def test_a_question_that_failed_shows_the_cells_own_lines(kernel: Kernel, way: str) -> None:
    """A traceback that the cell prints itself has its line, and no frame of ours."""
    code = f"import logging, traceback\ntry:\n    input()\nexcept EOFError:\n    {way}"
    shown = kernel.run(f"%%sandbox\n{code}").stderr
    assert "input()" in shown
    assert "--stdin" in shown
    assert "kavach_ipy/" not in shown


@pytest.mark.parametrize("stop", ["breakpoint()", "import pdb; pdb.set_trace()"])
def test_the_debugger_takes_commands(kernel: Kernel, stop: str) -> None:
    """The cell stops at its line, and the variables there can be looked at."""
    prompts, run = ask(kernel, f"secret = 6\n{stop}\nsecret = 7\nprint('end')", "p secret * 7", "c")
    assert prompts == [f"{MARK}ipdb> "] * 2
    assert "42\n" in run.stdout
    assert run.stdout.endswith("end\n")


def test_a_debugger_that_nobody_can_command_says_why_it_quits(kernel: Kernel) -> None:
    """The end of its input looks like "quit" to pdb, so the reason is printed."""
    prompts, run = ask(kernel, "import pdb; pdb.set_trace()\nprint('end')", options="")
    assert (prompts, run.error["ename"]) == ([], "BdbQuit")
    assert "--stdin" in run.stderr


def test_a_client_that_cannot_ask_is_an_error_of_the_cell(kernel: Kernel) -> None:
    """As when nbclient executes a notebook: no wait, and the reason."""
    run = kernel.run("%%sandbox --stdin\ninput('who? ')", allow_stdin=False)
    assert run.error["ename"] == "EOFError"
    assert "allow_stdin" in run.error["evalue"]


def test_without_the_option_the_error_names_it(kernel: Kernel) -> None:
    """Nobody is asked, though the client could."""
    prompts, run = ask(kernel, "input('who? ')", options="")
    assert (prompts, run.error["ename"]) == ([], "EOFError")
    assert "--stdin" in run.error["evalue"]


def test_the_setting_is_the_default_of_the_option(kernel: Kernel) -> None:
    """``c.Kavach.stdin`` lets every cell ask, and a profile takes it back."""
    kernel.run("%config Kavach.stdin = True")
    assert ask(kernel, "input()", "yes", options="")[1].status == "ok"
    assert ask(kernel, "input()", options="--profile agent")[1].error["ename"] == "EOFError"
    kernel.run("%config Kavach.stdin = False")


def test_the_clock_stands_still_while_somebody_is_asked(kernel: Kernel) -> None:
    """A person may take longer than --timeout, which holds for the rest of the cell."""
    code = "import time\nasked = time.monotonic()\ninput()\nwaited = time.monotonic() - asked\n"
    request = kernel.start(f"%%sandbox --stdin --timeout 1s\n{code}waited > 1.2")
    kernel.is_asked()
    assert kernel.wait_on_control(1.3)
    kernel.client.input("late")
    assert kernel.finish(request).result["data"]["text/plain"] == "True"
    _, run = ask(kernel, "input()\nwhile True: pass", "", options="--stdin --timeout 500ms")
    assert "timeout" in run.error["evalue"]


@pytest.mark.parametrize("limit", UNTIL_A_LIMIT)
def test_limits_are_watched_while_somebody_is_asked(kernel: Kernel, limit: str) -> None:
    """The question is over with the cell, though nobody has answered."""
    options, code = UNTIL_A_LIMIT[limit]
    request = kernel.start(f"%%sandbox --stdin {options}\n{code}input('busy ')")
    kernel.is_asked()
    assert f"stopped by {limit}" in kernel.finish(request).error["evalue"]
    assert kernel.value("1 + 1") == "2"


def test_a_cell_that_ends_while_it_asks_ends_the_question(kernel: Kernel) -> None:
    """Nobody has to answer a dead cell."""
    code = "import os, threading\nthreading.Timer(0.2, os._exit, (3,)).start()\ninput('still? ')"
    request = kernel.start(f"%%sandbox --stdin\n{code}")
    kernel.is_asked()
    assert "status 3" in kernel.finish(request).error["evalue"]
    kernel.run("%%sandbox\n1")
    assert "kavach-asking" not in kernel.value(
        "[t.name for t in __import__('threading').enumerate()]"
    )


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("'\\x1b[2J\\x1b[1G\\r\\b\\bPassword: '", " Password: "),
        ("'\\n' * 50 + 'sudo: '", " sudo: "),
        ("'x' * 5_000_000", "x" * 199 + "…"),
        ("' ' * 70 + 'login: '", " login: "),
        ("'[sandbox] '", MARK),
    ],
    ids=["escapes", "lines", "megabytes", "blanks", "mark"],
)
def test_a_hostile_prompt_stays_behind_the_mark(kernel: Kernel, prompt: str, shown: str) -> None:
    """One short line, that nothing in it can move, paint over or hide."""
    prompts, run = ask(kernel, f"input({prompt})", "")
    assert prompts == [MARK + shown]
    assert run.status == "ok"
