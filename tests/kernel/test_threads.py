"""Cells of other threads than the main one: the notebook's own, and subshells of ipykernel 7."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import pytest

from tests.kernel.kernels import Kernel, Run

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

IN_THREADS = """
import threading
ends = {{}}
def go(name, line, cell):
    try:
        get_ipython().run_cell_magic("sandbox", line, cell)
    except BaseException as error:
        ends[name] = type(error).__name__ + ": " + str(error)
    else:
        ends[name] = "ok"
threads = [threading.Thread(target=go, args=cell) for cell in {cells!r}]
for thread in threads: thread.start()
for thread in threads: thread.join({patience})
"""
has_subshells = pytest.mark.skipif(
    int(version("ipykernel").partition(".")[0]) < 7, reason="ipykernel 6 has no subshells"
)


def in_threads(kernel: Kernel, *cells: tuple[str, str, str], patience: float = 20) -> Run:
    """Run cells, each in a thread of the notebook, and wait for all of them."""
    return kernel.run(IN_THREADS.format(cells=cells, patience=patience))


def open_subshell(kernel: Kernel) -> str:
    """Have the kernel make a subshell; its id."""
    message = kernel.client.session.msg("create_subshell_request")
    kernel.client.control_channel.send(message)
    return str(kernel.client.get_control_msg(timeout=20)["content"]["subshell_id"])


def start_in(kernel: Kernel, subshell: str, code: str) -> str:
    """Send a cell to a subshell, and return the request's id."""
    content: dict[str, Any] = {
        "code": code, "silent": False, "store_history": True, "user_expressions": {},
        "allow_stdin": True, "stop_on_error": True,
    }  # fmt: skip
    message = kernel.client.session.msg("execute_request", content)
    message["header"]["subshell_id"] = subshell
    kernel.client.shell_channel.send(message)
    return str(message["header"]["msg_id"])


def test_a_thread_of_the_notebook_can_run_a_cell(kernel: Kernel) -> None:
    """Output, result and values arrive as from the main thread."""
    run = in_threads(kernel, ("one", "-o made", "made = 5\nprint('said')\nmade * 2"))
    assert kernel.value("ends, made") == "({'one': 'ok'}, 5)"
    assert run.stdout == "said\n"
    assert run.result["data"]["text/plain"] == "10"


def test_two_threads_run_two_cells_at_once(kernel: Kernel) -> None:
    """Each gets its own variables back, and no display or result is lost."""
    code = "for i in range(10):\n    print('{0}'); display('{0}')\n{0} = '{0}'\n{0}"
    names = ("left", "right")
    run = in_threads(kernel, *((name, f"-o {name}", code.format(name)) for name in names))
    assert kernel.value("sorted(ends.items())") == "[('left', 'ok'), ('right', 'ok')]"
    assert kernel.value("left, right") == "('left', 'right')"
    assert sorted(run.stdout.split()) == ["left"] * 10 + ["right"] * 10
    assert len(run.of("display_data")) == 20
    results = sorted(result["data"]["text/plain"] for result in run.of("execute_result"))
    assert results == ["'left'", "'right'"]


def test_a_thread_cannot_ask_and_says_so(kernel: Kernel) -> None:
    """No signal could end a question there, so nobody is asked, and nothing waits."""
    in_threads(kernel, ("asks", "--stdin", "input('who? ')"))
    assert "only a cell that the main thread runs can ask" in kernel.value("ends['asks']")


def test_unloading_while_a_thread_runs_a_cell_lets_it_end(kernel: Kernel) -> None:
    """The cell comes to its end; what is unloaded is the magic."""
    in_threads(kernel, ("slow", "-o late", "import time\ntime.sleep(0.5)\nlate = 1"), patience=0.1)
    assert kernel.run("%unload_ext kavach_ipy").status == "ok"
    assert "not found" in kernel.run("%%sandbox\n1").stderr
    kernel.run("threads[0].join(20)")
    assert kernel.value("ends, late") == "({'slow': 'ok'}, 1)"
    assert kernel.run("%load_ext kavach_ipy").status == "ok"


@has_subshells
def test_a_subshell_runs_a_cell_beside_the_main_shell(kernel: Kernel) -> None:
    """While the main shell is busy, each cell's output and result is its own request's."""
    subshell = open_subshell(kernel)
    main, beside = Run(), Run()
    waits = kernel.start("%%sandbox\nimport time\nprint('main', flush=True)\ntime.sleep(600)")
    kernel.wait_for(waits, "main", main)
    code = "%%sandbox -o there\nthere = 6\nprint('beside')\ndisplay('shown')\nthere * 7"
    request = start_in(kernel, subshell, code)
    kernel.finish(request, beside)
    assert beside.status == "ok"
    assert beside.stdout == "beside\n"
    assert len(beside.of("display_data")) == 1
    assert beside.result["data"]["text/plain"] == "42"
    kernel.manager.interrupt_kernel()
    assert kernel.finish(waits, main).error["ename"] == "KeyboardInterrupt"
    assert kernel.value("there") == "6"
    assert kernel.finish(start_in(kernel, subshell, "%%sandbox\n1 / 0")).error["ename"] == (
        "ZeroDivisionError"
    )


@has_subshells
def test_an_interrupt_leaves_a_cell_of_a_subshell_to_its_timeout(kernel: Kernel) -> None:
    """Signals are the main thread's: the kernel lives and answers, and --timeout ends the cell."""
    run = Run()
    code = "%%sandbox --timeout 1500ms\nprint('ready', flush=True)\nwhile True: pass"
    request = start_in(kernel, open_subshell(kernel), code)
    kernel.wait_for(request, "ready", run)
    kernel.manager.interrupt_kernel()
    start = time.monotonic()
    assert kernel.value("1 + 1") == "2"
    assert time.monotonic() - start < 2
    # The value's own messages have pushed this cell's aside, so its reply tells the end.
    assert "timeout" in kernel.reply_to(request)["evalue"]
