"""Who the cell is outside its user namespace.

Guarantees: pure; never kuid 0 of a host whose root this process is.
Assumes: ranges are those of /proc/self/uid_map and gid_map.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["UNPRIVILEGED_ID", "IdRange", "Identity", "choose_identity", "lacking_rights"]

# systemd's uid table (docs/UIDS-GIDS.md) leaves 65520 to 65533 unused; an id of that range is
# mapped in containers that know 65536 ids, and belongs to no user, service or file.
UNPRIVILEGED_ID = 65_530

# capabilities(7), by number. user_namespaces(7): who maps an id other than their own needs the
# first two. proc(5): /proc/<pid>/fd of another id's process is closed to root without one of the
# others, and verification reads it.
_MAPPING = ((6, "CAP_SETGID"), (7, "CAP_SETUID"))
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2


@dataclass(frozen=True, slots=True)
class IdRange:
    """One line of uid_map or gid_map: ids this process's user namespace knows."""

    inside: int
    outside: int
    count: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the cell is outside."""

    uid: int
    gid: int
    is_other: bool
    """The kernel runs as root, and the cell becomes an id of its own."""


def choose_identity(
    uid: int, gid: int, uid_ranges: tuple[IdRange, ...], gid_ranges: tuple[IdRange, ...]
) -> Identity | None:
    """The ids that root inside is mapped to; None where host root could only stay host root.

    Args:
        uid: effective uid of this process.
        gid: effective gid of this process.
        uid_ranges: lines of /proc/self/uid_map.
        gid_ranges: lines of /proc/self/gid_map.
    """
    if uid != 0:
        return Identity(uid, gid, is_other=False)
    other_uid, other_gid = _other(uid_ranges), _other(gid_ranges)
    if other_uid is not None and other_gid is not None:
        return Identity(other_uid, other_gid, is_other=True)
    if all(row.outside != 0 for row in uid_ranges):
        # Root of a user namespace that holds one ordinary id: there is no host root to become.
        return Identity(uid, gid, is_other=False)
    return None


def _other(ranges: tuple[IdRange, ...]) -> int | None:
    """An id of this namespace that nobody uses: the preferred one, or the highest there is."""
    for row in ranges:
        if row.inside <= UNPRIVILEGED_ID < row.inside + row.count:
            return UNPRIVILEGED_ID
    return max((row.inside + row.count - 1 for row in ranges), default=0) or None


def lacking_rights(effective: int) -> tuple[str, ...]:
    """Name the capabilities that root needs for cells of another id, and does not have.

    Args:
        effective: CapEff of this process, a bit mask.
    """
    lacking = [name for number, name in _MAPPING if not effective >> number & 1]
    if not effective & (1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH):
        lacking.append("CAP_DAC_READ_SEARCH")
    return tuple(lacking)
