"""``make mutate``: switch one guard off at a time; its tests must fail.

Guarantees: the checkout is never edited, each guard is off in a copy; exit code 0 only when every
guard was noticed by a test that failed (pytest's exit code 1), and not by a run that broke, skipped
what it needs, or did not end; when this process ends, however it does, so does its pytest with all
of its process group. What host root can do to names, queues and mounts, a mutant does in namespaces
of its own.
Assumes: started from the root of the checkout, on a machine that grants every layer, by host
root: the guards around its identity stand nowhere else, and their tests are skipped there.
"""

from __future__ import annotations

import argparse
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mutation.guard import Edit, Guard
from tests.mutation.guards import GUARDS

_ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 120.0
_SECONDS_OF_ALL = 900.0
"""For the run with every guard on, which is of all tests together."""

_WORDS = {0: "SURVIVED", 1: "killed", None: "NO END"}
_REQUIRED = {"KAVACH_TEST_REQUIRE": "userns,seccomp,landlock,overlay"}
"""A skipped test notices nothing, so it is a failure before any guard is off."""

# Reads until this process has ended: nobody else holds the writing end, and SIGKILL has no handler.
_LAST_WILL = 'read -r word || kill -s KILL -- "-$1"'


def main() -> int:
    """Run the guards that were asked for; 0 when every one of them was noticed."""
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="TEXT", help="guards whose name holds a TEXT"
    )
    parser.add_argument("--list", action="store_true", help="list the guards and run nothing")
    options = parser.parse_args()
    guards = [guard for guard in GUARDS if any(text in guard.name for text in options.only)]
    if options.list or not guards:
        print("\n".join(f"{guard.name}: {guard.promise}" for guard in guards) or "no such guard")
        return 0 if guards else 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # As an exception, so that what is open is closed on the way. SIGINT too: a shell starts
        # what runs in the background with it ignored, and tests that send it would inherit that.
        signal.signal(number, signal.default_int_handler)
    for guard in guards:
        for edit in guard.edits:
            without((_ROOT / "kavach_ipy" / edit.file).read_text(encoding="utf-8"), edit)
    with tempfile.TemporaryDirectory(prefix="kavach-mutate.", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        return _run_all(Path(folder), guards)


def without(source: str, edit: Edit) -> str:
    """The source of a module with one edit made.

    Raises:
        SystemExit: its text does not stand there exactly once, or what is left is no Python: then
            every test would fail, and say nothing.
    """
    if source.count(edit.old) != 1:
        raise SystemExit(f"{edit.file}: {edit.old!r} stands {source.count(edit.old)} times")
    changed = source.replace(edit.old, edit.new)
    try:
        compile(changed, edit.file, "exec")
    except SyntaxError as error:
        raise SystemExit(f"{edit.file} without {edit.old!r}: {error}") from error
    return changed


def _run_all(folder: Path, guards: list[Guard]) -> int:
    together = sorted({test for guard in guards for test in guard.tests.split()})
    if _run(_copy(folder, None), together, _SECONDS_OF_ALL, is_shown=True) != 0:
        print("a test fails with every guard on; nothing can be said of any", file=sys.stderr)
        return 2
    left = {guard.name: guard for guard in guards}
    try:
        for guard in guards:
            if _verdict(folder, guard) == "killed":
                del left[guard.name]
    finally:
        print(f"{len(guards) - len(left)} of {len(guards)} guards were noticed")
        if left:
            print(f"the others again: make mutate MUTATE={shlex.quote(_only(left))}")
    return 1 if left else 0


def _only(names: dict[str, Guard]) -> str:
    return "--only " + " ".join(shlex.quote(name) for name in names)


def _verdict(folder: Path, guard: Guard) -> str:
    started = time.monotonic()
    status = _run(_copy(folder, guard), guard.tests.split(), _SECONDS)
    verdict = _WORDS.get(status, f"BROKEN ({status})")
    print(f"{verdict:<9} {time.monotonic() - started:5.1f} s  {guard.name}", flush=True)
    return verdict


def _copy(folder: Path, guard: Guard | None) -> Path:
    """Copy what a test run needs, with one guard off."""
    copy = folder / "checkout"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in ("kavach_ipy", "tests", "jupyter-config"):
        shutil.copytree(_ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(_ROOT / "pyproject.toml", copy)
    for edit in () if guard is None else guard.edits:
        path = copy / "kavach_ipy" / edit.file
        path.write_text(without(path.read_text(encoding="utf-8"), edit), encoding="utf-8")
    return copy


def _run(copy: Path, tests: list[str], seconds: float, *, is_shown: bool = False) -> int | None:
    """Run tests in a copy; pytest's exit code, None where they did not end in time."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    if os.geteuid() == 0:
        # A test that attacks a guard which is off may get through, with host root's rights.
        command = ["unshare", "--uts", "--ipc", "--mount", *command]
    with subprocess.Popen(
        command,
        cwd=copy,
        env=os.environ | _REQUIRED | {"PYTHONPATH": str(copy)},
        stdin=subprocess.DEVNULL,
        stdout=None if is_shown else subprocess.DEVNULL,
        stderr=None if is_shown else subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        with _ending_with_us(process.pid):
            has_ended = _ends_within(process.pid, seconds)
        status = process.wait()
        return status if has_ended else None


def _ends_within(pid: int, seconds: float) -> bool:
    """Wait for a child and do not reap it: as long as it is there its number is nobody else's."""
    fd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(fd)


@contextmanager
def _ending_with_us(group: int) -> Iterator[None]:
    """Kill a process group at the end, and also where this process is killed before."""
    will = subprocess.Popen(
        ["sh", "-c", _LAST_WILL, "sh", str(group)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield
    finally:
        # Also after an end in time: what a mutant left behind must not outlive its run.
        os.killpg(group, signal.SIGKILL)
        will.communicate(b"done\n")


if __name__ == "__main__":
    sys.exit(main())
