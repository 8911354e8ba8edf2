"""A policy file: its text in, what it says out, or a refusal with line and column.

TOML 1.0 (https://toml.io/en/v1.0.0) without tables: one key of ``file_keys`` a line, and its value.
The standard library's parser does not say where a value stands, so the lines are found by reading
the file once more, statement by statement; without tables that is the same file.

Guarantees: whatever the bytes are, the result is a `PolicyFile` or a ``FileRefused`` that names the
place; an unknown key, a wrong type and a value without sense are refused, and nothing is repaired.
Assumes: the caller has seen to it who wrote the bytes, and how many there are.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, assert_never, cast

from kavach_ipy.errors import FileRefused, PolicyError
from kavach_ipy.policy.auditing import AuditMode
from kavach_ipy.policy.file_keys import KEYS, OF_A_CELL, Key
from kavach_ipy.policy.floor import LOOSEST, Bound, PolicyFile
from kavach_ipy.policy.model import Network, Policy
from kavach_ipy.policy.suggestions import did_you_mean

__all__ = ["read_policy_file"]

# Finding the lines takes one parse a line, and of a list that is spread over many lines one for
# each of them.
_MOST_LINES: Final = 1000

_KEYS: Final = {key.name: key for key in KEYS}
_WHERE: Final = re.compile(r"\(at line (\d+), column (\d+)\)")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a statement stands, counted from 1."""

    line: int
    key: int
    """Column of the key."""
    value: int
    """Column of what stands right of the equals sign."""


# From cell to cell the file is the same; its bytes decide, so that a change is seen at once.
@functools.lru_cache(maxsize=8)
def read_policy_file(data: bytes, path: str) -> PolicyFile:
    """Return what the policy file at ``path`` says.

    Args:
        data: what is in it.
        path: its name, for refusals.

    Raises:
        FileRefused: it is no TOML, or says something that makes no sense.
    """
    text = _decoded(data, path)
    document = _parsed(text, path)
    places = _places_of(text)
    for name in document:
        if name not in _KEYS:
            raise _unknown(name, path, places)
    policies = _policies_of(document, path, places)
    bounds = [
        bound
        for key in KEYS
        if key.field and (bound := _bound(key, document, policies, places)) is not None
    ]
    off, audit = "allow_off", "audit"
    return PolicyFile(
        path,
        tuple(bounds),
        allow_off=bool(document.get(off, False)),
        allow_off_line=places[off].line if off in document else 0,
        audit=AuditMode(cast("str", document.get(audit, AuditMode.OFF.value))),
        audit_line=places[audit].line if audit in document else 0,
    )


def _decoded(data: bytes, path: str) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        raise FileRefused(path, line, column, "this is no UTF-8", "TOML is UTF-8 text") from error
    if text.count("\n") > _MOST_LINES:
        raise FileRefused(
            path, _MOST_LINES + 1, 1, "there are more lines", f"{_MOST_LINES} lines are enough"
        )
    return text


def _parsed(text: str, path: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise FileRefused(path, 1, 1, "it is nested too deeply", "no key has lists of lists") from (
            error
        )
    except ValueError as error:
        found = _WHERE.search(str(error))
        if found is None:
            line, column = text.count("\n") + 1, len(text.rpartition("\n")[2]) + 1
        else:
            line, column = int(found[1]), int(found[2])
        problem = _WHERE.sub("", str(error)).removesuffix("(at end of document)").strip().lower()
        raise FileRefused(
            path, line, column, f"this is no TOML: {problem}", 'key = value is, as in memory = "2G"'
        ) from error


def _places_of(text: str) -> dict[str, _Place]:
    """Return where each key stands, by reading one statement after the other."""
    places: dict[str, _Place] = {}
    begun, statement = 1, ""
    # Not splitlines(), which also splits where TOML sees no end of a line.
    for number, line in enumerate(text.split("\n"), 1):
        statement += f"{line}\n"
        try:
            names = tomllib.loads(statement)
        except ValueError:
            # It goes on in the next line: a list, or a text between three quotation marks.
            continue
        for name in names:
            indent = len(statement) - len(statement.lstrip(" \t"))
            key, equals, rest = statement.partition("=")
            # The header of a table has no value; it is refused by its name.
            value = len(key + equals) + len(rest) - len(rest.lstrip(" \t")) if equals else indent
            places.setdefault(name, _Place(begun, indent + 1, value + 1))
        begun, statement = number + 1, ""
    return places


def _unknown(name: str, path: str, places: Mapping[str, _Place]) -> FileRefused:
    advice = OF_A_CELL.get(name) or did_you_mean(name, _KEYS)
    place = places.get(name, _Place(1, 1, 1))
    return FileRefused(path, place.line, place.key, f"{name!r} is no key of a policy file", advice)


def _policies_of(
    document: Mapping[str, object], path: str, places: Mapping[str, _Place]
) -> dict[str, Policy]:
    """Return for each key the loosest policy that obeys it alone."""
    policies = {}
    for name, value in document.items():
        key, place = _KEYS[name], places[name]
        problem = _wrong_type(key, value)
        if problem:
            raise FileRefused(path, place.line, place.value, f"{name} = {_shown(value)}", problem)
        try:
            if key.field:
                policies[name] = LOOSEST.replace(**_changes(key, value, document))
        except PolicyError as error:
            raise FileRefused(
                path, place.line, place.value, f"{name} = {_shown(value)}", error.allowed
            ) from error
    return policies


def _changes(key: Key, value: object, document: Mapping[str, object]) -> dict[str, object]:
    match key.name:
        case "network":
            # The rest of the field is bounded by `Bound.network`; this checks the word.
            return {"network": value, "clean": True} if value == "host" else {"network": value}
        case "read_only":
            # Writing is more than reading, so a list of what may be read bounds both.
            return {"read_only": value, "writable": document.get("writable", [])}
        case "writable":
            # What may be read besides is not this key's to say. Where everything may be written,
            # the two would name the same place.
            return {
                "read_only": [] if "/" in cast("list[str]", value) else ["/"],
                "writable": value,
            }
        case _:
            return {key.field: value}


def _bound(
    key: Key,
    document: Mapping[str, object],
    policies: Mapping[str, Policy],
    places: Mapping[str, _Place],
) -> Bound | None:
    """Return what a key bounds; None where it is not mentioned and nothing holds then."""
    mentioned = key.name in document
    if not mentioned and not key.unmentioned:
        return None
    shown = _shown(document[key.name]) if mentioned else key.unmentioned
    line = places[key.name].line if mentioned else 0
    if key.field == "network":
        ceiling = Network(str(document.get(key.name, Network.LOOPBACK.value)))
        return Bound(key.name, key.field, shown, line, LOOSEST, ceiling)
    # Of what is not mentioned, only switches hold all the same.
    policy = policies[key.name] if mentioned else LOOSEST.replace(**{key.field: False})
    return Bound(key.name, key.field, shown, line, policy)


def _wrong_type(key: Key, value: object) -> str:
    """Return what is allowed instead of ``value``, or nothing where its type is right."""
    match key.kind:
        case "switch":
            return "" if isinstance(value, bool) else "true or false is"
        case "size" | "time" | "count":
            is_number = isinstance(value, int | float | str) and not isinstance(value, bool)
            return "" if is_number else f"a {key.kind} is, such as {_EXAMPLES[key.kind]}"
        case "word" if key.name == "audit":
            return "" if isinstance(value, str) and value in list(AuditMode) else key.forms
        case "word":
            return "" if isinstance(value, str) and value in list(Network) else key.forms
        case "words" | "paths":
            return _wrong_list(key, value)
        case _:
            assert_never(key.kind)


_EXAMPLES: Final = {"size": '"512M"', "time": '"30s"', "count": "64"}


def _wrong_list(key: Key, value: object) -> str:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return "a list of texts is, such as " + (
            '["/srv/data"]' if key.kind == "paths" else '["PATH", "LC_*"]'
        )
    # expanduser(3) of Python asks the environment for the home, which is the user's to set.
    if key.kind == "paths" and not all(item.startswith("/") for item in value):
        return "absolute paths are; where ~ leads, a user decides"
    return ""


def _shown(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case list():
            return f"[{', '.join(map(_shown, value))}]"
        case _:
            return str(value)
