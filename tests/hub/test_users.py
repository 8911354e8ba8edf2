"""Two users of a hub, each with a notebook: what a cell can do, and what it cannot."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.hubs import BIN, Hub, Notebook, User
from tests.hub.machine import USERS, Machine

# What a cell tries: leave a file in its home, and reach whoever listens on this machine.
_WRITE = "open('/home/{user}/{name}', 'w').write('was here')"
_CONNECT = "import socket; socket.create_connection(('127.0.0.1', {port}), 5).close()"


@pytest.fixture(scope="module")
def notebooks(alice: User, bob: User) -> Iterator[dict[str, Notebook]]:
    """A notebook of each user's, opened under the name that every notebook has."""
    with alice.notebook() as hers, bob.notebook() as his:
        yield {"alice": hers, "bob": his}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Whoever listens on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        yield server


def test_both_users_log_in_by_the_form(hub: Hub) -> None:
    """As in a browser: the form, its cookie, and a page that only they see."""
    for name in USERS:
        page = hub.log_in(name).get(f"{hub.url}/hub/home", timeout=30)
        assert page.status_code == 200
        assert name in page.text


@pytest.mark.parametrize("name", sorted(USERS))
def test_notebook_works_as_any_other(notebooks: dict[str, Notebook], name: str) -> None:
    """What one cell defines the next one has, and errors are errors."""
    notebook = notebooks[name]
    notebook.run("x = 20")
    assert notebook.run("print(x + 1)").stdout == "21\n"
    failed = notebook.run("1 / 0")
    assert failed.reply["ename"] == "ZeroDivisionError"
    assert notebook.run("print(x)").stdout == "20\n"


def _processes(uid: int) -> Iterator[dict[str, str]]:
    """What the Linux kernel says of each process of a user: proc_pid_status(5)."""
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            text = path.read_text(encoding="utf-8")
            network = os.readlink(path.parent / "ns/net")
        except OSError:
            # It has ended meanwhile: kernels of other tests do.
            continue
        facts = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        if facts["Uid"].split()[0] == str(uid):
            yield facts | {"Network": network}


@pytest.mark.parametrize("name", sorted(USERS))
def test_process_that_runs_cells_is_confined(
    notebooks: dict[str, Notebook], machine: Machine, name: str
) -> None:
    """Seen from outside: namespaces of its own, a filter, no capability, no way to get one."""
    assert notebooks[name].run("print('ran')").stdout == "ran\n"
    outside = os.readlink(f"/proc/{machine.pid}/ns/net")
    everything = list(_processes(USERS[name]))
    # This machine, the hub's, and one more: the process ids of a sandbox.
    inside = [facts for facts in everything if len(facts["NSpid"].split()) == 3]
    # Its init is cat(1), which runs nothing of anybody's.
    cells = [facts for facts in inside if facts["Name"] != "cat"]
    assert cells, [facts["Name"] for facts in everything]
    for facts in cells:
        assert facts["Seccomp"] == "2", facts
        assert facts["NoNewPrivs"] == "1", facts
        assert {facts[name] for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {
            "0" * 16
        }, facts
        assert facts["Network"] != outside


@pytest.mark.parametrize("name", sorted(USERS))
def test_cell_changes_no_file_and_reaches_nobody(
    notebooks: dict[str, Notebook], machine: Machine, listener: socket.socket, name: str
) -> None:
    """The same lines, run by the same user outside of a cell, do both: they are no empty threat."""
    connect = _CONNECT.format(port=listener.getsockname()[1])
    write = _WRITE.format(user=name, name="by-cell")
    notebooks[name].run(write)
    assert not machine.path(f"/home/{name}/by-cell").exists()
    assert notebooks[name].run(connect).reply["status"] == "error"
    with pytest.raises(TimeoutError):
        listener.accept()

    control = _WRITE.format(user=name, name="by-hand")
    machine.run("/usr/bin/python3", "-c", f"{control}\n{connect}", user=name)
    assert machine.path(f"/home/{name}/by-hand").exists()
    listener.accept()[0].close()


def test_cell_of_one_user_reads_no_file_of_another(
    notebooks: dict[str, Notebook], machine: Machine
) -> None:
    """Nor one that its owner has opened to everybody, and that its user reads outside of a cell."""
    machine.write("/home/bob/private", "bob's own", user="bob")
    machine.run("chmod", "600", "/home/bob/private")
    machine.write("/home/bob/public", "for everybody", user="bob")
    machine.run("chmod", "755", "/home/bob")
    assert machine.run("cat", "/home/bob/public", user="alice") == "for everybody"
    for name in ("private", "public"):
        run = notebooks["alice"].run(f"print(open('/home/bob/{name}').read())")
        assert run.reply["status"] == "error"
        assert "bob's own" not in run.told
        assert "for everybody" not in run.told
    run = notebooks["alice"].run("import os; print(os.listdir('/home'))")
    assert "bob" not in run.stdout


def test_server_of_one_user_answers_no_other(alice: User, bob: User) -> None:
    """A token opens its own user's server only."""
    bob_by_alice = User("bob", bob.url, alice.token)
    assert bob_by_alice.ask("GET", "/api/contents").status_code in (302, 403)
    assert bob_by_alice.ask("POST", "/api/kernels", json={}).status_code in (302, 403)
    assert alice.ask("GET", "/api/contents").status_code == 200


def test_memory_of_one_kernel_is_read_by_no_cell(notebooks: dict[str, Notebook]) -> None:
    """Neither the server's nor the kernel's process exists for a cell."""
    run = notebooks["alice"].run(
        "import os; print(len([name for name in os.listdir('/proc') if name.isdigit()]))"
    )
    assert 0 < int(run.stdout) < 10
    assert len(list(_processes(USERS["alice"]))) > 3


def test_floor_of_the_machine_holds_from_the_next_cell_on(alice: User, machine: Machine) -> None:
    """What the administrator writes is what a cell has, and more cannot be asked for.

    A session that began before runs no cell until it is begun anew.
    """
    before = machine.run("cat", "/etc/kavach/policy.toml")
    machine.write("/etc/kavach/policy.toml", f'{before}\ndisk = "8M"\n')
    size = "import os; it = os.statvfs('/tmp'); print(it.f_blocks * it.f_frsize)"
    try:
        with alice.notebook() as notebook:
            assert int(notebook.run(size).stdout) == 8 << 20
            assert notebook.run(f"%%sandbox --disk 64M\n{size}").reply["status"] == "error"
            machine.write("/etc/kavach/policy.toml", f'{before}\ndisk = "4M"\n')
            refused = notebook.run(size)
            assert refused.stdout == ""
            assert "/etc/kavach/policy.toml, line " in refused.told
            assert "%kavach restart" in refused.told
            notebook.run("%kavach restart")
            assert int(notebook.run(size).stdout) == 4 << 20
    finally:
        machine.write("/etc/kavach/policy.toml", before)


def test_policy_file_without_sense_runs_no_cell(
    alice: User, notebooks: dict[str, Notebook], machine: Machine
) -> None:
    """Notebooks that are open say which line, new ones run nothing; mended, cells run."""
    before = machine.run("cat", "/etc/kavach/policy.toml")
    machine.write("/etc/kavach/policy.toml", "memory = true\n")
    try:
        for notebook in (notebooks["alice"], notebooks["bob"]):
            run = notebook.run("print('ra' + 'n')")
            assert "ran" not in run.told
            assert run.reply["status"] == "error"
            assert "/etc/kavach/policy.toml, line 1, column 10" in run.told
        with alice.notebook() as notebook:
            assert "ran" not in notebook.run("print('ra' + 'n')").told
    finally:
        machine.write("/etc/kavach/policy.toml", before)
    assert notebooks["bob"].run("print('ra' + 'n')").stdout == "ran\n"


def test_cells_are_recorded_where_the_policy_says_so(alice: User, machine: Machine) -> None:
    """Outside of the sandbox, in a log that is whole, where root's settings put it."""
    before = machine.run("cat", "/etc/kavach/policy.toml")
    settings = "/etc/kavach/ipython_kernel_config.py"
    machine.write(settings, "get_config().Kavach.audit_directory = '/home/alice/logs'\n")
    required = before.replace('audit = "off"', 'audit = "required"')
    machine.write("/etc/kavach/policy.toml", required)
    try:
        with alice.notebook() as notebook:
            assert notebook.run("print('ra' + 'n')").stdout == "ran\n"
            listed = notebook.run("import os; print(os.listdir('/home/alice/logs'))")
            assert ".jsonl" not in listed.told
        (log,) = machine.path("/home/alice/logs").glob("*.jsonl")
        assert log.read_text(encoding="utf-8").count("\n") >= 2
        command = [str(BIN / "kavach-jupyter"), "audit", "verify", f"/home/alice/logs/{log.name}"]
        assert "intact" in machine.run(*command, user="alice")
    finally:
        machine.write("/etc/kavach/policy.toml", before)
        machine.run("rm", settings)


def test_doctor_finds_this_machine_sound_as_one_of_its_users(machine: Machine) -> None:
    """Layers, files, policy and server settings, as somebody meets them who is not root."""
    said = machine.run(str(BIN / "kavach-jupyter"), "doctor", "--system", user="alice")
    assert "This machine can keep every promise." in said
    assert "files --system" in said
    assert "server --system" in said
