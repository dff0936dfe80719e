"""Arrays of a batch become Arrow tables, and tables become Parquet bytes; no files are touched."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dlnsweep.store.arrow_arrays import numbers, texts
from dlnsweep.store.footers import with_checksum

FINAL = "final_"
# What every file of outcomes has; after it come the final values.
OUTCOMES_SCHEMA = pa.schema(
    {
        "run_id": pa.int64(),
        "status": pa.string(),
        "diverged_step": pa.int64(),
        "last_step": pa.int64(),
        "kernel": pa.string(),
        "kernel_reason": pa.string(),
        "truncation_error": pa.float64(),
    }
)
# What those of a sweep have, too, that asks for it.
ASKED_SCHEMA = pa.schema({"burst_error": pa.float64()})
# Anything that is not a float and repeats: a dictionary makes it almost free.
_CURVE_KEYS = ("run_id", "step")
_OUTCOME_KEYS = ("status", "kernel", "kernel_reason")
# Measured: half the size of pyarrow's defaults, and faster to write.
PARQUET_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 3,
    "write_page_checksum": True,
    "version": "2.6",
}


def curves_table(
    run_ids: np.ndarray,
    steps: np.ndarray,
    observables: Mapping[str, np.ndarray],
    num_rows: np.ndarray,
) -> pa.Table:
    """Return the recorded values of a batch, one row a run and step.

    Args:
        run_ids: One id a lane, int64.
        steps: The recorded steps, int64, ascending, the same for all lanes.
        observables: Arrays of shape (lanes, steps) or (lanes, steps, p), by name.
        num_rows: How many of the leading steps of each lane count; rows after a divergence or
            a stop do not.

    Returns:
        Columns run_id, step and one a name, vectors as lists of fixed size; rows sorted by
        run_id, then step.

    Raises:
        ValueError: If shapes do not fit together.
    """
    lanes, count = len(run_ids), len(steps)
    num_rows = np.asarray(num_rows, dtype=np.int64)
    if num_rows.shape != (lanes,) or (lanes and not 0 <= num_rows.min() <= num_rows.max() <= count):
        raise ValueError(f"num_rows must be {lanes} numbers from 0 to {count}")
    order = np.argsort(run_ids, kind="stable")
    valid = np.arange(count) < num_rows[order, None]
    columns: dict[str, pa.Array] = {
        "run_id": numbers(np.repeat(np.asarray(run_ids, dtype=np.int64)[order], num_rows[order])),
        "step": numbers(np.broadcast_to(np.asarray(steps, dtype=np.int64), (lanes, count))[valid]),
    }
    for name, values in observables.items():
        if np.shape(values)[:2] != (lanes, count):
            raise ValueError(f"{name} has shape {np.shape(values)}, not ({lanes}, {count}, ...)")
        columns[name] = _column(np.asarray(values)[order][valid])
    return pa.table(columns)


def outcomes_table(
    run_ids: np.ndarray,
    *,
    status: Sequence[str],
    diverged_step: np.ndarray,
    last_step: np.ndarray,
    kernel: Sequence[str],
    kernel_reason: Sequence[str],
    truncation_error: np.ndarray,
    final: Mapping[str, np.ndarray],
    burst_error: np.ndarray | None = None,
) -> pa.Table:
    """Return how the runs of a batch ended, one row a run, sorted by run_id.

    Args:
        run_ids: One id a lane, int64.
        status: "finished", "diverged" or "stopped".
        diverged_step: The step at which a run diverged; -1 (none) becomes null.
        last_step: The last step that a run carried out.
        kernel: The kernel that carried the run out.
        kernel_reason: Why it was this kernel.
        truncation_error: What the reduced kernel may have left out; NaN (none) becomes null.
        final: The values after the last step, of shape (lanes,) or (lanes, p), by observable.
        burst_error: What bursts of steps say that jumps may be wrong by; NaN (not looked at)
            becomes null. None: there is no such column.

    Returns:
        One column an argument, and `final_<observable>` for each of `final`.
    """
    order = np.argsort(run_ids, kind="stable")
    diverged = np.asarray(diverged_step, dtype=np.int64)[order]
    errors = np.asarray(truncation_error, dtype=np.float64)[order]
    columns: dict[str, pa.Array] = {
        "run_id": numbers(np.asarray(run_ids, dtype=np.int64)[order]),
        "status": _strings(status, order),
        "diverged_step": numbers(diverged, diverged < 0),
        "last_step": numbers(np.asarray(last_step, dtype=np.int64)[order]),
        "kernel": _strings(kernel, order),
        "kernel_reason": _strings(kernel_reason, order),
        "truncation_error": numbers(errors, np.isnan(errors)),
    }
    if burst_error is not None:
        bursts = np.asarray(burst_error, dtype=np.float64)[order]
        columns["burst_error"] = numbers(bursts, np.isnan(bursts))
    for name, values in final.items():
        columns[FINAL + name] = _column(np.asarray(values)[order])
    return pa.table(columns)


def settings_table(columns: Mapping[str, np.ndarray], types: pa.Schema | None = None) -> pa.Table:
    """Return typed nullable columns; NaN and None (a run does not use the setting) become null.

    Args:
        columns: The values of each setting.
        types: The type of each setting; found in the values by default.
    """
    known = settings_schema(columns) if types is None else types
    return pa.table(
        {n: pa.array(a, known.field(n).type, from_pandas=True) for n, a in columns.items()}
    )


def settings_schema(columns: Mapping[str, np.ndarray]) -> pa.Schema:
    """Return the type of each setting, so that pieces of its column all get it."""
    return pa.schema({name: _setting_type(column) for name, column in columns.items()})


def _setting_type(column: np.ndarray) -> pa.DataType:
    if column.dtype != object:
        return pa.from_numpy_dtype(column.dtype)
    # A value that all runs share is a view of one element, and words are few.
    shared = column.strides == (0,)
    words = dict.fromkeys((column[:1] if shared else column).tolist())
    return pa.array(list(words), from_pandas=True).type


def integers(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column of whole numbers, none missing, as a NumPy array."""
    # pyarrow's own to_numpy imports pandas, for which `dlnsweep status` would wait.
    chunks = [np.from_dlpack(chunk) for chunk in column.chunks if len(chunk)]
    return np.concatenate(chunks) if chunks else np.empty(0, np.int64)


def curves_parquet(table: pa.Table) -> bytes:
    """Return a curves table as the content of a Parquet file."""
    return _to_parquet(table, _CURVE_KEYS)


def outcomes_parquet(table: pa.Table) -> bytes:
    """Return an outcomes table as the content of a Parquet file."""
    return _to_parquet(table, _OUTCOME_KEYS)


def runs_parquet(pieces: Iterable[pa.Table]) -> bytes:
    """Return the table of planned runs as the content of a Parquet file.

    Args:
        pieces: The table in pieces of one schema, at least one; each becomes a row group.
    """
    rest = iter(pieces)
    first = next(rest)
    # Settings repeat from run to run: they are all keys, floats included.
    keys = [name for name in first.column_names if name != "run_id"]
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, first.schema, **_encodings(first.schema, keys)) as writer:
        for piece in itertools.chain([first], rest):
            writer.write_table(piece)
    return with_checksum(sink.getvalue())


def _to_parquet(table: pa.Table, keys: Sequence[str]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **_encodings(table.schema, keys))
    return with_checksum(sink.getvalue())


def _encodings(schema: pa.Schema, keys: Sequence[str]) -> dict[str, Any]:
    floats = []
    for field in schema:
        vector = pa.types.is_fixed_size_list(field.type)
        element = field.type.value_type if vector else field.type
        if field.name not in keys and pa.types.is_floating(element):
            floats.append(f"{field.name}.list.element" if vector else field.name)
    # An empty list would stand for all columns.
    return PARQUET_OPTIONS | {
        "use_dictionary": [key for key in keys if key in schema.names] or False,
        "use_byte_stream_split": floats or False,
    }


def _strings(values: Sequence[str], order: np.ndarray) -> pa.Array:
    return texts([values[int(i)] for i in order])


def _column(values: np.ndarray) -> pa.Array:
    if values.ndim == 1:
        return numbers(values)
    if values.ndim != 2:
        raise ValueError("an observable is a number or a vector, not an array of higher rank")
    flat = numbers(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
