"""`--net`: the host's network for clean cells and sessions, and for no other."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kavach_ipy.errors import CellFailed, PolicyError
from kavach_ipy.gate.outcome import Outcome
from kavach_ipy.launch.layers import ConfinementReport
from kavach_ipy.launch.script import script_body
from kavach_ipy.policy import Policy
from kavach_ipy.sandbox import Sandbox
from tests.contract.cells import DEADLINE, NEEDS, NEEDS_CLOSED_PORTS, program, python, run, value

pytestmark = [
    pytest.mark.contract,
    NEEDS,
    NEEDS_CLOSED_PORTS,
]

CLEAN: dict[str, Any] = {"network": "host", "clean": True}


class _Server(http.server.ThreadingHTTPServer):
    """Counts what it accepts."""

    accepted = 0

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept, and count."""
        found = super().get_request()
        self.accepted += 1
        return found


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer with where it was asked."""
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[_Server]:
    """A web server of this process, on the loopback of the host."""
    with _Server(("127.0.0.1", 0), _Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def _ask(server: _Server) -> str:
    return (
        "import urllib.request\n"
        f"urllib.request.urlopen('http://127.0.0.1:{server.server_port}/asked', timeout=10).read()"
    )


@pytest.mark.parametrize("policy", [CLEAN, {"network": "host", "session": "s"}], ids=str)
def test_cell_with_the_hosts_network_is_answered(server: _Server, policy: dict[str, Any]) -> None:
    """A web request, by the standard library, in both kinds of fresh interpreter."""
    with Sandbox(Policy(timeout=DEADLINE, **policy)) as box:
        assert box.run(_ask(server)).check().result == b"/asked"
    assert server.accepted == 1


@pytest.mark.parametrize("network", ["none", "loopback"])
@pytest.mark.parametrize("policy", [{}, {"clean": True}, {"session": "s"}], ids=str)
def test_cell_without_it_is_not_heard(
    server: _Server, network: str, policy: dict[str, Any]
) -> None:
    """The same request fails, whatever kind of interpreter it comes from."""
    with Sandbox(Policy(network=network, timeout=DEADLINE, **policy)) as box:
        failure = box.run(_ask(server)).failure
    assert isinstance(failure, CellFailed)
    assert failure.name == "URLError"
    assert server.accepted == 0


def test_fork_never_has_the_hosts_network(server: _Server) -> None:
    """Neither by its policy, nor by running a body under the policy of a fresh interpreter."""
    with pytest.raises(PolicyError, match="--net only with --clean"):
        run(_ask(server), network="host")
    with pytest.raises(PolicyError, match="execute_fresh"):
        Sandbox(Policy(**CLEAN)).execute(script_body(_ask(server), {}))
    assert server.accepted == 0


def test_session_is_not_served_with_another_network(server: _Server) -> None:
    """A session that began without a network does not get one, nor the other way round."""
    with Sandbox(Policy(session="s", timeout=DEADLINE)) as box:
        box.run("1").check()
        other = Sandbox(Policy(session="s", network="host"), sessions=box._sessions)
        with pytest.raises(PolicyError, match="first cell"):
            other.run(_ask(server))
        assert box.run(_ask(server)).failure is not None
    assert server.accepted == 0


def test_snapshot_that_takes_over_is_in_the_hosts_network_too(server: _Server) -> None:
    """A cell that is stopped costs what it did, and the network is verified again."""
    with Sandbox(Policy(session="s", network="host", memory="256M", timeout=DEADLINE)) as box:
        box.run("kept = 1").check()
        assert box.run("bytearray(1 << 30)").failure is not None
        outcome = box.run(f"{_ask(server)}, kept")
        assert outcome.check().result == (b"/asked", 1)
        _check_report(outcome)


def _check_report(outcome: Outcome) -> None:
    report = outcome.report
    assert isinstance(report, ConfinementReport)
    layers = {layer.name: layer for layer in report.layers}
    assert layers["network"].state == "open"
    assert layers["network"].detail.startswith("the host's")
    assert layers["namespaces"].detail == "its own: cgroup, ipc, mnt, pid, user, uts"
    assert "TCP ports are closed" in layers["Landlock"].detail
    assert report.strength.missing == ("network", "Landlock")
    assert report.strength.score == 77


def test_report_says_whose_network_it_is_and_counts_nothing_for_it() -> None:
    """Read back by the inode of the namespace: six are its own, and one is not."""
    code = "import os\nos.readlink('/proc/self/ns/net'), os.readlink('/proc/self/ns/ipc')"
    outcome = run(code, **CLEAN).check()
    assert isinstance(outcome.result, tuple)
    net, ipc = outcome.result
    assert net == os.readlink("/proc/self/ns/net")
    assert ipc != os.readlink("/proc/self/ns/ipc")
    _check_report(outcome)


def test_pairs_that_asyncio_and_multiprocessing_use_are_there() -> None:
    """Loops, subprocesses, pipes, queues and pools need sockets in pairs, or none."""
    code = """
import asyncio, multiprocessing, subprocess, sys
from concurrent.futures import ProcessPoolExecutor
async def ask():
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(input())",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return (await child.communicate(b"loop"))[0]
heard = [asyncio.run(ask())]
context = multiprocessing.get_context("fork")
one, other = context.Pipe()
one.send("pipe")
heard.append(other.recv())
queue = context.Queue()
context.Process(target=queue.put, args=("queue",)).start()
heard.append(queue.get())
with ProcessPoolExecutor(1, mp_context=context) as pool:
    heard.append(pool.submit(abs, -4).result())
heard
"""
    assert value(code, **CLEAN) == [b"loop\n", "pipe", "queue", 4]


def test_datagrams_leave_and_answers_come(server: _Server) -> None:
    """UDP on both families, as name lookups and QUIC use it."""
    del server
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as ear:
            ear.bind((address, 0))
            ear.settimeout(DEADLINE)
            answer = threading.Thread(target=lambda: ear.sendto(b"back", ear.recvfrom(9)[1]))
            answer.start()
            code = f"""
import socket
with socket.socket({int(family)}, socket.SOCK_DGRAM) as one:
    one.settimeout(10)
    one.sendto(b"out", {ear.getsockname()[:2]!r})
    back = one.recv(9)
back
"""
            assert value(code, **CLEAN) == b"back"
            answer.join()


def test_certificates_of_the_system_are_there() -> None:
    """As many as outside."""
    code = "import ssl\nlen(ssl.create_default_context().get_ca_certs())"
    outside = python("import ssl\nprint(len(ssl.create_default_context().get_ca_certs()))").stdout
    assert value(code, **CLEAN) == int(outside)


RESOLVER = """
import os, socket, subprocess, threading
from kavach_ipy import Policy, Sandbox
from kavach_ipy.linux.namespaces import raise_loopback
run = lambda *words: subprocess.run(words, check=True)
run("mount", "--make-rprivate", "/")
run("mount", "-t", "tmpfs", "none", "/run")
run("mount", "-t", "tmpfs", "none", "/mnt")
os.makedirs("/run/resolve")
with open("/run/resolve/resolv.conf", "w") as file:
    file.write("nameserver 127.0.0.1\\noptions timeout:2 attempts:1\\n")
# As systemd-resolved has it: /etc of an overlay, where resolv.conf leads below /run.
for name in ("upper", "work"):
    os.mkdir(f"/mnt/{name}")
run("mount", "-t", "overlay", "none", "/etc", "-o",
    "lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work")
os.unlink("/etc/resolv.conf")
os.symlink("../run/resolve/resolv.conf", "/etc/resolv.conf")
with open("/etc/nsswitch.conf", "w") as file:
    file.write("hosts: files dns\\n")
raise_loopback()
asked = []
dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
dns.bind(("127.0.0.1", 53))
def serve():
    while True:
        query, peer = dns.recvfrom(512)
        end = query.index(b"\\0", 12) + 5
        asked.append(query[12:end])
        is_a = query[end - 4:end - 2] == b"\\0\\1"
        head = query[:2] + b"\\x81\\x80\\0\\1" + bytes([0, is_a]) + bytes(4) + query[12:end]
        record = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + bytes([192, 0, 2, 9])
        dns.sendto(head + record * is_a, peer)
threading.Thread(target=serve, daemon=True).start()
code = "import socket\\n{*[x[4][0] for x in socket.getaddrinfo('somewhere.test', 80)]}"
print(Sandbox(Policy(network="host", clean=True, timeout=30)).run(code).check().result, bool(asked))
before = len(asked)
print(Sandbox(Policy(clean=True, timeout=30)).run(code).failure.name, len(asked) - before)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a machine's /etc is root's to arrange")
@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare(1) makes the network")
def test_names_are_looked_up_by_the_hosts_resolver() -> None:
    """Also where resolv.conf is a link to below /run; without the network nobody is asked."""
    done = program("unshare", "--net", "--mount", sys.executable, "-c", RESOLVER)
    assert done.stdout == "{'192.0.2.9'} True\ngaierror 0\n", done.stderr
