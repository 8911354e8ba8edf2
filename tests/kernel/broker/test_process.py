"""The kernel's own process: it runs nothing of the user's, and nobody looks into it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.cells import children
from tests.kernel.broker.conftest import ISOLATED, PROGRAM
from tests.kernel.kernels import ROOT, Kernel, start_kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kernel, Path]]:
    """A kernel of a user who has code in each place where a kernel looks for it, and a directory.

    Each piece leaves a file there, if it can, and a word in its own environment.
    """
    root = tmp_path_factory.mktemp("marked")
    seen = root / "seen"
    notebook, profile = root / "notebook", root / "ipython" / "profile_default"
    for directory in (seen, notebook, profile / "startup", root / "userbase"):
        directory.mkdir(parents=True)
    seen.chmod(0o777)

    def mark(word: str) -> str:
        return (
            "import os\n"
            f"os.environ['MARKS'] = os.environ.get('MARKS', '') + ' {word}'\n"
            "try:\n"
            f"    open({str(seen / word)!r}, 'w').close()\n"
            "except OSError: pass\n"
        )

    (profile / "startup" / "00.py").write_text(mark("startup"))
    (profile / "ipython_config.py").write_text(mark("base"))
    (profile / "ipython_kernel_config.py").write_text(
        mark("config")
        + "c = get_config()\n"
        + "c.InteractiveShellApp.extensions = ['own_extension']\n"
        + f"c.InteractiveShellApp.exec_lines = [{mark('line')!r}]\n"
        + "c.IPKernelApp.exec_lines = ['1']\n"
        + "c.InteractiveShellApp.matplotlib = None\n"
        + "c.Kavach.memory = '64M'\n"
    )
    (profile / "ipython_kernel_config.json").write_text(
        json.dumps({"IPKernelApp": {"kernel_class": "no_such.Kernel"}})
    )
    (notebook / "own_extension.py").write_text(
        mark("extension") + "def load_ipython_extension(shell): pass\n"
    )
    # What a broker would import late, if the notebook's directory had a say.
    for name in ("jedi", "nh3", "usercustomize", "sitecustomize", "prctl"):
        (notebook / f"{name}.py").write_text(mark(name))
    (root / "python_startup.py").write_text(mark("pythonstartup"))
    kernel = start_kernel(
        root / "ipython",
        str(notebook),
        program=ISOLATED,
        PYTHONSTARTUP=str(root / "python_startup.py"),
        PYTHONPATH=str(notebook),
        PYTHONUSERBASE=str(root / "userbase"),
        VIRTUAL_ENV=str(notebook),
    )
    try:
        yield kernel, seen
    finally:
        kernel.close()


def test_users_code_runs_in_the_session(marked: tuple[Kernel, Path]) -> None:
    """Configuration, extension, start-up files and lines: in the order of any kernel."""
    kernel, _ = marked
    words = kernel.value("__import__('os').environ['MARKS']")
    assert words == "' base config extension pythonstartup startup line'"


def test_nothing_of_the_users_code_runs_in_the_kernel(marked: tuple[Kernel, Path]) -> None:
    """Nor is a module of the notebook's directory imported there, whatever is asked."""
    kernel, seen = marked
    kernel.run("import numpy, nh3")
    kernel.run("from IPython.display import HTML\nHTML('<b>x</b>')")
    kernel.complete("imp")
    assert [path.name for path in seen.iterdir()] == []


def test_users_configuration_has_no_say_in_the_kernel(marked: tuple[Kernel, Path]) -> None:
    """It can neither loosen nor replace anything there."""
    kernel, _ = marked
    assert "4GiB" in kernel.run("%kavach explain").stdout
    assert kernel.value("type(get_ipython().kernel).__name__") == "'ServedKernel'"


def test_session_is_no_process_of_the_kernels_namespaces(marked: tuple[Kernel, Path]) -> None:
    """A cell runs in namespaces of its own; the kernel stays where it was."""
    kernel, _ = marked
    inside = kernel.value("__import__('os').readlink('/proc/self/ns/pid')")
    assert inside.strip("'") != os.readlink("/proc/self/ns/pid")
    # proc(5): a number for each PID namespace that a process is in, below ours.
    status = Path(f"/proc/{kernel.pid}/status").read_text()
    assert f"\nNSpid:\t{kernel.pid}\n" in status


def test_kernel_is_not_dumpable(marked: tuple[Kernel, Path]) -> None:
    """proc(5): /proc/<pid> of a process that cannot be dumped belongs to root."""
    kernel, _ = marked
    pid = kernel.pid
    assert os.stat(f"/proc/{pid}/environ").st_uid == 0
    # Root may read it all the same, and belongs to root as well.
    if os.getuid():
        with pytest.raises(PermissionError):
            Path(f"/proc/{pid}/environ").read_bytes()


def test_launcher_says_where_the_configuration_is(tmp_path: Path) -> None:
    """``--config-dir`` is read, and what it says holds; a broken file ends the kernel."""
    there = tmp_path / "etc"
    there.mkdir()
    # The extension is the session's to load, whoever names it.
    library = tmp_path / "library"
    library.mkdir()
    seen = tmp_path / "seen"
    (library / "own.py").write_text(
        "import os\n"
        "def load_ipython_extension(shell):\n"
        "    os.environ['KAVACH_MARK'] = str(os.getpid())\n"
        f"    try: open({str(seen)!r}, 'w').close()\n"
        "    except OSError: pass\n"
    )
    text = {
        "Kavach": {"memory": "96M"},
        "InteractiveShellApp": {"extensions": ["own"], "exec_lines": ["by_line = 1"]},
    }
    (there / "ipython_kernel_config.json").write_text(json.dumps(text))
    program = f"{PROGRAM} --config-dir={there}"
    path = f"{ROOT}:{library}"
    kernel = start_kernel(tmp_path / "ipython", program=program, PYTHONPATH=path)
    try:
        assert "96MiB" in kernel.run("%kavach explain").stdout
        assert kernel.value("by_line, __import__('os').environ['KAVACH_MARK']") == "(1, '2')"
        assert not seen.exists()
    finally:
        kernel.close()
    (there / "ipython_kernel_config.json").write_text("{")
    with pytest.raises(RuntimeError, match=r"died|Kernel"):
        start_kernel(tmp_path / "ipython", program=program)


def test_kernel_forgets_the_working_directory(tmp_path: Path) -> None:
    """Also where it was started without ``-I``, or inside an environment of the user's."""
    code = (
        "import sys\n"
        "from kavach_ipy.front.app import forget_working_directory\n"
        "forget_working_directory()\n"
        "import os\n"
        "print([path for path in sys.path if not path.startswith('/')], os.getcwd() in sys.path,\n"
        "      'VIRTUAL_ENV' in os.environ)\n"
    )
    path = f"{ROOT}:{tmp_path}:relative"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"VIRTUAL_ENV": str(tmp_path), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said == "[] False False\n"


def test_kernel_becomes_undumpable_before_anything_else() -> None:
    """As the flag itself says, which root sees no other trace of."""
    code = (
        "import prctl\n"
        "from ipykernel.kernelapp import IPKernelApp\n"
        "IPKernelApp.initialize = lambda *_: print(prctl.get_dumpable())\n"
        "from kavach_ipy.front.app import SandboxKernelApp\n"
        "SandboxKernelApp().initialize([])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout == "False\n"


def test_zygote_is_begun_before_the_kernels_settings_are_known(broker: Kernel) -> None:
    """It was exec'd without the environment that its cells have; so both import side by side."""
    assert broker.value("'PATH' in __import__('os').environ") == "True"
    own = os.readlink("/proc/self/ns/pid")
    (zygote,) = (pid for pid in children(broker.pid) if os.readlink(f"/proc/{pid}/ns/pid") == own)
    block = Path(f"/proc/{zygote}/environ").read_bytes().split(b"\0")
    assert not [entry for entry in block if entry.startswith(b"PATH=")]


@pytest.mark.skipif(os.geteuid() != 0, reason="what is not dumpable shows its maps to root alone")
def test_debugger_is_not_loaded_by_the_kernel(broker: Kernel) -> None:
    """A start would wait for it, and nothing here uses it."""
    assert b"debugpy" not in Path(f"/proc/{broker.pid}/maps").read_bytes()


def test_debugger_is_not_loaded_by_the_session_and_can_be(broker: Kernel) -> None:
    """The same; a cell may import it."""
    assert broker.value("'debugpy' in __import__('sys').modules") == "False"
    assert broker.value("__import__('debugpy').__name__") == "'debugpy'"


def test_errors_are_not_logged_where_a_cell_shows_a_log(broker: Kernel) -> None:
    """What the kernel's own log is told of a cell's error is not for the notebook's."""
    assert broker.run("import logging\nlogging.basicConfig(level=1)").status == "ok"
    assert broker.run("1 / 0").stderr == ""


def test_figures_and_directories_are_as_in_any_kernel(broker: Kernel) -> None:
    """``%matplotlib`` finds the kernel, and ``%cd -`` the way back."""
    assert broker.run("%matplotlib inline").status == "ok"
    here = broker.value("__import__('os').getcwd()")
    assert broker.run("%cd -q /tmp").status == broker.run("%cd -q -").status == "ok"
    assert broker.value("__import__('os').getcwd()") == here != "'/'"
