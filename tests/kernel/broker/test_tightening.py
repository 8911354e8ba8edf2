"""What one cell of a sandboxed notebook asks for: less than its session, or nothing runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernel.kernels import Kernel, Run

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


def _with_metadata(kernel: Kernel, code: str, metadata: dict[str, Any]) -> Run:
    """Run a cell as JupyterLab does: the cell's metadata come with the request."""
    session = kernel.client.session
    content = {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
    message = session.msg("execute_request", content)
    message["metadata"] = metadata
    kernel.client.shell_channel.send(message)
    return kernel.finish(message["header"]["msg_id"])


def test_metadata_of_a_cell_tighten_it(broker: Kernel) -> None:
    """A time limit of its own; the cells after it have the session's."""
    wanted = {"kavach": {"timeout": "0.3s"}, "tags": ["slow"]}
    run = _with_metadata(broker, "while True: pass", wanted)
    assert "timeout" in run.error["evalue"]
    assert _with_metadata(broker, "1", {"tags": []}).status == "ok"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"timeout": "never"}, "timeout"),
        ({"time": "3s"}, "did you mean 'timeout'"),
        ({"memory": "1G"}, "built once"),
        ({"network": "loopback"}, "built once"),
        ("30s", "must be as"),
    ],
)
def test_metadata_that_make_no_sense_run_nothing(broker: Kernel, asked: object, said: str) -> None:
    """The error says what is allowed."""
    run = _with_metadata(broker, "ran = 1", {"kavach": asked})
    assert run.error["ename"] == "PolicyError"
    assert said in run.error["evalue"]
    assert broker.value("'ran' in globals()") == "False"


def test_metadata_cannot_loosen(broker: Kernel) -> None:
    """More output than the session may have is the session's."""
    run = _with_metadata(broker, "print('x' * (20 << 20))", {"kavach": {"output": "1G"}})
    assert "output" in run.error["evalue"]
    assert "16MiB" in run.error["evalue"]


def test_first_line_tightens_a_cell_too(broker: Kernel) -> None:
    """``%%sandbox --timeout``: line numbers stay, and what cannot be had per cell is refused."""
    run = broker.run("%%sandbox --timeout 20s\n\n1 / 0")
    assert "line 3" in "".join(run.error["traceback"]).replace("\x1b[32m", "")
    assert "timeout" in broker.run("%%sandbox --timeout 0.3s\nwhile True: pass").error["evalue"]
    refused = broker.run("%%sandbox --memory 1M\nran = 1")
    assert "--timeout and --output" in refused.error["evalue"]
    unknown = broker.run("%%sandbox --tiemout 1s\nran = 1")
    assert "did you mean '--timeout'" in unknown.error["evalue"]
    assert broker.value("'ran' in globals()") == "False"


def test_magics_of_an_ordinary_notebook_say_what_to_do(broker: Kernel) -> None:
    """In the middle of a cell they are the session's, which has none of them."""
    run = broker.run("x = 1\n%kavach off")
    assert "a cell of its own" in run.stderr
