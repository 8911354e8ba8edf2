"""What makes no sense is one line that says what would, and nothing of the cell runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

MISUSED = [
    ("-o class", "-o: 'class'", "keyword"),
    ("-o _x", "-o: '_x'", "private"),
    ("-o _", "-o: '_'", "private"),
    ("-o __doc__", "-o: '__doc__'", "private"),
    ("-o print", "-o: 'print'", "builtin"),
    ("-o In", "-o: 'In'", "belongs to the shell"),
    ("--out Out", "--out: 'Out'", "belongs to the shell"),
    ("-o get_ipython", "-o: 'get_ipython'", "belongs to the shell"),
    ("-o a.b", "-o: 'a.b'", "a variable's name is"),
    ("-o a b", "b: 'b'", "joined by commas"),
    ("-o *", "--out: '*'", "names are"),
    ("-i nowhere", "--in:", "'nowhere'"),
    ("-i nowhere,nothing", "--in:", "'nothing' or 'nowhere'"),
    ("-i get_ipython", "-i: 'get_ipython'", "belongs to the shell"),
    ("--stdin=yes", "--stdin: 'yes'", "takes no value"),
    ("--stdn", "--stdn", "did you mean '--stdin'"),
]


@pytest.fixture
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file that a cell which runs would make: --rw lets it, and this process looks."""
    folder = tmp_path_factory.mktemp("proof")
    folder.chmod(0o777)
    yield folder / "ran"
    (folder / "ran").unlink(missing_ok=True)


def cell(options: str, proof: Path) -> str:
    """A cell that leaves a mark where this process sees it."""
    return f"%%sandbox --rw {proof.parent} {options}\nopen({str(proof)!r}, 'w').close()"


def test_a_cell_without_misuse_leaves_its_mark(kernel: Kernel, proof: Path) -> None:
    """What the tests below look for is there when a cell runs."""
    assert kernel.run(cell("-o known", proof)).status == "ok"
    assert proof.exists()


@pytest.mark.parametrize(("options", "named", "told"), MISUSED, ids=[row[0] for row in MISUSED])
def test_a_misused_option_is_one_line_and_nothing_runs(
    kernel: Kernel, proof: Path, options: str, named: str, told: str
) -> None:
    """The line names what was written and what is allowed."""
    run = kernel.run(cell(options, proof))
    assert run.status == "error"
    assert [kind for kind, _ in run.outputs] == ["stream"]
    assert run.stderr.startswith(f"UsageError: {named}")
    assert told in run.stderr
    assert run.stderr.count("\n") == 1
    assert not proof.exists()


@pytest.mark.parametrize("line", ["%sandbox", "%sandbox --report", "%%sandbox", "%sandbox -o a"])
def test_no_code_is_a_usage_error(kernel: Kernel, line: str) -> None:
    """There is nothing to run, and the line says how it would be written."""
    run = kernel.run(line)
    assert run.status == "error"
    assert run.stderr.startswith("UsageError: ")


def test_a_cell_of_comments_runs(kernel: Kernel) -> None:
    """It does nothing, as it does without a sandbox."""
    run = kernel.run("%%sandbox\n# nothing to do")
    assert (run.status, run.outputs) == ("ok", [])


@pytest.mark.parametrize(
    "inner",
    [
        "%%sandbox\nopen({proof!r}, 'w').close()",
        "%sandbox open({proof!r}, 'w').close()",
        "from kavach_ipy import Sandbox\nSandbox().run(\"open({proof!r}, 'w').close()\").check()",
    ],
    ids=["cell", "line", "Sandbox"],
)
def test_a_sandbox_in_a_sandbox_says_why_not(kernel: Kernel, proof: Path, inner: str) -> None:
    """Neither looser nor tighter: it is refused, with what to do, and the inner cell never runs."""
    code = inner.format(proof=str(proof))
    run = kernel.run(f"%%sandbox --rw {proof.parent}\n{code}")
    assert run.error["ename"] == "CannotEnforce"
    assert "a sandbox inside a sandbox" in run.error["evalue"]
    assert "in the notebook instead" in run.error["evalue"]
    assert not proof.exists()


def test_unloading_inside_a_cell_unloads_nothing_outside(kernel: Kernel) -> None:
    """The extension of the child is the child's."""
    assert kernel.run("%%sandbox\n%unload_ext kavach_ipy").status == "ok"
    assert kernel.run("%%sandbox\n'there'").result["data"]["text/plain"] == "'there'"


def test_loading_twice_says_so_and_changes_nothing(kernel: Kernel) -> None:
    """IPython's own word, and the magics stay."""
    assert "already loaded" in kernel.run("%load_ext kavach_ipy").stdout
    assert kernel.run("%reload_ext kavach_ipy").status == "ok"
    assert kernel.run("%%sandbox\n1").status == "ok"
