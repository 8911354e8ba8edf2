"""Guards of the sandbox, each with the edit that switches it off and the tests that must notice.

Guarantees: an edit names text that stands exactly once in its file, so a guard that moves breaks
the catalogue loudly (`tests/repo/test_guards.py`).
Assumes: one guard is off at a time. Where a second one would still hold, the tests look at the
first alone.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GUARDS", "Guard"]


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard."""

    name: str
    promise: str
    """What would not be kept without it."""

    file: str
    """Below ``kavach_ipy/``."""

    old: str
    new: str
    tests: str
    """What pytest is given, separated by spaces."""


_CHILD = "launch/child.py"
_LIMITS = "linux/limits.py"
_REPORT = "launch/report.py"

GUARDS = (
    Guard(
        "host name",
        "the host's name is not read",
        _CHILD,
        "        namespaces.set_host_name(_HOST_NAME)\n",
        "        pass\n",
        "tests/escape/test_host_identity.py",
    ),
    Guard(
        "shared mappings",
        "no write reaches the notebook's shared memory",
        _CHILD,
        "        inherited.privatise_mappings(mappings, mapped_files)\n",
        "        pass\n",
        "tests/escape/test_memory.py",
    ),
    Guard(
        "known secrets",
        "a named value stands nowhere in the cell's memory",
        _CHILD,
        "            secrets.overwrite(plan.secrets)\n",
        "            pass\n",
        "tests/escape/test_known_secrets.py",
    ),
    Guard(
        "environment",
        "tokens in the environment are not inherited",
        _CHILD,
        "        inherited.replace_environment(dict(plan.environment))\n",
        "        pass\n",
        "tests/contract/test_environment.py",
    ),
    Guard(
        "/proc masks",
        "telling files of /proc are covered",
        _CHILD,
        "        procfs.replace_proc(plan.proc_covered)\n",
        "        procfs.replace_proc(())\n",
        "tests/escape/test_file_read.py tests/escape/test_processes.py",
    ),
    Guard(
        "capabilities",
        "no capability is left in any set",
        _CHILD,
        "        privileges.drop_capabilities()\n",
        "        pass\n",
        "tests/escape/test_privilege.py",
    ),
    Guard(
        "exec gains nothing",
        "exec gives no capability back",
        _CHILD,
        "        privileges.close_the_way_back(plan.last_capability)\n",
        "        pass\n",
        "tests/escape/test_privilege.py",
    ),
    Guard(
        "Landlock",
        "abstract sockets of the host are out of reach, files have a second wall",
        _CHILD,
        "        landlock.restrict(*rules, network=plan.loopback)\n",
        "        pass\n",
        "tests/contract/test_second_walls.py",
    ),
    Guard(
        "seccomp",
        "system calls without a use are refused",
        _CHILD,
        "        seccomp.load(plan.seccomp_program)\n",
        "        pass\n",
        "tests/escape/test_kernel_surface.py",
    ),
    Guard(
        "core dumps",
        "no program of the host is fed the cell's memory",
        _LIMITS,
        '        "RLIMIT_CORE": 1,\n',
        "",
        "tests/escape/test_core_dumps.py",
    ),
    Guard(
        "processes",
        "a fork bomb ends",
        _LIMITS,
        '        "RLIMIT_NPROC": processes,\n',
        "",
        "tests/contract/test_limits.py",
    ),
    Guard(
        "files",
        "descriptors are bounded",
        _LIMITS,
        '        "RLIMIT_NOFILE": descriptors,\n',
        "",
        "tests/contract/test_limits.py",
    ),
    Guard(
        "verify network",
        "an interface that is up is found before the cell runs",
        _REPORT,
        '    if found.interfaces - {"lo"} or found.has_addresses != is_loopback:\n',
        "    if False:\n",
        "tests/unit/launch/test_strength.py",
    ),
    Guard(
        "verify environment",
        "an environment that was left is found before the cell runs",
        _REPORT,
        '    if block.strip(b"\\0"):\n',
        "    if False:\n",
        "tests/unit/launch/test_strength.py",
    ),
    Guard(
        "verify shared memory",
        "a page that is still shared is found before the cell runs",
        _REPORT,
        "    if found:\n        shown",
        "    if False:\n        shown",
        "tests/unit/launch/test_strength.py",
    ),
    Guard(
        "setuid files",
        "no file that a cell makes lends its owner's identity",
        "linux/syscall_arguments.py",
        "        *_chmod(),\n        *_open(),\n",
        "",
        "tests/unit/linux/test_seccomp_kernel.py",
    ),
    Guard(
        "setuid nodes",
        "mknod makes no file that lends its owner's identity",
        "linux/syscall_arguments.py",
        "Match(argument, kind, 0o170000 | _SETUID | _SETGID)",
        "Match(argument, kind, 0o170000)",
        "tests/unit/linux/test_seccomp.py",
    ),
    Guard(
        "time",
        "a cell ends at its deadline",
        "launch/watch.py",
        "        if limit is not None and now - start >= limit:\n",
        "        if False:\n",
        "tests/contract/test_endings.py",
    ),
    Guard(
        "output",
        "a flood of output ends",
        "launch/watch.py",
        "        if self._bytes > self.policy.output:\n",
        "        if False:\n",
        "tests/contract/test_limits.py",
    ),
    Guard(
        "frames after the end",
        "nothing is heard after DONE",
        "launch/watch.py",
        "        if self._done:\n            raise",
        "        if False:\n            raise",
        "tests/contract/test_wire.py",
    ),
)
