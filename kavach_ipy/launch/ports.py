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
from collections.abc import Iterable, Iterator

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
    user = os.geteuid()
    chosen = {socket.port for socket in listening if socket.uid == user} - offered
    first, last = picked_ports()
    # Tens of thousands of ports are not looked at one by one: this is done for each cell.
    picked = _without(first, last, sorted(port for port in offered if first <= port <= last))
    others = (
        (port, port) for port in chosen if port >= _FIRST_OF_USERS and not first <= port <= last
    )
    return _joined(sorted((*picked, *others)))


def _is_kernel() -> bool:
    """Tell whether this process is a kernel of Jupyter, whose sockets are not for cells."""
    module = sys.modules.get("ipykernel.kernelapp")
    return module is not None and bool(module.IPKernelApp.initialized())


def _without(first: int, last: int, offered: Iterable[int]) -> Iterator[tuple[int, int]]:
    for port in (*offered, last + 1):
        if first < port:
            yield first, port - 1
        first = port + 1


def _joined(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for first, last in ranges:
        if found and found[-1][1] == first - 1:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return tuple(found)
