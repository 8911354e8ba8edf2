"""``make fuzz``: a million changed pickles for the reader, and the longest of hostile ones.

Guarantees: exit code 0 only when no program crashed, hung, or raised anything but OutputWithheld; a
seed repeats every program.
Assumes: Linux, started from the root of the checkout.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.fuzz.campaign import fuzz, measure


def main() -> int:
    """Run the campaign; 0 when it held."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--programs", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=1 << 20, help="bytes of a long program")
    parser.add_argument("--drawn", type=int, default=500, help="long programs drawn by chance")
    options = parser.parse_args()
    start = time.monotonic()
    print(f"{options.programs} programs, seed {options.seed}", flush=True)
    wrong = fuzz(options.programs, options.seed, lambda line: print(line, flush=True))
    measured, slow = measure(options.seed, options.size, options.drawn)
    print(f"hostile programs of {options.size} bytes: seconds, memory in multiples of the size")
    for name, seconds, memory in sorted(measured, key=lambda row: -row[2])[:20]:
        print(f"  {name:<60} {seconds:6.2f} s  {memory:6.1f} ×")
    print(f"  and {len(measured)} in all, none longer than {max(row[1] for row in measured):.2f} s")
    for line in wrong + slow:
        print(f"WRONG {line}")
    held = "held" if not wrong + slow else f"{len(wrong + slow)} WRONG"
    print(f"{held}, {time.monotonic() - start:.0f} s")
    return 1 if wrong or slow else 0


if __name__ == "__main__":
    sys.exit(main())
