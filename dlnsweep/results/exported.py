"""Results as one file for other programs, CSV or Parquet; a batch at a time, vectors as columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from dlnsweep.errors import SpecError
from dlnsweep.machine.whole_files import whole_file
from dlnsweep.results.csv_files import inert
from dlnsweep.results.results import Results
from dlnsweep.results.tables import aligned, check_alike, expanded, map_in_threads, stream
from dlnsweep.settings.sentences import nearest_key, show
from dlnsweep.store.records import PARQUET_OPTIONS

TABLES = ("curves", "outcomes", "runs")
ENDINGS = (".csv", ".parquet")
_KEYS = ("run_id", "step")
_MOST_SHOWN = 12


def export(
    results: Results,
    path: Path,
    table: str = "",
    observables: Sequence[str] = (),
    where: Mapping[str, Any] | None = None,
    *,
    force: bool = False,
) -> tuple[int, int]:
    """Write a table of results to one file.

    Args:
        results: The results.
        path: The file; its ending says the format: .csv (with every digit) or .parquet.
        table: "curves" (a row a run and record), "outcomes" (a row a run that is done) or "runs" (a
            row a planned run with all its settings); by default as `named_table` has it.
        observables: Of curves; all by default.
        where: A value, or several, for each setting by which to choose runs.
        force: Whether to write over a file.

    Returns:
        The numbers of rows and columns.

    Raises:
        SpecError: If a name is not known, `where` chooses no run, or of curves and outcomes none
            that is done, or the file is there already or cannot be written.
        StoreError: If the results are damaged.
    """
    if path.suffix.lower() not in ENDINGS:
        raise SpecError(
            f"{path}: its ending says no format that there is; end it with {' or '.join(ENDINGS)}."
        )
    table = table or named_table(path)
    _check_observables(results, table, observables)
    as_csv = path.suffix.lower() == ".csv"
    frame: Any = results.runs(where) if where or table == "runs" else None
    if frame is not None and frame.empty and where:
        raise SpecError(_no_run(results, where))
    if frame is not None and table != "runs" and (frame["status"] == "planned").all():
        raise SpecError(_none_done(results, where or {}, len(frame), table))
    if table == "runs":
        whole = expanded(pa.Table.from_pandas(frame, preserve_index=False))
        schema, pieces = whole.schema, iter([whole])
    else:
        ids = None if frame is None else frame["run_id"].to_numpy()
        schema, pieces = _pieces(results, table, observables, ids)
    if as_csv:
        schema, pieces = pa.schema(map(_for_csv, schema)), map(_inert, pieces)
    return _write(path, schema, pieces, as_csv, force), len(schema)


def named_table(path: Path) -> str:
    """Return the one table that is a word of a file's name, such as my_runs.csv; else "curves"."""
    named = set(re.split(r"[\W_]+", path.stem.lower())) & set(TABLES)
    return named.pop() if len(named) == 1 else "curves"


def _check_observables(results: Results, table: str, observables: Sequence[str]) -> None:
    if observables and table != "curves":
        raise SpecError(f"observables are chosen of curves; {table} has one row a run.")
    known = results.sweep["observables"]
    for name in observables:
        if name not in known:
            near = nearest_key(name, known)
            hint = f"did you mean '{near}'?" if near else f"there are {', '.join(known)}."
            raise SpecError(f"{results.path}: '{name}' is not recorded; {hint}")


def _no_run(results: Results, where: Mapping[str, Any]) -> str:
    """Return what is said where no run is chosen: the values that there are."""
    table = results.store.runs_table(list(where))
    there = []
    for key in where:
        found = [value for value in table[key].unique().to_pylist() if value not in (None, "")]
        more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        values = ", ".join(map(show, found[:_MOST_SHOWN])) or "no value in any run"
        there.append(f"{key} is {values}{more}")
    return f"{results.path}: no run has {_asked(where)}; {'; '.join(there)}."


def _none_done(results: Results, where: Mapping[str, Any], count: int, table: str) -> str:
    return (
        f"{results.path}: none of the {count} runs that have {_asked(where)} is done, so that "
        f"there are no {table}; carry on with `dlnsweep run`, or export runs."
    )


def _asked(where: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {show(value)}" for key, value in where.items())


def _pieces(
    results: Results, folder: str, observables: Sequence[str], ids: np.ndarray | None
) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """Return the columns of a table of records or outcomes, and its rows batch by batch."""
    store = results.store
    done = sorted(store.done())
    footers = map_in_threads(lambda number: store.read_footer(folder, number)[0], done)
    check_alike(results.path, folder, footers)
    # While nothing is done nobody knows which of the observables are vectors.
    keys = _KEYS if folder == "curves" else _KEYS[:1]
    types: dict[str, list[pa.DataType]] = {key: [pa.int64()] for key in keys}
    for field in (field for footer in footers for field in footer):
        if field.name not in keys and (not observables or field.name in observables):
            types.setdefault(field.name, []).append(field.type)
    lengths = {name: max(map(_length, found)) for name, found in types.items()}
    settings = ["seed", *results.varying]
    beside = store.runs_table(["run_id", *settings])
    fields = [pa.field(name, _type(found)) for name, found in types.items()]
    made = expanded(pa.schema(fields).empty_table(), lengths)
    schema = pa.schema([*made.schema, *(beside.schema.field(name) for name in settings)])

    def rows(number: int) -> pa.Table:
        table = store.read_batch(folder, number)
        if ids is not None:
            table = table.filter(pa.array(np.isin(table["run_id"].to_numpy(), ids)))
        wide = expanded(
            table.select([name for name in types if name in table.column_names]), lengths
        )
        own = aligned(beside, wide["run_id"].to_numpy()) if len(wide) else beside.slice(0, 0)
        found = dict(zip(wide.column_names, wide.columns, strict=True))
        found |= {name: own[name] for name in settings}
        # A batch of another program may lack an observable.
        return pa.table(
            {
                field.name: found[field.name].cast(field.type)
                if field.name in found
                else pa.nulls(len(wide), field.type)
                for field in schema
            }
        )

    return schema, (table for _, table in stream(rows, done))


def _length(kind: pa.DataType) -> int:
    return kind.list_size if pa.types.is_fixed_size_list(kind) else 0


def _type(found: Sequence[pa.DataType]) -> pa.DataType:
    if pa.types.is_nested(found[0]):
        return pa.list_(pa.float64())
    return found[0] if len(set(found)) == 1 else pa.float64()


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(inner) or pa.types.is_large_string(inner)


def _for_csv(field: pa.Field) -> pa.Field:
    return pa.field(inert(field.name), pa.string() if _is_text(field.type) else field.type)


def _inert(table: pa.Table) -> pa.Table:
    """Return a table whose texts no spreadsheet takes for formulas."""
    columns = {}
    for name in table.column_names:
        column = table[name]
        if _is_text(column.type):
            column = pa.array([inert(value) for value in column.to_pylist()], pa.string())
        columns[inert(name)] = column
    return pa.table(columns)


def _write(
    path: Path, schema: pa.Schema, pieces: Iterator[pa.Table], as_csv: bool, force: bool
) -> int:
    writer: Callable[[Any], Any] = (
        (lambda file: pacsv.CSVWriter(file, schema, write_options=_CSV))
        if as_csv
        else (lambda file: pq.ParquetWriter(file, schema, **PARQUET_OPTIONS))
    )
    rows = 0
    with whole_file(path, force=force) as file, writer(file) as sink:
        for table in pieces:
            sink.write_table(table)
            rows += table.num_rows
    return rows


# Quotes only where a value would be torn: most readers take a quoted number for a text.
_CSV = pacsv.WriteOptions(quoting_style="needed")
