"""Which TCP ports are listened on, and by whom, as proc(5) shows the network namespace.

Guarantees: plain values, as read at one moment.
Assumes: /proc is mounted.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["Listening", "own_sockets", "picked_ports", "read_listening"]

_LISTEN = "0A"  # include/net/tcp_states.h


@dataclass(frozen=True, slots=True)
class Listening:
    """A TCP socket that listens."""

    port: int
    uid: int
    """Who made it, as this process's user namespace numbers users."""

    inode: int


def read_listening() -> tuple[Listening, ...]:
    """Read the TCP sockets that listen in this process's network namespace: proc(5) net/tcp."""
    found = []
    for name in ("tcp", "tcp6"):
        # A kernel without IPv6 has no tcp6.
        with suppress(FileNotFoundError), open(f"/proc/self/net/{name}", encoding="ascii") as file:
            next(file)
            for line in file:
                fields = line.split()
                if fields[3] == _LISTEN:
                    port = int(fields[1].rpartition(":")[2], 16)
                    found.append(Listening(port, int(fields[7]), int(fields[9])))
    return tuple(found)


def own_sockets() -> frozenset[int]:
    """Return the inodes of the sockets that this process has open."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        # The directory's own descriptor is gone by now.
        with suppress(FileNotFoundError):
            link = os.readlink(f"/proc/self/fd/{name}")
            if link.startswith("socket:["):
                found.add(int(link[len("socket:[") : -1]))
    return frozenset(found)


def picked_ports() -> tuple[int, int]:
    """Return the first and last port that bind(2) picks from where a program names none: ip(7)."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first, last = file.read().split()
    return int(first), int(last)
