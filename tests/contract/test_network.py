"""No network, or one of the cell's own."""

from __future__ import annotations

import socket

import pytest

from tests.contract.cells import NEEDS, failed, value

pytestmark = [pytest.mark.contract, NEEDS]

OWN_SERVER = """
import socket, threading
with socket.create_server(("127.0.0.1", 0)) as server:
    def answer():
        peer, _ = server.accept()
        with peer:
            peer.sendall(peer.recv(100).upper())
    thread = threading.Thread(target=answer)
    thread.start()
    with socket.create_connection(server.getsockname(), timeout=10) as client:
        client.sendall(b"hello")
        word = client.recv(100)
    thread.join()
word
"""


def test_without_network_no_internet_socket_is_made() -> None:
    """Libraries see a machine whose kernel has no such family."""
    failure = failed("import socket\nsocket.socket()")
    assert failure.name == "OSError"
    assert "Address family not supported" in failure.text


def test_loopback_is_a_network_of_the_cells_own() -> None:
    """Server and client of one cell find each other on 127.0.0.1."""
    assert value(OWN_SERVER, network="loopback") == b"HELLO"
    failed(OWN_SERVER)


def test_loopback_of_one_cell_is_not_the_hosts() -> None:
    """The host's listener hears this process, and never the cell."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        code = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=10)"
        assert failed(code, network="loopback").name == "ConnectionRefusedError"
        with pytest.raises(BlockingIOError):
            server.accept()
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            server.setblocking(True)
            server.settimeout(10)
            server.accept()[0].close()


def test_loopback_has_no_way_out() -> None:
    """Any other address is unreachable: ENETUNREACH."""
    code = """
    import socket
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=10)
    except OSError as error:
        why = type(error).__name__, error.errno
    why
    """
    assert value(code, network="loopback") == ("OSError", 101)


def test_datagrams_of_the_cells_own_loopback_arrive() -> None:
    """UDP, on both families where the host has both."""
    code = """
    import socket
    heard = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        one, other = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        one.bind((address, 0))
        other.sendto(b"x", one.getsockname()[:2])
        heard.append(one.recv(10))
    heard
    """
    assert value(code, network="loopback") == [b"x", b"x"]


def test_unix_sockets_of_the_cells_own_work_without_network() -> None:
    """Pairs, paths and abstract names, among the cell's own processes."""
    code = """
    import socket
    one, other = socket.socketpair()
    one.send(b"a")
    heard = [other.recv(1)]
    for name in ("/tmp/s", "\\0abstract"):
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(name)
            server.listen()
            client.connect(name)
            client.send(b"b")
            heard.append(server.accept()[0].recv(1))
    heard
    """
    assert value(code) == [b"a", b"b", b"b"]


def test_name_lookup_fails_as_without_a_network() -> None:
    """`getaddrinfo` answers with its own error, and does not hang."""
    failure = failed("import socket\nsocket.getaddrinfo('example.invalid', 80)")
    assert failure.name in ("gaierror", "OSError")
