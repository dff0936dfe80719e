"""Figures of test errors against the noise: the numbers that matplotlib was handed."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest
from figure_samples import DECAYS, NUM_SEEDS, Tables, make_tables
from spec_samples import problems, sweep

from dlnsweep.contracts.figure import read_figure
from dlnsweep.errors import SpecError
from dlnsweep.execution.preparing import stored_plan
from dlnsweep.figures.draw import draw
from dlnsweep.plan.plan import make_plan
from dlnsweep.settings.figure_files import file_stems

DECAY = "training.weight_decay"
# As a file may give them: in no order.
LEVELS = [1.0, 0.01, 0.1]
SIZES: dict[str, Any] = {
    "problem.kind": "subspace",
    "problem.signal_dim": 64,
    "problem.measurement_dim": 32,
    "problem.subspace_dim": 4,
    "problem.num_samples": 100,
    "network.kind": "deep_linear",
    "network.initializer": "fan_in_normal",
    "training.num_steps": 1000,
    "record.test_noise": 0.0,
}


def tables(levels: list[float] = LEVELS, **status: Any) -> Tables:
    made = make_tables(**status)
    made.sweep |= {"sweep": {"shared": {"record.noise_levels": levels}}}
    for name, value in SIZES.items():
        made.run_table[name] = value
    rng = np.random.default_rng(0)
    made.run_table["final_noisy_test_errors"] = [
        rng.lognormal(size=len(levels)) if status != "planned" else None
        for status in made.run_table["status"]
    ]
    return made


def figure(made: Tables, **keys: Any):
    return draw(made, read_figure({"kind": "noise", "where": {"network.depth": 3}, **keys}))


def measured(ax: Any) -> list[Any]:
    return [line for line in ax.get_lines() if not line.is_dashed()]


def formulas(ax: Any) -> list[Any]:
    return [line for line in ax.get_lines() if line.is_dashed()]


def finals(made: Tables, decay: float) -> np.ndarray:
    """(runs, levels in ascending order) of the finished runs of depth 3, by plain loops."""
    rows = []
    for _, run in made.run_table.iterrows():
        alike = run[DECAY] == decay and run["network.depth"] == 3
        if alike and run["status"] == "finished":
            values = dict(zip(LEVELS, run["final_noisy_test_errors"], strict=True))
            rows.append([values[level] for level in sorted(LEVELS)])
    return np.array(rows)


def test_medians_and_bands_over_the_seeds():
    made = tables(status={(0.1, 3, 2): "diverged", (0.01, 3, 1): "planned"})
    drawn = figure(made, hue=DECAY)
    (ax,) = drawn.axes
    bands: list[Any] = list(ax.collections)
    for line, band, decay in zip(measured(ax), bands, sorted(DECAYS), strict=True):
        values = finals(made, decay)
        assert len(values) == NUM_SEEDS - (decay > 0.001)
        assert line.get_xdata().tolist() == sorted(LEVELS)
        assert np.array_equal(line.get_ydata(), np.median(values, axis=0))
        corners = band.get_paths()[0].vertices
        for level, low, high in zip(
            sorted(LEVELS), *np.quantile(values, [0.25, 0.75], axis=0), strict=True
        ):
            edges = np.unique(corners[corners[:, 0] == level, 1])
            assert np.allclose([edges[0], edges[-1]], [low, high], rtol=1e-12)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_xlabel() == "test noise $σ$"
    assert ax.get_ylabel().startswith("test error")
    assert [t.get_text() for t in drawn.legends[0].get_texts()] == [
        f"$10^{{{k}}}$" for k in (-3, -2, -1)
    ]
    small = " ".join(text.get_text() for text in drawn.texts)
    assert "at the end" in small
    assert "median of 4 to 5 runs" in small
    assert "1 diverged, left out" in small


def test_formulas_are_evaluated_at_each_level():
    made = tables()
    drawn = figure(made, hue=DECAY, theory=["oracle_noise", "noise_without_decay"])
    (ax,) = drawn.axes
    oracle, kept = formulas(ax)
    levels = np.array(sorted(LEVELS))
    assert oracle.get_xdata().tolist() == kept.get_xdata().tolist() == sorted(LEVELS)
    assert np.allclose(oracle.get_ydata(), levels * sqrt(4 * 32 / 27), rtol=1e-12)
    assert np.allclose(kept.get_ydata(), levels * sqrt(4 * 32 / 27 + 64 * 28 / 32), rtol=1e-12)
    assert oracle._dash_pattern != kept._dash_pattern
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend[-2:] == ["oracle X Y⁺", "λ = 0, wide network"]


def test_amplification_is_the_error_over_the_noise():
    levels = [0.0, 0.1, 1.0]
    made = tables(levels)
    keys = {"where": {"network.depth": 3, DECAY: 0.1}, "theory": "oracle_noise"}
    (whole,), (divided,) = (figure(made, amplification=a, **keys).axes for a in (False, True))
    line, ratio = measured(whole)[0], measured(divided)[0]
    assert line.get_xdata().tolist() == levels
    assert ratio.get_xdata().tolist() == levels[1:]
    assert np.allclose(ratio.get_ydata(), line.get_ydata()[1:] / levels[1:], rtol=1e-12)
    assert divided.get_ylabel().endswith("$/\\,σ$")
    for ax, wanted in ((whole, [np.nan, 0.1, 1.0]), (divided, [1.0, 1.0])):
        (oracle,) = formulas(ax)
        factor = sqrt(4 * 32 / 27)
        assert np.allclose(oracle.get_ydata(), factor * np.array(wanted), equal_nan=True)
    # Zero stands at the left edge, where a logarithm has no place for it.
    assert whole.get_xscale() == "symlog"


def test_a_network_that_is_not_linear_has_another_formula():
    made = tables()
    made.run_table["network.kind"] = "linear_then_relu"
    (ax,) = figure(made).axes
    assert ax.get_ylabel() == "test error\n$\\|f(Y'+\\sigma E)-X'\\|_F\\,/\\,\\|X'\\|_F$"
    (ax,) = draw(made, read_figure({"kind": "curves", "y": "regression_error"})).axes
    wanted = "regression error\n$\\|f(Y)-X\\|_F\\,/\\,\\|X\\|_F$"
    assert ax.get_ylabel() == wanted
    keys = {"kind": "heatmap", "x": DECAY, "y": "network.depth", "value": "regression_error"}
    _, bar = draw(made, read_figure(keys)).axes
    assert bar.get_ylabel() == wanted
    keys = {"kind": "scatter", "x": "regression_error", "y": "loss"}
    (ax,) = draw(made, read_figure(keys)).axes
    assert ax.get_xlabel().replace("\n", " ") == wanted.replace("\n", " ")


def test_a_value_that_is_not_finite_enters_no_median():
    made = tables()
    chosen = made.run_table.index[(made.run_table[DECAY] == 0.1)]
    made.run_table.at[chosen[0], "final_noisy_test_errors"] = np.array([np.inf, 0.5, 0.5])
    depth = made.run_table.at[chosen[0], "network.depth"]
    (ax,) = figure(made, where={"network.depth": int(depth), DECAY: 0.1}).axes
    rows = made.run_table[
        (made.run_table[DECAY] == 0.1) & (made.run_table["network.depth"] == depth)
    ]
    others = [values[0] for values in rows["final_noisy_test_errors"] if np.isfinite(values[0])]
    assert len(others) == NUM_SEEDS - 1
    assert measured(ax)[0].get_ydata()[-1] == pytest.approx(np.median(others), rel=1e-12)


def test_where_the_levels_stand_in_a_stored_sweep():
    found = sweep(
        record__observables=["noisy_test_errors"],
        record__noise_levels=LEVELS,
        figure={"kind": "noise"},
    )
    stored = stored_plan(make_plan(found), np.arange(1), [])
    assert stored.record["shared"]["record.noise_levels"] == LEVELS
    assert file_stems(found.figures) == ["noise"]


def test_levels_change_the_ids_and_their_absence_does_not():
    def ids(**changes: Any) -> list[int]:
        return make_plan(sweep(**changes)).run_ids.tolist()

    asked = {"record__observables": ["noisy_test_errors"]}
    one, other = (ids(**asked, record__noise_levels=levels) for levels in ([0.1], [0.1, 0.2]))
    assert one != other
    assert ids(record__noise_levels=[]) == ids()


NAMES = {"record__observables": ["noisy_test_errors", "loss", "singular_values"]}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            {"kind": "noise", "y": "loss"},
            "figure.y[0] is 'loss'; kind = 'noise' draws what has one value a noise level: "
            "noisy_test_errors.",
        ),
        (
            {"kind": "noise", "y": ["singular_values"]},
            "figure.y[0] is 'singular_values'; kind = 'noise' draws what has one value a noise "
            "level: noisy_test_errors.",
        ),
        (
            {"kind": "curves", "y": "noisy_test_errors"},
            "figure.y[0] is 'noisy_test_errors'; it has one value a noise level, which kind = "
            "'curves' cannot draw; use 'noise'.",
        ),
        (
            {"kind": "noise", "theory": "plateau"},
            "figure.theory[0] is 'plateau', which stands beside regression_error; add it to y.",
        ),
    ],
)
def test_what_cannot_be_drawn_has_a_sentence(keys: dict[str, Any], sentence: str):
    assert problems(**NAMES, record__noise_levels=[0.1], figure=keys) == [sentence]


def test_a_figure_of_what_was_not_recorded():
    with pytest.raises(SpecError, match=r"y\[0\] is 'noisy_test_errors'; the sweep recorded"):
        draw(make_tables(), read_figure({"kind": "noise"}))
