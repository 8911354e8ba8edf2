"""Ways in which a user tries to have cells run outside of the sandbox, and what becomes of each.

All that can be put into a home is there at once when the user's server and kernel start; each
attempt that runs outside of a sandbox leaves a proof in the home, which this process looks for.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hub.attacks import ATTACKS, proof
from tests.hub.hubs import BIN, Hub, Notebook, User
from tests.hub.machine import Machine

_PREPARED = [path for attack in ATTACKS.values() for path in attack.files]


@pytest.fixture(scope="module")
def attacker(hub: Hub, alice: User, machine: Machine) -> Iterator[User]:
    """A user whose home holds every attack, and whose server was started after that."""
    hub.stop(alice.name)
    for attack in ATTACKS.values():
        for path, content in attack.files.items():
            machine.write(path, content, user=alice.name)
    yield hub.start(alice.name)
    machine.run("sh", "-c", 'rm -f "$@" /home/alice/proof-*', "sh", *_PREPARED)


@pytest.fixture(scope="module")
def notebook(attacker: User) -> Iterator[Notebook]:
    """A notebook of theirs, with a cell that has run."""
    with attacker.notebook() as running:
        running.run("import jedi, nh3, prctl")
        assert running.run("print('ran')").stdout == "ran\n"
        yield running


def _is_sandboxed(notebook: Notebook, machine: Machine) -> bool:
    """Let a cell write into its home, and look whether it did."""
    run = notebook.run("open('/home/alice/proof-cell', 'w').close(); print('wrote')")
    path = machine.path(proof("cell"))
    if path.exists():
        path.unlink()
        return False
    return "wrote" in run.stdout or run.reply["status"] == "error"


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_what_lies_in_the_home_switches_nothing_off(
    notebook: Notebook, machine: Machine, name: str
) -> None:
    """It runs in the sandbox or not at all; where nothing is sandboxed, the same files succeed."""
    assert not machine.path(proof(name)).exists()
    assert _is_sandboxed(notebook, machine)
    for other in ATTACKS:
        machine.run("rm", "-f", proof(other))
    machine.run(str(BIN / "python"), "-P", "-c", ATTACKS[name].control, user="alice")
    assert machine.path(proof(name)).exists()
    for other in ATTACKS:
        machine.run("rm", "-f", proof(other))


@pytest.mark.parametrize(
    "cell",
    [
        "%unload_ext kavach_ipy",
        "%kavach off",
        "%reload_ext kavach_ipy",
        "%config Kavach.policy_file = ''",
        "%config Kavach.default_on = False",
        "get_ipython().kernel.do_execute = None",
        "import os; os.environ.clear()",
        "import sys; sys.modules.clear()",
    ],
)
def test_no_cell_switches_the_sandbox_off(attacker: User, machine: Machine, cell: str) -> None:
    """Whatever it says, the next one is in the sandbox as well, or does not run."""
    with attacker.notebook() as notebook:
        notebook.run(cell)
        assert _is_sandboxed(notebook, machine)


def test_kernels_of_the_home_are_neither_listed_nor_started(attacker: User) -> None:
    """The list, and the start by name, which jupyter_client does not tie to the list."""
    listed = attacker.ask("GET", "/api/kernelspecs").json()["kernelspecs"]
    assert set(listed) == {"python3", "python3-kavach"}
    for name in ("mine", "python2", "nonesuch", "../kernels/mine"):
        answer = attacker.ask("POST", "/api/kernels", json={"name": name})
        assert answer.status_code >= 400, name
        session = {
            "path": "x.ipynb",
            "name": "x",
            "type": "notebook",
            "kernel": {"name": name},
        }
        answer = attacker.ask("POST", "/api/sessions", json=session)
        assert answer.status_code >= 400, name


@pytest.mark.parametrize("kernel", ["python3", "python3-kavach"])
def test_both_names_are_the_sandboxed_kernel(attacker: User, machine: Machine, kernel: str) -> None:
    """What notebooks ask for that exist, and what new ones are offered."""
    with attacker.notebook(kernel) as notebook:
        assert notebook.run("print('ran')").stdout == "ran\n"
        assert _is_sandboxed(notebook, machine)


def test_there_are_no_terminals(attacker: User) -> None:
    """A terminal would be a shell outside of every sandbox."""
    assert attacker.ask("POST", "/api/terminals", json={}).status_code >= 400
    assert attacker.ask("GET", "/api/terminals").status_code >= 400


def test_kernel_that_restarts_is_sandboxed(attacker: User, machine: Machine) -> None:
    """By the server's own request, as a front end's button sends it."""
    with attacker.notebook() as notebook:
        notebook.run("x = 1")
        answer = attacker.ask("POST", f"/api/kernels/{notebook.kernel}/restart")
        assert answer.status_code == 200
    with attacker.notebook() as notebook:
        assert _is_sandboxed(notebook, machine)


_ENVIRONMENT = """
import os, sys
from jupyter_client.manager import KernelManager
home = os.environ["HOME"]
os.makedirs(home + "/modules", exist_ok=True)
for name in ("sitecustomize", "usercustomize", "nh3", "json", "kavach_ipy"):
    with open(home + "/modules/" + name + ".py", "w") as file:
        file.write("open('/home/alice/proof-environment', 'w').close()")
evil = {
    "PYTHONPATH": home + "/modules",
    "PYTHONSTARTUP": home + "/modules/nh3.py",
    "PYTHONUSERBASE": home,
    "PYTHONINSPECT": "1",
    "PYTHONBREAKPOINT": "nh3.x",
    "PYTHONHOME": home,
    "PYTHONPLATLIBDIR": "modules",
    "IPYTHONDIR": home + "/.ipython",
    "VIRTUAL_ENV": home,
    "LD_LIBRARY_PATH": home + "/modules",
    "JUPYTER_PATH": home + "/.local/share/jupyter",
    "ENV": home + "/modules/env.sh",
    "BASH_ENV": home + "/modules/env.sh",
}
with open(home + "/modules/env.sh", "w") as file:
    file.write(": > /home/alice/proof-environment")
manager = KernelManager(kernel_name="python3")
manager.kernel_spec.argv = sys.argv[1:] + ["-f", "{connection_file}"]
manager.start_kernel(env=os.environ | evil)
client = manager.blocking_client()
client.start_channels()
try:
    client.wait_for_ready(30)
    client.execute_interactive("open('/home/alice/proof-cell', 'w').close()", timeout=30)
except RuntimeError:
    print("died")
client.stop_channels()
manager.shutdown_kernel(now=True)
"""


def test_environment_of_a_kernel_decides_nothing(attacker: User, machine: Machine) -> None:
    """The launcher, started by hand as the user with every variable that loads code.

    A stock kernel with the same environment runs the user's modules before its first cell.
    """
    launcher = "/usr/local/lib/kavach/kavach-kernel"
    python = str(BIN / "python")
    machine.run(python, "-c", _ENVIRONMENT, launcher, user=attacker.name)
    assert not machine.path(proof("environment")).exists()
    assert not machine.path(proof("cell")).exists()
    # Without PYTHONHOME, with which no kernel starts at all.
    stock = _ENVIRONMENT.replace('"PYTHONHOME": home', '"X": home').replace(
        '"PYTHONPLATLIBDIR": "modules"', '"Y": home'
    )
    machine.run(python, "-c", stock, python, "-m", "ipykernel_launcher", user=attacker.name)
    assert machine.path(proof("environment")).exists()
    machine.run("rm", "-rf", "/home/alice/modules", proof("environment"), proof("cell"))


def test_nothing_of_roots_can_be_changed_by_a_user(attacker: User, machine: Machine) -> None:
    """Every file that was installed, and each directory above it."""
    said = machine.run(str(BIN / "kavach-jupyter"), "show", "--system", user=attacker.name)
    files = [line.split()[1] for line in said.splitlines() if line.startswith("  written  ")]
    assert len(files) == 6
    for path in files:
        machine.run("sh", "-c", '! test -w "$1"', "sh", path, user=attacker.name)
        machine.run("sh", "-c", '! test -w "${1%/*}"', "sh", path, user=attacker.name)
