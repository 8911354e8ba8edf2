"""What a page knows of the widgets of a kernel's session."""

from __future__ import annotations

from typing import Any

from tests.kernel.kernels import Kernel, Run

__all__ = ["Page"]


class Page:
    """What a page knows of widgets: their states, from the messages that it hears."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.states: dict[str, dict[str, Any]] = {}
        self.closed: set[str] = set()

    def run(self, code: str) -> Run:
        """Run a cell and hear it."""
        run = self.kernel.run(code)
        self.hear(run)
        return run

    def hear(self, run: Run) -> None:
        """Take what a run says of widgets."""
        for kind, content in run.outputs:
            if kind == "comm_open":
                self.states[content["comm_id"]] = dict(content["data"]["state"])
            elif kind == "comm_msg" and "state" in content["data"]:
                self.states[content["comm_id"]] |= content["data"]["state"]
            elif kind == "comm_close":
                self.closed.add(content["comm_id"])

    def send(self, comm: str, data: dict[str, Any], kind: str = "comm_msg", **more: Any) -> Run:
        """Send a message to a widget, and hear what comes of it."""
        client = self.kernel.client
        content = {"comm_id": comm, "data": data, **more}
        message = client.session.msg(kind, content, metadata={"version": "1.0.0"})
        client.shell_channel.send(message)
        run = Run()
        while True:
            found, said = self.kernel.next_output(message["header"]["msg_id"])
            if found == "status" and said["execution_state"] == "idle":
                break
            if found != "status":
                run.outputs.append((found, said))
        self.hear(run)
        return run

    def of(self, model: str) -> list[str]:
        """Return the widgets of a model, oldest first."""
        return [name for name, state in self.states.items() if state["_model_name"] == model]
