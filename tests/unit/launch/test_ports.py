"""Which TCP ports a cell with the host's network is kept from."""

from __future__ import annotations

import os
import socket
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kavach_ipy.launch import ports
from kavach_ipy.launch.host import survey
from kavach_ipy.launch.ports import closed_ports
from kavach_ipy.linux import sockets
from kavach_ipy.linux.sockets import Listening
from kavach_ipy.policy import Policy
from tests.contract.cells import Script

PICKED = (32768, 60999)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[Listening]:
    """A machine where nobody listens yet; what is appended does."""
    found: list[Listening] = []
    monkeypatch.setattr(ports, "read_listening", lambda: tuple(found))
    monkeypatch.setattr(ports, "picked_ports", lambda: PICKED)
    monkeypatch.setattr(ports, "own_sockets", lambda: frozenset({7}))
    monkeypatch.setattr(ports, "_is_kernel", lambda: False)
    return found


def test_ports_that_the_kernel_picks_are_closed(machine: list[Listening]) -> None:
    """Kernels of Jupyter that begin later will listen there."""
    assert machine == []
    assert closed_ports() == (PICKED,)


def test_ports_of_this_user_are_closed_and_those_of_others_are_not(
    machine: list[Listening],
) -> None:
    """A notebook's server is the user's; a web server, a database and a proxy are not."""
    machine += [
        Listening(8888, os.geteuid(), 1),
        Listening(8889, os.geteuid(), 2),
        Listening(5432, os.geteuid() + 1, 3),
        Listening(443, os.geteuid(), 4),
        Listening(40000, os.geteuid(), 5),
    ]
    assert closed_ports() == ((8888, 8889), PICKED)


@pytest.mark.parametrize("port", [8888, 40000])
def test_script_offers_its_own_server_and_a_kernel_does_not(
    machine: list[Listening], monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    """What a kernel listens on is its channels, or what its notebook began."""
    machine.append(Listening(port, os.geteuid(), 7))
    assert not [first for first, last in closed_ports() if first <= port <= last]
    monkeypatch.setattr(ports, "_is_kernel", lambda: True)
    assert [first for first, last in closed_ports() if first <= port <= last]


@pytest.mark.parametrize("is_kernel", [True, False])
def test_kernel_is_a_process_where_its_application_has_begun(
    monkeypatch: pytest.MonkeyPatch, is_kernel: bool
) -> None:
    """To have imported ipykernel is not enough."""
    module = types.SimpleNamespace(IPKernelApp=types.SimpleNamespace(initialized=lambda: is_kernel))
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", module)
    assert ports._is_kernel() is is_kernel


@contextmanager
def _server_of_another_process() -> Iterator[int]:
    code = """
    import signal, socket
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], "up", flush=True)
    signal.pause()
    """
    with Script(code) as script:
        script.wait_for(b"up")
        yield int(script.said.split()[0])


def test_table_of_this_machine_is_read() -> None:
    """Who listens, on which port, by which socket; a socket that does not listen is not there."""
    with (
        socket.create_server(("127.0.0.1", 0)) as mine,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as other,
        socket.create_connection(mine.getsockname()) as client,
        _server_of_another_process() as port,
    ):
        found = {each.port: each for each in sockets.read_listening()}
        for server in (mine, other):
            inode = os.fstat(server.fileno()).st_ino
            number = server.getsockname()[1]
            assert found[number] == Listening(number, os.geteuid(), inode)
            assert inode in sockets.own_sockets()
        assert found[port].inode not in sockets.own_sockets()
        assert client.getsockname()[1] not in found
        first, last = sockets.picked_ports()
        assert first <= port <= last


def test_ports_are_looked_up_for_the_hosts_network_alone() -> None:
    """Any other cell is in a namespace where nobody listens."""
    assert survey(Policy(clean=True)).closed_ports == ()
    first, last = sockets.picked_ports()
    closed = survey(Policy(clean=True, network="host")).closed_ports
    assert sum(end - start + 1 for start, end in closed) >= (last - first) // 2


@pytest.mark.parametrize(
    ("offered", "closed"),
    [
        ((32768,), ((32769, 60999),)),
        ((60999,), ((32768, 60998),)),
        ((32768, 32769, 60999), ((32770, 60998),)),
        ((40000, 40001, 50000), ((32768, 39999), (40002, 49999), (50001, 60999))),
    ],
)
def test_all_but_what_a_script_offers_is_closed(
    machine: list[Listening], offered: tuple[int, ...], closed: tuple[tuple[int, int], ...]
) -> None:
    """At either end of the range, next to each other, and apart."""
    machine += [Listening(port, os.geteuid(), 7) for port in offered]
    assert closed_ports() == closed


def test_ports_next_to_the_range_are_closed_with_it(machine: list[Listening]) -> None:
    """As one range."""
    machine += [Listening(port, os.geteuid(), 1) for port in (32767, 61000, 61002)]
    assert closed_ports() == ((32767, 61000), (61002, 61002))
