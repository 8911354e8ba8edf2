"""What the parent verifies before the cell runs (`launch/report.py`, `launch/bounds.py`)."""

from __future__ import annotations

from tests.mutation.guard import Guard

__all__ = ["GUARDS"]

_REPORT = "launch/report.py"
_TESTS = "tests/unit/launch/test_strength.py tests/unit/launch/test_verification.py"


def _verification(name: str, promise: str, old: str, new: str, file: str = _REPORT) -> Guard:
    return Guard(f"verify {name}", promise, file, old, new, _TESTS)


GUARDS = (
    _verification(
        "identity",
        "a cell with another id than promised does not run",
        "    if set(status.uids) != {wanted.uid} or set(status.gids) != {wanted.gid}:\n",
        "    if False:\n",
    ),
    _verification(
        "capabilities",
        "a cell that holds a capability does not run",
        "    if any(status.capabilities) or not status.no_new_privs:\n",
        "    if not status.no_new_privs:\n",
    ),
    _verification(
        "no_new_privs",
        "a cell that exec could give a capability does not run",
        "    if any(status.capabilities) or not status.no_new_privs:\n",
        "    if any(status.capabilities):\n",
    ),
    _verification(
        "seccomp",
        "a cell without a filter does not run",
        "    if status.seccomp != 2:\n",
        "    if False:\n",
    ),
    _verification(
        "process",
        "only a process of one thread, whose parent we are, is looked at",
        "        if status.parent != parent or status.threads != 1:\n",
        "        if False:\n",
    ),
    _verification(
        "id maps",
        "a user namespace that maps another id is found before the cell runs",
        "    if uid_map != ((0, wanted.uid, 1),) or gid_map != ((0, wanted.gid, 1),):\n",
        "    if False:\n",
    ),
    _verification(
        "namespaces",
        "a namespace that is still the kernel's is found before the cell runs",
        "    if shared != promised:\n",
        "    if False:\n",
    ),
    _verification(
        "network",
        "an interface that is up is found before the cell runs",
        '    if found.interfaces - {"lo"} or found.has_addresses != is_loopback:\n',
        "    if False:\n",
    ),
    _verification(
        "missing mounts",
        "a place that was to be covered and is not is found before the cell runs",
        "    if missing := sorted(expected - points):\n",
        "    if (missing := sorted(expected - points)) and False:\n",
    ),
    _verification(
        "unexpected mounts",
        "a mount of the host that stayed is found before the cell runs",
        "        if mount.point not in expected and not mount.point.startswith(roots):\n",
        "        if False:\n",
    ),
    _verification(
        "writable mounts",
        "a place that can be written and must not is found before the cell runs",
        "if not mount.read_only and not _may_write(mount.point, expected, places.writable):\n",
        "if False:\n",
    ),
    _verification(
        "read-only places inside writable ones",
        "a hook below a writable path that could be written is found before the cell runs",
        '    return max(around, key=len, default=b"/") in (*writable, b"/dev/pts")\n',
        '    return any(path in (*writable, b"/dev/pts") for path in around)\n',
    ),
    _verification(
        "second /proc",
        "another whole /proc is found before the cell runs",
        '        if mount.fstype == b"proc" and mount.root == b"/" and mount.point != b"/proc":\n',
        "        if False:\n",
    ),
    _verification(
        "descriptors",
        "a live descriptor of the notebook is found before the cell runs",
        "    if strange:\n",
        "    if False:\n",
    ),
    _verification(
        "environment",
        "an environment that was left is found before the cell runs",
        '    if block.strip(b"\\0"):\n',
        "    if False:\n",
    ),
    _verification(
        "shared memory",
        "a page that is still shared is found before the cell runs",
        "    if found:\n        shown",
        "    if False:\n        shown",
    ),
    _verification(
        "state that cannot be read",
        "what cannot be read is not taken for verified",
        "    except (OSError, KeyError, ValueError, IndexError) as error:\n",
        "    except ZeroDivisionError as error:\n",
    ),
    _verification(
        "limits of the plan",
        "a limit that was not set is found before the cell runs",
        "        if value is None or value > bound:\n",
        "        if False:\n",
        "launch/bounds.py",
    ),
    _verification(
        "limits over what was inherited",
        "unlimited memory or descriptors are found before the cell runs",
        "        if found[name] is None:\n",
        "        if False:\n",
        "launch/bounds.py",
    ),
    _verification(
        "control group",
        "a cell outside its control group does not run",
        "    if group is not None and not group.holds(cell):\n",
        "    if False:\n",
        "launch/bounds.py",
    ),
)
