"""The public API as a caller writes it. Only type checkers read this; nothing here runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from kavach_ipy import (
    CannotEnforce,
    CellFailed,
    CellStopped,
    Outcome,
    Policy,
    Sandbox,
    SetupFailed,
    Withheld,
    distrust,
    trust,
)


@trust
@dataclass
class Point:
    """A class of the caller's that may come back."""

    x: float


trust(Fraction, encode=str, decode=Fraction)
distrust(Point)


def grade(answer: str, data: Mapping[str, object]) -> float | None:
    """Run a student's answer and look at everything that an outcome offers."""
    policy = Policy(memory="512M", timeout=30, pids=16, read_only=["/srv/course"])
    try:
        with Sandbox(policy, known_secrets=["a token of the course"]) as box:
            outcome: Outcome = box.run(answer, inputs=data, out=["y"])
    except (CannotEnforce, SetupFailed) as error:
        raise SystemExit(str(error)) from error
    failure: CellFailed | CellStopped | None = outcome.failure
    if failure is not None:
        return None
    withheld: Mapping[str, Withheld] = outcome.withheld
    value: object = outcome.values.get("y")
    printed: str = outcome.stdout + outcome.stderr
    return float(len(printed)) if withheld else value if isinstance(value, float) else None
