"""Widgets of a session, as a front end hears and answers them through a real kernel."""

from __future__ import annotations

import pytest

from tests.kernel.broker.pages import Page
from tests.kernel.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

_VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def page(broker: Kernel) -> Page:
    """A page of a kernel whose session has ipywidgets."""
    page = Page(broker)
    assert page.run("import ipywidgets as w\nfrom IPython.display import display").status == "ok"
    return page


def test_click_reaches_the_session_and_its_print_the_page(page: Page) -> None:
    """A button is shown under a name of ours, and answers under the message that clicked."""
    run = page.run("b = w.Button(description='go')\nb.on_click(lambda _: print('clicked'))\nb")
    name = page.of("ButtonModel")[-1]
    assert run.result["data"][_VIEW]["model_id"] == name
    assert page.states[name]["description"] == "go"
    assert name != page.kernel.run("b.model_id").result["data"]["text/plain"].strip("'")
    clicked = page.send(name, {"method": "custom", "content": {"event": "click"}})
    assert clicked.stdout == "clicked\n"


def test_value_of_a_page_is_the_sessions_and_comes_back(page: Page) -> None:
    """A slider that is moved moves what observes it; a text is the session's variable."""
    page.run("s = w.IntSlider()\nlabel = w.Label()\ns.observe(lambda c: setattr(label, 'value',"
             " str(c.new)), 'value')\ndisplay(s, label)")  # fmt: skip
    slider, label = page.of("IntSliderModel")[-1], page.of("LabelModel")[-1]
    page.send(slider, {"method": "update", "state": {"value": 42}, "buffer_paths": []})
    assert page.states[label]["value"] == "42"
    assert page.kernel.run("s.value").result["data"]["text/plain"] == "42"


def test_bar_of_tqdm_is_drawn_to_its_end(page: Page) -> None:
    """The last step is told before the cell is over, however quick the steps were."""
    run = page.run(
        "from tqdm.notebook import tqdm\nfor _ in tqdm(range(2000), mininterval=0): pass"
    )
    assert run.status == "ok"
    bar = page.states[page.of("FloatProgressModel")[-1]]
    assert (bar["value"], bar["max"], bar["bar_style"]) == (2000, 2000, "success")
    assert "2000/2000" in page.states[page.of("HTMLModel")[-1]]["value"]
    assert len(run.of("comm_msg")) < 1500
    (shown,) = run.of("display_data")
    assert shown["data"][_VIEW]["model_id"] == page.of("HBoxModel")[-1]


def test_output_takes_what_is_printed_in_it(page: Page) -> None:
    """The page hears whose output it takes, before and after."""
    request = page.kernel.start(
        "out = w.Output()\ndisplay(out)\nwith out:\n    print('in')\nprint('not')"
    )
    run = page.kernel.finish(request)
    page.hear(run)
    name = page.of("OutputModel")[-1]
    told = [
        content["data"]["state"].get("msg_id") if kind == "comm_msg" else content["text"]
        for kind, content in run.outputs
        if kind == "stream" or (kind == "comm_msg" and content["comm_id"] == name)
    ]
    assert told == [request, "in\n", "", "not\n"]


def test_output_does_not_hide_why_a_cell_was_stopped(page: Page) -> None:
    """A page would put the error into it, and show the cell as one that ended well."""
    page.run("hiding = w.Output()")
    run = page.run("%%sandbox --timeout 0.3s\nwith hiding:\n    while True: pass")
    name = page.of("OutputModel")[-1]
    told = [
        content["data"]["state"].get("msg_id") if kind == "comm_msg" else kind
        for kind, content in run.outputs
        if kind == "error" or (kind == "comm_msg" and content["comm_id"] == name)
    ]
    assert told[0]
    assert told[1:] == ["", "error"]


def test_interact_answers_a_slider(page: Page) -> None:
    """A function runs with what the page has set, and prints into its output."""
    page.run("@w.interact(x=10)\ndef f(x):\n    print('x is', x)")
    slider, output = page.of("IntSliderModel")[-1], page.of("OutputModel")[-1]
    run = page.send(slider, {"method": "update", "state": {"value": 7}, "buffer_paths": []})
    assert run.stdout == "x is 7\n"
    captured = [
        content["data"]["state"]["msg_id"]
        for content in run.of("comm_msg")
        if content["comm_id"] == output and "msg_id" in content["data"].get("state", {})
    ]
    assert len(captured) == 2
    assert captured[0]
    assert not captured[1]


def test_page_that_is_loaded_anew_gets_all_states(page: Page) -> None:
    """It opens the control comm, asks, and is answered from rebuilt states."""
    assert page.send("anew", {}, "comm_open", target_name="jupyter.widget.control").outputs == []
    run = page.send("anew", {"method": "request_states"})
    (answer,) = run.of("comm_msg")
    assert answer["comm_id"] == "anew"
    states = answer["data"]["states"]
    assert states.keys() == page.states.keys()
    assert all(states[name]["model_name"] == page.states[name]["_model_name"] for name in states)
    page.send("anew", {}, "comm_close")
    reply = page.kernel.client.comm_info(target_name="jupyter.widget", reply=True, timeout=10)
    assert reply["content"]["comms"].keys() == page.states.keys()


def test_message_while_a_cell_runs_leaves_the_next_cell_its_own(page: Page) -> None:
    """A click that waits for a cell is handled after it, and each cell says when it is over."""
    page.run("b = w.Button()\nclicks = []\nb.on_click(clicks.append)\nb")
    name, client = page.of("ButtonModel")[-1], page.kernel.client
    first = page.kernel.start("print(input())", allow_stdin=True)
    # The cell runs until it is answered; a request that needs no cell tells what has arrived.
    client.get_stdin_msg(timeout=10)
    content = {"comm_id": name, "data": {"method": "custom", "content": {"event": "click"}}}
    client.shell_channel.send(client.session.msg("comm_msg", content))
    client.kernel_info(reply=True, timeout=10)
    second = page.kernel.start("print('second')")
    client.input("answered")
    assert page.kernel.finish(first).stdout == "answered\n"
    assert page.kernel.finish(second).stdout == "second\n"
    assert page.run("len(clicks)").result["data"]["text/plain"] == "1"


def test_session_that_means_harm_is_rebuilt(page: Page) -> None:
    """Comms of its own, other programs and scripts leave a line or a label."""
    run = page.run(
        "import comm\ncomm.create_comm(target_name='evil', target_module='https://evil.example/x.js')\n"
        "h = w.HTML('<b>x</b><script>fired()</script>')\n"
        "class Evil(w.DOMWidget):\n"
        "    _model_module = w.widgets.widget.Unicode('evil').tag(sync=True)\n"
        "evil = Evil()\ndisplay(h, evil)"
    )
    assert run.status == "ok", run
    assert page.states[page.of("HTMLModel")[-1]]["value"] == "<b>x</b>"
    assert "not shown" in page.states[page.of("LabelModel")[-1]]["value"]
    heard = str([content for kind, content in run.outputs if kind.startswith("comm_")])
    assert "evil.example" not in heard
    assert "fired" not in heard
    assert "[sandbox] not passed on: a comm of a target that is not jupyter.widget" in run.stderr


def test_end_of_a_session_ends_its_widgets(page: Page) -> None:
    """A page learns that nobody answers any more."""
    names = set(page.states)
    # With a thread of its own it has no checkpoint.
    page.run("import threading\nthreading.Thread(target=threading.Event().wait).start()")
    page.run("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert page.closed == names
    assert page.kernel.client.comm_info(reply=True, timeout=10)["content"]["comms"] == {}
    name = next(iter(names))
    assert page.send(name, {"method": "custom", "content": {"event": "click"}}).outputs == []
    assert page.run("1 + 1").result["data"]["text/plain"] == "2"
