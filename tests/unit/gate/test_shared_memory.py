"""What was checked for one object, no other object may change: codes, indices, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from kavach_ipy.gate.reader import read_pickle
from kavach_ipy.wire import arrays, sparse, tables
from kavach_ipy.wire.values import write_value
from tests.unit.gate.forging import Call, forge, is_refused


def _array(*values: int, dtype: str = "<i4") -> Call:
    raw = np.array(values, dtype)
    # A bytearray, so that the array can be written to.
    return Call(arrays.array, (raw.dtype.str, raw.shape, "C", bytearray(raw.tobytes())))


def _objects(*items: object) -> Call:
    return Call(arrays.object_array, ((len(items),), list(items)))


def _categorical(codes: Call) -> Call:
    return Call(tables.categorical, (codes, Call(tables.index, (_objects("a"), None)), False))


def _multi_index(codes: Call) -> Call:
    return Call(tables.multi_index, ([Call(tables.index, (_objects("a"), None))], [codes], [None]))


def _rows(indptr: Call) -> Call:
    data = _array(1, dtype="<f8")
    return Call(sparse.compressed, ("csr_array", (1, 1), data, _array(0), indptr))


def _columns(indices: Call) -> Call:
    return Call(
        sparse.compressed, ("csr_array", (1, 2), _array(1, 2, dtype="<f8"), indices, _array(0, 2))
    )


_MAKERS = [
    (_categorical, _array(0, 0)),
    (_categorical, _array(0, 0, dtype="|i1")),
    (_multi_index, _array(0, 0)),
    (_rows, _array(0, 1)),
    (_columns, _array(0, 1)),
    (lambda labels: Call(tables.index, (labels, None)), _objects("a", "b")),
    (
        lambda labels: Call(tables.index, (labels, None)),
        Call(tables.texts, ("python", "NA", ["a", "b"])),
    ),
]


@pytest.mark.parametrize(("make", "part"), _MAKERS)
def test_what_was_checked_belongs_to_one_object(make: Any, part: Call) -> None:
    """The same array before, behind or in a second such object is refused; alone it is not."""
    assert not is_refused(forge(make(part)))
    assert not is_refused(forge([part, part]))
    assert is_refused(forge([part, make(part)]))
    assert is_refused(forge([make(part), part]))
    assert is_refused(forge([make(part), make(part)]))


def test_a_sparse_array_s_numbers_are_not_its_indices() -> None:
    """Multiplying them in place would send SciPy out of bounds."""
    both = _array(0, 1)
    call = Call(sparse.compressed, ("csr_array", (1, 2), both, both, _array(0, 2)))
    assert is_refused(forge(call))


def test_a_series_does_not_share_its_labels_memory() -> None:
    """Pandas looks labels up by references that it does not hold; writing would free them."""
    labels = _objects("a", "b")
    index = Call(tables.index, (labels, None))
    assert is_refused(forge(Call(tables.series, (labels, index, None))))


def _frame() -> pd.DataFrame:
    return pd.DataFrame(
        {"c": pd.Categorical(["x", "y"]), "s": ["a", "b"], "n": [1, 2]},
        index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]),
    )


def _relatives() -> list[list[Any]]:
    frame = _frame()
    texts = pd.Index(["a", "b"])
    kinds = pd.CategoricalIndex(["a", "b"])
    codes = np.zeros(3, "i1")
    return [
        [frame, frame.copy(), frame],
        [frame, frame.set_index("s"), frame.set_index("c"), frame.set_index("n")],
        [texts, texts.rename("b"), texts.copy(), pd.Series(texts)],
        [kinds, kinds.rename("b"), kinds.copy(), pd.Series(kinds)],
        [frame.index, frame.index.copy(), frame.index.levels[0]],
        [codes, pd.Categorical.from_codes(codes, ["a"])],
    ]


@pytest.mark.parametrize("value", _relatives())
def test_objects_of_pandas_that_share_memory_come_back_apart(value: list[Any]) -> None:
    """An honest cell's copies and renamed indexes, which share arrays there, arrive equal."""
    data, *buffers = write_value(value, inline_limit=1)
    back = read_pickle(data, buffers)  # type: ignore[arg-type]
    assert isinstance(back, list)
    for one, other in zip(back, value, strict=True):
        if isinstance(other, pd.DataFrame | pd.Series):
            assert one.equals(other)
        else:
            assert list(one) == list(other)


def test_sparse_arrays_that_share_indices_come_back_apart() -> None:
    """A matrix, its transpose, and its indices on their own are one honest value."""
    matrix = scipy.sparse.csr_array([[1.0, 0.0], [2.0, 3.0]])
    data, *buffers = write_value([matrix, matrix.T, matrix.indices], inline_limit=1)
    back: Any = read_pickle(data, buffers)  # type: ignore[arg-type]
    assert (back[0].toarray() == matrix.toarray()).all()
    assert (back[1].toarray() == matrix.T.toarray()).all()
    assert back[2].tolist() == matrix.indices.tolist()
    assert not np.shares_memory(back[0].indices, back[2])
