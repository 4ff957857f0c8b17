"""Columns as Parquet: bit for bit through any values, damage named, secrets kept."""

import io

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    KeyMismatchError,
    SettingError,
    SnapshotError,
)
from populace.storage.columns import (
    NUMBERS,
    ROW_GROUP,
    decode,
    decode_blob,
    encode,
    encode_blob,
)
from populace.storage.keys import Key

KEY = Key(bytes(range(32)))
DTYPES = [np.dtype("b1"), *map(np.dtype, NUMBERS)]
FILE = "data/0000000001-x.parquet"

texts = st.text(st.characters(exclude_categories=())) | st.sampled_from(["", "\0", "😀", "\ud800"])


@st.composite
def column_sets(draw):
    """Columns of one length with any bits in them; many of one value, some with few."""
    n = draw(st.sampled_from([0, 1, 2, 7, 64, 1000]))
    made = {}
    for name in draw(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1,
                              max_size=5, unique=True)):  # fmt: skip
        kind = draw(st.sampled_from([*DTYPES, "str"]))
        if kind == "str":
            some = draw(st.lists(texts, min_size=1, max_size=5))
            made[name] = [some[row % len(some)] for row in range(n)]
            continue
        width = draw(st.sampled_from([1, 1, 1, 2, 3, 16]))
        flat = width == 1 and draw(st.booleans())
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        bits = rng.integers(0, draw(st.sampled_from([2, 256])), n * width * kind.itemsize, "u1")
        if kind == "b1":
            bits &= 1
        if draw(st.booleans()) and n:
            bits = np.tile(bits[: width * kind.itemsize], n)
        made[name] = bits.view(kind).reshape((n,) if flat else (n, width))
    return made


def same(one, other):
    """Equal to the last bit: dtype, shape, payloads of NaNs, signs of zeros."""
    if isinstance(one, list):
        return one == other
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def refuses_change(columns):
    """The same arrays, read-only."""
    views = {name: c if isinstance(c, list) else c[:] for name, c in columns.items()}
    for view in views.values():
        if isinstance(view, np.ndarray):
            view.flags.writeable = False
    return views


# -- bit for bit ----------------------------------------------------------------------------


@given(column_sets(), st.sampled_from([None, "lz4", "zstd"]), st.sampled_from([None, KEY]))
def test_what_is_decoded_is_what_was_encoded(columns, compression, key):
    """Any dtype, width, bits and strings, no rows and many, read-only arrays, every codec, plain
    and encrypted, all of the columns or one."""
    data = encode(refuses_change(columns), file=FILE, compression=compression, key=key)
    n = len(next(iter(columns.values())))
    back = decode(data, file=FILE, key=key, rows=n)
    assert list(back) == list(columns)
    assert all(same(columns[name], back[name]) for name in columns)
    for name in columns:
        (only,) = decode(bytes(data), [name], file=FILE, key=key).items()
        assert only[0] == name
        assert same(columns[name], only[1])


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_every_kind_of_float_survives(dtype):
    """Payloads and signs of NaNs, infinities, denormal numbers, both zeros; repeated or not."""
    size = np.dtype(dtype).itemsize
    rng = np.random.default_rng(1)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1, 5e-324], dtype)
    nans = rng.integers(0, 2**16, 1000).astype("u2")
    bits = np.zeros((1000, size // 2), "u2")
    bits[:, -1] = {2: 0x7C00, 4: 0x7F80, 8: 0x7FF0}[size] | (nans & 0x8003)
    bits[:, 0] |= nans | 1
    minus = np.full(999, -0.0, dtype)
    values = np.concatenate([special, -special, bits.view(dtype).ravel(), minus])
    columns = {"one": values, "vector": np.stack([values, values[::-1]], 1)}
    back = decode(encode(columns, file=FILE), file=FILE)
    assert all(same(columns[name], back[name]) for name in columns)
    assert np.isnan(back["one"]).sum() >= 1000


def test_many_row_groups_come_back_in_one_piece():
    """Beyond one row group, columns are contiguous, aligned, writable, and nobody else's."""
    n = 2 * ROW_GROUP + 1001
    rng = np.random.default_rng(2)
    columns = {np.dtype(kind).name: rng.integers(0, 2, n).astype(kind) for kind in DTYPES}
    columns["half"] = rng.random((n, 3)).astype("f2")
    columns["order"] = np.arange(n, dtype="u8") << np.uint64(32)
    columns["said"] = [f"word {row % 1000}" for row in range(n)]
    data = encode(columns, file=FILE)
    assert pq.ParquetFile(pa.BufferReader(data)).num_row_groups == 3
    back = decode(data, file=FILE)
    arrays = {name: column for name, column in back.items() if name != "said"}
    bytes_of_file = np.frombuffer(data, "u1")
    for name, column in arrays.items():
        assert same(columns[name], column)
        assert column.flags.c_contiguous
        assert column.flags.aligned
        assert column.flags.writeable
        assert not np.shares_memory(column, bytes_of_file)
        column[:] = 0
    assert back["said"] == columns["said"]
    again = decode(data, file=FILE)
    assert all(same(columns[name], again[name]) for name in columns)


@given(column_sets())
def test_equal_columns_give_equal_bytes(columns):
    """Files can be compared by their hash, whether the arrays are copies or not."""
    copies = {n: list(c) if isinstance(c, list) else c.copy() for n, c in columns.items()}
    assert encode(columns, file=FILE) == encode(copies, file="data/other.parquet")


@pytest.mark.parametrize(
    "given",
    [
        np.arange(20, dtype="i4")[::2],
        np.arange(20, dtype="f4").reshape(10, 2)[:, ::-1],
        np.asfortranarray(np.arange(20, dtype="i8").reshape(10, 2)),
        np.arange(10, dtype=">u2"),
        np.arange(10, dtype=">f8"),
        np.arange(10) % 3 == 0,
        pa.array([str(row) for row in range(10)]),
        pa.array([str(row) for row in range(10)], pa.large_string()),
        tuple("abcdefghij"),
    ],
)
def test_arrays_of_any_layout(given):
    """Strided, Fortran-ordered, big-endian, a pyarrow array of strings: the values count."""
    back = decode(encode({"x": given}, file=FILE), file=FILE)["x"]
    if isinstance(given, np.ndarray):
        assert back.dtype == given.dtype.newbyteorder("<")
        assert (back == given).all()
    else:
        assert back == [str(text) for text in given]


def test_columns_of_one_value_take_no_room():
    """A default that nobody has changed, in any dtype, costs next to nothing."""
    n = 100_000
    for dtype in DTYPES:
        assert encode({"x": np.ones(n, dtype)}, file=FILE).size < n / 7
    assert encode({"x": np.full((n, 16), 0.5, "f2")}, file=FILE).size < n / 7


def test_metadata_larger_than_the_columns():
    """The file's memory is allotted by the size of its columns; it may turn out larger."""
    told = {"x": {"doc": "long " * 1_000_000}}
    data = encode({"x": np.arange(3)}, file=FILE, metadata=told)
    assert decode(data, file=FILE)["x"].tolist() == [0, 1, 2]
    assert data.size > 5_000_000


# -- for other readers ----------------------------------------------------------------------


def test_any_reader_reads_the_columns(tmp_path):
    """DuckDB and plain pyarrow see numbers, flags and strings as such, and a vector's bytes; the
    metadata of the field say what they are."""
    n = 300_000
    columns = {
        "id": np.arange(n, dtype="u8"),
        "owner": np.repeat(np.arange(n // 100, dtype="u8"), 100),
        "flag": np.arange(n) % 2 == 0,
        "half": (np.arange(n) % 8).astype("f2"),
        "small": (np.arange(n) % 100 - 50).astype("i1"),
        "weight": np.linspace(0, 1, n).astype("f4"),
        "face": np.arange(4 * n, dtype="f4").reshape(n, 4),
        "name": ["né\0", ""] * (n // 2),
    }
    path = tmp_path / "x.parquet"
    path.write_bytes(encode(columns, file=FILE, metadata={"weight": {"unit": "kg"}}))
    table = pq.read_table(path)
    assert table.schema.field("weight").metadata == {b"unit": b"kg", b"dtype": b"f4"}
    assert table.schema.field("face").metadata == {b"dtype": b"f4", b"width": b"4"}
    assert table.schema.metadata is None
    assert not any(field.nullable for field in table.schema)
    assert (table["small"].to_numpy() == columns["small"]).all()
    assert table["face"][5].as_py() == columns["face"][5].tobytes()
    with duckdb.connect() as database:
        found = database.execute(
            f"""SELECT count(*), sum(id), sum(flag::INT), sum(half::FLOAT), sum(small), min(name),
                max(name), octet_length(any_value(face)) FROM '{path}'"""
        ).fetchone()
    assert found == (
        n, n * (n - 1) // 2, n // 2, 3.5 * n, columns["small"].sum(), "", "né\0", 16,
    )  # fmt: skip


def test_row_groups_say_what_they_hold():
    """Each has the least and greatest owner, so that a reader of one owner skips the others."""
    n = 3 * ROW_GROUP
    data = encode({"owner": np.arange(n) // 100, "v": np.zeros((n, 2), "f4")}, file=FILE)
    metadata = pq.ParquetFile(pa.BufferReader(data)).metadata
    for group in range(3):
        owner, vector = (metadata.row_group(group).column(place) for place in (0, 1))
        assert owner.statistics.min == group * ROW_GROUP // 100
        assert owner.statistics.max == ((group + 1) * ROW_GROUP - 1) // 100
        assert "DELTA_BINARY_PACKED" in owner.encodings
        assert not vector.is_stats_set


# -- what cannot be a column ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "error"),
    [
        (np.zeros(2, "c8"), ColumnTypeError),
        (np.zeros(2, "M8[us]"), ColumnTypeError),
        (np.zeros(2, "U3"), ColumnTypeError),
        (np.zeros(2, object), ColumnTypeError),
        (np.zeros((2, 3, 4), "f4"), ColumnShapeError),
        (np.zeros((2, 0), "f4"), ColumnShapeError),
        (np.float32(1), ColumnTypeError),
        (["a", 1], ColumnTypeError),
        (["a", None], ColumnTypeError),
        ([b"a"], ColumnTypeError),
        (["a", b"a"], ColumnTypeError),
        (pa.array([b"a"]), ColumnTypeError),
        (pa.array(["a", None]), ColumnTypeError),
        ([1, 2], ColumnTypeError),
        ("word", ColumnTypeError),
        (7, ColumnTypeError),
    ],
)
def test_what_cannot_be_a_column(column, error):
    """The error names file and column."""
    with pytest.raises(error, match=rf"{FILE}: column 'x'"):
        encode({"x": column}, file=FILE)


def test_columns_must_go_together():
    """One length, at least one column, and a codec that there is."""
    with pytest.raises(ColumnShapeError, match=r"different lengths: \{'x': 1, 'y': 2\}"):
        encode({"x": np.zeros(1), "y": ["", ""]}, file=FILE)
    with pytest.raises(ColumnShapeError, match="at least one column"):
        encode({}, file=FILE)
    with pytest.raises(SettingError, match="'lz4' or 'zstd', got 'gzip'"):
        encode({"x": np.zeros(1)}, file=FILE, compression="gzip")


# -- damage ---------------------------------------------------------------------------------


def example(key=None):
    """Every kind of column in one small file, and its bytes."""
    rng = np.random.default_rng(3)
    columns = {
        "id": rng.integers(0, 2**60, 50, "u8"),
        "flag": np.arange(50) % 2 == 0,
        "weight": rng.random(50),
        "still": np.zeros(50, "f4"),
        "face": rng.random((50, 3)).astype("f2"),
        "said": ["tea", "", "brot", "😀", "\0"] * 10,
    }
    return columns, bytes(encode(columns, file=FILE, key=key))


@pytest.mark.parametrize("key", [None, KEY])
def test_damage_is_named_and_does_no_harm(key):
    """Cut at any byte, or with any one byte or some bytes changed: an error that names the file,
    or columns of the right form; under encryption, an error or the very columns."""
    columns, data = example(key)
    rng = np.random.default_rng(4)
    damaged = [data[:end] for end in range(0, len(data), 3)]
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        if place % 3 == 0:
            for other in rng.integers(len(data) // 2, len(data) - 8, 4):
                changed[other] = rng.integers(256)
        damaged.append(bytes(changed))
    errors = []
    for changed in damaged:
        try:
            back = decode(changed, list(columns), file=FILE, key=key)
        except (SnapshotError, KeyMismatchError) as error:
            errors.append(str(error))
        else:
            assert key is None or all(same(columns[name], back[name]) for name in columns)
    assert all(error.startswith(FILE) for error in errors)
    assert len(errors) > (0.99 if key else 0.5) * len(damaged)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PARE", b"PAR1" * 5, b"PARE" * 5, b"x" * 100])
def test_what_is_no_file_of_columns(data):
    """Named, with and without a key."""
    for key in (None, KEY):
        with pytest.raises(SnapshotError, match=FILE):
            decode(data, file=FILE, key=key)


def test_other_columns_than_expected():
    """A column that is missing and another number of rows are named, with what there is."""
    columns, data = example()
    with pytest.raises(SnapshotError, match=rf"{FILE}: has no column 'age'; it has face, flag, id"):
        decode(data, ["id", "age"], file=FILE)
    with pytest.raises(SnapshotError, match=rf"{FILE}: has 50 rows where 51 are expected"):
        decode(data, file=FILE, rows=51)
    assert decode(data, [], file=FILE) == {}
    assert list(decode(data, ["said", "id"], file=FILE)) == ["said", "id"]
    assert columns["id"].size == 50


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (pa.array([1, 2]), {}),
        (pa.array([1, 2]), {"dtype": "i4"}),
        (pa.array([1, 2]), {"dtype": "str"}),
        (pa.array([1, 2]), {"dtype": "i8", "width": "1"}),
        (pa.array([1, 2]), {"dtype": "O"}),
        (pa.array([1, None]), {"dtype": "i8"}),
        (pa.array([b"12", b"34"], pa.binary(2)), {"dtype": "i1", "width": "3"}),
        (pa.array([b"12", b"34"], pa.binary(2)), {"dtype": "i1", "width": "x"}),
        (pa.array([b"12", b"34"], pa.binary(2)), {"dtype": "i1", "width": "-2"}),
        (pa.array([b"12", b"34"], pa.binary(2)), {"dtype": "i1", "width": "9" * 30}),
        (pa.array([b"\xff", b"34"], pa.large_binary()), {"dtype": "str"}),
        (pa.array([[1], [2]]), {"dtype": "i8"}),
        (pa.array(["x", "y"]).dictionary_encode(), {"dtype": "str"}),
    ],
)
def test_a_parquet_file_by_somebody_else(array, told):
    """Its columns are not taken for what they only say they are."""
    field = pa.field("x", array.type, metadata=told)
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([array], schema=pa.schema([field])), sink)
    with pytest.raises(SnapshotError, match=FILE):
        decode(sink.getvalue(), file=FILE)


def test_two_columns_of_one_name():
    """Neither is taken for the other."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 2, names=["x", "x"]), sink)
    with pytest.raises(SnapshotError, match="two columns of one name"):
        decode(sink.getvalue(), file=FILE)


# -- encryption -----------------------------------------------------------------------------


def test_an_encrypted_file_tells_nothing():
    """Neither strings nor names of columns nor runs of values are to be seen; only the file's name
    and the key's fingerprint are."""
    columns = {
        "confession": ["I took the bread"] * 100,
        "place": np.full(100, 0x6861707079626972, "u8"),
    }
    plain = bytes(encode(columns, file=FILE))
    sealed = bytes(encode(columns, file=FILE, key=KEY))
    for secret in (b"confession", b"took the bread", b"place", (0x6861707079626972).to_bytes(8)):
        assert secret[::-1] in plain or secret in plain
        assert secret not in sealed
        assert secret[::-1] not in sealed
    assert KEY.fingerprint.encode() in sealed
    assert sealed != bytes(encode(columns, file=FILE, key=KEY))  # no nonce is used twice


@pytest.mark.parametrize("size", [16, 24, 32])
def test_keys_of_every_size(size):
    """AES with 128, 192 and 256 bits."""
    key = Key(bytes(size))
    columns, data = example(key)
    assert same(columns["id"], decode(data, ["id"], file=FILE, key=key)["id"])


def test_a_missing_or_wrong_key_is_told_by_its_fingerprint():
    """Before anything is decoded; a key for a file without one is an error too."""
    _, data = example(KEY)
    with pytest.raises(KeyMismatchError, match=f"{FILE}: is encrypted; .*{KEY.fingerprint}"):
        decode(data, file=FILE)
    other = Key(bytes(32))
    with pytest.raises(KeyMismatchError, match=f"{KEY.fingerprint}; .*{other.fingerprint}"):
        decode(data, file=FILE, key=other)
    with pytest.raises(SnapshotError, match=f"{FILE}: is not encrypted"):
        decode(example()[1], file=FILE, key=KEY)


def test_an_encrypted_file_keeps_its_name():
    """It passes for no other, not even when the name that stands in it is changed as well."""
    _, data = example(KEY)
    other = FILE.replace("1", "2")
    with pytest.raises(SnapshotError, match=f"{other}: was written under another name"):
        decode(data, file=other, key=KEY)
    with pytest.raises(SnapshotError, match=f"{other}: is damaged"):
        decode(data.replace(FILE.encode(), other.encode()), file=other, key=KEY)


def test_a_file_that_somebody_else_encrypted():
    """It is told apart from ours."""
    import pyarrow.parquet.encryption as pe

    sink = io.BytesIO()
    sealed = pe.create_encryption_properties(bytes(32))
    pq.write_table(pa.table({"x": [1]}), sink, encryption_properties=sealed)
    with pytest.raises(SnapshotError, match="is encrypted, but not by populace"):
        decode(sink.getvalue(), file=FILE, key=KEY)


@pytest.mark.parametrize("data", [b"", b"{}", b"\0\xff" * 1_500_000])
def test_blobs(data):
    """Bytes of any kind come back; damage, another key and another name are told."""
    sealed = bytes(encode_blob(data, file="data/r", key=KEY))
    assert decode_blob(sealed, file="data/r", key=KEY) == data
    assert len(data) < 2 or data[:100] not in sealed
    with pytest.raises(KeyMismatchError, match="data/r"):
        decode_blob(sealed, file="data/r", key=Key(bytes(16)))
    for file, bad in (("data/s", sealed), ("data/r", sealed[:-1]), ("data/r", b"")):
        with pytest.raises(SnapshotError, match=file):
            decode_blob(bad, file=file, key=KEY)
    flipped = bytearray(sealed)
    flipped[60] ^= 1
    with pytest.raises(SnapshotError, match="data/r: is damaged"):
        decode_blob(bytes(flipped), file="data/r", key=KEY)
