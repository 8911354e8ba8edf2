"""A cell with the host's network connects, and takes, hears and changes nothing there."""

from __future__ import annotations

import ast
import os
import socket
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from kavach_ipy.linux import sockets, verify
from tests.contract.cells import CHANNEL, NEEDS, NEEDS_CLOSED_PORTS, python
from tests.escape.probes import (
    POWERS,
    attack,
    found,
    looked_at,
    looked_at_outside,
    number,
    outside,
)

pytestmark = [
    pytest.mark.escape,
    NEEDS,
    NEEDS_CLOSED_PORTS,
]

HOST: dict[str, Any] = {"network": "host", "clean": True}


def _heard(server: socket.socket) -> int:
    """How many connections or datagrams have come."""
    count = 0
    server.setblocking(False)
    while True:
        try:
            if server.type == socket.SOCK_DGRAM:
                server.recv(10)
            else:
                server.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


ABSTRACT = """
import socket
def knock(act, *arguments):
    try:
        act(*arguments)
    except OSError:
        pass
for name, kind in ((NAME + "1", 1), (NAME + "2", 2), (NAME + "5", 5)):
    try:
        alone = socket.socket(socket.AF_UNIX, kind)
        knock(alone.connect, name)
        knock(alone.send, b"connected")
    except OSError:
        pass
    for pair_kind in (1, 2, 5):
        try:
            one, other = socket.socketpair(socket.AF_UNIX, pair_kind)
        except OSError:
            continue
        knock(one.sendto, b"sent", name)
        knock(one.connect, name)
        knock(one.send, b"again")
"""


def test_abstract_sockets_of_the_host_hear_no_cell_in_their_namespace() -> None:
    """By a socket of each type, and by either end of a pair that is connected anew."""
    name = f"\0kavach-{os.getpid()}-"
    code = ABSTRACT.replace("NAME", repr(name))
    with ExitStack() as stack:
        servers = []
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
            servers.append(stack.enter_context(socket.socket(socket.AF_UNIX, kind)))
            servers[-1].bind(f"{name}{int(kind)}")
            if kind != socket.SOCK_DGRAM:
                servers[-1].listen()
        outside(code)
        # A pair of datagram sockets sends, connects anew, and sends again.
        assert [_heard(server) for server in servers] == [1, 3, 1]
        attack(code, **HOST)
        channel = "import socket\none = socket.socket(fileno=os.dup(channel))\n"
        attack(f"{CHANNEL}{channel}one.connect({name + '1'!r})", **HOST)
        attack(f"{CHANNEL}{channel}one.sendto(b'', {name + '2'!r})", **HOST)
        assert [_heard(server) for server in servers] == [0, 0, 0]


TAKE = """
import socket
answers = []
for kind in (1, 2, 5):
    for make in (socket.socket, socket.socketpair):
        try:
            made = make(socket.AF_UNIX, kind)
        except OSError:
            continue
        one = made[0] if isinstance(made, tuple) else made
        answers.append(attempt(one.bind, "NAME" + str(kind) + make.__name__))
        kept = [*globals().get("kept", ()), made]
"""


def test_no_abstract_name_of_the_host_is_taken() -> None:
    """A service of the host's that begins later would find its name in use."""
    name = f"kavach-taken-{os.getpid()}"
    code = TAKE.replace("NAME", f"\\0{name}")

    def look(_: int) -> None:
        assert name not in Path("/proc/net/unix").read_text(encoding="utf-8")

    def look_outside(_: int) -> None:
        assert Path("/proc/net/unix").read_text(encoding="utf-8").count(name) == 6

    looked_at_outside(code, look_outside)
    own = f"""
own = socket.socket(fileno=os.dup(channel))
answers.append(attempt(own.bind, "\\0{name}"))
"""
    answers = looked_at(f"{CHANNEL}{code}{own}", look, **HOST).result
    assert answers == ["EACCES"] * 3


LISTEN = """
import socket
kept = []
for family, address in ((2, "0.0.0.0"), (2, "127.0.0.1"), (10, "::")):
    bound = socket.socket(family, socket.SOCK_STREAM)
    attempt(bound.bind, (address, 0))
    attempt(bound.listen)
    unbound = socket.socket(family, socket.SOCK_STREAM)
    attempt(unbound.listen)
    kept += [bound, unbound]
"""


def _listening(pid: int) -> int:
    """How many sockets of a process listen, by the host's own table."""
    links = verify.read_descriptors(pid).values()
    return sum(f"socket:[{each.inode}]" in links for each in sockets.read_listening())


def test_nothing_listens_on_the_hosts_addresses() -> None:
    """A browser sends the cookies of the notebook's server to every port of its host."""
    counted: list[int] = []
    looked_at_outside(LISTEN, lambda pid: counted.append(_listening(pid)))
    looked_at(LISTEN, lambda pid: counted.append(_listening(pid)), **HOST)
    assert counted == [6, 0]


def test_no_datagram_socket_takes_a_port_of_its_choice() -> None:
    """Whoever sends to a known port of the host reaches no cell."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"""
import socket
kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
attempt(kept.bind, ("127.0.0.1", {port}))
"""
    mark = f"0100007F:{port:04X}"
    seen: list[bool] = []

    def look(_: int) -> None:
        seen.append(mark in Path("/proc/net/udp").read_text(encoding="ascii"))

    looked_at_outside(code, look)
    looked_at(code, look, **HOST)
    assert seen == [True, False]


def _from_another_process(code: str) -> None:
    """Run a cell from a process that has none of this one's sockets."""
    done = python(
        f"""
        from kavach_ipy import Policy, Sandbox
        print(Sandbox(Policy(network="host", clean=True, timeout=30)).run({code!r}).check().result)
        """
    )
    assert done.stdout == "done\n", done.stderr


@contextmanager
def _servers() -> Iterator[tuple[socket.socket, ...]]:
    """Servers on a port that the kernel picked, and on one that a user chose, on both families."""
    first, last = sockets.picked_ports()
    with ExitStack() as stack:
        made = [stack.enter_context(socket.create_server(("127.0.0.1", 0)))]
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            for port in range(1024, 1 << 16):
                if not first <= port <= last:
                    try:
                        server = socket.create_server((host, port), family=family)
                    except OSError:
                        continue
                    made.append(stack.enter_context(server))
                    break
        assert len(made) == 3
        yield tuple(made)


def test_servers_of_the_same_user_hear_no_cell() -> None:
    """Other notebooks' kernels send what is printed to whoever connects, without a key.

    Nor do they by a send that connects (MSG_FASTOPEN), at which Landlock does not look.
    """
    with _servers() as servers:
        targets = [(int(server.family), server.getsockname()[:2]) for server in servers]
        code = textwrap.dedent(
            f"""
            import socket
            for family, address in {targets!r}:
                def connect_with_data(one):
                    one.setsockopt(socket.IPPROTO_TCP, 30, 1)  # TCP_FASTOPEN_CONNECT
                    one.connect(address)
                    one.send(b"x")
                def connect_mapped(_):
                    mapped = "::ffff:127.0.0.1" if family == 2 else address[0]
                    with socket.socket(10) as other:
                        other.connect((mapped, address[1]))
                for act in (
                    lambda one: one.connect(address),
                    connect_with_data,
                    connect_mapped,
                    lambda one: one.sendto(b"x", 0x20000000, address),
                    lambda one: one.sendmsg([b"x"], [], 0x20000000, address),
                ):
                    try:
                        with socket.socket(family) as one:
                            act(one)
                    except OSError:
                        pass
            "done"
            """
        )
        outside(code)
        assert [_heard(server) for server in servers] == [5, 5, 5]
        _from_another_process(code)
        assert [_heard(server) for server in servers] == [0, 0, 0]


def test_no_other_family_and_no_raw_socket_in_the_hosts_network() -> None:
    """Netlink, packet, vsock and the rest, and the kinds that see or forge packets."""
    code = """
    import socket
    made = set()
    for family in range(64):
        for kind in (1, 2, 3, 4, 5, 6, 10):
            for protocol in (0, 1, 58, 132, 136, 255, 262):
                try:
                    socket.socket(family, kind, protocol).close()
                    made.add((family, kind, protocol))
                except OSError:
                    pass
    made
    """
    assert found(code, **HOST) == {(family, kind, 0) for family in (2, 10) for kind in (1, 2)}
    assert {1, 2, 10, 16} <= {
        family for family, _, _ in eval(outside(f"{textwrap.dedent(code)}\nprint(made)"))
    }


UPPER = """
import errno, socket
with socket.create_connection(ADDRESS) as one:
    answers = []
    for name in (b"tls", b"smc", b"mptcp"):
        try:
            one.setsockopt(socket.IPPROTO_TCP, 31, name)
            answers.append("done")
        except OSError as error:
            answers.append(errno.errorcode[error.errno])
answers
"""


@pytest.mark.no_baseline("whether an upper layer is there is a matter of the machine's modules")
def test_no_socket_is_given_another_protocol_by_an_option() -> None:
    """TLS of the Linux kernel, and SMC, whose sockets Landlock does not take for TCP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = UPPER.replace("ADDRESS", repr(server.getsockname()))
        assert found(code, **HOST) == ["ENOENT"] * 3


SHARE = """
import socket, struct
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
answers = [attempt(one.setsockopt, 1, option, 1) for option in (2, 15)]
answers.append(attempt(one.setsockopt, 0, 51, struct.pack("=I", PORT << 16 | PORT)))
attempt(one.sendto, b"", ("127.0.0.1", 9))
taken = one.getsockname()[1]
"""


@pytest.mark.no_baseline("outside, it takes the port of a service of this machine")
def test_datagrams_of_a_service_of_the_host_are_not_taken() -> None:
    """Of one that shares its port: a cell cannot share it, and cannot choose it."""
    first, last = sockets.picked_ports()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("", 0))
        port = server.getsockname()[1]
        assert first <= port <= last
        code = SHARE.replace("PORT", str(port)) + "answers, taken\n"
        answers, taken = found(code, **HOST)
        assert answers == ["done", "done", "ENOPROTOOPT"]
        assert taken != port


SET_UP = """
import fcntl, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    address = struct.pack("16sHH4s8x", b"lo:7", socket.AF_INET, 0, bytes([192, 0, 2, 77]))
    flags = struct.pack("16sH14x", b"lo", 0x49)
    # netdevice(7): SIOCSIFADDR, SIOCSIFFLAGS with the flags that it has, SIOCSIFMTU.
    answers = [attempt(fcntl.ioctl, control, 0x8916, address),
               attempt(fcntl.ioctl, control, 0x8914, flags),
               attempt(fcntl.ioctl, control, 0x8922, struct.pack("16si12x", b"lo", 65536)),
               # socket(7), ip(7): SO_MARK, IP_TRANSPARENT
               attempt(control.setsockopt, 1, 36, 7), attempt(control.setsockopt, 0, 19, 1)]
answers
"""


def test_the_hosts_network_is_not_set_up_by_a_cell() -> None:
    """No right over a namespace comes with being in it: no address, flag, size, mark."""
    before = Path("/proc/net/fib_trie").read_bytes()
    assert set(found(SET_UP, **HOST)) == {"EPERM"}
    assert Path("/proc/net/fib_trie").read_bytes() == before
    answers = ast.literal_eval(outside(f"{POWERS}{SET_UP}\nprint(answers)"))
    assert set(answers) == {"done"}


def test_rings_stay_refused_in_the_hosts_network() -> None:
    """io_uring would make sockets, and connect them, past every filter."""
    code = f"""
answers = [call({number("io_uring_setup")}, 8, bytes(120)), call({number("unshare")}, 0x40000000)]
answers
"""
    assert found(code, **HOST) == ["EPERM", "EPERM"]
    answers = ast.literal_eval(outside(f"{POWERS}{code}\nprint(answers)"))
    assert answers[1] == "done"


def test_cell_of_a_network_of_its_own_gets_no_other_by_sharing_a_zygote() -> None:
    """All clean cells here are forks of one process, which is in the host's network itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"import socket\nsocket.create_connection({server.getsockname()!r}, 5).close()"
        outside(code)
        assert _heard(server) == 1
        for network in ("host", "none", "host", "loopback", "none", "host"):
            attack(code, network=network, clean=True)
            assert _heard(server) == (network == "host"), network


def test_classes_of_devices_are_not_shown() -> None:
    """What /sys says of interfaces stays outside."""
    code = "import os\nanswers = os.path.exists('/sys/class/net')\nanswers"
    assert found(code, **HOST) is False
    assert outside(f"{code}\nprint(answers)") == "True\n"
