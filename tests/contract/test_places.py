"""Where a cell reads and writes: its working directory, its own places, the paths it was given."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from kavach_ipy.errors import CannotEnforce
from tests.contract.cells import NEEDS, failed, value

pytestmark = [pytest.mark.contract, NEEDS]

DATA = "open('data.txt').read()"


def _folder(path: Path) -> Path:
    """A directory that any id may write to, with a file that any id may write to."""
    path.mkdir()
    path.chmod(0o777)
    (path / "file").write_text("host", encoding="utf-8")
    (path / "file").chmod(0o666)
    return path


def test_working_directory_is_read_where_it_is(project: Path) -> None:
    """Same path, same files."""
    assert value(f"import os\nos.getcwd(), {DATA}") == (str(project), "as it was")


def test_new_files_in_the_working_directory_are_thrown_away(project: Path) -> None:
    """What is made inside is read back inside, and is nowhere on the host."""
    code = "import os\nopen('new', 'w').write('x')\nos.mkdir('folder')\nsorted(os.listdir())"
    assert value(code) == ["data.txt", "folder", "new"]
    assert os.listdir(project) == ["data.txt"]
    assert value("import os\nos.listdir()") == ["data.txt"]


def test_writes_to_the_working_directory_succeed_and_are_thrown_away(project: Path) -> None:
    """The cell reads back what it wrote; the host's bytes keep their hash; the next cell too."""
    before = hashlib.sha256((project / "data.txt").read_bytes()).digest()
    code = f"""
    import os
    with open("data.txt", "a") as file:
        file.write(" and more")
    os.mkdir("new")
    open("new/file", "w").close()
    changed = {DATA}
    os.rename("data.txt", "moved.txt")
    changed, sorted(os.listdir())
    """
    assert value(code) == ("as it was and more", ["moved.txt", "new"])
    assert os.listdir(project) == ["data.txt"]
    assert hashlib.sha256((project / "data.txt").read_bytes()).digest() == before
    assert value(f"import os\nos.listdir(), {DATA}") == (["data.txt"], "as it was")


def test_removal_in_the_working_directory_is_thrown_away(project: Path) -> None:
    """Deleting and truncating happen to nobody."""
    assert value("import os\nos.truncate('data.txt', 0)\nos.remove('data.txt')\nos.listdir()") == []
    assert os.listdir(project) == ["data.txt"]


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm", "~"])
def test_place_of_its_own_is_writable_and_empty_next_time(place: str) -> None:
    """What one cell leaves there, neither the host nor the next cell finds."""
    path = os.path.join(os.path.expanduser(place), "kavach-left-by-a-cell")
    write = f"open({path!r}, 'w').write('x')\nimport os\nos.path.exists({path!r})"
    assert value(write) is True
    assert not os.path.exists(path)
    assert value(f"import os\nos.path.exists({path!r})") is False


def test_home_shows_none_of_the_hosts_files() -> None:
    """The home is there by name and holds nothing but ways to the Python environment."""
    home = Path("~").expanduser().resolve()
    environment = [Path(path).resolve() for path in (sys.prefix, sys.base_prefix, *sys.path)]
    ways = {path.relative_to(home).parts[0] for path in environment if home in path.parents}
    assert set(value("import os\nos.listdir(os.path.expanduser('~'))")) <= ways


def test_read_only_path_is_read_and_not_written(tmp_path: Path) -> None:
    """``--ro`` shows a path; without it there is nothing."""
    file = str(_folder(tmp_path / "shared") / "file")
    assert failed(f"open({file!r})").name == "FileNotFoundError"
    assert value(f"open({file!r}).read()", read_only=os.path.dirname(file)) == "host"
    failure = failed(f"open({file!r}, 'w')", read_only=os.path.dirname(file))
    assert failure.name in ("OSError", "PermissionError")
    assert Path(file).read_text(encoding="utf-8") == "host"


def test_single_file_may_be_shown(tmp_path: Path) -> None:
    """``--ro`` of a file shows that file and not its neighbours."""
    folder = _folder(tmp_path / "shared")
    (folder / "other").write_text("secret", encoding="utf-8")
    code = f"import os\nopen({str(folder / 'file')!r}).read(), os.listdir({str(folder)!r})"
    assert value(code, read_only=str(folder / "file")) == ("host", ["file"])


def test_writable_path_is_written(tmp_path: Path) -> None:
    """``--rw`` lets writes last; without it none does."""
    folder = _folder(tmp_path / "shared")
    code = f"open({str(folder / 'made')!r}, 'w').write('by the cell')"
    failed(code)
    assert not (folder / "made").exists()
    assert value(code, writable=str(folder)) == 11
    assert (folder / "made").read_text(encoding="utf-8") == "by the cell"


def test_files_that_run_by_themselves_stay_read_only_below_a_writable_path(tmp_path: Path) -> None:
    """``--rw`` of a project does not hand over its hooks and start-up files."""
    folder = _folder(tmp_path / "shared")
    hooks = folder / ".git" / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "pre-commit").write_text("host", encoding="utf-8")
    (folder / "sitecustomize.py").write_text("host = 1", encoding="utf-8")
    for path in (hooks, hooks / "pre-commit", folder / "sitecustomize.py"):
        path.chmod(0o777)
    for name in (".git/hooks/pre-commit", ".git/hooks/new", "sitecustomize.py"):
        failure = failed(f"open({str(folder / name)!r}, 'w').write('x')", writable=str(folder))
        assert failure.name in ("OSError", "PermissionError")
    assert (hooks / "pre-commit").read_text(encoding="utf-8") == "host"
    assert os.listdir(hooks) == ["pre-commit"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only host root becomes another id")
def test_root_is_told_when_the_cells_id_may_not_write_there(tmp_path: Path) -> None:
    """A promise that cannot be kept is refused before the cell, with the remedy."""
    folder = tmp_path / "private"
    folder.mkdir(mode=0o755)
    with pytest.raises(CannotEnforce, match="chown") as raised:
        value("1", writable=str(folder))
    assert str(folder) in str(raised.value)


def test_hidden_path_shows_nothing(project: Path) -> None:
    """``--hide`` wins over what made the path visible, for files and for directories."""
    (project / "keys").mkdir()
    (project / "keys" / "id").write_text("secret", encoding="utf-8")
    seen = "import os\nos.path.exists('keys/id'), len(open('data.txt').read())"
    assert value(seen) == (True, 9)
    hidden = (str(project / "keys"), str(project / "data.txt"))
    assert value(seen, hidden=hidden) == (False, 0)


def test_hidden_path_hides_the_working_directory_below_it(project: Path) -> None:
    """What is above it need not be shown itself; the cell starts elsewhere, and knows."""
    seen = f"import os\nos.path.exists({str(project / 'data.txt')!r}), os.getcwd()"
    assert value(seen) == (True, str(project))
    for hidden in (project, project.parent, project.parent.parent):
        assert value(seen, hidden=str(hidden)) == (False, "/tmp")


def test_hidden_path_cannot_be_uncovered(project: Path) -> None:
    """Renaming the parent, or linking to it, shows nothing either."""
    (project / "keys").mkdir()
    (project / "keys" / "id").write_text("secret", encoding="utf-8")
    code = """
    import os
    found = []
    for step in (lambda: os.rename("keys", "open"), lambda: os.rmdir("keys"),
                 lambda: os.symlink("keys", "link")):
        try:
            step()
        except OSError:
            pass
    for top, _, names in os.walk(".", followlinks=True):
        found += names
    found
    """
    assert "id" not in value(code, hidden=str(project / "keys"))


def test_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """``--ro`` of nothing runs nothing."""
    with pytest.raises(CannotEnforce, match="nothing at that path"):
        value("1", read_only=str(tmp_path / "missing"))


@pytest.mark.parametrize(
    "name", ["with space", "tab\there", "new\nline", "back\\slash", "a:b,c=d", "ü"]
)
def test_working_directory_of_any_name_works(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that mount options and /proc escape are names like others."""
    folder = _folder(tmp_path / name)
    monkeypatch.chdir(folder)
    assert value("open('x', 'w').write('y')\nopen('file').read()") == "host"
    assert os.listdir(folder) == ["file"]


def test_working_directory_that_was_deleted_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cell starts in an empty place."""
    folder = _folder(tmp_path / "gone")
    monkeypatch.chdir(folder)
    (folder / "file").unlink()
    folder.rmdir()
    assert value("import os\nos.getcwd()") == "/tmp"


@pytest.mark.parametrize("place", ["/", "/tmp", "/usr/lib"])
def test_working_directory_of_the_system_shows_no_more_than_usual(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Starting in / or /tmp does not open them."""
    monkeypatch.chdir(place)
    # /var itself may be there, as the way to a package that lies below it.
    code = "import os\nos.getcwd(), os.path.exists('/var/lib'), os.path.exists('/etc/passwd')"
    assert value(code) == (place, False, True)


def test_path_through_a_symbolic_link_is_found(tmp_path: Path) -> None:
    """A path is shown by the name that the user wrote."""
    folder = _folder(tmp_path / "real")
    (tmp_path / "link").symlink_to(folder)
    path = str(tmp_path / "link" / "file")
    assert value(f"open({path!r}).read()", read_only=str(tmp_path / "link")) == "host"
