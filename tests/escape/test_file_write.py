"""Nothing that a cell writes, renames, links or deletes lasts on the host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.contract.cells import NEEDS
from tests.escape.probes import FIRST, attack, fingerprint, number, outside

pytestmark = [pytest.mark.escape, NEEDS]

WRITES = {
    "overwrite": "open(D + '/file', 'w').write('changed')",
    "append": "open(D + '/file', 'a').write('changed')",
    "in place": "os.pwrite(os.open(D + '/file', os.O_RDWR), b'X', 0)",
    "truncate": "os.truncate(D + '/file', 0)",
    "create": "open(D + '/new', 'x').close()",
    "temporary": "f = os.open(D, os.O_TMPFILE | os.O_RDWR)\n"
    "os.link(f'/proc/self/fd/{f}', D + '/new', src_dir_fd=f)",
    "unlink": "os.unlink(D + '/file')",
    "rename": "os.rename(D + '/file', D + '/moved')",
    "rename over": "open(D + '/x', 'w').close(); os.replace(D + '/x', D + '/file')",
    "move in": "open('/tmp/made', 'w').close()\n"
    "__import__('shutil').move('/tmp/made', D + '/made')",
    "exchange": "call(RENAMEAT2, -100 & (1 << 64) - 1, D.encode() + b'/file',"
    " -100 & (1 << 64) - 1, D.encode() + b'/inner/file', 2)\n"
    "open(D + '/file', 'a').write('changed')",
    "hard link": "os.link(D + '/file', D + '/linked')",
    "symbolic link": "os.symlink('/etc', D + '/linked')",
    "make directory": "os.mkdir(D + '/folder')",
    "remove directory": "os.unlink(D + '/inner/file'); os.rmdir(D + '/inner')",
    "remove tree": "__import__('shutil').rmtree(D + '/inner')",
    "mode": "open(D + '/mine', 'w').close(); os.chmod(D + '/mine', 0o4777)",
    "times": "os.utime(D + '/file', (1, 1)) if os.stat(D + '/file').st_uid == os.geteuid()"
    " else os.utime(D + '/file')",
    "attribute": "os.setxattr(D + '/file', 'user.kavach', b'x')",
    "fifo": "os.mkfifo(D + '/fifo')",
    "socket": "__import__('socket').socket(1).bind(D + '/s')",
    "copy": "__import__('shutil').copy('/etc/hostname', D + '/copied')",
    "descriptor path": "os.open('/proc/self/fd/%d' % os.open(D + '/file', os.O_PATH),"
    " os.O_WRONLY | os.O_TRUNC)",
    "relative": "os.chdir(D + '/inner'); open('../file', 'w').write('changed')",
    "from the root": "open('/proc/self/root' + D + '/file', 'w').write('changed')",
    "of another": "open('/proc/1/root' + D + '/file', 'w').write('changed')",
    "program": "assert os.system(f'echo changed > {D}/file') == 0",
    "thread": "t = __import__('threading').Thread(target=lambda: open(D + '/new', 'w'))\n"
    "t.start(); t.join()",
    "mapped": "f = open(D + '/file', 'r+b'); m = __import__('mmap').mmap(f.fileno(), 6)\n"
    "m[:] = b'mapped'; m.flush()",
    "allocate": "os.posix_fallocate(os.open(D + '/file', os.O_RDWR), 0, 1 << 16)",
    "send": "i = os.open('/etc/passwd', 0); o = os.open(D + '/file', os.O_WRONLY)\n"
    "os.sendfile(o, i, 0, 10)",
}


def _code(name: str, folder: Path) -> str:
    renameat2 = number("renameat2")
    return f"import os\nD = {str(folder)!r}\nRENAMEAT2 = {renameat2}\n{WRITES[name]}"


@pytest.mark.baseline(
    "test_cell_changes_nothing_where_it_may_not_look",
    "test_cell_changes_nothing_where_it_may_only_read",
    "test_cell_changes_nothing_in_its_working_directory",
)
@pytest.mark.parametrize("name", WRITES)
def test_probe_changes_the_canary_without_the_sandbox(name: str, canaries: Path) -> None:
    """Each way to write is one: a plain process changes what is watched below."""
    before = fingerprint(canaries)
    # proc(5): who follows /proc/1/root must be allowed to trace process 1, so it is its own.
    outside((FIRST if name == "of another" else "") + _code(name, canaries))
    assert fingerprint(canaries) != before


@pytest.mark.parametrize("name", WRITES)
def test_cell_changes_nothing_where_it_may_not_look(name: str, canaries: Path) -> None:
    """A directory that no rule names."""
    before = fingerprint(canaries)
    attack(_code(name, canaries))
    assert fingerprint(canaries) == before


@pytest.mark.parametrize("name", WRITES)
def test_cell_changes_nothing_where_it_may_only_read(name: str, canaries: Path) -> None:
    """The same directory, shown by ``--ro``."""
    before = fingerprint(canaries)
    attack(_code(name, canaries), read_only=str(canaries))
    assert fingerprint(canaries) == before


@pytest.mark.parametrize("name", WRITES)
def test_cell_changes_nothing_in_its_working_directory(
    name: str, canaries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same directory, as the overlay shows it; writes may succeed inside."""
    monkeypatch.chdir(canaries)
    before = fingerprint(canaries)
    attack(_code(name, canaries))
    assert fingerprint(canaries) == before


def test_link_that_the_host_has_leads_to_no_canary(project: Path, canaries: Path) -> None:
    """A symbolic link of the working directory ends inside the sandbox."""
    (project / "way").symlink_to(canaries)
    before = fingerprint(canaries)
    outside("open('way/file', 'w').write('changed')")
    assert fingerprint(canaries) != before
    before = fingerprint(canaries)
    attack("open('way/file', 'w').write('again')\nopen('way/new', 'w')")
    assert fingerprint(canaries) == before


def test_links_of_the_cell_mislead_nobody(project: Path, canaries: Path) -> None:
    """Links that the cell plants in a place that lasts are refused or stay links."""
    before = fingerprint(canaries)
    code = f"import os\nos.symlink({str(canaries)!r}, 'way')\nopen('way/file', 'w').write('x')"
    attack(code)
    assert fingerprint(canaries) == before
    assert not os.path.lexists(project / "way")
    outside(code)
    assert fingerprint(canaries) != before
    assert (project / "way").is_symlink()


def test_fifo_of_a_shown_directory_takes_no_bytes(canaries: Path) -> None:
    """A named pipe is a door to whoever reads it; a read-only mount alone does not close it."""
    reader = _fifo(canaries)
    try:
        path = str(canaries / "fifo")
        code = f"import os\nos.write(os.open({path!r}, os.O_RDWR | os.O_NONBLOCK), b'out')"
        outside(code)
        assert os.read(reader, 10) == b"out"
        attack(code, read_only=str(canaries))
        with pytest.raises(BlockingIOError):
            assert not os.read(reader, 10), "the cell wrote to the host's pipe"
    finally:
        os.close(reader)


def test_fifo_of_the_working_directory_takes_no_bytes(project: Path) -> None:
    """The overlay's pipe is not the host's."""
    reader = _fifo(project)
    try:
        code = "import os\nos.write(os.open('fifo', os.O_RDWR | os.O_NONBLOCK), b'out')"
        outside(code)
        assert os.read(reader, 10) == b"out"
        attack(code)
        with pytest.raises(BlockingIOError):
            os.read(reader, 10)
    finally:
        os.close(reader)


def _fifo(folder: Path) -> int:
    """Make a pipe that any id may write to, with a reader and a writer on the host."""
    os.mkfifo(folder / "fifo")
    (folder / "fifo").chmod(0o666)
    return os.open(folder / "fifo", os.O_RDWR | os.O_NONBLOCK)
