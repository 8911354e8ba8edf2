"""A body that runs plain Python, for callers that have no IPython: graders, harnesses, scripts.

Guarantees: standard library only; the traceback holds the cell's own frames; text goes out as it
is printed, a line at a time.
Assumes: runs in the child, after "go".
"""

from __future__ import annotations

import ast
import io
import linecache
import sys
import traceback
import types
from collections.abc import Callable, Mapping
from typing import Literal

from kavach_ipy.launch.exhausted import explain
from kavach_ipy.launch.link import INTERRUPTED, Body, ChildLink
from kavach_ipy.policy import Policy
from kavach_ipy.wire.messages import RESULT, Failure

__all__ = ["Script", "script_body"]

_FILE = "<cell>"


def script_body(code: str, inputs: Mapping[str, object]) -> Body:
    """Make the body that runs `code` as a module of its own.

    Args:
        code: Python source; the value of a last expression is the result.
        inputs: the variables it starts with, by reference: a fork shares them at no cost.
    """

    def body(link: ChildLink) -> Callable[[], None]:
        script = Script(link)
        script.prepare(code, inputs)
        return lambda: script.run(code)

    return body


class Script:
    """A module that source is run in, once or more often. Made in the child."""

    def __init__(self, link: ChildLink) -> None:
        self._link = link
        sys.stdout = _Stream(link, "stdout")
        sys.stderr = _Stream(link, "stderr")
        sys.stdin = io.StringIO()
        # pickle and multiprocessing look a cell's own classes and functions up in this module; the
        # caller's main program would be run again by each spawned worker, and is not inside.
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        self._namespace: dict[str, object] = main.__dict__
        self._namespace["__builtins__"] = __builtins__

    def prepare(self, code: str, inputs: Mapping[str, object]) -> None:
        """Put the variables and the lines of `code` where they are looked for."""
        self._namespace.update(inputs)
        # linecache serves traceback; the lazy form needs a loader, so the lines are put there.
        linecache.cache[_FILE] = (len(code), None, code.splitlines(keepends=True), _FILE)

    def run(self, code: str) -> None:
        """Run `code`, send what it was asked for, and say that it is done."""
        link = self._link
        try:
            link.heed_interrupts()
            failure, result, has_result = _run(code, self._namespace, link.policy)
            if failure is None:
                if has_result:
                    link.value(RESULT, result)
                _deliver(link, self._namespace)
        except KeyboardInterrupt:
            failure = INTERRUPTED
        link.put_interrupts_off()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        link.done(failure)


def _run(
    code: str, namespace: dict[str, object], policy: Policy
) -> tuple[Failure | None, object, bool]:
    """Execute, and evaluate the last expression; the failure, the result, and if there is one."""
    result: object = None
    has_result = False
    try:
        # What ast.parse does, without its frame in the traceback of a SyntaxError.
        tree = compile(code, _FILE, "exec", ast.PyCF_ONLY_AST)
        assert isinstance(tree, ast.Module)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, _FILE, "exec"), namespace)
        if isinstance(last, ast.Expr):
            result = eval(compile(ast.Expression(last.value), _FILE, "eval"), namespace)
            has_result = result is not None
    except BaseException as error:  # every way out of the cell is an outcome, SystemExit included
        return _failure(error, policy), None, False
    return None, result, has_result


def _failure(error: BaseException, policy: Policy) -> Failure:
    notes = explain(error, policy)
    if error.__traceback__ is not None:
        # The first frame is `_run`, which is ours.
        error = error.with_traceback(error.__traceback__.tb_next)
    lines = "".join(traceback.format_exception(error)).splitlines()
    return Failure(type(error).__name__, _text(error), tuple(lines), notes)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as worse:  # a cell's own __str__ may raise anything
        return f"<its text could not be made: {type(worse).__name__}>"


def _deliver(link: ChildLink, namespace: Mapping[str, object]) -> None:
    for name in sorted(link.names):
        if name in namespace:
            link.value(name, namespace[name])
        else:
            link.unsent(name, "nothing", "the cell did not define it")


class _Stream(io.TextIOBase):
    """A text stream whose lines are Jupyter `stream` messages."""

    _AT_ONCE = 1 << 13

    def __init__(self, link: ChildLink, name: Literal["stdout", "stderr"]) -> None:
        self._link = link
        self._name = name
        self._parts: list[str] = []
        self._size = 0

    def writable(self) -> bool:
        """Say that text may be written."""
        return True

    def fileno(self) -> int:
        """Return the descriptor that subprocesses and native code write to."""
        return 1 if self._name == "stdout" else 2

    def write(self, text: str) -> int:
        """Take text; send it when it is a lot, else at the next `flush`."""
        # The sum raises the TypeError that bytes deserve, before they are kept.
        self._parts.append("" + text)
        self._size += len(text)
        if self._size >= self._AT_ONCE or "\n" in text:
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Send what waits."""
        parts, self._parts, self._size = self._parts, [], 0
        if parts:
            self._link.message("stream", {"name": self._name, "text": "".join(parts)})
