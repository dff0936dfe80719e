"""Which record of a run is taken, against a loop over its records; and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import store_samples
from figure_samples import make_tables
from spec_samples import problems

import dlnsweep
from dlnsweep.contracts.figure import read_figure
from dlnsweep.errors import SpecError
from dlnsweep.figures.draw import draw
from dlnsweep.results.chosen_records import Chosen
from dlnsweep.results.summary_table import summary_table
from dlnsweep.settings.at import Minimise, words

DECAY = "training.weight_decay"
LENGTHS = (1, 4, 7, 3, 5)


def by_a_loop(at: Any, steps: Any, own: Any, other: Any) -> float:
    """Return the value of one run, record after record."""
    chosen, least = -1, np.inf
    for i, value in enumerate(other if isinstance(at, Minimise) else own):
        if np.isfinite(value) and value < least:
            chosen, least = i, value
    if chosen < 0:
        return np.nan
    if at == "min":
        return float(least)
    return float(steps[chosen] if at == "argmin" else own[chosen])


@pytest.mark.parametrize("at", ["min", "argmin", Minimise(minimise="other")])
def test_each_run_gives_what_a_loop_over_its_records_gives(at: Any) -> None:
    rng = np.random.default_rng(0)
    ends = np.cumsum(LENGTHS)
    starts = ends - LENGTHS
    step = np.concatenate([10 * np.arange(length) for length in LENGTHS])
    # Few different values, so that the least one comes twice.
    table = {name: rng.integers(0, 3, size=ends[-1]).astype(float) for name in ("own", "other")}
    for values in table.values():
        values[1:5] = np.nan
        values[6] = np.inf
    run = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    chosen = Chosen("own", at, len(LENGTHS))
    # In any order, in pieces.
    for part in np.array_split(rng.permutation(len(step)), 3):
        chosen.take(run[part], step[part], lambda name, part=part: table[name][part])
    found = chosen.numbers()
    expected = [
        by_a_loop(at, step[a:b], table["own"][a:b], table["other"][a:b])
        for a, b in zip(starts, ends, strict=True)
    ]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("at", ["argmin", {"minimise": "regression_error"}])
def test_figures_and_summaries_take_the_same_record(at: Any) -> None:
    """Of both kinds of figure, against the tables themselves."""
    tables: Any = make_tables()
    curves = tables.curve_table.sort_values(["run_id", "step"], kind="stable", ignore_index=True)
    by = "loss" if at == "argmin" else "regression_error"
    rows = curves.loc[curves.groupby("run_id")[by].idxmin()].set_index("run_id")
    value = rows["step"] if at == "argmin" else rows["loss"]
    runs = tables.run_table.assign(taken=tables.run_table["run_id"].map(value))
    keys = {"x": DECAY, "y": "loss", "at": at}
    final = draw(tables, read_figure({**keys, "kind": "final", "band": "none"}))
    medians = runs.groupby(DECAY)["taken"].median()
    (line,) = final.axes[0].get_lines()
    np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), medians, rtol=1e-12)
    text = "\n".join(each.get_text() for each in final.texts)
    told = words(at if at == "argmin" else Minimise(**at))
    assert told in " ".join(text.split("\n"))
    label = final.axes[0].get_ylabel().replace("\n", " ")
    assert label.startswith("step of the least loss") == (at == "argmin")
    scatter = draw(tables, read_figure({**keys, "kind": "scatter"}))
    drawn = np.concatenate([np.asarray(each.get_ydata()) for each in scatter.axes[0].get_lines()])
    np.testing.assert_allclose(np.sort(drawn), np.sort(runs["taken"]), rtol=1e-12)
    heat = draw(
        tables,
        read_figure(
            {"kind": "heatmap", "x": DECAY, "y": "network.depth", "value": "loss", "at": at}
        ),
    )
    assert told in " ".join(each.get_text() for each in heat.texts).replace("\n", " ")


def test_summaries_on_the_command_line_and_in_python(tmp_path: Path) -> None:
    """The samples' error falls along the records, so that it is least at the last."""
    store_samples.complete(tmp_path / "a")
    results = dlnsweep.open_results(tmp_path / "a")
    found = results.summary(DECAY, "error", at={"minimise": "error"})
    pd.testing.assert_frame_equal(found, results.summary(DECAY, "error"))
    assert set(results.summary(DECAY, "error", at="argmin")["error_median"]) == {100.0}
    one, other = (summary_table(results, [DECAY], at) for at in ("argmin", "minimise=error"))
    assert set(one["error_median"]) == {100.0}
    np.testing.assert_array_equal(other["error_median"], found["error_median"])
    with pytest.raises(SpecError, match="'eror' is no recorded observable of this sweep; did you"):
        results.summary(DECAY, at={"minimise": "eror"})
    with pytest.raises(SpecError, match="singular_values is a vector, but a summary takes numbers"):
        results.summary(DECAY, at={"minimise": "singular_values"})
    with pytest.raises(
        SpecError, match=r"at is .*; it must be 'final', 'min', 'argmin', { minimise"
    ):
        results.summary(DECAY, at={"least": "error"})
    # More digits than Python reads, or than a step has; a digit that is no number.
    for typed in ("9" * 5000, "9" * 26, "²"):
        with pytest.raises(SpecError, match="it must be 'final', 'min', 'argmin'"):
            summary_table(results, [DECAY], typed)


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        ({"at": {"minimise": "los"}}, "figure.at.minimise is 'los'; the sweep recorded"),
        ({"at": {"least": "loss"}}, "figure.at is {'least': 'loss'}; it must be 'final', 'min'"),
        ({"at": 10**19}, "figure.at is 10000000000000000000; it must be 'final', 'min'"),
        ({"at": "argmin", "theory": "plateau"}, "figure.at is 'argmin', a step, but theory is of"),
    ],
)
def test_mistakes_in_a_figure(figure: dict[str, Any], expected: str) -> None:
    asked = {"kind": "final", "x": DECAY, "y": "regression_error", **figure}
    found = problems(training__weight_decay=[0.01, 0.1], figure=asked)
    assert [each for each in found if each.startswith(expected)], found
