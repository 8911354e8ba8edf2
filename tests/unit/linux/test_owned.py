"""Files that only their owners can have written, as a real file system has them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from kavach_ipy.errors import FileRefused
from kavach_ipy.linux.owned import check_owned_directory, read_owned

ME = os.geteuid()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory of our own, and the umask does not matter."""
    directory = tmp_path / "kavach"
    directory.mkdir()
    directory.chmod(0o755)
    return directory


@pytest.fixture
def file(place: Path) -> Path:
    """A file that can be relied on."""
    path = place / "policy.toml"
    path.write_bytes(b"content")
    path.chmod(0o644)
    return path


def _read(path: Path, limit: int = 100) -> bytes | None:
    return read_owned(str(path), {ME}, limit=limit)


def test_file_of_the_owner_is_read(file: Path) -> None:
    """What must work, works: also of exactly the longest size."""
    assert _read(file) == b"content"
    assert _read(file, limit=len(b"content")) == b"content"


def test_file_below_a_sticky_directory_of_roots_is_read() -> None:
    """In /tmp nobody can take away or rename what is somebody else's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = Path(directory, "policy.toml")
        path.write_bytes(b"x")
        path.chmod(0o600)
        assert _read(path) == b"x"


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o622])
def test_file_that_others_can_write_is_refused(file: Path, mode: int) -> None:
    """Group or world: the mode is named, and the remedy."""
    file.chmod(mode)
    with pytest.raises(FileRefused, match=rf"mode is {mode:04o}.*chmod go-w"):
        _read(file)


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_file_below_a_directory_that_others_can_write_is_refused(file: Path, mode: int) -> None:
    """Who can write the directory can put another file there."""
    file.parent.chmod(mode)
    with pytest.raises(FileRefused, match=rf"^{file.parent}: its mode is {mode:04o}"):
        _read(file)
    with pytest.raises(FileRefused, match=rf"^{file.parent}: its mode is {mode:04o}"):
        check_owned_directory(str(file.parent), {ME})


def test_directory_that_others_can_write_is_refused_further_up(file: Path) -> None:
    """Every directory on the way counts."""
    deep = file.parent / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "f").write_bytes(b"x")
    file.parent.chmod(0o777)
    with pytest.raises(FileRefused, match=rf"^{file.parent}: its mode"):
        _read(deep / "f")


def test_file_that_is_missing_where_others_can_write_is_refused(place: Path) -> None:
    """They could have taken it away."""
    place.chmod(0o777)
    with pytest.raises(FileRefused, match="its mode is 0777"):
        _read(place / "policy.toml")


def test_directory_that_is_missing_is_judged_by_those_above(place: Path) -> None:
    """Whoever can write above will be there first."""
    place.chmod(0o777)
    with pytest.raises(FileRefused, match=rf"^{place}: its mode is 0777"):
        check_owned_directory(str(place / "a" / "b"), {ME})


def test_file_that_is_missing_is_none(place: Path) -> None:
    """Without the file or its directory there is nothing to judge."""
    assert _read(place / "policy.toml") is None
    assert _read(place / "no" / "policy.toml") is None
    check_owned_directory(str(place / "no"), {ME})


def test_symbolic_link_is_refused(file: Path) -> None:
    """Where it leads is for whoever can change it to say; the real path is named."""
    link = file.parent / "link.toml"
    link.symlink_to(file)
    with pytest.raises(FileRefused, match=rf"symbolic link; the real path is, {file}"):
        _read(link)


def test_symbolic_link_to_nowhere_is_refused(file: Path) -> None:
    """It is no missing file."""
    link = file.parent / "link.toml"
    link.symlink_to("nowhere")
    with pytest.raises(FileRefused, match="symbolic link"):
        _read(link)


def test_directory_that_is_a_symbolic_link_is_refused(file: Path) -> None:
    """The way to the file counts as much as the file."""
    link = file.parent.parent / "link"
    link.symlink_to(file.parent)
    with pytest.raises(FileRefused, match=rf"^{link}: it is a symbolic link"):
        _read(link / file.name)


def test_file_of_somebody_else_is_refused(file: Path) -> None:
    """Owner and allowed owners are named."""
    owners = {ME + 1} if ME else set()
    if ME == 0:
        os.chown(file, 65534, 65534)
    with pytest.raises(FileRefused, match=r"its owner is user \d+; user 0"):
        read_owned(str(file), owners, limit=100)


def test_directory_of_somebody_else_is_refused(file: Path) -> None:
    """Its owner can replace what root has put there."""
    if ME == 0:
        os.chown(file.parent, 65534, 65534)
    with pytest.raises(FileRefused, match=r"its owner is user \d+"):
        check_owned_directory(str(file.parent), {ME + 1} if ME else set())


def test_fifo_is_refused_and_not_waited_for(place: Path) -> None:
    """Opening one to read waits for a writer, and none comes."""
    os.mkfifo(place / "pipe", 0o644)
    with pytest.raises(FileRefused, match="no regular file"):
        _read(place / "pipe")


def test_directory_is_no_file(place: Path) -> None:
    """Nor is a file a directory."""
    with pytest.raises(FileRefused, match="no regular file"):
        _read(place)
    (place / "f").write_bytes(b"")
    with pytest.raises(FileRefused, match=rf"^{place}/f: it cannot be opened: not a directory"):
        _read(place / "f" / "policy.toml")


def test_file_that_is_too_long_is_refused(file: Path) -> None:
    """One byte more than the limit."""
    with pytest.raises(FileRefused, match="longer than 6 bytes"):
        _read(file, limit=6)


@pytest.mark.skipif(ME == 0, reason="root reads everything")
def test_file_that_cannot_be_read_is_refused(file: Path) -> None:
    """A floor that a user cannot read is not taken for none."""
    file.chmod(0o000)
    with pytest.raises(FileRefused, match="permission denied"):
        _read(file)
    file.parent.chmod(0o000)
    try:
        with pytest.raises(FileRefused, match="permission denied"):
            _read(file)
    finally:
        file.parent.chmod(0o755)


@pytest.mark.parametrize("path", ["relative", "/tmp/../etc/x", "/tmp//x", ""])
def test_path_in_another_form_is_refused(path: str) -> None:
    """What is walked is what is named."""
    with pytest.raises(FileRefused, match="absolute path"):
        read_owned(path, {ME}, limit=10)
