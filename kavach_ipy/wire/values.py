"""The writer of the pickle dialect: it turns a value of the cell's into a frame.

The dialect is pickle protocol 5 that names only tags (`kavach_ipy.wire.tags`, `.arrays`,
`.tables`, `.arrow`, `.polars_frames`, `.sparse`, `.trusted`), so stock Python reads it:
`pickle.loads(data, buffers=…)`; the kernel does with a reader of its own
(`kavach_ipy.gate.reader`).

Guarantees: a frame always comes out: VALUE, or UNSENT with the reason; no value is silently turned
into another (named tuples, which come back as tuples, are the one exception).
Assumes: it runs in the child; what it promises, the gate does not rely on.
"""

from __future__ import annotations

import datetime as dt
import io
import pickle
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath
from types import FunctionType
from typing import Any
from uuid import UUID

from kavach_ipy.errors import OutputWithheld, ProtocolError
from kavach_ipy.wire import (
    arrays,
    arrow,
    polars_frames,
    prices,
    sparse,
    table_parts,
    tables,
    tags,
    trusted,
)
from kavach_ipy.wire.arena import ArenaWriter
from kavach_ipy.wire.frames import Frame, FrameLimits, encode
from kavach_ipy.wire.metering import opcodes, paid
from kavach_ipy.wire.packing import Packed, Reduced, packed, packed_dict, unlisted
from kavach_ipy.wire.prices import Account
from kavach_ipy.wire.reasons import kind_of, reason_for, shown
from kavach_ipy.wire.value_frames import Carried, Span, unsent_frame, value_frame

__all__ = ["INLINE_LIMIT", "encode_value", "unsent_frame", "write_value"]

INLINE_LIMIT = 64 << 10
"""Buffers of fewer bytes travel inside the pickle; a page of the arena would cost more."""

_SHOWN = 2000
# What the padding itself costs: its buffer, four opcodes, the tag's names, its weight's note.
_SLACK = 4096
_TAGS = frozenset(
    getattr(module, name)
    for module in (tags, arrays, tables, arrow, polars_frames, sparse)
    for name in module.__all__
    if callable(getattr(module, name))
    and name
    not in {
        *("take_apart", "dtype_of", "is_listed", "open_stream", "stream_of", "cost_of"),
        "dictionaries_in",
    }
) | {trusted.encoded, trusted.instance}


def encode_value(  # noqa: PLR0913 - a value, and all that the other end expects of it.
    name: str,
    value: object,
    arena: ArenaWriter | None,
    *,
    inline_limit: int = INLINE_LIMIT,
    limits: FrameLimits | None = None,
    is_stock: bool = False,
) -> Frame:
    """Return the frame that brings `value` back as `name`, or says why it stays.

    Args:
        name: the variable.
        value: anything; its `repr` may run when it cannot be sent.
        arena: where buffers of `inline_limit` bytes or more go; None sends them in the frame.
        inline_limit: bytes below which a buffer travels inside the pickle.
        limits: what the other end accepts.
        is_stock: write any object, as stock cloudpickle does; the other end must expect it.
    """
    start = None if arena is None else arena.state
    try:
        parts = write_value(value, arena, inline_limit, is_stock=is_stock)
        frame = value_frame(Carried(name, kind_of(value), parts))
        encode(frame, limits or FrameLimits())
    except OutputWithheld as error:
        reason, remedy = error.reason, error.remedy
        if error.kind not in {"", kind_of(value)}:
            reason = f"it holds a {error.kind}: {reason}"
    except ProtocolError as error:
        reason, remedy = f"it is too large: {error.detail}", "bring back less of it"
    except RecursionError:
        reason, remedy = "it nests too deeply, or contains itself", ""
    except MemoryError:
        reason, remedy = "the sandbox has no memory left to encode it", "raise --memory"
    except Exception as error:  # noqa: BLE001 - the cell's own code runs, and may raise anything.
        reason, remedy = f"encoding it raised {kind_of(error)}: {shown(error, 200)}", ""
    else:
        return frame
    if arena is not None and start is not None:
        arena.state = start
    return unsent_frame(name, kind_of(value), reason, remedy, shown(value, _SHOWN))


def write_value(
    value: object,
    arena: ArenaWriter | None = None,
    inline_limit: int = INLINE_LIMIT,
    *,
    is_stock: bool = False,
) -> tuple[bytes | memoryview | Span, ...]:
    """Return the pickle of a value and its out-of-band buffers, in order.

    Raises:
        OutputWithheld: the value, or one inside it, is of a type that does not come back.
        RecursionError, MemoryError: it nests too deeply, or is too large.
    """
    buffers: list[bytes | memoryview | Span] = []

    def keep_apart(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < inline_limit:
            return True
        buffers.append(raw if arena is None else arena.put(raw))
        return False

    data: bytes | memoryview
    if is_stock:
        # Loaded before the fork, as only then it is needed.
        from kavach_ipy.wire.stock import write_stock  # noqa: PLC0415

        data = write_stock(value, keep_apart)
    else:
        stream = io.BytesIO()
        writer = _Writer(stream, 5, buffer_callback=keep_apart)
        writer.dump(_top(value))
        data = _pay(stream.getbuffer(), buffers, writer.cost, arena)
    first = data if arena is None or len(data) < inline_limit else arena.put(data)
    return (first, *buffers)


def _pay(
    data: bytes | memoryview,
    buffers: list[bytes | memoryview | Span],
    cost: int,
    arena: ArenaWriter | None,
) -> bytes | memoryview:
    """Add a buffer of padding where what the value costs the reader is more than it brings."""
    account = Account() if arena is None else arena.account
    account.receive(
        len(data) + sum(part[1] if isinstance(part, tuple) else len(part) for part in buffers)
    )
    account.spent += cost + opcodes(data)
    lacking = account.lacking()
    if not lacking:
        return data
    account.receive(lacking + _SLACK)
    account.spent += _SLACK
    buffers.append(bytes(lacking + _SLACK) if arena is None else arena.pad(lacking + _SLACK))
    return paid(data)


def _top(value: object) -> object:
    if type(value) is list:
        return packed(value)
    return packed_dict(value) if type(value) is dict else value


class _Writer(pickle.Pickler):
    """Reduces what is not a plain built-in to a tag and its arguments, or refuses it.

    Attributes:
        cost: what the tags so far cost the reader, in bytes.
    """

    cost = 0

    def reducer_override(self, value: Any) -> Any:
        reduced = self._reduced(value)
        if type(value) is Packed:
            self.cost += value.price
        elif reduced is not NotImplemented:
            self.cost += _cost(value, *reduced)
        return reduced

    def _reduced(self, value: Any) -> Any:
        cls = type(value)
        take = _PARTS.get(cls)
        if take is not None:
            return take(value)
        own = trusted.take_apart(value)
        if own is not None:
            return own
        take_apart = _LIBRARIES.get(cls.__module__.partition(".")[0])
        if take_apart is not None:
            try:
                return take_apart(value)
            except OutputWithheld as error:
                raise unlisted(error.reason, error.remedy, kind_of(value)) from None
        if isinstance(value, tuple) and hasattr(cls, "_fields"):
            return tags.as_tuple, (tuple(value),)
        if cls is FunctionType and value in _TAGS:
            return NotImplemented
        reason, remedy = reason_for(value)
        raise unlisted(reason, remedy, kind_of(value))


def _cost(value: Any, tag: Callable[..., object], arguments: tuple[Any, ...]) -> int:
    module = tag.__module__
    name = f"{module.rpartition('.')[2]}.{tag.__name__}"
    held = arrow.cost_of(value) if module == arrow.__name__ else prices.besides(name, arguments)
    # Arrow counts a slice's bytes otherwise after it was sent.
    return prices.price(name, arguments) + held + held // 8


_LIBRARIES: dict[str, Callable[[Any], Reduced]] = {
    "numpy": arrays.take_apart,
    "pandas": table_parts.take_apart,
    "polars": polars_frames.take_apart,
    "pyarrow": arrow.take_apart,
    "scipy": sparse.take_apart,
}


def _factory(value: defaultdict[Any, Any]) -> str | None:
    factory = value.default_factory
    for name, kind in tags.FACTORIES.items():
        if factory is kind:
            return name
    if factory is not None:
        raise unlisted("its default_factory is code, which stays", "convert it first: dict(value)")
    return None


def _zone_key(value: zoneinfo.ZoneInfo) -> str:
    if value.key is None:
        raise unlisted("its time zone has no key", "")
    return value.key


def _offset(value: dt.timezone) -> tuple[dt.timedelta, str | None]:
    offset = value.utcoffset(None)
    name = value.tzname(None)
    return offset, None if name == dt.timezone(offset).tzname(None) else name


def _clock(value: dt.time | dt.datetime) -> tuple[object, ...]:
    parts = (value.hour, value.minute, value.second, value.microsecond)
    return (*parts, value.tzinfo, value.fold)


def _path(kind: str) -> Callable[[PurePath], Reduced]:
    return lambda value: (tags.path, (kind, str(value)))


_PARTS: dict[type, Callable[[Any], Reduced]] = {
    Packed: lambda v: (v.tag, v.arguments),
    complex: lambda v: (tags.complex_number, (v.real, v.imag)),
    range: lambda v: (tags.range_of, (v.start, v.stop, v.step)),
    slice: lambda v: (tags.slice_of, (v.start, v.stop, v.step)),
    dt.date: lambda v: (tags.date, (v.year, v.month, v.day)),
    dt.time: lambda v: (tags.time, _clock(v)),
    dt.datetime: lambda v: (tags.date_time, (v.date(), v.timetz())),
    dt.timedelta: lambda v: (tags.time_delta, (v.days, v.seconds, v.microseconds)),
    dt.timezone: lambda v: (tags.time_zone, _offset(v)),
    zoneinfo.ZoneInfo: lambda v: (tags.zone, (_zone_key(v),)),
    Decimal: lambda v: (tags.decimal, (str(v),)),
    Fraction: lambda v: (tags.fraction, (v.numerator, v.denominator)),
    UUID: lambda v: (tags.uuid, (v.bytes,)),
    OrderedDict: lambda v: (tags.ordered_dict, (dict(v),)),
    defaultdict: lambda v: (tags.default_dict, (_factory(v), dict(v))),
    Counter: lambda v: (tags.counter, (dict(v),)),
    deque: lambda v: (tags.double_ended, (list(v), v.maxlen)),
    PosixPath: _path("Path"),
    PurePosixPath: _path("PurePosixPath"),
    PureWindowsPath: _path("PureWindowsPath"),
}
