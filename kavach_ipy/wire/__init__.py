"""What crosses between the kernel and its sandboxed child: frames, messages, values, the arena.

Guarantees: nothing in this folder runs or unpickles anything that the child sent; what is broken is
a `ProtocolError`, raised before a byte beyond a cap is read.
Assumes: the process at the other end is hostile, and the descriptor between the two is ours alone.
"""

from __future__ import annotations

__all__: list[str] = []
