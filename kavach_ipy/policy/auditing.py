"""How much an audit is insisted on: off, on, required.

Guarantees: combining two modes never loosens one.
Assumes: nothing.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["AuditMode", "stricter"]


class AuditMode(StrEnum):
    """What is done about events."""

    OFF = "off"
    """There are none."""

    ON = "on"
    """Each cell is recorded; what cannot be written is reported, and cells go on."""

    REQUIRED = "required"
    """No cell runs that is not recorded."""


def stricter(first: AuditMode | str, second: AuditMode | str) -> AuditMode:
    """Return the one that insists more: how a policy file and a setting are combined.

    Raises:
        ValueError: one of them is no mode.
    """
    order = list(AuditMode)
    return max(AuditMode(first), AuditMode(second), key=order.index)
