"""Theory curves in figures: with each run's own settings, and refused where they say nothing."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from math import asin, exp, pi, sqrt
from typing import Any

import numpy as np
import pytest
from figure_samples import DECAYS, NUM_SEEDS, STEPS, Tables, make_tables

from dlnsweep.contracts.figure import read_figure
from dlnsweep.errors import SpecError
from dlnsweep.figures.draw import draw
from dlnsweep.spec.explain import explain
from dlnsweep.theory import formulas as theory
from dlnsweep.theory.checks import check_theory
from dlnsweep.theory.curves import THEORY_CURVES
from dlnsweep.theory.setup import Setup

DECAY = "training.weight_decay"
SETTINGS: dict[str, Any] = {
    "problem.kind": "subspace",
    "problem.signal_dim": 64,
    "problem.measurement_dim": 32,
    "problem.subspace_dim": 4,
    "problem.num_samples": 100,
    "problem.condition_number": 1.0,
    "network.width": 500,
    "network.initializer": "fan_in_normal",
    "training.optimizer": "gradient_descent",
    "training.step_rule": "uniform",
    "training.data_fit_scale": 1.0,
    "training.num_steps": 1000,
    "record.test_noise": 0.5,
}
FAN_IN = {"training.step_rule": "fan_in", "training.learning_rate": 30.0}


def tables(**settings: Any) -> Tables:
    made = make_tables()
    for name, value in (SETTINGS | settings).items():
        made.run_table[name] = value
    for name in ("off_subspace_error", "noisy_test_error"):
        made.curve_table[name] = made.curve_table["loss"] * 3
        made.run_table[f"final_{name}"] = made.run_table["final_loss"]
    return made


def dashed_lines(ax: Any) -> list[Any]:
    return [line for line in ax.get_lines() if line.is_dashed()]


def test_a_level_has_the_settings_of_its_colour():
    figure = draw(tables(), read_figure({
        "kind": "curves", "y": "regression_error", "hue": DECAY, "panel_by": "network.depth",
        "theory": ["plateau"],
    }))  # fmt: skip
    for ax, depth in zip(figure.axes, (2, 3), strict=True):
        found = dashed_lines(ax)
        assert len(found) == len(DECAYS)
        measured = [line for line in ax.get_lines() if not line.is_dashed()]
        for line, own, decay in zip(found, measured, sorted(DECAYS), strict=True):
            wanted = theory.plateau(decay, 32, 4, depth)
            assert np.allclose(line.get_ydata(), wanted, rtol=1e-12)
            assert line.get_xdata().tolist() == STEPS.tolist()
            assert line.get_color() == own.get_color()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend.count("global minimum, first order in λ") == 1


def test_decays_begin_at_the_median_of_the_runs():
    made = tables()
    figure = draw(made, read_figure({
        "kind": "curves", "y": ["off_subspace_error"], "hue": DECAY, "where": {"network.depth": 3},
        "theory": ["first_layer_decay", "all_layers_decay"],
    }))  # fmt: skip
    (ax,) = figure.axes
    lines = dashed_lines(ax)
    # A pattern for each formula.
    assert len({str(line._dash_pattern) for line in lines}) == 2
    for line, decay, layers in zip(lines, sorted(DECAYS) * 2, [1] * 3 + [3] * 3, strict=True):
        start = np.median(
            made.values("off_subspace_error", training__weight_decay=decay, network__depth=3)[0]
        )
        wanted = [start * (1 - 1e-3 * decay) ** (layers * t) for t in STEPS]
        assert np.allclose(line.get_ydata(), wanted, rtol=1e-9)


def test_fan_in_rates_are_the_layers_own():
    (ax,) = draw(tables(**FAN_IN), read_figure({
        "kind": "curves", "y": "off_subspace_error", "theory": ["all_layers_decay"],
        "where": {"network.depth": 3, DECAY: 0.1},
    })).axes  # fmt: skip
    (line,) = dashed_lines(ax)
    y = line.get_ydata()
    keep = (1 - 30 / 32 * 0.1) * (1 - 30 / 500 * 0.1) ** 2
    assert abs(y[1] / y[0] / keep - 1) <= 1e-9


def test_the_theorem_is_drawn_where_it_holds():
    made = tables(**FAN_IN)
    made.run_table["training.weight_decay"] *= 0.1
    # Errors of size 1 at the start, as networks have.
    made.curve_table["regression_error"] *= 1e3
    kinds = ["phase_1", "phase_2", "tau", "horizon"]
    figure = draw(made, read_figure({
        "kind": "curves", "y": "regression_error", "theory": kinds, "where": {
            "network.depth": 3, DECAY: 1e-4},
    }))  # fmt: skip
    (ax,) = figure.axes
    one, two, *vertical = dashed_lines(ax)
    tau = 32 * 32 / (30 * 3) * np.log(3 / (35 * 1e-4))
    assert 1 < tau < 100
    assert np.isfinite(one.get_ydata()).tolist() == [True, True, True, False, False]
    assert one.get_ydata()[1] < one.get_ydata()[0]
    assert np.isfinite(two.get_ydata()).tolist() == [False, False, False, True, True]
    assert np.allclose(two.get_ydata()[-1], 80 * 1e-4 * sqrt(2))
    assert [line.get_xdata()[0] for line in vertical] == pytest.approx(
        [tau, 2 * 32 * np.log(500) / (30 * 1e-4)]
    )
    # T is beyond the thousand steps that were recorded.
    notes = "\n".join(text.get_text() for text in figure.texts)
    assert "T of Theorem 2.3 lies beyond the last step" in notes
    assert "Corollary A.18 lies beyond" not in notes


def test_final_values_have_theirs_over_the_axis():
    made = tables()
    (ax,) = draw(made, read_figure({
        "kind": "final", "y": "regression_error", "x": DECAY, "hue": "network.depth",
        "theory": ["plateau"],
    })).axes  # fmt: skip
    for line, depth in zip(dashed_lines(ax), (2, 3), strict=True):
        assert line.get_xdata().tolist() == sorted(DECAYS)
        wanted = [theory.plateau(decay, 32, 4, depth) for decay in sorted(DECAYS)]
        assert np.allclose(line.get_ydata(), wanted, rtol=1e-12)


def test_one_line_where_all_colours_have_the_same():
    (ax,) = draw(tables(), read_figure({
        "kind": "curves", "y": "noisy_test_error", "hue": DECAY,
        "theory": ["oracle_noise", "noise_without_decay"],
    })).axes  # fmt: skip
    oracle, kept = dashed_lines(ax)
    assert np.allclose(oracle.get_ydata(), 0.5 * sqrt(4 * 32 / 27))
    assert np.allclose(kept.get_ydata(), 0.5 * sqrt(4 * 32 / 27 + 64 * 28 / 32))
    assert oracle.get_color() == kept.get_color() == "0.2"


def test_runs_that_a_formula_is_not_for_are_left_out():
    made = tables()
    odd = made.run_table["seed"] % 2 == 1
    made.run_table.loc[odd, "training.optimizer"] = "momentum"
    (ax,) = draw(made, read_figure({
        "kind": "curves", "y": "off_subspace_error", "theory": ["first_layer_decay"],
        "hue": "training.optimizer", "where": {"network.depth": 2, DECAY: 0.1},
    })).axes  # fmt: skip
    (line,) = dashed_lines(ax)
    values = made.values("off_subspace_error", training__weight_decay=0.1, network__depth=2)
    assert values.shape[1] == NUM_SEEDS
    assert line.get_ydata()[0] == pytest.approx(np.median(values[0, ::2]))


def test_the_minimum_with_decay_is_none_of_decoupled_decay():
    """AdamW's fixed points are others; Adam's, whose decay is in the gradient, are stationary."""
    made = tables()
    odd = made.run_table["seed"] % 2 == 1
    made.run_table["training.optimizer"] = np.where(odd, "adamw", "adam")
    (ax,) = draw(made, read_figure({
        "kind": "curves", "y": "regression_error", "theory": ["plateau"],
        "hue": "training.optimizer", "where": {"network.depth": 2, DECAY: 0.1},
    })).axes  # fmt: skip
    (line,) = dashed_lines(ax)
    assert np.allclose(line.get_ydata(), theory.plateau(0.1, 32, 4, 2), rtol=1e-12)
    for optimizer, sentence in (
        ("adamw", "is for weight decay that is part of the gradient"), ("adam", ""),
    ):  # fmt: skip
        assert THEORY_CURVES["plateau"].why_not({"training.optimizer": [optimizer]}) == sentence


def test_without_weight_decay_there_is_no_plateau():
    made = tables(**{DECAY: 0.0})
    figure = draw(
        made, read_figure({"kind": "curves", "y": "regression_error", "theory": ["plateau"]})
    )
    assert not dashed_lines(figure.axes[0])


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        # Fewer samples than dimensions of the subspace are another law.
        *[(name, {"problem.num_samples": 3})
          for name in ("plateau", "oracle_noise", "noise_without_decay")],
        # No matrix of rank 3 has four values.
        ("plateau", {"network.width": 3}),
        # Of one layer the mean of its square is infinite from m = s + 3 on down.
        ("plateau", {"problem.measurement_dim": 7, "network.depth": 1}),
    ],
)  # fmt: skip
def test_there_is_no_line_where_the_formula_says_nothing(name: str, lacking: dict[str, Any]):
    run = {**SETTINGS, DECAY: 1e-3, "network.depth": 3}
    steps = np.array([0.0, 10.0])
    assert np.isfinite(THEORY_CURVES[name].values(Setup(run, 1.0), steps)).all()
    assert np.isnan(THEORY_CURVES[name].values(Setup({**run, **lacking}, 1.0), steps)).all()


def test_fewer_samples_span_less_of_the_measurements():
    run = {**SETTINGS, DECAY: 1e-3, "training.learning_rate": 0.1}
    found = [
        THEORY_CURVES["off_subspace_bound"].values(Setup({**run, **more}, 1.0), np.zeros(1))[0]
        for more in ({}, {"problem.num_samples": 3}, {"problem.subspace_dim": 3})
    ]
    assert found[1] == found[2] > found[0]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            {"theory": ["platau"]},
            "figure.theory[0] is 'platau'; it must be one of plateau, phase_1, phase_2, tau, "
            "horizon, off_subspace_bound, gain_floor, gain_ceiling, late_gain_floor, "
            "late_gain_ceiling, first_layer_decay, all_layers_decay, oracle_noise, "
            "noise_without_decay, deficiency_envelope, speed_exponent, jacobian_limit, "
            "stability_threshold, symmetric_plateau, spurious_minimum, plateau_growth, "
            "least_sharpness, least_loss_of_rank, stability_limit, largest_margin, "
            "largest_normalized_margin, inverse_log, least_norm_error, least_l2_error, "
            "least_l1_error, least_l1_distance, least_l1_norm, power_law_rate, nc1_rate, nc2_rate, "
            "nc3_rate, nc3_limit. Did you mean 'plateau'?",
        ),
        (
            {"theory": ["plateau", "first_layer_decay"]},
            "figure.theory[1] is 'first_layer_decay', which stands beside off_subspace_error; "
            "add it to y.",
        ),
        (
            {"theory": "phase_1"},
            "figure.theory[0] is 'phase_1', which is for training.step_rule = 'fan_in'; "
            "no run of this sweep has that.",
        ),
        (
            {"kind": "final", "x": DECAY, "theory": ["tau"]},
            "figure.theory[0] is 'tau', which is a step; only kind = 'curves' has steps on its "
            "axis.",
        ),
    ],
)
def test_what_cannot_be_drawn_has_a_sentence(table: dict[str, Any], sentence: str):
    keys = read_figure({"kind": "curves", "y": "regression_error"} | table)
    with pytest.raises(SpecError) as raised:
        draw(tables(), keys)
    assert sentence in str(raised.value)


def test_what_is_not_known_is_not_checked():
    assert not list(check_theory(["phase_1"], "step", ["regression_error"], {}))
    found = list(check_theory(["phase_1"], "step", ["regression_error"], {
        "training.step_rule": ["uniform", "fan_in"], "training.data_fit_scale": [0.5, 0.25]
    }))  # fmt: skip
    assert found == [
        "theory[0] is 'phase_1', which is for training.data_fit_scale = 1; "
        "no run of this sweep has that."
    ]


MATRICES = ("deficiency_envelope", "speed_exponent", "least_loss_of_rank")
COLLAPSE = ("nc1_rate", "nc2_rate", "nc3_rate", "nc3_limit")
MARGINS = ("largest_margin", "largest_normalized_margin", "inverse_log")
COMMITTEE = ("symmetric_plateau", "spurious_minimum", "plateau_growth")
SHARPNESS = ("stability_threshold", "least_sharpness", "stability_limit")
LEAST = ("least_l2_error", "least_l1_error", "least_l1_distance", "least_l1_norm")
REGRESSION = ("least_norm_error", *LEAST, "power_law_rate")
OTHERS = ("jacobian_limit", *SHARPNESS, *MARGINS, *COLLAPSE, *COMMITTEE, *REGRESSION)
SAMPLES = [name for name in THEORY_CURVES if name not in (*MATRICES, *OTHERS)]
GAUSSIAN = [name for name in SAMPLES if not name.endswith("_decay") or "noise" in name]


@pytest.mark.parametrize("name", MATRICES)
def test_formulas_of_factorizations_are_refused_elsewhere(name: str):
    curve = THEORY_CURVES[name]
    settings = {"problem.kind": ["subspace"]}
    (ending,) = check_theory([name], "step", curve.observables, settings)
    assert ending.startswith(f"theory[0] is '{name}', which is for problem.kind = 'matrix_approx")
    known = {"problem.kind": ["matrix_approximation"]}
    assert not list(check_theory([name], "step", curve.observables, known))


@pytest.mark.parametrize("name", THEORY_CURVES)
def test_a_formula_that_reads_network_says_of_which_kinds_it_is(name: str):
    """A network of one's own on the same problem has other settings, and another theory."""
    read: list[str] = []

    class Read(dict[str, Any]):
        def __missing__(self, key: str) -> Any:
            read.append(key)
            return 2

    curve = THEORY_CURVES[name]
    allowed = {key: values[0] for key, values in curve.needs.items() if values}
    with contextlib.suppress(Exception):
        # What is no run of its kind may not be computed to the end.
        curve.values(Setup(Read(allowed), 1.0), np.array([0.0, 1.0]))
    used = {key.partition(".")[0] for key in (*read, *curve.needs)}
    assert "network" not in used or "network.kind" in curve.needs


def test_formulas_of_factorizations():
    run = {
        "network.depth": 3,
        "network.deficiency_margin": 0.5,
        "problem.condition_number": 2.0,
        "training.learning_rate": 0.1,
        "training.data_fit_scale": 0.7,
    }
    steps = np.array([0.0, 10.0, 100.0])
    exponent = THEORY_CURVES["speed_exponent"].values(Setup(run, 1.0), steps)
    np.testing.assert_allclose(exponent, 4 / 3, rtol=1e-15)
    # delta = 0.5 / 2; alpha is the data-fit scale.
    envelope = THEORY_CURVES["deficiency_envelope"].values(Setup(run, 3.0), steps)
    expected = [3 * exp(-2 * 0.7 * 0.25 ** (4 / 3) * 0.1 * t) for t in steps]
    np.testing.assert_allclose(envelope, expected, rtol=1e-12)
    sizes = {"problem.num_rows": 3, "problem.num_columns": 5, "network.width": 1}

    def least(**settings: int) -> np.ndarray:
        given = run | sizes | {f"network.{key}": value for key, value in settings.items()}
        return THEORY_CURVES["least_loss_of_rank"].values(Setup(given, 1.0), steps)

    # Singular values 1, 3/4, 1/2.
    np.testing.assert_allclose(least(), (0.75**2 + 0.5**2) / 2, rtol=1e-15)
    np.testing.assert_allclose(least(width=2), 0.125, rtol=1e-15)
    assert np.all(np.isnan(least(width=3)))
    assert np.all(np.isnan(least(depth=1)))


@pytest.mark.parametrize(
    ("activation", "slope"),
    [
        ("sigmoid", lambda g: np.exp(-g) / (1 + np.exp(-g)) ** 2),
        ("tanh", lambda g: 1 - np.tanh(g) ** 2),
        ("softplus", lambda g: 1 / (1 + np.exp(-g))),
        ("arctan", lambda g: 1 / (1 + g**2)),
    ],
)
def test_the_limit_of_the_jacobian(activation, slope):
    # Gauss and Hermite's rule, which knows phi' at other places; slow for the poles of arctan's.
    nodes, weights = np.polynomial.hermite_e.hermegauss(180)
    expected = np.sqrt(np.sum(weights * slope(nodes) ** 2) / np.sqrt(2 * np.pi))
    curve = THEORY_CURVES["jacobian_limit"]
    values = curve.values(Setup({"network.activation": activation}, 1.0), np.zeros(2))
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    (ending,) = check_theory(
        ["jacobian_limit"], "setting", ["jacobian_min"], {"network.trained_layers": ["both"]}
    )
    assert "which is for network.trained_layers = 'first'" in ending


def test_lines_of_the_sharpness():
    def level(name: str, **settings: Any) -> float:
        dotted = {"training.learning_rate": 0.5, "training.momentum": 0.9, "network.depth": 10}
        run = Setup(dotted | {f"training.{key}": value for key, value in settings.items()}, 1.0)
        return float(THEORY_CURVES[name].values(run, np.zeros(3))[1])

    # The key momentum has its default where gradient descent does not use it.
    assert level("stability_threshold", optimizer="gradient_descent") == 4.0
    assert level("stability_threshold", optimizer="momentum") == pytest.approx(7.6, rel=1e-15)
    nesterov = level("stability_threshold", optimizer="nesterov")
    assert nesterov == pytest.approx(3.8 / 2.8 / 0.5, rel=1e-15)
    assert level("least_sharpness") == 10.0
    for setting, value in [("minibatch_size", 8), ("optimizer", "adam"), ("sam_radius", 0.1)]:
        known = {f"training.{setting}": [value]}
        (ending,) = check_theory(["stability_threshold"], "step", ["sharpness"], known)
        assert f"which is for training.{setting} = " in ending
    (ending,) = check_theory(
        ["least_sharpness"], "setting", ["sharpness"], {"training.weight_decay": [1e-3]}
    )
    assert "which is for training.weight_decay = 0" in ending


def test_lines_of_the_margin():
    run, steps = Setup({"problem.margin": 0.5, "network.depth": 3}, 1.0), np.array([0, 1, 8.0])
    found = [THEORY_CURVES[name].values(run, steps) for name in MARGINS]
    np.testing.assert_array_equal(found[0], 0.5)
    np.testing.assert_allclose(found[1], 0.5 / 27**0.5, rtol=1e-15)
    np.testing.assert_allclose(found[2], [np.nan, np.nan, 1 / np.log(8)], rtol=1e-15)
    for name, setting, value in zip(
        MARGINS, ("problem.support", "network.activation", "training.clip_norm"),
        ("random", "relu", 1.0), strict=True,
    ):  # fmt: skip
        known = {setting: [value]}
        (ending,) = check_theory([name], "step", THEORY_CURVES[name].observables, known)
        assert f"which is for {setting} = " in ending


def test_the_line_of_the_least_norm():
    curve, steps = THEORY_CURVES["least_norm_error"], np.zeros(2)
    sizes = {"problem.measurement_dim": 30, "problem.num_samples": 20}
    np.testing.assert_allclose(curve.values(Setup(sizes, 1.0), steps), sqrt(1 / 3), rtol=1e-15)
    for n in (30, 31):
        assert np.isnan(curve.values(Setup(sizes | {"problem.num_samples": n}, 1.0), steps)).all()
    for name, value in (
        ("problem.noise", 0.1), ("problem.kind", "single_index"),
        ("training.minibatch_order", "one_pass"),
    ):  # fmt: skip
        for beside in curve.observables:
            (ending,) = check_theory(["least_norm_error"], "setting", [beside], {name: [value]})
            assert f"which is for {name} = " in ending


def test_lines_of_the_samples_are_medians_over_the_seeds_that_are_drawn():
    made = tables(**{
        "problem.kind": "sparse_regression", "problem.sparsity": 2, "problem.measurement_dim": 9,
        "problem.num_samples": 5, "problem.noise": 0.3, "record.num_test_samples": 40,
    })  # fmt: skip
    made.curve_table["test_error"] = made.curve_table["loss"]
    made.run_table["final_test_error"] = made.run_table["final_loss"]
    seeds, where = sorted(set(made.run_table["seed"])), {"network.depth": 2, DECAY: 0.1}
    keys = {"kind": "curves", "y": "test_error", "theory": "least_l2_error", "where": where}

    def line() -> float:
        (drawn,) = dashed_lines(draw(made, read_figure(keys)).axes[0])
        assert len(set(drawn.get_ydata())) == 1
        return float(drawn.get_ydata()[0])

    names = [name for name in made.run_table.columns if name.startswith(("problem.", "record."))]
    settings = made.run_table.iloc[0][names].to_dict()
    own = [
        THEORY_CURVES["least_l2_error"].values(Setup({**settings, "seed": seed}, 0.0), np.zeros(1))
        for seed in seeds
    ]
    assert len({float(each[0]) for each in own}) == NUM_SEEDS
    assert line() == pytest.approx(np.median(own), rel=1e-14)
    made.run_table = made.run_table[made.run_table["seed"] == seeds[1]]
    assert line() == pytest.approx(float(own[1][0]), rel=1e-14)


def test_lines_of_the_samples_are_of_all_seeds_or_none():
    """Some find the truth, whose error is 0; some may have no certified solution."""
    made = tables(**{"problem.kind": "sparse_regression"})
    keys = {"kind": "curves", "y": "test_error", "theory": "least_l1_error",
            "where": {"network.depth": 2, DECAY: 0.1}}  # fmt: skip
    made.curve_table["test_error"] = made.curve_table["loss"]
    made.run_table["final_test_error"] = made.run_table["final_loss"]
    curve, last = THEORY_CURVES["least_l1_error"], NUM_SEEDS - 1
    assert curve.by_seed

    def lines(of: Any) -> list[float]:
        with pytest.MonkeyPatch.context() as patch:
            changed = replace(curve, values=lambda run, steps: np.full(len(steps), of(run["seed"])))
            patch.setitem(THEORY_CURVES, "least_l1_error", changed)
            figure = draw(made, read_figure(keys))
            return [float(line.get_ydata()[0]) for line in dashed_lines(figure.axes[0])]

    assert lines(lambda seed: 1.0 + seed) == [1 + last / 2]
    assert lines(lambda seed: 0.0 if seed == 0 else 1.0 + seed) == [1 + last / 2]
    assert lines(lambda seed: 0.0 if seed < last else 0.3) == []
    assert lines(lambda seed: np.nan if seed == last else 0.3) == []


def test_the_slope_of_one_pass():
    run = {
        "problem.data_exponent": 1.0, "problem.target_exponent": 0.3,
        "problem.measurement_dim": 10, "training.learning_rate": 0.1,
        "training.data_fit_scale": 2.0, "network.layer_init_scale": 1e-9,
    }  # fmt: skip
    curve, steps = THEORY_CURVES["power_law_rate"], np.array([0.0, 1, 10, 499, 501])

    def found(**settings: float) -> np.ndarray:
        more = {name.replace("__", "."): value for name, value in settings.items()}
        return curve.values(Setup(run | more, 3.0), steps)

    # Ten features end at eta c t = 100.
    own = [np.nan, 3, 3 * 10**-0.8, 3 * 499**-0.8, np.nan]
    np.testing.assert_allclose(found(), own, rtol=1e-14)
    # Noise of the steps rules, until eta c t = 10^(4/3).
    noisy = [np.nan, 3, 3 * 10**-1.5, np.nan, np.nan]
    np.testing.assert_allclose(found(problem__target_exponent=1.5), noisy, rtol=1e-14)
    assert np.isnan(found(problem__data_exponent=0.5)).all()
    # 0.3^2 10^(-0.4) is more than a hundredth.
    assert np.isnan(found(network__layer_init_scale=0.3)).all()
    for name, value in (
        ("training.minibatch_order", "epochs"), ("training.schedule", "linear"),
        ("network.depth", 2), ("training.weight_decay", 0.1),
    ):  # fmt: skip
        (ending,) = check_theory(["power_law_rate"], "step", ["loss"], {name: [value]})
        assert f"which is for {name} = " in ending


def test_lines_of_neural_collapse():
    run = {
        "training.loss": "squared", "training.weight_decay": 0.01, "training.learning_rate": 0.1,
        "training.data_fit_scale": 1.0, "problem.num_classes": 4, "problem.samples_per_class": 5,
        "network.width": 4,
    }  # fmt: skip
    steps = np.array([0.0, 1000.0])
    fall = [THEORY_CURVES[name].values(Setup(run, 2.0), steps) for name in COLLAPSE]
    np.testing.assert_allclose(fall[0], [2, 2 * exp(-6)], rtol=1e-14)
    np.testing.assert_allclose(fall[1], [2, 2 * exp(-2)], rtol=1e-14)
    np.testing.assert_allclose(fall[3], sqrt(2 - sqrt(3)), rtol=1e-14)
    run["training.loss"] = "cross_entropy"
    found = THEORY_CURVES["nc3_rate"].values(Setup(run, 2.0), steps)
    np.testing.assert_allclose(found, [2, 2 * exp(-1)], rtol=1e-14)
    # Three coordinates have room for differences of four classes, and not for orthogonal ones.
    run["network.width"] = 3
    assert np.isfinite(THEORY_CURVES["nc3_rate"].values(Setup(run, 2.0), steps)).all()
    run["training.loss"] = "squared"
    assert np.isnan(THEORY_CURVES["nc2_rate"].values(Setup(run, 2.0), steps)).all()
    for name, loss in (("nc3_rate", "squared"), ("nc3_limit", "cross_entropy")):
        known = {"training.loss": [loss]}
        (ending,) = check_theory([name], "step", ["nc3"], known)
        assert "which is for training.loss = " in ending


def test_the_plateau_of_committees_is_drawn_for_those_that_it_is_about():
    run = {
        "network.width": 2, "problem.num_teacher_neurons": 2, "network.activation": "erf",
        "training.learning_rate": 0.4, "problem.input_dim": 1e6,
    }  # fmt: skip
    steps = np.zeros(2)
    found = THEORY_CURVES["symmetric_plateau"].values(Setup(run, 1.0), steps)
    np.testing.assert_allclose(found, 2 / pi * (pi / 6 - 2 * asin(1 / 4)), rtol=1e-12)
    grown = THEORY_CURVES["plateau_growth"].values(Setup(run, 0.0), steps)
    larger = THEORY_CURVES["plateau_growth"].values(
        Setup(run | {"problem.input_dim": 1e7}, 0.0), steps
    )
    # 44.4 steps for ten times the dimension: results/kept/population.
    np.testing.assert_allclose(larger - grown, 44.35, atol=0.01)
    for setting, value in (("trained_layers", "both"), ("readouts", "signs"), ("kind", "mlp")):
        known = {f"network.{setting}": [value]}
        (ending,) = check_theory(["symmetric_plateau"], "step", ["generalization_error"], known)
        assert f"which is for network.{setting} = " in ending


def test_formulas_of_one_name_look_alike():
    kinds = {"problem.kind": "separable", "problem.support": "pair", "network.kind": "mlp"}
    made = tables(**kinds, **{"problem.margin": 0.5})
    for name in ("sharpness", "l2_margin", "margin"):
        made.curve_table[name] = made.curve_table["loss"]
        made.run_table[f"final_{name}"] = made.run_table["final_loss"]
    figure = draw(made, read_figure({
        "kind": "curves", "y": ["sharpness", "l2_margin", "margin"], "hue": "network.depth",
        "theory": ["stability_threshold", "largest_margin", "largest_normalized_margin"],
    }))  # fmt: skip
    one, two, three = ({str(line._dash_pattern) for line in dashed_lines(ax)} for ax in figure.axes)
    assert two == three != one
    assert [len(each) for each in (one, two, three)] == [1, 1, 1]


@pytest.mark.parametrize("name", SAMPLES)
def test_formulas_are_for_the_measurements_that_they_assume(name: str):
    curve = THEORY_CURVES[name]

    def refusal(**settings: str) -> str:
        dotted = {f"problem.{key}": [value] for key, value in settings.items()}
        found = list(check_theory([name], "step", curve.observables, dotted))
        return "".join(found).partition("which is for ")[2]

    ending = "; no run of this sweep has that."
    plain = f"problem.operator = 'gaussian'{ending}" if name in GAUSSIAN else ""
    assert len(GAUSSIAN) == len(SAMPLES) - 2
    for operator in ("dct", "random_signs", "blur", "file"):
        assert refusal(operator=operator) == plain
    # Noise trains what would only decay.
    kinds = "'subspace'" if name in GAUSSIAN else "'subspace' or 'union_of_subspaces'"
    assert refusal(kind="noisy_subspace") == f"problem.kind = {kinds}{ending}"
    assert bool(refusal(kind="union_of_subspaces")) == (name in GAUSSIAN)
    # Together with others that it is for, it is drawn for those.
    both = {"problem.operator": ["dct", "gaussian"], "problem.kind": ["subspace"]}
    assert not list(check_theory([name], "step", curve.observables, both))


def test_a_run_older_than_a_setting_had_its_default():
    made = tables(**{"problem.operator": None})
    keys = {"kind": "curves", "y": "regression_error", "theory": ["plateau"]}
    assert dashed_lines(draw(made, read_figure(keys)).axes[0])
    made.run_table["problem.operator"] = "dct"
    with pytest.raises(SpecError, match=r"which is for problem\.operator = 'gaussian'"):
        draw(made, read_figure(keys))


RATE = "training.learning_rate"
FACTORIZATION = {
    "problem.kind": "matrix_approximation",
    "problem.loss": "half_sum",
    "network.kind": "deep_linear",
    "training.optimizer": "gradient_descent",
    "problem.num_rows": 5,
    "problem.num_columns": 4,
    "network.width": 4,
    DECAY: 0.0,
}


def of_rates(rates: list[float], **settings: Any) -> Tables:
    """Return a sweep of learning rates and depths 2 and 3."""
    made = make_tables(decays=rates)
    made.run_table[RATE] = made.run_table[DECAY]
    for name, value in (FACTORIZATION | settings).items():
        made.run_table[name] = value
    return made


def test_a_limit_is_a_stair_between_the_columns_that_it_lies_between():
    rates = [0.25, 0.5, 1.0, 2.0]
    keys = {"kind": "heatmap", "value": "loss", "theory": "stability_limit", "annotate": False}
    # 2 / 2 = 1 is the third column; 2 / 3 lies between the second and it, by logarithms.
    places = [2.0, 1 + np.log(2 / 3 / 0.5) / np.log(2)]
    upright = draw(of_rates(rates), read_figure({**keys, "x": RATE, "y": "network.depth"}))
    (line,) = dashed_lines(upright.axes[0])
    np.testing.assert_allclose(line.get_xdata(), np.repeat(places, 2), rtol=1e-12)
    np.testing.assert_allclose(line.get_ydata(), [-0.5, 0.5, 0.5, 1.5], rtol=1e-12)
    (named,) = upright.legends[0].get_texts()
    assert named.get_text() == r"$2/\lambda_{\max}$ at the flattest minimiser"
    lying = draw(of_rates(rates), read_figure({**keys, "x": "network.depth", "y": RATE}))
    (other,) = dashed_lines(lying.axes[0])
    np.testing.assert_allclose(other.get_ydata(), line.get_xdata(), rtol=1e-12)
    # Beyond the columns nothing is drawn, and that is said.
    short = draw(of_rates([0.25, 0.5, 0.9]), read_figure({**keys, "x": RATE, "y": "network.depth"}))
    (line,) = dashed_lines(short.axes[0])
    assert np.isnan(line.get_xdata()).tolist() == [True, True, False, False]
    assert "minimiser: outside or none in 1 row" in " ".join(t.get_text() for t in short.texts)


def test_a_limit_is_refused_where_it_says_nothing():
    keys = {"kind": "heatmap", "x": RATE, "y": "network.depth", "value": "loss"}
    asked = read_figure({**keys, "theory": "stability_limit"})
    with pytest.raises(SpecError, match="no value for any of these runs; `dlnsweep explain stab"):
        draw(of_rates([0.5, 1.0], **{DECAY: 0.1}), asked)
    with pytest.raises(SpecError, match="no value for any of these runs"):
        draw(of_rates([0.5, 1.0], **{"network.width": 3}), asked)
    with pytest.raises(SpecError, match=r"which is for training.optimizer = 'gradient_descent'"):
        draw(of_rates([0.5, 1.0], **{"training.optimizer": "adam"}), asked)
    (ending,) = check_theory(["stability_limit"], "cells", [], {}, (DECAY, "network.depth"))
    assert ending.endswith(f"a value of {RATE}: a line over the cells of kind = 'heatmap' with "
                           "that as x or y.")  # fmt: skip
    (ending,) = check_theory(["stability_limit"], "step", ["loss"], {})
    assert f"a value of {RATE}: a line" in ending
    (ending,) = check_theory(["plateau"], "cells", [], {}, (RATE, DECAY))
    assert ending.endswith("which stands beside regression_error in figures of other kinds.")


def test_explain_lists_every_curve():
    text = explain("theory")
    for name, curve in THEORY_CURVES.items():
        assert f"\n{name}\n" in text
        assert (curve.observables or (curve.setting,))[0] in text
    assert "theory" in explain("curves")


def test_the_band_of_the_events_changes_at_the_bound_on_tau():
    made = tables(**FAN_IN)
    for name in ("upper_gain_min", "upper_gain_max", "lower_gain_min"):
        made.curve_table[name] = 1.0
        made.run_table[f"final_{name}"] = 1.0
    figure = draw(made, read_figure({
        "kind": "curves", "y": ["upper_gain_min", "upper_gain_max", "lower_gain_min"],
        "theory": ["gain_floor", "gain_ceiling", "late_gain_floor", "late_gain_ceiling"],
        "where": {"network.depth": 3, DECAY: 1e-2},
    }))  # fmt: skip
    tau = 32 * 32 / (30 * 3) * np.log(3 / (35 * 1e-2))
    after = np.array(STEPS) > tau
    assert 0 < np.sum(after) < len(STEPS) - 1
    for ax, ends in zip(figure.axes, [(3 / 4, 5 / 7), (5 / 4, 9 / 7), (3 / 4,)], strict=True):
        lines = dashed_lines(ax)
        assert len(lines) == len(ends)
        for line, end, late in zip(lines, ends, (False, True), strict=False):
            wanted = np.where(after == late, end, np.nan)
            assert np.allclose(line.get_ydata(), wanted, rtol=1e-12, equal_nan=True)


# True of any weights, or of where they end, which an average of them reaches, too.
OF_ANY_WEIGHTS = {
    "plateau", "oracle_noise", "noise_without_decay", "jacobian_limit", "least_sharpness",
    "least_loss_of_rank", "largest_margin", "largest_normalized_margin", "least_norm_error",
    *LEAST,
}  # fmt: skip


def test_lines_about_each_step_are_not_drawn_beside_an_average_of_the_weights():
    key = "training.ema_decay"
    drawn = {name for name, curve in THEORY_CURVES.items() if not curve.why_not({key: [0.9]})}
    assert drawn == OF_ANY_WEIGHTS
    for name in THEORY_CURVES.keys() - drawn:
        assert THEORY_CURVES[name].why_not({key: [0.9]}) == f"is for {key} = 0"


# About each step of full batches: noise of minibatches moves what they say.
FULL_BATCHES = {*COLLAPSE, "plateau_growth", "stability_threshold"}


def test_lines_about_full_batches_are_not_drawn_beside_minibatches():
    known = {"training.minibatch_size": [3]}
    for name in FULL_BATCHES:
        assert THEORY_CURVES[name].why_not(known) == "is for training.minibatch_size = 0"


@pytest.mark.parametrize("name", ["deficiency_envelope", "speed_exponent"])
def test_formulas_of_the_flow_are_for_one_rate_of_all_layers_and_no_decay(name: str):
    fan_in = {"training.step_rule": ["fan_in"]}
    assert THEORY_CURVES[name].why_not(fan_in) == "is for training.step_rule = 'uniform'"
    decay = {"training.weight_decay": [0.1]}
    assert THEORY_CURVES[name].why_not(decay) == "is for training.weight_decay = 0"
