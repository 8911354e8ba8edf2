"""The audit in a real kernel: by the settings, under the cell, and after the kernel."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kavach_ipy.audit.verify import read_key, verify_log
from tests.kernel.kernels import Kernel, Run, start_kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the logs of this module go."""
    return tmp_path_factory.mktemp("audit") / "logs"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel that was told the path of its notebook."""
    running = start_kernel(
        tmp_path_factory.mktemp("ipython"), JPY_SESSION_NAME="course/week 1.ipynb"
    )
    try:
        assert running.run("%load_ext kavach_ipy").status == "ok"
        yield running
    finally:
        running.close()


def _events(logs: Path) -> list[dict[str, Any]]:
    lines = [
        json.loads(line)
        for log in sorted(logs.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        for line in log.read_bytes().splitlines()
    ]
    return [line for line in lines if line["kind"] == "cell"]


def _run_as_jupyterlab(kernel: Kernel, code: str, cell_id: str) -> Run:
    """Send a cell with its id in the metadata, as JupyterLab does."""
    content = {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
    session = kernel.client.session
    message = session.msg("execute_request", content, metadata={"cellId": cell_id})
    kernel.client.shell_channel.send(message)
    return kernel.finish(str(message["header"]["msg_id"]))


def test_cells_of_every_kind_are_recorded_with_where_they_stand(kernel: Kernel, logs: Path) -> None:
    """Cell, line, clean and session: one event each, with notebook and cell as Lab names them."""
    kernel.run(f"%config Kavach.audit_directory = {str(logs)!r}")
    kernel.run("%config Kavach.audit = 'required'")
    run = _run_as_jupyterlab(kernel, "%%sandbox -o x\nx = 1\nx + 1", "a-cell")
    assert run.result["data"]["text/plain"] == "2"
    assert kernel.run("%sandbox 1 / 0").status == "error"
    kernel.run("%%sandbox --clean\n3")
    kernel.run("%%sandbox --session s\n4")
    assert kernel.run("%%sandbox -i missing\n5").status == "error"
    assert kernel.value("x") == "1"
    events = _events(logs)
    assert [(event["way"], event["outcome"]["status"]) for event in events] == [
        ("fork", "ok"),
        ("fork", "failed"),
        ("clean", "ok"),
        ("session", "ok"),
    ]
    assert events[0]["cell_id"] == "a-cell"
    assert events[0]["notebook"] == "course/week 1.ipynb"
    assert events[0]["code"]["characters"] == len("x = 1\nx + 1\n")
    assert [one["name"] for one in events[0]["returned"]] == ["x", "<result>"]
    assert events[1]["outcome"]["kind"] == "ZeroDivisionError"


def test_log_that_cannot_be_written_is_said_under_the_cell_and_once(
    kernel: Kernel, logs: Path, tmp_path: Path
) -> None:
    """With "on" the result is there all the same; with "required" the cell does not run."""
    (tmp_path / "file").write_text("", encoding="ascii")
    kernel.run("%config Kavach.audit = 'on'")
    kernel.run(f"%config Kavach.audit_directory = {str(tmp_path / 'file')!r}")
    first, second = kernel.run("%%sandbox -o y\ny = 7"), kernel.run("%%sandbox\n8")
    assert kernel.value("y") == "7"
    assert first.stderr.count("audit: ") == 1
    assert str(tmp_path / "file") in first.stderr
    assert "c.Kavach.audit_directory" in first.stderr
    assert second.stderr == ""
    assert second.result["data"]["text/plain"] == "8"
    kernel.run("%config Kavach.audit = 'required'")
    refused = kernel.run("%%sandbox -o y\ny = 9")
    assert refused.error["ename"] == "CannotEnforce"
    assert kernel.value("y") == "7"
    kernel.run(f"%config Kavach.audit_directory = {str(logs)!r}")
    assert kernel.run("%%sandbox -o y\ny = 9").status == "ok"
    assert kernel.value("y") == "9"


def test_events_reach_hooks_and_jupyters_handlers(
    kernel: Kernel, logs: Path, tmp_path: Path
) -> None:
    """A hook by its name, and ``c.EventLogger.handlers``; a hook that is none refuses the cell."""
    kernel.run(
        "import logging\nget_ipython().config.EventLogger.handlers ="
        f" [logging.FileHandler({str(tmp_path / 'events')!r})]"
    )
    kernel.run(
        "import sys, types\nours = types.ModuleType('ours')\nours.heard = []\n"
        "ours.hear = ours.heard.append\nsys.modules['ours'] = ours"
    )
    kernel.run("%config Kavach.audit_hooks = ['ours.hear', 'ours.nothing']")
    refused = kernel.run("%%sandbox\n1")
    assert refused.reply["ename"] == "UsageError"
    assert "audit_hooks" in refused.reply["evalue"]
    kernel.run("%config Kavach.audit_hooks = ['ours.hear']")
    run = kernel.run("%%sandbox\n1")
    assert run.stderr == ""
    assert kernel.value("[event['outcome']['status'] for event in ours.heard]") == "['ok']"
    (event,) = (tmp_path / "events").read_text(encoding="utf-8").splitlines()
    assert json.loads(event)["__schema__"] == "urn:kavach-ipy:audit:cell"


def test_unloading_and_turning_off_close_the_log(kernel: Kernel, logs: Path) -> None:
    """Afterwards nothing writes, no process is left, and all that was written is intact."""
    before = len(_events(logs))
    kernel.run("%config Kavach.audit = 'off'")
    kernel.run("%%sandbox\n1")
    kernel.run("%config Kavach.audit = 'on'")
    run = kernel.run("%%sandbox\n2")
    assert run.status == "ok", run
    kernel.run("%unload_ext kavach_ipy")
    assert len(_events(logs)) == before + 1
    shown = "import subprocess as s; print(s.run(['ps', '-eo', 'ppid,args'], capture_output=True)"
    listed = kernel.run(f"{shown}.stdout.decode())").stdout
    pid = kernel.value("__import__('os').getpid()")
    ours = [line for line in listed.splitlines() if line.split()[:1] == [pid]]
    assert not [line for line in ours if "audit.writer" in line]
    for log in logs.glob("*.jsonl"):
        verdict = verify_log(str(log), read_key(f"{log}.key"))
        assert verdict.is_intact, verdict.problem
        assert verdict.is_closed
        assert os.stat(log).st_mode & 0o777 == 0o600
