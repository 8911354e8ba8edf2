"""``kavach-jupyter enable`` and ``disable``: exactly its own files, and nobody else's."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from kavach_ipy.hub.command import main
from kavach_ipy.hub.manifest import digest_of
from kavach_ipy.hub.scopes import SCOPES, scope_of
from kavach_ipy.hub.templates import FOLDER, rendered
from kavach_ipy.policy import Policy
from kavach_ipy.policy.file import read_policy_file
from kavach_ipy.policy.file_keys import KEYS
from tests.unit.hub.conftest import Command

KERNEL = "usr/local/share/jupyter/kernels/python3-kavach/kernel.json"
POLICY = "etc/kavach/policy.toml"
MANIFEST = "etc/kavach/installed.json"


def _tree(root: Path) -> dict[str, bytes]:
    """Everything below ``root``: files with what is in them, directories with nothing."""
    return {
        path.relative_to(root).as_posix(): b"" if path.is_dir() else path.read_bytes()
        for path in sorted(root.rglob("*"))
    }


def test_every_file_that_is_written_is_printed(root: Path, kavach_jupyter: Command) -> None:
    """And nothing else is there afterwards."""
    code, said = kavach_jupyter("enable")
    assert code == 0
    printed = {
        line.split()[1] for line in said.splitlines() if line.split()[0] in ("wrote", "made")
    }
    assert printed == {str(root / path) for path in _tree(root)}
    assert (root / KERNEL).is_file()
    assert (root / POLICY).is_file()


def test_twice_is_once(root: Path, kavach_jupyter: Command) -> None:
    """A second run says that nothing changed, and changes nothing."""
    kavach_jupyter("enable")
    before = _tree(root)
    code, said = kavach_jupyter("enable")
    assert code == 0
    assert {line.split()[0] for line in said.splitlines()} == {"unchanged"}
    assert _tree(root) == before


def test_disable_undoes_exactly(root: Path, kavach_jupyter: Command) -> None:
    """What was there before is there afterwards, and nothing else."""
    (root / "etc/jupyter").mkdir(parents=True, mode=0o755)
    (root / "etc/jupyter/jupyter_config.json").write_text("{}", encoding="utf-8")
    before = _tree(root)
    kavach_jupyter("enable")
    code, said = kavach_jupyter("disable")
    assert code == 0
    assert str(root / KERNEL) in said
    assert _tree(root) == before
    assert kavach_jupyter("disable") == (0, "nothing was enabled with --system: nothing to undo\n")


def test_everybody_reads_and_nobody_else_writes(root: Path, kavach_jupyter: Command) -> None:
    """Whatever the umask was."""
    kavach_jupyter("enable")
    for path in root.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        is_program = path.is_dir() or path.name == "kavach-kernel"
        assert mode == (0o755 if is_program else 0o644), path


def test_file_of_somebody_else_is_not_overwritten(root: Path, kavach_jupyter: Command) -> None:
    """It is named, and nothing at all is written."""
    path = root / "etc/jupyter/jupyter_server_config.json"
    path.parent.mkdir(parents=True, mode=0o755)
    path.write_text('{"mine": 1}', encoding="utf-8")
    before = _tree(root)
    code, said = kavach_jupyter("enable")
    assert code == 1
    assert said.startswith(f"kavach-jupyter: {path}: it is there already, and kavach-jupyter did")
    assert _tree(root) == before


def test_file_of_somebody_else_is_not_removed(root: Path, kavach_jupyter: Command) -> None:
    """Nor one that stands beside ours, with the directory that holds it."""
    kavach_jupyter("enable")
    theirs = root / KERNEL.replace("kernel.json", "logo.svg")
    theirs.write_text("<svg/>", encoding="utf-8")
    assert kavach_jupyter("disable")[0] == 0
    assert theirs.read_text(encoding="utf-8") == "<svg/>"
    assert not (root / KERNEL).exists()


@pytest.mark.parametrize("path", [KERNEL, POLICY])
def test_edited_file_is_not_removed(root: Path, kavach_jupyter: Command, path: str) -> None:
    """It is somebody's work; the exit code says that not all was undone."""
    kavach_jupyter("enable")
    (root / path).write_text("edited", encoding="utf-8")
    code, said = kavach_jupyter("disable")
    assert code == 1
    assert f"kept      {root / path}: it was edited" in said
    assert (root / path).read_text(encoding="utf-8") == "edited"
    assert [name for name, content in _tree(root).items() if content] == sorted([MANIFEST, path])
    # Taken away by hand, the rest goes.
    (root / path).unlink()
    assert kavach_jupyter("disable")[0] == 0
    assert _tree(root) == {}


def test_edited_file_is_not_overwritten(root: Path, kavach_jupyter: Command) -> None:
    """A kernel that somebody changed is a conflict; nothing is written."""
    kavach_jupyter("enable")
    (root / KERNEL).write_text("edited", encoding="utf-8")
    (root / POLICY).unlink()
    code, said = kavach_jupyter("enable")
    assert code == 1
    assert f"{root / KERNEL}: it was edited since kavach-jupyter wrote it" in said
    assert (root / KERNEL).read_text(encoding="utf-8") == "edited"
    assert not (root / POLICY).exists()


def test_policy_that_was_edited_stays_as_it_is(root: Path, kavach_jupyter: Command) -> None:
    """It is there to be edited, so a second run keeps it and is no failure."""
    kavach_jupyter("enable")
    (root / POLICY).write_text("pids = 9\n", encoding="utf-8")
    code, said = kavach_jupyter("enable")
    assert code == 0
    assert f"kept      {root / POLICY}" in said
    assert (root / POLICY).read_text(encoding="utf-8") == "pids = 9\n"


def test_file_that_is_ours_and_older_is_replaced(root: Path, kavach_jupyter: Command) -> None:
    """An upgrade writes its own files anew: the manifest knows what was written."""
    kavach_jupyter("enable")
    manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    kernel = root / KERNEL
    before = kernel.read_bytes()
    kernel.write_text("older", encoding="utf-8")
    manifest["files"][str(kernel)] = digest_of(b"older")
    (root / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    code, said = kavach_jupyter("enable")
    assert code == 0
    assert f"wrote     {kernel}" in said
    assert kernel.read_bytes() == before


@pytest.mark.parametrize("place", ["etc/kavach", "usr/local/share/jupyter"])
def test_directory_that_others_can_write_is_refused(
    root: Path, kavach_jupyter: Command, place: str
) -> None:
    """Whoever can write there decides what runs; nothing is written."""
    (root / place).mkdir(parents=True)
    for path in (root / place, *(root / place).parents):
        if path.is_relative_to(root):
            path.chmod(0o755)
    (root / place).chmod(0o777)
    before = _tree(root)
    code, said = kavach_jupyter("enable")
    assert code == 1
    assert f"{root / place}: its mode is 0777" in said
    assert _tree(root) == before


def test_symbolic_link_in_the_way_is_refused(
    root: Path, tmp_path: Path, kavach_jupyter: Command
) -> None:
    """Root writes where it was told, and not where somebody's link leads."""
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    (root / "etc/kavach").mkdir(parents=True, mode=0o755)
    (root / "etc").chmod(0o755)
    (root / POLICY).symlink_to(victim)
    code, said = kavach_jupyter("enable")
    assert code == 1
    assert "symbolic link" in said
    assert victim.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"files": {"/etc/passwd": "0" * 64}}, "which is not installed in this scope"),
        ({"directories": ["/home"]}, "in which nothing is installed"),
        ({"version": 2}, "no manifest of this version"),
        ({"files": ["/etc/passwd"]}, "no manifest of this version"),
        ({"directories": None}, "no manifest of this version"),
    ],
)
def test_manifest_that_names_something_else_is_refused(
    root: Path, kavach_jupyter: Command, change: dict[str, object], words: str
) -> None:
    """It tells root what to remove."""
    kavach_jupyter("enable")
    manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    (root / MANIFEST).write_text(json.dumps(manifest | change), encoding="utf-8")
    before = _tree(root)
    code, said = kavach_jupyter("disable")
    assert code == 1
    assert words in said
    assert _tree(root) == before


def test_manifest_that_others_can_write_is_refused(root: Path, kavach_jupyter: Command) -> None:
    """Nothing is removed at the word of somebody else."""
    kavach_jupyter("enable")
    (root / MANIFEST).chmod(0o666)
    before = _tree(root)
    code, said = kavach_jupyter("disable")
    assert (code, "its mode is 0666" in said) == (1, True)
    assert _tree(root) == before


def test_templates_have_no_name_left_over() -> None:
    """What is installed is JSON, Python, TOML and a shell script, in every scope."""
    for name in SCOPES:
        scope = scope_of(name)
        for target in scope.targets:
            content = rendered(scope, target)
            assert re.findall(rb"@[A-Z_]+@", content) == [], target
            match target.template.rpartition(".")[2]:
                case "json":
                    json.loads(content)
                case "py":
                    compile(content, target.path, "exec")
                case "toml":
                    file = read_policy_file(content, target.path)
                    assert all(bound.allows(Policy()) for bound in file.bounds)
                case _:
                    subprocess.run(["sh", "-n"], input=content, check=True)
    installed = {target.template for name in SCOPES for target in scope_of(name).targets}
    assert installed == {
        path.relative_to(FOLDER).as_posix()
        for path in FOLDER.rglob("*")
        if path.is_file() and path.name != "README.md"
    }


def test_every_line_of_the_policy_example_is_valid() -> None:
    """Also those that are commented out: they are what somebody will switch on."""
    text = (FOLDER / "policy.toml").read_text(encoding="utf-8")
    lines = [line.removeprefix("# ") for line in text.splitlines() if " = " in line]
    told = [line for line in lines if line[0].islower() and line.split(" = ")[0].isidentifier()]
    file = read_policy_file("\n".join(told).encode(), "example")
    assert {line.split(" = ")[0] for line in told} == {key.name for key in KEYS}
    assert file.bounds


def test_names_are_quoted_for_the_file_that_they_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment in a directory with an odd name is neither code nor broken JSON."""
    odd = tmp_path / "a \"b\" 'c' $(touch x)"
    odd.mkdir()
    monkeypatch.setattr("sys.prefix", str(odd))
    monkeypatch.setattr("sys.executable", str(odd / "python"))
    scope = scope_of("sys-prefix")
    for target in scope.targets:
        content = rendered(scope, target).decode()
        if target.is_program:
            words = shlex.split(content.splitlines()[-1])
            assert words[1] == str(odd / "python")
            assert f"--config-dir={odd}/etc/kavach" in words
        elif target.template.endswith("kernel.json"):
            assert json.loads(content)["argv"][0] == scope.launcher
        elif target.template.endswith(".py"):
            compile(content, "config", "exec")


def test_oneself_needs_no_server_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--user`` writes the kernel and its launcher, below Jupyter's own directory."""
    data = tmp_path / "jupyter"
    data.mkdir(mode=0o755)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(data))
    assert main(["enable", "--user"]) == 0
    files = {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()}
    assert files == {
        "kavach/installed.json",
        "kavach/kavach-kernel",
        "kernels/python3-kavach/kernel.json",
    }
    assert main(["disable", "--user"]) == 0
    assert list(data.iterdir()) == []
    capsys.readouterr()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["enable"],
        ["disable"],
        ["enable", "--system", "--user"],
        ["enable", "--system", "--root", "/no/such/place"],
        ["enable", "--system", "--force"],
        ["remove", "--user"],
    ],
)
def test_misuse_is_told_and_does_nothing(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and the usage; there is no --force."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: kavach-jupyter" in capsys.readouterr().err


def test_root_goes_with_system_only(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a user or an environment has is where it is."""
    assert main(["enable", "--user", "--root", str(root)]) == 2
    assert "--system only" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write there")
def test_without_rights_a_line_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """An ordinary user who asks for the whole machine is told what to do."""
    assert main(["enable", "--system"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("kavach-jupyter: ")
    assert said.count("\n") == 1


def test_logs_of_the_audit_are_checked_by_the_same_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log that is not there cannot be looked at, and that is said."""
    assert main(["audit", "verify", str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl" in capsys.readouterr().err


def test_help_of_every_command_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    """``--help`` names the three scopes, in words."""
    for command in ("enable", "disable", "show", "doctor"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        said = capsys.readouterr().out
        assert "for every user of this machine" in " ".join(said.split())
