"""polars in the dialect: frames and series, each made of Arrow columns.

A frame is put together from series, and not from a table at once: that would start polars' pool of
threads in the kernel, and from then on no forked cell could use polars.

Guarantees: no pool of threads is started; polars is imported only when a tag is called.
Assumes: for the tags, tables that were checked (`kavach_ipy.gate.arrow`), or a trusted pickle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kavach_ipy.wire.packing import Reduced, unlisted

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

__all__ = ["frame", "series", "take_apart"]

_UNLIKE_ARROW = frozenset({"Object", "Enum", "Int128", "UInt128"})


def frame(columns: pa.Table) -> pl.DataFrame:
    """A DataFrame of the columns of a table."""
    import polars as pl  # noqa: PLC0415 - imported when needed only.

    return pl.DataFrame(
        [_series(name, columns.column(at)) for at, name in enumerate(columns.column_names)]
    )


def series(column: pa.Table) -> pl.Series:
    """A Series: the one column of a table, and its name."""
    return _series(column.column_names[0], column.column(0))


def _series(name: str, values: pa.ChunkedArray) -> pl.Series:
    import polars as pl  # noqa: PLC0415 - imported when needed only.
    import pyarrow as pa  # noqa: PLC0415 - the values are pyarrow's, so it is loaded.

    # One chunk: a frame of several would be put together again by the pool.
    made = pl.from_arrow(values.combine_chunks() if values.num_chunks else pa.nulls(0, values.type))
    assert isinstance(made, pl.Series)
    return made.alias(name)


def take_apart(value: Any) -> Reduced:
    """Return the tag and the table that rebuild an object of polars.

    Raises:
        OutputWithheld: its class or one of its dtypes is not one that comes back.
    """
    import polars as pl  # noqa: PLC0415 - the value is polars', so it is loaded.

    if type(value) is pl.DataFrame:
        if value.width == 0 and value.height:
            raise unlisted("it has rows and no columns", "")
        return frame, (_table(value.get_columns()),)
    if type(value) is pl.Series:
        return series, (_table([value]),)
    if type(value) is pl.LazyFrame:
        raise unlisted("it is a plan, and not yet a table", "bring back value.collect()")
    raise unlisted("this type of polars is not listed", "bring back a DataFrame or a Series")


def _table(columns: list[pl.Series]) -> pa.Table:
    import polars as pl  # noqa: PLC0415 - see take_apart.
    import pyarrow as pa  # noqa: PLC0415 - polars' way to Arrow needs it anyway.

    arrays = []
    for column in columns:
        if str(column.dtype.base_type()) in _UNLIKE_ARROW:
            raise unlisted(
                f"the dtype {str(column.dtype)[:80]} has no counterpart in Arrow", "cast it first"
            )
        # The oldest form has texts in one buffer, which Arrow checks as a whole.
        arrays.append(column.to_arrow(compat_level=pl.CompatLevel.oldest()))
    return pa.table(arrays, names=[column.name for column in columns])
