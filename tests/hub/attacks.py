"""What a user can put into their home to have cells run outside of the sandbox.

Each leaves a proof where it succeeds: a file in the user's home, written outside of any sandbox.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ATTACKS", "Attack", "proof"]

_HOME = "/home/alice"
_PROFILE = f"{_HOME}/.ipython/profile_default"


def proof(name: str) -> str:
    """Return the file that an attack leaves where it succeeds."""
    return f"{_HOME}/proof-{name}"


def _leave(name: str) -> str:
    return f"open({proof(name)!r}, 'w').close()\n"


_START = """
import os, sys
from jupyter_client.manager import KernelManager
os.environ["JUPYTER_PREFER_ENV_PATH"] = "0"
manager = KernelManager(kernel_name={name!r})
{change}
manager.start_kernel()
"""
_KERNEL = (
    _START.format(
        name="python3",
        change="""
manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
""",
    )
    + """
client = manager.blocking_client()
client.start_channels()
client.wait_for_ready(30)
client.stop_channels()
manager.shutdown_kernel(now=True)
"""
)
"""A kernel as ipykernel comes, to its first answer."""

_TOUCH = _START + "manager.provisioner.process.wait(30)"
"""A kernel that is no kernel, but a program that ends."""


@dataclass(frozen=True, slots=True)
class Attack:
    """Files in a home, and how they succeed where nothing is sandboxed."""

    files: Mapping[str, str]

    control: str
    """A Python program by which it succeeds where nothing is sandboxed."""


def _spec(name: str) -> str:
    return json.dumps(
        {"argv": ["touch", proof(name)], "display_name": "mine", "language": "python"}
    )


ATTACKS: Mapping[str, Attack] = {
    "profile": Attack(
        {
            f"{_PROFILE}/ipython_kernel_config.py": _leave("profile") + "c = get_config()\n"
            "c.InteractiveShellApp.extensions = []\n"
            "c.IPKernelApp.extensions = []\n"
            "c.IPKernelApp.kernel_class = 'ipykernel.ipkernel.IPythonKernel'\n"
            "c.SandboxKernelApp.kernel_class = 'ipykernel.ipkernel.IPythonKernel'\n"
            "c.Kavach.allow_trust = True\n"
        },
        _KERNEL,
    ),
    "exec-lines": Attack(
        {
            f"{_PROFILE}/ipython_config.py": "c = get_config()\n"
            f"c.InteractiveShellApp.exec_lines = [{_leave('exec-lines')!r}]\n"
        },
        _KERNEL,
    ),
    "start-up-file": Attack({f"{_PROFILE}/startup/00-mine.py": _leave("start-up-file")}, _KERNEL),
    "usercustomize": Attack(
        {f"{_HOME}/.local/lib/python3.11/site-packages/usercustomize.py": _leave("usercustomize")},
        "import subprocess; subprocess.run(['/usr/bin/python3', '-c', 'pass'], check=True)",
    ),
    "module-in-home": Attack(
        {
            f"{_HOME}/{name}.py": _leave("module-in-home")
            for name in ("nh3", "jedi", "prctl", "markdown_it", "cloudpickle", "psutil")
        },
        "import os, sys; sys.path.insert(0, os.environ['HOME']); import jedi",
    ),
    "server-settings": Attack(
        {
            f"{_HOME}/.jupyter/jupyter_server_config.py": _leave("server-settings")
            + "c = get_config()\n"
            "c.ServerApp.terminals_enabled = True\n"
            "c.ServerApp.kernel_spec_manager_class ="
            " 'jupyter_client.kernelspec.KernelSpecManager'\n"
        },
        "from jupyter_server.serverapp import ServerApp; it = ServerApp(); it.load_config_file()",
    ),
    "own-kernel": Attack(
        {f"{_HOME}/.local/share/jupyter/kernels/mine/kernel.json": _spec("own-kernel")},
        _TOUCH.format(name="mine", change=""),
    ),
    "kernel-of-the-same-name": Attack(
        {
            f"{_HOME}/.local/share/jupyter/kernels/python3/kernel.json": _spec(
                "kernel-of-the-same-name"
            ),
            f"{_HOME}/.ipython/kernels/python3/kernel.json": _spec("kernel-of-the-same-name"),
        },
        _TOUCH.format(name="python3", change=""),
    ),
}
