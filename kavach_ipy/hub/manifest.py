"""The manifest: what was written in a scope, so that it can be undone exactly.

Guarantees: a manifest that somebody else could have written is refused, and so is one that names a
file which no scope of this kind has: it tells root what to remove.
Assumes: SHA-256 tells an edited file from the one that was written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, cast

from kavach_ipy.errors import FileRefused
from kavach_ipy.hub.scopes import Scope
from kavach_ipy.linux.owned import read_owned

__all__ = ["LONGEST", "Manifest", "digest_of", "read_manifest"]

LONGEST: Final = 1 << 20
"""Bytes that a file of ours, or the manifest, may have."""

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was written."""

    files: dict[str, str] = field(default_factory=dict)
    """Path, and the digest of what was written there."""

    directories: tuple[str, ...] = ()
    """Directories that were made, outermost first."""

    def to_bytes(self) -> bytes:
        """Return it as `read_manifest` reads it."""
        whole = {"version": _VERSION, "files": self.files, "directories": list(self.directories)}
        return (json.dumps(whole, indent=2, sort_keys=True) + "\n").encode()


def digest_of(content: bytes) -> str:
    """Return the digest by which an edited file is told."""
    return hashlib.sha256(content).hexdigest()


def read_manifest(scope: Scope) -> Manifest | None:
    """Return what was written in ``scope``, or None where nothing was.

    Raises:
        FileRefused: others could have written it, or it names what no installation has.
    """
    data = read_owned(scope.manifest, {scope.owner}, limit=LONGEST)
    if data is None:
        return None
    try:
        whole = json.loads(data)
        files, directories = whole["files"], whole["directories"]
        is_whole = (
            whole["version"] == _VERSION
            and isinstance(files, dict)
            and isinstance(directories, list)
            and all(isinstance(text, str) for text in (*files, *files.values(), *directories))
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _refusal(scope, "it is no manifest") from error
    if not is_whole:
        raise _refusal(scope, "it is no manifest of this version")
    known = {target.path for target in scope.targets}
    for path in files:
        if path not in known:
            raise _refusal(scope, f"it names {path!r}, which is not installed in this scope")
    above = set(_above((*known, scope.manifest)))
    for path in directories:
        if path not in above:
            raise _refusal(scope, f"it names the directory {path!r}, in which nothing is installed")
    return Manifest(cast("dict[str, str]", files), tuple(cast("list[str]", directories)))


def _above(paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        while path != "/":
            path = os.path.dirname(path)  # noqa: PLW2901 - one step up each time
            yield path


def _refusal(scope: Scope, problem: str) -> FileRefused:
    return FileRefused(
        scope.manifest, 0, 0, problem, "remove the files of this scope and the manifest by hand"
    )
