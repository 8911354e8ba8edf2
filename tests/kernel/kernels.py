"""A real ipykernel, and what it answers.

Guarantees: it runs in this interpreter, with a profile of its own; every wait has a deadline.
Assumes: ipykernel 6.29 or later, and jupyter_client.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient

__all__ = ["Kernel", "Run", "start_kernel"]

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 30.0


@dataclass
class Run:
    """What one request made the kernel say."""

    reply: dict[str, Any] = field(default_factory=dict)
    outputs: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """(msg_type, content) of every output, in order."""

    @property
    def status(self) -> str:
        """``ok`` or ``error``."""
        return str(self.reply["status"])

    def text(self, name: str) -> str:
        """All text of one stream."""
        return "".join(
            content["text"]
            for kind, content in self.outputs
            if kind == "stream" and content["name"] == name
        )

    @property
    def stdout(self) -> str:
        """All text of standard output."""
        return self.text("stdout")

    @property
    def stderr(self) -> str:
        """All text of standard error."""
        return self.text("stderr")

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Contents of the outputs of one type."""
        return [content for found, content in self.outputs if found == kind]

    @property
    def result(self) -> dict[str, Any]:
        """The one ``execute_result``."""
        (result,) = self.of("execute_result")
        return result

    @property
    def error(self) -> dict[str, Any]:
        """The one ``error``."""
        (error,) = self.of("error")
        return error


class Kernel:
    """A running kernel and its client."""

    def __init__(
        self,
        environment: dict[str, str],
        directory: str = str(ROOT),
        interrupt_mode: str = "signal",
        program: str = "-m ipykernel_launcher",
    ) -> None:
        self.manager = KernelManager(kernel_name="python3")
        # The kernel spec may name another interpreter than the one that runs the tests.
        spec = self.manager.kernel_spec
        assert spec is not None
        spec.argv = [sys.executable, *program.split(), "-f", "{connection_file}"]
        spec.interrupt_mode = interrupt_mode
        # That TCP is not encrypted, each kernel would say.
        spec.argv.append("--log-level=ERROR")
        self.manager.start_kernel(env=environment, cwd=directory)
        self.client: BlockingKernelClient = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=DEADLINE)
        self.is_silent = False

    @property
    def pid(self) -> int:
        """The kernel's process."""
        provisioner: Any = self.manager.provisioner
        return int(provisioner.pid)

    def close(self) -> None:
        """End the kernel and reap it."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def start(self, code: str, **options: Any) -> str:
        """Send a request and return its id; `finish` collects what it does."""
        return str(self.client.execute(code, **options))

    def next_output(self, request: str) -> tuple[str, dict[str, Any]]:
        """Wait for the next message on iopub that belongs to ``request``."""
        assert not self.is_silent, "the kernel stopped answering in an earlier test"
        limit = time.monotonic() + DEADLINE
        while time.monotonic() < limit:
            try:
                message = self.client.get_iopub_msg(timeout=limit - time.monotonic())
            except Empty:
                break
            if message["parent_header"].get("msg_id") == request:
                return str(message["msg_type"]), message["content"]
        self.is_silent = True
        raise AssertionError(f"the kernel said nothing for {DEADLINE} s")

    def finish(self, request: str, run: Run | None = None) -> Run:
        """Collect what a request does until it is idle, and its reply."""
        run = run or Run()
        while True:
            kind, content = self.next_output(request)
            if kind == "status" and content["execution_state"] == "idle":
                break
            if kind not in ("status", "execute_input"):
                run.outputs.append((kind, content))
        run.reply = self.reply_to(request)
        return run

    def reply_to(self, request: str) -> dict[str, Any]:
        """Wait for the reply to a request."""
        while True:
            reply = self.client.get_shell_msg(timeout=DEADLINE)
            if reply["parent_header"].get("msg_id") == request:
                return dict(reply["content"])

    def run(self, code: str, **options: Any) -> Run:
        """Run one cell as a notebook does."""
        return self.finish(self.start(code, **options))

    def value(self, expression: str) -> str:
        """Return the repr of an expression of the notebook; also proof that the kernel lives."""
        run = self.run("", user_expressions={"asked": expression})
        answer = run.reply["user_expressions"]["asked"]
        assert answer["status"] == "ok", answer
        return str(answer["data"]["text/plain"])

    def wait_for(self, request: str, word: str, run: Run) -> None:
        """Wait until a running cell has printed ``word``; ``run`` collects what comes meanwhile."""
        while word not in run.stdout:
            kind, content = self.next_output(request)
            assert (kind, content.get("execution_state")) != ("status", "idle"), run.outputs
            if kind not in ("status", "execute_input"):
                run.outputs.append((kind, content))

    def is_asked(self) -> tuple[str, bool]:
        """Wait until the kernel asks its user; the prompt, and whether for a password."""
        asked = self.client.get_stdin_msg(timeout=DEADLINE)["content"]
        return asked["prompt"], asked["password"]

    def wait_on_control(self, seconds: float) -> bool:
        """Let time go by, and tell whether the kernel lived meanwhile: nothing may come of it."""
        try:
            self.client.get_control_msg(timeout=seconds)
        except Empty:
            return self.client.is_alive()
        raise AssertionError("an answer that nobody asked for")

    def on_control(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Ask on the control channel, which is heard while a cell runs; the reply's content."""
        message = self.client.session.msg(kind, content)
        self.client.control_channel.send(message)
        while True:
            reply = self.client.get_control_msg(timeout=DEADLINE)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return dict(reply["content"])

    def complete(self, code: str) -> list[str]:
        """Return what Tab offers at the end of ``code``."""
        request = self.client.complete(code, len(code))
        while True:
            reply = self.client.get_shell_msg(timeout=DEADLINE)
            if reply["parent_header"].get("msg_id") == request:
                return list(reply["content"]["matches"])


def start_kernel(
    profile: Path,
    directory: str = str(ROOT),
    *,
    interrupt_mode: str = "signal",
    program: str = "-m ipykernel_launcher",
    **changes: str,
) -> Kernel:
    """Start a kernel with a profile of its own and none of this process's test settings.

    Args:
        profile: for IPython's files.
        directory: where it starts.
        interrupt_mode: what its kernel spec says, ``signal`` or ``message``.
        program: what the interpreter is started with, its words parted by blanks.
        changes: variables of its environment.
    """
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"
    }
    # ipykernel leaves file descriptors 1 and 2 alone while that variable is set.
    environment["IPYTHONDIR"] = str(profile)
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(ROOT), environment.get("PYTHONPATH", "")))
    )
    return Kernel(environment | changes, directory, interrupt_mode, program)
