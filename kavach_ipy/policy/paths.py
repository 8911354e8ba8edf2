"""Paths that a policy holds, and what a set of them means together.

A path listed as read-only or writable speaks for everything below it, until a deeper listed path
speaks otherwise; a hidden path speaks for everything below it and nothing below it can be listed.
What no listed path speaks for is left to the built-in view (system, environment, working
directory).

Guarantees: paths are absolute, normalised, encodable for the kernel; two sets of lists that mean
the same are equal.
Assumes: no file system. ``..`` is resolved in the text (``os.path.normpath``), symbolic links are
the launcher's matter.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Final

from kavach_ipy.errors import PolicyError

__all__ = [
    "Reach",
    "covers",
    "is_covered",
    "listed",
    "normalise_path",
    "normalise_paths",
    "outermost",
    "places",
    "reach",
    "shortest_lists",
]

# limits.h: PATH_MAX counts the final null byte; open(2) answers ENAMETOOLONG above it.
_PATH_MAX: Final = 4096


class Reach(IntEnum):
    """What a listed path grants; the order is the order of looseness."""

    UNLISTED = 0
    READ = 1
    WRITE = 2


def normalise_path(value: object, *, field: str = "path") -> str:
    """Return an absolute path without ``.``, ``..`` or doubled slashes.

    Args:
        value: a string, bytes or ``os.PathLike``; ``~`` is expanded. Names that are no UTF-8
            are kept by ``surrogateescape``, as everywhere in Python.
        field: the name to use in the error.

    Raises:
        PolicyError: relative, too long, with a null byte, or no path at all.
    """
    allowed = "an absolute path is, or one that begins with ~/"
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise PolicyError(field, value, allowed)
    text = os.path.expanduser(os.fsdecode(value))
    if "\0" in text:
        raise PolicyError(field, value, "no path can hold a null byte")
    if not text.startswith("/"):
        raise PolicyError(field, value, allowed)
    # POSIX leaves two leading slashes to the implementation and normpath() keeps them; on Linux
    # they mean "/" (path_resolution(7)), and "//etc" must equal "/etc".
    path = os.path.normpath("/" + text.lstrip("/"))
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError as error:
        raise PolicyError(field, value, "a lone surrogate is no name of a file") from error
    if len(encoded) >= _PATH_MAX:
        raise PolicyError(field, value, f"a path is shorter than {_PATH_MAX} bytes")
    # The kernel compares bytes, and surrogates can spell bytes that are UTF-8 after all
    # ("\udcc3\udca9" for "é"). Through the bytes and back, one file has one text, so that
    # nothing hidden can be listed under another spelling.
    return os.fsdecode(encoded)


def normalise_paths(value: object, *, field: str = "paths") -> frozenset[str]:
    """Return the normalised paths of one path, or of a list of them.

    Raises:
        PolicyError: see `normalise_path`.
    """
    if isinstance(value, (str, bytes, os.PathLike)):
        return frozenset({normalise_path(value, field=field)})
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise PolicyError(field, value, "an absolute path is, or a list of them")
    return frozenset(normalise_path(item, field=field) for item in value)


def covers(above: str, path: str) -> bool:
    """Tell whether ``path`` is ``above`` or lies below it; both normalised."""
    return above in ("/", path) or path.startswith(f"{above}/")


def is_covered(path: str, tops: Iterable[str]) -> bool:
    """Tell whether one of ``tops`` is ``path`` or lies above it."""
    return any(covers(top, path) for top in tops)


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Return ``paths`` sorted, without those that lie below another one of them."""
    kept: set[str] = set()
    # A path above another one is shorter, so it has been kept before the other is looked at.
    for path in sorted(set(paths), key=len):
        if not is_covered(path, kept):
            kept.add(path)
    return tuple(sorted(kept))


def listed(read_only: Iterable[str], writable: Iterable[str]) -> dict[str, Reach]:
    """Return the two lists as one mapping; a path in both is read-only."""
    return dict.fromkeys(writable, Reach.WRITE) | dict.fromkeys(read_only, Reach.READ)


def reach(path: str, marks: Mapping[str, Reach]) -> Reach:
    """Return what the deepest entry of ``marks`` at or above ``path`` grants."""
    for candidate in _upwards(path):
        if candidate in marks:
            return marks[candidate]
    return Reach.UNLISTED


def shortest_lists(
    marks: Mapping[str, Reach], hidden: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (read-only, writable) lists that mean ``marks`` with as few entries as possible.

    Args:
        marks: what each path grants. An ``UNLISTED`` entry must not lie below a listed one: lists
            cannot say that.
        hidden: entries below one of these paths are left out, as nothing can be seen there.
    """
    tops = tuple(hidden)
    kept: dict[str, Reach] = {}
    for path in sorted(marks, key=len):
        if marks[path] != reach(path, kept) and not is_covered(path, tops):
            kept[path] = marks[path]
    return (
        tuple(sorted(path for path, mark in kept.items() if mark is Reach.READ)),
        tuple(sorted(path for path, mark in kept.items() if mark is Reach.WRITE)),
    )


OWN_PLACES: Final = ("/proc", "/dev")
"""What a sandbox has of its own; of the host's, nothing is seen there."""


def places(
    read_only: object, writable: object, hidden: object
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the three lists of a policy in their shortest form.

    Raises:
        PolicyError: a path is none, stands in both of the first two, or lies in a hidden one; or
            everything would be hidden, or what no cell can run without.
    """
    read = normalise_paths(read_only, field="read_only")
    write = normalise_paths(writable, field="writable")
    hide = outermost(normalise_paths(hidden, field="hidden"))
    if "/" in hide:
        raise PolicyError("hidden", "/", "a path below / is: nothing runs without the system")
    for path in hide:
        if is_covered(path, OWN_PLACES):
            raise PolicyError(
                "hidden",
                path,
                f"a path of the host's is: {' and '.join(OWN_PLACES)} are the sandbox's own",
            )
    for path in sorted(read & write):
        raise PolicyError("writable", path, "it is read-only as well: name it once")
    for field, paths in (("read_only", read), ("writable", write)):
        for path in sorted(paths):
            if is_covered(path, hide):
                raise PolicyError(
                    field, path, "it lies in a hidden path, and hidden wins: name one of them only"
                )
    return *shortest_lists(listed(read, write), hide), hide


def _upwards(path: str) -> Iterator[str]:
    while path != "/":
        yield path
        path = path.rpartition("/")[0] or "/"
    yield "/"
