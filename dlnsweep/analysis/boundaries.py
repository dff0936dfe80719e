"""The boundaries that a sweep with [sweep.refine] found, as a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from dlnsweep.analysis.boundary import brackets
from dlnsweep.analysis.success import succeeded_in_the_end
from dlnsweep.errors import SpecError, StoreError
from dlnsweep.results import Results
from dlnsweep.results.joined import SWEEP, Joined, opened, together
from dlnsweep.results.wide_tables import fitted
from dlnsweep.settings.refine import Refine
from dlnsweep.settings.success import kept_conditions


def succeeded(runs: pd.DataFrame, refine: Refine) -> np.ndarray:
    """Return for each run that is done whether it succeeded; what diverged did not.

    Args:
        runs: Of `Results.runs`, without those that are only planned.
        refine: Says what success is.
    """
    return succeeded_in_the_end(runs, refine.success)


def boundaries(folder: Any) -> pd.DataFrame:
    """Return where along the axis that a sweep refines its runs begin or cease to succeed.

    In each combination of the other axes a value succeeds when at least half of its seeds do.
    Between the neighbouring values `low` and `high` lies a boundary for the seeds that were run;
    how it moves with other seeds `dlnsweep transition` estimates.

    Args:
        folder: The results folder, its `Results`, or several as `concat` joins them.

    Returns:
        One row a boundary, or one for a combination that has none: the settings of the
        combination (of several sweeps "sweep" before them); low, high; succeeds ("above" or "below"
        it, or "everywhere" and "nowhere"); share_low, share_high, the shares of success there;
        num_values, how many were tried.

    Raises:
        SpecError: If a sweep refines nothing, or several do not refine the same setting.
        StoreError: If the folder is damaged.
    """
    results = opened(folder)
    if isinstance(results, Joined):
        refined_setting(results)
        return together(list(results.parts), [boundaries(part) for part in results.parts.values()])
    refine, keys = asked(results.sweep, results.settings)
    runs: Any = results.runs(unused=True)
    return boundaries_of(runs[runs["status"] != "planned"], refine, keys)


def boundaries_of(runs: pd.DataFrame, refine: Refine, keys: list[str]) -> pd.DataFrame:
    """Return the table of `boundaries` of some runs.

    Args:
        runs: Of `Results.runs`, without those that are only planned.
        refine: What is refined, and what success is.
        keys: The other settings that vary.

    Raises:
        StoreError: If what is refined is no number, which only a damaged folder says.
    """
    if not pd.api.types.is_numeric_dtype(runs[refine.between].dtype):
        raise StoreError(f"{refine.between} is refined, but its values are no numbers: run again.")
    runs = runs.assign(passed=succeeded(runs, refine))
    # Of no runs nobody knows whether they succeed.
    alone = [((), runs)] if len(runs) else []
    groups: Any = runs.groupby(keys, dropna=False) if keys else alone
    rows: list[dict[str, Any]] = []
    for combination, group in groups:
        share = group.groupby(refine.between)["passed"].mean().to_dict()
        common: dict[str, Any] = dict(zip(keys, combination, strict=True))
        for each in brackets(share) or [None]:
            if each is None:
                where = "everywhere" if min(share.values(), default=0.0) >= 0.5 else "nowhere"
                low, high, ends = np.nan, np.nan, (np.nan, np.nan)
            else:
                where = "above" if each.rises else "below"
                low, high, ends = each.low, each.high, (share[each.low], share[each.high])
            rows.append(
                {
                    **common,
                    "low": low,
                    "high": high,
                    "succeeds": where,
                    "share_low": ends[0],
                    "share_high": ends[1],
                    "num_values": len(share),
                }
            )
    named = [*keys, "low", "high", "succeeds", "share_low", "share_high", "num_values"]
    return pd.DataFrame(rows, columns=pd.Index(named))


def asked(sweep: Mapping[str, Any], settings: Collection[str]) -> tuple[Refine, list[str]]:
    """Return what a folder's sweep refines, and its other axes.

    Args:
        sweep: The content of `sweep.json`.
        settings: The settings of its runs.

    Raises:
        SpecError: If it refines nothing.
        StoreError: If the folder is damaged.
    """
    record, name = sweep["sweep"], sweep["name"]
    if record.get("refine") is None:
        raise SpecError(
            f"{name}: the sweep has no [sweep.refine]; where runs begin to succeed on a "
            "grid `dlnsweep transition` fits."
        )
    try:
        refine = Refine.model_validate(kept_conditions(record["refine"]))
        axes = [key for axis in record["axes"] for key in axis]
        known = {refine.between, *axes, *(f"final_{each.observable}" for each in refine.success)}
        finals = {f"final_{name}" for name in sweep["observables"]}
        if not known <= {*settings, *finals} or refine.between not in axes:
            raise ValueError
    except (ValidationError, ValueError, TypeError, KeyError):
        raise StoreError(
            f"{name}: what the folder says of [sweep.refine] is damaged; run the sweep again, "
            "which keeps all runs."
        ) from None
    return refine, [key for key in axes if key != refine.between]


def refined_setting(results: Results | Joined) -> str:
    """Return the setting along which a sweep, or all of several, look for boundaries.

    Raises:
        SpecError: If one refines nothing, or they refine different settings.
        StoreError: If the folder is damaged.
    """
    parts = results.parts if isinstance(results, Joined) else {results.name: results}
    found = {name: asked(part.sweep, part.settings)[0].between for name, part in parts.items()}
    first, *others = dict.fromkeys(found.values())
    if others:
        told = ", ".join(f"{name} {setting}" for name, setting in found.items())
        raise SpecError(
            f"{results.path}: the sweeps refine different settings ({told}), whose boundaries are "
            "no column of one table; take one of them after the other."
        )
    return first


def refined_axis(sweep: Mapping[str, Any]) -> str | None:
    """Return the axis to whose values rounds have added, of the content of `sweep.json`, if any.

    Values near the boundary are many: what is taken over all of them weighs those more.
    """
    record = (sweep.get("sweep") or {}).get("refine")
    # What is damaged is told where it is read for its own sake: `asked`.
    between = record.get("between") if isinstance(record, dict) else None
    return between if isinstance(between, str) else None


def progress(results: Results) -> str:
    """Return how well the boundaries are known, as a part of a sentence."""
    refine, _ = asked(results.sweep, results.settings)
    known: Any = boundaries(results)
    if not len(known):
        return f"boundaries of {refine.between}: no run is done yet"
    low, high = (known[name].to_numpy(dtype=float) for name in ("low", "high"))
    there = np.isfinite(low)
    if not there.any():
        return f"no boundary of {refine.between} so far"
    widths = (high - low)[there] / np.maximum(np.abs(high), np.abs(low))[there]
    count, wide = int(there.sum()), int((widths > refine.tolerance).sum())
    found = "1 boundary" if count == 1 else f"{count} boundaries"
    return (
        f"{found} of {refine.between}, known to {100 * widths.max():.2g} %; {wide} not to "
        f"{100 * refine.tolerance:g} % yet"
    )


def boundaries_text(table: pd.DataFrame, between: str, width: int = 10**6) -> str:
    """Return the table for a terminal."""
    if not len(table):
        return f"where runs begin or cease to succeed along {between}: no run is done yet"
    keys = [name for name in table.columns if name == SWEEP or "." in name]
    shown = table.assign(**{k: [f"{v:.6g}" for v in table[k]] for k in ("low", "high")})
    return f"where runs begin or cease to succeed along {between}\n\n{fitted(shown, keys, width)}"
