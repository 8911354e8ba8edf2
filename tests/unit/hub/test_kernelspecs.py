"""The kernels that a server may start, against those of jupyter_client's own class."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from kavach_ipy.hub.command import main
from kavach_ipy.hub.kernelspecs import SandboxedKernelSpecManager

ALLOWED = {"python3", "python3-kavach"}


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python environment in which sandboxed kernels are installed, and a user's own kernel."""
    path = tmp_path / "environment"
    path.mkdir(mode=0o755)
    monkeypatch.setattr("sys.prefix", str(path))
    assert main(["enable", "--sys-prefix"]) == 0
    mine = tmp_path / "jupyter"
    for name in ("mine", "python3"):
        kernel = mine / "kernels" / name / "kernel.json"
        kernel.parent.mkdir(parents=True)
        spec = {"argv": ["touch", "x"], "display_name": "mine", "language": "python"}
        kernel.write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(mine))
    return path


def test_list_and_start_know_the_sandboxed_kernels(prefix: Path) -> None:
    """Under both names, and both start the launcher."""
    manager = SandboxedKernelSpecManager()
    assert set(manager.find_kernel_specs()) == ALLOWED
    assert set(manager.get_all_specs()) == ALLOWED
    for name in ALLOWED:
        argv = manager.get_kernel_spec(name).argv
        assert argv == [str(prefix / "lib/kavach/kavach-kernel"), "-f", "{connection_file}"]


@pytest.mark.usefixtures("prefix")
def test_kernel_of_a_user_is_not_started_by_name() -> None:
    """The allow-list of jupyter_client hides it and starts it: that is why there is a class."""
    stock = KernelSpecManager(allowed_kernelspecs=ALLOWED, ensure_native_kernel=False)
    assert "mine" not in stock.find_kernel_specs()
    assert stock.get_kernel_spec("mine").argv == ["touch", "x"]
    ours = SandboxedKernelSpecManager(allowed_kernelspecs={"mine"})
    for name in ("mine", "MINE", "../mine", ""):
        with pytest.raises(NoSuchKernel):
            ours.get_kernel_spec(name)


def test_name_python3_falls_back_to_nothing(prefix: Path) -> None:
    """Without its file there is no such kernel, where jupyter_client has ipykernel's."""
    (prefix / "share/kavach/jupyter/kernels/python3/kernel.json").unlink()
    with pytest.raises(NoSuchKernel):
        SandboxedKernelSpecManager().get_kernel_spec("python3")
    stock = KernelSpecManager(ensure_native_kernel=False, kernel_dirs=[])
    assert "ipykernel_launcher" in stock.get_kernel_spec("python3").argv


@pytest.mark.parametrize("fault", ["file", "directory"])
def test_kernel_that_others_can_write_is_left_out(
    prefix: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever can write it decides what runs."""
    kernel = prefix / "share/jupyter/kernels/python3-kavach/kernel.json"
    (kernel if fault == "file" else kernel.parent).chmod(0o777)
    assert set(SandboxedKernelSpecManager().find_kernel_specs()) == {"python3"}
