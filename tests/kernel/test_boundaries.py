"""What stays as it was: variables, files, network, environment; and what comes back."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from tests.kernel.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


def test_a_name_after_o_comes_back_and_no_other(kernel: Kernel) -> None:
    """``-o`` assigns what it names."""
    run = kernel.run("%%sandbox -o wanted\nwanted = {'a': [1.5, None]}\nother = 1")
    assert (run.status, run.outputs) == ("ok", [])
    assert kernel.value("wanted") == "{'a': [1.5, None]}"
    assert kernel.value("'other' in globals()") == "False"


def test_a_mutation_happens_to_nobody(kernel: Kernel) -> None:
    """A DataFrame that the cell empties is empty in the cell only."""
    kernel.run("import pandas as pd\ndf = pd.DataFrame({'a': [1, 2, 3]})\nitems = [1, 2]")
    run = kernel.run("%%sandbox\ndf.drop(df.index, inplace=True)\nitems.clear()\nlen(df), items")
    assert run.result["data"]["text/plain"] == "(0, [])"
    assert kernel.value("len(df), items") == "(3, [1, 2])"


def test_a_mutated_variable_comes_back_when_it_is_asked_for(kernel: Kernel) -> None:
    """Changing in place counts as well as assigning."""
    kernel.run("basket = [1]")
    kernel.run("%%sandbox -o basket\nbasket.append(2)")
    assert kernel.value("basket") == "[1, 2]"


def test_a_name_that_was_not_defined_is_told(kernel: Kernel) -> None:
    """The line names what the cell did define, and the notebook's own variable stays."""
    kernel.run("summary = 'old'")
    run = kernel.run("%%sandbox -o summry\nsummary = 1\nextra = 2")
    assert run.status == "ok"
    assert run.stderr == (
        "not brought back: summry (the cell did not define it; it defined extra, summary)\n"
    )
    assert kernel.value("summary") == "'old'"


def test_a_value_of_an_unknown_kind_stays_outside(kernel: Kernel) -> None:
    """One line says so, and the name holds a ``Withheld`` that explains itself."""
    run = kernel.run("%%sandbox -o f\ndef f():\n    return 1")
    assert run.stderr.startswith("not brought back: f (function: ")
    assert run.stderr.count("\n") == 1
    assert kernel.value("type(f).__name__") == "'Withheld'"


def test_a_cell_that_fails_brings_nothing_back(kernel: Kernel) -> None:
    """No half-made value replaces a good one."""
    kernel.run("total = 'good'")
    run = kernel.run("%%sandbox -o total\ntotal = 'half'\n1 / 0")
    assert run.error["ename"] == "ZeroDivisionError"
    assert run.stderr == "not brought back: total (the cell did not finish)\n"
    assert kernel.value("total") == "'good'"


def test_in_limits_what_the_cell_sees(kernel: Kernel) -> None:
    """With ``-i`` the other names, earlier results and earlier inputs are gone inside."""
    kernel.run("shown = 1\nkept_back = 'apple'")
    kernel.run("kept_back * 2")
    run = kernel.run(
        "%%sandbox -i shown\n"
        "[name for name, value in globals().items() if 'apple' in repr(value)], shown"
    )
    # The cell's own text is the one place where the word may stand.
    names = set(eval(run.result["data"]["text/plain"])[0])
    assert names <= {"In", "_ih", "_i", "_i1"} | {f"_i{n}" for n in range(500)} | {"__"}
    assert kernel.run("%%sandbox -i shown\nkept_back").error["ename"] == "NameError"
    assert kernel.value("kept_back, shown") == "('apple', 1)"


def test_a_directory_and_an_environment_stay_as_they_were(kernel: Kernel) -> None:
    """``chdir`` and ``os.environ`` of the cell are the cell's own."""
    kernel.run("import os")
    before = kernel.value("os.getcwd(), dict(os.environ)")
    run = kernel.run("%%sandbox\nos.chdir('/tmp')\nos.environ['NEW'] = '1'\nos.getcwd()")
    assert run.result["data"]["text/plain"] == "'/tmp'"
    assert kernel.value("os.getcwd(), dict(os.environ)") == before


def test_history_holds_the_cell_as_it_was_written(kernel: Kernel) -> None:
    """``In`` has the notebook's cell, and numbers go on by one."""
    first = kernel.run("%%sandbox\n'a cell'").reply["execution_count"]
    assert kernel.run("'next'").reply["execution_count"] == first + 1
    assert kernel.value(f"'a cell' in In[{first}], len(In) == {first + 2}") == "(True, True)"


def test_no_thread_process_or_descriptor_is_left(kernel: Kernel) -> None:
    """The kernel is after twenty cells what it was after one."""
    count = (
        "import os, threading\n"
        "def census():\n"
        "    tasks = os.listdir('/proc/self/task')\n"
        "    children = [open(f'/proc/self/task/{t}/children').read().split() for t in tasks]\n"
        "    return len(tasks), sum(children, []), len(os.listdir('/proc/self/fd'))"
    )
    kernel.run(count)
    kernel.run("%%sandbox\n1")
    before = kernel.value("census()")
    for _ in range(20):
        kernel.run("%%sandbox -o x\nx = 1")
    assert kernel.value("census()") == before


def test_a_cell_has_no_network_and_the_notebook_has(kernel: Kernel) -> None:
    """A server of this machine hears the notebook, and never the cell."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        code = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=5).close()"
        run = kernel.run(f"%%sandbox --no-net\n{code}")
        assert run.error["ename"] in ("OSError", "PermissionError", "ConnectionRefusedError")
        with pytest.raises(BlockingIOError):
            server.accept()
        assert kernel.run(code).status == "ok"
        server.setblocking(True)
        server.settimeout(30)
        server.accept()[0].close()


def test_a_cell_writes_nothing_outside(kernel: Kernel) -> None:
    """Whatever the cell believes to have written, this process does not find it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as outside:
        Path(outside).chmod(0o777)
        home = os.path.expanduser("~")
        for place in (outside, home, os.getcwd(), "/tmp"):
            proof = os.path.join(place, "kavach-was-here")
            kernel.run(f"%%sandbox\nopen({proof!r}, 'w').write('proof')")
            assert not os.path.exists(proof)
        proof = os.path.join(outside, "kavach-was-here")
        assert kernel.run(f"open({proof!r}, 'w').write('proof')").status == "ok"
        assert os.path.exists(proof)
