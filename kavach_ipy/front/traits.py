"""The kinds of settings: what a configuration file or a command line may write for each.

Guarantees: a default is shown as a user would write it; each is configurable.
Assumes: values are judged by `kavach_ipy.front.settings`, not here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from traitlets import Float, Int, List, TraitType, Unicode, Union

from kavach_ipy.policy import format_duration, format_size

if TYPE_CHECKING:
    from traitlets.config import Configurable

__all__ = ["Proposal", "list_trait", "number_trait", "size_trait", "time_trait"]


class Proposal(TypedDict):
    """What traitlets hands to a validator (traitlets docs, "Custom Cross-Validation")."""

    trait: TraitType[object, object]
    value: object
    owner: Configurable


def size_trait(default: int, text: str) -> Union:
    """A size in bytes, or as ``512M``."""
    # Text first: the command line's "512M" must not be offered to Int before.
    return Union([Unicode(), Int()], default_value=format_size(default), help=text).tag(config=True)


def number_trait(default: int, text: str) -> Union:
    """A number, also where it is written as text."""
    return Union([Int(), Unicode()], default_value=default, help=text).tag(config=True)


def time_trait(default: float | None, text: str) -> Union:
    """A time in seconds, or as ``30s``; ``none`` for none."""
    shown = "none" if default is None else format_duration(default)
    return Union([Unicode(), Float(), Int()], default_value=shown, help=text).tag(config=True)


def list_trait(default: tuple[str, ...], text: str) -> List[str]:
    """A list of texts."""
    return List(Unicode(), default_value=list(default), help=text).tag(config=True)
