"""``%%sandbox -o`` where every cell is sandboxed: a cell that is undone, but for what it gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.cells import shared_memory, wait_for_shared_memory
from tests.kernel.broker.conftest import PROGRAM
from tests.kernel.kernels import Kernel, start_kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


@pytest.fixture
def kernel(tmp_path_factory: pytest.TempPathFactory, written: Path) -> Iterator[Kernel]:
    """A kernel of its own, as its session may not survive."""
    program = f"{PROGRAM} --Kavach.writable={written}"
    running = start_kernel(tmp_path_factory.mktemp("ipython"), str(written), program=program)
    try:
        yield running
    finally:
        running.close()


def test_what_was_asked_for_is_there_and_nothing_else(broker: Kernel) -> None:
    """It sees all of the session, shows what it shows, and changes only the names it names."""
    broker.run("import random\nkept = [1]\nrandom.seed(7)")
    run = broker.run(
        "%%sandbox -o y,z,missing\n"
        "kept.append(2)\nrandom.random()\nother = 1\n"
        "y, z = kept, {'a': random}\nprint('in')\n7"
    )
    assert (run.status, run.stdout) == ("ok", "in\n")
    assert run.result["data"]["text/plain"] == "7"
    assert "not brought back: missing (the cell did not define it; it defined other, y, z)" in (
        run.stderr
    )
    assert "not brought back: z (dict: " in run.stderr
    assert broker.value("kept, y, 'other' in globals()") == "([1], [1, 2], False)"
    assert broker.value("type(z).__name__") == "'Withheld'"
    assert broker.value("random.random() == random.Random(7).random()") == "True"


def test_large_arrays_come_back_whole(broker: Kernel) -> None:
    """By the memory that goes along."""
    broker.run("import numpy as np")
    broker.run("%%sandbox -o big\nbig = np.arange(10 ** 7)")
    assert broker.value("int(big.sum()), big.flags.writeable") == "(49999995000000, True)"


def test_first_cell_can_be_undone(kernel: Kernel) -> None:
    """What it goes back to is the session before any cell."""
    assert kernel.run("%%sandbox -o y\ny = 5\nz = 6").status == "ok"
    assert kernel.value("y, 'z' in globals()") == "(5, False)"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("%%sandbox -o y\nkept.append(2)\ny = 1\n1 / 0", "division by zero"),
        ("%%sandbox -o y --timeout 0.3s\nkept.append(2)\ny = 1\nwhile True: pass", "timeout"),
        ("%%sandbox -o y\nimport os\nos._exit(4)", "status 4"),
    ],
    ids=["error", "timeout", "exit"],
)
def test_cell_that_fails_brings_nothing_back(broker: Kernel, code: str, said: str) -> None:
    """And is undone all the same."""
    broker.run("kept = [1]\ny = 'before'")
    run = broker.run(code)
    assert run.status == "error"
    assert said in run.error["evalue"]
    assert broker.value("kept, y") == "([1], 'before')"


def test_cell_that_cannot_be_undone_does_not_run(kernel: Kernel, written: Path) -> None:
    """Here, because of a thread; the error says so."""
    kernel.run(
        "import threading\nthreading.Thread(target=threading.Event().wait, name='T').start()"
    )
    run = kernel.run("%%sandbox -o y\nopen('ran', 'w').close()\ny = 1")
    assert "'T'" in run.error["evalue"]
    assert "Nothing ran" in run.error["evalue"]
    assert not (written / "ran").exists()
    assert kernel.run("1").status == "ok"


def test_cell_that_ends_its_own_checkpoint_ends_the_session(kernel: Kernel) -> None:
    """Nothing that it did is there: neither in the old state nor in a new one."""
    kernel.run("import os, signal\nkept = 1")
    run = kernel.run("%%sandbox -o y\nkept = 2\nos.kill(-1, signal.SIGKILL)\ny = 1")
    assert "could not be undone" in run.error["evalue"]
    assert kernel.run("'kept' in globals()").result["data"]["text/plain"] == "False"


_FORGED = """\
%%sandbox -o y
import io, pickle
from kavach_ipy.front import bringing
from kavach_ipy.wire.value_frames import Carried, value_frame
class Evil:
    def __reduce__(self):
        return io.open, ("fired", "w")
def forge(name, value, writer):
    return value_frame(Carried(name, "int", (pickle.dumps(Evil(), 5),)))
bringing.encode_value = forge
y = 1
"""


def test_pickle_of_an_undone_cell_runs_nothing_in_the_session(
    kernel: Kernel, written: Path
) -> None:
    """The gate reads it there, too."""
    kernel.run("fired = 0")
    assert kernel.run("open('can write', 'w').close()").status == "ok"
    run = kernel.run(_FORGED)
    assert run.status == "ok"
    assert "not brought back: y" in run.stderr
    assert [path.name for path in written.iterdir() if "fired" in path.name] == []
    assert (written / "can write").exists()
    assert kernel.run("1").status == "ok"


@pytest.mark.parametrize(
    "span", ["(0, 1 << 40)", "(1, 10)", "(4096 << 20, 1)", "(0, 0)", "(0, 4096)"]
)
def test_place_that_is_none_brings_nothing_back(broker: Kernel, span: str) -> None:
    """Whatever the cell says of where its values lie, the session that goes on lives."""
    broker.run("kept = 1")
    broker.run(
        "%%sandbox -o y\nfrom kavach_ipy.front import served\n"
        f"served.pack = lambda *_: {span}\ny = 1"
    )
    assert broker.value("kept, 'y' in globals()") in ("(1, False)", "(1, True)")


@pytest.mark.parametrize("span", ["(0,)", "(-1, 5)", "('0', 1)", "(True, 1)", "(0, 1 << 63)"])
def test_answer_that_names_no_place_is_no_answer(broker: Kernel, span: str) -> None:
    """No honest session gives one: it counts as a broken channel, and the cell is undone."""
    broker.run("kept = 1")
    run = broker.run(
        "%%sandbox -o y\nfrom kavach_ipy.front import served\n"
        f"served.pack = lambda *_: {span}\nkept = 2\ny = 1"
    )
    assert "protocol" in run.error["evalue"]
    assert broker.value("kept") == "1"


_SIZE = 64 << 20
_KEEP = """\
import os, socket
kept, receive = [], socket.recv_fds
def keep(*args, **options):
    found = receive(*args, **options)
    kept.extend(map(os.dup, found[1]))
    return found
socket.recv_fds = keep
"""


def test_session_keeps_no_memory_of_cells_that_were_undone(kernel: Kernel) -> None:
    """It keeps each descriptor that it is given; the machine's shared memory is what it was."""
    assert kernel.run(_KEEP).status == "ok"
    before = shared_memory()
    for number in range(5):
        assert kernel.run(f"%%sandbox -o y\ny = b'{number}' * {_SIZE}").status == "ok"
        assert kernel.value("len(y), y[:1]") == f"({_SIZE}, b'{number}')"
    assert int(kernel.value("len(kept)")) >= 5
    wait_for_shared_memory(before + 2 * _SIZE)


def test_session_that_does_not_let_go_of_that_memory_ends(kernel: Kernel) -> None:
    """It seals what it should have given back; the error names the wire."""
    kernel.run("from kavach_ipy.wire.arena import Arena\nArena.take = Arena.seal\nkept = 1")
    run = kernel.run("%%sandbox -o y\ny = bytes(100_000)")
    assert "protocol" in run.error["evalue"]
    assert kernel.run("'kept' in globals()").result["data"]["text/plain"] == "False"
