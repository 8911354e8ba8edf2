"""No descriptor of the notebook is live in a cell, whatever it is and whoever holds it."""

from __future__ import annotations

import array
import fcntl
import os
import select
import socket
import sqlite3
import tempfile
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.cells import NEEDS, run
from tests.escape.probes import attack, found, found_in_a_fork
from tests.unit.linux.throwaway import forked

pytestmark = [pytest.mark.escape, NEEDS]


@dataclass(frozen=True)
class Held:
    """A descriptor that the notebook holds, what an attacker does with it, and who would tell."""

    fd: int
    attack: str
    state: Callable[[], object]
    """What the attack would change, as seen by the notebook."""


def _stream_socket() -> Iterator[Held]:
    mine, other = socket.socketpair()
    with mine, other:
        other.setblocking(False)
        yield Held(mine.fileno(), "os.write(fd, b'out')", lambda: _waiting(other.fileno()))


def _connection() -> Iterator[Held]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        mine = socket.create_connection(server.getsockname())
        other, _ = server.accept()
        with mine, other:
            yield Held(mine.fileno(), "os.write(fd, b'out')", lambda: _waiting(other.fileno()))


def _pipe() -> Iterator[Held]:
    reader, writer = os.pipe()
    yield Held(writer, "os.write(fd, b'out')", lambda: _waiting(reader))
    os.close(reader)
    os.close(writer)


def _read_end() -> Iterator[Held]:
    reader, writer = os.pipe()
    os.write(writer, b"for the notebook")
    yield Held(reader, "os.read(fd, 3)", lambda: _waiting(reader))
    os.close(reader)
    os.close(writer)


def _file() -> Iterator[Held]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"content")
        file.flush()
        name = file.name
        yield Held(file.fileno(), "os.pwrite(fd, b'X', 0)", lambda: Path(name).read_bytes())


def _offset() -> Iterator[Held]:
    with tempfile.TemporaryFile() as file:
        file.write(b"content")
        file.seek(0)
        yield Held(file.fileno(), "os.read(fd, 3)", lambda: os.lseek(file.fileno(), 0, os.SEEK_CUR))


def _memory_file() -> Iterator[Held]:
    fd = os.memfd_create("canary")
    os.write(fd, b"content")
    yield Held(fd, "os.pwrite(fd, b'X', 0)", lambda: os.pread(fd, 100, 0))
    os.close(fd)


def _directory() -> Iterator[Held]:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        yield Held(fd, "os.mkdir('made', dir_fd=fd)", lambda: os.listdir(folder))
        os.close(fd)


def _path_only() -> Iterator[Held]:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        fd = os.open(folder, os.O_PATH)
        code = "os.mkdir(f'/proc/self/fd/{fd}/made')"
        yield Held(fd, code, lambda: os.listdir(folder))
        os.close(fd)


def _event() -> Iterator[Held]:
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    yield Held(fd, "os.eventfd_write(fd, 1)", lambda: _readable(fd))
    os.close(fd)


def _epoll() -> Iterator[Held]:
    reader, writer = os.pipe()
    with select.epoll() as epoll:
        epoll.register(reader, select.EPOLLIN)
        os.write(writer, b"x")
        code = f"select.epoll.fromfd(fd).unregister({reader})"
        yield Held(epoll.fileno(), code, lambda: epoll.poll(0))
    os.close(reader)
    os.close(writer)


def _server() -> Iterator[Held]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        code = "socket.socket(fileno=fd).accept()"
        with client:
            yield Held(server.fileno(), code, lambda: _readable(server.fileno()))


def _lock() -> Iterator[Held]:
    with tempfile.NamedTemporaryFile() as file:
        other = os.open(file.name, os.O_RDWR)
        fcntl_code = "fcntl.flock(fd, fcntl.LOCK_EX)"
        yield Held(file.fileno(), fcntl_code, lambda: _is_lockable(other))
        os.close(other)


def _waiting(fd: int) -> int:
    """Bytes that wait to be read: FIONREAD of ioctl_tty(2) and socket(7)."""
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def _readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _is_lockable(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True


KINDS = {
    "socket pair": _stream_socket,
    "connection": _connection,
    "pipe": _pipe,
    "read end": _read_end,
    "file": _file,
    "offset": _offset,
    "memory file": _memory_file,
    "directory": _directory,
    "path": _path_only,
    "event": _event,
    "epoll": _epoll,
    "server": _server,
    "lock": _lock,
}


@pytest.fixture(params=KINDS)
def held(request: pytest.FixtureRequest) -> Iterator[Held]:
    """One descriptor of each kind, held by this process."""
    yield from KINDS[request.param]()


def _code(held: Held) -> str:
    return f"import fcntl, os, select, socket\nfd = {held.fd}\n{held.attack}"


def test_descriptor_of_the_notebook_is_dead_in_a_cell(held: Held) -> None:
    """What the attack changes in a plain fork, it does not change from a cell."""
    before = held.state()
    attack(_code(held))
    assert held.state() == before


@pytest.mark.baseline("test_descriptor_of_the_notebook_is_dead_in_a_cell")
def test_descriptor_is_live_in_a_plain_fork(held: Held) -> None:
    """Without the sandbox the child shares the open file, and the notebook sees the attack."""
    before = held.state()
    # A lock belongs to the open file, and is tried through another one; it lasts with this one.
    forked(lambda: exec(_code(held), {}))
    assert held.state() != before


def test_every_descriptor_is_null_but_the_cells_own() -> None:
    """All numbers stay taken, so that stale objects hit nothing new; four are the cell's."""
    pipes = [end for _ in range(3) for end in os.pipe()]
    names = os.listdir("/proc/self/fd")
    # The descriptor of the listing itself is gone.
    taken = {int(name) for name in names if os.path.lexists(f"/proc/self/fd/{name}")}
    code = """
    import os
    links = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            links[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            pass
    links
    """
    links = found(code)
    assert len(_live(links)) <= 5
    assert {number for number in taken if number > 2} <= {*map(int, links)}
    assert set(pipes) <= _live(found_in_a_fork(code))
    for end in pipes:
        os.close(end)


def _live(links: dict[str, str]) -> set[int]:
    return {int(number) for number, link in links.items() if link != "/dev/null"}


def test_file_object_of_the_notebook_writes_nowhere(tmp_path: Path) -> None:
    """An object that is handed in holds a number, and the number leads to /dev/null."""
    with (tmp_path / "file").open("w", encoding="utf-8") as file:
        file.write("waiting ")
        code = "file.write('by the cell')\nfile.flush()"
        run(code, inputs={"file": file})
        file.write("by the notebook")
        file.flush()
        assert (tmp_path / "file").read_text(encoding="utf-8") == "waiting by the notebook"
        found_in_a_fork(code, {"file": file})
        assert (tmp_path / "file").read_text(encoding="utf-8").endswith("by the cell")


def test_database_of_the_notebook_is_not_written(tmp_path: Path) -> None:
    """An open SQLite connection is a descriptor like others."""
    connection = sqlite3.connect(tmp_path / "base", isolation_level=None)
    connection.execute("create table t (x)")
    code = "connection.execute('insert into t values (1)')"
    run(code, inputs={"connection": connection})
    assert connection.execute("select count(*) from t").fetchone() == (0,)
    # The last expression is a cursor, which does not come back from a fork.
    found_in_a_fork(f"{code}\nNone", {"connection": connection})
    assert connection.execute("select count(*) from t").fetchone() == (1,)
    connection.close()


def test_descriptors_of_the_launcher_lead_nowhere() -> None:
    """No number of the cell is a directory, a process, a namespace or a host's socket."""
    code = """
    import os, stat
    kinds = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            kinds.add(stat.S_IFMT(os.fstat(int(name)).st_mode))
        except OSError:
            pass
    kinds <= {stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG}
    """
    folder = os.open("/", os.O_PATH)
    try:
        assert found(code) is True
        assert found_in_a_fork(code) is False
    finally:
        os.close(folder)
