"""No packet leaves, and no service of this machine is reached."""

from __future__ import annotations

import ast
import os
import socket
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.cells import CHANNEL, NEEDS
from tests.escape.probes import (
    POWERS,
    attack,
    found,
    found_in_a_fork,
    looked_at,
    number,
    outside,
)

pytestmark = [pytest.mark.escape, NEEDS]

NETWORKS = ("none", "loopback")


@contextmanager
def _listener(family: int, address: object) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind(address)  # type: ignore[arg-type]
        server.listen()
        server.setblocking(False)
        yield server


def _accepted(server: socket.socket) -> int:
    count = 0
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "0.0.0.0")],
)
def test_listener_of_the_host_hears_no_cell(network: str, family: int, address: str) -> None:
    """TCP to the host's own addresses, by the socket module and by a program."""
    with _listener(family, (address, 0)) as server:
        port = server.getsockname()[1]
        target = "127.0.0.1" if address == "0.0.0.0" else address
        code = f"import socket\nsocket.create_connection(({target!r}, {port}), timeout=5).close()"
        outside(code)
        assert _accepted(server) == 1
        attack(code, network=network)
        program = f"bash -c 'exec 3<>/dev/tcp/{target}/{port}'"
        code = f"import os\nassert os.system({program!r}) == 0"
        outside(code)
        assert _accepted(server) == 1
        attack(code, network=network)
        assert _accepted(server) == 0


@pytest.mark.parametrize("network", NETWORKS)
def test_datagram_reaches_no_socket_of_the_host(network: str) -> None:
    """UDP needs no connection, and arrives nowhere either."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.setblocking(False)
        port = ear.getsockname()[1]
        code = f"import socket\nsocket.socket(2, 2).sendto(b'out', ('127.0.0.1', {port}))"
        outside(code)
        assert ear.recv(10) == b"out"
        attack(code, network=network)
        with pytest.raises(BlockingIOError):
            ear.recv(10)


@pytest.mark.parametrize("network", NETWORKS)
def test_abstract_socket_of_the_host_hears_no_cell(network: str) -> None:
    """Abstract names belong to a network namespace, and to a Landlock scope."""
    name = f"\0kavach-test-{os.getpid()}"
    with _listener(socket.AF_UNIX, name) as server:
        code = f"import socket\nsocket.socket(socket.AF_UNIX).connect({name!r})"
        outside(code)
        assert _accepted(server) == 1
        attack(code, network=network)
        assert _accepted(server) == 0


def _knock(path: Path) -> str:
    return f"import socket\nsocket.socket(socket.AF_UNIX).connect({str(path)!r})"


@contextmanager
def _door(folder: Path) -> Iterator[tuple[Path, socket.socket]]:
    path = folder / "door"
    with _listener(socket.AF_UNIX, str(path)) as server:
        path.chmod(0o777)
        yield path, server


def test_pathname_socket_of_the_host_hears_no_cell(canaries: Path) -> None:
    """Namespaces do not stop pathname sockets; that the path is not there does."""
    with _door(canaries) as (path, server):
        outside(_knock(path))
        assert _accepted(server) == 1
        attack(_knock(path))
        assert _accepted(server) == 0


def test_socket_in_the_working_directory_hears_no_cell(project: Path) -> None:
    """The overlay shows the name and not the listener."""
    with _door(project) as (path, server):
        outside(_knock(path))
        assert _accepted(server) == 1
        attack(_knock(path))
        attack(_knock(path) + "\n", network="loopback")
        assert _accepted(server) == 0


@pytest.mark.parametrize(
    "how",
    [
        "read_only",
        pytest.param(
            "writable",
            marks=pytest.mark.xfail(
                strict=True,
                reason="a writable bind shows the host's own inodes, sockets included, and "
                "Landlock decides over pathname sockets from ABI 9 on",
            ),
        ),
    ],
)
def test_socket_below_a_named_path_hears_no_cell(how: str, canaries: Path) -> None:
    """``--ro`` and ``--rw`` give files, not the services that listen among them."""
    with _door(canaries) as (path, server):
        outside(_knock(path))
        assert _accepted(server) == 1
        attack(_knock(path), **{how: str(canaries)})
        assert _accepted(server) == 0


@pytest.mark.parametrize(
    ("network", "allowed"), [("none", {1}), ("loopback", {1, 2, 10})], ids=NETWORKS
)
def test_no_socket_of_any_other_family_is_made(network: str, allowed: set[int]) -> None:
    """Netlink, packet, vsock, Bluetooth, AF_ALG and the rest: all numbers, all common types."""
    code = """
    import socket
    made = set()
    for family in range(64):
        for kind in (1, 2, 3, 4, 5, 6, 10):
            try:
                socket.socket(family, kind).close()
                made.add(family)
            except OSError:
                pass
    made
    """
    assert found(code, network=network) == allowed
    assert {1, 2, 16} <= eval(outside(f"{textwrap.dedent(code)}\nprint(made)"))


def test_no_raw_socket_and_no_ping_on_the_loopback() -> None:
    """Streams and datagrams alone; not the kinds that see or forge packets."""
    code = """
import socket
answers = [attempt(socket.socket, f, t, p) for f in (2, 10)
           for t, p in ((3, 1), (3, 255), (3, 0), (2, 1), (2, 58), (1, 262), (5, 132), (2, 136))]
answers
"""
    assert "done" not in found(code, network="loopback")
    # raw(7): in a network namespace of its own a process has the right to them.
    answers = ast.literal_eval(outside(f"{POWERS}{code}\nprint(answers)"))
    assert answers[:2] == answers[8:10] == ["done", "done"]


def test_family_in_the_high_half_of_the_register_is_looked_through() -> None:
    """The filter compares what the kernel reads: 32 bits."""
    code = f"""
SOCKET = {number("socket")}
answers = [call(SOCKET, 2 | 1 << 32, 1, 0), call(SOCKET, 16 | 1 << 40, 3, 0),
           call(SOCKET, 1 | 1 << 32, 1, 0)]
answers
"""
    assert found(code) == ["EAFNOSUPPORT", "EAFNOSUPPORT", "done"]
    assert outside(f"{code}\nprint(answers)") == "['done', 'done', 'done']\n"


def test_cell_sees_no_interface_of_the_host() -> None:
    """/proc/net is that of the empty namespace."""
    code = "open('/proc/net/dev').read(), open('/proc/net/tcp').read().count('\\n')"
    with _listener(socket.AF_INET, ("127.0.0.1", 0)):
        devices, lines = found(code)
        assert [line.split(":")[0].strip() for line in devices.splitlines()[2:]] == ["lo"]
        assert lines == 1
        _, lines = ast.literal_eval(outside(f"print(({code}))"))
        assert lines > 1


OWN_SOCKET = """
import fcntl, socket, struct
def addresses(number):
    room = (ctypes.c_char * 4096)()
    # netdevice(7) SIOCGIFCONF: struct ifconf, and 40 bytes for each address.
    answer = fcntl.ioctl(number, 0x8912, struct.pack("iiQ", 4096, 0, ctypes.addressof(room)))
    return struct.unpack("iiQ", answer)[0] // 40
def take_name(number, name):
    with socket.socket(fileno=os.dup(number)) as mine:
        mine.bind(name)
"""


def test_channel_belongs_to_no_network_of_the_host() -> None:
    """The one socket that a cell is given shows no address and takes no name among the host's."""
    name = f"kavach-test-{os.getpid()}"
    code = f"{CHANNEL}{OWN_SOCKET}take_name(channel, b'\\0{name}')\nanswers = addresses(channel)"

    def look(_: int) -> None:
        assert name not in Path("/proc/net/unix").read_text(encoding="utf-8")

    assert looked_at(code, look).result == 0
    code = f"{OWN_SOCKET}one, other = socket.socketpair()\ntake_name(one.fileno(), b'\\0{name}')\n"
    code += f"print({name!r} in open('/proc/net/unix').read(), addresses(one.fileno()) > 0)"
    assert outside(code) == "True True\n"


def test_channel_names_no_process_of_the_host() -> None:
    """Its peer, as the kernel tells it, is nobody that a signal or an ioctl could reach."""
    code = """
import fcntl, signal, socket
own = socket.socket(fileno=os.dup(channel))
answers = [attempt(lambda: own.getsockopt(socket.SOL_SOCKET, 77))]  # SO_PEERPIDFD
if answers == ["done"]:
    peer = own.getsockopt(socket.SOL_SOCKET, 77)
    answers.append(attempt(signal.pidfd_send_signal, peer, 0))
    # pidfd_open(2), PIDFD_GET_*_NAMESPACE
    answers += {attempt(fcntl.ioctl, peer, 0xFF00 | n) for n in range(1, 11)} & {"done"}
answers
"""
    assert "done" not in found(CHANNEL + code)[1:]
    # socket(7): Linux 6.5 names the peer of a pair, which is the process itself.
    pair = "import socket\none, other = socket.socketpair()\nchannel = one.fileno()\n"
    first, *others = ast.literal_eval(outside(f"{pair}{code}\nprint(answers)"))
    assert others[:1] == ["done"] or first == "ENOPROTOOPT"


def test_channel_takes_no_descriptors() -> None:
    """What is sent along is refused, or closed unseen: the kernel process gains no descriptor."""
    before = os.listdir("/proc/self/fd")
    code = """
import socket
own = socket.socket(fileno=os.dup(channel))
answers = attempt(socket.send_fds, own, [stream("sent")], [0])
answers = answers in ("done", "EPERM")
"""
    mine, other = socket.socketpair()
    with mine, other:
        # A socket that does take descriptors, by the same code in a plain fork.
        given = "channel, stream = number, str.encode\nimport os" + code
        found_in_a_fork(given, {"number": other.fileno()})
        _, sent, _, _ = socket.recv_fds(mine, 100, 10)
        assert len(sent) == 1
        os.close(sent[0])
    counted: list[int] = []
    outcome = looked_at(CHANNEL + code, lambda _: counted.append(len(os.listdir("/proc/self/fd"))))
    assert outcome.result is True
    assert outcome.stdout in ("look\n", "sentlook\n")
    assert os.listdir("/proc/self/fd") == before
