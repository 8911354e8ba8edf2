"""What no rule names does not exist inside, by whatever way it is asked for."""

from __future__ import annotations

import ast
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kavach_ipy import Policy, Sandbox
from tests.contract.cells import NEEDS
from tests.escape.probes import FIRST, attack, found, number, outside

pytestmark = [pytest.mark.escape, NEEDS]

SECRET = "canary-5ec7e7"

PLACES = (
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/run",
    "/var",
    "/srv",
    "/mnt",
    "/root",
    "/home",
    "/media",
)


@pytest.fixture(params=[place for place in PLACES if os.access(place, os.W_OK)])
def secret(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file that every id may read, in a place of the host that no rule names."""
    folder = Path(tempfile.mkdtemp(prefix="kavach-secret-", dir=request.param))
    folder.chmod(0o755)
    file = folder / "canary"
    file.write_text(SECRET, encoding="utf-8")
    file.chmod(0o644)
    yield file
    shutil.rmtree(folder)


READS = {
    "open": "open(F).read()",
    "relative": "open('../' * 20 + F[1:]).read()",
    "by its own root": "open('/proc/self/root' + F).read()",
    "by its own directory": "open('/proc/self/cwd/' + '../' * 20 + F[1:]).read()",
    "by init's root": "open('/proc/1/root' + F).read()",
    "by a thread's root": "open('/proc/thread-self/root' + F).read()",
    "by a link": "os.symlink(F, W + '/way')\nopen(W + '/way').read()",
    "by a program": "__import__('subprocess').check_output(['cat', F], text=True)",
    "by a map": "__import__('mmap').mmap(os.open(F, 0), 0, prot=1)[:].decode()",
    "by a hard link": "os.link(F, W + '/linked')\nopen(W + '/linked').read()",
    "by listing": "' '.join(open(os.path.join(os.path.dirname(F), n)).read()"
    " for n in os.listdir(os.path.dirname(F)))",
}


def _code(name: str, secret: Path, workspace: Path | str) -> str:
    """Code whose last line is the text that was read; links are made in the workspace."""
    body, _, last = READS[name].rpartition("\n")
    names = f"F, W = {str(secret)!r}, {str(workspace)!r}"
    return f"import os\n{names}\n{body}\ntext = {last}\nprint(text)\ntext"


@pytest.mark.parametrize("name", READS)
def test_secret_of_the_host_is_not_there(name: str, secret: Path) -> None:
    """Every way to the file ends where the sandbox does."""
    outcome = attack(_code(name, secret, "/tmp"))
    assert SECRET not in repr(outcome.result) + outcome.stdout + repr(outcome.failure)
    assert not outcome.ok


@pytest.mark.baseline(
    "test_secret_of_the_host_is_not_there", "test_secret_is_read_where_a_rule_names_it"
)
@pytest.mark.parametrize("name", READS)
def test_secret_is_read_without_the_sandbox(name: str, secret: Path) -> None:
    """A plain process finds it in the same way."""
    # proc(5): who follows /proc/1/root must be allowed to trace process 1, so it is its own.
    rights = FIRST if name == "by init's root" else ""
    assert SECRET in outside(rights + _code(name, secret, secret.parent))


def test_secret_is_read_where_a_rule_names_it(secret: Path) -> None:
    """The same cell with ``--ro`` sees it: what hides the file is the rule alone."""
    code = f"open({str(secret)!r}).read()"
    assert attack(code, read_only=str(secret)).result == SECRET


def test_walk_over_everything_finds_no_canary(secret: Path) -> None:
    """No other name of the file is visible anywhere."""
    assert found(_walk("/")) == []
    # The machine of whoever runs the tests is not to be walked over from its root.
    walk = f"{_walk(str(secret.parent.parent))}\nprint(found)"
    assert str(secret.parent) in outside(walk)


def _walk(start: str) -> str:
    """Code that looks for names of the canary; the places deep below others are not its own."""
    return f"""
import os
found = []
for top, folders, names in os.walk({start!r}):
    if top == "/":
        folders[:] = set(folders) - {{"usr", "proc"}}
    found += [os.path.join(top, n) for n in (*folders, *names) if "kavach-secret" in n]
    if "canary" in names:
        found.append(top)
    if {start!r} != "/":
        folders[:] = [n for n in folders if "kavach-secret" in n]
found
"""


HOME = {
    ".ssh/id_ed25519": "private key",
    ".aws/credentials": "cloud",
    ".netrc": "password",
    ".bash_history": "history",
    ".config/gcloud/token": "token",
    ".ipython/profile_default/history.sqlite": "history",
    ".jupyter/jupyter_server_config.json": "password",
    ".local/share/jupyter/runtime/kernel-1.json": "key",
    ".local/share/jupyter/runtime/jpserver-1.json": "token",
    "Documents/letter.txt": "letter",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with everything in it that a thief looks for, readable by every id."""
    folder = tmp_path / "home"
    for name, text in HOME.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{SECRET} {text}", encoding="utf-8")
    monkeypatch.setenv("HOME", str(folder))
    return folder


READ_ALL = f"""
import os
home = os.path.expanduser("~")
found = []
for name in {sorted(HOME)!r}:
    try:
        found.append(open(os.path.join(home, name)).read())
    except OSError:
        pass
found
"""


def test_credentials_of_the_home_are_not_there(home: Path) -> None:
    """Keys, tokens, histories and the runtime files of Jupyter."""
    assert outside(f"{READ_ALL}\nprint(found)").count(SECRET) == len(HOME)
    assert found(READ_ALL) == []
    assert found("import os\nos.listdir(os.path.expanduser('~'))") == []


def test_working_directory_that_is_the_home_hides_its_dot_entries(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook in the home itself sees the files beside it, and no credentials."""
    monkeypatch.chdir(home)
    assert outside(f"{READ_ALL}\nprint(found)").count(SECRET) == len(HOME)
    letters = found(READ_ALL)
    assert letters in ([], [f"{SECRET} letter"])
    listed = found("import os\nos.listdir('.')")
    assert isinstance(listed, list)
    assert [name for name in listed if name.startswith(".")] == []


def test_credentials_that_a_home_gets_while_a_session_lives_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user logs in somewhere between two cells, and the second finds nothing of it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    read = "[open(name).read() for name in ('.netrc', '.ssh/id') if os.path.exists(name)]"
    with Sandbox(Policy(session="long")) as box:
        assert box.run("import os\nos.listdir('.')").check().result == []
        (home / ".ssh").mkdir()
        for name in (".netrc", ".ssh/id", "letter"):
            (home / name).write_text(SECRET, encoding="utf-8")
        assert outside(f"import os\nprint({read})").count(SECRET) == 2
        assert box.run(read).check().result == []


def test_working_directory_below_the_home_shows_nothing_above(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Going up from a project ends in an empty home."""
    monkeypatch.chdir(home / "Documents")
    code = "[open('letter.txt').read(), os.listdir('..')]"
    assert found(f"import os\n{code}") == [f"{SECRET} letter", ["Documents"]]
    assert ".ssh" in outside(f"print({code})")


def test_file_that_only_root_may_read_is_closed() -> None:
    """A shown system directory does not open what needs privilege."""
    assert attack("open('/etc/shadow').read()").failure is not None
    if os.geteuid() == 0:
        outside("open('/etc/shadow').close()")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_private_file_of_another_id_is_closed_in_the_working_directory(project: Path) -> None:
    """The cell of a root kernel owns root's files there and nobody else's: mode 0600 stops it."""
    private = project / "private"
    private.write_text(SECRET, encoding="utf-8")
    private.chmod(0o600)
    os.chown(private, 12345, 12345)
    outcome = attack("open('private').read()")
    assert not outcome.ok
    assert SECRET not in repr(outcome.result)
    outside("open('private').close()")


def test_file_handles_lead_nowhere(secret: Path) -> None:
    """`open_by_handle_at` needs no path, and is refused (the Shocker escape)."""
    handle = b"\x08\0\0\0\x01\0\0\0" + (2).to_bytes(8, "little")
    code = f"""
mount = os.open("/usr", os.O_RDONLY)
answers = [call({number("open_by_handle_at")}, mount, {handle!r}, 0),
           call({number("name_to_handle_at")}, mount, b".", {bytes(144)!r}, bytes(8), 0)]
answers
"""
    assert found(code) == ["EPERM", "EPERM"]
    # open_by_handle_at(2): asks for CAP_DAC_READ_SEARCH, and name_to_handle_at for nothing; the
    # one is told that the handle is stale, the other that there was no room for it.
    opened, named = ast.literal_eval(outside(f"{code}\nprint(answers)"))
    assert named == "EOVERFLOW"
    assert opened != "EPERM" or os.geteuid() != 0


TELLING = ["/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/timer_list", "/proc/kallsyms"]


@pytest.mark.parametrize("path", TELLING)
def test_memory_and_secrets_of_the_machine_are_covered(path: str) -> None:
    """The telling files of /proc are empty."""
    outcome = attack(f"open({path!r}, 'rb').read(64)")
    assert not outcome.result


@pytest.mark.baseline("test_memory_and_secrets_of_the_machine_are_covered")
@pytest.mark.parametrize("path", [path for path in TELLING if os.access(path, os.R_OK)])
def test_memory_and_secrets_of_the_machine_are_read_without_the_sandbox(path: str) -> None:
    """What this Linux has of them, and lets this user read."""
    assert int(outside(f"print(len(open({path!r}, 'rb').read(64)))")) > 0


ABSENT = [
    "/sys/kernel", "/sys/class", "/sys/fs/cgroup", "/sys/firmware", "/dev/mem", "/dev/kmsg",
    "/dev/tty", "/dev/vda", "/dev/sda", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/boot",
    "/var/run/docker.sock", "/run/docker.sock", "/run/dbus/system_bus_socket", "/var/lib",
]  # fmt: skip


@pytest.mark.parametrize("path", ABSENT)
def test_place_of_the_host_does_not_exist(path: str) -> None:
    """Devices, kernel interfaces and the sockets of services."""
    assert found(f"import os\nos.path.lexists({path!r})") is False


@pytest.mark.baseline("test_place_of_the_host_does_not_exist")
def test_places_of_the_host_exist_without_the_sandbox() -> None:
    """Those that every Linux has; devices and services are as the machine happens to be."""
    code = f"print([path for path in {ABSENT!r} if os.path.lexists(path)])"
    assert {"/sys/kernel", "/sys/class", "/dev/tty", "/var/lib"} <= set(
        ast.literal_eval(outside(code))
    )
