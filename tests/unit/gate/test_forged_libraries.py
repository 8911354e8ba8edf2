"""Structures, masked arrays, Arrow streams and sparse arrays that no honest writer sends."""

from __future__ import annotations

import io
import random
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate import ipc
from kavach_ipy.gate.reader import read_pickle
from kavach_ipy.wire import arrays, arrow, polars_frames, sparse, tables
from tests.unit.gate.forging import Call, forge, is_refused
from tests.unit.gate.pace import cpu_seconds


def _ints(*values: int, dtype: str = "<i4") -> Call:
    raw = np.array(values, dtype)
    return Call(arrays.array, (raw.dtype.str, raw.shape, "C", raw.tobytes()))


def _structure(size: object, *fields: object, raw: bytes = bytes(8)) -> bool:
    return is_refused(forge(Call(arrays.array, ((size, fields), (1,), "C", raw))))


def _nested(depth: int) -> object:
    return (8, (("a", _nested(depth - 1), (), 0),)) if depth else "<i8"


def test_a_structure_is_accepted_from_which_the_next_differ() -> None:
    """Two fields side by side, one of them an array, are a structure."""
    assert not _structure(8, ("a", "<i4", (), 0), ("b", "<i2", (2,), 4))
    assert not _structure(8, ("a", _nested(3), (), 0))


@pytest.mark.parametrize(
    ("size", "fields"),
    [
        (8, [("a", "<i4", (), 0), ("b", "<i4", (), 2)]),
        (8, [("a", "<i4", (), 0), ("a", "<i4", (), 4)]),
        (8, [("a", "<i8", (), 1)]),
        (8, [("a", "<i4", (), -4)]),
        (8, [("a", "|O8", (), 0)]),
        (8, [("a", "<i4,<i4", (), 0)]),
        (8, [("a", "<i4", (2**62, 4), 0)]),
        (8, [("a", "<i4", (-1,), 0)]),
        (8, [("a", "<i4", [1], 0)]),
        (8, [(1, "<i4", (), 0)]),
        (8, [("a", "<i4", ())]),
        (8, []),
        (0, [("a", "<i4", (), 0)]),
        (2**40, [("a", "<i4", (), 0)]),
        (True, [("a", "|b1", (), 0)]),
        (
            8,
            [
                (
                    "a",
                    (8, (("b", (8, (("c", (8, (("d", (8, ()), (), 0),)), (), 0),)), (), 0),)),
                    (),
                    0,
                )
            ],
        ),
    ],
)
def test_structures_that_overlap_or_lie_outside_are_refused(size: object, fields: Any) -> None:
    """Objects, negative or overlapping offsets, repeated names and deep nesting are refused."""
    assert _structure(size, *fields)


def test_booleans_and_characters_inside_structures_are_checked() -> None:
    """A field is looked at as an array of its own is, wherever it stands."""
    flag = (4, (("pad", "|u1", (3,), 0), ("b", "|b1", (), 3)))
    char = (8, (("n", "<i4", (), 0), ("c", "<U1", (), 4)))
    for layout, good, bad in (
        (flag, b"\xff\xff\xff\1" * 2, b"\0\0\0\1\0\0\0\2"),
        (char, b"\xff" * 4 + b"a\0\0\0", bytes(4) + b"\0\0\x11\0"),
    ):
        shape = (len(good) // layout[0],)
        assert not is_refused(forge(Call(arrays.array, (layout, shape, "C", good))))
        assert is_refused(forge(Call(arrays.array, (layout, shape, "C", bad))))
        assert is_refused(forge(Call(arrays.scalar, (layout, bad[-layout[0] :]))))


def test_a_shared_layout_cannot_grow_without_end() -> None:
    """A structure of fields that are all one structure, four deep, runs out of budget soon."""
    layout: object = "|u1"
    for _ in range(3):
        layout = (2**30, tuple((f"f{at}", layout, (0,), at) for at in range(200)))
    assert is_refused(forge(Call(arrays.array, (layout, (0,), "C", b""))))


@pytest.mark.parametrize(
    ("mask", "fill", "is_hard"),
    [
        (_ints(0, 1), None, False),
        (Call(arrays.array, ("|b1", (1,), "C", b"\0")), None, False),
        (None, _ints(1), False),
        (None, Call(arrays.array, ("<f8", (), "C", bytes(8))), False),
        (None, None, 1),
        ([False, False], None, False),
    ],
)
def test_masks_and_fillings_of_another_kind_are_refused(
    mask: object, fill: object, is_hard: object
) -> None:
    """A mask has the data's shape, and a filling its dtype and no axes."""
    data = _ints(1, 2)
    assert not is_refused(forge(Call(arrays.masked_array, (data, None, None, False))))
    assert is_refused(forge(Call(arrays.masked_array, (data, mask, fill, is_hard))))


_SHAPE = (2, 3)
_PARTS = (_ints(5, 6, dtype="<f8"), _ints(0, 2), _ints(0, 1, 2))


@pytest.mark.parametrize(
    ("kind", "shape", "parts"),
    [
        ("csr_array", _SHAPE, (_PARTS[0], _ints(0, 3), _PARTS[2])),
        ("csr_array", _SHAPE, (_PARTS[0], _ints(-1, 2), _PARTS[2])),
        ("csr_array", _SHAPE, (_PARTS[0], _PARTS[1], _ints(0, 3, 2))),
        ("csr_array", _SHAPE, (_PARTS[0], _PARTS[1], _ints(0, -1, 2))),
        ("csr_array", _SHAPE, (_PARTS[0], _PARTS[1], _ints(1, 1, 2))),
        ("csr_array", _SHAPE, (_PARTS[0], _PARTS[1], _ints(0, 1, 3))),
        ("csr_array", _SHAPE, (_PARTS[0], _PARTS[1], _ints(0, 2))),
        ("csr_array", _SHAPE, (_PARTS[0], _ints(0, 2, dtype="<i8"), _PARTS[2])),
        ("csr_array", _SHAPE, (_PARTS[0], _ints(0, 2, dtype=">i4"), _ints(0, 1, 2, dtype=">i4"))),
        ("csr_array", _SHAPE, (_ints(5, 6, dtype=">f8"), _PARTS[1], _PARTS[2])),
        ("csr_array", _SHAPE, (_ints(5, 6, dtype="<f2"), _PARTS[1], _PARTS[2])),
        ("csr_array", _SHAPE, (_ints(5, dtype="<f8"), _PARTS[1], _PARTS[2])),
        ("csc_array", _SHAPE, _PARTS),
        ("csr_array", (2, -3), _PARTS),
        ("csr_array", (2, 2**40), _PARTS),
        ("csr_array", (2,), _PARTS),
        ("csr_array", (2, 3, 1), _PARTS),
        ("coo_array", _SHAPE, _PARTS),
        ("_csr", _SHAPE, _PARTS),
        ("linalg", _SHAPE, _PARTS),
    ],
)
def test_sparse_indices_outside_their_shape_are_refused(
    kind: str, shape: object, parts: tuple[object, ...]
) -> None:
    """What SciPy's C++ would read or write out of bounds is refused before SciPy sees it."""
    assert not is_refused(forge(Call(sparse.compressed, ("csr_array", _SHAPE, *_PARTS))))
    assert is_refused(forge(Call(sparse.compressed, (kind, shape, *parts))))


_TABLE = pa.table(
    {
        "n": pa.array([1, 2, None, 4], pa.int32()),
        "t": ["a", "bc", None, "def"],
        "l": [[1], [2, 3], [], None],
        "d": pa.array(["x", "y", "x", "y"]).dictionary_encode(),
    }
)


def _stream(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _is_table(raw: bytes) -> bool:
    return not is_refused(forge(Call(arrow.table, (raw,))))


def test_streams_that_are_compressed_extended_or_in_pieces_are_refused() -> None:
    """Nothing is inflated, no class that the notebook registered is asked, no delta is applied."""
    assert _is_table(_stream(_TABLE))
    for codec in ("lz4", "zstd"):
        assert not _is_table(_stream(_TABLE, compression=codec))
    odd = pa.field("n", pa.int32(), metadata={"ARROW:extension:name": "x"})
    assert not _is_table(_stream(_TABLE.select(["n"]).cast(pa.schema([odd]))))
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    schema = _TABLE.select(["d"]).schema
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        for texts in (["x"], ["x", "y"]):
            codes = pa.array(range(len(texts)), pa.int32())
            writer.write_table(pa.table([pa.DictionaryArray.from_arrays(codes, texts)], schema))
    assert not _is_table(sink.getvalue())


@pytest.mark.parametrize(
    "kind",
    [
        pa.run_end_encoded(pa.int32(), pa.int8()),
        pa.string_view(),
        pa.month_day_nano_interval(),
        pa.binary(0),
        pa.list_(pa.int8(), 0),
        pa.struct([]),
        pa.timestamp("s", "../../etc/passwd"),
        pa.dictionary(pa.int8(), pa.list_(pa.string())),
    ],
    ids=str,
)
def test_arrow_types_outside_the_list_are_refused(kind: Any) -> None:
    """Types whose items take no bytes, or that nobody here needs, do not cross."""
    assert not _is_table(_stream(pa.schema([pa.field("a", kind)]).empty_table()))


def test_unions_are_refused() -> None:
    """A union, whose type codes and offsets are the sender's, does not cross."""
    codes = pa.array([0, 0], pa.int8())
    union = pa.UnionArray.from_sparse(codes, [pa.array([1, 2])])
    assert not _is_table(_stream(pa.table({"u": union})))


def test_columns_of_nulls_are_no_free_rows() -> None:
    """A billion nulls, which take no bytes on the wire, are refused; a thousand come back."""
    assert _is_table(_stream(pa.table({"n": pa.nulls(1000)})))
    assert not _is_table(_stream(pa.table({"n": pa.nulls(2**30)})))


def _with_buffers(raw: bytes, big: bytes) -> bytes:
    """Let every text of a stream's one batch be the same big text."""
    size = struct.unpack_from("<i", raw, 4)[0]
    start = 8 + size + 8
    size = struct.unpack_from("<i", raw, start - 4)[0]
    metadata = raw[start : start + size]
    changed = bytearray(metadata)
    message = ipc._follow(metadata, 0)
    batch = ipc._follow(metadata, ipc._field(metadata, message, ipc._MESSAGE_FIELDS["header"]))
    vector = ipc._follow(metadata, ipc._field(metadata, batch, ipc._BUFFERS))
    for at in range(struct.unpack_from("<I", metadata, vector)[0]):
        # Of each column: no validity, two offsets, and the text.
        span = [(0, 0), (0, 8), (64, len(big))][at % 3]
        struct.pack_into("<qq", changed, vector + 4 + 16 * at, *span)
    body = struct.pack("<ii", 0, len(big)).ljust(64, b"\0") + big
    length = ipc._find(metadata, message, ipc._MESSAGE_FIELDS["length"])
    struct.pack_into("<q", changed, length, len(body))
    return raw[:start] + bytes(changed) + body + struct.pack("<Ii", 0xFFFFFFFF, 0)


def test_columns_that_share_a_buffer_are_refused() -> None:
    """One text is read once: three thousand columns over 32 MiB of it took a minute."""
    big = "é".encode() * (1 << 20)
    assert _is_table(_with_buffers(_stream(pa.table({"0": ["é"]})), big))
    assert not _is_table(_with_buffers(_stream(pa.table({"0": ["é"], "1": ["é"]})), big))


def test_a_dictionary_that_is_read_for_every_chunk_is_paid_for_each_time() -> None:
    """Thousands of small batches over one dictionary of 16 MiB are refused, soon; a few are not."""
    codes = pa.array([0], pa.int8())
    batch = pa.record_batch(
        [pa.DictionaryArray.from_arrays(codes, pa.array(["é" * (8 << 20)]))], names=["d"]
    )

    def stream(count: int) -> bytes:
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            for _ in range(count):
                writer.write_batch(batch)
        return sink.getvalue()

    assert _is_table(stream(3))
    many = stream(3000)
    assert cpu_seconds(lambda: _is_table(many), 1.0) < 1.0
    assert not _is_table(many)


@pytest.mark.parametrize("count", [1 << 31, 1 << 60])
def test_lists_of_nulls_are_no_free_items(count: int) -> None:
    """Nulls inside of a list have no bytes either; for want of memory polars ends the kernel."""
    kind = pa.large_list(pa.null())
    assert _is_table(_stream(pa.table({"l": pa.array([[None] * 1000, [], None], kind)})))
    # The three lengths of a list of so many nulls: its column's, its items', and its last offset.
    raw = _stream(pa.table({"l": pa.array([[None] * 0x12345], kind)}))
    assert raw.count(struct.pack("<q", 0x12345)) > 1
    forged = raw.replace(struct.pack("<q", 0x12345), struct.pack("<q", count))
    assert not _is_table(forged)
    assert is_refused(forge(Call(polars_frames.frame, (Call(arrow.table, (forged,)),))))


def test_a_table_of_rows_without_columns_is_refused() -> None:
    """A batch without columns may claim any number of rows."""
    raw = _stream(pa.table({"a": pa.nulls(0x12345)}).select([]))
    assert raw.count(struct.pack("<q", 0x12345)) == 1
    assert _is_table(raw)
    assert not _is_table(raw.replace(struct.pack("<q", 0x12345), struct.pack("<q", 2**60)))


def test_streams_of_the_other_byte_order_are_refused() -> None:
    """Arrow would turn all bytes around, before it has looked at any length."""
    raw = bytearray(_stream(pa.table({"a": [1]})))
    metadata = bytes(raw[8:])
    message = ipc._follow(metadata, 0)
    schema = ipc._follow(metadata, ipc._field(metadata, message, ipc._MESSAGE_FIELDS["header"]))
    vtable = schema - struct.unpack_from("<i", metadata, schema)[0]
    assert ipc._find(metadata, schema, ipc._ENDIANNESS) == 0
    # The field is absent, which means little endian; what stands first in the table is not 0.
    assert struct.unpack_from("<h", metadata, schema + 4)[0]
    struct.pack_into("<H", raw, 8 + vtable + 4, 4)
    with pytest.raises(OutputWithheld, match="little endian"):
        read_pickle(forge(Call(arrow.table, (bytes(raw),))))


def test_names_of_columns_are_texts() -> None:
    """What Arrow would raise for when somebody prints the table is refused before."""
    raw = _stream(pa.table({"abcd": [1]}))
    inside = _stream(pa.table({"s": [{"abcd": 1}]}))
    assert _is_table(raw)
    assert _is_table(inside)
    assert not _is_table(raw.replace(b"abcd", b"\xff\xfe\xfd\xfc"))
    assert not _is_table(inside.replace(b"abcd", b"\xff\xfe\xfd\xfc"))


def test_streams_cut_anywhere_and_streams_with_more_are_refused() -> None:
    """No beginning of a stream is a stream, and neither is one with anything after its end."""
    raw = _stream(_TABLE)
    assert not any(_is_table(raw[:at]) for at in range(0, len(raw), 7))
    assert not _is_table(raw + b"\0")
    assert not _is_table(raw + raw)
    assert not _is_table(struct.pack("<Ii", 0xFFFFFFFF, 0))
    assert not _is_table(struct.pack("<Ii", 0xFFFFFFFF, -8) + raw)


def test_changed_streams_are_a_valid_table_or_withheld() -> None:
    """Whatever bytes of a stream change, what comes out can be walked to its last item."""
    rng = random.Random(5)
    raw = _stream(_TABLE)
    read = 0
    for _ in range(3000):
        changed = bytearray(raw)
        for _ in range(rng.randint(1, 4)):
            at = 4 * rng.randrange(len(raw) // 4)
            value = rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, rng.getrandbits(32)])
            changed[at : at + 4] = struct.pack("<I", value)
        for tag in (arrow.table, polars_frames.frame):
            call = Call(arrow.table, (bytes(changed),))
            data = forge(call if tag is arrow.table else Call(tag, (call,)))
            if not is_refused(data):
                read += 1
                back: Any = read_pickle(data)
                assert len(back.to_pylist() if tag is arrow.table else back.rows()) >= 0
    assert read > 100


def test_arrow_streams_are_bounded_before_they_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One byte over the limit is refused, with the amount and the way out; one under is read."""
    data = _stream(_TABLE)
    monkeypatch.setattr("kavach_ipy.gate.arrow.LONGEST", len(data))
    assert not is_refused(forge(Call(arrow.table, (data,))))
    monkeypatch.setattr("kavach_ipy.gate.arrow.LONGEST", len(data) - 1)
    with pytest.raises(OutputWithheld, match=f"{len(data)} bytes.*in parts"):
        read_pickle(forge(Call(arrow.table, (data,))))


def test_arrow_arguments_of_other_types_are_refused() -> None:
    """A stream is a buffer, a frame is made of a table, a column of a chunked array."""
    table = Call(arrow.table, (_stream(_TABLE),))
    assert not is_refused(forge(Call(polars_frames.frame, (table,))))
    texts = Call(arrow.chunked, (_stream(_TABLE.select(["t"])),))
    assert not is_refused(forge(Call(tables.arrow_texts, ("NA", texts))))
    for call in (
        Call(arrow.table, ("text",)),
        Call(arrow.table, ()),
        Call(polars_frames.frame, (_stream(_TABLE),)),
        Call(polars_frames.frame, ([table],)),
        Call(polars_frames.series, (Call(arrow.table, (_stream(pa.table({})),)),)),
        Call(tables.arrow_backed, (table,)),
        Call(tables.arrow_backed, (_ints(1),)),
        Call(tables.arrow_texts, ("x", Call(arrow.chunked, (_stream(_TABLE.select(["t"])),)))),
        Call(tables.arrow_texts, ("NA", Call(arrow.chunked, (_stream(_TABLE.select(["n"])),)))),
        Call(tables.arrow_texts, ("NA", ["a"])),
    ):
        assert is_refused(forge(call))
