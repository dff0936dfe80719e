"""What deep_prior brought to figures and sentences: transitions, bounds beside curves, words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import dlnsweep
from dlnsweep.analysis.logistic import fit_power_law
from dlnsweep.contracts.figure import read_figure
from dlnsweep.errors import SpecError
from dlnsweep.figures.draw import draw
from dlnsweep.figures.kinds.heatmap import draw_transition
from dlnsweep.settings.figures import HeatmapFigure
from dlnsweep.spec.sweep import Sweep


def document(**changes: Any) -> dict[str, Any]:
    result: dict[str, Any] = {
        "name": "prior",
        "problem": {"kind": "deep_prior", "signal_dim": 6, "measurement_dim": 4},
        "network": {"width": [9, 12]},
        "training": {"learning_rate": 0.3, "num_steps": 20},
        "record": {"count": 4, "observables": ["loss", "loss_bound"]},
        "sweep": {"seeds": 2},
    }
    for key, value in changes.items():
        section, _, inner = key.partition("__")
        result.setdefault(section, {})[inner] = value
    return result


def sentences(**changes: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        Sweep.from_dict(document(**changes))
    return [each.removeprefix("sweep: ") for each in caught.value.problems]


WITH = "with network.kind = 'deep_prior' it must be"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"training__optimizer": "adam"},
            f"training.optimizer is 'adam'; {WITH} 'gradient_descent'.",
        ),
        ({"training__weight_decay": 0.1}, f"training.weight_decay is 0.1; {WITH} 0.0."),
        ({"training__data_fit_scale": 2.0}, f"training.data_fit_scale is 2.0; {WITH} 1.0."),
        ({"training__minibatch_size": 1}, f"training.minibatch_size is 1; {WITH} 0."),
        (
            {"training__step_rule": "fan_in"},
            f"training.step_rule is 'fan_in'; {WITH} 'uniform' or 'curvature'.",
        ),
        (
            {"sweep__kernel": "reduced"},
            f"sweep.kernel is 'reduced'; {WITH} 'auto' or 'dense' or 'generic' or "
            "'simd' or 'simd_samples' or 'jumps'.",
        ),
        (
            {"network__kind": "deep_linear"},
            "network.kind is 'deep_linear'; with problem.kind = 'deep_prior' it must be "
            "'deep_prior'.",
        ),
    ],
)
def test_what_this_network_does_not_have_is_refused(changes: dict[str, Any], expected: str):
    assert sentences(**changes) == [expected]


def test_the_curvature_rule_is_for_this_network_only():
    other = document(
        problem__kind="subspace", problem__subspace_dim=2, problem__num_samples=9,
        network__depth=2, training__step_rule="curvature", record__observables=["loss"],
    )  # fmt: skip
    with pytest.raises(SpecError) as caught:
        Sweep.from_dict(other)
    assert caught.value.problems == (
        "sweep: training.step_rule is 'curvature'; with network.kind = 'deep_linear' it must be "
        "'uniform' or 'fan_in'.",
    )


def test_keys_of_figures_that_contradict_each_other():
    heatmap = {"kind": "heatmap", "x": "network.width", "y": "seed", "value": "loss"}
    found = sentences(**{f"figure__{k}": v for k, v in heatmap.items()},
                      figure__transition=True)  # fmt: skip
    assert found == [
        "figure.transition is given, but value is 'loss'; set value = 'success'.",
        "figure.transition needs positive numbers on both axes; y is 'seed'.",
    ]
    found = sentences(
        figure__kind="curves", figure__y="loss", figure__beside={"loss_bound": "loss"}
    )
    assert found == ["figure.beside names 'loss_bound', which is not drawn; y is ['loss']."]


def test_a_bound_is_drawn_dashed_beside_its_observable(tmp_path: Path):
    results = dlnsweep.run(Sweep.from_dict(document()), tmp_path, workers=0)
    drawn = draw(
        results,
        read_figure(
            {"kind": "curves", "y": "loss", "hue": "network.width", "title": "",
             "beside": {"loss": "loss_bound"}}
        ),
    )  # fmt: skip
    curves = results.curves(observables=["loss_bound"])
    dashed = [line for line in drawn.axes[0].lines if line.get_linestyle() == "--"]
    assert len(dashed) == 2
    for line, width in zip(dashed, (9, 12), strict=True):
        own = curves[curves["network.width"] == width]
        expected = own.groupby("step")["loss_bound"].median()
        np.testing.assert_allclose(np.asarray(line.get_ydata()), expected.to_numpy(), rtol=1e-12)
    # The words and symbols of this problem, not those of linear networks.
    assert "L_y" in drawn.axes[0].get_ylabel()
    texts = " ".join(text.get_text() for text in drawn.texts)
    assert "$n$ = 6" in texts
    assert "$m$ = 4" in texts


@pytest.mark.parametrize("name", [None, "the loss itself"])
def test_what_is_beside_has_the_formula_of_its_network_or_the_name_of_the_file(
    tmp_path: Path, name: str | None
):
    results = dlnsweep.run(Sweep.from_dict(document()), tmp_path, workers=0)
    keys = {
        "kind": "curves",
        "y": "loss_bound",
        "hue": "network.width",
        "beside": {"loss_bound": "loss"},
        "legend_names": {"loss": name} if name else {},
    }
    figure = draw(results, read_figure(keys))  # fmt: skip
    named = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert (name or "loss $L_y$") in named or any("L_y" in text for text in named)
    assert not any(r"\|W_{L:1}" in text for text in named)


def test_the_transition_of_a_heatmap_is_marked_with_its_power_law():
    columns, rows = [1, 2, 4, 8, 16, 32, 64], [1, 2, 4]
    # Half of the runs succeed at x = 2, 8 and 32: x = 2 y^2.
    cells = np.array([[1 / (1 + (x / (2 * y**2)) ** -2.0) for x in columns] for y in rows])
    number = np.full(cells.shape, 1000)
    keys = HeatmapFigure.model_validate(
        {"x": "network.width", "y": "problem.signal_dim", "value": "success",
         "success": {"observable": "loss", "below": 1.0}, "transition": True}
    )  # fmt: skip
    axes = Figure().add_subplot()
    (note,) = draw_transition(axes, keys, columns, rows, cells, number)
    dots, law = axes.lines
    # The prior on the slope moves the estimate by less than this.
    np.testing.assert_allclose(np.asarray(dots.get_xdata()), [1, 3, 5], atol=0.02)
    np.testing.assert_allclose(np.asarray(dots.get_ydata()), [0, 1, 2])
    np.testing.assert_allclose(np.asarray(law.get_xdata()), [1, 3, 5], atol=0.02)
    assert "^{2.00}" in note
    assert draw_transition(axes, keys, columns, rows, 0 * cells, number) == ["no transition inside"]
    with pytest.raises(SpecError, match=r"^figure\.transition needs positive numbers on both axes"):
        draw_transition(axes, keys, [0, *columns[1:]], rows, cells, number)


def test_a_power_law_is_fitted():
    x = np.array([1.0, 2.0, 5.0])
    level, exponent = fit_power_law(x, 3 * x**1.5)
    assert (np.exp(level), exponent) == (pytest.approx(3, rel=1e-12), pytest.approx(1.5, rel=1e-12))
