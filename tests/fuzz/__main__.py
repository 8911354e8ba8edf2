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
    options = parser.parse_args()
    start = time.monotonic()
    print(f"{options.programs} programs, seed {options.seed}", flush=True)
    wrong = fuzz(options.programs, options.seed, lambda line: print(line, flush=True))
    measured, slow = measure(options.seed, options.size)
    print(f"hostile programs of {options.size} bytes: seconds, memory in multiples of the size")
    for name, seconds, memory in measured:
        print(f"  {name:<10} {seconds:6.2f} s  {memory:6.1f} ×")
    for line in wrong + slow:
        print(f"WRONG {line}")
    held = "held" if not wrong + slow else f"{len(wrong + slow)} WRONG"
    print(f"{held}, {time.monotonic() - start:.0f} s")
    return 1 if wrong or slow else 0


if __name__ == "__main__":
    sys.exit(main())
