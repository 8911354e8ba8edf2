"""What comes back of a cell, and what stays as it was."""

from __future__ import annotations

import pytest

from kavach_ipy import Policy, PolicyError, Sandbox, Withheld
from tests.contract.cells import NEEDS, run, value

pytestmark = [pytest.mark.contract, NEEDS]


def test_last_expression_is_the_result() -> None:
    """A last line that is an expression comes back as ``result``; a statement gives None."""
    assert value("x = 20 + 1\nx * 2") == 42
    assert value("x = 20 + 1") is None


def test_empty_cell_is_fine() -> None:
    """Nothing to run is no error."""
    outcome = run("")
    assert (outcome.ok, outcome.result, outcome.stdout) == (True, None, "")


def test_values_come_back_by_name_and_no_other() -> None:
    """``out`` names what is brought back, whatever else the cell defined."""
    outcome = run("a = [1, {'b': 2.5}]\nc = (None, True)\nd = 1", out=["a", "c"])
    assert dict(outcome.values) == {"a": [1, {"b": 2.5}], "c": (None, True)}


def test_values_of_many_kinds_come_back_equal() -> None:
    """Builtins, containers, dates and decimals are the same after the way back."""
    code = """
    import datetime, decimal, fractions
    kinds = [
        None, True, -1, 1 << 100, 0.1, 1j, "tëxt", b"bytes", bytearray(b"array"), [], (), {},
        {1, 2}, frozenset({3}), range(3), slice(1, 2), datetime.date(2024, 2, 29),
        datetime.timedelta(seconds=1), decimal.Decimal("1.50"), fractions.Fraction(1, 3),
    ]
    """
    kinds = run(code, out=["kinds"]).check().values["kinds"]
    here: dict[str, object] = {}
    exec("\n".join(line.strip() for line in code.splitlines()), here)
    assert kinds == here["kinds"]
    assert isinstance(kinds, list)
    assert [type(item) for item in kinds] == [type(item) for item in here["kinds"]]  # type: ignore[attr-defined]


def test_array_of_eight_megabytes_comes_back_whole() -> None:
    """Big buffers do not go by the socket; what arrives is the array, and writable."""
    np = pytest.importorskip("numpy")
    outcome = run("import numpy as np\na = np.arange(1 << 20)", out=["a"]).check()
    array = outcome.values["a"]
    assert isinstance(array, np.ndarray)
    assert array.sum() == (1 << 20) * ((1 << 20) - 1) // 2
    array[0] = 7


def test_table_comes_back_equal() -> None:
    """A DataFrame that the cell made is the same DataFrame here."""
    pd = pytest.importorskip("pandas")
    code = "import pandas as pd\nt = pd.DataFrame({'a': [1, 2], 'b': ['x', None]})"
    table = run(code, out=["t"]).check().values["t"]
    pd.testing.assert_frame_equal(table, pd.DataFrame({"a": [1, 2], "b": ["x", None]}))


def test_unlisted_type_is_withheld_and_the_rest_comes() -> None:
    """A function stays outside, with a reason; its neighbour comes back."""
    outcome = run("def f(): pass\ng = 1", out=["f", "g"])
    assert dict(outcome.values) == {"g": 1}
    assert isinstance(outcome.withheld["f"], Withheld)
    assert outcome.withheld["f"].reason


def test_undefined_name_is_withheld_with_the_reason() -> None:
    """A misspelt name is told, and is no crash."""
    outcome = run("x = 1", out=["y"])
    assert "did not define" in outcome.withheld["y"].reason


def test_name_that_the_policy_does_not_list_is_refused_before_the_cell() -> None:
    """``inputs`` and ``outputs`` of a policy bound what a caller may ask for."""
    box = Sandbox(Policy(inputs="a", outputs="a"))
    assert box.run("a += 1", inputs={"a": 1}, out=["a"]).values["a"] == 2
    with pytest.raises(PolicyError, match="outputs"):
        box.run("b = 1", out=["b"])
    with pytest.raises(PolicyError, match="inputs"):
        box.run("1", inputs={"b": 1})


def test_closed_sandbox_runs_nothing() -> None:
    """After its block a sandbox is not used by accident."""
    with Sandbox() as box:
        assert box.run("1").result == 1
    with pytest.raises(PolicyError, match="closed"):
        box.run("1")


def test_inputs_are_as_they_were_after_mutation_in_place() -> None:
    """What a cell does to its inputs happens to nobody: same objects, same content."""
    inner = [1, 2]
    given = {"a": inner, "b": {"k": inner}, "c": bytearray(b"abc"), "d": {1, 2}}
    before = {name: id(item) for name, item in given.items()}
    code = """
    a.append(3); b["k"].append(4); b["new"] = 1; c[0] = 0; d.clear(); del b["k"]
    a, b, bytes(c), d
    """
    assert value(code, inputs=given) == ([1, 2, 3, 4], {"new": 1}, b"\0bc", set())
    assert given == {"a": [1, 2], "b": {"k": [1, 2]}, "c": bytearray(b"abc"), "d": {1, 2}}
    assert given["b"]["k"] is inner  # type: ignore[index]
    assert {name: id(item) for name, item in given.items()} == before


def test_array_and_table_are_as_they_were_after_mutation_in_place() -> None:
    """Native writes into inherited memory are the cell's own, too."""
    np = pytest.importorskip("numpy")
    pd = pytest.importorskip("pandas")
    array, table = np.ones(1000), pd.DataFrame({"a": [1, 2, 3]})
    address = array.ctypes.data
    code = "array[:] = 0\ntable['a'] = 0\ntable['b'] = 1\nfloat(array.sum()), int(table.a.sum())"
    assert value(code, inputs={"array": array, "table": table}) == (0.0, 0)
    assert (array.sum(), array.ctypes.data) == (1000, address)
    assert (list(table.columns), list(table.a)) == (["a"], [1, 2, 3])


def test_one_cell_does_not_see_the_names_of_another() -> None:
    """Every run starts with its inputs and nothing else."""
    box = Sandbox()
    assert box.run("leftover = 1\nimport json").ok
    assert box.run("'leftover' in globals(), 'json' in globals()").result == (False, False)


def test_report_says_what_was_verified() -> None:
    """The outcome carries the account of the confinement, layer by layer."""
    report = run("1").report
    text = report.text()  # type: ignore[attr-defined]
    for layer in ("identity", "namespaces", "capabilities", "system calls", "files", "descriptors"):
        assert any(line.split()[:1] == ["verified"] and layer in line for line in text.splitlines())
