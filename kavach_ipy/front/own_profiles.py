"""Profiles of the user's own, as the settings hold them: names, and the settings that differ.

Guarantees: what is taken can be made a policy, and no built-in profile is replaced.
Assumes: `front.settings` knows which setting fills which field of a policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from traitlets import TraitError

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy import PROFILES

__all__ = ["check_profiles"]


def check_profiles(value: object, complete: Callable[[Mapping[object, object]], object]) -> None:
    """Check the value of ``c.Kavach.profiles``.

    Args:
        value: what was set.
        complete: makes a policy of one profile's settings.

    Raises:
        TraitError: naming the profile, and what is allowed.
    """
    if not isinstance(value, Mapping):
        raise TraitError(f"c.Kavach.profiles: {value!r} is not allowed; a dict of dicts is.")
    for name, changes in value.items():
        if not isinstance(name, str) or not isinstance(changes, Mapping):
            raise TraitError(
                f"c.Kavach.profiles: {name!r}: {changes!r} is not allowed; a name and a dict of"
                " settings are, such as {'students': {'memory': '256M'}}."
            )
        if name in PROFILES:
            raise TraitError(
                f"c.Kavach.profiles: {name!r} is the name of a built-in profile; choose another"
            )
        try:
            complete(changes)
        except PolicyError as error:
            raise TraitError(f"c.Kavach.profiles[{name!r}].{error}") from error
