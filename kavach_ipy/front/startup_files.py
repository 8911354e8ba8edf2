"""The user's profile as text: what an ordinary kernel would run when it starts.

Configuration files and start-up files are Python. A broker reads them as it reads any text, and
hands them to the session, which runs them (`front.startup`).

Guarantees: nothing is run, parsed or imported; what is read is bounded in number and bytes; what is
no regular file is left out.
Assumes: the profile directory is the user's own.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from kavach_ipy.front.messages import plain

if TYPE_CHECKING:
    from kavach_ipy.wire.documents import Json

__all__ = ["profile_texts", "shell_sections"]

_NAMES: Final = tuple(
    f"{name}.{kind}"
    for name in ("ipython_config", "ipython_kernel_config")
    for kind in ("py", "json")
)
_STARTUP: Final = "startup"
_MOST_FILES: Final = 200
_MOST_BYTES: Final = 1 << 20
_PYTHONSTARTUP: Final = "PYTHONSTARTUP"
# Of the launcher's configuration: what is of a shell's concern, and nothing of the kernel's keys.
_SECTIONS: Final = (
    "InteractiveShellApp",
    "InteractiveShell",
    "IPCompleter",
    "Completer",
    "InlineBackend",
)


def profile_texts(directory: str) -> dict[str, Json]:
    """Return the files of a profile that a kernel would run: path below it, and text.

    Args:
        directory: the profile's; what ``PYTHONSTARTUP`` names comes under that name.
    """
    found: dict[str, Json] = {}
    for name, path in _candidates(directory):
        if len(found) >= _MOST_FILES:
            break
        text = _read(path)
        if text is not None:
            found[name] = text
    return found


def shell_sections(config: Any) -> dict[str, Json]:
    """Return what the launcher's configuration says of the shell."""
    found: dict[str, Json] = {}
    for section in _SECTIONS:
        with suppress(TypeError, RecursionError):
            found[section] = plain(dict(config.get(section, {})))
    return found


def _candidates(directory: str) -> Iterator[tuple[str, str]]:
    for name in _NAMES:
        yield name, os.path.join(directory, name)
    startup = os.path.join(directory, _STARTUP)
    with suppress(OSError):
        for name in sorted(os.listdir(startup)):
            if name.endswith((".py", ".ipy")):
                yield f"{_STARTUP}/{name}", os.path.join(startup, name)
    named = os.environ.get(_PYTHONSTARTUP)
    if named:
        yield _PYTHONSTARTUP, named


def _read(path: str) -> str | None:
    try:
        # A pipe would keep the kernel waiting.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            data = file.read(_MOST_BYTES + 1)
    except OSError:
        return None
    return None if len(data) > _MOST_BYTES else data.decode("utf-8", "replace")
