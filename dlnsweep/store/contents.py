"""Whether the tables of a results folder hold what a sweep writes, and not only what Parquet can.

Checksums tell of accidents. Who forges a folder makes them fit, and a tool that rewrites tables
may change types or the order of rows, on which everything that reads them relies.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dlnsweep.contracts.keys import value_types
from dlnsweep.store.bounds import Unfit
from dlnsweep.store.records import ASKED_SCHEMA, FINAL, OUTCOMES_SCHEMA, integers
from dlnsweep.store.stored_plan import is_setting

# The columns of curves that are no observables.
_KEYS = ("run_id", "step")
STATUSES = ("finished", "diverged", "stopped")


def check_settings(schema: pa.Schema) -> None:
    """Refuse a table of planned runs whose settings are of other types than such settings have.

    Raises:
        Unfit: If it is one.
    """
    if "seed" in schema.names and not pa.types.is_signed_integer(schema.field("seed").type):
        raise Unfit(f"its column 'seed' is of type {schema.field('seed').type}")
    for field in schema:
        wanted = value_types(field.name)
        right = any(_may_hold(field.type, kind) for kind in wanted)
        # What another package's problem has, we do not know.
        if not right and (wanted or pa.types.is_nested(field.type)):
            raise Unfit(f"its column {field.name[:80]!r} is of type {field.type}")


def _may_hold(found: pa.DataType, kind: type) -> bool:
    # No run uses it.
    if pa.types.is_null(found):
        return True
    if kind is str:
        return pa.types.is_string(found) or pa.types.is_large_string(found)
    if kind is bool:
        return pa.types.is_boolean(found)
    return pa.types.is_integer(found) or pa.types.is_floating(found)


def check_types(folder: str, schema: pa.Schema) -> None:
    """Refuse columns of curves or outcomes that are of another type than a sweep writes.

    Args:
        folder: "curves" or "outcomes".
        schema: The columns.

    Raises:
        Unfit: If there are such.
    """
    for field in schema:
        if is_setting(field.name):
            # Settings are put beside these columns by their names.
            raise Unfit(f"its column {field.name[:80]!r} has the name of a setting")
        if folder == "curves" and field.name in _KEYS:
            right = pa.types.is_signed_integer(field.type)
        elif folder == "curves" or field.name.startswith(FINAL):
            kind = field.type.value_type if pa.types.is_nested(field.type) else field.type
            right = pa.types.is_floating(kind)
        else:
            known = [own for own in (*OUTCOMES_SCHEMA, *ASKED_SCHEMA) if own.name == field.name]
            right = not known or field.type == known[0].type
        if not right:
            raise Unfit(f"its column {field.name[:80]!r} is of type {field.type}")


def check_rows(folder: str, table: pa.Table, planned: np.ndarray) -> None:
    """Refuse rows that are not of the planned runs, or in another order than a sweep writes them.

    Args:
        folder: "curves" or "outcomes".
        table: Some columns of the table.
        planned: The ids of the batch's runs.

    Raises:
        Unfit: If there are such.
    """
    if "run_id" not in table.column_names:
        return
    run_ids = integers(table["run_id"])
    if folder == "outcomes":
        if not np.array_equal(np.sort(run_ids), np.sort(planned)):
            raise Unfit("its runs are not those that are planned for it")
        if "status" in table.column_names:
            found = set(table["status"].unique().to_pylist()) - set(STATUSES)
            if found:
                raise Unfit(f"its column 'status' holds {str(found.pop())[:80]!r}")
        return
    if not np.isin(np.unique(run_ids), planned).all():
        raise Unfit("its runs are not those that are planned for it")
    later = run_ids[1:] > run_ids[:-1]
    if "step" in table.column_names:
        steps = integers(table["step"])
        later |= (run_ids[1:] == run_ids[:-1]) & (steps[1:] > steps[:-1])
        if not later.all():
            raise Unfit("its rows are not in the order of runs and steps")
