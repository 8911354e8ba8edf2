"""The message protocol as front ends rely on it, of a kernel that runs no cell itself."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.kernel.kernels import DEADLINE, Kernel, Run

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


def _shown(kernel: Kernel, code: str) -> str:
    run = kernel.run(code)
    assert run.status == "ok", run
    return str(run.result["data"]["text/plain"])


def test_cells_share_what_cells_of_a_kernel_share(broker: Kernel) -> None:
    """Variables, imports, In, Out, the working directory, and what %env says."""
    broker.run("import os\nx = 41\n%env GREETING=hello")
    assert _shown(broker, "x + 1") == "42"
    assert _shown(broker, "_, Out[len(In) - 2], In[-2]") == "(42, 42, 'x + 1')"
    assert _shown(broker, "os.environ['GREETING']") == "'hello'"
    broker.run("os.mkdir('sub')\n%cd -q sub")
    assert _shown(broker, "os.path.basename(os.getcwd())") == "'sub'"


def test_counts_are_those_of_a_plain_kernel(broker: Kernel) -> None:
    """One for each cell, errors included; none for a silent one, or one without history."""
    first = broker.run("1").reply["execution_count"]
    assert broker.run("1").result["execution_count"] == first + 1
    assert broker.run("1 / 0").reply["execution_count"] == first + 2
    assert broker.run("quiet = 3", silent=True).outputs == []
    broker.run("kept = quiet", store_history=False)
    run = broker.run("kept")
    assert run.result == {
        "data": {"text/plain": "3"},
        "metadata": {},
        "execution_count": first + 3,
    }


def test_failed_cell_has_one_error_and_the_reply_says_the_same(broker: Kernel) -> None:
    """With the cell's own line; the cell after it runs."""
    run = broker.run("def f():\n    return 1 / 0\nf()")
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(run.error["traceback"]))
    assert (run.status, run.error["ename"]) == ("error", "ZeroDivisionError")
    assert "----> 2     return 1 / 0" in text
    assert "kavach_ipy" not in text
    assert {key: run.reply[key] for key in run.error} == run.error
    assert broker.run("1").status == "ok"


def test_error_aborts_what_is_queued(broker: Kernel) -> None:
    """As the front end's "run all" needs it; with ``stop_on_error`` off, it goes on."""
    failing = broker.start("import time\ntime.sleep(0.2)\n1 / 0")
    queued = broker.start("1")
    assert broker.finish(failing).status == "error"
    assert broker.reply_to(queued)["status"] == "aborted"
    failing = broker.start("import time\ntime.sleep(0.2)\n1 / 0", stop_on_error=False)
    queued = broker.start("1")
    broker.finish(failing)
    assert broker.reply_to(queued)["status"] == "ok"


def test_all_output_comes_before_idle(broker: Kernel) -> None:
    """Of print, of a subprocess and of a descriptor, in the order in which it was written."""
    run = broker.run(
        "import os, sys\n"
        "print('one', flush=True)\n"
        "os.system('echo two')\n"
        "print('three', flush=True)\n"
        "os.write(1, b'four\\n')\n"
        "print('five', file=sys.stderr)"
    )
    assert run.stdout == "one\ntwo\nthree\nfour\n"
    assert run.stderr == "five\n"


def test_late_output_belongs_to_the_cell_that_started_it(broker: Kernel) -> None:
    """Of a thread and of a task, while another cell runs and while none does."""
    late = broker.start(
        "import asyncio, threading\n"
        "go = threading.Event()\n"
        "def thread():\n"
        "    go.wait(30)\n"
        "    print('from a thread')\n"
        "threading.Thread(target=thread).start()\n"
        "async def task():\n"
        "    while not go.is_set():\n"
        "        await asyncio.sleep(0.01)\n"
        "    print('from a task')\n"
        "_ = asyncio.ensure_future(task())"
    )
    broker.finish(late)
    now = broker.start("go.set()\nawait asyncio.sleep(0.3)\nprint('now')")
    heard: dict[str, str] = {late: "", now: ""}
    limit = time.monotonic() + DEADLINE
    while (heard[late].count("from"), "now" in heard[now]) != (2, True):
        message = broker.client.get_iopub_msg(timeout=limit - time.monotonic())
        if message["msg_type"] == "stream":
            heard[message["parent_header"]["msg_id"]] += message["content"]["text"]
    broker.reply_to(now)
    # With a thread under way there is no checkpoint, which is said first.
    assert heard[now].splitlines()[1:] == ["now"]


def test_expressions_are_those_that_were_asked_for(broker: Kernel) -> None:
    """Values, and the error of one that fails; a failed cell has none."""
    asked = {"good": "2 * 21", "bad": "1 / 0"}
    reply = broker.run("", user_expressions=asked).reply
    assert reply["user_expressions"]["good"]["data"] == {"text/plain": "42"}
    assert reply["user_expressions"]["bad"]["ename"] == "ZeroDivisionError"
    assert reply["payload"] == []
    assert broker.run("1 / 0", user_expressions=asked).reply["user_expressions"] == {}


def test_payloads_do_not_leave_the_session(broker: Kernel) -> None:
    """A pager's text is displayed; the next cell's text is nobody's to set."""
    run = broker.run("len?")
    assert run.reply["payload"] == []
    assert "number of items" in run.of("display_data")[0]["data"]["text/plain"]
    run = broker.run("get_ipython().set_next_input('import os')")
    assert (run.status, run.reply["payload"]) == ("ok", [])


def test_tab_and_documentation_know_the_session(broker: Kernel) -> None:
    """Its variables; of what is not there, nothing. The first time, Tab may take too long."""
    broker.run("some_long_name = 'value'")
    assert any("some_long_name" in broker.complete("some_lo") for _ in range(5))
    assert broker.complete("no_such_thing_at_al") == []
    found = broker.reply_to(broker.client.inspect("some_long_name", 5))
    assert found["found"]
    assert "value" in found["data"]["text/plain"]
    assert not broker.reply_to(broker.client.inspect("no_such_thing", 5))["found"]


def test_completion_that_hangs_is_empty_after_two_seconds(broker: Kernel) -> None:
    """And is interrupted when a cell comes, which need not wait for it."""
    broker.run("class Slow:\n    def __dir__(self):\n        while True: pass\nslow = Slow()")
    start = time.monotonic()
    assert broker.complete("slow.") == []
    assert _shown(broker, "1 + 1") == "2"
    assert time.monotonic() - start < 10


def test_kernel_answers_while_a_cell_computes(broker: Kernel) -> None:
    """``kernel_info`` within two seconds, and an empty completion, on the control channel."""
    run = Run()
    request = broker.start("print('on', flush=True)\nwhile True: pass")
    broker.wait_for(request, "on", run)
    start = time.monotonic()
    assert broker.on_control("kernel_info_request", {})["status"] == "ok"
    assert time.monotonic() - start < 2
    asked = {"code": "some_lo", "cursor_pos": 7}
    assert broker.on_control("complete_request", asked)["matches"] == []
    assert time.monotonic() - start < 4
    broker.manager.interrupt_kernel()
    assert broker.finish(request, run).error["ename"] == "KeyboardInterrupt"


def test_shell_channel_answers_what_needs_no_cell(broker: Kernel) -> None:
    """Before the cell is over; a front end goes on showing that the kernel is busy."""
    run = Run()
    request = broker.start("print('on', flush=True)\nwhile True: pass")
    broker.wait_for(request, "on", run)
    start = time.monotonic()
    assert broker.reply_to(broker.client.kernel_info())["implementation"] == "ipython"
    assert broker.complete("some_lo") == []
    assert not broker.reply_to(broker.client.inspect("len", 1))["found"]
    assert broker.reply_to(broker.client.is_complete("1 +"))["status"] == "invalid"
    assert time.monotonic() - start < 4
    broker.manager.interrupt_kernel()
    states: list[tuple[str, bool]] = []
    while not states or states[-1] != ("idle", True):
        message = broker.client.get_iopub_msg(timeout=DEADLINE)
        if message["msg_type"] == "status":
            is_cell = message["parent_header"].get("msg_id") == request
            states.append((message["content"]["execution_state"], is_cell))
    assert ("idle", False) in states
    assert states[-2] == ("busy", True)
    assert broker.reply_to(request)["ename"] == "KeyboardInterrupt"


def test_control_channel_runs_cells_too(broker: Kernel) -> None:
    """In the session, as any other: what it sets is there."""
    content: dict[str, Any] = {"code": "by_control = 5", "silent": False, "user_expressions": {}}
    assert broker.on_control("execute_request", content)["status"] == "ok"
    assert broker.value("by_control") == "5"


def test_kernel_info_offers_what_a_session_can_have(broker: Kernel) -> None:
    """No subshells and no debugger; what clients know an IPython kernel by is there."""
    info = broker.reply_to(broker.client.kernel_info())
    assert info["implementation"] == "ipython"
    assert not {"kernel subshells", "debugger"} & set(info.get("supported_features", []))
    reply = broker.on_control("debug_request", {"seq": 1, "type": "request", "command": "attach"})
    assert not reply["success"]
    assert "pdb" in reply["message"]


def test_history_and_completeness_are_the_kernels_own(broker: Kernel) -> None:
    """Also while the session is busy with nothing; cells that are silent are not kept."""
    broker.run("kept_in_history = 1")
    broker.run("not_kept = 1", silent=True)
    asked = broker.client.history(hist_access_type="tail", n=2, raw=True, output=False)
    sources = [source for _, _, source in broker.reply_to(asked)["history"]]
    assert sources[-1] == "kept_in_history = 1"
    assert broker.reply_to(broker.client.is_complete("def f():"))["status"] == "incomplete"
    assert broker.reply_to(broker.client.is_complete("1 + 1"))["status"] == "complete"


def test_cell_can_ask_its_user(broker: Kernel) -> None:
    """With a mark that says who asks; where the client takes no questions, it is told."""
    request = broker.start("import getpass\ninput('name? '), getpass.getpass('key? ')")
    assert broker.is_asked() == ("[sandbox] name? ", False)
    broker.client.input("Ada")
    assert broker.is_asked() == ("[sandbox] key? ", True)
    # The kernel's loop goes on while it asks.
    assert broker.on_control("comm_info_request", {})["status"] == "ok"
    broker.client.input("secret")
    assert broker.finish(request).result["data"]["text/plain"] == "('Ada', 'secret')"
    refused = broker.run("input()", allow_stdin=False)
    assert refused.error["ename"] == "StdinNotImplementedError"


def test_displays_go_through_the_gate(broker: Kernel) -> None:
    """Tables look right, programs for the page stay inside, a later cell may update a display."""
    run = broker.run(
        "from IPython.display import HTML, Javascript, display\n"
        "handle = display(HTML('<b>bold</b><script>alert(1)</script>'), display_id=True)\n"
        "display(Javascript('alert(1)'))"
    )
    first, second = run.of("display_data")
    assert first["data"]["text/html"] == "<b>bold</b>"
    assert "application/javascript" not in second["data"]
    update = broker.run("handle.update(HTML('<i>new</i>'))").of("update_display_data")[0]
    assert update["data"]["text/html"] == "<i>new</i>"
    assert update["transient"] == first["transient"]


def test_plots_are_shown_after_their_cell(broker: Kernel) -> None:
    """By matplotlib's inline backend, as in any kernel."""
    pytest.importorskip("matplotlib")
    run = broker.run("import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])")
    assert "image/png" in run.of("display_data")[0]["data"]
