"""Rules on sockets: which are made, what they are set to, and whether they listen.

Guarantees: as `syscall_arguments`, whose rules these are among.
Assumes: as there; no address is seen, as each stands behind a pointer.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Literal, assert_never

from kavach_ipy.linux.filter_rules import Match, Rule, choose, others

__all__ = ["Network", "socket_rules"]

Network = Literal["none", "loopback", "host"]


def socket_rules(network: Network) -> Iterator[Rule]:
    """Every rule on sockets.

    Args:
        network: the socket families.
    """
    yield from _setsockopt(network)
    yield from _send(network)
    yield from _socket(network)


# socket(7), asm-generic/socket.h. The bytes in a socket's buffers are kernel memory that no limit
# sees, and with larger buffers the descriptors of one cell hold gigabytes. Libraries set these as
# a matter of speed and take an error for a broken socket, so they hear success: the kernel too
# gives a size of its own choosing, and getsockopt(2) tells the true one.
_SOL_SOCKET = 1
_SOCKET_SIZES = frozenset({7, 8, 32, 33})  # SO_SNDBUF, SO_RCVBUF, and both with FORCE
# socket(7): with SO_LINGER the last close(2) waits, in whatever process does it. A descriptor that
# is sent through the channel is closed by the kernel process: it stood still for as long as asked.
_SO_LINGER = 13


# socket(7). Who sends UDP takes a port without bind(2), and would take what is sent to a service
# that shares its port, another user's as well. Nothing is served here, so nothing is lost where
# these do nothing.
_SHARED_PORTS = frozenset({2, 15})  # SO_REUSEADDR, SO_REUSEPORT
# ip(7), IP_LOCAL_PORT_RANGE (Linux 6.3): it would choose which port that is.
_SOL_IP, _IP_LOCAL_PORT_RANGE = 0, 51
# linux/tcp.h TCP_ULP puts another protocol above TCP: TLS in the Linux kernel, which had holes of
# its own (CVE-2023-0461), or SMC, whose sockets Landlock takes for no TCP. ENOENT: there is none.
_SOL_TCP, _TCP_ULP = 6, 31


def _setsockopt(network: Network) -> Iterator[Rule]:
    level = Match(1, _SOL_SOCKET)
    ignored = _SOCKET_SIZES | {_SO_LINGER}
    if network == "host":
        ignored |= _SHARED_PORTS
    for option in sorted(ignored):
        yield Rule("setsockopt", 0, (level, Match(2, option)))
    for mask, value in others(ignored):
        yield Rule("setsockopt", None, (level, Match(2, value, mask)))
    levels = {_SOL_SOCKET}
    if network != "none":
        levels.add(_SOL_TCP)
        tcp = Match(1, _SOL_TCP)
        yield Rule("setsockopt", errno.ENOENT, (tcp, Match(2, _TCP_ULP)))
        for mask, value in others(frozenset({_TCP_ULP})):
            yield Rule("setsockopt", None, (tcp, Match(2, value, mask)))
    if network == "host":
        levels.add(_SOL_IP)
        ip, choice = Match(1, _SOL_IP), Match(2, _IP_LOCAL_PORT_RANGE)
        yield Rule("setsockopt", errno.ENOPROTOOPT, (ip, choice))
        for mask, value in others(frozenset({_IP_LOCAL_PORT_RANGE})):
            yield Rule("setsockopt", None, (ip, Match(2, value, mask)))
    for mask, value in others(frozenset(levels)):
        yield Rule("setsockopt", None, (Match(1, value, mask),))


# send(2). Out-of-band bytes on unix sockets have been a way into the kernel (CVE-2025-38236), and
# EOPNOTSUPP is what kernels built without them answer.
_MSG_OOB = 0x1
# tcp(7): it connects, and Landlock (6.18) is not asked about the port.
_MSG_FASTOPEN = 0x20000000


def _send(network: Network) -> Iterator[Rule]:
    fast = _MSG_FASTOPEN if network == "host" else 0
    for call, argument in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
        yield Rule(call, None, (Match(argument, 0, _MSG_OOB | fast),))
        yield Rule(call, errno.EOPNOTSUPP, (Match(argument, _MSG_OOB, _MSG_OOB),))
        if fast:
            yield Rule(call, errno.EOPNOTSUPP, (Match(argument, fast, _MSG_OOB | fast),))


_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_SOCK_STREAM, _SOCK_DGRAM, _SOCK_SEQPACKET = 1, 2, 5
# linux/net.h: the low four bits are the type, the rest are flags that the kernel checks.
_TYPE = 0xF
# Plain TCP and UDP, by number or as the type's default: MPTCP, SCTP, UDP-Lite, L2TP and ping
# sockets are much code that no notebook uses.
_PROTOCOLS = {_SOCK_STREAM: frozenset({0, 6}), _SOCK_DGRAM: frozenset({0, 17})}


def _socket(network: Network) -> Iterator[Rule]:
    match network:
        case "none":
            internet: tuple[int, ...] = ()
        case "loopback":
            internet = (_AF_INET, _AF_INET6)
        case "host":
            yield from _sockets_of_the_host()
            return
        case _:
            assert_never(network)
    yield Rule("socket", None, (Match(0, _AF_UNIX),))
    yield from _families(frozenset({_AF_UNIX, *internet}))
    for family in internet:
        yield from _internet(Match(0, family))
    # socketpair(2): only AF_UNIX has pairs that a program would ask for.
    yield from choose("socketpair", 0, frozenset({_AF_UNIX}), errno.EAFNOSUPPORT)


def _sockets_of_the_host() -> Iterator[Rule]:
    # docs/decisions/0024. unix(7): abstract names belong to the network namespace, and a filter
    # sees none. So no unix socket is made that can be connected or bound to one: of a pair, a
    # datagram socket can be connected anew, a stream (EISCONN) and a seqpacket one cannot.
    internet = frozenset({_AF_INET, _AF_INET6})
    yield from _families(internet)
    for family in internet:
        yield from _internet(Match(0, family))
    pair, connected = Match(0, _AF_UNIX), frozenset({_SOCK_STREAM, _SOCK_SEQPACKET})
    for mask, value in others(frozenset({_AF_UNIX})):
        yield Rule("socketpair", errno.EAFNOSUPPORT, (Match(0, value, mask),))
    for kind in sorted(connected):
        yield Rule("socketpair", None, (pair, Match(1, kind, _TYPE)))
    for mask, value in others(connected, bits=4):
        yield Rule("socketpair", errno.ESOCKTNOSUPPORT, (pair, Match(1, value, mask)))
    # A browser sends the cookies of a notebook's server to every port of its host. Both calls:
    # tcp(7), listen(2) on a socket that was not bound picks a port.
    yield Rule("bind", errno.EACCES, ())
    yield Rule("listen", errno.EACCES, ())


def _families(allowed: frozenset[int]) -> Iterator[Rule]:
    for mask, value in others(allowed):
        yield Rule("socket", errno.EAFNOSUPPORT, (Match(0, value, mask),))


def _internet(family: Match) -> Iterator[Rule]:
    for mask, value in others(frozenset(_PROTOCOLS), bits=4):
        yield Rule("socket", errno.ESOCKTNOSUPPORT, (family, Match(1, value, mask)))
    for kind, protocols in _PROTOCOLS.items():
        context = (family, Match(1, kind, _TYPE))
        yield from choose("socket", 2, protocols, errno.EPROTONOSUPPORT, context)
