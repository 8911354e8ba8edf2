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
        "memory of no process",
        "memory that nothing counts is not given",
        "linux/syscall_arguments.py",
        "        *(() if is_memory_counted else _mmap()),\n",
        "",
        "tests/escape/test_exhaustion.py",
    ),
    Guard(
        "memory of a process without its first thread",
        "what its other threads keep is counted",
        _LIMITS,
        "        if thread == name:\n",
        "        if thread:\n",
        "tests/escape/test_exhaustion.py",
    ),
    Guard(
        "memory in the arena",
        "the file for results is on the bill",
        _LIMITS,
        " + os.fstat(arena).st_blocks * 512\n",
        "\n",
        "tests/escape/test_exhaustion.py",
    ),
    Guard(
        "time of short lives",
        "children that end between two looks use up the limit",
        "launch/watch.py",
        "        return alive + max(dead, self._waited_seconds)\n",
        "        return alive + dead\n",
        "tests/escape/test_exhaustion.py",
    ),
    Guard(
        "queued signals",
        "timers are left for the user's other programs",
        _LIMITS,
        '        "RLIMIT_SIGPENDING": 1024,\n',
        "",
        "tests/escape/test_exhaustion.py",
    ),
    Guard(
        "lingering sockets",
        "no close of a descriptor takes as long as the cell likes",
        "linux/syscall_arguments.py",
        "_SOCKET_SIZES | {_SO_LINGER}\n",
        "_SOCKET_SIZES\n",
        "tests/unit/linux/test_seccomp.py tests/unit/linux/test_seccomp_kernel.py",
    ),
    Guard(
        "core limit",
        "the limit that stops core handlers stays",
        "linux/syscall_arguments.py",
        "        *_rlimits(),\n",
        "",
        "tests/escape/test_core_dumps.py",
    ),
    Guard(
        "the interpreter's own file",
        "what /proc/self/exe leads to keeps mode, group, time and attributes",
        "launch/launcher.py",
        "        if parent.program.leave():\n",
        "        if False:\n",
        "tests/escape/test_file_write.py",
    ),
    Guard(
        "one state for cells of one time",
        "a change of one cell is not another's truth",
        "launch/program.py",
        "            if _Shared.cells == 0 or _Shared.before is None:\n",
        "            if True:\n",
        "tests/escape/test_file_write.py",
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
    Guard(
        "values imports",
        "no value makes the kernel load what a cell left in the notebook's directory",
        "gate/reader.py",
        "    with allowance.reading(), installed_only():\n",
        "    with allowance.reading():\n",
        "tests/escape/values/test_imports.py tests/unit/gate/test_imports.py",
    ),
    Guard(
        "values trailing bytes",
        "a pickle ends where its value does",
        "gate/reader.py",
        " or at != size or ",
        " or ",
        "tests/unit/gate/test_reader.py",
    ),
    Guard(
        "values key hashes",
        "keys that collide do not stall the kernel",
        "gate/budget.py",
        "        if max(map(self._counts.__getitem__, hashes), default=0) > EQUAL_HASHES:\n",
        "        if False:\n",
        "tests/unit/gate/test_reader.py",
    ),
    Guard(
        "values owners",
        "codes, indices and labels that were checked have one owner",
        "gate/budget.py",
        "        self._claimed.add(id(value))\n",
        "        pass\n",
        "tests/unit/gate/test_shared_memory.py",
    ),
    Guard(
        "values array items",
        "a boolean is 0 or 1, a character a code point",
        "gate/arrays.py",
        "    _check_items(budget, made.reshape(-1, order=order))\n",
        "    pass\n",
        "tests/unit/gate/test_forged_arrays.py",
    ),
    Guard(
        "values sparse indices",
        "an index of a sparse array lies inside its shape",
        "gate/sparse.py",
        "(indices.min() < 0 or indices.max() >= minor)",
        "False",
        "tests/unit/gate/test_forged_libraries.py",
    ),
    Guard(
        "values Arrow validation",
        "offsets and lengths of Arrow's are true",
        "gate/arrow.py",
        "        column.validate(full=True)\n",
        "        pass\n",
        "tests/escape/values/test_corpus.py",
    ),
    Guard(
        "values Arrow buffers",
        "no two buffers of Arrow's share memory",
        "gate/ipc.py",
        "            if start < last or not 0 < size <= length - start:\n",
        "            if False:\n",
        "tests/unit/gate/test_forged_libraries.py",
    ),
    Guard(
        "values Arrow compression",
        "nothing is inflated in the kernel",
        "gate/ipc.py",
        "        if _find(metadata, header, _COMPRESSION):\n",
        "        if False:\n",
        "tests/unit/gate/test_forged_libraries.py",
    ),
    Guard(
        "values trust option",
        "--trust runs only where it was allowed",
        "launch/plan.py",
        "    if policy.trust and not may_trust:\n",
        "    if False:\n",
        "tests/contract/test_trust.py",
    ),
)
