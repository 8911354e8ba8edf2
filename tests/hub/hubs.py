"""A JupyterHub in a `Machine`, set up as docs/how-to/jupyterhub.md says, and its users.

Guarantees: it listens on 127.0.0.1 only; every wait has a deadline.
Assumes: an environment with the extra ``hub`` and the proxy from npm, as ``make hub`` makes it,
with a Python that every user may run.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from websocket import WebSocket, create_connection

from tests.hub.machine import Machine
from tests.kernel import kernels

__all__ = ["Hub", "Notebook", "Run", "User", "start_hub"]

DEADLINE = 60.0
BIN = Path(sys.prefix) / "bin"
PROXY = Path(sys.prefix) / "proxy/node_modules/.bin/configurable-http-proxy"

_CONFIG = """
load_subconfig("/etc/kavach/jupyterhub_config.py")
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.JupyterHub.db_url = "sqlite:///:memory:"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allowed_users = {{"alice", "bob"}}
c.Spawner.cmd = [{singleuser!r}]
c.Spawner.http_timeout = 60
c.JupyterHub.services = [{{"name": "tests", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [
    {{
        "name": "tests",
        "services": ["tests"],
        "scopes": ["admin:users", "admin:servers", "tokens", "access:servers"],
    }}
]
"""


class Run(kernels.Run):
    """What one cell made the server send."""

    @property
    def told(self) -> str:
        """Everything that a reader of the notebook sees, as one text."""
        return json.dumps([self.reply, self.outputs])


class Notebook:
    """A kernel behind a single-user server, spoken to as a front end does."""

    def __init__(self, user: User, kernel: str) -> None:
        self.user = user
        self.kernel = kernel
        self._session = uuid.uuid4().hex
        url = f"{user.url}/api/kernels/{kernel}/channels?session_id={self._session}"
        self._socket: WebSocket = create_connection(
            url.replace("http://", "ws://"),
            header=[f"Authorization: token {user.token}"],
            timeout=DEADLINE,
        )

    def close(self) -> None:
        """End the kernel."""
        self._socket.close()
        self.user.ask("DELETE", f"/api/kernels/{self.kernel}")

    def run(self, code: str) -> Run:
        """Run one cell to its end."""
        asked = uuid.uuid4().hex
        message = {
            "channel": "shell",
            "header": {
                "msg_id": asked,
                "msg_type": "execute_request",
                "username": self.user.name,
                "session": self._session,
                "version": "5.3",
                "date": "2026-01-01T00:00:00Z",
            },
            "parent_header": {},
            "metadata": {},
            "content": {
                "code": code,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": False,
            },
            "buffers": [],
        }
        self._socket.send(json.dumps(message))
        return self._collect(asked)

    def _collect(self, asked: str) -> Run:
        run, is_idle = Run(), False
        until = time.monotonic() + DEADLINE
        while not (is_idle and run.reply):
            assert time.monotonic() < until, f"the cell did not end: {run}"
            message = json.loads(self._socket.recv())
            if message["parent_header"].get("msg_id") != asked:
                continue
            content = message["content"]
            match message["header"]["msg_type"]:
                case "execute_reply":
                    run.reply = content
                case "status":
                    is_idle |= content["execution_state"] == "idle"
                case "execute_input":
                    pass
                case kind:
                    run.outputs.append((kind, content))
        return run


@dataclass
class User:
    """One user of the hub, whose server runs."""

    name: str
    url: str
    """Of the single-user server."""

    token: str

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request to the user's own server."""
        return requests.request(
            method,
            f"{self.url}{path}",
            headers={"Authorization": f"token {self.token}"},
            timeout=DEADLINE,
            allow_redirects=False,
            **options,
        )

    @contextmanager
    def notebook(self, kernel: str = "python3") -> Iterator[Notebook]:
        """Start a kernel by its name, as a front end that opens a notebook does."""
        answer = self.ask("POST", "/api/kernels", json={"name": kernel})
        assert answer.status_code == 201, answer.text
        notebook = Notebook(self, answer.json()["id"])
        try:
            yield notebook
        finally:
            notebook.close()


@dataclass
class Hub:
    """A running hub."""

    url: str
    token: str
    password: str
    machine: Machine
    log: Path

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request to the hub's API."""
        return requests.request(
            method,
            f"{self.url}/hub/api{path}",
            headers={"Authorization": f"token {self.token}"},
            timeout=DEADLINE,
            **options,
        )

    def log_in(self, name: str) -> requests.Session:
        """Log a user in by the form, as a browser does."""
        session = requests.Session()
        session.get(f"{self.url}/hub/login", timeout=DEADLINE)
        answer = session.post(
            f"{self.url}/hub/login",
            data={
                "username": name,
                "password": self.password,
                "_xsrf": session.cookies.get("_xsrf", path="/hub/") or "",
            },
            timeout=DEADLINE,
            allow_redirects=False,
        )
        assert answer.status_code == 302, answer.text
        return session

    def start(self, name: str) -> User:
        """Log in, start the user's server, and wait until it answers."""
        self.log_in(name)
        answer = self.ask("POST", f"/users/{name}/tokens", json={"expires_in": 3600})
        assert answer.status_code == 201, answer.text
        user = User(name, f"{self.url}/user/{name}", answer.json()["token"])
        answer = self.ask("POST", f"/users/{name}/server")
        assert answer.status_code in (201, 202), answer.text
        until = time.monotonic() + DEADLINE
        while not self.ask("GET", f"/users/{name}").json()["servers"].get("", {}).get("ready"):
            assert time.monotonic() < until, self.log.read_text(encoding="utf-8")[-4000:]
            # The progress of a server is a stream of events that ends when it is ready.
            self.ask("GET", f"/users/{name}/server/progress")
        return user

    def stop(self, name: str) -> None:
        """End a user's server, so that the next one reads everything again."""
        self.ask("DELETE", f"/users/{name}/server")
        until = time.monotonic() + DEADLINE
        while self.ask("GET", f"/users/{name}").json()["servers"]:
            assert time.monotonic() < until, "the server does not end"


@contextmanager
def start_hub(machine: Machine, log: Path) -> Iterator[Hub]:
    """Install by the command, start a hub with what it wrote, and end it.

    Args:
        machine: where.
        log: what the hub and its servers say.
    """
    machine.run(str(BIN / "kavach-jupyter"), "enable", "--system")
    port, hub_port, proxy_port = _free_ports(3)
    token, password = secrets.token_hex(16), secrets.token_hex(16)
    config = _CONFIG.format(
        port=port,
        hub_port=hub_port,
        proxy_port=proxy_port,
        proxy=str(PROXY),
        password=password,
        singleuser=str(BIN / "jupyterhub-singleuser"),
        token=token,
    )
    machine.write("/etc/jupyterhub/jupyterhub_config.py", config)
    machine.run("mkdir", "-p", "/etc/jupyterhub/state")
    environment = {
        "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/root",
        "CONFIGPROXY_AUTH_TOKEN": secrets.token_hex(16),
    }
    command = [
        *("env", "-i", *(f"{name}={value}" for name, value in environment.items())),
        *("sh", "-c", 'cd /etc/jupyterhub/state && exec "$@"', "sh"),
        *(str(BIN / "jupyterhub"), "--config", "/etc/jupyterhub/jupyterhub_config.py"),
    ]
    with (
        log.open("wb") as file,
        subprocess.Popen(
            machine.command(command), stdin=subprocess.DEVNULL, stdout=file, stderr=file
        ) as running,
    ):
        hub = Hub(f"http://127.0.0.1:{port}", token, password, machine, log)
        try:
            _wait_for(hub, running)
            yield hub
        finally:
            running.kill()


def _wait_for(hub: Hub, running: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + DEADLINE
    while True:
        try:
            if hub.ask("GET", "/").ok:
                return
        except requests.ConnectionError:
            pass
        said = hub.log.read_text(encoding="utf-8", errors="replace")[-4000:]
        assert running.poll() is None, said
        assert time.monotonic() < until, said
        os.sched_yield()


def _free_ports(number: int) -> list[int]:
    with_ports = [socket.socket() for _ in range(number)]
    try:
        for each in with_ports:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in with_ports]
    finally:
        for each in with_ports:
            each.close()
