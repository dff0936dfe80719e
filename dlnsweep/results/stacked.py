"""Columns of several tables, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def stacked(parts: Sequence[Any], lengths: Sequence[int]) -> Any:
    """Return a column of several tables as one: whole numbers stay whole, and texts texts.

    Args:
        parts: The column of each table; None where it has none.
        lengths: The rows of each.
    """
    present = [part for part in parts if part is not None and not part.isna().all()]
    # Where none has a value its kind tells what it would be.
    typed = present or [part for part in parts if part is not None]
    numeric = all(
        pd.api.types.is_numeric_dtype(part) and not pd.api.types.is_bool_dtype(part)
        for part in typed
    )
    if typed and numeric:
        whole = all(pd.api.types.is_integer_dtype(part) for part in typed)
        there = all(any(part is each for each in present) for part in parts)
        if whole and there and not any(part.isna().any() for part in present):
            return np.concatenate([part.to_numpy() for part in parts])
        if whole:
            made = [
                pd.array([pd.NA] * length, dtype="Int64")
                if part is None or part.isna().all()
                else part.astype("Int64").array
                for part, length in zip(parts, lengths, strict=True)
            ]
            return pd.concat([pd.Series(each) for each in made], ignore_index=True).array
        return np.concatenate(
            [
                np.full(length, np.nan) if part is None else floats(part)
                for part, length in zip(parts, lengths, strict=True)
            ]
        )
    made = np.full(sum(lengths), None, dtype=object)
    first = 0
    for part, length in zip(parts, lengths, strict=True):
        if part is not None:
            for place, value in enumerate(part):
                is_value = hasattr(value, "__len__") or not pd.isna(value)
                made[first + place] = value if is_value else None
        first += length
    return made


def floats(column: Any) -> np.ndarray:
    """Return a column of numbers as floats, NaN where there is none."""
    return column.to_numpy(dtype=float, na_value=np.nan)
