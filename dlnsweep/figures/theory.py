"""Theory curves of a figure, evaluated with the settings of its runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from dlnsweep.contracts.figure import kind_of
from dlnsweep.errors import SpecError
from dlnsweep.figures.labels import format_value
from dlnsweep.figures.overlays import Overlay
from dlnsweep.figures.records import starts_of
from dlnsweep.figures.statistics import (
    Results,
    Selection,
    is_ordered,
    levels,
    matches,
    noise_levels,
    setting_columns,
)
from dlnsweep.settings.figure_keys import panel_settings, shown_by
from dlnsweep.settings.figures import HeatmapFigure
from dlnsweep.theory.curve import TheoryCurve
from dlnsweep.theory.curves import THEORY_CURVES
from dlnsweep.theory.setup import Setup


def theory_overlays(results: Results, keys: Any, selection: Selection) -> list[Overlay]:
    """Return the curves that `theory` names, one for each panel and colour.

    Where a median runs over several settings, so does the curve. Runs that a formula is not for
    are left out of it.
    """
    if not keys.theory:
        return []
    shown = sorted({o for name in keys.theory for o in THEORY_CURVES[name].observables})
    shown = [name for name in shown if name in keys.y]
    if kind_of(keys).axis(keys) == "noise":
        return _over_noise(keys, selection.used, noise_levels(results))
    steps, starts = starts_of(results, shown)
    overlays = []
    # What the legend calls by one name looks alike.
    labels = list(dict.fromkeys(THEORY_CURVES[name].label for name in keys.theory))
    for name in keys.theory:
        curve = THEORY_CURVES[name]
        for observable in (each for each in curve.observables if each in keys.y):
            start = starts[observable].reindex(selection.used.index)
            runs = selection.used.assign(**{"start": start})
            found = _of_observable(curve, observable, keys, runs, steps)
            pattern = labels.index(curve.label)
            overlays += [replace(overlay, pattern=pattern) for overlay in found]
    return overlays


def _over_noise(keys: Any, runs: pd.DataFrame, noise: np.ndarray) -> list[Overlay]:
    """Return the curves over noise levels, which take the place of record.test_noise."""
    # Nothing that stands beside noise levels has a start.
    runs = runs.assign(**{"start": 0.0})
    return [
        replace(overlay, pattern=pattern)
        for pattern, name in enumerate(keys.theory)
        for observable in THEORY_CURVES[name].observables
        if observable in keys.y
        for overlay in _of_observable(THEORY_CURVES[name], observable, keys, runs, np.sort(noise))
    ]


def _of_observable(
    curve: TheoryCurve,
    observable: str,
    keys: Any,
    runs: pd.DataFrame,
    steps: np.ndarray,
) -> Iterator[Overlay]:
    for where, here in _parts(runs, panel_settings(keys)):
        made = []
        for more, group in _parts(here, list(shown_by(keys, ("hue", "style_by")).values())):
            x, y = _against(curve, keys, group, steps)
            if np.any(np.isfinite(x if curve.vertical else y)):
                made.append(
                    Overlay(observable, curve.label, x, y, where | more, vertical=curve.vertical)
                )
        first = made[0] if made else None
        if first and all(_same(first, other) for other in made[1:]):
            # One line for all colours, in none of them.
            made = [replace(first, where=where)]
        yield from made


def _parts(
    runs: pd.DataFrame, names: Sequence[str]
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield the runs with each combination of the values of some settings that runs have."""
    if not names:
        yield {}, runs
        return
    for value in levels(runs, names[0]):
        here = runs.loc[matches(runs, names[0], value)]
        for rest, group in _parts(here, names[1:]):
            yield {names[0]: value, **rest}, group


def _same(one: Overlay, other: Overlay) -> bool:
    return all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-12, atol=0, equal_nan=True)
        for a, b in ((one.x, other.x), (one.y, other.y))
    )


def _against(
    curve: TheoryCurve, keys: Any, runs: pd.DataFrame, steps: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve over the figure's horizontal axis: steps, noise levels or a setting."""
    across = kind_of(keys).axis(keys)
    if across == "noise":
        noise = steps[steps > 0] if keys.amplification else steps
        at_level = [runs.assign(**{"record.test_noise": level}) for level in noise]
        found = np.array([_median(curve, group, np.zeros(1))[0] for group in at_level])
        return noise, found / noise if keys.amplification else found
    if across == "step":
        values = _median(curve, runs, steps)
        return (values, np.full(1, np.nan)) if curve.vertical else (steps, values)
    places = levels(runs, keys.x)
    x = np.array(places if is_ordered(places) else range(len(places)), dtype=float)
    found = []
    for place in places:
        group = runs.loc[matches(runs, keys.x, place)]
        ends = np.asarray(group["training.num_steps"], dtype=float)
        last = keys.at if isinstance(keys.at, int) else np.median(ends)
        found.append(_median(curve, group, np.array([last], dtype=float))[0])
    return x, np.array(found)


def _median(curve: TheoryCurve, runs: pd.DataFrame, steps: np.ndarray) -> np.ndarray:
    """Return the median of a formula over runs; NaN where it is for none of them."""
    names = [name for name in setting_columns(runs) if name != "seed"]
    found = []
    for _, group in runs.groupby(names, dropna=False, sort=False):
        settings: Mapping[str, Any] = {name: group[name].iloc[0] for name in names}
        if curve.why_not({name: [value] for name, value in settings.items()}):
            continue
        # Every formula is linear in the start, so this is the median over the seeds.
        start = float(np.nanmedian(np.asarray(group["start"], dtype=float)))
        seeds = [{"seed": seed} for seed in group["seed"]] if curve.by_seed else [{}]
        own = [curve.values(Setup({**settings, **seed}, start), steps) for seed in seeds]
        # The median over some of the seeds would be of other samples than what stands beside it.
        found += own if np.all(np.isfinite(own)) or not curve.by_seed else own[:0]
    if not found:
        return np.full(1 if curve.vertical else len(steps), np.nan)
    table = np.array(found)
    empty = np.all(np.isnan(table), axis=0)
    # nanmedian warns of columns without a number.
    median = np.nanmedian(np.where(empty, 0.0, table), axis=0)
    # Zero has no place on a logarithmic axis, and counts among seeds that are not.
    return np.where(empty | (curve.by_seed & (median == 0)), np.nan, median)


def over_cells(keys: HeatmapFigure, selection: Selection) -> dict[str, list[tuple[Any, float]]]:
    """Return for each formula that `theory` of a heatmap names its values, by its label.

    They are pairs: a value of the setting on the other axis, and the formula's there, a value of
    its own setting; NaN where it is for none of the runs. With several it is the median.

    Raises:
        SpecError: If a formula is for none of the runs.
    """
    runs = selection.runs.assign(**{"start": 0.0})
    found = {}
    for name in keys.theory:
        curve = THEORY_CURVES[name]
        other = keys.y if curve.setting == keys.x else keys.x
        groups = [(value, runs.loc[matches(runs, other, value)]) for value in levels(runs, other)]
        pairs = [(value, float(_median(curve, group, np.zeros(1))[0])) for value, group in groups]
        if not any(np.isfinite(limit) for _, limit in pairs):
            raise SpecError(
                f"figure.theory names '{name}', of which there is no value for any of these runs; "
                f"`dlnsweep explain {name}` says what it is for."
            )
        found[curve.label] = pairs
    return found


def beyond_note(overlays: list[Overlay], last: float) -> tuple[list[str], list[str]]:
    """Return which vertical lines lie to the right of the last step, and their labels."""
    notes: dict[str, list[float]] = {}
    for overlay in overlays:
        if overlay.vertical and overlay.x[0] > last:
            notes.setdefault(overlay.label, []).append(float(overlay.x[0]))
    sentences = [
        f"{label} lies beyond the last step, at {format_value(float(f'{min(values):.2g}'))}"
        + (f" to {format_value(float(f'{max(values):.2g}'))}" if len(set(values)) > 1 else "")
        for label, values in notes.items()
    ]
    return sentences, list(notes)
