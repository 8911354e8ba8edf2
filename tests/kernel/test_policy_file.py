"""A policy file, as a notebook meets it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


@pytest.fixture
def policy_file(kernel: Kernel, tmp_path: Path) -> Iterator[Path]:
    """A policy file that the settings name."""
    path = tmp_path / "policy.toml"
    path.write_text('# the floor\nmemory = "1G"\ndisk = "8M"\n', encoding="utf-8")
    path.chmod(0o644)
    assert kernel.run(f"%config Kavach.policy_file = {str(path)!r}").status == "ok"
    yield path
    kernel.run("%config Kavach.policy_file = ''")


def test_cell_that_asks_for_more_than_the_floor_does_not_run(
    kernel: Kernel, policy_file: Path
) -> None:
    """One line names option, file and line; the same cell within the floor runs."""
    refused = kernel.run("%%sandbox --memory 2G\nprint('ran')")
    assert refused.stdout == ""
    assert f"--memory: '2GiB' is not allowed; {policy_file}, line 2, says memory" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert kernel.run("%%sandbox --memory 512M\nprint('ran')").stdout == "ran\n"


def test_floor_holds_where_nobody_asks(kernel: Kernel, policy_file: Path) -> None:
    """The defaults are looser than the file, and the cell has what the file says."""
    told = kernel.run("%kavach explain").stdout
    assert f"{policy_file}, line 3, says disk" in " ".join(told.split())
    size = "%%sandbox\nimport os\nt = os.statvfs('/tmp')\nprint(t.f_blocks * t.f_frsize)"
    assert int(kernel.run(size).stdout) == 8 << 20


@pytest.mark.parametrize("fault", ["missing", "writable", "nonsense"])
def test_policy_file_that_cannot_be_relied_on_runs_no_cell(
    kernel: Kernel, policy_file: Path, fault: str
) -> None:
    """Taken away, open to others, or edited into nonsense while the notebook runs."""
    match fault:
        case "missing":
            policy_file.unlink()
        case "writable":
            policy_file.chmod(0o666)
        case _:
            policy_file.write_text("memory = true\n", encoding="utf-8")
    run = kernel.run("%%sandbox\nprint('ran')")
    assert run.stdout == ""
    assert str(policy_file) in run.stderr
    assert run.stderr.count("\n") == 1
    assert kernel.run("%%sandbox --session s\nprint('ran')").stdout == ""


def test_no_setting_takes_an_audit_back_that_the_file_asks_for(
    kernel: Kernel, policy_file: Path, tmp_path: Path
) -> None:
    """The settings say off and the file says on: the cell is in a log."""
    logs = tmp_path / "logs"
    kernel.run(f"%config Kavach.audit_directory = {str(logs)!r}")
    kernel.run("%%sandbox\nprint('ran')")
    assert not logs.exists()
    policy_file.write_text('audit = "on"\n', encoding="utf-8")
    assert kernel.run("%%sandbox\nprint('ran')").stdout == "ran\n"
    assert [path.suffix for path in logs.glob("*.jsonl")] == [".jsonl"]
    policy_file.write_text('audit = "required"\nallow_off = true\n', encoding="utf-8")
    kernel.run("%kavach on")
    try:
        before = {path: path.read_bytes() for path in logs.glob("*.jsonl")}
        assert kernel.run("print('ra' + 'n')").stdout == "ran\n"
        assert {path: path.read_bytes() for path in logs.glob("*.jsonl")} != before
    finally:
        kernel.run("%kavach off")
        kernel.run("%config Kavach.audit_directory = ''")


def test_notebook_with_every_cell_sandboxed_is_held_by_the_file(
    kernel: Kernel, policy_file: Path
) -> None:
    """Off is refused with the line; a session that may do more than the file says runs no cell."""
    text = policy_file.read_text(encoding="utf-8")
    kernel.run("%kavach on")
    try:
        assert kernel.run("print('ra' + 'n')").stdout == "ran\n"
        off = str(kernel.run("%kavach off").reply)
        assert f"{policy_file} does not mention allow_off" in off
        policy_file.write_text('disk = "4M"\nstdin = false\n', encoding="utf-8")
        refused = kernel.run("print('ra' + 'n')")
        assert refused.stdout == ""
        assert f"{policy_file}, line 1, says disk" in str(refused.reply)
        assert "%kavach restart" in str(refused.reply)
        kernel.run("%kavach restart")
        assert kernel.run("print('ra' + 'n')").stdout == "ran\n"
        asks = kernel.run("input()", allow_stdin=True)
        assert asks.status == "error"
    finally:
        policy_file.write_text(f"{text}allow_off = true\n", encoding="utf-8")
        kernel.run("%kavach off")
    assert kernel.run("%kavach status").status == "ok"
    assert kernel.value("'Kavach' in str(get_ipython().configurables)") == "True"
