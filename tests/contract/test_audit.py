"""One event for each cell, whatever becomes of it; and what happens where none can be written."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from kavach_ipy.audit import add_hook, remove_hook
from kavach_ipy.audit.command import main
from kavach_ipy.audit.jupyter import SCHEMA
from kavach_ipy.audit.record import Audit
from kavach_ipy.audit.source import CellSource
from kavach_ipy.audit.verify import Verdict, read_key, verify_log
from kavach_ipy.errors import CannotEnforce, CellFailed, CellStopped, PolicyError
from kavach_ipy.launch.script import script_body
from kavach_ipy.policy import Policy
from kavach_ipy.sandbox import Sandbox
from tests.contract.cells import DEADLINE, NEEDS, ROOT, Script, python

pytestmark = [pytest.mark.contract, NEEDS]


class Recorder:
    """An audit below a directory, what it warned of, and what stands in its logs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.warnings: list[str] = []
        self._audits: list[Audit] = []

    def audit(self, mode: str = "required", **options: Any) -> Audit:
        """Make one."""
        options = {"directory": str(self.directory), "warn": self.warnings.append, **options}
        self._audits.append(Audit(mode, **options))
        return self._audits[-1]

    def close(self) -> None:
        """Close all."""
        for audit in self._audits:
            audit.close()

    def logs(self) -> list[Path]:
        """The logs, the oldest first."""
        return sorted(self.directory.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)

    def lines(self) -> list[dict[str, Any]]:
        """Every line of every log."""
        return [json.loads(line) for log in self.logs() for line in log.read_bytes().splitlines()]

    def events(self) -> list[dict[str, Any]]:
        """Every event of every log, without what makes it a line."""
        extra = ("line", "kind", "mac")
        return [
            {name: value for name, value in line.items() if name not in extra}
            for line in self.lines()
            if line["kind"] == "cell"
        ]


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    """Audits that are closed with the test."""
    recorder = Recorder(tmp_path / "logs")
    try:
        yield recorder
    finally:
        recorder.close()


def _verdict(log: Path | str) -> Verdict:
    return verify_log(str(log), read_key(f"{log}.key"))


def _wait_until(is_so: Callable[[], bool]) -> None:
    """Look again and again, with a deadline: what is waited for is another process's."""
    limit = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < limit
        os.sched_yield()


def test_every_way_that_a_cell_runs_is_recorded_by_the_schema(recorder: Recorder) -> None:
    """Fork, clean, session; ok, failed, stopped, refused: an event each, in one intact log."""
    audit = recorder.audit()
    fork = Sandbox(Policy(timeout=DEADLINE), audit=audit)
    fork.run("y = 20 + x\nopen\nprint('seen')\ny", inputs={"x": 1}, out=["y", "z"])
    assert isinstance(fork.run("secret = 1 / 0").failure, CellFailed)
    slow = Sandbox(Policy(timeout=0.2), audit=audit).run("while True: pass")
    assert isinstance(slow.failure, CellStopped)
    Sandbox(Policy(clean=True, timeout=DEADLINE), audit=audit).run("1")
    with Sandbox(Policy(session="s", timeout=DEADLINE), audit=audit) as box:
        box.run("z = [1]", out=["z"])
    with pytest.raises(PolicyError):
        Sandbox(Policy(outputs=["a"]), audit=audit).run("1", out=["b"])
    with pytest.raises(CannotEnforce):
        Sandbox(Policy(read_only=["/nowhere"]), audit=audit).run("1")
    audit.close()

    events = recorder.events()
    validator = Draft7Validator(_schema())
    assert [error.message for event in events for error in validator.iter_errors(event)] == []
    seen = [
        (event["way"], event["outcome"]["status"], event["outcome"]["kind"]) for event in events
    ]
    assert seen == [
        ("fork", "ok", None),
        ("fork", "failed", "ZeroDivisionError"),
        ("fork", "stopped", "timeout"),
        ("clean", "ok", None),
        ("session", "ok", None),
        ("fork", "refused", "PolicyError"),
        ("fork", "refused", "CannotEnforce"),
    ]
    first = events[0]
    assert [(one["name"], one["kind"]) for one in first["returned"]] == [
        ("y", "builtins.int"),
        ("<result>", "builtins.int"),
    ]
    assert all(one["bytes"] > 0 for one in first["returned"])
    assert [one["name"] for one in first["withheld"]] == ["z"]
    assert first["strength"] == 97
    assert {"name": "network", "state": "verified"} in first["layers"]
    assert first["resources"]["stdout"] == len("seen\n")
    assert first["resources"]["cpu_seconds"] > 0
    assert events[2]["resources"]["processes"] >= 1
    assert first["who"]["uid"] == os.getuid()
    assert recorder.warnings == []
    (log,) = recorder.logs()
    verdict = _verdict(log)
    assert verdict.is_intact, verdict.problem
    assert verdict.is_closed
    assert verdict.notes == []


def _schema() -> Any:
    import yaml

    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    Draft7Validator.check_schema(schema)
    return schema


def test_text_of_a_cell_is_kept_only_where_that_is_asked_for(recorder: Recorder) -> None:
    """By default its hash alone; neither its text, nor what it printed, raised or returned."""
    word = "swordfish"
    code = f"print('{word}'); x = '{word}'; raise ValueError('{word}')"
    Sandbox(audit=recorder.audit()).run(code, out=["x"])
    assert word not in "".join(log.read_text(encoding="ascii") for log in recorder.logs())
    Sandbox(audit=recorder.audit(with_code=True)).run(code)
    last = recorder.events()[-1]
    assert last["code"]["text"] == code
    assert last["code"]["is_whole"]
    assert last["outcome"]["reason"] == ""


def test_hostile_names_stay_on_their_line_and_bounded(recorder: Recorder) -> None:
    """What a cell, a notebook or a huge source says is one line of plain text, cut to a size."""
    nasty = '\x1b[2J\n{"kind":"close"}\u202e' + "n" * 5000
    audit = recorder.audit(with_code=True)
    code = f"class {'K' * 3000}:\n  pass\nv0 = {'K' * 3000}()\n" + "#" + "é" * 200_000
    source = CellSource(code, nasty, nasty)
    names = [f"v{number}" for number in range(300)]
    Sandbox(audit=audit).execute(script_body(code, {}), out=names, source=source)
    audit.close()
    (log,) = recorder.logs()
    assert _verdict(log).is_intact
    lines = log.read_bytes().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["open", "begin", "cell", "close"]
    assert max(map(len, lines)) < 1 << 18
    event = recorder.events()[0]
    assert "\x1b" not in event["notebook"]
    assert "\n" not in event["notebook"]
    assert "\u202e" not in event["notebook"]
    assert event["withheld_count"] == 300
    assert len(event["withheld"]) <= 64
    assert not list(Draft7Validator(_schema()).iter_errors(event))


def test_files_of_a_log_are_its_owners_alone(recorder: Recorder) -> None:
    """Mode 0600, in a directory of mode 0700, opened to append by the writer alone."""
    audit = recorder.audit()
    Sandbox(audit=audit).run("1")
    assert stat.S_IMODE(recorder.directory.stat().st_mode) == 0o700
    for path in recorder.directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    pid = _writer_of(os.getpid())
    (log,) = recorder.logs()
    (number,) = (
        fd
        for fd in os.listdir(f"/proc/{pid}/fd")
        if os.readlink(f"/proc/{pid}/fd/{fd}") == str(log)
    )
    info = Path(f"/proc/{pid}/fdinfo/{number}").read_text(encoding="ascii")
    flags = int(info.split("flags:")[1].split()[0], 8)
    assert flags & os.O_APPEND
    assert not any(
        os.readlink(f"/proc/self/fd/{fd}").startswith(str(log))
        for fd in os.listdir("/proc/self/fd")
        if os.path.lexists(f"/proc/self/fd/{fd}")
    ), "the kernel process keeps no descriptor of the log"


def _writer_of(pid: int) -> int:
    from tests.contract.cells import children

    (writer,) = (
        child
        for child in children(pid)
        if b"kavach_ipy.audit.writer" in Path(f"/proc/{child}/cmdline").read_bytes()
    )
    return writer


def test_symbolic_link_in_the_place_of_a_log_is_not_followed(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Were its name foreseen, what stands there would be an error all the same."""
    monkeypatch.setattr("kavach_ipy.audit.files.secrets.token_hex", lambda _: "0" * 32)
    monkeypatch.setattr("kavach_ipy.audit.files.time.strftime", lambda *_: "now")
    recorder.directory.mkdir(mode=0o700)
    (recorder.directory / f"kavach-now-{'0' * 32}.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotEnforce, match="EEXIST"):
        Sandbox(audit=recorder.audit()).run("1")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("fault", ["a file", "others may write", "no such key", "a key for all"])
def test_required_audit_that_cannot_be_opened_runs_nothing(
    recorder: Recorder, tmp_path: Path, fault: str
) -> None:
    """The error names path, errno and remedy; where the audit is only on, the cell runs."""
    key = ""
    if fault == "a file":
        recorder.directory.write_text("", encoding="ascii")
    elif fault == "others may write":
        recorder.directory.mkdir()
        recorder.directory.chmod(0o777)
    else:
        key = str(tmp_path / "key")
    if fault == "a key for all":
        Path(key).write_text("0" * 64, encoding="ascii")
        Path(key).chmod(0o644)
    ran: list[object] = []
    with pytest.raises(CannotEnforce) as caught:
        Sandbox(audit=recorder.audit(key=key)).execute(ran.append)  # type: ignore[arg-type]
    assert ran == []
    told = str(caught.value)
    assert (key or str(recorder.directory)) in told
    assert caught.value.remedy
    assert "E" in told.split("': ")[1][:1], "the errno by its name"
    box = Sandbox(audit=recorder.audit("on", key=key))
    assert [box.run("6 * 7").result for _ in range(3)] == [42] * 3
    (said,) = recorder.warnings
    assert (key or str(recorder.directory)) in said


FULL = """
import resource, sys
from kavach_ipy.audit.record import Audit
from kavach_ipy.errors import CannotEnforce
from kavach_ipy.policy import Policy
from kavach_ipy.gate.outcome import Outcome
from kavach_ipy.audit.source import CellSource
mode, directory = sys.argv[1:]
said = []
audit = Audit(mode, directory=directory, warn=said.append)
ran = 0
for _ in range(40):
    try:
        with audit.cell(CellSource("1"), Policy()) as record:
            ran += 1
            record.finished(Outcome(result=1), {}, None)
    except CannotEnforce as error:
        print("refused", error.remedy != "", "write(2)" in str(error), str(error))
        break
print("ran", ran, "said", len(said), *said[:1])
print("kept", len(audit._unwritten))
"""


@pytest.mark.parametrize("mode", ["on", "required"])
def test_full_disk_is_reported_once_and_stops_what_has_to_be_recorded(
    tmp_path: Path, mode: str
) -> None:
    """On a tmpfs of 16 KiB: no line is torn, results come all the same, required ones stop."""
    place = tmp_path / "small"
    place.mkdir()
    script = tmp_path / "script.py"
    script.write_text(FULL, encoding="utf-8")
    mount = f"mount -t tmpfs -o size=16k,mode=700 none {place}"
    copy = f"cp {place}/*.jsonl* {tmp_path}"
    done = subprocess.run(
        [
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
            f'{mount} && "$0" {script} {mode} {place} && {copy}',
            sys.executable,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ran, said = (int(done.stdout.split(word)[1].split()[0]) for word in ("ran", "said"))
    assert said == 1
    assert "ENOSPC" in done.stdout
    if mode == "on":
        assert ran == 40
    else:
        assert "refused True True" in done.stdout
        assert 1 < ran < 40
    (log,) = tmp_path.glob("*.jsonl")
    verdict = _verdict(log)
    assert verdict.lines > 3
    # There was no room for the last line either, so it is open; nothing is torn or lost before it.
    assert verdict.is_intact, verdict.problem


def test_what_could_not_be_written_is_written_once_there_is_room(recorder: Recorder) -> None:
    """The file-size limit of the writer stands in for the disk; the event is late, and not lost.

    What failed last, and that it is over, is there for ``%kavach status``.
    """
    audit = recorder.audit()
    box = Sandbox(audit=audit)
    box.run("1")
    assert audit.failure == ""
    writer = _writer_of(os.getpid())
    (log,) = recorder.logs()
    before = resource.prlimit(writer, resource.RLIMIT_FSIZE)
    room = log.stat().st_size + 400
    resource.prlimit(writer, resource.RLIMIT_FSIZE, (room, before[1]))
    assert box.run("6 * 7").result == 42
    assert len(recorder.warnings) == 1
    assert "EFBIG" in recorder.warnings[0]
    with pytest.raises(CannotEnforce, match="EFBIG"):
        box.run("3")
    assert "EFBIG" in audit.failure
    assert "since then" not in audit.failure
    resource.prlimit(writer, resource.RLIMIT_FSIZE, before)
    box.run("4")
    assert audit.failure.endswith("Written again since then.")
    audit.close()
    assert [event["cell"] for event in recorder.events()] == [1, 2, 4]
    assert _verdict(log).is_intact


@pytest.mark.parametrize("how", ["cut", "appended", "removed"])
def test_log_that_somebody_touches_is_noticed_with_the_next_cell(
    recorder: Recorder, how: str
) -> None:
    """It is reported, what was not written goes to a new log, and the result is not lost."""
    audit = recorder.audit("on")
    box = Sandbox(audit=audit)
    box.run("1")
    (log,) = recorder.logs()
    if how == "cut":
        os.truncate(log, 100)
    elif how == "appended":
        with open(log, "ab") as file:
            file.write(b"{}\n")
    else:
        log.unlink()
    assert box.run("6 * 7").result == 42
    assert "ESTALE" in recorder.warnings[0]
    box.run("3")
    audit.close()
    newest = recorder.logs()[-1]
    assert newest != log
    assert [event["cell"] for event in _events_of(newest)] == [2, 3]
    assert _verdict(newest).is_intact
    if how != "removed":
        assert not _verdict(log).is_intact


def test_writer_that_is_killed_is_replaced_and_said(recorder: Recorder) -> None:
    """Its log stays as it is, without an end; the next cell begins another one."""
    audit = recorder.audit("on")
    box = Sandbox(audit=audit)
    box.run("1")
    os.kill(_writer_of(os.getpid()), signal.SIGKILL)
    assert box.run("6 * 7").result == 42
    assert len(recorder.warnings) == 1
    assert box.run("3").ok
    audit.close()
    first, second = recorder.logs()
    assert not _verdict(first).is_closed
    assert _verdict(first).is_intact
    assert _verdict(second).is_closed
    assert {event["cell"] for event in recorder.events()} == {1, 2, 3}


def test_writer_that_does_not_answer_holds_nobody_up(recorder: Recorder) -> None:
    """Stopped, as by a dead disk: the result comes after a moment, and the next ones at once."""
    audit = recorder.audit("on")
    box = Sandbox(audit=audit)
    box.run("1")
    writer = _writer_of(os.getpid())
    os.kill(writer, signal.SIGSTOP)
    start = time.monotonic()
    try:
        assert [box.run("6 * 7").result for _ in range(3)] == [42] * 3
        assert len(recorder.warnings) == 2, "the end of the log, and that it is tried again later"
        assert "ETIMEDOUT" in recorder.warnings[0]
        assert time.monotonic() - start < 3
    finally:
        os.kill(writer, signal.SIGKILL)


KERNEL = """
import sys
from kavach_ipy import Policy, Sandbox
from kavach_ipy.audit.record import Audit
box = Sandbox(Policy(timeout=60), audit=Audit("required", directory=sys.argv[1]))
for number in range(3):
    box.run(str(number))
class Loud:
    def stream(self, name, text): print(text, end="", flush=True)
    def show(self, shown): pass
from kavach_ipy.launch.script import script_body
box.execute(script_body("print('up'); import time; time.sleep(60)", {}), sink=Loud())
"""


def test_two_kernels_write_two_logs_and_a_killed_one_leaves_an_end(recorder: Recorder) -> None:
    """Killed in the middle of a cell: the log is closed and intact, and names that cell."""
    with (
        Script(KERNEL, str(recorder.directory)) as first,
        Script(KERNEL, str(recorder.directory)) as second,
    ):
        for kernel in (first, second):
            kernel.wait_for(b"up")
            kernel.kill()
    _wait_until(
        lambda: sum(line["kind"] == "close" for line in recorder.lines()) == 2,
    )
    logs = recorder.logs()
    assert len(logs) == 2
    for log in logs:
        verdict = _verdict(log)
        assert verdict.is_intact, verdict.problem
        last = json.loads(log.read_bytes().splitlines()[-1])
        assert last["unfinished"] == [4]
        assert "without a word" in last["why"]
        assert any("no event" in note for note in verdict.notes)


def test_line_that_was_torn_is_named(recorder: Recorder) -> None:
    """As by a machine that lost power: the line before it is the last that is intact."""
    audit = recorder.audit()
    Sandbox(audit=audit).run("1")
    audit.close()
    (log,) = recorder.logs()
    whole = log.read_bytes()
    log.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 20])
    problem = _verdict(log).problem
    assert problem is not None
    assert problem.line == len(whole.splitlines())
    assert "torn" in problem.reason


def test_fork_of_the_notebooks_own_has_a_log_of_its_own(recorder: Recorder) -> None:
    """A worker process that runs cells shares neither log nor writer with its parent."""
    from tests.unit.linux.throwaway import forked

    audit = recorder.audit()
    box = Sandbox(audit=audit)
    box.run("1")

    def worker() -> object:
        result = box.run("2").result
        audit.close()
        return result

    assert forked(worker).value == 2
    box.run("3")
    audit.close()
    assert [[event["cell"] for event in _events_of(log)] for log in recorder.logs()] in (
        [[2], [1, 2]],
        [[1, 2], [2]],
    )
    assert all(_verdict(log).is_intact for log in recorder.logs())


def _events_of(log: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_bytes().splitlines()]
    return [line for line in lines if line["kind"] == "cell"]


def test_hooks_hear_each_event_and_cannot_spoil_it(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A callable, the logger and jupyter_events; one that raises is reported once."""
    from jupyter_events import EventLogger

    from kavach_ipy.audit.jupyter import hook_of

    heard: list[dict[str, Any]] = []
    taken: list[dict[str, Any]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            taken.append(dict(record.msg))  # type: ignore[arg-type]

    def spoil(event: dict[str, Any]) -> None:
        event.clear()
        raise RuntimeError("on purpose")

    audit = recorder.audit(hooks=[hook_of(EventLogger(handlers=[Handler()]))])
    add_hook(spoil)
    add_hook(heard.append)
    try:
        with caplog.at_level(logging.INFO, "kavach_ipy.audit"):
            box = Sandbox(audit=audit)
            assert [box.run("6 * 7").result for _ in range(2)] == [42, 42]
    finally:
        remove_hook(spoil)
        remove_hook(heard.append)
    box.run("3")
    audit.close()
    assert [event["cell"] for event in heard] == [1, 2]
    assert [event["cell"] for event in taken] == [1, 2, 3]
    assert taken[0]["__schema__"] == "urn:kavach-ipy:audit:cell"
    assert [json.loads(record.getMessage())["cell"] for record in caplog.records] == [1, 2]
    (said,) = recorder.warnings
    assert "on purpose" in said
    place = heard[-1]["log"]
    assert main(["verify", place["file"], "--expect", f"{place['line'] + 1}:{place['mac']}"]) == 0
    assert "intact" in capsys.readouterr().out


def test_audit_that_is_off_leaves_nothing(recorder: Recorder) -> None:
    """No directory, no process, no import; and the result is the same."""
    assert Sandbox(audit=recorder.audit("off")).run("6 * 7").result == 42
    assert not recorder.directory.exists()
    done = python(
        "import sys\nfrom kavach_ipy import Sandbox\nSandbox().run('1')\n"
        "print([name for name in sys.modules if name.startswith('kavach_ipy.audit.')])"
    )
    assert done.stdout == "['kavach_ipy.audit.source']\n", done.stderr
