"""Each cell of a sandboxed kernel in the audit's log, where the settings ask for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.broker.conftest import PROGRAM
from tests.kernel.broker.test_hostile_session import CHANNEL
from tests.kernel.kernels import Kernel, start_kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


def _cells(directory: Path) -> list[dict[str, Any]]:
    lines = [line for log in directory.glob("*.jsonl") for line in log.read_text().splitlines()]
    events = [json.loads(line) for line in lines]
    return [event for event in events if "outcome" in event]


def test_cells_are_recorded_as_they_ended(tmp_path: Path) -> None:
    """Layers, what was shown and how it ended; refused ones too, and the session sees no log."""
    logs = tmp_path / "audit"
    program = f"{PROGRAM} --Kavach.audit=required --Kavach.audit_directory={logs}"
    kernel = start_kernel(tmp_path / "ipython", program=program)
    try:
        assert kernel.run("print('four')").status == "ok"
        assert kernel.run("1 / 0").status == "error"
        assert kernel.run("%%sandbox --timeout 0.3s\nwhile True: pass").status == "error"
        assert kernel.value(f"__import__('os').path.exists({str(logs)!r})") == "False"
        good, failed, stopped, *_ = _cells(logs)
    finally:
        kernel.close()
    assert good["resources"]["stdout"] == len("four\n")
    assert good["way"] == "session"
    assert {layer["name"] for layer in good["layers"]} >= {"namespaces", "network"}
    assert "ZeroDivisionError" in json.dumps(failed["outcome"])
    assert "timeout" in json.dumps(stopped["outcome"])


def test_output_is_counted_for_the_cell_that_ran(tmp_path: Path) -> None:
    """Also where it went below another one; the kernel says where the log is."""
    logs = tmp_path / "audit"
    program = f"{PROGRAM} --Kavach.audit=on --Kavach.audit_directory={logs}"
    kernel = start_kernel(tmp_path / "ipython", program=program)
    try:
        assert f"audit: on, the next cell begins a log in {logs}" in _status(kernel)
        earlier = kernel.start("print('first')")
        kernel.finish(earlier)
        message = (
            f"message('stream', {{'name': 'stdout', 'text': 'much more'}}, parent={earlier!r})"
        )
        kernel.run(f"{CHANNEL}\nsend({message})")
        first, second = _cells(logs)
        (log,) = logs.glob("*.jsonl")
        assert f"audit: on, written to {log}" in _status(kernel)
    finally:
        kernel.close()
    assert first["resources"]["stdout"] == len("first\n")
    assert second["resources"]["stdout"] == len("much more")


def _status(kernel: Kernel) -> str:
    return kernel.run("%kavach status").stdout


def test_cell_that_cannot_be_recorded_does_not_run(tmp_path: Path) -> None:
    """Where the audit is required; where it is on, the cell runs, and its user is told."""
    (tmp_path / "file").write_text("")
    where = f"--Kavach.audit_directory={tmp_path / 'file' / 'audit'}"
    for mode, status in (("required", "error"), ("on", "ok")):
        program = f"{PROGRAM} --Kavach.audit={mode} {where}"
        kernel = start_kernel(tmp_path / "ipython", program=program)
        try:
            run = kernel.run("print('ran')")
            status_line = _status(kernel).splitlines()[-1]
        finally:
            kernel.close()
        assert status_line.startswith(f"audit: {mode}, the next cell begins a log in {tmp_path}")
        assert "last failure 2" in status_line
        assert run.status == status, run
        assert run.stdout == ("ran\n" if status == "ok" else "")
        told = run.stderr if status == "ok" else run.error["evalue"]
        assert "audit" in told
