"""Every exception of this project, split by whose problem it is.

::

    KavachError
    ├── PolicyError      the request makes no sense            field, value, allowed
    │   └── FileRefused  a file that decides what is allowed   file, line, column, problem,
    │                    is wrong, or is not to be trusted      allowed
    ├── CannotEnforce    this machine cannot keep the promise;  layer, cause, remedy
    │                    nothing ran
    ├── SetupFailed      the child died before the cell's       step, call, errno
    │                    first line; nothing of the cell ran
    ├── CellStopped      the sandbox ended the cell             limit, used, allowed
    ├── CellFailed       the cell raised; carries text only     name, text, lines
    ├── OutputWithheld   the gate refused a result              name, kind, reason, remedy
    └── ProtocolError    the child broke the rules of the wire  offset, kind

Every class is raised somewhere and may be pickled.
A message says what failed, with which values, why probably, and what to do.
"""

from __future__ import annotations

import errno as _errno
import os

__all__ = [
    "CannotEnforce",
    "CellFailed",
    "CellStopped",
    "FileRefused",
    "KavachError",
    "OutputWithheld",
    "PolicyError",
    "ProtocolError",
    "SetupFailed",
]


class KavachError(Exception):
    """Root of the tree: catch this to catch everything that kavach_ipy raises on purpose."""

    _fields: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), tuple(getattr(self, name) for name in self._fields))


class PolicyError(KavachError, ValueError):
    """The request makes no sense: a value is out of range, misspelt, or contradicts another.

    Args:
        field: the option or setting, as the user wrote it (``memory``).
        value: what was given.
        allowed: a sentence that says what would have been accepted.
    """

    _fields: tuple[str, ...] = ("field", "value", "allowed")

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(f"{field}: {_shown(value)} is not allowed; {allowed}")


class FileRefused(PolicyError):
    """A file that decides what is allowed makes no sense, or others could have written it.

    Args:
        file: the file, or the directory above it that is at fault.
        line: where in it, counted from 1; 0 where the whole file is meant.
        column: the character in that line, counted from 1; 0 where the whole line is meant.
        problem: what was found.
        allowed: a sentence that says what would have been accepted, or what to do.
    """

    _fields = ("file", "line", "column", "problem", "allowed")

    def __init__(self, file: str, line: int, column: int, problem: str, allowed: str) -> None:
        super().__init__(file, problem, allowed)
        self.file = file
        self.line = line
        self.column = column
        self.problem = problem
        place = f"{file}, line {line}, column {column}" if line else file
        # Instead of what PolicyError says of an option: here the place is what a reader needs.
        self.args = (f"{place}: {problem}; {allowed}",)


class CannotEnforce(KavachError):
    """This machine cannot keep a promise that the policy makes, so nothing ran.

    Args:
        layer: the protection that cannot be had (``user namespace``).
        cause: the call and errno, or the fact, that shows it.
        remedy: what the reader, or their administrator, can do.
    """

    _fields = ("layer", "cause", "remedy")

    def __init__(self, layer: str, cause: str, remedy: str) -> None:
        self.layer = layer
        self.cause = cause
        self.remedy = remedy
        super().__init__(f"cannot enforce {layer}: {cause}. The cell did not run. {remedy}")


class SetupFailed(KavachError):
    """A step of the child failed before the cell's first line; nothing of the cell ran.

    Args:
        step: the step of the recipe (``mount /proc``).
        call: the system call, or ``verify`` when the parent refused what it read back.
        errno: the error number, 0 when the failure is not a system call's.
        detail: values and probable cause, and the remedy where one is known.
    """

    _fields = ("step", "call", "errno", "detail")

    def __init__(self, step: str, call: str, errno: int, detail: str) -> None:
        self.step = step
        self.call = call
        self.errno = errno
        self.detail = detail
        code = _errno.errorcode.get(errno, errno)
        name = f"{code} ({os.strerror(errno)})" if errno else "refused"
        super().__init__(f"{step}: {call}: {name}. {detail} The cell did not run.")


class CellStopped(KavachError):
    """The sandbox ended the cell: a limit was reached, a signal killed it, or it was interrupted.

    Args:
        limit: what ended it (``timeout``, ``memory``, ``signal``, ``exit``, ``interrupt``).
        used: the amount used, in words (``30.0 s``), or the signal's name.
        allowed: the amount allowed, in words, or an empty string.
        remedy: the option that raises the limit, or another way on.
    """

    _fields = ("limit", "used", "allowed", "remedy")

    def __init__(self, limit: str, used: str, allowed: str = "", remedy: str = "") -> None:
        self.limit = limit
        self.used = used
        self.allowed = allowed
        self.remedy = remedy
        bound = f" (allowed: {allowed})" if allowed else ""
        advice = f" {remedy}" if remedy else ""
        super().__init__(f"cell stopped by {limit}: {used}{bound}.{advice}")


class CellFailed(KavachError):
    """The cell raised an exception. What crossed the wire is text, never an object.

    Args:
        name: the exception's class name inside the cell, always an identifier.
        text: ``str()`` of the exception inside the cell, filtered.
        lines: the rendered traceback of the cell's own frames, filtered.
    """

    _fields = ("name", "text", "lines")

    def __init__(self, name: str, text: str, lines: tuple[str, ...] = ()) -> None:
        self.name = name
        self.text = text
        self.lines = tuple(lines)
        super().__init__(f"{name}: {text}" if text else name)


class OutputWithheld(KavachError):
    """The gate refused to bring a result back; the value stays outside the kernel.

    Args:
        name: the variable, or the output, that was asked for.
        kind: the type's name as the child gave it, filtered.
        reason: why it was refused.
        remedy: what would allow it, or an empty string.
    """

    _fields = ("name", "kind", "reason", "remedy")

    def __init__(self, name: str, kind: str, reason: str, remedy: str = "") -> None:
        self.name = name
        self.kind = kind
        self.reason = reason
        self.remedy = remedy
        advice = f"; {remedy}" if remedy else ""
        super().__init__(f"{name} ({kind}): {reason}{advice}")


class ProtocolError(KavachError):
    """The child sent bytes that no honest child sends; the sandbox is ended, the kernel goes on.

    Args:
        offset: bytes of the stream read before the fault.
        kind: the frame kind or rule that was broken.
        detail: what was seen and what is allowed.
    """

    _fields = ("offset", "kind", "detail")

    def __init__(self, offset: int, kind: str, detail: str) -> None:
        self.offset = offset
        self.kind = kind
        self.detail = detail
        super().__init__(f"the sandboxed process broke the wire at {offset} ({kind}): {detail}")


def _shown(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
