"""Rules for the tag of SciPy (`kavach_ipy.wire.sparse`).

Guarantees: every index lies inside the shape and every row inside the indices, which SciPy's C++
routines take for granted, and nobody else can change them; the arrays are plain numbers of one
axis.
Assumes: arrays that the rules of `kavach_ipy.gate.arrays` made.
"""

from __future__ import annotations

from typing import Any, Final, cast

from kavach_ipy.gate.allowance import refused
from kavach_ipy.gate.budget import Budget
from kavach_ipy.gate.rules import Arguments, exactly, rules
from kavach_ipy.wire import sparse

__all__ = ["RULES"]

# What SciPy's routines are compiled for; longdouble apart.
_NUMBERS: Final = frozenset("?bhilqBHILQfdFD")


def _compressed(budget: Budget, arguments: Arguments) -> object:
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    exactly(arguments, str, tuple, np.ndarray, np.ndarray, np.ndarray)
    kind, shape, data, indices, indptr = cast("tuple[Any, Any, Any, Any, Any]", arguments)
    if kind not in sparse.KINDS:
        raise refused("a sparse array is of a kind that is not listed")
    if len(shape) != 2 or not all(type(axis) is int and 0 <= axis < 2**31 for axis in shape):
        raise refused("a sparse array has no two axes")
    if data.ndim != 1 or data.dtype.char not in _NUMBERS or not data.dtype.isnative:
        raise refused("a sparse array holds something else than numbers")
    for part in (indices, indptr):
        if part.ndim != 1 or part.dtype not in (np.dtype("i4"), np.dtype("i8")):
            raise refused("the indices of a sparse array are of another type")
        budget.own(part)
    budget.spend_work((data.nbytes + indices.nbytes + indptr.nbytes) >> 9)
    major, minor = shape if kind.startswith("csr") else shape[::-1]
    if len(indptr) != major + 1 or len(indices) != len(data) or indices.dtype != indptr.dtype:
        raise refused("the parts of a sparse array do not fit its shape")
    if indptr[0] != 0 or indptr[-1] != len(data) or (indptr[1:] < indptr[:-1]).any():
        raise refused("the rows of a sparse array do not follow each other")
    if len(indices) and (indices.min() < 0 or indices.max() >= minor):
        raise refused("an index of a sparse array lies outside its shape")
    return sparse.compressed(kind, shape, data, indices, indptr)


RULES = rules((sparse.compressed, _compressed, 200, False))
