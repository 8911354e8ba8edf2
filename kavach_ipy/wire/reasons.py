"""Why a value cannot come back, in words that help its owner.

Guarantees: `reason_for` answers for any object and runs none of its code; `shown` runs its `repr`,
whose length and exceptions are guarded.
Assumes: it runs in the child, where running the cell's code is harmless.
"""

from __future__ import annotations

import io
import re
import reprlib
import types
import weakref
from collections.abc import Iterator, Mapping
from enum import Enum

from kavach_ipy.wire.trusted import shape_of

__all__ = ["SEE_TYPES", "kind_of", "reason_for", "shown"]

SEE_TYPES = "see %kavach explain types"
"""Where a reader finds what does come back."""

_CODE = "code is never taken out of the sandbox"
_KINDS: tuple[tuple[type | tuple[type, ...], str, str], ...] = (
    (types.ModuleType, "a module cannot come back", "import it in the notebook"),
    (
        (types.FunctionType, types.MethodType, types.CodeType),
        _CODE,
        "define it in the notebook",
    ),
    (
        (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType),
        _CODE,
        "import it in the notebook",
    ),
    (type, _CODE, "define it in the notebook"),
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
    (weakref.ref, "a weak reference points into the sandbox", "bring back what it refers to"),
    (memoryview, "a view of memory cannot come back", "bytes(value)"),
    (re.Pattern, "a compiled pattern is code", "bring back value.pattern"),
)
_BUILT_IN = (
    *(bool, int, float, complex, str, bytes, bytearray),
    *(list, tuple, dict, set, frozenset),
)
# By the first part of the module and the name of a class or of one of its bases: importing a
# library to ask would be the first thing that a cell without it notices.
_FIGURE = ("a figure is shown, and does not come back", "display it in the cell")
_UNDER_WAY = ("it is work under way, which ends with the sandbox", "bring back its result")
_LOCK = ("a lock or a thread ends with the sandbox", "bring back what it guards or made")
_LIBRARIES: dict[tuple[str, str], tuple[str, str]] = {
    ("matplotlib", "Artist"): _FIGURE,
    ("plotly", "BaseFigure"): _FIGURE,
    ("bokeh", "Model"): _FIGURE,
    ("altair", "TopLevelMixin"): _FIGURE,
    ("PIL", "Image"): _FIGURE,
    ("_asyncio", "Future"): _UNDER_WAY,
    ("asyncio", "Future"): _UNDER_WAY,
    ("concurrent", "Future"): _UNDER_WAY,
    ("socket", "socket"): ("a connection ends with the sandbox", "bring back what it received"),
    ("subprocess", "Popen"): ("a process ends with the sandbox", "bring back its output"),
    ("torch", "Tensor"): ("not a listed type", "bring back value.numpy(force=True)"),
}
_THREADS = frozenset({"_thread", "threading", "_queue", "queue"})


def reason_for(value: object) -> tuple[str, str]:
    """Return the reason why a value of an unlisted type is withheld, and what would help."""
    cls = type(value)
    if cls is types.FunctionType and value.__name__ == "<lambda>":  # type: ignore[attr-defined]
        return f"a lambda is code, and {_CODE}", "define it in the notebook"
    for kinds, reason, remedy in _KINDS:
        if isinstance(value, kinds):
            return reason, remedy
    return _by_name(cls) or _by_shape(cls) or _by_behaviour(value)


def _by_name(cls: type) -> tuple[str, str] | None:
    for base in cls.__mro__:
        module = str(base.__module__)
        if module in _THREADS:
            return _LOCK
        if found := _LIBRARIES.get((module.partition(".")[0], base.__name__)):
            return found
    return None


def _by_shape(cls: type) -> tuple[str, str] | None:
    """Return the reason for a class that its owner could trust as it is."""
    shape = shape_of(cls)
    if shape is None:
        return None
    name = cls.__qualname__.rpartition(".")[2]
    remedy = f"define it in the notebook and call kavach_ipy.trust({name}) before the cell"
    if issubclass(cls, Enum):
        remedy = f"bring back value.value, or {remedy}"
    return f"{shape} whose class is not trusted", remedy


def _by_behaviour(value: object) -> tuple[str, str]:
    if isinstance(value, Iterator):
        return "it is half-way through its items", "bring back its items: list(value)"
    if isinstance(value, _BUILT_IN):
        return (
            "it is a subclass, and its own behaviour would be lost",
            "convert it first to the built-in type",
        )
    if isinstance(value, Mapping):
        return "not a listed type", f"convert it first: dict(value), or {SEE_TYPES}"
    return "not a listed type", SEE_TYPES


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
