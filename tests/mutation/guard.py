"""What the catalogue of guards is made of.

Guarantees: data only.
Assumes: an edit names text that stands exactly once in its file (`tests/repo/test_guards.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Edit", "Guard", "condition_off"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One place where a guard stands, and what stands there when it is off."""

    file: str
    """Below ``kavach_ipy/``."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard, the edit that switches it off, and the tests that must notice."""

    name: str
    promise: str
    """What would not be kept without it."""

    file: str
    """Below ``kavach_ipy/``."""

    old: str
    new: str
    tests: str
    """What pytest is given, separated by spaces: files, or single tests as ``file::name``."""

    of: str = ""
    """The step of the recipe (``C: environment``) or group of system calls that it stands for."""

    also: tuple[Edit, ...] = ()
    """Walls behind it that no test can look around, switched off together with it."""

    why_also: str = ""
    """Why they cannot be looked at apart."""

    @property
    def edits(self) -> tuple[Edit, ...]:
        """Every edit that switches it off."""
        return (Edit(self.file, self.old, self.new), *self.also)


def condition_off(name: str, promise: str, file: str, condition: str, tests: str) -> Guard:
    """A guard that is one condition, and never holds when it is off."""
    indent = condition[: len(condition) - len(condition.lstrip())]
    return Guard(name, promise, file, condition, f"{indent}if False:\n", tests)
