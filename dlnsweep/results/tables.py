"""Arrow tables of many files: read side by side, put together, handed to pandas."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dlnsweep.errors import StoreError

# Tables that are read ahead take no more memory than this, beside the one in use.
_AHEAD_BYTES = 256 * 2**20
# Measured: bytes of a NumPy array as a Python object, and what curves() takes at its height over
# the size of the frame.
_OBJECT_BYTES = 120
_COPIES = 2.2

Item = TypeVar("Item")
Value = TypeVar("Value")


def map_in_threads(function: Callable[[Item], Value], items: Iterable[Item]) -> list[Value]:
    """Return `function` of each item, in their order; reading and unpacking run side by side."""
    # More than the cores, because some wait for the disk.
    with ThreadPoolExecutor(min(16, 2 + (os.cpu_count() or 1))) as pool:
        return list(pool.map(function, items))


def stream(
    function: Callable[[Item], pa.Table], items: Sequence[Item]
) -> Iterator[tuple[Item, pa.Table]]:
    """Yield each item with its table, in order; a few are read ahead, as far as memory allows."""
    if not items:
        return
    first = function(items[0])
    ahead = max(1, min(16, 2 + (os.cpu_count() or 1), _AHEAD_BYTES // max(1, first.nbytes)))
    yield items[0], first
    del first
    with ThreadPoolExecutor(ahead) as pool:
        rest = iter(items[1:])
        running = deque((item, pool.submit(function, item)) for item in islice(rest, ahead))
        try:
            while running:
                item, future = running.popleft()
                yield item, future.result()
                running.extend((i, pool.submit(function, i)) for i in islice(rest, 1))
        finally:
            # Whoever stops in the middle does not wait for what was only planned.
            for _, future in running:
                future.cancel()


def concat(tables: Sequence[pa.Table]) -> pa.Table:
    """Return tables below each other; a column that one lacks is null there.

    Vectors whose length differs from table to table become lists of any length.
    """
    types: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            types.setdefault(field.name, set()).add(field.type)
    mixed = {name for name, found in types.items() if _differ_in_length(found)}
    return pa.concat_tables(
        [_with_free_lengths(table, mixed) for table in tables], promote_options="permissive"
    )


def check_alike(path: Any, folder: str, schemas: Iterable[pa.Schema]) -> None:
    """Refuse tables of batches that cannot be put together."""
    vectors: dict[str, bool] = {}
    for schema in schemas:
        for field in schema:
            nested = pa.types.is_nested(field.type)
            if vectors.setdefault(field.name, nested) != nested:
                raise StoreError(
                    f"{path}: is damaged: {field.name[:80]!r} is a number in some files of "
                    f"{folder} and a vector in others; `dlnsweep verify` tells all damage."
                )


def aligned(table: pa.Table, run_ids: np.ndarray) -> pa.Table:
    """Return a table's rows in the order of `run_ids`; null where it has no such run."""
    own = table["run_id"].to_numpy()
    if len(own) == 0:
        nowhere = pa.nulls(len(run_ids), pa.int64())
        return pa.table({name: table[name].take(nowhere) for name in table.column_names})
    order = np.argsort(own, kind="stable")
    place = order[np.searchsorted(own, run_ids, sorter=order).clip(max=len(own) - 1)]
    return table.take(pa.array(place, mask=own[place] != run_ids))


def is_blank(column: pa.ChunkedArray) -> bool:
    """Tell whether a column says nothing: null, or the empty text, in every row."""
    if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type):
        return set(column.unique().to_pylist()) <= {None, ""}
    return column.null_count == len(column)


def expanded(table: pa.Table, lengths_of: Mapping[str, int] | None = None) -> pa.Table:
    """Return a table with a column for each entry of its vectors; empty where one is shorter.

    Args:
        table: The table.
        lengths_of: How many columns a vector becomes; by default as many as the longest has here.
    """
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if not pa.types.is_nested(column.type):
            columns[name] = column
            continue
        longest = int(pc.max(pc.list_value_length(column)).as_py() or 0)  # pyright: ignore
        longest = max(longest, (lengths_of or {}).get(name, 0))
        values = np.full((len(column), longest), np.nan)
        lengths = pc.list_value_length(column).fill_null(0).to_numpy()  # pyright: ignore
        values[np.arange(longest) < lengths[:, None]] = column.flatten().to_numpy(False)
        columns |= {
            f"{name}_{i + 1}": pa.array(values[:, i], mask=i >= lengths) for i in range(longest)
        }
    return pa.table(columns)


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return a DataFrame; whole numbers stay whole where some are missing (dtype Int64)."""
    gaps = [
        f.name for f in table.schema if pa.types.is_integer(f.type) and table[f.name].null_count
    ]
    frame = table.drop_columns(gaps).to_pandas(split_blocks=True)
    for name in gaps:
        frame[name] = table[name].cast(pa.int64()).to_pandas(types_mapper=_NULLABLE.get)
    return frame[table.column_names] if gaps else frame


def size_of_curves(
    rows: int, share: float, types: Sequence[pa.DataType], num_settings: int
) -> tuple[int, int]:
    """Return the rows of a table of curves, and the bytes that making it takes."""
    rows = round(rows * min(1.0, share))
    # A vector in a DataFrame is a Python object beside its numbers.
    values = sum(_OBJECT_BYTES + 8 * t.list_size if _is_vector(t) else 8 for t in types)
    return rows, int(_COPIES * rows * (16 + values + 8 * num_settings))


def _is_vector(kind: pa.DataType) -> bool:
    return pa.types.is_fixed_size_list(kind)


def no_curves(observables: Sequence[str]) -> pa.Table:
    """Return a table of no rows."""
    keys = {name: pa.array([], pa.int64()) for name in ("run_id", "step")}
    return pa.table(keys | {name: pa.array([], pa.float64()) for name in observables})


_NULLABLE = {pa.int64(): pd.Int64Dtype()}


def _differ_in_length(types: set[pa.DataType]) -> bool:
    return len(types) > 1 and any(pa.types.is_fixed_size_list(t) for t in types)


def _with_free_lengths(table: pa.Table, names: set[str]) -> pa.Table:
    for i, field in enumerate(table.schema):
        if field.name in names and pa.types.is_fixed_size_list(field.type):
            free = pa.list_(pa.field("element", field.type.value_type))
            table = table.set_column(i, field.name, table[field.name].cast(free))
    return table
