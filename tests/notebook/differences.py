"""What may differ between a plain and a sandboxed cell: one function a reason.

Each is given what was seen of both, as `plain_and_sandboxed.seen` returns it, and returns both
without that difference: what is left must be equal.

Guarantees: the names are those of the table in docs/explanation/what-differs.md.
Assumes: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

__all__ = ["DIFFERENCES"]

Outputs = list[Any]


def _metadata(outputs: Outputs) -> Outputs:
    """Metadata are dropped, unless they are sizes of an image."""
    return [
        [kind, {key: item for key, item in content.items() if key != "metadata"}]
        for kind, content in outputs
    ]


def _last(outputs: Outputs) -> Outputs:
    """The error that ends a cell is its last output."""
    return sorted(outputs, key=lambda output: str(output[0]))


def _groups(outputs: Outputs) -> Outputs:
    """IPython prints a group and shows no error; here the error is shown as well."""
    return [
        [kind, content if kind != "reply" else {"status": content["status"]}]
        for kind, content in outputs
        if kind != "error"
    ]


def _unsayable(outputs: Outputs) -> Outputs:
    """IPython shows its own failure to show the error; here the error is shown."""
    return [[kind, content["status"] if kind == "reply" else None] for kind, content in outputs]


def _depth(outputs: Outputs) -> Outputs:
    """Fewer calls are left until the limit of recursion."""
    return [
        [kind, content | {"traceback": (content["traceback"][:5], content["traceback"][-2:])}]
        for kind, content in outputs
    ]


def _once(outputs: Outputs) -> Outputs:
    """What Python warns of once a session is warned of once a cell."""
    return _last([output for output in outputs if output[0] != "streams"])


def _late(outputs: Outputs) -> Outputs:
    """What other programs write is there when the cell ends; a plain kernel's may come later."""
    return [output for output in outputs if output[0] != "streams"]


def _formatters(outputs: Outputs) -> Outputs:
    """An error of a representation is shown, and ends nothing."""
    return [output for output in outputs if output[0] != "reply"]


def _pager(outputs: Outputs) -> Outputs:
    """What a pager shows is displayed."""
    pages: Outputs = []
    for kind, content in outputs:
        if kind == "reply":
            pages += [page["data"] for page in content["payload"] or ()]
        else:
            pages.append(content["data"])
    return pages


def _history(outputs: Outputs) -> Outputs:
    """The history of sessions is a file that cells do not see."""
    return [output for output in outputs if output[0] != "streams"]


DIFFERENCES: Final[dict[str, Callable[[Outputs], Outputs]]] = {
    "depth": _depth,
    "formatters": _formatters,
    "groups": _groups,
    "history": _history,
    "late": _late,
    "last": _last,
    "metadata": _metadata,
    "once": _once,
    "pager": _pager,
    "unsayable": _unsayable,
}
