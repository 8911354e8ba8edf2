"""What a sandboxed cell raises looks like an ordinary cell's error, and the kernel lives on."""

from __future__ import annotations

import re

import pytest

from tests.kernel.kernels import Kernel, Run

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


def _without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def plain(run: Run) -> str:
    """The traceback of a run without colours; no frame of kavach_ipy may be in it."""
    text = _without_colours("\n".join(run.error["traceback"]))
    assert "kavach_ipy/" not in text
    assert "run_cell_magic" not in text
    return text


def test_an_exception_has_the_cells_own_lines(kernel: Kernel) -> None:
    """Name, text, and the notebook's own cell and line numbers; the reply says error."""
    run = kernel.run("%%sandbox\ndef f():\n    return 1 / 0\n\nf()")
    assert run.status == "error"
    assert (run.error["ename"], run.error["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert (run.reply["ename"], run.reply["evalue"]) == ("ZeroDivisionError", "division by zero")
    text = plain(run)
    number = run.reply["execution_count"]
    assert f"In[{number}], line 5" in text
    assert f"In[{number}], line 3, in f" in text
    assert "return 1 / 0" in text


def test_there_is_one_error_message(kernel: Kernel) -> None:
    """Front ends show each; the child's own is held back, and the streams are empty."""
    run = kernel.run("%%sandbox\nraise KeyError('k')")
    assert [kind for kind, _ in run.outputs] == ["error"]


def test_a_syntax_error_points_at_the_line(kernel: Kernel) -> None:
    """Also an error before the first line ran has the notebook's numbers."""
    run = kernel.run("%%sandbox\nx = 1\ny = = 2")
    assert run.error["ename"] == "SyntaxError"
    text = plain(run)
    assert "line 3" in text
    assert "y = = 2" in text


def test_an_indented_cell_runs_as_ever(kernel: Kernel) -> None:
    """A cell that was pasted with its indent runs, as IPython runs it."""
    assert kernel.run("%%sandbox\n    x = 20\n    x + 1").result["data"]["text/plain"] == "21"


def test_an_exception_group_is_told(kernel: Kernel) -> None:
    """IPython prints groups to stderr; both the print and the error arrive."""
    run = kernel.run("%%sandbox\nraise ExceptionGroup('both', [ValueError(1), TypeError(2)])")
    assert run.error["ename"] == "ExceptionGroup"
    assert "ValueError: 1" in run.stderr
    assert "TypeError: 2" in run.stderr


def test_what_a_failed_cell_sent_is_not_kept(kernel: Kernel) -> None:
    """The last traceback, which IPython keeps, holds no value that came before the end."""
    run = kernel.run(
        "%%sandbox -o a\nimport gc, os, numpy\nfrom kavach_ipy.launch.link import ChildLink\n"
        "(link,) = (found for found in gc.get_objects() if isinstance(found, ChildLink))\n"
        "link.value('a', numpy.ones(1_000_000))\nos._exit(3)"
    )
    assert "status 3" in run.error["evalue"]
    assert kernel.value("'kavach-arena' in open('/proc/self/maps').read()") == "False"
    assert kernel.run("%%sandbox -o a\nimport numpy\na = numpy.ones(1_000_000)").status == "ok"
    assert kernel.value("'kavach-arena' in open('/proc/self/maps').read()") == "True"


def test_sys_exit_ends_the_cell_and_not_the_kernel(kernel: Kernel) -> None:
    """``SystemExit`` is told as an ordinary cell tells it."""
    assert kernel.run("%%sandbox\nimport sys\nsys.exit(3)").error["ename"] == "SystemExit"
    assert kernel.value("1 + 1") == "2"


def test_a_usage_error_inside_is_one_line(kernel: Kernel) -> None:
    """A misused magic in the cell says so once."""
    run = kernel.run("%%sandbox\n%timeit -z")
    assert run.status == "error"
    assert run.stderr.startswith("UsageError: ")
    assert run.stderr.count("UsageError") == 1
    assert run.of("error") == []


def test_an_error_of_a_formatter_does_not_end_the_cell(kernel: Kernel) -> None:
    """A broken ``_repr_html_`` is an error output, and the plain representation is shown."""
    run = kernel.run(
        "%%sandbox\nclass Odd:\n    def _repr_html_(self):\n        raise ValueError('broken')\n"
        "    def __repr__(self):\n        return 'odd'\nOdd()"
    )
    assert run.result["data"]["text/plain"] == "odd"
    assert run.error["ename"] == "ValueError"
    assert "raise ValueError('broken')" in plain(run)


def test_an_error_that_the_cell_goes_on_after_is_shown_at_once(kernel: Kernel) -> None:
    """It stands where it happened, and the cell is not over."""
    run = kernel.run(
        "%%sandbox\nprint('before')\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n"
        "    get_ipython().showtraceback()\nprint('after')\n5"
    )
    assert run.status == "ok"
    assert [kind for kind, _ in run.outputs] == ["stream", "error", "stream", "execute_result"]


def test_an_error_that_the_cell_forges_is_filtered(kernel: Kernel) -> None:
    """What a hostile cell sends as an error has no escape sequences and a proper name."""
    run = kernel.run(
        "%%sandbox\nimport gc\nfrom kavach_ipy.launch.link import ChildLink\n"
        "(link,) = (found for found in gc.get_objects() if isinstance(found, ChildLink))\n"
        "link.message('error', {'ename': '<b>', 'evalue': '\\x1b]0;title\\x07text',"
        " 'traceback': ['\\x1b[2Jcleared', 'line']})"
    )
    assert run.status == "ok"
    assert run.error == {"ename": "Exception", "evalue": "text", "traceback": ["cleared", "line"]}


def test_the_last_error_can_be_shown_again(kernel: Kernel) -> None:
    """``%tb`` in the notebook shows the cell's lines, and no frame of ours."""
    first = plain(kernel.run("%%sandbox\ndef f():\n    1 / 0\nf()"))
    assert plain(kernel.run("%tb")) == first


@pytest.mark.parametrize("call", ["input()", "display(1)\n    print(end='')\n    1 / 0"])
def test_a_thread_that_dies_shows_its_own_lines(kernel: Kernel, call: str) -> None:
    """Python prints what a thread raised, and no frame of ours is in it."""
    run = kernel.run(
        f"%%sandbox\nimport threading\ndef work():\n    {call}\n"
        "thread = threading.Thread(target=work, name='worker')\nthread.start()\nthread.join()"
    )
    assert run.status == "ok"
    # Python 3.13 and later colour it.
    shown = _without_colours(run.stderr)
    assert "Exception in thread worker" in shown
    assert "line 4, in work" in shown or "line 6, in work" in shown
    assert "kavach_ipy/" not in shown


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ("", "import os; os._exit(0)", "ended by itself with status 0"),
        ("", "import os; os._exit(7)", "ended by itself with status 7"),
        ("", "import os; os.abort()", "SIGABRT"),
        ("", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "SIGTERM"),
        ("", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("", "import os, signal; os.kill(os.getpid(), signal.SIGFPE)", "SIGFPE"),
        ("", "import os, signal; os.kill(os.getpid(), signal.SIGUSR1)", "SIGUSR1"),
        ("--timeout 300ms", "import time; time.sleep(60)", "--timeout"),
        ("--cpu 1s", "while True: pass", "--cpu"),
        ("--output 100K", "print('x' * 1_000_000)", "--output"),
    ],
)
def test_each_end_has_a_message_of_its_own(
    kernel: Kernel, options: str, code: str, told: str
) -> None:
    """Exits, signals and limits are told apart, in one plain message without a frame."""
    run = kernel.run(f"%%sandbox {options}\n{code}")
    assert (run.status, run.error["ename"]) == ("error", "CellStopped")
    assert told in run.error["evalue"]
    assert "File " not in plain(run)


def test_a_failed_cell_stops_what_was_asked_for_after_it(kernel: Kernel) -> None:
    """Run All ends at the cell that failed: the kernel aborts the requests behind it."""
    failing = kernel.start("%%sandbox\n1 / 0")
    behind = kernel.start("after_all = 1")
    kernel.finish(failing)
    while True:
        reply = kernel.client.get_shell_msg(timeout=30)
        if reply["parent_header"].get("msg_id") == behind:
            break
    assert reply["content"]["status"] in {"aborted", "error"}
    assert kernel.value("'after_all' in globals()") == "False"


def test_nbclient_raises_for_a_failed_cell() -> None:
    """Whoever executes notebooks sees the error, its name and its lines."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed here")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed here")
    cells = ["%load_ext kavach_ipy", "%%sandbox\nraise LookupError('lost')", "print('never')"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    with pytest.raises(nbclient.exceptions.CellExecutionError) as raised:
        nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    assert (raised.value.ename, raised.value.evalue) == ("LookupError", "lost")
    assert notebook.cells[2].outputs == []


def test_errors_can_be_caught_in_the_notebook(kernel: Kernel) -> None:
    """The error is a ``CellFailed`` that names the exception, and no object of the child's."""
    kernel.run(
        "from kavach_ipy import CellFailed\n"
        "try:\n    get_ipython().run_cell_magic('sandbox', '', '{}[\"k\"]')\n"
        "except CellFailed as error:\n    caught = (type(error).__name__, error.name, error.text)"
    )
    assert kernel.value("caught") == "('KeyError', 'KeyError', \"'k'\")"


def test_a_crash_ends_the_cell_and_not_the_kernel(kernel: Kernel) -> None:
    """A null pointer in native code is one clear message."""
    run = kernel.run("%%sandbox\nimport ctypes\nctypes.string_at(0)")
    assert run.status == "error"
    assert run.error["ename"] == "CellStopped"
    assert "SIGSEGV" in plain(run)
    assert kernel.value("1 + 1") == "2"


def test_a_timeout_ends_the_cell_and_not_the_kernel(kernel: Kernel) -> None:
    """An endless loop ends at its deadline; the message names the option."""
    run = kernel.run("%%sandbox --timeout 500ms\nprint('started')\nwhile True:\n    pass")
    assert run.error["ename"] == "CellStopped"
    assert "timeout" in plain(run)
    assert run.stdout == "started\n"
    assert kernel.value("1 + 1") == "2"


def test_an_interrupt_is_the_cells_keyboard_interrupt(kernel: Kernel) -> None:
    """The stop button reaches the cell as it reaches any cell, and the cell may clean up."""
    request = kernel.start(
        "%%sandbox\nimport time\ntry:\n    print('ready')\n    time.sleep(60)\n"
        "finally:\n    print('cleaned up')"
    )
    # The text arrives while the cell sleeps, so this is also the proof that output is live.
    while kernel.next_output(request)[0] != "stream":
        pass
    kernel.manager.interrupt_kernel()
    run = kernel.finish(request)
    assert run.error["ename"] == "KeyboardInterrupt"
    assert run.stdout == "cleaned up\n"
    assert kernel.value("1 + 1") == "2"


def test_what_cannot_be_enforced_is_said_and_nothing_runs(kernel: Kernel) -> None:
    """A refusal is one message with a remedy, no traceback, and the reply says error."""
    run = kernel.run("%%sandbox --ro /not/there\nprint('ran')")
    assert run.status == "error"
    assert run.error["ename"] == "CannotEnforce"
    assert "did not run" in plain(run)
    assert "File " not in plain(run)
    assert run.stdout == ""


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ("--disk 8M", "open('/tmp/big', 'wb').write(b'x' * (9 << 20))", "--disk"),
        ("--memory 128M", "x = bytearray(1 << 30)", "--memory"),
    ],
)
def test_an_error_of_a_limit_says_which_option_raises_it(
    kernel: Kernel, options: str, code: str, told: str
) -> None:
    """Below the cell's own traceback, once."""
    text = plain(kernel.run(f"%%sandbox {options}\n{code}"))
    assert text.count("the sandbox's limit is reached") == 1
    assert text.endswith(f"Raise it with {told}.")


def test_memory_that_no_limit_would_see_is_explained_in_the_notebook(kernel: Kernel) -> None:
    """Without a control group that counts it, the user reads why, and what to use instead."""
    report = kernel.run("%%sandbox --report\n1")
    run = kernel.run("%%sandbox\nimport mmap\nlen(mmap.mmap(-1, 4096))")
    if "no process holds" in str(report.outputs):
        assert run.status == "ok"
        return
    assert "No such device" in plain(run)
    assert "no limit would see" in plain(run)
    assert "multiprocessing.shared_memory" in plain(run)
