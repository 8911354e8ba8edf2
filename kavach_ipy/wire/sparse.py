"""SciPy's compressed sparse arrays and matrices in the dialect.

Guarantees: the memory of the three arrays is not copied; SciPy is imported only when needed.
Assumes: for the tag, arrays that were checked (`kavach_ipy.gate.sparse`), or a trusted pickle.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from kavach_ipy.wire.packing import Reduced, unlisted

__all__ = ["KINDS", "compressed", "take_apart"]

KINDS: Final = ("csr_array", "csc_array", "csr_matrix", "csc_matrix")
"""The classes of `scipy.sparse` that come back."""
_Kind: TypeAlias = Literal["csr_array", "csc_array", "csr_matrix", "csc_matrix"]


def compressed(kind: _Kind, shape: tuple[int, int], data: Any, indices: Any, indptr: Any) -> Any:
    """A compressed sparse array or matrix of one of the `KINDS`."""
    import scipy.sparse  # noqa: PLC0415 - imported when needed only.

    return getattr(scipy.sparse, kind)((data, indices, indptr), shape=shape, copy=False)


def take_apart(value: Any) -> Reduced:
    """Return the tag and the arguments that rebuild an object of SciPy.

    Raises:
        OutputWithheld: its class is not one that comes back.
    """
    import scipy.sparse  # noqa: PLC0415 - the value is SciPy's, so it is loaded.

    kind = type(value).__name__
    if kind not in KINDS or type(value) is not getattr(scipy.sparse, kind) or value.ndim != 2:
        raise unlisted("this type of SciPy is not listed", "bring back value.tocsr()")
    shape = tuple(map(int, value.shape))
    # Views, as two matrices may share indices here, and may not there.
    return compressed, (kind, shape, value.data, value.indices.view(), value.indptr.view())
