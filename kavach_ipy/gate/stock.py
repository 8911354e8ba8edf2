"""The notebook's half of --trust, and the only stock unpickler of this package.

Guarantees: it is called for a cell that ran with --trust, and for no other; the child has no say in
it; what it raises withholds the value.
Assumes: nothing holds against a hostile cell here: its pickle runs code in the notebook. The
administrator's settings allowed that, and the user was told in red.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence

from kavach_ipy.gate.allowance import refused

__all__ = ["read_stock"]


def read_stock(data: memoryview, buffers: Sequence[memoryview]) -> object:
    """Return what a stock pickle makes.

    Raises:
        OutputWithheld: it raised.
    """
    try:
        return pickle.loads(data, buffers=buffers)  # noqa: S301 - see the module's docstring.
    except Exception as error:
        raise refused(
            f"it could not be unpickled ({type(error).__name__}: {str(error)[:200]})"
        ) from error
