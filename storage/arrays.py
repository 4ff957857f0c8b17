"""Columns as Arrow arrays: their types, and views of numpy's memory.

Nothing is copied but bools, which Arrow packs into bits, f2, which engines refuse, and validity.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from populace.ecs.image import Image

from .tables import TIME_UNIT, Column

if TYPE_CHECKING:
    import pyarrow as pa

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

SPARSE = 4
"""Codes that are fewer than one for so many texts are found by hashing, not by place."""


@lru_cache(maxsize=4096)
def arrow_field(column: Column) -> pa.Field:
    """A column's name, Arrow type, unit and meaning."""
    import pyarrow as pa

    unit = "" if column.unit == TIME_UNIT else column.unit
    told = {key: text for key, text in (("unit", unit), ("doc", column.doc)) if text}
    return pa.field(column.name, _arrow_type(column), metadata=told)


def _arrow_type(column: Column) -> pa.DataType:
    import pyarrow as pa

    made = column.field
    if column.kind == "tag":
        return pa.bool_()
    if made is None or made.kind == "entity":
        return pa.uint64()
    if made.kind == "text":
        return pa.dictionary(pa.uint32(), pa.large_string())
    if made.kind == "enum" or column.codes is not None:
        return pa.dictionary(pa.uint8(), pa.string())
    if made.unit == TIME_UNIT:
        return pa.timestamp("us")
    # engines, pandas and Spark refuse or mistake half precision
    plain = pa.float32() if made.dtype == np.float16 else pa.from_numpy_dtype(made.dtype)
    return pa.list_(plain, made.width) if made.kind == "vector" else plain


def code_names(column: Column, image: Image) -> list[str]:
    """The names of an enum's or another column's codes, by code; of a gap, its number."""
    if column.codes is not None:
        return list(column.codes(image))[:256]
    choices = {int(c): c.name.lower() for c in (column.field and column.field.choices) or ()}
    return [choices.get(code, str(code)) for code in range(max(choices, default=-1) + 1)]


def in_use(codes: Array, n: int) -> tuple[Array, npt.NDArray[np.int32]]:
    """(the codes below n that occur, (k,) i4 places among them). 2 to 8 ns a code."""
    import pyarrow as pa

    if n > SPARSE * codes.size:
        encoded = pa.array(codes).dictionary_encode()
        return encoded.dictionary.to_numpy(), encoded.indices.to_numpy()
    occurs = np.zeros(n, np.bool_)
    occurs[codes] = True
    used = np.flatnonzero(occurs)
    place = np.empty(n, np.int32)
    place[used] = np.arange(used.size, dtype=np.int32)
    return used, place.take(codes, mode="clip")


def view(kind: pa.DataType, values: Array, valid: Mask | None) -> pa.Array:
    """Numbers as an Arrow array over the same memory."""
    import pyarrow as pa

    if values.dtype == np.bool_:
        bits = np.packbits(values, bitorder="little")
        return pa.Array.from_buffers(kind, values.size, [_bitmap(valid), pa.py_buffer(bits)])
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    whole = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, values.size, [_bitmap(valid), whole])


def dictionary_of(codes: Array, valid: Mask | None, values: pa.Array) -> pa.Array:
    """Codes that are all below the number of values."""
    import pyarrow as pa

    indices = view(pa.from_numpy_dtype(codes.dtype), codes, valid)
    return pa.DictionaryArray.from_arrays(indices, values, safe=False)


def _bitmap(valid: Mask | None) -> pa.Buffer | None:
    import pyarrow as pa

    return None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))


def utf8(strings: Sequence[str]) -> pa.Array:
    """Strings as an Arrow array; what UTF-8 cannot hold, half a surrogate pair, as `\\udc80`.

    90 ns a string. pyarrow's own way takes 40, but begins by importing pandas, 250 ms.
    """
    import pyarrow as pa

    joined = "".join(strings)
    try:
        data = joined.encode()
    except UnicodeEncodeError:
        return utf8([text.encode("utf-8", "backslashreplace").decode() for text in strings])
    by_byte = strings if len(data) == len(joined) else map(str.encode, strings)
    offsets = np.zeros(len(strings) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, by_byte), np.int64, len(strings)), out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_string(), len(strings), buffers)
