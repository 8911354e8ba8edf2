"""What may come back: the only reader of pickles, the display policy, the stream filter, `Outcome`.

Guarantees: no import, no attribute and no callable is ever chosen by the child; what is refused
becomes a `Withheld` or a quiet line of text, and only a broken wire is an exception.
Assumes: what arrives was written by an attacker who knows this source and our memory layout.
"""

from __future__ import annotations

__all__: list[str] = []
