"""Errors as a notebook shows them: the cell's own traceback, or one message; no frame of ours.

IPython asks an exception for ``_render_traceback_`` before it formats one itself, so an error that
brings its lines along is shown as they are, and the reply to the front end says "error".

Guarantees: what is raised here carries text only, is still an instance of the class in
``kavach_ipy.errors`` that it stands for, and pickles as that class.
Assumes: names and lines have been through the gate.
"""

from __future__ import annotations

import keyword
import textwrap
from typing import Final

from IPython.core.error import UsageError

from kavach_ipy.errors import CannotEnforce, CellFailed, CellStopped, KavachError, SetupFailed

__all__ = ["SandboxError", "as_shown", "needs_linux"]

_WIDTH: Final = 100
_BOLD_RED: Final = "\x1b[1;31m"
_PLAIN: Final = "\x1b[0m"


class _Shown(KavachError):
    """An error that shows itself in a few lines."""

    def _render_traceback_(self) -> list[str]:
        return [f"{_BOLD_RED}{type(self).__name__}{_PLAIN}: {_wrapped(str(self))}"]

    def __reduce__(self) -> tuple[object, ...]:
        # Classes made on the spot cannot be found by name, so the one below stands in.
        base = next(
            kind for kind in type(self).__mro__ if kind.__module__ == KavachError.__module__
        )
        return (base, tuple(getattr(self, name) for name in self._fields))


class SandboxError(_Shown, CellFailed):
    """The cell raised an exception; the class is made on the spot and has that exception's name.

    ``except SandboxError`` catches whatever a sandboxed cell raised, ``.name`` tells which.
    """

    def __str__(self) -> str:
        return self.text

    def _render_traceback_(self) -> list[str]:
        return list(self.lines) or super()._render_traceback_()


def as_shown(error: KavachError) -> Exception:
    """Return the exception to raise in the notebook for ``error``.

    A ``UsageError`` of the cell is one here too: IPython shows it as one line.
    """
    match error:
        case CellFailed(name="UsageError", lines=()):
            return UsageError(error.text)
        case CellFailed():
            kind: type[KavachError] = type(_class_name(error.name), (SandboxError,), {})
            return kind(error.name, error.text, error.lines)
        case CannotEnforce() | SetupFailed() | CellStopped():
            kind = type(type(error).__name__, (_Shown, type(error)), {})
            fields = type(error)._fields
            return kind(*(getattr(error, name) for name in fields))
        case _:
            return error


def needs_linux(platform: str) -> Exception:
    """Return the one sentence for a machine on which nothing of this project can work."""
    return UsageError(
        f"kavach_ipy needs Linux, and this is {platform}: its sandbox is made of the Linux kernel's"
        " namespaces and seccomp. Run the notebook's kernel on Linux, for instance in a virtual"
        " machine."
    )


def _class_name(name: str) -> str:
    # It becomes the "ename" of the notebook's error output, and only ever an identifier.
    return name if name.isidentifier() and not keyword.iskeyword(name) else "SandboxError"


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False))
