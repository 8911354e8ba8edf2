"""Programs that coverage leads: what reaches a new edge of the reader is kept and changed further.

libFuzzer, through atheris, says which inputs are new; how they are changed is ours
(`tests.fuzz.programs`), half of the time, so that a program stays one.

Guarantees: the process ends with 0 only when every program was a value or withheld, and none took
longer than libFuzzer's own limits; a seed repeats the campaign on the same machine and versions.
Assumes: it is a process of its own, as libFuzzer ends it; atheris is installed, which
``make fuzz-guided`` does and nothing else needs.

Usage: ``python -m tests.fuzz.guided --seed 7 --seconds 600 --corpus DIRECTORY``
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["decoded", "encoded", "main"]

_HANGS = 20
_LONGEST = 1 << 16


def encoded(data: bytes, buffers: tuple[bytes, ...]) -> bytes:
    """Return a program as one input: the number of its buffers, their lengths, they, the pickle."""
    buffers = buffers[:255]
    lengths = struct.pack(f"<{len(buffers)}H", *(min(len(part), 0xFFFF) for part in buffers))
    return b"".join((bytes([len(buffers)]), lengths, *(part[:0xFFFF] for part in buffers), data))


def decoded(raw: bytes) -> tuple[bytes, list[bytes]]:
    """Return the pickle and the buffers of an input, whatever it is."""
    count = raw[0] if raw else 0
    head = raw[1 : 1 + 2 * count]
    at = 1 + 2 * count
    buffers = []
    for (length,) in struct.iter_unpack("<H", head[: len(head) // 2 * 2]):
        buffers.append(raw[at : at + length])
        at += length
    return raw[at:], buffers


def main() -> None:
    """Run the campaign; libFuzzer ends the process."""
    parser = argparse.ArgumentParser(prog="make fuzz-guided", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 1 << 30))
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--programs", type=int, default=-1)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--blind", action="store_true", help="as make fuzz: to compare the edges")
    options = parser.parse_args()
    import atheris

    with atheris.instrument_imports(include=["kavach_ipy.gate", "kavach_ipy.wire"]):
        from kavach_ipy.gate import reader
    from kavach_ipy.errors import OutputWithheld
    from tests.fuzz.campaign import confine, show
    from tests.fuzz.programs import Programs, seeds

    programs = Programs(options.seed)
    options.corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        path = options.corpus / f"seed-{number:02}"
        path.write_bytes(encoded(seed.data, seed.buffers))

    def read(raw: bytes) -> None:
        data, buffers = decoded(raw)
        with suppress(OutputWithheld):
            show(reader.read_pickle(data, [memoryview(bytearray(part)) for part in buffers]))

    def change(raw: bytes, size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if options.blind:
            made = programs.next()
            return encoded(made.data, made.buffers)[:size]
        if rng.random() < 0.3:
            return bytes(atheris.Mutate(raw, size))
        made = programs.changed(*decoded(raw), rng)
        return encoded(made.data, made.buffers)[:size]

    warnings.simplefilter("ignore")
    confine(is_silent=False)
    arguments = [
        sys.argv[0],
        f"-seed={options.seed}",
        f"-runs={options.programs}",
        f"-max_total_time={options.seconds}",
        f"-timeout={_HANGS}",
        f"-max_len={_LONGEST}",
        "-rss_limit_mb=0",
        "-print_final_stats=1",
        f"-artifact_prefix={options.corpus}/wrong-",
        str(options.corpus),
    ]
    mutator: Callable[..., Any] = change
    atheris.Setup(arguments, read, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
