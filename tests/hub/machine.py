"""A machine of its own for a hub: a mount and a process namespace, with users that only it knows.

What is written below /etc, /usr/local and /home goes to a tmpfs on top of them, so that
``kavach-jupyter enable --system`` and useradd(8) do what they do for an administrator, and the
machine that runs the tests is as it was.

Guarantees: with the `Machine` ends every process in it, and all that was written.
Assumes: root, and the programs of util-linux and passwd.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["USERS", "Machine", "make_machine"]

USERS = {"alice": 30001, "bob": 30002}
"""Ids that nobody outside of the machine has."""

DEADLINE = 60.0

_SETUP = """
set -e
umask 022
mount -t tmpfs -o mode=755 tmpfs "$1"
for place in etc usr/local home; do
    mkdir -p "$1/$place/upper" "$1/$place/work"
    mount -t overlay -o "lowerdir=/$place,upperdir=$1/$place/upper,workdir=$1/$place/work" \
        overlay "/$place"
done
shift
for user in "$@"; do
    useradd --uid "${user#*:}" --user-group --create-home --shell /bin/bash "${user%:*}"
    chmod 700 "/home/${user%:*}"
done
echo ready
exec cat
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A running machine."""

    pid: int
    """Its init, as this process sees it."""

    def command(self, arguments: Sequence[str], user: str = "root") -> list[str]:
        """Return a command of the machine as one of this process."""
        inside = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--wdns=/"]
        if user == "root":
            return [*inside, *arguments]
        home = f"/home/{user}"
        identity = ["runuser", "-u", user, "--", "env", f"HOME={home}", "PATH=/usr/bin:/bin"]
        return [*inside, *identity, *arguments]

    def run(self, *arguments: str, user: str = "root", text: str = "") -> str:
        """Run a command in the machine, and return what it printed."""
        done = subprocess.run(
            self.command(arguments, user),
            input=text,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def write(self, path: str, content: str, user: str = "root") -> None:
        """Write a file as a user of the machine, with the directories above it."""
        self.run("mkdir", "-p", os.path.dirname(path), user=user)
        self.run("sh", "-c", 'cat >"$1"', "sh", path, user=user, text=content)

    def path(self, path: str) -> Path:
        """Return where a file of the machine is for this process: the oracle of what happened."""
        return Path(f"/proc/{self.pid}/root{path}")


@contextmanager
def make_machine(directory: Path) -> Iterator[Machine]:
    """Make a machine, and take it away again.

    Args:
        directory: an empty directory, to mount on.
    """
    users = [f"{name}:{uid}" for name, uid in USERS.items()]
    started = subprocess.Popen(
        [
            *("unshare", "--mount", "--propagation", "private", "--pid", "--fork"),
            *("--kill-child", "--mount-proc"),
            *("sh", "-c", _SETUP, "sh", str(directory), *users),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdin is not None
    assert started.stdout is not None
    with started, started.stdin, started.stdout as said:
        try:
            assert said.readline() == "ready\n"
            children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
            yield Machine(int(children.read_text(encoding="ascii").split()[0]))
        finally:
            # With its init, every process of the namespace ends: pid_namespaces(7).
            started.kill()
