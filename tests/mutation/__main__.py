"""``make mutate``: switch one guard off at a time; its tests must fail.

Guarantees: the checkout is never edited, each guard is off in a copy; exit code 0 only when every
guard was noticed by a test that failed (pytest's exit code 1), and not by a run that broke, skipped
what it needs, or did not end.
Assumes: started from the root of the checkout, on a machine that grants every layer.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutation.guards import GUARDS, Guard

_ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 120.0
_WORDS = {0: "SURVIVED", 1: "killed", None: "NO END"}
_REQUIRED = {"KAVACH_TEST_REQUIRE": "userns,seccomp,landlock,overlay"}
"""A skipped test notices nothing, so it is a failure before any guard is off."""


def main() -> int:
    """Run the guards that were asked for; 0 when every one of them was noticed."""
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="guards whose name holds TEXT")
    parser.add_argument("--list", action="store_true", help="list the guards and run nothing")
    options = parser.parse_args()
    guards = [guard for guard in GUARDS if options.only in guard.name]
    if options.list or not guards:
        print("\n".join(f"{guard.name}: {guard.promise}" for guard in guards) or "no such guard")
        return 0 if guards else 2
    with tempfile.TemporaryDirectory(prefix="kavach-mutate.", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        together = sorted({test for guard in guards for test in guard.tests.split()})
        if any(_run(_copy(Path(folder), None), [test]) != 0 for test in together):
            print("the tests fail with every guard on; nothing can be said of any", file=sys.stderr)
            return 2
        verdicts = {guard.name: _verdict(Path(folder), guard) for guard in guards}
    killed = sum(verdict == "killed" for verdict in verdicts.values())
    print(f"{killed} of {len(guards)} guards were noticed")
    return 0 if killed == len(guards) else 1


def _verdict(folder: Path, guard: Guard) -> str:
    started = time.monotonic()
    status = _run(_copy(folder, guard), guard.tests.split())
    verdict = _WORDS.get(status, f"BROKEN ({status})")
    print(f"{verdict:<9} {time.monotonic() - started:5.1f} s  {guard.name}", flush=True)
    return verdict


def _copy(folder: Path, guard: Guard | None) -> Path:
    """Copy what a test run needs, with one guard off."""
    copy = folder / "checkout"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in ("kavach_ipy", "tests"):
        shutil.copytree(_ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(_ROOT / "pyproject.toml", copy)
    if guard is not None:
        path = copy / "kavach_ipy" / guard.file
        source = path.read_text(encoding="utf-8")
        if source.count(guard.old) != 1:
            raise SystemExit(f"{guard.name}: its text stands {source.count(guard.old)} times")
        path.write_text(source.replace(guard.old, guard.new), encoding="utf-8")
    return copy


def _run(copy: Path, tests: list[str]) -> int | None:
    """Run tests in a copy; pytest's exit code, None where they did not end in time."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    process = subprocess.Popen(
        command,
        cwd=copy,
        env=os.environ | _REQUIRED | {"PYTHONPATH": str(copy)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        return None


if __name__ == "__main__":
    sys.exit(main())
