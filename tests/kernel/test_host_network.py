"""`--net` in a notebook: cells and sessions that connect, and never to notebooks."""

from __future__ import annotations

import ast
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kavach_ipy.linux import sockets
from tests.contract.cells import NEEDS_CLOSED_PORTS
from tests.kernel.broker.conftest import PROGRAM
from tests.kernel.kernels import Kernel, start_kernel

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.needs("userns", "seccomp", "landlock", "overlay"),
    NEEDS_CLOSED_PORTS,
]

PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


@pytest.fixture
def ear() -> Iterator[socket.socket]:
    """A socket of the host that hears datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hears:
        hears.bind(("127.0.0.1", 0))
        hears.setblocking(False)
        yield hears


def _send(ear: socket.socket) -> str:
    return f"import socket\nsocket.socket(2, 2).sendto(b'out', {ear.getsockname()!r})"


def _heard(ear: socket.socket) -> bool:
    try:
        return ear.recv(9) == b"out"
    except BlockingIOError:
        return False


@pytest.mark.parametrize(
    ("options", "is_heard"),
    [
        ("--clean --net", True),
        ("--session with_net --net", True),
        ("--clean", False),
        ("--clean --loopback", False),
        ("--session without_net", False),
        ("", False),
    ],
)
def test_cell_that_asked_for_the_network_is_heard(
    kernel: Kernel, ear: socket.socket, options: str, is_heard: bool
) -> None:
    """And no other is, though all clean cells are forks of one process."""
    kernel.run(f"%%sandbox {options}\n{_send(ear)}")
    assert _heard(ear) is is_heard


def test_fork_that_asks_for_the_network_is_misuse(kernel: Kernel, ear: socket.socket) -> None:
    """One line that names what it needs; nothing ran."""
    run = kernel.run(f"%%sandbox --net\n{_send(ear)}")
    assert "--net only with --clean" in run.stderr
    assert not _heard(ear)


CONNECT = """
import errno, socket
answers = []
for port in PORTS:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        answers.append("done")
    except OSError as error:
        answers.append(errno.errorcode[error.errno])
answers
"""


def _answers(run: Callable[[str], object], code: str) -> list[str]:
    result = run(code).result  # type: ignore[attr-defined]
    answers = ast.literal_eval(result["data"]["text/plain"])
    assert isinstance(answers, list)
    return answers


def _ports_of(kernel: Kernel) -> list[int]:
    info = kernel.manager.get_connection_info()
    return [int(str(info.get(name))) for name in PORTS]


@pytest.mark.parametrize("options", ["--clean --net", "--session of_ports --net"])
def test_kernels_ports_are_closed(kernel: Kernel, options: str) -> None:
    """What a notebook prints is sent to whoever connects to its kernel, without a key."""
    code = CONNECT.replace("PORTS", repr(_ports_of(kernel)))
    assert _answers(kernel.run, code) == ["done"] * 5
    assert _answers(kernel.run, f"%%sandbox {options}\n{code}") == ["EACCES"] * 5


def test_session_does_not_reach_a_kernel_that_begins_after_it(
    kernel: Kernel, tmp_path: Path
) -> None:
    """Its ports are not known when the session is made."""
    kernel.run("%%sandbox --session before --net\n1")
    later = start_kernel(tmp_path)
    try:
        code = CONNECT.replace("PORTS", repr(_ports_of(later)))
        assert _answers(kernel.run, code) == ["done"] * 5
        answers = _answers(kernel.run, f"%%sandbox --session before --net\n{code}")
        assert answers == ["EACCES"] * 5
    finally:
        later.close()


def test_server_that_a_notebook_has_is_closed(kernel: Kernel) -> None:
    """On a port of its own choice: it is the user's, and no script's offer."""
    first, last = sockets.picked_ports()
    choice = f"""
import socket
for port in range(1024, 1 << 16):
    if not {first} <= port <= {last}:
        try:
            server = socket.create_server(("127.0.0.1", port))
            break
        except OSError:
            pass
"""
    kernel.run(choice)
    port = kernel.value("port")
    code = CONNECT.replace("PORTS", f"[{port}]")
    assert _answers(kernel.run, code) == ["done"]
    assert _answers(kernel.run, f"%%sandbox --clean --net\n{code}") == ["EACCES"]
    kernel.run("server.close()")


def test_policy_file_forbids_it_by_its_line(
    kernel: Kernel, ear: socket.socket, tmp_path: Path
) -> None:
    """One that says none, and one that does not mention the network; one that says host does."""
    path = tmp_path / "policy.toml"
    path.touch(0o644)
    kernel.run(f"%config Kavach.policy_file = {str(path)!r}")
    cell = f"%%sandbox --clean --net\n{_send(ear)}"
    try:
        path.write_text('# the floor\nnetwork = "none"\n', encoding="utf-8")
        told = kernel.run(cell).stderr
        assert told.startswith("UsageError: --net: 'host' is not allowed")
        assert f'{path}, line 2, says network = "none"' in told
        path.write_text("pids = 64\n", encoding="utf-8")
        assert f'{path} does not mention network, and so network = "loopback"' in (
            kernel.run(cell).stderr
        )
        assert not _heard(ear)
        path.write_text('network = "host"\n', encoding="utf-8")
        assert kernel.run(cell).status == "ok"
        assert _heard(ear)
    finally:
        kernel.run("%config Kavach.policy_file = ''")


def test_status_report_and_explanation_say_whose_network_it_is(kernel: Kernel) -> None:
    """By the settings every cell is clean then; the score counts nothing for it."""
    report = kernel.run("%%sandbox --clean --net --report\n1")
    kernel.run("%config Kavach.network = 'host'")
    try:
        status = kernel.run("%kavach status").stdout
        told = " ".join(kernel.run("%kavach explain").stdout.split())
    finally:
        kernel.run("%config Kavach.network = 'none'")
    for text in (str(report.outputs).replace("\\'", "'"), status):
        assert "open      network            the host's" in text
        assert "strength 77 of 100" in text
        assert "; open: network; not verified: Landlock" in text
    assert "uses the network of this machine" in told
    assert "fresh interpreter" in told


def test_tab_and_help_offer_it(kernel: Kernel) -> None:
    """As any option."""
    assert "--net" in kernel.complete("%%sandbox --clean --ne")
    assert "--net" in kernel.run("%sandbox --help").stdout


def test_broker_has_the_hosts_network_where_the_settings_say_so(
    tmp_path: Path, ear: socket.socket
) -> None:
    """Its session connects, and not to the broker's own ports; without the setting it does not."""
    kernel = start_kernel(tmp_path, program=f"{PROGRAM} --Kavach.network=host")
    try:
        assert kernel.run(_send(ear)).status == "ok"
        assert _heard(ear)
        code = CONNECT.replace("PORTS", repr(_ports_of(kernel)))
        assert _answers(kernel.run, code) == ["EACCES"] * 5
        assert "open      network            the host's" in kernel.run("%kavach status").stdout
    finally:
        kernel.close()


def test_broker_has_no_network_by_default(broker: Kernel, ear: socket.socket) -> None:
    """No datagram leaves its session."""
    assert broker.run(_send(ear)).status == "error"
    assert not _heard(ear)


@pytest.fixture(name="broker")
def _broker(tmp_path: Path) -> Iterator[Kernel]:
    running = start_kernel(tmp_path, program=PROGRAM)
    try:
        yield running
    finally:
        running.close()
