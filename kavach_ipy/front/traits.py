"""Kinds of settings, as traitlets: what may be written, before the policy judges it.

Guarantees: a text that a command line gives is taken as it is; the policy package reads it.
Assumes: `front.settings` validates every value.
"""

from __future__ import annotations

from traitlets import Float, Int, List, Unicode, Union

from kavach_ipy.policy import format_duration, format_size

__all__ = ["number", "size", "texts", "time"]


def size(default: int, text: str) -> Union:
    """Bytes, as a number or as ``512M``."""
    # Text first: the command line's "512M" must not be offered to Int before.
    return Union([Unicode(), Int()], default_value=format_size(default), help=text).tag(config=True)


def number(default: int, text: str) -> Union:
    """A count."""
    return Union([Int(), Unicode()], default_value=default, help=text).tag(config=True)


def time(default: float | None, text: str) -> Union:
    """Seconds, or ``30s``; None is written ``none``."""
    shown = "none" if default is None else format_duration(default)
    return Union([Unicode(), Float(), Int()], default_value=shown, help=text).tag(config=True)


def texts(default: tuple[str, ...], text: str) -> List[str]:
    """A list of texts."""
    return List(Unicode(), default_value=list(default), help=text).tag(config=True)
