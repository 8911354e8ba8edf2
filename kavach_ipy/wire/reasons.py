"""Why a value cannot come back, in words that help its owner.

Guarantees: `describe` answers for any object and runs none of its code but `repr`, whose length and
exceptions are guarded.
Assumes: it runs in the child, where running the cell's code is harmless.
"""

from __future__ import annotations

import io
import reprlib
import types
from collections.abc import Mapping
from enum import Enum

__all__ = ["kind_of", "reason_for", "shown"]

_CODE = "code is never taken out of the sandbox"
_KINDS: tuple[tuple[type | tuple[type, ...], str, str], ...] = (
    (types.ModuleType, "a module cannot come back", "import it in the notebook"),
    (
        (types.FunctionType, types.MethodType, types.CodeType),
        f"a function cannot come back: {_CODE}",
        "define it in a cell of the notebook",
    ),
    (
        (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType),
        f"a function cannot come back: {_CODE}",
        "import it in the notebook",
    ),
    (type, f"a class cannot come back: {_CODE}", "define it in a cell of the notebook"),
    (
        (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType),
        "it is running code, which ends with the sandbox",
        "bring back its items: list(value)",
    ),
    (
        (BaseException, types.TracebackType, types.FrameType),
        "exceptions come back as text only",
        "bring back str(value)",
    ),
    (io.IOBase, "an open file ends with the sandbox", "bring back what it holds: value.read()"),
    (Enum, "members of an Enum are not listed", "bring back value.value"),
    (memoryview, "a view of memory cannot come back", "bytes(value)"),
    (
        (bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset),
        "it is a subclass, and its own behaviour would be lost",
        "convert it first to the built-in type",
    ),
)


def reason_for(value: object) -> tuple[str, str]:
    """Return the reason why a value of an unlisted type is withheld, and what would help."""
    for kinds, reason, remedy in _KINDS:
        if isinstance(value, kinds):
            return reason, remedy
    if type(value).__module__ in {"_thread", "threading", "_queue", "queue"}:
        return "it belongs to threads, which end with the sandbox", ""
    if isinstance(value, Mapping):
        return "its type is not listed", "convert it first: dict(value)"
    return "its type is not listed", "bring back the values it holds: numbers, texts, arrays"


def kind_of(value: object) -> str:
    """Return the name of the value's class, with its module unless that is `builtins`."""
    cls = type(value)
    module, name = cls.__module__, cls.__qualname__
    # A class may say anything of itself, even no text.
    if type(module) is not str or type(name) is not str:
        return "object"
    return (name if module == "builtins" else f"{module}.{name}")[:200]


def shown(value: object, limit: int) -> str:
    """Return the value's repr, at most `limit` characters of it; a failing repr is said so."""
    writer = reprlib.Repr()
    writer.maxstring = writer.maxother = writer.maxlong = limit
    try:
        text = writer.repr(value)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a repr may raise anything.
        return f"<repr raised {type(error).__name__}>"
    return text[:limit]
