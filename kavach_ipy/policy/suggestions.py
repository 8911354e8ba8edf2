"""Close matches for a misspelt word.

Guarantees: a sentence that names what is allowed, nearest first, and never fails on odd input.
Assumes: the allowed words are few (tens), so one comparison with each of them is cheap.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return ``did you mean 'a' or 'b'?``, or the whole list when nothing is near.

    Args:
        word: what was written.
        allowed: every word that would have been accepted.
    """
    # difflib costs a millisecond to import and is needed only by somebody who has just mistyped.
    from difflib import get_close_matches  # noqa: PLC0415

    words = sorted(allowed)
    # The comparison is quadratic in the length, and no word of ours is longer than this.
    near = get_close_matches(word[:40], words, n=2, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(repr(match) for match in near)}?"
    return f"allowed are {', '.join(words)}" if words else "none is defined"
