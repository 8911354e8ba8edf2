"""Landlock in a real kernel: each right allowed inside what was named, refused outside it."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kavach_ipy.linux import _libc, landlock
from kavach_ipy.linux.landlock import Applied, FsAccess, NetAccess, Scope, handled_rights
from tests.unit.linux.throwaway import errno_of, forked

pytestmark = [pytest.mark.kernel, pytest.mark.needs("landlock")]

SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc")


@dataclass(frozen=True, slots=True)
class Ground:
    """Three directories with the same content: to write, to read, and one never named."""

    write: Path
    read: Path
    out: Path


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """Make the three directories."""
    for name in ("write", "read", "out"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "file").write_text("content")
        (folder / "folder").mkdir()
        shutil.copy("/bin/true", folder / "program")
    return Ground(tmp_path / "write", tmp_path / "read", tmp_path / "out")


def confined(
    ground: Ground, function: Callable[[], object], *, network: bool | landlock.Ports = False
) -> object:
    """Run `function` in a process that Landlock confines to the ground; its value."""

    def child() -> object:
        system = [Path(path) for path in SYSTEM if os.path.exists(path)]
        read = tuple(os.open(path, os.O_PATH) for path in (*system, ground.read))
        write = (os.open(ground.write, os.O_PATH),)
        devices = (os.open("/dev/null", os.O_PATH),)
        _libc.prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
        landlock.restrict(read, write, devices, network=network)
        for fd in (*read, *write, *devices):
            os.close(fd)
        return function()

    ending = forked(child)
    assert ending.signal == 0
    return ending.value


def make_socket(place: Path) -> None:
    """Make a socket file."""
    # sun_path holds 108 bytes, and a test's folder may have a longer name. landlock(7): chdir is
    # not restricted.
    os.chdir(place)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("new")


def run_program(path: Path) -> None:
    """Execute and wait; posix_spawn reports the errno of exec."""
    pid = os.posix_spawn(path, [str(path)], {})
    assert os.waitpid(pid, 0)[1] == 0


READS: dict[str, Callable[[Path], object]] = {
    "read a file": lambda place: (place / "file").read_bytes(),
    "list a directory": os.listdir,
    "execute": lambda place: run_program(place / "program"),
}
WRITES: dict[str, Callable[[Path], object]] = {
    "write a file": lambda place: os.close(os.open(place / "file", os.O_WRONLY)),
    "truncate": lambda place: os.truncate(place / "file", 0),
    "create": lambda place: os.close(os.open(place / "new", os.O_CREAT | os.O_EXCL | os.O_RDWR)),
    "unlink": lambda place: os.unlink(place / "file"),
    "mkdir": lambda place: os.mkdir(place / "new"),
    "rmdir": lambda place: os.rmdir(place / "folder"),
    "rename": lambda place: os.rename(place / "file", place / "renamed"),
    "move into a directory": lambda place: os.rename(place / "file", place / "folder" / "file"),
    "link": lambda place: os.link(place / "file", place / "linked"),
    "symlink": lambda place: os.symlink("file", place / "new"),
    "mkfifo": lambda place: os.mkfifo(place / "new"),
    "make a socket": make_socket,
}
SINCE = {"truncate": 3, "move into a directory": 2}


@pytest.mark.parametrize("action", READS)
def test_reading_works_where_named_only(ground: Ground, action: str) -> None:
    """Reading, listing and executing work in both named places and nowhere else."""
    act = READS[action]

    def attempt() -> object:
        places = (ground.read, ground.write, ground.out)
        return [errno_of(act, place) for place in places]

    assert confined(ground, attempt) == [0, 0, errno.EACCES]


@pytest.mark.parametrize("action", WRITES)
def test_changing_works_where_writable_only(ground: Ground, action: str) -> None:
    """What changes a file or directory works in the writable place, not in a readable one."""
    if landlock.abi() < SINCE.get(action, 1):
        pytest.skip(f"ABI {landlock.abi()} does not handle it, or never allows it")
    act = WRITES[action]

    def attempt() -> object:
        places = (ground.write, ground.read, ground.out)
        return [errno_of(act, place) for place in places]

    assert confined(ground, attempt) == [0, errno.EACCES, errno.EACCES]
    assert (ground.read / "file").read_text() == (ground.out / "file").read_text() == "content"


def test_file_cannot_be_carried_across_the_wall(ground: Ground) -> None:
    """A file moves neither out of the writable place nor into it: EXDEV or EACCES."""

    def attempt() -> object:
        return [
            errno_of(os.rename, ground.write / "file", ground.out / "stolen"),
            errno_of(os.rename, ground.out / "file", ground.write / "stolen"),
            errno_of(os.link, ground.out / "file", ground.write / "stolen"),
        ]

    refused = {errno.EXDEV, errno.EACCES}
    answers = confined(ground, attempt)
    assert isinstance(answers, list)
    assert set(answers) <= refused


def test_device_nodes_are_made_nowhere(ground: Ground) -> None:
    """A whiteout, which needs no capability, cannot be made even where writing is allowed."""
    os.mknod(ground.out / "node", stat.S_IFCHR, os.makedev(0, 0))

    def attempt() -> object:
        return errno_of(os.mknod, ground.write / "node", stat.S_IFCHR, os.makedev(0, 0))

    assert confined(ground, attempt) == errno.EACCES


def test_named_device_is_written_and_its_neighbour_is_not(ground: Ground) -> None:
    """/dev/null is read, written and truncated as shells do; /dev/zero was not named."""

    def attempt() -> object:
        flags = os.O_RDWR | os.O_TRUNC
        return [
            errno_of(os.write, os.open("/dev/null", flags), b"x"),
            errno_of(os.open, "/dev/zero", os.O_RDONLY),
        ]

    assert confined(ground, attempt) == [0, errno.EACCES]


def test_rule_for_a_single_file_covers_that_file(ground: Ground) -> None:
    """A file may be named by itself; the kernel would take no directory rights for it."""

    def child() -> object:
        read = (os.open(ground.read / "file", os.O_PATH),)
        write = (os.open(ground.write / "file", os.O_PATH),)
        _libc.prctl(38, 1)
        landlock.restrict(read, write, (), network=True)
        return [
            errno_of(os.open, ground.read / "file", os.O_RDONLY),
            errno_of(os.open, ground.read / "file", os.O_WRONLY),
            errno_of(os.open, ground.write / "file", os.O_RDWR | os.O_TRUNC),
            errno_of(os.open, ground.read / "program", os.O_RDONLY),
        ]

    assert forked(child).value == [0, errno.EACCES, 0, errno.EACCES]


def test_nothing_named_is_nothing_allowed() -> None:
    """Without descriptors every file is out of reach."""

    def child() -> object:
        _libc.prctl(38, 1)
        landlock.restrict((), (), (), network=True)
        return [errno_of(os.open, path, os.O_RDONLY) for path in ("/", "/etc/passwd")]

    assert forked(child).value == [errno.EACCES] * 2


def test_wall_holds_in_what_is_started(ground: Ground) -> None:
    """A program that the confined process executes reads the named place and not the other."""

    def attempt() -> object:
        files = (ground.read / "file", ground.out / "file")
        return [
            subprocess.run(
                ["/bin/cat", file], check=False, capture_output=True, stdin=subprocess.DEVNULL
            ).returncode
            for file in files
        ]

    assert confined(ground, attempt) == [0, 1]


@pytest.fixture
def abstract_server() -> Iterator[str]:
    """Listen on an abstract socket outside the sandbox; its name."""
    name = f"\0kavach-test-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        yield name


def _needs_scopes() -> None:
    if landlock.abi() < 6:
        pytest.skip(f"ABI {landlock.abi()} has no scopes")


def test_abstract_sockets_are_reached_inside_only(ground: Ground, abstract_server: str) -> None:
    """An abstract socket of the host is refused, one that the sandbox made itself is not."""
    _needs_scopes()

    def attempt() -> object:
        own = socket.socket(socket.AF_UNIX)
        own.bind("")  # unix(7): autobind gives an abstract name
        own.listen()
        return [
            errno_of(socket.socket(socket.AF_UNIX).connect, abstract_server),
            errno_of(socket.socket(socket.AF_UNIX).connect, own.getsockname()),
        ]

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(abstract_server)
    assert confined(ground, attempt) == [errno.EPERM, 0]


def test_signals_stay_inside(ground: Ground) -> None:
    """The parent cannot be signalled, not even probed; a child of the sandbox can be killed."""
    _needs_scopes()
    parent = os.getpid()

    def attempt() -> object:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        killed = errno_of(os.kill, pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        outside = [errno_of(os.kill, parent, number) for number in (0, signal.SIGCONT)]
        return [killed, *outside]

    assert confined(ground, attempt) == [0, errno.EPERM, errno.EPERM]


@pytest.mark.parametrize(("network", "error"), [(False, errno.EACCES), (True, 0)])
def test_tcp_is_refused_with_no_network(ground: Ground, network: bool, error: int) -> None:
    """With no network neither bind nor connect works on any port; with one Landlock is silent."""
    if landlock.abi() < 4:
        pytest.skip(f"ABI {landlock.abi()} knows no TCP")

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()

        def attempt() -> object:
            return [
                errno_of(socket.socket().bind, ("127.0.0.1", 0)),
                errno_of(socket.socket().connect, address),
            ]

        assert confined(ground, attempt, network=network) == [error, error]


def test_closed_ports_are_refused_and_the_others_are_not(ground: Ground) -> None:
    """On every address; none is bound."""
    if landlock.abi() < landlock.PORTS_SINCE:
        pytest.skip(f"ABI {landlock.abi()} knows no TCP")
    with (
        socket.create_server(("127.0.0.1", 0)) as open_server,
        socket.create_server(("127.0.0.1", 0)) as closed_server,
    ):
        closed = closed_server.getsockname()[1]
        ports = landlock.Ports(((closed, closed),))

        def attempt() -> object:
            return [
                errno_of(socket.socket().connect, open_server.getsockname()),
                errno_of(socket.socket().connect, closed_server.getsockname()),
                errno_of(socket.socket().bind, ("127.0.0.1", 0)),
            ]

        answers = confined(ground, attempt, network=ports)
    assert answers == [0, errno.EACCES, errno.EACCES]


@pytest.mark.parametrize(
    ("closed", "count"),
    [((), 65535), (((1, 65535),), 0), (((1, 1), (65535, 65535)), 65533), (((80, 90),), 65524)],
)
def test_ports_are_open_where_no_range_closes_them(
    closed: tuple[tuple[int, int], ...], count: int
) -> None:
    """Each of 65,535 is on one side."""
    opened = list(landlock.Ports(closed).open())
    assert len(opened) == count
    assert opened == sorted(set(opened))
    assert not [port for port in opened for first, last in closed if first <= port <= last]


def test_applied_says_what_the_kernel_was_asked_for() -> None:
    """The answer names the ABI and every right that is now handled."""
    version = landlock.abi()

    def child() -> object:
        _libc.prctl(38, 1)
        closed = landlock.restrict((), (), (), network=False)
        opened = landlock.restrict((), (), (), network=True)
        return [repr(closed), repr(opened)]

    ports = NetAccess.BIND_TCP | NetAccess.CONNECT_TCP if version >= 4 else NetAccess(0)
    scopes = Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL if version >= 6 else Scope(0)
    rights = handled_rights(version)
    wanted = [Applied(version, rights, net, scopes) for net in (ports, NetAccess(0))]
    assert forked(child).value == [repr(applied) for applied in wanted]


def test_without_no_new_privs_an_ordinary_process_is_refused() -> None:
    """The kernel's refusal is an error with its call and errno, never a silent success."""

    def child() -> object:
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)  # CAP_SYS_ADMIN would do in place of the flag
        try:
            landlock.restrict((), (), (), network=True)
        except _libc.SyscallError as error:
            return [error.call, error.errno]
        return "restricted"

    assert forked(child).value == ["landlock_restrict_self", errno.EPERM]


def test_bad_descriptor_is_an_error_and_restricts_nothing(ground: Ground) -> None:
    """A rule that cannot be made ends the attempt before anything is in force."""
    reader, writer = os.pipe()

    def child() -> object:
        _libc.prctl(38, 1)
        answers = []
        for fd in (reader, 9999):
            try:
                landlock.restrict((fd,), (), (), network=True)
            except _libc.SyscallError as error:
                answers.append([error.call, error.errno])
        return [*answers, errno_of((ground.out / "file").read_bytes)]

    value = forked(child).value
    os.close(reader)
    os.close(writer)
    assert value == [["landlock_add_rule", errno.EBADFD], ["fstat", errno.EBADF], 0]


def test_restrict_leaves_no_descriptor() -> None:
    """The ruleset's own descriptor is closed, after success and after failure."""

    def child() -> object:
        _libc.prctl(38, 1)
        listing = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
        before = len(os.listdir(listing))
        errno_of(lambda: landlock.restrict((9999,), (), (), network=True))
        landlock.restrict((os.open("/", os.O_PATH),), (), (), network=True)
        return len(os.listdir(listing)) - before

    assert forked(child).value == 1  # the descriptor of "/" that the test itself opened


@pytest.mark.parametrize(
    ("version", "newest"),
    [(1, FsAccess.MAKE_SYM), (2, FsAccess.REFER), (3, FsAccess.TRUNCATE), (4, FsAccess.TRUNCATE),
     (5, FsAccess.IOCTL_DEV), (6, FsAccess.IOCTL_DEV), (99, FsAccess.IOCTL_DEV)],
)  # fmt: skip
def test_every_right_of_an_abi_is_handled(version: int, newest: FsAccess) -> None:
    """ABI 1 has thirteen rights without a gap, and later ones add theirs at the top."""
    assert handled_rights(version) == newest * 2 - 1
