"""How much of a Parquet file is read at once, and what its columns may be.

Compression, dictionaries and run lengths let a file of kilobytes stand for gigabytes, so what a
column takes as a table is reckoned from the footer before anything of it is read. Tables of ours
hold numbers, words and vectors of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

# A table may take so much in any case, and beyond it so many times the size of its file: those
# of real sweeps take up to a hundred times.
_FREE_BYTES = 256 * 2**20
_LARGEST_RATIO = 256
# Ids of runs are hashes, which nothing compresses.
_FREE_ROWS = 100_000
_MAX_TEXT_BYTES = 64 * 2**20
_WIDTHS = {"BOOLEAN": 1, "INT32": 8, "INT64": 8, "FLOAT": 8, "DOUBLE": 8}
_TEXT = "BYTE_ARRAY"
# Whole numbers, none of which may be missing.
_KEYS = ("run_id", "batch", "lane", "step")


class Unfit(pa.ArrowException):
    """A file is none that a sweep wrote: it would take more memory than any, or other columns."""


def check_rows(schema: pa.Schema, rows: int, size: int) -> None:
    """Refuse more planned runs than a file of this size can hold."""
    if "lane" in schema.names and rows > max(_FREE_ROWS, size):
        raise Unfit(f"it claims {rows} runs in {size} bytes")


def check_columns(schema: pa.Schema) -> None:
    """Refuse columns that no table of a results folder has."""
    names = schema.names
    if len(set(names)) < len(names):
        raise Unfit("two of its columns have the same name")
    for field in schema:
        kind = field.type
        if pa.types.is_fixed_size_list(kind):
            kind = kind.value_type
        known = (
            pa.types.is_signed_integer(kind)
            or pa.types.is_floating(kind)
            or pa.types.is_boolean(kind)
            or pa.types.is_string(kind)
            or pa.types.is_null(kind)
        )
        if not known or (kind is not field.type and pa.types.is_string(kind)):
            raise Unfit(f"its column {field.name[:80]!r} is of type {field.type}")
        if field.name in _KEYS and not pa.types.is_signed_integer(field.type):
            raise Unfit(f"its column {field.name!r} is of type {field.type}")


def read(
    file: pq.ParquetFile, size: int, columns: Sequence[str] | None, **options: Any
) -> pa.Table:
    """Return columns of a file as a table that takes no more memory than one of ours could.

    Args:
        file: The file.
        size: Its size in bytes.
        columns: Those to read; all by default.
        options: For pyarrow.

    Raises:
        Unfit: If it would take more, or lacks numbers among the keys.
    """
    most = max(_FREE_BYTES, _LARGEST_RATIO * size)
    numbers, text = _decoded_bytes(file.metadata, columns)
    if numbers > most:
        raise Unfit(f"it would take {numbers / 1e9:.3g} GB of memory, for {size} bytes")
    wanted = None if columns is None else list(columns)
    # A text of the dictionary may be repeated in every row.
    if text * file.metadata.num_rows <= _MAX_TEXT_BYTES:
        return _checked(file.read(columns=wanted, **options))
    parts, taken = [], 0
    for part in file.iter_batches(max(1, _MAX_TEXT_BYTES // text), columns=wanted, **options):
        taken += part.nbytes
        if taken > most:
            raise Unfit(f"it would take over {taken / 1e9:.3g} GB of memory, for {size} bytes")
        parts.append(part)
    schema = file.schema_arrow
    if wanted is not None:
        schema = pa.schema([schema.field(name) for name in wanted if name in schema.names])
    return _checked(pa.Table.from_batches(parts, schema))


def _checked(table: pa.Table) -> pa.Table:
    for name in _KEYS:
        if name in table.column_names and table[name].null_count:
            raise Unfit(f"values of its column {name!r} are missing")
    # What other tools note there would be obeyed by pandas.
    return table.replace_schema_metadata(None)


def _decoded_bytes(metadata: pq.FileMetaData, columns: Sequence[str] | None) -> tuple[int, int]:
    """Return what numbers take in memory, and the largest that a text of a row group can be."""
    numbers = text = 0
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        here = 0
        for place in range(metadata.num_columns):
            chunk = row_group.column(place)
            if columns is not None and chunk.path_in_schema.partition(".list.")[0] not in columns:
                continue
            if chunk.physical_type == _TEXT:
                here += chunk.total_uncompressed_size
            elif chunk.physical_type in _WIDTHS:
                numbers += _WIDTHS[chunk.physical_type] * max(chunk.num_values, row_group.num_rows)
            else:
                raise Unfit(f"it holds {chunk.physical_type}")
        text = max(text, here)
    return numbers, text
