"""What confinement costs a cell that works: ``make bench-confinement``.

One table from one run: work inside against the same work outside, in the same kernel, in rounds
that run both; and what the verification adds.

Guarantees: the exit code is 0 when every number that a bound is set for keeps it.
Assumes: the package, numpy and pandas are installed.
"""

from __future__ import annotations

import sys
import sysconfig
import tempfile
from pathlib import Path

from run import Row, kernel_prints, print_table, rounds_asked

PROCESSOR = 1.03
READS = 1.3
VERIFICATION_MS = 1.0


def main() -> int:
    """Measure and print; 0 when every bound is kept."""
    rounds = rounds_asked(__doc__, 15)
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
    return print_table(rows)


if __name__ == "__main__":
    sys.exit(main())
