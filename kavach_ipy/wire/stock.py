"""The child's half of --trust: any object, as stock cloudpickle writes it.

Guarantees: nothing; that is what --trust means.
Assumes: the administrator allowed it (`kavach_ipy.launch.plan` refuses it otherwise), and whoever
uses it guards against accidents only.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable

import cloudpickle

__all__ = ["write_stock"]


def write_stock(value: object, keep_apart: Callable[[pickle.PickleBuffer], bool]) -> memoryview:
    """Return the pickle of any value.

    Args:
        value: anything that cloudpickle takes; what it does not take, it raises for.
        keep_apart: is offered each buffer, and answers False for those that it took.
    """
    stream = io.BytesIO()
    cloudpickle.CloudPickler(stream, protocol=5, buffer_callback=keep_apart).dump(value)
    return stream.getbuffer()
