"""What a figure says of rounds: of [sweep.until], whose intervals it draws, and [sweep.refine]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dlnsweep.analysis.boundaries import refined_axis
from dlnsweep.analysis.intervals import asked, intervals_of
from dlnsweep.contracts.figure import kind_of
from dlnsweep.errors import SpecError
from dlnsweep.figures.labels import setting_label
from dlnsweep.figures.statistics import Results, Selection, Summary
from dlnsweep.results.joined import SWEEP
from dlnsweep.settings.figure_keys import shown_by
from dlnsweep.settings.figures import FinalFigure
from dlnsweep.settings.success import kept_conditions
from dlnsweep.settings.until import Until
from dlnsweep.spec.figures.wording import plain


def promise_note(results: Results, keys: Any, selection: Selection) -> list[str]:
    """Return until when seeds were added, and where values were; nothing where none were.

    Of several sweeps, for each that is drawn; once where it is the same of all.
    """

    def told_of(sweep: Mapping[str, Any]) -> list[str]:
        return [*_promise(sweep, keys), *_refined(sweep, keys, selection)]

    joined = getattr(results, "joined", None)
    if joined is None:
        return told_of(results.sweep)
    drawn = keys.where.get(SWEEP, joined.parts)
    told = {name: told_of(part.sweep) for name, part in joined.parts.items()}
    notes = {name: each for name, each in told.items() if name in drawn}
    alike = len({tuple(each) for each in notes.values()}) == 1
    if alike and notes:
        return next(iter(notes.values()))
    return [f"{plain(name)}: {text}" for name, each in notes.items() for text in each]


def _promise(sweep: Mapping[str, Any], keys: Any) -> list[str]:
    record = (sweep.get("sweep") or {}).get("until")
    if not record:
        return []
    asked_for = Until.model_validate(kept_conditions(record["asked"]))
    sentence = asked_for.sentence
    for name in (asked_for.observable, *(each.observable for each in asked_for.success or ())):
        sentence = sentence.replace(name, name.replace("_", " ")) if name else sentence
    drawn = getattr(keys, "band", "none")
    rest = {"until": "", "none": ""}.get(drawn, " (the interval that is drawn is not that one)")
    most = record["asked"]["most_seeds"]
    return [f"seeds added, {most} at most, until {sentence}{rest}"]


def _refined(sweep: Mapping[str, Any], keys: Any, selection: Selection) -> list[str]:
    """Return which axis has more values where outcomes change: medians over it weigh those more."""
    axis = refined_axis(sweep)
    # A boundary is what these values are for.
    if axis is None or kind_of(keys).shows_boundary or axis not in selection.varying:
        return []
    return [f"values of {setting_label(axis)} added in rounds, close to its boundary"]


def read_intervals(results: Results, keys: FinalFigure, selection: Selection) -> pd.DataFrame:
    """Return the table of `dlnsweep.intervals` of a figure's runs.

    Raises:
        SpecError: If the sweep asks for no intervals, or for others than the figure's.
    """
    runs = selection.runs.reset_index()
    until, axes, first = asked(results.sweep, [*runs.columns])
    if sentence := until.why_not_drawn(keys.y):
        raise SpecError(f"figure.{sentence}")
    table = intervals_of(runs, until, axes, first)
    shown = {keys.x, *shown_by(keys).values()}
    pooled = [key for key in axes if key not in shown and len(table[key].unique()) > 1]
    named = table[[key for key in axes if key in shown]]
    if pooled and (len(named.columns) == 0 or bool(named.duplicated().to_numpy().any())):
        raise SpecError(
            "figure.band is 'until', but a point would stand for several values of "
            f"{', '.join(pooled)}; name them by hue, panel_by or where."
        )
    return table


def at_places(table: pd.DataFrame, at: Mapping[str, Any], x: str, places: Sequence[Any]) -> Summary:
    """Return the estimates and intervals of one curve's points, as `summarize` has medians.

    Args:
        table: Of `read_intervals`.
        at: The values of the figure's other settings, by name.
        x: The setting along the axis.
        places: Its values; what the summary has as x are their numbers.
    """
    own: Any = table
    for name, level in at.items():
        if name in own.columns:
            own = own[own[name].isna() if level is None else own[name] == level]
    there = [i for i, place in enumerate(places) if x not in own.columns or (own[x] == place).any()]
    rows = [own[own[x] == places[i]].iloc[0] if x in own.columns else own.iloc[0] for i in there]
    columns = [
        np.array([row[name] for row in rows], dtype=float) for name in ("estimate", "low", "high")
    ]
    middle, low, high = (np.where(np.isfinite(each), each, np.nan) for each in columns)
    counts = np.array([row["num_values"] for row in rows], dtype=int)
    return Summary(np.array(there, dtype=int), middle, low, high, counts)
