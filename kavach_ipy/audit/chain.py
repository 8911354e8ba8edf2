"""The chain: how each line of a log vouches for itself and for all lines before it.

A line is a JSON object whose last member is its MAC::

    {"line":2,"kind":"cell", … ,"mac":"<64 hexadecimal digits>"}⏎

    mac[n]   = HMAC-SHA256(key[n], mac[n-1] ‖ the bytes of line n before ,"mac":")
    mac[-1]  = 32 zero bytes
    key[0]   = HMAC-SHA256(secret, "kavach audit chain " ‖ chain)
    key[n+1] = HMAC-SHA256(key[n], "kavach audit next key")

The bytes are authenticated as they stand, so nobody has to write JSON in one way to check a line.
Each key makes the next one and is then forgotten: who takes the writer's memory later cannot make
the MACs of lines before (Bellare and Yee, "Forward-Security in Private-Key Cryptography", 2003).

Guarantees: pure; a line has no line end in it, and is no longer than `LONGEST`.
Assumes: the secret is 32 random bytes; `chain` is the log's own name, drawn at random.
"""

from __future__ import annotations

import hmac
import re
from typing import Final, NamedTuple

__all__ = [
    "FIRST_MAC",
    "HEAD_BYTES",
    "LONGEST",
    "SUFFIX_BYTES",
    "Chain",
    "Link",
    "chain_key",
    "head_key",
    "mac_of",
    "next_key",
    "parse_secret",
    "split_line",
]

LONGEST: Final = 1 << 18
"""Bytes of a line, with its end. What makes events bounds them to half of it."""

FIRST_MAC: Final = bytes(32)
_SUFFIX: Final = re.compile(rb',"mac":"([0-9a-f]{64})"\}\n')
SUFFIX_BYTES: Final = len(',"mac":""}\n') + 64
HEAD_BYTES: Final = 256
"""Bytes of a head, padded: it is written over in place, by one call."""


class Link(NamedTuple):
    """One line that is ready to be written, and the MAC that makes it part of the chain."""

    data: bytes
    mac: bytes


class Chain:
    """Makes the lines of one log. The secret itself is not kept: it could make earlier keys."""

    __slots__ = ("_head_key", "_key", "last", "lines", "name")

    def __init__(self, secret: bytes, name: str) -> None:
        self.name = name
        self.lines = 0
        self.last = FIRST_MAC
        self._key = chain_key(secret, name)
        self._head_key = head_key(secret, name)

    def link(self, kind: str, members: bytes) -> Link:
        """Make the next line, without counting it: it may fail to be written.

        Args:
            kind: what it is, an ASCII word.
            members: further members of its JSON object, without braces.

        Raises:
            ValueError: there is a line end in it, or it is too long.
        """
        head = b'{"line":%d,"kind":"%s"' % (self.lines, kind.encode("ascii"))
        body = head + (b"," + members if members else b"")
        if b"\n" in body or len(body) + SUFFIX_BYTES > LONGEST:
            raise ValueError(f"{len(body)} bytes of {kind!r} are no line")
        mac = mac_of(self._key, self.last, body)
        return Link(b'%s,"mac":"%s"}\n' % (body, mac.hex().encode("ascii")), mac)

    def written(self, link: Link) -> None:
        """Count a line that was written, and forget the key that made it."""
        self.lines += 1
        self.last = link.mac
        self._key = next_key(self._key)

    def head(self, state: str) -> bytes:
        """Say how far the log goes, in a fixed number of bytes: what a truncation cannot change."""
        body = (
            f'{{"chain":"{self.name}","lines":{self.lines},"last":"{self.last.hex()}",'
            f'"state":"{state}"'
        ).encode("ascii")
        mac = mac_of(self._head_key, b"", body)
        text = b'%s,"mac":"%s"}' % (body, mac.hex().encode("ascii"))
        return text.ljust(HEAD_BYTES - 1) + b"\n"


def chain_key(secret: bytes, name: str) -> bytes:
    """Return key[0] of the log of that name."""
    return hmac.digest(secret, b"kavach audit chain " + name.encode("ascii"), "sha256")


def head_key(secret: bytes, name: str) -> bytes:
    """Return the key of the head of the log of that name."""
    return hmac.digest(secret, b"kavach audit head " + name.encode("ascii"), "sha256")


def next_key(key: bytes) -> bytes:
    """Return key[n+1] for key[n]."""
    return hmac.digest(key, b"kavach audit next key", "sha256")


def mac_of(key: bytes, last: bytes, body: bytes) -> bytes:
    """Return the MAC of a line, or of a head, whose bytes before the MAC are ``body``."""
    return hmac.digest(key, last + body, "sha256")


def split_line(data: bytes) -> tuple[bytes, bytes] | None:
    """Return the body of a line and its MAC; None where it does not end as a line does."""
    found = _SUFFIX.fullmatch(data[-SUFFIX_BYTES:])
    if found is None or len(data) > LONGEST:
        return None
    return data[:-SUFFIX_BYTES], bytes.fromhex(found[1].decode("ascii"))


def parse_secret(data: bytes) -> bytes | None:
    """Read what a key file holds, 64 hexadecimal digits and an optional line end; None for else."""
    text = data.removesuffix(b"\n")
    if re.fullmatch(rb"[0-9a-fA-F]{64}", text) is None:
        return None
    return bytes.fromhex(text.decode("ascii"))
