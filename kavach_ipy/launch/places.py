"""Which path of the host appears where inside, as an ordered list of mounts.

Guarantees: pure; parents come before children; what is hidden comes last; nothing is visible that
no rule names.
Assumes: the facts are the host's own, not the child's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from kavach_ipy.errors import CannotEnforce
from kavach_ipy.launch.host import Entry, Host
from kavach_ipy.policy import Policy
from kavach_ipy.policy.paths import OWN_PLACES

__all__ = [
    "Bind",
    "Device",
    "Hide",
    "Link",
    "Overlay",
    "Place",
    "Places",
    "Scratch",
    "View",
    "lay_out",
]


@dataclass(frozen=True, slots=True)
class Bind:
    """A path of the host, with all below it, at its own place."""

    path: bytes
    directory: bool
    writable: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """A directory of the host through a read-only overlay.

    unix(7): a read-only mount does not keep anybody from connecting to a socket in it, nor from
    locking its files. An overlay has inodes of its own, behind which no server listens.
    """

    path: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link that the host has too."""

    path: bytes
    to: bytes


@dataclass(frozen=True, slots=True)
class Device:
    """One device node of the host."""

    path: bytes


@dataclass(frozen=True, slots=True)
class Scratch:
    """An empty writable directory, thrown away with the cell."""

    path: bytes
    name: bytes
    mode: int


@dataclass(frozen=True, slots=True)
class Overlay:
    """The host's directory with a writable layer over it, thrown away with the cell."""

    path: bytes
    whiteouts: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Hide:
    """A path that shows nothing, whatever made it visible."""

    path: bytes


Place: TypeAlias = Bind | View | Link | Device | Scratch | Overlay | Hide


@dataclass(frozen=True, slots=True)
class Places:
    """The whole layout."""

    order: tuple[Place, ...]
    cwd: bytes
    """Where the cell starts."""

    cwd_note: str
    """How the working directory is seen, in words, for the report."""

    home: bytes
    writable: tuple[bytes, ...]
    """Mount points that may be writable; everything else must read back as read-only."""


_DEVICES = (b"/dev/null", b"/dev/full", b"/dev/random", b"/dev/urandom")
_DEVICE_LINKS = {
    # full(4) reads as zeros, too. A shared mapping of zero(4) is memory that no limit sees, which
    # the filter refuses where it has no file.
    b"/dev/zero": b"/dev/full",
    b"/dev/fd": b"/proc/self/fd",
    b"/dev/stdin": b"/proc/self/fd/0",
    b"/dev/stdout": b"/proc/self/fd/1",
    b"/dev/stderr": b"/proc/self/fd/2",
}
# A working directory that is one of these would show what the sandbox exists to hide.
_NEVER_SHOWN = frozenset(
    (b"/", b"/tmp", b"/var", b"/run", b"/home", b"/root", b"/srv", b"/mnt", b"/media", b"/sys")
)
_OWN = tuple(map(os.fsencode, OWN_PLACES))
_NEVER_BELOW = (*_OWN, b"/run", b"/sys")


def lay_out(policy: Policy, host: Host, *, other_id: int | None) -> Places:
    """Decide every mount of one sandbox.

    Args:
        policy: what is allowed.
        host: what there is.
        other_id: the host uid the cell becomes where that is not the kernel's own.

    Raises:
        CannotEnforce: a path that was asked for is not there, or cannot be had as asked.
    """
    for entry in host.hidden:
        _check_hidden(entry)
    home = host.home if host.home.startswith(b"/") and host.home != b"/" else b"/tmp"
    places: dict[bytes, Place] = {path: Device(path) for path in _DEVICES}
    places[b"/tmp"] = Scratch(b"/tmp", b"tmp", 0o1777)
    places[b"/dev/shm"] = Scratch(b"/dev/shm", b"shm", 0o1777)
    if home != b"/tmp":
        places[home] = Scratch(home, b"home", 0o700)
    links = dict(_DEVICE_LINKS)
    for entry in host.system:
        places[entry.real] = Bind(entry.real, entry.directory)
        links.update(entry.links)
    exposing = _ancestors(home) | {home} | _NEVER_SHOWN
    installed = [os.path.realpath(os.fsencode(name)) for name in (sys.prefix, sys.base_prefix)]
    installed += [entry.real for entry in host.system]
    for entry in host.python:
        if entry.real not in exposing:
            # Sockets and locks are a matter of project folders, not of installed packages.
            whole = any(_is_within(entry.real, top) for top in installed)
            place = Bind(entry.real, entry.directory) if whole else _read_only(entry)
            places.setdefault(entry.real, place)
            links.update(entry.links)
    _show_resolver(host, places, links)
    for entry in _named("--ro", policy.read_only, host):
        if entry.real == b"/":
            raise CannotEnforce(
                "--ro /",
                "it is everything: every home, every socket, every credential",
                "Name the directories that the cell needs.",
            )
        places[entry.real] = _read_only(entry)
        links.update(entry.links)
    cwd, note = _working_directory(host, exposing - {home}, places)
    for entry in _named("--rw", policy.writable, host):
        _check_writable(entry, exposing, other_id)
        places[entry.real] = Bind(entry.real, entry.directory, writable=True)
        links.update(entry.links)
    for entry in host.autostart:
        places[entry.real] = Bind(entry.real, entry.directory)
    order = _pruned(_not_hidden(places.values(), host))
    by_path = {place.path: place for place in order}
    hidden = tuple(Hide(entry.real) for entry in host.hidden if _is_shown(entry.real, by_path))
    made = tuple(Link(path, to) for path, to in sorted(links.items()))
    return Places(
        order=(*order, *made, *hidden),
        cwd=cwd,
        cwd_note=note,
        home=home,
        writable=tuple(
            place.path
            for place in order
            if isinstance(place, Scratch | Overlay) or (isinstance(place, Bind) and place.writable)
        ),
    )


def _working_directory(
    host: Host, exposing: frozenset[bytes], places: dict[bytes, Place]
) -> tuple[bytes, str]:
    """Add the working directory to `places`; where the cell starts, and how it is seen."""
    if host.cwd is None:
        return b"/tmp", "deleted on the host; the cell starts in an empty /tmp"
    path = host.cwd.real
    if any(_is_within(path, entry.real) for entry in host.hidden):
        return b"/tmp", f"{os.fsdecode(path)} is hidden; the cell starts in an empty /tmp"
    below = any(_is_within(path, top) for top in _NEVER_BELOW)
    if path in exposing or below:
        if path not in places and path != b"/":
            places[path] = Scratch(path, b"cwd", 0o755)
        return path, f"{os.fsdecode(path)} is not shown: it holds more than one project"
    if any(path == entry.real for entry in host.system) or path.startswith((b"/usr/", b"/etc/")):
        return path, f"{os.fsdecode(path)} is read-only, as every system directory"
    if host.cwd.has_mounts:
        # overlayfs refuses a lower layer that has mounts inside it (fs/namespace.c,
        # clone_private_mount), and a plain bind would show its sockets and dot-entries.
        places[path] = Scratch(path, b"cwd", 0o755)
        return path, (
            f"{os.fsdecode(path)} is not shown: other file systems are mounted inside it; "
            "name what the cell needs with --ro"
        )
    places[path] = Overlay(path, host.cwd_dot_entries)
    return path, f"{os.fsdecode(path)} is writable; what is written there is thrown away"


def _named(option: str, paths: Iterable[str], host: Host) -> Iterable[Entry]:
    found = dict(host.named)
    for path in paths:
        entry = found[path]
        if entry is None:
            raise CannotEnforce(
                f"{option} {path}", "there is nothing at that path", "Name a path that exists."
            )
        if entry.special:
            raise CannotEnforce(
                f"{option} {path}",
                "it is a socket, a pipe or a device, a way out of any sandbox",
                "Name a file or a directory.",
            )
        yield entry


def _show_resolver(host: Host, places: dict[bytes, Place], links: dict[bytes, bytes]) -> None:
    """Show the files behind links of /etc, and not their directory, which holds sockets, too."""
    for entry in host.resolver:
        places.setdefault(entry.real, Bind(entry.real, entry.directory))
        links.update(entry.links)


def _read_only(entry: Entry) -> Place:
    """Show a path read-only: through an overlay where the kernel can make one."""
    if entry.directory and not entry.has_mounts:
        return View(entry.real)
    return Bind(entry.real, entry.directory)


def _not_hidden(places: Iterable[Place], host: Host) -> Iterable[Place]:
    """Leave out what would show something of the host's below a hidden path.

    A path that is hidden itself is covered, last of all; one that nothing shows has no mount point
    to cover, but the working directory, or a directory of Python's, may lie below it.
    """
    for place in places:
        is_ours = not isinstance(place, Bind | View | Overlay)
        if is_ours or not any(
            place.path != entry.real and _is_within(place.path, entry.real) for entry in host.hidden
        ):
            yield place


def _is_shown(path: bytes, by_path: dict[bytes, Place]) -> bool:
    """Tell whether something of the host's stands at a path inside."""
    for top in (path, *_upwards(path)):
        place = by_path.get(top)
        if isinstance(place, Overlay):
            first = path[len(top) :].strip(b"/").split(b"/")[0]
            return first not in place.whiteouts
        if place is not None:
            return isinstance(place, Bind | View)
    return False


def _check_hidden(entry: Entry) -> None:
    if any(_is_within(entry.real, own) for own in _OWN):
        raise CannotEnforce(
            f"--hide {os.fsdecode(entry.path)}",
            f"it leads to {os.fsdecode(entry.real)}, and {' and '.join(OWN_PLACES)} are the"
            " sandbox's own",
            "Name a path of the host's.",
        )


def _check_writable(entry: Entry, exposing: frozenset[bytes], other_id: int | None) -> None:
    shown = os.fsdecode(entry.path)
    if entry.real in exposing:
        raise CannotEnforce(
            f"--rw {shown}",
            "it holds files that run by themselves later (start-up files, hooks, packages)",
            "Name a directory below it.",
        )
    if other_id is not None and entry.owner != other_id and not entry.mode & 0o002:
        raise CannotEnforce(
            f"--rw {shown}",
            f"the kernel runs as root, so the cell runs as host uid {other_id}, which may not "
            f"write there (mode {entry.mode:o}, owner {entry.owner})",
            f"Give that id the directory: chown {other_id} {shown}",
        )


def _pruned(places: Iterable[Place]) -> tuple[Place, ...]:
    """Sort by depth and drop read-only binds that a read-only place above already shows.

    A directory of installed packages below a view stays: each open(2) through an overlay opens two
    files, which made 10,000 small reads 1.4 times slower.
    """
    by_path = {place.path: place for place in places}
    kept = []
    for path, place in by_path.items():
        if isinstance(place, Bind) and not place.writable:
            above = next((by_path[top] for top in _upwards(path) if top in by_path), None)
            if isinstance(above, View) and not place.directory:
                continue
            if isinstance(above, Bind) and not above.writable:
                continue
        kept.append(place)
    return tuple(sorted(kept, key=lambda place: (place.path.count(b"/"), place.path)))


def _is_within(path: bytes, top: bytes) -> bool:
    return path == top or path.startswith(top.rstrip(b"/") + b"/")


def _upwards(path: bytes) -> Iterable[bytes]:
    while path != b"/":
        path = os.path.dirname(path)
        yield path


def _ancestors(path: bytes) -> frozenset[bytes]:
    return frozenset(_upwards(path))
