"""Arrow's arrays made without pandas, beside those that pyarrow makes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from dlnsweep.store.arrow_arrays import numbers, texts, values_of

# Enough for two bytes of bits, of which the second is not full.
COUNT = 11
SOME = np.arange(COUNT) % 3 == 1


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "float64", "bool"])
@pytest.mark.parametrize("missing", [None, SOME, np.zeros(COUNT, bool), np.ones(COUNT, bool)])
def test_numbers_are_those_of_pyarrow(dtype: str, missing: np.ndarray | None) -> None:
    # Every other element of a larger array: nothing is taken as it lies in memory.
    values = (np.arange(2 * COUNT) % 5).astype(dtype)[::2]
    found = numbers(values, missing)
    found.validate(full=True)
    assert found.equals(pa.array(values, mask=missing))
    assert found.null_count == (0 if missing is None else missing.sum())


@pytest.mark.parametrize("values", [[], ["", "a", "", "η‖𝔼‖", "a"], [""]])
def test_texts_are_those_of_pyarrow(values: list[str]) -> None:
    found = texts(values)
    found.validate(full=True)
    assert found.equals(pa.array(values, pa.string()))


@pytest.mark.parametrize(
    ("array", "missing", "expected"),
    [
        (pa.array([1, 2, 3, 4]), np.nan, np.array([2, 3, 4])),
        (pa.array([1, None, 3, 4]), -1, np.array([-1, 3, 4])),
        (pa.array([0.5, None, 1.5, 2.5]), np.nan, np.array([np.nan, 1.5, 2.5])),
        (pa.array([1, 2, None, 4], pa.float32()), np.nan, np.array([2, np.nan, 4], np.float32)),
        (pa.array([True, False, True, True]), np.nan, np.array([False, True, True])),
        (pa.array([True, None, True, True]), np.nan, np.array([None, True, True], object)),
        (pa.array(["a", "b", None, "d"]), np.nan, np.array(["b", None, "d"], object)),
    ],
)  # fmt: skip
def test_columns_become_arrays(array: pa.Array, missing: float, expected: np.ndarray) -> None:
    # Of two chunks, the first of which begins within its buffers; and an empty one.
    column = pa.chunked_array([array.slice(1, 2), array.slice(3), array.slice(4)])
    found = values_of(column, missing)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    assert values_of(column.slice(0, 0), missing).shape == (0,)
    # Its own: an array that lies in a file's buffer cannot be written.
    found[:1] = found[:1]


def test_pandas_is_not_loaded() -> None:
    code = (
        "import sys, numpy as np, pyarrow as pa\n"
        "from dlnsweep.store.arrow_arrays import numbers, texts, values_of\n"
        "columns = [numbers(np.ones(2), np.array([True, False])), texts(['a', 'b'])]\n"
        "table = pa.Table.from_arrays(columns, ['x', 'y']).take(numbers(np.array([1, 0])))\n"
        "[values_of(table[name]) for name in table.column_names]\n"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
