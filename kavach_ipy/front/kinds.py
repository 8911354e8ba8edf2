"""The kinds of settings: how a size, a number, a time and a list are written.

Guarantees: each takes what people write in a configuration file and on a command line, and shows
its default as they would write it.
Assumes: whoever declares a setting checks its value (``front.settings``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from traitlets import Float, Int, List, TraitError, TraitType, Unicode, Union

from kavach_ipy.policy import format_duration, format_size

if TYPE_CHECKING:
    from traitlets.config import Configurable

__all__ = ["Proposal", "choice", "duration", "number", "size", "texts"]


class Proposal(TypedDict):
    """What traitlets hands to a validator (traitlets docs, "Custom Cross-Validation")."""

    trait: TraitType[object, object]
    value: object
    owner: Configurable


class _Choice(Unicode[str, str]):
    """One word of a few."""

    allowed: tuple[str, ...] = ()

    def validate(self, obj: object, value: object) -> str:
        """Refuse every other word, and say which there are."""
        del obj
        if value not in self.allowed:
            words = " and ".join(self.allowed)
            raise TraitError(f"c.Kavach.{self.name}: {value!r} is not allowed; {words} are")
        return str(value)


def choice(allowed: tuple[str, ...], text: str) -> Unicode[str, str]:
    """Declare one word of a few; the first is the default."""
    trait = _Choice(allowed[0], help=text)
    trait.allowed = allowed
    return trait.tag(config=True)


def size(default: int, text: str) -> Union:
    """Declare an amount of bytes."""
    # Text first: the command line's "512M" must not be offered to Int before.
    return Union([Unicode(), Int()], default_value=format_size(default), help=text).tag(config=True)


def number(default: int, text: str) -> Union:
    """Declare a count."""
    return Union([Int(), Unicode()], default_value=default, help=text).tag(config=True)


def duration(default: float | None, text: str) -> Union:
    """Declare a time in seconds; None for no limit."""
    shown = "none" if default is None else format_duration(default)
    return Union([Unicode(), Float(), Int()], default_value=shown, help=text).tag(config=True)


def texts(default: tuple[str, ...], text: str) -> List[str]:
    """Declare a list of words."""
    return List(Unicode(), default_value=list(default), help=text).tag(config=True)
