"""`runs.parquet`, read only as far as it is asked for: it may hold millions of runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dlnsweep.store.arrow_arrays import numbers
from dlnsweep.store.bounds import Unfit
from dlnsweep.store.contents import check_settings
from dlnsweep.store.files import Files
from dlnsweep.store.layout import RUNS
from dlnsweep.store.records import integers

_ROWS_AT_ONCE = 1 << 16


def column_names(files: Files) -> list[str]:
    """Return the names of all columns."""
    schema = files.read_footer(RUNS)[0]
    with files.refusing(RUNS):
        check_settings(schema)
        if "seed" not in schema.names:
            raise Unfit("it has no column 'seed'")
    return schema.names


def read(files: Files, columns: list[str] | None = None) -> pa.Table:
    """Return the whole table, or some columns of it."""
    required = ("run_id", "batch", "lane") if columns is None else columns
    table = files.read_table(RUNS, columns, required=required)
    with files.refusing(RUNS):
        check_settings(table.schema)
    return table if columns is None else table.select(columns)


def pieces(files: Files) -> Iterator[pa.Table]:
    """Yield the whole table in pieces, so that a million runs need little memory."""
    with files.parquet(RUNS) as file:
        for piece in file.iter_batches(_ROWS_AT_ONCE, use_threads=False):
            yield pa.Table.from_batches([piece])


def count_runs(files: Files) -> dict[int, int]:
    """Return the number of runs of each planned batch, by the batch's number.

    The column is read in pieces: it may hold any number of runs.
    """
    counts = np.zeros(0, np.int64)
    with files.parquet(RUNS) as file:
        if "batch" not in file.schema_arrow.names:
            raise Unfit("it has no column 'batch'")
        planned = file.metadata.num_rows
        for piece in file.iter_batches(_ROWS_AT_ONCE, columns=["batch"], use_threads=False):
            column = piece.column(0)
            batch = integers(pa.chunked_array([column])) if not column.null_count else None
            # Numbers are given out one after another.
            if batch is None or (len(batch) and not 0 <= batch.min() <= batch.max() < planned):
                raise Unfit("its column 'batch' holds no numbers of batches")
            found = np.bincount(batch, minlength=len(counts))
            found[: len(counts)] += counts
            counts = found
    numbers = np.flatnonzero(counts)
    return dict(zip(numbers.tolist(), counts[numbers].tolist(), strict=True))


def runs_of_batch(files: Files, number: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the runs of one batch in the order of their lanes; no rows if it is not planned.

    Only row groups that hold such runs are read, one at a time, so that a worker's memory does
    not grow with the sweep.

    Args:
        files: The results folder.
        number: The batch.
        columns: The columns to return; all by default.
    """
    with files.parquet(RUNS) as file:
        names = list(columns or file.schema_arrow.names)
        if missing := {*names, "batch", "lane"} - {*file.schema_arrow.names}:
            raise Unfit(f"it has no column {min(missing)!r}")
        read = list(dict.fromkeys([*names, "lane"]))
        place = file.schema_arrow.get_field_index("batch")
        parts = [pa.Table.from_batches([], schema=file.schema_arrow).select(read)]
        for group in range(file.num_row_groups):
            if not _may_hold(file.metadata.row_group(group).column(place), number):
                continue
            batch = integers(file.read_row_group(group, ["batch"])["batch"])
            rows = np.flatnonzero(batch == number)
            if len(rows):
                parts.append(file.read_row_group(group, read).take(numbers(rows)))
    found = pa.concat_tables(parts)
    order = np.argsort(integers(found["lane"]), kind="stable")
    return found.take(numbers(order)).select(names)


def _may_hold(chunk: pq.ColumnChunkMetaData, number: int) -> bool:
    statistics = chunk.statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return statistics.min <= number <= statistics.max
