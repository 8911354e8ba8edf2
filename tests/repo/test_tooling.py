"""make, .ci and the notebooks: one clear sentence where a machine refuses, nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.sources import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def _run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_make_alone_prints_help() -> None:
    """Whoever types `make` sees what there is, and nothing is installed."""
    done = _run("make")
    assert done.returncode == 0
    assert "make demo" in done.stdout
    assert "make test" in done.stdout


def _uname(directory: Path, system: str, machine: str) -> str:
    fake = directory / "uname"
    fake.write_text(f'#!/bin/sh\n[ "$1" = -m ] && echo {machine} || echo {system}\n')
    fake.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("system", "machine", "named"), [("Darwin", "arm64", "Darwin"), ("Linux", "ppc64le", "ppc64le")]
)
def test_another_system_is_refused_in_one_sentence(
    tmp_path: Path, system: str, machine: str, named: str
) -> None:
    """On macOS, or on a processor without tables, nothing is installed or run."""
    done = _run(".ci/bootstrap", sys.executable, PATH=_uname(tmp_path, system, machine))
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr


def test_this_system_is_not_refused() -> None:
    """The checks above are not a refusal of everything."""
    assert _run(".ci/bootstrap", sys.executable).returncode == 0


def test_an_unusable_python_is_refused_in_one_sentence() -> None:
    """A Python that this user may not run is named, with the variable that says another."""
    done = _run(".ci/bootstrap", "/nonexistent/python3")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "make PYTHON=" in done.stderr


def test_missing_packages_without_sudo_are_named(tmp_path: Path) -> None:
    """An ordinary user without sudo is told what to ask the administrator for."""
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    # A Python that answers the version check, and lacks everything else.
    (tmp_path / "python").write_text(
        "#!/bin/sh\n"
        'case "$2" in *version_info*) exit 0;; *sysconfig*) echo /none;; *) exit 1;; esac\n'
    )
    for name in ("uname", "bash", "gcc", "apt-get"):
        (tmp_path / name).symlink_to("/bin/bash" if name == "bash" else f"/usr/bin/{name}")
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "id").chmod(0o755)
    done = _run("/bin/bash", ".ci/bootstrap", tmp_path / "python", PATH=str(tmp_path))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    for package in ("python3-venv", "python3-dev", "libseccomp2"):
        assert package in done.stderr


@pytest.mark.needs("userns")
def test_demo_refuses_without_user_namespaces_in_one_sentence() -> None:
    """Where max_user_namespaces is 0 the demo ends with the layer, the fact and the remedy."""
    done = _run(
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        'echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" notebooks/run.py "$1"',
        sys.executable,
        "notebooks/01_first_cell.ipynb",
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "user namespace" in done.stderr
    assert "max_user_namespaces" in done.stderr


def test_ci_finds_what_a_command_leaves_behind() -> None:
    """A process that moved to a session of its own is named, killed, and fails the run."""
    done = _run(".ci/contain", "sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & exit 0")
    assert done.returncode == 99
    assert "sleep 600" in done.stderr


def test_ci_passes_a_command_that_cleans_up() -> None:
    """The exit code of a tidy command is its own."""
    assert _run(".ci/contain", "true").returncode == 0
    assert _run(".ci/contain", "sh", "-c", "exit 7").returncode == 7


@pytest.mark.parametrize(
    ("program", "minutes", "reason"),
    [
        ("/bin/false", "30", "/bin/false does not start"),
        ("/nonexistent", "30", "names /nonexistent, which is no program"),
        ("/bin/true", "6", "of 6 minutes are left"),
    ],
)
def test_ci_says_why_no_browser_ran_and_does_not_fail(
    program: str, minutes: str, reason: str
) -> None:
    """Where Chromium is not to be had, or time is short, the summary has one line of it."""
    done = _run(".ci/run", "browser", KAVACH_TEST_CHROMIUM=program, KAVACH_CI_MINUTES=minutes)
    assert done.returncode == 0, done.stderr
    summary = done.stdout.partition("=== summary\n")[2].splitlines()
    assert len(summary) == 1
    assert summary[0].startswith("browser: not run: ")
    assert reason in summary[0]


def test_a_browser_without_apt_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """Where there is neither Chromium nor apt nobody tries to install it."""
    done = _run("/bin/bash", ".ci/chromium", PATH=str(tmp_path), KAVACH_TEST_CHROMIUM="chromium")
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "no chromium and no apt" in done.stderr


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.name))
def test_notebook_is_committed_without_outputs(path: Path) -> None:
    """A difference of a notebook is a difference of its cells."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"]] == []
