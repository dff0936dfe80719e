"""Records of a figure that do not fit into memory at once give the same figure."""

from __future__ import annotations

from typing import Any

import figure_samples as samples
import numpy as np
import pytest
from matplotlib.axes import Axes

from dlnsweep.contracts.figure import read_figure
from dlnsweep.figures import records
from dlnsweep.figures.draw import draw
from dlnsweep.figures.records import Group, Records
from dlnsweep.figures.statistics import select

DECAY = "training.weight_decay"
ENDED_EARLY = {
    (0.1, 2, 1): "stopped",
    (0.1, 2, 3): "stopped",
    (0.1, 3, 0): "diverged",
    (0.01, 2, 2): "planned",
    **{(0.001, depth, seed): "stopped" for depth in (2, 3) for seed in range(5)},
}


def shown(tables: samples.Tables, keys: dict[str, Any]) -> list[np.ndarray]:
    """Return everything that a figure draws: lines, and the corners of bands."""

    def of(ax: Axes) -> list[np.ndarray]:
        bands = [path.vertices for band in ax.collections for path in band.get_paths()]
        return [np.asarray(line.get_xydata()) for line in ax.lines] + [np.asarray(b) for b in bands]

    return [array for ax in draw(tables, read_figure(keys)).axes for array in of(ax)]


@pytest.mark.parametrize(
    "keys",
    [
        {"kind": "curves", "y": ["loss", "regression_error"], "hue": DECAY},
        {"kind": "curves", "y": "loss", "hue": DECAY, "band": "std"},
        {"kind": "curves", "y": "loss", "band": "bootstrap", "where": {DECAY: [0.1]}},
        {"kind": "curves", "y": "loss", "hue": DECAY, "quantity": "decay_rate"},
        {"kind": "spectrum", "y": "singular_values", "panel_by": DECAY},
    ],
)
def test_step_by_step_is_the_same_as_at_once(keys: dict[str, Any], monkeypatch):
    tables = samples.make_tables(ENDED_EARLY)
    sizes = {"problem.measurement_dim": 32, "problem.subspace_dim": 4}
    tables.run_table = tables.run_table.assign(**sizes, **{"training.step_rule": "uniform"})
    at_once = shown(tables, keys)
    passes = []
    whole = Records._blocks

    def counted(self: Records, tables: Any) -> list[np.ndarray]:
        passes.append(len(whole(self, tables)))
        return whole(self, tables)

    monkeypatch.setattr(Records, "_blocks", counted)
    monkeypatch.setattr(records, "_TABLE_BYTES", 1)
    by_step = shown(tables, keys)
    assert passes == [len(samples.STEPS)]
    assert len(by_step) == len(at_once) > 0
    # The same numbers in the same order: not a bit may differ.
    for one, other in zip(at_once, by_step, strict=True):
        np.testing.assert_array_equal(one, other)


def test_groups_that_share_runs_are_a_bug():
    selection = select(samples.make_tables(), {})
    some = np.arange(len(selection.used)) < 5
    made = Records(samples.make_tables(), selection)
    with pytest.raises(AssertionError, match="share runs"):
        made.summaries([Group("loss", some), Group("loss", ~some | some)], "none", (0.25, 0.75))


def test_vectors_that_grow_longer_from_batch_to_batch():
    tables = samples.make_tables()
    curves = tables.curve_table
    curves["singular_values"] = [
        vector[:2] if step < 10 else vector
        for vector, step in zip(curves["singular_values"], curves["step"], strict=True)
    ]
    everyone = np.ones(30, dtype=bool)
    made = Records(tables, select(tables, {}))
    (found,) = made.summaries([Group("singular_values", everyone)], "none", (0.25, 0.75))
    assert found.median.shape == (len(samples.STEPS), 3)
    for row, step in enumerate(samples.STEPS):
        here = np.stack(curves.loc[curves["step"] == step, "singular_values"].tolist())
        np.testing.assert_array_equal(found.median[row, : here.shape[1]], np.median(here, axis=0))
        assert np.isnan(found.median[row, here.shape[1] :]).all()


@pytest.mark.parametrize("table_bytes", [1, records._TABLE_BYTES])
def test_no_point_is_of_fewer_runs_than_a_later_one(table_bytes: int, monkeypatch):
    """Half of the runs are shorter, with records of their own in between; one stopped off them."""
    monkeypatch.setattr(records, "_TABLE_BYTES", table_bytes)
    tables = samples.make_tables({(0.1, 2, 0): "stopped"})
    runs, curves = tables.run_table, tables.curve_table
    short = runs.loc[runs[DECAY] == 0.01, "run_id"]
    stopped = runs.loc[runs["status"] == "stopped", "run_id"].item()
    of_short = curves["run_id"].isin(short).to_numpy()
    curves.loc[of_short, "step"] = curves.loc[of_short, "step"].replace({10: 7, 100: 40, 1000: 60})
    ends = ((curves["run_id"] == stopped) & (curves["step"] == 10)).to_numpy()
    curves.loc[ends, "step"] = 9
    made = Records(tables, select(tables, {}))
    everyone = np.ones(30, dtype=bool)
    (found,) = made.summaries([Group("loss", everyone)], "none", (0.25, 0.75))
    # The steps of all, then those of the longer runs; not 7, 9, 40 and 60.
    np.testing.assert_array_equal(found.x, [0, 1, 10, 100, 1000])
    np.testing.assert_array_equal(found.num_runs, [30, 30, 20, 20, 20])
    assert made.num_left_out == 4
    held = curves.loc[ends, "loss"].item()
    for step, median in zip(found.x, found.median, strict=True):
        here = curves.loc[curves["step"] == step, "loss"].to_numpy()
        # The one that stopped holds its last value.
        here = np.append(here, held) if step > 9 else here
        assert median == np.median(here)
    figure = draw(tables, read_figure({"kind": "curves", "y": "loss"}))
    caption = figure.caption  # type: ignore[attr-defined]
    assert "steps that only some runs of a curve recorded: left out" in caption
