"""The secret of an audit log stands nowhere in a cell's memory, and no path leads to it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kavach_ipy.audit.chain import chain_key, head_key, next_key
from kavach_ipy.audit.record import Audit
from kavach_ipy.errors import CannotEnforce
from kavach_ipy.gate.outcome import Outcome
from kavach_ipy.launch.script import script_body
from kavach_ipy.policy import Policy
from kavach_ipy.sandbox import Sandbox
from tests.contract.cells import DEADLINE, NEEDS, Ear, children
from tests.escape.probes import outside
from tests.unit.linux.throwaway import forked

pytestmark = [pytest.mark.escape, NEEDS]

READ = """
import os
print("found", sum(len(open(os.path.join(place, name), "rb").read())
      for place, _, names in os.walk({folder!r}) for name in names))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that cells can be shown: nothing below /tmp can be hidden again."""
    place = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="kavach-test-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


def _keys_of(log: str) -> tuple[bytes, ...]:
    """The secret of a log as text and bytes, and every key that was made of it so far."""
    text = Path(f"{log}.key").read_bytes().strip()
    secret = bytes.fromhex(text.decode("ascii"))
    name = log.removesuffix(".jsonl").rpartition("-")[2]
    keys = [chain_key(secret, name)]
    for _ in Path(log).read_bytes().splitlines():
        keys.append(next_key(keys[-1]))
    return (text, secret, head_key(secret, name), *keys)


def _copies(pid: int, needles: tuple[bytes, ...]) -> int:
    """How often they stand in a process's private memory, read from outside."""
    count = 0
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps:
        areas = [line.split()[0].split("-") for line in maps if " rw" in line and "p " in line]
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end in ((int(first, 16), int(last, 16)) for first, last in areas):
            if end - start > 1 << 28:
                continue  # Reserved by an allocator, and never touched.
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except OSError:
                continue
            count += sum(data.count(needle) for needle in needles)
    return count


def _recorded(audit: Audit, code: str, look: Callable[[int], object], **policy: object) -> Outcome:
    """Run a cell that is looked at, by its pid, when it says so."""

    class Eye(Ear):
        def at_text(self, text: str) -> None:
            if self.heard.endswith("look\n"):
                (cell,) = (pid for pid in children(os.getpid()) if _is_cell(pid))
                look(cell)
                os.kill(cell, signal.SIGUSR1)

    box = Sandbox(Policy.from_mapping({"timeout": DEADLINE, **policy}), audit=audit)
    return box.execute(script_body(code, {}), sink=Eye()).check()


def _is_cell(pid: int) -> bool:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return any(line.split()[2:] == ["2"] for line in text.splitlines() if line[:6] == "NSpid:")


WAIT = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
print("look", flush=True)
signal.sigtimedwait([signal.SIGUSR1], 30)
"""


@pytest.mark.baseline("test_no_key_of_the_log_stands_in_the_memory_of_a_cell")
def test_no_key_of_the_log_stands_in_the_memory_of_a_cell(folder: Path) -> None:
    """After several events; a process that has the key in its memory hands it to its forks."""
    audit = Audit("required", directory=str(folder))
    counts: list[int] = []
    try:
        for _ in range(3):
            Sandbox(audit=audit).run("1")
        log = audit.path
        assert log is not None
        # The keys are read while the cell lives, so that it is no fork of who had read them.
        _recorded(audit, WAIT, lambda cell: counts.append(_copies(cell, _keys_of(log))))
        assert counts == [0]
        keys = _keys_of(log)
        found = forked(lambda: _copies(os.getpid(), keys))
        assert isinstance(found.value, int)
        assert found.value > 0
    finally:
        audit.close()


def test_no_path_leads_a_cell_to_the_log_or_its_key(folder: Path) -> None:
    """Although the policy shows the directory, and it is the working directory's neighbour."""
    logs = folder / "logs"
    (folder / "data").write_text("seen", encoding="ascii")
    audit = Audit("required", directory=str(logs))
    try:
        box = Sandbox(Policy(read_only=[folder], timeout=DEADLINE), audit=audit)
        code = READ.format(folder=str(folder))
        printed = box.run(code).check().stdout
        assert printed == "found 4\n"
        assert int(outside(code).split()[1]) > 1000
    finally:
        audit.close()


@pytest.mark.no_baseline("no cell is run: what cannot be hidden is refused")
def test_log_that_cannot_be_hidden_is_refused() -> None:
    """Below /tmp, in a directory that the cell is shown: nothing runs, and the remedy is named."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        audit = Audit("on", directory=f"{place}/logs", warn=lambda _: None)
        try:
            with pytest.raises(CannotEnforce, match="audit_directory"):
                Sandbox(Policy(read_only=[place]), audit=audit).run("1")
        finally:
            audit.close()
