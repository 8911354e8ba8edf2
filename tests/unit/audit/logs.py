"""Logs that the tests make without a process, and what a second verifier would say of them.

Guarantees: `intact` is written from the page docs/reference/audit.md alone, and shares no code with
`kavach_ipy.audit`.
Assumes: nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

from kavach_ipy.audit.chain import Chain

__all__ = ["NAME", "SECRET", "intact", "lines_of", "write_log"]

SECRET = bytes(range(32))
NAME = "0123456789abcdef" * 2


def lines_of(cells: int, *, is_closed: bool = True, name: str = NAME) -> tuple[list[bytes], bytes]:
    """The lines of a log, and its head."""
    chain = Chain(SECRET, name)
    lines = []

    def add(kind: str, members: str) -> None:
        link = chain.link(kind, members.encode())
        lines.append(link.data)
        chain.written(link)

    add("open", f'"chain":"{name}","version":1')
    for cell in range(1, cells + 1):
        add("begin", f'"cell":{cell}')
        add("cell", f'"cell":{cell},"outcome":{{"status":"ok"}}')
    if is_closed:
        add("close", '"why":"done","unfinished":[]')
    return lines, chain.head("closed" if is_closed else "open")


def write_log(place: Path, data: bytes, head: bytes | None = None) -> str:
    """Write a log, its key, and a head where there is one; its path."""
    path = place / "kavach-test.jsonl"
    path.write_bytes(data)
    (place / "kavach-test.jsonl.key").write_text(SECRET.hex() + "\n", encoding="ascii")
    if head is not None:
        (place / "kavach-test.jsonl.head").write_bytes(head)
    return str(path)


def intact(data: bytes) -> int | None:
    """How many lines are intact; None where one is not. A second verifier, line by line."""

    def mac(key: bytes, text: bytes) -> bytes:
        return hmac.new(key, text, hashlib.sha256).digest()

    key, last, count = b"", b"\0" * 32, 0
    for line in data.splitlines(keepends=True):
        if not line.endswith(b"\n") or line[-75:-67] != b',"mac":"' or line[-3:] != b'"}\n':
            return None
        document = json.loads(line)
        if not count:
            key = mac(SECRET, b"kavach audit chain " + document["chain"].encode())
        found = mac(key, last + line[:-75])
        if found.hex() != document["mac"] or document["line"] != count:
            return None
        key, last, count = mac(key, b"kavach audit next key"), found, count + 1
    return count
