"""What confinement costs a cell that works: ``make bench-confinement``.

One table from one run: work inside against the same work outside, in the same kernel, in rounds
that run both; and what the verification adds.

Guarantees: the exit code is 0 when every number that a bound is set for keeps it.
Assumes: the package, numpy and pandas are installed.
"""

from __future__ import annotations

import argparse
import os
import sys
import sysconfig
import tempfile
from pathlib import Path

from run import Row, kernel_prints

PROCESSOR = 1.03
READS = 1.3
VERIFICATION_MS = 1.0


def main() -> int:
    """Measure and print; 0 when every bound is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each measurement")
    rounds = parser.parse_args().rounds
    sys.stdout.write(
        f"{os.uname().machine}, Linux {os.uname().release}, Python {sys.version.split()[0]}, "
        f"{os.cpu_count()} cores, uid {os.getuid()}, {rounds} rounds, medians\n\n"
    )
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="kavach-bench.", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        settings = {
            "ROUNDS": rounds,
            "FOLDER": f"{folder}/data",
            "PACKAGES": sysconfig.get_path("purelib"),
        }
        found = kernel_prints("work.py", settings, folder)
    for name, measured in found.items():
        bound = READS if "files" in name else PROCESSOR
        where = f"{name} ({measured['outside']:.0f} ms outside)"
        rows.append(Row(where, measured["ratio"], "x", bound))
    added = kernel_prints("verification.py", {"ROUNDS": rounds * 6})
    rows.append(Row("verification, added to a cell", added["added"], "ms", VERIFICATION_MS))
    rows.append(Row("  time in its functions, some of it beside the child", added["spent"], "ms"))
    for row in rows:
        sys.stdout.write(f"{row}\n")
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
