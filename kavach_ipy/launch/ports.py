"""The TCP ports that a cell with the host's network is kept from: docs/decisions/0024.

Whoever connects to the IOPub port of a Jupyter kernel reads what its notebook prints, without any
key; a debugger's port takes orders. Both listen on ports that the Linux kernel picks, and so will
those that begin after the sandbox.

Guarantees: every port that the Linux kernel picks is closed, and from 1024 up each on which this
user listens now, but for what a script that is no kernel of Jupyter has open itself.
Assumes: called in the process that the sandbox is to be kept from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from kavach_ipy.linux.sockets import own_sockets, picked_ports, read_listening

__all__ = ["closed_ports"]

# ip(7): below it, only the privileged listen. What they offer, they offer to every user.
_FIRST_OF_USERS = 1024


def closed_ports() -> tuple[tuple[int, int], ...]:
    """Return the first and last port of each closed range, in order.

    Raises:
        OSError: when /proc is not mounted.
    """
    own = frozenset[int]() if _is_kernel() else own_sockets()
    listening = read_listening()
    offered = {socket.port for socket in listening if socket.inode in own}
    first, last = picked_ports()
    user = os.geteuid()
    closed = {socket.port for socket in listening if socket.uid == user} - set(
        range(_FIRST_OF_USERS)
    )
    return _ranges((closed | set(range(first, last + 1))) - offered)


def _is_kernel() -> bool:
    """Tell whether this process is a kernel of Jupyter, whose sockets are not for cells."""
    module = sys.modules.get("ipykernel.kernelapp")
    return module is not None and bool(module.IPKernelApp.initialized())


def _ranges(ports: Iterable[int]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for port in sorted(ports):
        if found and found[-1][1] == port - 1:
            found[-1] = (found[-1][0], port)
        else:
            found.append((port, port))
    return tuple(found)
