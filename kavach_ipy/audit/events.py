"""One event for one cell: what `cell_event.yaml` describes, made of plain values.

Guarantees: bounded in size and number whatever the cell did; every text that a cell, a notebook or
an environment variable had a hand in was through the text filter and stands on one line; the text
of a cell is left out unless it is asked for.
Assumes: the outcome has been through the gate.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import socket
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from kavach_ipy.audit.source import CellSource
from kavach_ipy.errors import CellFailed, CellStopped, KavachError
from kavach_ipy.gate.text import clean_line
from kavach_ipy.launch.layers import ConfinementReport
from kavach_ipy.policy import DEFAULT_ENVIRONMENT, Policy
from kavach_ipy.wire.messages import RESULT

if TYPE_CHECKING:
    from kavach_ipy.gate.outcome import Outcome

__all__ = [
    "LONGEST_EVENT",
    "Event",
    "beginning",
    "ending",
    "members_of",
    "now",
    "opening",
    "refusal",
    "who",
]

_T = TypeVar("_T")
Event: TypeAlias = dict[str, object]

LONGEST_EVENT: Final = 120_000
"""Bytes of an event as JSON; socket(7): a packet of twice as many fits into any socket."""

_NAME: Final = 100
_KIND: Final = 120
_REASON: Final = 300
_PATH: Final = 1000
_MOST: Final = 64
_LISTED: Final = 200
_CODE: Final = 16_384


def now() -> str:
    """Return the time, in UTC: RFC 3339 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def who() -> Event:
    """Return whose kernel this is: the user and machine, and whom a hub says that it serves."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        # A container often runs under a number that has no name.
        name = ""
    return {
        "user": clean_line(name, _NAME),
        "uid": uid,
        "hub_user": _text(os.environ.get("JUPYTERHUB_USER"), _NAME),
        "host": clean_line(socket.gethostname(), _NAME),
        "pid": os.getpid(),
    }


def opening(chain: str, whose: Event) -> Event:
    """Return the first line of a log."""
    try:
        package = version("kavach-ipy")
    except PackageNotFoundError:
        # A checkout on the search path.
        package = None
    return {"chain": chain, "version": 1, "at": now(), "package": package, "who": whose}


def beginning(source: CellSource, policy: Policy, number: int, *, with_code: bool) -> Event:
    """Return what is known before a cell runs."""
    text = source.code
    data = text.encode("utf-8", "surrogatepass")
    code: Event = {"sha256": hashlib.sha256(data).hexdigest(), "characters": len(text)}
    if with_code:
        # JSON escapes whatever a terminal would obey; the hash is that of the whole text.
        code["text"] = text[:_CODE]
        code["is_whole"] = len(text) <= _CODE
    way = "session" if policy.session is not None else "clean" if policy.clean else "fork"
    return {
        "cell": number,
        "began": now(),
        "way": way,
        "notebook": _text(source.notebook, _PATH),
        "cell_id": _text(source.cell_id, _NAME),
        "code": code,
        "policy": {
            name: _plain(value)
            for name, value in policy.to_mapping().items()
            if name != "environment" or value != DEFAULT_ENVIRONMENT
        },
    }


def ending(
    outcome: Outcome,
    sizes: Mapping[str, int],
    peaks: tuple[int, int] | None,
    cpu_seconds: float | None,
) -> Event:
    """Return what became of a cell that ran.

    Args:
        outcome: of the gate.
        sizes: bytes that each value had on its way back.
        peaks: most bytes of new memory and most processes that were seen; None where the cell was
            over before a look.
        cpu_seconds: processor time of the sandbox's processes; None where they live on.
    """
    report = outcome.report
    layers = report.layers if isinstance(report, ConfinementReport) else ()
    score = report.strength.score if isinstance(report, ConfinementReport) else None
    values = dict(outcome.values)
    if RESULT in sizes and outcome.result is not None:
        values[RESULT] = outcome.result
    return {
        "outcome": _end_of(outcome.failure),
        "layers": [{"name": layer.name, "state": layer.state} for layer in layers],
        "strength": score,
        "resources": {
            "seconds": round(outcome.seconds, 6),
            "cpu_seconds": None if cpu_seconds is None else round(cpu_seconds, 6),
            "memory": None if peaks is None else peaks[0],
            "processes": None if peaks is None else peaks[1],
            "stdout": len(outcome.stdout),
            "stderr": len(outcome.stderr),
            "displays": len(outcome.outputs),
        },
        "returned": [
            {
                "name": clean_line(name, _NAME),
                "kind": clean_line(f"{type(value).__module__}.{type(value).__qualname__}", _KIND),
                "bytes": sizes.get(name),
            }
            for name, value in _first(values)
        ],
        "returned_count": len(values),
        "withheld": [
            {
                "name": clean_line(name, _NAME),
                "kind": clean_line(one.kind, _KIND),
                "reason": clean_line(one.reason, _REASON),
            }
            for name, one in _first(outcome.withheld)
        ],
        "withheld_count": len(outcome.withheld),
    }


def refusal(error: BaseException) -> Event:
    """Return what became of a cell that did not run, or whose end nobody heard."""
    if isinstance(error, KavachError):
        return {"outcome": _end("refused", type(error).__name__, str(error))}
    if isinstance(error, KeyboardInterrupt):
        return {"outcome": _end("interrupted", "KeyboardInterrupt", "")}
    # The text of a stranger's exception may be anything, a value among it.
    return {"outcome": _end("error", type(error).__name__, "")}


def members_of(event: Event) -> bytes:
    """Write an event as the members of a JSON object, without braces, in ASCII.

    One that is too long says less: first without the text of the cell, then without details.
    """
    text = _members(event)
    if len(text) > LONGEST_EVENT:
        shorter = {**event, "shortened": True}
        if isinstance(code := event.get("code"), dict):
            shorter["code"] = {
                name: code[name] for name in code if name not in ("text", "is_whole")
            }
        text = _members(shorter)
        if len(text) > LONGEST_EVENT:
            text = _members({**shorter, "returned": [], "withheld": [], "policy": {}})
    return text


def _members(event: Event) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode("ascii")[1:-1]


def _end_of(failure: CellFailed | CellStopped | None) -> Event:
    match failure:
        case None:
            return _end("ok", None, "")
        case CellFailed():
            # Not what it said: that is the cell's text, and may be any value of the notebook's.
            return _end("failed", failure.name, "")
        case CellStopped():
            return _end("stopped", failure.limit, str(failure))


def _end(status: str, kind: str | None, reason: str) -> Event:
    return {
        "status": status,
        "kind": _text(kind, _KIND),
        "reason": clean_line(reason, _REASON),
    }


def _first(values: Mapping[str, _T]) -> list[tuple[str, _T]]:
    return [*values.items()][:_MOST]


def _text(value: str | None, limit: int) -> str | None:
    return None if value is None else clean_line(value, limit)


def _plain(value: object) -> object:
    if isinstance(value, str):
        return clean_line(str(value), _PATH)
    if isinstance(value, Collection):
        return [_plain(one) for one in [*value][:_LISTED]]
    return value
