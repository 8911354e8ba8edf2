"""Is this log what was written? The reader's half of `audit.chain`.

Found, with the line: a change of any byte, a line that was taken out, put in, repeated, moved or
torn, whatever stands behind the end, and lines that are missing at the end, as far as a head or a
number that was kept elsewhere tells.
Not found: a log that was taken away whole; lines cut from an open log by somebody who puts an older
head back beside it; anything done by who has the secret.

Guarantees: pure reading, in memory that does not grow with the log; what is printed of a log is
clean text.
Assumes: nothing about the log and its head.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from kavach_ipy.audit.chain import (
    FIRST_MAC,
    HEAD_BYTES,
    LONGEST,
    chain_key,
    head_key,
    mac_of,
    next_key,
    parse_secret,
    split_line,
)

__all__ = ["Expected", "Finding", "Verdict", "read_key", "verify_log"]

_NAME: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong."""

    line: int
    """Counted from 1, as editors do; 0 for the log as a whole."""

    reason: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What somebody kept elsewhere: how many lines there were, and the MAC of the last of them."""

    lines: int
    mac: bytes

    @classmethod
    def parse(cls, text: str) -> Expected:
        """Read ``LINES:MAC``.

        Raises:
            ValueError: it is something else.
        """
        found = re.fullmatch(r"([0-9]{1,12}):([0-9a-fA-F]{64})", text)
        if found is None:
            raise ValueError(f"{text!r:.100} is not LINES:MAC")
        return cls(int(found[1]), bytes.fromhex(found[2]))


@dataclass(slots=True)
class Verdict:
    """What was found."""

    lines: int = 0
    """How many are intact, from the first."""

    mac: bytes = FIRST_MAC
    """Of the last of them."""

    is_closed: bool = False
    problem: Finding | None = None
    notes: list[str] = field(default_factory=list)
    """What is no fault of the log, and worth knowing."""

    @property
    def is_intact(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem is None


def read_key(path: str) -> bytes:
    """Read a key file.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else than 64 hexadecimal digits.
    """
    with open(path, "rb") as file:
        secret = parse_secret(file.read(1 << 10))
    if secret is None:
        raise ValueError(f"{path!r} is no key: 64 hexadecimal digits are")
    return secret


def verify_log(
    path: str, secret: bytes, *, head: str | None = None, expected: Expected | None = None
) -> Verdict:
    """Check one log.

    Args:
        path: the log.
        secret: of its key file.
        head: its head; the file beside it where it is None, if there is one.
        expected: what was kept elsewhere, checked besides.

    Raises:
        OSError: the log, or a head that was named, cannot be read.
    """
    # First: a kernel that runs writes a line and then the head, so this one is never ahead.
    told = _read_head(head or f"{path}.head", is_named=head is not None)
    with open(path, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return Verdict(problem=Finding(0, "it is no regular file"))
        reader = _Reader(secret, expected)
        for data in _lines(file):
            problem = reader.take(data)
            if problem is not None:
                reader.verdict.problem = Finding(reader.verdict.lines + 1, problem)
                return reader.verdict
    verdict = reader.verdict
    reader.note_cells()
    problem = _end_of(reader, told, expected)
    if problem is not None:
        verdict.problem = Finding(0, problem)
    return verdict


def _lines(file: BinaryIO) -> Iterator[bytes]:
    # One byte more than any line has, so that one that is too long is seen to be.
    while data := file.readline(LONGEST + 1):
        yield data


class _Reader:
    """Goes from line to line."""

    def __init__(self, secret: bytes, expected: Expected | None) -> None:
        self.verdict = Verdict()
        self.name = ""
        self.secret = secret
        self.met = expected is None
        self._expected = expected
        self._key = b""
        self._begun: set[int] = set()
        self._odd = 0
        self._left: list[object] = []

    def take(self, data: bytes) -> str | None:
        """Check the next line; what is wrong with it."""
        verdict = self.verdict
        if verdict.is_closed:
            return "it stands behind the end of the log, so somebody else wrote it"
        if not data.endswith(b"\n"):
            if len(data) > LONGEST:
                return f"it is longer than any line, {LONGEST} bytes"
            return (
                "it is torn: its end is missing, so the log was cut, or power was lost, or it is"
                " being written at this moment"
            )
        parts = split_line(data)
        document = _document(data)
        if parts is None or document is None:
            return "it is no line of a log: a JSON object that ends with its MAC is"
        body, mac = parts
        if not verdict.lines:
            if (name := _name_of(document)) is None:
                return "a log begins with a line of the kind open, which names its chain"
            self.name = name
            self._key = chain_key(self.secret, name)
        if not hmac.compare_digest(mac_of(self._key, verdict.mac, body), mac):
            return self._why(document)
        verdict.mac = mac
        verdict.lines += 1
        self._key = next_key(self._key)
        self._note(document)
        if self._expected is not None and verdict.lines == self._expected.lines:
            self.met = hmac.compare_digest(verdict.mac, self._expected.mac)
        return None

    def _why(self, document: dict[str, object]) -> str:
        """Say what a MAC that does not fit most probably means."""
        due, found = self.verdict.lines, document.get("line")
        if isinstance(found, int) and found != due:
            if found > due:
                return (
                    f"it says that it was line {found + 1}: what stood between was taken out, or"
                    " lines were moved"
                )
            return f"it says that it was line {found + 1}: it was repeated, moved or put in"
        if not due:
            return "its MAC does not fit: it was changed, or this is not the key of this log"
        return "its MAC does not fit: it, or the end of the line before, was changed or put in"

    def _note(self, document: dict[str, object]) -> None:
        """Follow the cells of a line that is authentic."""
        cell = document.get("cell")
        match document.get("kind"):
            case "begin" if isinstance(cell, int):
                self._begun.add(cell)
            case "cell" if isinstance(cell, int):
                self._odd += cell not in self._begun
                self._begun.discard(cell)
            case "close":
                self.verdict.is_closed = True
            case _:
                pass

    def note_cells(self) -> None:
        """Say what the lines say together."""
        notes = self.verdict.notes
        if self._begun:
            shown = ", ".join(map(str, sorted(self._begun)[:10]))
            notes.append(
                f"{len(self._begun)} cells have a beginning and no event: {shown}. They run still,"
                " or the kernel ended, or the event could not be written"
            )
        if self._odd:
            notes.append(
                f"{self._odd} events have no beginning before them, or stand twice: a write was"
                " interrupted, or their beginning is in an earlier log"
            )


def _document(data: bytes) -> dict[str, object] | None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _name_of(document: dict[str, object]) -> str | None:
    name = document.get("chain")
    if document.get("kind") == "open" and isinstance(name, str) and _NAME.fullmatch(name):
        return name
    return None


def _end_of(reader: _Reader, told: bytes | None, expected: Expected | None) -> str | None:
    """Tell whether lines are missing at the end."""
    verdict = reader.verdict
    if not verdict.lines:
        return "there is no line in it"
    if expected is not None and not reader.met:
        if verdict.lines < expected.lines:
            return f"{expected.lines} lines were expected, and there are {verdict.lines}"
        return f"line {expected.lines} has another MAC than was expected"
    if told is not None:
        problem = _against_head(reader, told)
        if problem is not None:
            return problem
    if verdict.is_closed:
        return None
    if told is None and expected is None:
        return (
            "it was not closed and there is no head beside it, so nobody can tell whether lines are"
            " missing at its end; --head or --expect names what was kept elsewhere"
        )
    verdict.notes.append(
        "it is not closed: its kernel runs still, or its writer was killed. Whether lines that came"
        " after what is held against it are missing cannot be told"
    )
    return None


def _read_head(path: str, *, is_named: bool) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES + 1)
    except FileNotFoundError:
        if is_named:
            raise
        return None


def _against_head(reader: _Reader, data: bytes) -> str | None:
    verdict = reader.verdict
    parts = split_line(data.rstrip(b" \n") + b"\n") if len(data) == HEAD_BYTES else None
    if parts is None or not hmac.compare_digest(
        mac_of(head_key(reader.secret, reader.name), b"", parts[0]), parts[1]
    ):
        return "its head was changed, torn, or is that of another log"
    told = json.loads(parts[0] + b"}")
    lines = int(told["lines"])
    if lines > verdict.lines:
        return f"its head says {lines} lines, and there are {verdict.lines}: it was cut at the end"
    if told["state"] == "closed" and not verdict.is_closed:
        return "its head says that it was closed, and its last line does not: it was cut at the end"
    if lines < verdict.lines:
        verdict.notes.append(
            f"its head tells of {lines} of its {verdict.lines} lines: it is older, or was not"
            " written"
        )
    return None
