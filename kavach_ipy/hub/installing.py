"""Writing the files of a scope, and taking exactly those away again.

::

    enable    judge everything ─> directories ─> manifest ─> files     or nothing at all
    disable   judge everything ─> files ─> directories ─> manifest     what was edited stays

Guarantees: a file that this command did not write, or that was edited since, is neither overwritten
nor removed; each file appears whole or not at all; the manifest is written before the files that it
names, so that whatever an interrupted run has left can be undone; running twice changes nothing.
Assumes: nobody but the scope's owner can write to its directories, which is checked first.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from kavach_ipy.errors import FileRefused
from kavach_ipy.hub.manifest import LONGEST, Manifest, digest_of, read_manifest
from kavach_ipy.hub.scopes import Scope, Target
from kavach_ipy.hub.templates import rendered
from kavach_ipy.linux.owned import check_owned_directory, read_owned

__all__ = ["Done", "State", "disable", "enable", "state_of"]

State = Literal["absent", "written", "edited", "foreign"]
"""A file that is not there; as it was written; edited since; or not written by this command."""


@dataclass(frozen=True, slots=True)
class Done:
    """What happened to one file or directory."""

    what: Literal["wrote", "made", "unchanged", "kept", "removed", "absent"]
    path: str
    why: str = ""


def state_of(scope: Scope, path: str, manifest: Manifest) -> State:
    """Tell what a path of ``scope`` holds.

    Raises:
        FileRefused: others could have written it, or it is no regular file.
    """
    content = read_owned(path, {scope.owner}, limit=LONGEST)
    if content is None:
        return "absent"
    digest = manifest.files.get(path)
    if digest is None:
        return "foreign"
    return "written" if digest_of(content) == digest else "edited"


def enable(scope: Scope) -> Iterator[Done]:
    """Write the files of ``scope``, and say so one by one.

    Raises:
        FileRefused: a file is in the way, or others can write where it should be; nothing was
            written.
        OSError: the system refuses to write; what was written is in the manifest.
    """
    before = read_manifest(scope) or Manifest()
    contents = {target.path: rendered(scope, target) for target in scope.targets}
    _check_interpreter(scope)
    states = {}
    for target in scope.targets:
        check_owned_directory(os.path.dirname(target.path), {scope.owner})
        states[target.path] = state_of(scope, target.path, before)
        _check_conflict(target, states[target.path])
    missing = _missing_directories([*contents, scope.manifest])
    kept = {target.path for target in scope.targets if states[target.path] == "edited"}
    written = {path: digest_of(content) for path, content in contents.items() if path not in kept}
    # One that was made, and taken away since, is ours once.
    made = tuple(dict.fromkeys((*before.directories, *missing)))
    after = Manifest(before.files | written, made)
    for path in missing:
        os.mkdir(path, 0o755)
        # Whatever the umask is: everybody who runs a kernel reads these.
        os.chmod(path, 0o755)  # noqa: S103 - nobody but the owner may write
        yield Done("made", path)
    if after != before:
        _write(scope.manifest, after.to_bytes(), 0o644, may_replace=before != Manifest())
        yield Done("wrote", scope.manifest)
    for target in scope.targets:
        path = target.path
        if path in kept:
            yield Done("kept", path, "it was edited since it was written")
        elif states[path] == "written" and before.files[path] == written[path]:
            yield Done("unchanged", path)
        else:
            mode = 0o755 if target.is_program else 0o644
            _write(path, contents[path], mode, may_replace=states[path] == "written")
            yield Done("wrote", path)


def disable(scope: Scope) -> Iterator[Done]:
    """Remove what `enable` wrote, and say so one by one; what was edited since is kept.

    Raises:
        FileRefused: others can write the manifest or the files; nothing was removed.
        OSError: the system refuses to remove; the rest is still in the manifest.
    """
    manifest = read_manifest(scope)
    if manifest is None:
        return
    states = {path: state_of(scope, path, manifest) for path in manifest.files}
    kept = {path: digest for path, digest in manifest.files.items() if states[path] == "edited"}
    for path, state in states.items():
        match state:
            case "written":
                os.unlink(path)
                yield Done("removed", path)
            case "edited":
                yield Done("kept", path, "it was edited since it was written; it is yours now")
            case _:
                yield Done("absent", path, "somebody has removed it already")
    if kept:
        # So that it is still known which file was ours once.
        _write(
            scope.manifest,
            Manifest(kept, manifest.directories).to_bytes(),
            0o644,
            may_replace=True,
        )
        yield Done("kept", scope.manifest, "for the files that were kept")
    else:
        os.unlink(scope.manifest)
        yield Done("removed", scope.manifest)
    for path in sorted(manifest.directories, key=len, reverse=True):
        try:
            os.rmdir(path)
        except OSError:
            # Somebody has put something there, or has removed it.
            continue
        yield Done("removed", path)


def _check_interpreter(scope: Scope) -> None:
    """Refuse to let everybody's kernels be run by a Python that one of them can change."""
    if scope.name == "system" and not scope.below:
        places = (
            os.path.dirname(os.path.realpath(scope.python)),
            os.path.realpath(os.path.dirname(scope.python)),
            os.path.realpath(os.path.dirname(__file__)),
        )
        for path in places:
            check_owned_directory(path, {scope.owner})


def _check_conflict(target: Target, state: State) -> None:
    if state == "foreign":
        raise FileRefused(
            target.path,
            0,
            0,
            "it is there already, and kavach-jupyter did not write it",
            "move it away, or put what it says and what the template says together by hand",
        )
    if state == "edited" and not target.is_edited:
        raise FileRefused(
            target.path,
            0,
            0,
            "it was edited since kavach-jupyter wrote it",
            "move it away to have it written again",
        )


def _missing_directories(paths: list[str]) -> list[str]:
    """Return the directories above ``paths`` that do not exist, outermost first."""
    missing = set()
    for path in paths:
        above = os.path.dirname(path)
        while not os.path.lexists(above):
            missing.add(above)
            above = os.path.dirname(above)
    return sorted(missing, key=len)


def _write(path: str, content: bytes, mode: int, *, may_replace: bool) -> None:
    """Write a file so that it is there whole or not at all."""
    directory, name = os.path.split(path)
    draft = os.path.join(directory, f".{name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(draft, flags, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            # Whatever the umask is.
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        if may_replace:
            os.replace(draft, path)
        else:
            # link(2) refuses where a file has appeared meanwhile, and rename(2) does not.
            os.link(draft, path)
            os.unlink(draft)
    except BaseException:
        if os.path.lexists(draft):
            os.unlink(draft)
        raise
