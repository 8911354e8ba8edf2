"""How the kernel is asked: one mechanism a module, plain values in, never a `Policy`.

Nothing here decides what is allowed, logs, or retries; a failure is a `SyscallError`.
"""

from __future__ import annotations
