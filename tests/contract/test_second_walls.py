"""Walls behind other walls: looked at alone, because the one in front hides whether they stand."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from pathlib import Path

import pytest

from kavach_ipy.linux import verify
from tests.contract.cells import NEEDS, children, program, python, value
from tests.escape.probes import found, looked_at, number

pytestmark = [pytest.mark.contract, NEEDS]

# landlock_restrict_self(2): a thread has at most 16 rulesets, then E2BIG.
DOMAINS = """
import ctypes, errno, os, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)
added = 0
while added < 20:
    ruleset = libc.syscall(444, struct.pack("Q", 1), 8, 0)
    if libc.syscall(446, ruleset, 0) != 0:
        break
    added += 1
"""


def test_cell_has_one_landlock_domain_already() -> None:
    """The kernel counts rulesets: a cell can add one fewer than a process without any."""
    assert value(f"{DOMAINS}\nadded, errno.errorcode[ctypes.get_errno()]") == (15, "E2BIG")
    done = python(f"{DOMAINS}\nprint(added, errno.errorcode[ctypes.get_errno()])")
    assert done.stdout == "16 E2BIG\n", done.stderr


KEYRING = f"""
import ctypes, os, time
from tests.escape.probes import looked_at
libc = ctypes.CDLL(None, use_errno=True)
# keyctl(2): KEYCTL_JOIN_SESSION_KEYRING.
assert libc.syscall({number("keyctl")}, 1, b"kavach-session") > 0
def uses():
    "How many credentials hold it: proc(5) /proc/keys, third column."
    rows = [row.split() for row in open("/proc/keys") if "kavach-session" in row]
    return int(rows[0][2])
before = uses()
def look(cell):
    # The kernel frees credentials that were replaced after a while (RCU).
    until = time.monotonic() + 10
    while uses() != before and time.monotonic() < until:
        os.sched_yield()
    print("cell", uses() - before)
looked_at("answers = 1", look)
reader, writer = os.pipe()
if os.fork() == 0:
    os.close(writer)
    os.read(reader, 1)
    os._exit(0)
print("fork", uses() - before)
os.close(writer)
os.wait()
"""


def test_session_keyring_of_the_notebook_is_not_held() -> None:
    """No credential of a running cell or its init counts as a user of it; a plain fork's does.

    The filter refuses keyctl(2), and /proc/keys is covered, so the cell itself cannot tell.
    """
    done = python(KEYRING)
    assert done.stdout == "cell 0\nfork 1\n", done.stderr


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare(1)")
def test_what_the_host_mounts_later_does_not_appear(tmp_path: Path) -> None:
    """A mount below a shown directory, made while the cell runs, stays outside of its namespace.

    mount_namespaces(7): without MS_PRIVATE the cell's copies would go on receiving mounts, and
    nobody verifies those.
    """
    for name in ("early", "late"):
        (tmp_path / name).mkdir()
    code = """
    import subprocess, sys
    from tests.escape.probes import looked_at
    folder = sys.argv[1]
    def mount(name):
        subprocess.run(["mount", "-t", "tmpfs", name, f"{folder}/{name}"], check=True)
    mount("early")
    def look(cell):
        mount("late")
        for pid in ("self", cell):
            rows = open(f"/proc/{pid}/mountinfo").read()
            print([name for name in ("early", "late") if f" - tmpfs {name} " in rows])
    looked_at("answers = 1", look, read_only=[folder])
    """
    flags = ["-m"] if os.geteuid() == 0 else ["-U", "-r", "-m"]
    done = program(
        "unshare", *flags, "--propagation", "shared",
        sys.executable, "-c", textwrap.dedent(code), str(tmp_path),
    )  # fmt: skip
    assert done.stdout == "['early', 'late']\n['early']\n", done.stderr


def test_init_has_three_descriptors() -> None:
    """What the notebook left open across exec(2) is not left to a process that nobody filters."""
    kept = os.open("/dev/zero", os.O_RDONLY)
    os.set_inheritable(kept, True)
    seen: list[dict[int, str]] = []
    try:
        looked_at("answers = 1", lambda _: seen.append(verify.read_descriptors(_init())))
    finally:
        os.close(kept)
    (found,) = seen
    assert sorted(found) == [0, 1, 2]
    assert found[0].startswith("pipe:")
    assert (found[1], found[2]) == ("/dev/null", "/dev/null")


def test_mounts_of_a_cell_give_no_rights() -> None:
    """Every one is nosuid, and none but those of devices shows a device: mount(8).

    no_new_privs and the user namespace say the same, so no cell can tell.
    """
    seen: list[tuple[str, set[str]]] = []

    def look(cell: int) -> None:
        text = Path(f"/proc/{cell}/mountinfo").read_text(encoding="utf-8")
        rows = [line.split() for line in text.splitlines()]
        seen.extend((row[4], set(row[5].split(","))) for row in rows)

    looked_at("answers = 1", look)
    assert len(seen) > 10
    assert [point for point, flags in seen if "nosuid" not in flags] == []
    devices = [point for point, flags in seen if "nodev" not in flags]
    # What is covered by /dev/null shows that device.
    assert [point for point in devices if not point.startswith(("/dev/", "/proc/"))] == []


def test_init_of_the_cell_shows_nothing() -> None:
    """It is the cell's own id, and not filtered; its entry in the cell's /proc is empty."""
    seen: list[list[str]] = []

    def look(cell: int) -> None:
        seen.extend(os.listdir(f"/proc/{cell}/root/proc/{number}") for number in (1, 2))

    looked_at("answers = 1", look)
    init, cell = seen
    assert init == []
    assert "status" in cell


def _init() -> int:
    """The init of the one cell: process 1 of its namespace."""
    (init,) = (
        pid
        for pid in children(os.getpid())
        if Path(f"/proc/{pid}/cmdline").read_bytes() == b"kavach-init\0"
    )
    return init


def test_cell_goes_first_when_memory_runs_out() -> None:
    """The kernel's own score of it is the highest there is: proc(5) oom_score_adj."""
    seen: list[int] = []

    def look(cell: int) -> None:
        scores = (Path(f"/proc/{pid}/oom_score_adj") for pid in (cell, os.getpid()))
        seen.extend(int(score.read_text(encoding="ascii")) for score in scores)

    looked_at("answers = 1", look)
    assert seen[0] == 1000
    assert seen[1] < 1000


PROOF = """
import os, prctl, socket
from contextlib import suppress
from kavach_ipy.launch.child import ChildEnds, become_the_cell
from kavach_ipy.launch.host import survey
from kavach_ipy.launch.plan import make_plan
from kavach_ipy.policy import Policy
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
ends = ChildEnds(theirs, arena=1, stdout=1, stderr=2, lifeline=0, handled_signals=(), channel=1)
plan = make_plan(Policy(), survey(Policy()))
reader, writer = os.pipe()
os.close(writer)
with suppress(OSError):
    # Yama lets a child look into its parent only where that one asks for it.
    prctl.set_ptracer(-1)
if os.fork() == 0:
    # Without a root to take, it ends at that step at the latest.
    become_the_cell(plan, ends, None, frozenset(), (), (), reader)
theirs.close()
print(ours.recv(1 << 16).decode())
os.wait()
"""


def test_cell_that_reaches_the_kernels_memory_does_not_run() -> None:
    """A cell in no namespace of its own, which no parent verifies, finds out by itself.

    Inside one this step cannot fail: ptrace(2) asks for the target's own user namespace.
    """
    done = python(PROOF)
    report = json.loads(done.stdout)
    assert (report["word"], report["step"]) == ("failed", "identity"), done.stderr


def test_inotify_instances_of_a_cell_are_few() -> None:
    """inotify(7) counts them for the whole user; the cell has a count of its own."""
    code = f"""
    made = 0
    while made < 200 and call({number("inotify_init1")}, 0) == "done":
        made += 1
    made
    """
    assert found(code, files=512) == 32


def test_inotify_watches_of_a_cell_are_few() -> None:
    """Each watch is on an inode of its own."""
    code = f"""
    import os
    call({number("inotify_init1")}, 0)
    inotify = max(int(name) for name in os.listdir("/proc/self/fd")
                  if os.path.lexists(f"/proc/self/fd/{{name}}")
                  and os.readlink(f"/proc/self/fd/{{name}}") == "anon_inode:inotify")
    os.mkdir("/tmp/watched")
    made = 0
    for n in range(8400):
        path = f"/tmp/watched/{{n}}".encode()
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        answer = call({number("inotify_add_watch")}, inotify, path + b"\\0", 2)
        if answer != "done":
            break
        made += 1
    made, answer
    """
    assert found(code) == (8192, "ENOSPC")
