"""``kavach-jupyter show`` and ``doctor``: what is in force, from where, and what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from kavach_ipy.hub.inspecting import findings
from kavach_ipy.hub.scopes import scope_of
from kavach_ipy.linux.probe import Finding
from tests.unit.hub.conftest import Command

KERNEL = "usr/local/share/jupyter/kernels/python3-kavach/kernel.json"
POLICY = "etc/kavach/policy.toml"


def _found(root: Path) -> dict[str, Finding]:
    return {finding.layer: finding for finding in findings([scope_of("system", str(root))])}


def test_what_is_installed_is_found_sound(root: Path, kavach_jupyter: Command) -> None:
    """After enable, the doctor has nothing to say against it."""
    kavach_jupyter("enable")
    found = _found(root)
    assert found["files --system"].granted
    assert found["its policy file"].granted
    assert str(root / POLICY) in found["its policy file"].cause


def test_where_nothing_is_installed_nothing_is_wrong(root: Path) -> None:
    """A machine without it is no sick one."""
    assert "files --system" not in _found(root)


@pytest.mark.parametrize("fault", ["edited", "absent", "writable"])
def test_kernel_that_is_not_as_written_is_found(
    root: Path, kavach_jupyter: Command, fault: str
) -> None:
    """Edited, removed, or open to others: the file is named."""
    kavach_jupyter("enable")
    kernel = root / KERNEL
    match fault:
        case "edited":
            kernel.write_text("{}", encoding="utf-8")
        case "absent":
            kernel.unlink()
        case _:
            kernel.chmod(0o666)
    finding = _found(root)["files --system"]
    assert not finding.granted
    assert str(kernel) in finding.cause


def test_policy_file_without_sense_is_found_with_line_and_column(
    root: Path, kavach_jupyter: Command
) -> None:
    """Before anybody's cell finds it."""
    kavach_jupyter("enable")
    (root / POLICY).write_text("\nmemory = true\n", encoding="utf-8")
    finding = _found(root)["its policy file"]
    assert not finding.granted
    assert f"{root / POLICY}, line 2, column 10" in finding.cause


def test_show_says_what_each_file_is(root: Path, kavach_jupyter: Command) -> None:
    """As written, or edited since."""
    kavach_jupyter("enable")
    (root / POLICY).write_text("pids = 9\n", encoding="utf-8")
    code, said = kavach_jupyter("show")
    assert code == 0
    assert f"written  {root / KERNEL}" in said
    assert f"edited   {root / POLICY}" in said
    assert "kernels of an ordinary server" in said
    assert "ServerApp.terminals_enabled" in said
