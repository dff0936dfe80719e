"""The formulas of `theory/formulas.py`, each against another way to the same number."""

from __future__ import annotations

from fractions import Fraction
from math import log, sqrt

import numpy as np
import pytest

from dlnsweep.theory import formulas as theory

# Both sides are a few operations in float64.
EXACT = 1e-12


def close(found: float, wanted: float, within: float = EXACT) -> bool:
    return abs(found / wanted - 1) <= within


def test_prescription_by_hand():
    # (8) at m = 32, d = 64, kappa = 3, L = 4, gamma = 1/2, sigma_max = 1: eta = 32 / 4, and
    # lambda = (1/2) (1/9) sqrt(1/2).
    assert theory.prescribed_learning_rate(32, 4, 1.0) == 8.0
    assert close(theory.prescribed_learning_rate(32, 4, 2.0), float(Fraction(32, 16)))
    decay = theory.prescribed_weight_decay(0.5, 32, 64, 1 / 3)
    assert close(decay, sqrt(0.5) / 18)
    # (9b) as it stands: T = (2 L kappa^2 log(d_w) / gamma) sqrt(d / m).
    steps = theory.prescribed_steps(32, 1000, 8.0, decay)
    assert close(steps, 2 * 4 * 9 * log(1000) / 0.5 * sqrt(2))


def test_phases_by_hand():
    # (9a) with gamma = 1/4, L = 5, ||X|| = 3.
    assert close(theory.phase_one_level(0.25, 5, 3.0), 12.0)
    # With (8) the factor is 1 - 1 / (32 kappa^2).
    assert close(theory.phase_one_factor(32 / 4, 32, 4, 1 / 3), float(1 - Fraction(1, 32 * 9)))
    # Corollary A.18 at eta = 2, m = 16, L = 3, sigma_min = 1, lambda = 3 / (35 e^2).
    assert close(theory.phase_one_steps(2.0, 3 / 35 / np.e**2, 16, 3, 1.0), 512 / 6 * 2)
    assert theory.phase_one_steps(2.0, 1.0, 16, 3, 1.0) == 0.0
    # Lemma A.26 with lambda = 1e-3, d / m = 4, sigma_min = 1/2, ||X|| = 5.
    assert close(theory.phase_two_level(1e-3, 8, 32, 0.5, 5.0), 80e-3 * 5 * 2 * 4)


def test_phase_one_bound_is_the_recursion():
    eta, decay, m, d, depth, smallest, norm = 0.7, 0.02, 6, 24, 3, 0.5, 1.7
    value, wanted = 2.5, []
    for _ in range(200):
        wanted.append(value)
        shrink = 1 - eta * depth * smallest**2 / (16 * m)
        value = shrink * value + 5 * eta * decay / (2 * m) * sqrt(d / m) * norm
    found = theory.phase_one_bound(np.arange(200), 2.5, eta, decay, m, d, depth, smallest, norm)
    assert np.max(np.abs(found / wanted - 1)) <= 1e-10


def test_off_subspace_by_hand():
    found = theory.off_subspace_bound([0, 1, 3], 2.0, 0.5, 4, 10.0)
    assert np.allclose(found, [20.0, 20 * 0.75, 20 * 0.75**3], rtol=EXACT)
    assert close(theory.off_subspace_level(100.0), 1e-3)


def test_required_widths_by_hand():
    # sr = 4 at kappa = 1; d = 64, L = 3: 64 * 4 * 9, and 27 * 64 * 4 * log(1e3)^2.
    assert theory.stable_rank([1.0] * 4) == 4.0
    assert close(theory.stable_rank([2.0, 1.0]), 5 / 4)
    assert close(theory.width_of_lemma_a14(64, 4.0, 3, 1.0), 2304.0)
    assert close(theory.width_of_lemma_a14(64, 4.0, 3, 2.0), 2304.0 * 16)
    assert close(theory.width_of_equation_70(64, 4.0, 3, 1.0, 1e3), 27 * 256 * log(1e3) ** 2)


def test_wide_networks_begin_where_it_says():
    m, d, s, width, draws = 40, 80, 5, 600, 40
    rng = np.random.default_rng(1)
    errors, offs, firsts = [], [], []
    for _ in range(draws):
        basis = np.linalg.qr(rng.normal(size=(d, s)))[0]
        operator = rng.normal(size=(m, d)) / sqrt(m)
        first = rng.normal(size=(width, m)) / sqrt(m)
        whole = rng.normal(size=(d, width)) / sqrt(width) @ first
        left, _, _ = np.linalg.svd(operator @ basis)
        errors.append(np.linalg.norm(whole @ operator @ basis - basis) / sqrt(s))
        offs.append(np.linalg.norm(whole @ left[:, s:], 2))
        firsts.append(np.linalg.norm(first @ left[:, s:], 2))
    # Means over the draws scatter by 1 % here, finite width adds some.
    assert close(theory.wide_regression_error(m, d), np.sqrt(np.mean(np.square(errors))), 0.05)
    assert close(theory.wide_off_subspace_error(m, d, s), float(np.mean(offs)), 0.1)
    assert close(theory.first_layer_off_range(m, s, width), float(np.mean(firsts)), 0.05)


def test_signal_values_are_those_of_the_problem():
    assert theory.signal_values(4.0, 3).tolist() == [1.0, 0.625, 0.25]
    assert theory.signal_values(1.0, 2).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("power", [1.0, 2 / 3, 0.4])
def test_inverse_moments_are_means_over_draws(power: float):
    m, s = 20, 4
    rng = np.random.default_rng(5)
    found = []
    for _ in range(4000):
        b = rng.normal(size=(m, s)) / sqrt(m)
        found.append(np.sum(np.linalg.eigvalsh(b.T @ b) ** -power) / s)
    # Twice the standard error of the two means together is below half a percent.
    assert close(theory.inverse_moment(m, s, power), float(np.mean(found)), 0.01)


def minimum(depth: int, decay: float, fit: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Train all layers from the balanced factors of X Y^+ until nothing moves; return WY - X."""
    left, values, right = np.linalg.svd(x @ np.linalg.pinv(y), full_matrices=False)
    rank = np.linalg.matrix_rank(y)
    root = np.diag(values[:rank] ** (1 / depth))
    weights = [root @ right[:rank], *[root] * (depth - 2), left[:, :rank] @ root]
    for _ in range(20_000):
        active = [y]
        for weight in weights:
            active.append(weight @ active[-1])
        signal, moved = fit * (active[-1] - x), 0.0
        for i in reversed(range(depth)):
            gradient = signal @ active[i].T + decay * weights[i]
            signal = weights[i].T @ signal
            weights[i] = weights[i] - 0.05 * gradient
            moved = max(moved, float(np.max(np.abs(gradient))))
        # What is left to go is this over the smallest curvature, some 0.01; the distance sought
        # is 1e-4.
        if moved < 1e-10:
            return active[-1] - x
    raise AssertionError("it still moves")


@pytest.mark.parametrize(("depth", "kappa", "fit"), [(2, 1.0, 1.0), (3, 2.5, 0.5), (5, 1.0, 1.0)])
def test_the_plateau_is_the_global_minimum(depth: int, kappa: float, fit: float):
    m, d, s, decay = 12, 20, 3, 1e-4
    rng = np.random.default_rng(depth)
    found, wanted = [], []
    for _ in range(3):
        basis = np.linalg.qr(rng.normal(size=(d, s)))[0]
        turned = np.linalg.qr(rng.normal(size=(s, s)))[0]
        z = turned * np.linspace(1, 1 / kappa, s)
        b = rng.normal(size=(m, d)) / sqrt(m) @ basis
        found.append(np.linalg.norm(minimum(depth, decay, fit, basis @ z, b @ z)))
        # The formula for these data: (lambda / c) ||(B^T B)^{-1/L} (Z^+)^T||.
        values, vectors = np.linalg.eigh(b.T @ b)
        power = vectors * values ** (-1 / depth) @ vectors.T
        wanted.append(decay / fit * np.linalg.norm(power @ np.linalg.pinv(z).T))
    # First order in lambda: the next one is some lambda / (c sigma_min^4) smaller.
    assert np.allclose(found, wanted, rtol=0.01)
    # Its mean square over data is what `plateau` gives.
    squares = []
    for _ in range(3000):
        turned = np.linalg.qr(rng.normal(size=(s, s)))[0]
        z = turned * np.linspace(1, 1 / kappa, s)
        b = rng.normal(size=(m, s)) / sqrt(m)
        values, vectors = np.linalg.eigh(b.T @ b)
        power = vectors * values ** (-1 / depth) @ vectors.T
        squares.append(np.sum((power @ np.linalg.inv(z).T) ** 2) / np.sum(z**2))
    mean = decay / fit * sqrt(np.mean(squares))
    assert close(theory.plateau(decay, m, s, depth, kappa, fit), mean, 0.02)


def test_the_plateaus_of_the_papers_figures():
    # experiments.md: about 1.1 lambda / c at m = 32, s = 4, kappa = 1.
    assert 1.0 < theory.plateau(1.0, 32, 4, 5) < theory.plateau(1.0, 32, 4, 2) < 1.1
    assert close(theory.plateau(1.0, 32, 4, 2), sqrt(32 / 27))


def test_noise_lines():
    m, d, s, draws = 30, 50, 4, 400
    rng = np.random.default_rng(2)
    oracle, kept = [], []
    for _ in range(draws):
        basis = np.linalg.qr(rng.normal(size=(d, s)))[0]
        b = rng.normal(size=(m, d)) @ basis / sqrt(m)
        solution = basis @ np.linalg.pinv(b)
        whole = rng.normal(size=(d, m)) / sqrt(m)
        whole = whole @ (np.eye(m) - b @ np.linalg.pinv(b)) + solution
        oracle.append(np.linalg.norm(solution) ** 2)
        kept.append(np.linalg.norm(whole) ** 2)
    assert close(theory.oracle_noise(0.1, m, s), 0.1 * sqrt(np.mean(oracle)), 0.02)
    assert close(theory.noise_without_decay(0.1, m, d, s), 0.1 * sqrt(np.mean(kept)), 0.02)
    # Figure 1 of the paper: d = 200, m = 100, s = 5.
    assert round(theory.oracle_noise(1.0, 100, 5), 2) == 2.31
    assert abs(theory.noise_without_decay(1.0, 100, 200, 5) - 13.96) < 0.02
    with pytest.raises(ValueError, match="finite for m > s \\+ 1 only"):
        theory.oracle_noise(1.0, 5, 4)


@pytest.mark.parametrize(("m", "s", "power"), [(9, 8, 1.0), (11, 8, 2.0), (8, 8, 0.5)])
def test_inverse_moments_without_a_mean_are_infinite(m: int, s: int, power: float):
    """The least eigenvalue has a density like its power (m - s - 1) / 2 near 0."""
    assert theory.inverse_moment(m, s, power) == np.inf
    assert np.isfinite(theory.inverse_moment(m + 1, s, power))
    assert theory.plateau(1e-3, m, s, round(2 / power)) == np.inf
