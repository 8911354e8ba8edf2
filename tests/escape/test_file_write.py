"""Nothing that a cell writes, renames, links or deletes lasts on the host."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kavach_ipy.linux.identity import UNPRIVILEGED_ID
from tests.contract.cells import NEEDS, ROOT
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


CHANGES = {
    "mode": "os.chmod(exe, 0o777)",
    "time": "os.utime(exe, (1, 1))",
    "group": "os.chown(exe, -1, 0)",
    "attribute": "os.removexattr(exe, 'user.mine')",
}
"""What the owner of a file may do to it without opening it."""
EXE = "import os\nexe = '/proc/self/exe'\n"
TWO_CELLS = """
import sys, threading
from kavach_ipy import Sandbox, Policy
from kavach_ipy.launch.script import script_body
changed = threading.Event()
class Ear:
    def stream(self, name, text): changed.set()
    def show(self, shown): pass
    def error(self, failure): pass
    def ask(self, prompt, *, password): raise EOFError
ends = []
def first():
    code = sys.argv[1] + "\\nimport signal\\nsignal.pause()"
    body = script_body(code, {})
    ends.append(Sandbox(Policy(timeout=20)).execute(body, sink=Ear()).failure)
thread = threading.Thread(target=first)
thread.start()
assert changed.wait(20)
class Second(Ear):
    def stream(self, name, text): thread.join()
body = script_body("print('x', flush=True)", {})
ends.append(Sandbox(Policy(timeout=20)).execute(body, sink=Second()).failure)
print({getattr(end, "limit", None) for end in ends} - {None})
"""
IN_A_CELL = """
import sys
from kavach_ipy import Sandbox, Policy
print(getattr(Sandbox(Policy(timeout=20)).run(sys.argv[1]).failure, "limit", None))
"""


@pytest.fixture
def own_python(tmp_path: Path) -> Path:
    """A copy of the interpreter that belongs to whoever a cell is outside."""
    copy = tmp_path / "python"
    shutil.copy(os.path.realpath(sys.executable), copy)
    copy.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(copy, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    return copy


def _run_by(program: Path, *arguments: str) -> str:
    places = os.pathsep.join((str(ROOT), *sys.path))
    done = subprocess.run(
        [program, "-c", *arguments],
        env={"PYTHONPATH": places, "PYTHONHOME": sys.base_prefix, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _state(path: Path) -> tuple[object, ...]:
    status = path.stat()
    names = os.listxattr(path)
    return (status.st_mode, status.st_gid, status.st_mtime_ns, names)


def _may_make(change: str, own_python: Path) -> None:
    """Prepare the file for a change, where this user and this file system can."""
    if change == "group":
        if os.geteuid() != 0:
            pytest.skip("an ordinary user has no second group to give a file")
        os.chown(own_python, -1, UNPRIVILEGED_ID + 1)
    if change == "attribute":
        try:
            os.setxattr(own_python, "user.mine", b"1")
        except OSError:
            pytest.skip("this file system has no attributes of users")


@pytest.mark.parametrize("after", ["", "import signal\nsignal.pause()"], ids=["short", "long"])
@pytest.mark.parametrize("change", CHANGES)
def test_interpreter_of_the_user_stays_as_it_was(own_python: Path, change: str, after: str) -> None:
    """/proc/self/exe leads out of every root; what is done there is noticed and undone."""
    _may_make(change, own_python)
    before = _state(own_python)
    said = _run_by(own_python, IN_A_CELL, f"{EXE}{CHANGES[change]}\n{after}")
    assert said == "program\n"
    assert _state(own_python) == before


@pytest.mark.baseline(
    "test_interpreter_of_the_user_stays_as_it_was",
    "test_cells_at_the_same_time_compare_with_what_was_before_them",
)
@pytest.mark.parametrize("change", CHANGES)
def test_interpreter_is_changed_without_the_sandbox(own_python: Path, change: str) -> None:
    """A plain process changes its own program for good."""
    _may_make(change, own_python)
    before = _state(own_python)
    _run_by(own_python, f"{EXE}{CHANGES[change]}")
    assert _state(own_python) != before


def test_cells_at_the_same_time_compare_with_what_was_before_them(own_python: Path) -> None:
    """A cell that starts after the change of another does not take it for the truth."""
    before = _state(own_python)
    said = _run_by(own_python, TWO_CELLS, f"{EXE}{CHANGES['mode']}\nprint('now', flush=True)")
    assert said == "{'program'}\n"
    assert _state(own_python) == before


@pytest.mark.no_baseline("it shows what must work")
def test_interpreter_that_is_left_alone_stops_no_cell(own_python: Path) -> None:
    """An honest cell of such an interpreter comes to its end."""
    assert _run_by(own_python, IN_A_CELL, "import os\nos.stat('/proc/self/exe')") == "None\n"


def test_interpreter_is_neither_opened_nor_emptied(own_python: Path) -> None:
    """Landlock asks for the file itself, and it lies outside."""
    code = "import os\nfor flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):\n"
    code += "    try: os.open('/proc/self/exe', flags)\n"
    code += "    except OSError: pass\n    else: raise SystemExit\n"
    code += "try: os.truncate('/proc/self/exe', 0)\nexcept OSError: pass\nelse: raise SystemExit\n"
    size = own_python.stat().st_size
    said = _run_by(own_python, IN_A_CELL.replace('failure, "limit"', 'failure, "name"'), code)
    assert said == "None\n"
    assert own_python.stat().st_size == size
    plain = "import os\nprint(len(os.read(os.open('/proc/self/exe', os.O_RDONLY), 4)))"
    assert outside(plain) == "4\n"
