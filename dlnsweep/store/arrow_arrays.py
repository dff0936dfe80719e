"""NumPy's arrays as Arrow's, and back, without pandas.

`pyarrow.array` and `to_numpy` import pandas to find out whether they are given something of its:
0.2 s of every worker process, which has no other use for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def numbers(values: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    """Return numbers or truth values as an Arrow array.

    Args:
        values: One axis, of a type that Arrow has.
        missing: Which of them are null; none by default.
    """
    values = np.ascontiguousarray(values)
    data = _bits(values) if values.dtype == bool else pa.py_buffer(values)
    valid = None if missing is None or not missing.any() else _bits(~missing)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [valid, data])


def texts(values: Sequence[str]) -> pa.Array:
    """Return texts as an Arrow array."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def values_of(column: pa.ChunkedArray, missing: float = np.nan) -> np.ndarray:
    """Return a column as a NumPy array of its own: numbers as such, others as objects.

    Args:
        column: The column.
        missing: What stands for null in columns of numbers.
    """
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        parts = [_numbers_of(chunk, missing) for chunk in column.chunks]
        return np.concatenate(parts) if parts else np.empty(0, kind.to_pandas_dtype())
    found = column.to_pylist()
    if pa.types.is_boolean(kind) and not column.null_count:
        return np.array(found, dtype=bool)
    objects = np.empty(len(found), dtype=object)
    objects[:] = found
    return objects


def _numbers_of(chunk: pa.Array, missing: float) -> np.ndarray:
    valid, data = chunk.buffers()
    dtype = np.dtype(chunk.type.to_pandas_dtype())
    if data is None or not len(chunk):
        return np.empty(0, dtype)
    values = np.frombuffer(data, dtype, offset=chunk.offset * dtype.itemsize, count=len(chunk))
    if not chunk.null_count:
        return values
    bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")
    there = bits[chunk.offset : chunk.offset + len(chunk)].astype(bool)
    # Whole numbers of which some are missing are whole only if what stands for them is.
    whole = isinstance(missing, int) or np.issubdtype(dtype, np.floating)
    found = values.astype(dtype if whole else np.float64)
    found[~there] = missing
    return found


def _bits(values: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
