"""Cells that are hardly cells: each is as it is without the sandbox, or says clearly why not."""

from __future__ import annotations

import pytest

from tests.kernel.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


@pytest.mark.parametrize("code", ["\n", "   \n\t\n", ""])
def test_an_empty_cell_says_that_there_is_nothing_to_run(kernel: Kernel, code: str) -> None:
    """One line, and no sandbox."""
    run = kernel.run(f"%%sandbox\n{code}")
    assert run.status == "error"
    assert "UsageError" in run.stderr
    assert kernel.value("1 + 1") == "2"


@pytest.mark.parametrize("code", ["# a comment", "# one\n\n# two", "%time", "%%time\n# nothing"])
def test_a_cell_that_does_nothing_does_nothing(kernel: Kernel, code: str) -> None:
    """Comments and bare magics run, without an error and without a result."""
    run = kernel.run(f"%%sandbox\n{code}")
    assert run.status == "ok"
    assert run.of("execute_result") == run.of("error") == []


def test_a_cell_of_magics_only(kernel: Kernel) -> None:
    """Lines that are no Python are fine."""
    run = kernel.run("%%sandbox\n%pwd\n!echo one\n%env HOME")
    assert (run.status, run.stdout.strip()) == ("ok", "one")


def test_a_cell_of_ten_megabytes(kernel: Kernel) -> None:
    """The text is no argument of a program, so its length has no bound of ours."""
    # By a call, so that IPython, which takes 15 s for it, reads it in the child alone.
    cell = "'%%writefile /tmp/long\\n' + 'x' * (10 << 20)"
    run = kernel.run(f"get_ipython().run_cell_magic('sandbox', '', {cell})")
    assert (run.status, run.stdout) == ("ok", "Writing /tmp/long\n")


@pytest.mark.parametrize("code", ["x = '\0'", "x = 1\0"])
def test_null_bytes_are_pythons_to_refuse(kernel: Kernel, code: str) -> None:
    """The same error as below a plain cell, and the kernel lives."""
    plain, sandboxed = kernel.run(f"#\n{code}"), kernel.run(f"%%sandbox\n{code}")
    assert plain.status == sandboxed.status == "error"
    assert sandboxed.error["ename"] == plain.error["ename"]
    assert "null bytes" in sandboxed.error["evalue"]
    assert kernel.value("1 + 1") == "2"


def test_lone_surrogates_are_an_error_and_not_the_end(kernel: Kernel) -> None:
    """A text that no encoding knows cannot be compiled; the kernel says so and lives."""
    run = kernel.run("get_ipython().run_cell_magic('sandbox', '', 'x = 1\\n\"\\ud800\"')")
    assert run.status == "error"
    assert "surrogates" in run.error["evalue"]
    assert kernel.value("1 + 1") == "2"


def test_a_surrogate_that_the_cell_makes_is_shown_as_far_as_it_can_be(kernel: Kernel) -> None:
    """Text that cannot travel loses what cannot, and the rest arrives."""
    run = kernel.run("%%sandbox\nprint('a' + chr(0xd800) + 'b')\nchr(0xdc80) + 'c'")
    assert run.status == "ok"
    assert run.stdout == "ab\n"
    assert "c" in run.result["data"]["text/plain"]


def test_a_sandbox_in_a_sandbox_says_why_not(kernel: Kernel) -> None:
    """It tightens, or one message says what it lacks; the cell's own code goes on to be true."""
    run = kernel.run("%%sandbox\n%sandbox 1 + 1")
    if run.status == "ok":
        assert run.result["data"]["text/plain"] == "2"
    else:
        assert run.error["ename"] in {"CannotEnforce", "SetupFailed"}
    assert kernel.value("1 + 1") == "2"
