"""``make soak``: hours of use in minutes, and one summary.

Guarantees: exit code 0 only when every part held; a seed repeats cells, streams and policies, not
the machine's pace.
Assumes: Linux, and a machine that grants every layer; started from the root of the checkout.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kavach_ipy.linux.probe import run_probe
from tests.soak.broker_cells import broker_cells
from tests.soak.census import adopt_orphans, wait_for_no_leftovers
from tests.soak.hostile_frames import hostile_frames
from tests.soak.many_cells import many_cells
from tests.soak.random_ends import random_ends
from tests.soak.random_policies import random_policies

PARTS = ("cells", "broker", "ends", "policies", "frames")


def main() -> int:
    """Run the parts that were asked for; 0 when all of them held."""
    options = _options()
    refused = [finding for finding in run_probe() if not finding.granted]
    for finding in refused:
        print(f"{finding.layer}: {finding.cause} {finding.remedy}", file=sys.stderr)
    if refused:
        return 2
    adopt_orphans()
    seed = options.seed
    runs: dict[str, tuple[str, Callable[[Path], list[str]]]] = {
        "cells": (
            f"{options.cells} cells in one kernel",
            lambda folder: many_cells(options.cells, seed, folder, _say),
        ),
        "broker": (
            f"{options.cells} cells in one kernel that sandboxes each",
            lambda folder: broker_cells(
                options.cells, seed, folder, _say, checkpoint=options.checkpoint
            ),
        ),
        "ends": (
            f"{options.ends} cells killed at random moments",
            lambda folder: random_ends(options.ends, seed, folder, _say),
        ),
        "policies": (
            f"{options.policies} random policies, {options.applied} applied",
            lambda folder: random_policies(options.policies, options.applied, seed, folder, _say),
        ),
        "frames": (
            f"{options.seconds:.0f} s of forged frames",
            lambda folder: hostile_frames(options.seconds, seed, folder, _say),
        ),
    }
    verdicts = []
    for name in options.parts or PARTS:
        title, part = runs[name]
        _say(f"{name}: {title}, seed {seed}")
        start = time.monotonic()
        # Not below /tmp: that is the cell's own, and a working directory in it would be, too.
        with tempfile.TemporaryDirectory(prefix="kavach-soak.", dir="/var/tmp") as folder:
            # The id that a cell of host root becomes walks through.
            Path(folder).chmod(0o755)
            wrong = part(Path(folder))
        wrong += [f"left behind: {left}" for left in [wait_for_no_leftovers(0, 10)] if left]
        verdicts.append((name, wrong, time.monotonic() - start))
    _say("\nsummary")
    for name, wrong, seconds in verdicts:
        _say(f"  {name:<9} {'held' if not wrong else f'{len(wrong)} WRONG'}, {seconds:.0f} s")
        for text in wrong:
            _say(f"    {text}")
    return 1 if any(wrong for _, wrong, _ in verdicts) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--cells", type=int, default=2000, help="in one kernel")
    parser.add_argument(
        "--checkpoint", choices=("auto", "off"), default="auto", help="of the part broker"
    )
    parser.add_argument("--ends", type=int, default=200, help="cells that are killed")
    parser.add_argument("--policies", type=int, default=3000, help="that are planned")
    parser.add_argument("--applied", type=int, default=100, help="of them, for real")
    parser.add_argument("--seconds", type=float, default=600.0, help="of forged frames")
    options = parser.parse_args()
    if strange := sorted(set(options.parts) - set(PARTS)):
        parser.error(f"unknown part {', '.join(strange)}; there are {', '.join(PARTS)}")
    return options


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
