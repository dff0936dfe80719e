"""The observables of the proof: gains, the spectrum of P(t), isometry; at scales of their own."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
from instances import draw

import dlnsweep
from dlnsweep.errors import SpecError
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.spectra import LANCZOS_STEPS, largest_value
from dlnsweep.single.training import train
from dlnsweep.spec.sweep import Sweep

# Decompositions of matrices with entries of size 1, rounded at 1.1e-16.
CLOSE = 1e-11
ISOMETRY = ["isometry_min", "isometry_max", "rip_lower_estimate"]


def lanczos(matrix: np.ndarray) -> float:
    def value(m: Any) -> Any:
        return largest_value(lambda v: m.T @ (m @ v), m.shape[1], m.dtype)

    with jax.enable_x64(True):
        return float(_jitted(value)(jnp.asarray(matrix)))


def _jitted(function: Any) -> Any:
    # One program a shape, whichever test asks.
    return _JITTED.setdefault("value", jax.jit(function))


_JITTED: dict[str, Any] = {}


def test_lanczos_is_exact_where_the_space_is_small():
    rng = np.random.default_rng(0)
    # Padded with zeros, of low rank, a multiple of the identity, tiny.
    padded = np.zeros((90, 90))
    padded[:5, :5] = rng.normal(size=(5, 5))
    low = rng.normal(size=(90, 2)) @ rng.normal(size=(2, 90))
    below = rng.normal(size=(90, LANCZOS_STEPS))
    small = [np.full((1, 1), -2.0), rng.normal(size=(7, 3)), below]
    for matrix in (*small, padded, low, 3 * np.eye(90), 1e-30 * low):
        assert abs(lanczos(matrix) / np.linalg.norm(matrix, 2) - 1) <= CLOSE
    assert lanczos(np.zeros((90, 90))) == 0
    assert np.isnan(lanczos(np.full((90, 90), np.nan)))


def test_lanczos_on_gaussian_matrices_is_a_close_lower_bound():
    rng = np.random.default_rng(1)
    for size in (300, 800):
        matrix = rng.normal(size=(size, size)) / np.sqrt(size)
        ratio = lanczos(matrix) / np.linalg.norm(matrix, 2)
        # The gap at the edge of the spectrum leaves some 1e-6 after 64 steps.
        assert 1 - 1e-4 < ratio <= 1 + CLOSE


@pytest.mark.parametrize(
    ("dims", "s", "step_rule"),
    [
        ((5, 9, 7, 4), 2, "uniform"),
        ((4, 8, 3), 3, "fan_in"),
        pytest.param((5, 9, 7, 4), 2, "fan_in", marks=pytest.mark.slow),
        pytest.param((4, 8, 3), 3, "uniform", marks=pytest.mark.slow),
    ],
)
def test_one_step_is_phi_minus_eta_p_phi(dims, s, step_rule):
    instance = draw(dims, s, 6, seed=3, noise=0.0)
    fit = 0.6
    shares = [1 / n if step_rule == "fan_in" else 1.0 for n in dims[:-1]]
    operator = oracle.first_order_operator(instance.weights, instance.y, fit, shares)
    # The naive P itself: halving eta quarters what it leaves of one step.
    start = oracle.residual(instance.weights, instance.x, instance.y)
    left = []
    for eta in (1e-3, 5e-4):
        descent = oracle.Descent(
            name="gradient_descent", learning_rate=eta, data_fit_scale=fit, step_rule=step_rule
        )
        after = descent.step(instance.weights, instance.x, instance.y)
        change = oracle.residual(after, instance.x, instance.y) - start
        left.append(np.linalg.norm(change.ravel() + eta * operator @ start.ravel()))
    assert left[0] / left[1] == pytest.approx(4, rel=0.05)
    values = np.linalg.eigvalsh((operator + operator.T) / 2)
    found = train(
        instance.weights,
        instance.x,
        instance.y,
        learning_rate=1e-3,
        data_fit_scale=fit,
        step_rule=step_rule,
        record_steps=[0],
        observables=["curvature_min", "curvature_max", "higher_order_term"],
    )
    expected = values[-dims[-1] * s], values[-1]
    assert np.allclose([found.curvature_min[0], found.curvature_max[0]], expected, rtol=1e-9)
    # A step is what P says, and the terms of higher order.
    state = oracle.State(instance.weights, instance.x, instance.y, data_fit_scale=fit)
    wanted = oracle.higher_order(state, [1e-3 * share for share in shares])
    assert wanted * np.linalg.norm(start) == pytest.approx(left[0], rel=1e-6)
    assert found.higher_order_term[0] == pytest.approx(wanted, rel=1e-9)


def test_a_network_narrower_than_its_output_has_no_gain_from_below():
    instance = draw((4, 3, 6), 2, 5, seed=4)
    found = train(
        instance.weights,
        instance.x,
        instance.y,
        learning_rate=1e-3,
        record_steps=[0],
        observables=["upper_gain_min", "upper_gain_max"],
    )
    assert found.upper_gain_min[0] == 0
    wanted = np.linalg.norm(instance.weights[1], 2)
    assert abs(found.upper_gain_max[0] / wanted - 1) <= CLOSE


def test_a_spectrum_that_is_too_large_has_a_sentence():
    instance = draw((33, 40, 65), 32, 40, seed=5)
    sentence = (
        "curvature_min and curvature_max need the eigenvalues of a matrix of 2080 rows, the rank "
        "of the measurements, 32, times signal_dim, 65; it may have 2048. Leave them out, or take "
        "smaller data."
    )
    arrays = (instance.weights, instance.x, instance.y)
    once = partial(train, *arrays, learning_rate=1e-3, record_steps=[0])
    # JAX adds a line about its own frames.
    with pytest.raises(SpecError, match=f"^{re.escape(sentence)}"):
        once(observables=["curvature_max"])
    with pytest.raises(SpecError, match=re.escape(f"record.observables: {sentence}")):
        Sweep.from_dict(document(["curvature_min"], d=65, m=33, s=[2, 32]))
    Sweep.from_dict(document(["curvature_min"], d=64, m=33, s=[2, 32]))
    sentence = "observables names 'isometry_min', which needs a problem to draw an operator from."
    with pytest.raises(SpecError, match=f"^{re.escape(sentence)}$"):
        once(observables=["isometry_min"])


def document(names: list[str], d: int = 9, m: int = 5, s: Any = 2, **sections: Any) -> dict:
    return {
        "name": "events",
        "problem": {
            "kind": "subspace", "signal_dim": d, "measurement_dim": m, "subspace_dim": s,
            "num_samples": 40,
        },
        "network": {"depth": 2, "width": 20},
        "training": {"learning_rate": 0.5, "num_steps": 4, "step_rule": "fan_in"},
        "record": {"count": 3, "observables": names},
    } | sections  # fmt: skip


def test_the_isometry_is_that_of_the_drawn_operator(tmp_path: Path):
    from dlnsweep.numerics.streams import purpose_key
    from dlnsweep.problems import subspace

    names = [*ISOMETRY, "lower_gain_max", "first_layer_off_range"]
    results = dlnsweep.run(Sweep.from_dict(document(names)), tmp_path, workers=0)
    curves: Any = results.curves()
    for name in ISOMETRY:
        assert curves[name].nunique() == 1
    settings = subspace.SubspaceSettings(
        signal_dim=9, measurement_dim=5, subspace_dim=2, num_samples=40
    )
    with jax.enable_x64(True):

        def everything(seed: Any) -> Any:
            key = partial(purpose_key, seed)
            return (*subspace.draw(settings, key), subspace._operator_and_basis(settings, key)[0])

        # Compiled with less care: rounded otherwise, and as right.
        drawn = jax.jit(everything, compiler_options={"xla_backend_optimization_level": 0})
        x, y, operator = map(np.asarray, drawn(jnp.asarray(0)))
    # kappa is 1, so X Z^T has the singular values 1: those of A R are those of Y.
    values = np.linalg.svd(y, compute_uv=False)[:2]
    assert np.allclose(np.linalg.svd(x, compute_uv=False)[:2], 1, rtol=CLOSE)
    first = curves.iloc[0]
    assert np.allclose([first.isometry_max, first.isometry_min], values, rtol=CLOSE)
    # All 36 pairs of columns: 200 random choices have almost surely met the worst.
    worst = 0.0
    for i in range(9):
        for j in range(i):
            pair = np.linalg.svd(operator[:, [i, j]], compute_uv=False)
            worst = max(worst, np.max(np.abs(pair**2 - 1)))
    assert first.rip_lower_estimate == pytest.approx(worst, rel=CLOSE)


@pytest.mark.slow
def test_both_kernels_and_the_law_know_what_needs_no_layers(tmp_path: Path):
    names = [*ISOMETRY, "first_layer_off_range"]
    shared: dict[str, Any] = {"training": {
        "learning_rate": 0.5, "weight_decay": 0.1, "num_steps": 300, "step_rule": "fan_in",
    }}  # fmt: skip
    found = []
    for kernel in ("dense", "reduced"):
        made = document(names, sweep={"kernel": kernel}, **shared)
        curves: Any = dlnsweep.run(Sweep.from_dict(made), tmp_path / kernel, workers=0).curves()
        found.append(curves[["step", *names]].to_numpy(dtype=float))
    assert np.allclose(*found, rtol=CLOSE)
    # W_1(t) P_perp = rho^t W_1(0) P_perp.
    column = found[0][:, -1]
    steps = found[0][:, 0]
    rho = (1 - 0.5 * 0.1 / 5) ** steps
    assert np.allclose(column, column[0] * rho, rtol=1e-10)
    # At width 10^10 the norm is sqrt(d_w / m) to some 1e-5.
    wide = {"depth": 2, "width": 10**10, "initial_weights": "law"}
    made = document(names, sweep={"kernel": "reduced"}, network=wide, **shared)
    curves = dlnsweep.run(Sweep.from_dict(made), tmp_path / "law", workers=0).curves()
    assert curves.iloc[0].first_layer_off_range == pytest.approx(np.sqrt(10**10 / 5), rel=1e-3)
    assert curves.iloc[0].isometry_min == pytest.approx(found[0][0, 1], rel=CLOSE)


@pytest.mark.slow
def test_padded_widths_record_their_own_gains(tmp_path: Path):
    names = ["upper_gain_min", "upper_gain_max", "lower_gain_min", "lower_gain_max",
             "middle_gain_max", "curvature_min", "curvature_max", "higher_order_term"]  # fmt: skip
    network = {"depth": 3, "width": [20, 30]}
    made = Sweep.from_dict(document(names, network=network))
    both: Any = dlnsweep.run(made, tmp_path / "both", workers=0).curves()
    made = Sweep.from_dict(document(names, network={**network, "width": 20}))
    alone: Any = dlnsweep.run(made, tmp_path / "alone", workers=0).curves()
    padded = both[both["network.width"] == 20]
    # Sums in another order, rounded at 1e-16.
    assert np.allclose(padded[names], alone[names], rtol=1e-10)
    assert not np.allclose(padded[names], both.loc[both["network.width"] == 30, names], rtol=0.01)
