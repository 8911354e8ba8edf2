"""A kernel of host root: its cell is another id outside, and works on root's files all the same."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.contract.cells import NEEDS, program, run, value

pytestmark = [
    pytest.mark.contract,
    NEEDS,
    pytest.mark.skipif(os.geteuid() != 0, reason="only host root becomes another id"),
]

REPORT = """
from kavach_ipy import Sandbox
outcome = Sandbox().run("open('private').read()")
print(outcome.failure)
print(outcome.report.text())
"""


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: host root's, and closed to everybody else."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    (folder / "private").write_text("root's", encoding="utf-8")
    (folder / "private").chmod(0o600)
    (folder / "stranger").write_text("another's", encoding="utf-8")
    (folder / "stranger").chmod(0o600)
    os.chown(folder / "stranger", 12345, 12345)
    monkeypatch.chdir(folder)
    return folder


def test_files_of_host_root_are_the_cells_own(private: Path) -> None:
    """They are read, changed and moved as an ordinary user's are, and stay as they were."""
    code = """
    import os
    with open("private", "a") as file:
        file.write(" and more")
    os.chmod("private", 0o644)
    os.rename("private", "moved")
    found = open("moved").read(), os.stat("moved").st_uid
    os.remove("moved")
    found
    """
    before = (private / "private").stat()
    assert value(code) == ("root's and more", 0)
    after = (private / "private").stat()
    assert (private / "private").read_text(encoding="utf-8") == "root's"
    for field in ("st_ino", "st_uid", "st_gid", "st_mode", "st_mtime_ns", "st_ctime_ns"):
        assert getattr(after, field) == getattr(before, field), field


def test_private_files_of_another_id_stay_closed(private: Path) -> None:
    """Root's cell is no root: what is neither its own nor open to all cannot be read or changed."""
    code = """
    import os
    def attempt(act):
        try:
            act()
        except OSError as error:
            return type(error).__name__
        return "done"
    [attempt(lambda: open("stranger")), attempt(lambda: open("stranger", "w")),
     attempt(lambda: os.chown("stranger", 0, 0)), attempt(lambda: os.chmod("stranger", 0o666))]
    """
    assert "done" not in value(code)
    assert (private / "stranger").read_text(encoding="utf-8") == "another's"
    assert (private / "stranger").stat().st_uid == 12345


def test_read_only_paths_of_host_root_are_readable_and_no_more(
    private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--ro`` shows root's closed directories, and not one byte of them can change."""
    monkeypatch.chdir(tmp_path)
    path = str(private / "private")
    assert value(f"open({path!r}).read()", read_only=str(private)) == "root's"
    outcome = run(f"open({path!r}, 'a')", read_only=str(private))
    assert outcome.failure is not None
    assert "Read-only file system" in str(outcome.failure)


def test_what_is_made_outside_by_the_cells_id_is_not_roots(private: Path) -> None:
    """The id that owns root's files inside owns nothing outside: the host sees another uid."""
    code = "import os\nopen('made', 'w').close()\nos.stat('made').st_uid, os.stat('private').st_uid"
    assert value(code) == (0, 0)
    assert not (private / "made").exists()
    assert (private / "private").stat().st_uid == 0


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare(1)")
def test_file_system_without_idmapped_mounts_is_said_in_the_report(private: Path) -> None:
    """On overlayfs the cell runs, what root alone may read stays closed, and the report says so."""
    for name in ("upper", "work", "merged"):
        (private.parent / name).mkdir()
    mount = (
        'mount -t overlay none -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4" && cd "$4" && shift 4'
    )
    folders = [str(private), *(str(private.parent / name) for name in ("upper", "work", "merged"))]
    shell = ("unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *map(str, folders))
    done = program(*shell, sys.executable, "-c", REPORT)
    assert done.returncode == 0, done.stderr
    failure, *report = done.stdout.splitlines()
    assert "Permission denied" in failure
    (line,) = (line for line in report if "working directory" in line)
    assert "files of host root stay as they are" in line


def test_report_says_nothing_of_the_sort_where_they_are_the_cells(private: Path) -> None:
    """A file system that has idmapped mounts needs no remark."""
    assert "stay as they are" not in run("1").report.text()  # type: ignore[attr-defined]
