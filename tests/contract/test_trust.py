"""Classes that are trusted, and --trust, from a cell back to its caller."""

from __future__ import annotations

import enum

import pytest

import kavach_ipy
from kavach_ipy import CannotEnforce, Policy, Sandbox, Withheld
from tests.contract.cells import NEEDS, run

pytestmark = [pytest.mark.contract, NEEDS]


class Hue(enum.Enum):
    """A class of the caller's."""

    RED = 1


def test_a_trusted_class_comes_back_and_an_untrusted_one_does_not() -> None:
    """The same cell, with and without the caller's word."""
    outcome = run("h = Hue.RED", inputs={"Hue": Hue}, out=["h"])
    assert isinstance(outcome.withheld["h"], Withheld)
    kavach_ipy.trust(Hue)
    try:
        assert run("h = Hue.RED", inputs={"Hue": Hue}, out=["h"]).values["h"] is Hue.RED
    finally:
        kavach_ipy.distrust(Hue)


def test_a_cell_cannot_trust_a_class_for_its_caller() -> None:
    """The table that counts is the caller's, which a fork has a copy of."""
    code = "import kavach_ipy\nkavach_ipy.trust(Hue)\nh = Hue.RED"
    outcome = run(code, inputs={"Hue": Hue}, out=["h"])
    assert "h" not in outcome.values
    assert "not trusted in this notebook" in outcome.withheld["h"].reason


_ANYTHING = """
class Model:
    def __init__(self, weight):
        self.weight = weight
    def predict(self, x):
        return self.weight * x
model = Model(3)
"""


def test_trust_brings_any_object_back() -> None:
    """An instance of a class of the cell's arrives with its methods, where the caller allows it."""
    box = Sandbox(Policy(trust=True), allow_trust=True)
    model = box.run(_ANYTHING, out=["model"]).check().values["model"]
    assert model.predict(5) == 15  # type: ignore[attr-defined]
    assert box.run("import threading\nx = threading.Lock()", out=["x"]).withheld["x"].reason


def test_without_trust_nothing_of_it_comes_back() -> None:
    """The same object is withheld, and a stock pickle that a hostile cell sends is refused."""
    assert "model" in run(_ANYTHING, out=["model"]).withheld
    code = """
    import kavach_ipy.wire.values as values
    from kavach_ipy.wire.stock import write_stock
    plain = values.write_value
    def forged(value, *rest, **options):
        return (write_stock(value, lambda buffer: True),)
    values.write_value = forged
    x = Evil()
    """
    outcome = run(
        "import os\nclass Evil:\n    def __reduce__(self): return os._exit, (7,)\n"
        + "\n".join(
            line.strip()
            if line.startswith("    ") and not line.startswith("        ")
            else line[4:]
            for line in code.splitlines()
        ),
        out=["x"],
    )
    assert outcome.failure is None
    assert "tag" in outcome.withheld["x"].reason or "opcode" in outcome.withheld["x"].reason


def test_trust_is_refused_where_nobody_allowed_it() -> None:
    """A policy alone does not open the way; nothing runs."""
    with pytest.raises(CannotEnforce, match="allow_trust"):
        Sandbox(Policy(trust=True)).run("1")
