"""What a cell writes has no path on the host, so no other user can wait for it there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kavach_ipy.linux.verify import read_mounts
from tests.contract.cells import NEEDS
from tests.escape.probes import attack, found, looked_at, outside

pytestmark = [pytest.mark.escape, NEEDS]

PLACES = ["/tmp", "/dev/shm", "~", "."]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that every id may write to."""
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def meeting_point(request: pytest.FixtureRequest, home: Path, project: Path) -> Iterator[Path]:
    """A name in a place that everybody may write to, which a neighbour could know beforehand."""
    path = Path(request.param).expanduser().absolute() / f"kavach-test-{os.getpid()}"
    yield path
    path.unlink(missing_ok=True)


every_place = pytest.mark.parametrize("meeting_point", PLACES, indirect=True)


@every_place
def test_file_of_a_cell_has_no_path_on_the_host(meeting_point: Path) -> None:
    """While the cell still runs, nobody outside finds what it has written."""
    code = f"open({str(meeting_point)!r}, 'w').write('mine')"
    seen: list[bool] = []
    looked_at(
        f"{code}\nassert os.path.exists({str(meeting_point)!r})",
        lambda _: seen.append(os.path.lexists(meeting_point)),
    )
    assert seen == [False]
    outside(code)
    assert meeting_point.read_text(encoding="utf-8") == "mine"


@every_place
def test_link_that_a_neighbour_laid_is_not_followed(meeting_point: Path, canaries: Path) -> None:
    """The name that the cell writes to leads where the cell's own root does, not to the victim."""
    meeting_point.symlink_to(canaries / "file")
    code = f"open({str(meeting_point)!r}, 'w').write('led astray')"
    attack(code)
    assert (canaries / "file").read_text(encoding="utf-8") == "canary"
    # proc(5), fs.protected_symlinks: in a sticky directory others may not follow; the owner may.
    outside(code)
    assert (canaries / "file").read_text(encoding="utf-8") == "led astray"


@every_place
def test_file_that_a_neighbour_laid_is_not_read(meeting_point: Path) -> None:
    """Nor does the cell take what waits in a shared place for its own; its directory is shown."""
    meeting_point.write_text("forged", encoding="utf-8")
    meeting_point.chmod(0o644)
    code = f"open({str(meeting_point)!r}).read()"
    own = meeting_point.parent == Path.cwd()
    assert attack(code).result == ("forged" if own else None)
    assert outside(f"print({code})") == "forged\n"


def test_set_up_makes_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for a moment, and not by a name that nobody can guess."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = folder.stat().st_mtime_ns
    found("import tempfile\ntempfile.mkstemp()\n1")
    assert folder.stat().st_mtime_ns == before
    outside("import tempfile\ntempfile.mkstemp()")
    assert folder.stat().st_mtime_ns != before


@pytest.mark.no_baseline("a plain process has no mounts of its own to look at")
def test_scratch_space_is_of_the_cells_own_mounts() -> None:
    """Read from outside: what is writable is a tmpfs, an overlay above one, or the cell's ptys."""
    writable: list[bytes] = []

    def look(cell: int) -> None:
        mounts = [mount for mount in read_mounts(cell) if not mount.read_only]
        writable.extend(mount.fstype for mount in mounts)

    looked_at("", look)
    assert writable
    assert set(writable) <= {b"tmpfs", b"overlay", b"devpts"}
