"""The papers' formulas, in float64 and NumPy, each with its source and equation number.

Numbers in brackets are those of arXiv:2502.15522 (Laus, Parkinson, Charisopoulos, Krahmer,
Willett). Its theorem is about gradient descent on (1/2) ||W_{L:1} Y - X||_F^2 +
(lambda/2) sum ||W_i||_F^2 in normalised weights, which is the step rule "fan_in" here, with entries
of W_i of variance 1 / fan_in; its proof is in `proof.py`. What is marked *derived* is not in
the paper. Symbols: d signal dimension, m measurements, s dimension of the subspace, L depth, d_w
width, eta learning rate, lambda weight decay, c scale of the data fit.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]

# Draws behind `inverse_moment`: a few tenths of a percent at the sizes of the paper's figures.
_MOMENT_DRAWS = 4000
_MOMENT_SEED = 20250222


def prescribed_learning_rate(m: int, depth: int, largest: float) -> float:
    """Return eta = m / (L sigma_max(X)^2), equation (8); for the step rule "fan_in".

    Args:
        m: Number of measurements.
        depth: L.
        largest: sigma_max(X).
    """
    return m / (depth * largest**2)


def prescribed_weight_decay(gamma: float, m: int, d: int, smallest: float) -> float:
    """Return lambda = gamma sigma_min(X)^2 sqrt(m / d), equation (8).

    Args:
        gamma: In (0, 1].
        m: Number of measurements.
        d: Dimension of the signals.
        smallest: The smallest positive singular value of X.
    """
    return gamma * smallest**2 * np.sqrt(m / d)


def prescribed_steps(m: int, width: float, learning_rate: float, weight_decay: float) -> float:
    """Return T = 2 m log(d_w) / (eta lambda), equations (9b) and (30b), not rounded."""
    return 2 * m * np.log(width) / (learning_rate * weight_decay)


def phase_one_level(gamma: float, depth: int, norm: float) -> float:
    """Return 80 gamma ||X||_F / L: tau is the first step with ||Phi||_F below it, (9a)."""
    return 80 * gamma * norm / depth


def phase_one_factor(learning_rate: float, m: int, depth: int, smallest: float) -> float:
    """Return 1 - eta L sigma_min(X)^2 / (32 m): by it ||Phi||_F falls a step before tau."""
    return 1 - learning_rate * depth * smallest**2 / (32 * m)


def phase_one_bound(
    steps: ArrayLike,
    start: float,
    learning_rate: float,
    weight_decay: float,
    m: int,
    d: int,
    depth: int,
    smallest: float,
    norm: float,
) -> Numbers:
    """Return what (59a), applied step after step, leaves of ||Phi||_F.

    ||Phi(t+1)|| <= (1 - eta L sigma_min^2 / (16 m)) ||Phi(t)||
                    + (5 eta lambda / (2 m)) sqrt(d/m) ||X||

    Args:
        steps: The steps t.
        start: ||Phi(0)||_F.
        learning_rate: eta.
        weight_decay: lambda.
        m: Number of measurements.
        d: Dimension of the signals.
        depth: L.
        smallest: sigma_min(X).
        norm: ||X||_F.
    """
    factor = 1 - learning_rate * depth * smallest**2 / (16 * m)
    added = 5 * learning_rate * weight_decay / (2 * m) * np.sqrt(d / m) * norm
    level = added / (1 - factor)
    return level + factor ** np.asarray(steps, dtype=float) * (start - level)


def phase_one_steps(
    learning_rate: float, weight_decay: float, m: int, depth: int, smallest: float
) -> float:
    """Return 32 m / (eta L sigma_min^2) log(L sigma_min^2 / (35 lambda)): tau is below it.

    Corollary A.18.

    Returns:
        The bound; 0 where the logarithm is negative and the corollary says nothing.
    """
    scale = depth * smallest**2
    return max(0.0, 32 * m / (learning_rate * scale) * np.log(scale / (35 * weight_decay)))


def phase_two_level(weight_decay: float, m: int, d: int, smallest: float, norm: float) -> float:
    """Return 80 lambda ||X||_F sqrt(d/m) / sigma_min^2, which bounds ||Phi||_F, Lemma A.26.

    It holds for tau <= t <= T.
    """
    return 80 * weight_decay * norm * np.sqrt(d / m) / smallest**2


def off_subspace_bound(
    steps: ArrayLike, learning_rate: float, weight_decay: float, m: int, first: float
) -> Numbers:
    """Return 2 (1 - eta lambda / m)^t ||W_1(0) P_perp||_op, inequality (74).

    Args:
        steps: The steps t.
        learning_rate: eta.
        weight_decay: lambda.
        m: Number of measurements.
        first: ||W_1(0) P_perp||_op with entries of W_1 of variance 1 / m; the paper's weights, of
            variance 1, are divided by sqrt(m).
    """
    return 2 * (1 - learning_rate * weight_decay / m) ** np.asarray(steps, dtype=float) * first


def off_subspace_level(width: float) -> float:
    """Return d_w^{-3/2}: the off-subspace error is below it at step T, (75)."""
    return float(width) ** -1.5


def width_of_lemma_a14(d: int, stable_rank: float, depth: int, condition_number: float) -> float:
    """Return d sr(X) L^2 kappa^4, the order that Lemma A.14 asks of d_w; constants left out."""
    return d * stable_rank * depth**2 * condition_number**4


def width_of_equation_70(
    d: int, stable_rank: float, depth: int, condition_number: float, width: float
) -> float:
    """Return L^3 kappa^4 d sr(X) log(d_w)^2, the order that (70) asks; constants left out."""
    return depth**3 * condition_number**4 * d * stable_rank * np.log(width) ** 2


def wide_regression_error(m: int, d: int) -> float:
    """Return sqrt(1 + d/m), the relative regression error of wide networks at step 0; derived."""
    return np.sqrt(1 + d / m)


def wide_off_subspace_error(m: int, d: int, s: int) -> float:
    """Return (sqrt(d) + sqrt(m - s)) / sqrt(m), the off-subspace error at step 0 if wide; derived.

    W_{L:1}(0) of a wide network is Gaussian with entries of variance 1 / m; this is about the
    largest singular value of d x (m - s) of them.
    """
    return (np.sqrt(d) + np.sqrt(m - s)) / np.sqrt(m)


def first_layer_off_range(m: int, s: int, width: float) -> float:
    """Return about ||W_1(0) P_perp||_op, (sqrt(d_w) + sqrt(m - s)) / sqrt(m), as above; derived."""
    return (np.sqrt(width) + np.sqrt(m - s)) / np.sqrt(m)


def signal_values(condition_number: float, rank: int) -> Numbers:
    """Return the singular values of X: `rank` numbers equally spaced from 1 to 1 / kappa."""
    return np.linspace(1.0, 1.0 / condition_number, rank)


def stable_rank(values: ArrayLike) -> float:
    """Return sr(X) = ||X||_F^2 / sigma_max(X)^2 from the singular values."""
    values = np.asarray(values, dtype=float)
    return float(np.sum(values**2) / np.max(values) ** 2)


@lru_cache(maxsize=256)
def inverse_moment(m: int, s: int, power: float) -> float:
    """Return E tr((B^T B)^{-power}) / s of a Gaussian B (m, s), entries of variance 1 / m; derived.

    B stands for A R, the operator on the subspace. Near 0 the least eigenvalue of B^T B has a
    density like its power (m - s - 1) / 2, so that the mean is infinite for 2 power >= m - s + 1.
    Exact for power 1, m / (m - s - 1); otherwise the mean over 4000 draws with a fixed seed.
    """
    if 2 * power >= m - s + 1:
        return float("inf")
    if power == 1:
        return m / (m - s - 1)
    rng = np.random.default_rng(_MOMENT_SEED)
    draws = rng.normal(size=(_MOMENT_DRAWS, m, s)) / np.sqrt(m)
    values = np.linalg.svd(draws, compute_uv=False)
    return float(np.mean(values ** (-2 * power)))


def plateau(
    weight_decay: float,
    m: int,
    s: int,
    depth: int,
    condition_number: float = 1.0,
    data_fit_scale: float = 1.0,
) -> float:
    """Return the relative regression error at the global minimum to first order in lambda; derived.

    Every layer of a minimiser has the singular values sigma^{1/L} of the end-to-end matrix, so it
    minimises (c/2) ||W Y - X||_F^2 + (lambda L / 2) sum sigma^{2/L}. With W = P Sigma Q^T near
    X Y^+ its gradient vanishes where

        Phi = -(lambda / c) P Sigma^{2/L - 1} Q^T (Y^+)^T = -(lambda / c) R (B^T B)^{-1/L} (Z^+)^T

    for X = R Z, B = A R. Over random Z with the singular values sigma_k, and over B,

        (||Phi|| / ||X||)^2
            = (lambda / c)^2 E[tr (B^T B)^{-2/L} / s] (sum_k sigma_k^{-2}) / (sum_k sigma_k^2).

    Whatever the step rule: all layers are stationary there. It is infinite where that mean is, for
    m <= s - 1 + 4 / L, and about layers at least as wide as s.

    Args:
        weight_decay: lambda.
        m: Number of measurements.
        s: Dimension of the subspace; the data have at least as many samples.
        depth: L.
        condition_number: kappa.
        data_fit_scale: c.
    """
    values = signal_values(condition_number, s)
    spread = np.sum(values**-2.0) / np.sum(values**2)
    moment = inverse_moment(m, s, 2 / depth)
    return weight_decay / data_fit_scale * float(np.sqrt(moment * spread))


def oracle_noise(noise: float, m: int, s: int) -> float:
    """Return sigma sqrt(s m / (m - s - 1)): what X Y^+ makes of noise; derived.

    The root of E ||X Y^+ e||^2 = sigma^2 E tr((R^T A^T A R)^{-1}), for m > s + 1.

    Raises:
        ValueError: If m <= s + 1, where the mean is infinite.
    """
    if m <= s + 1:
        raise ValueError(f"m is {m} and s is {s}; the mean is finite for m > s + 1 only.")
    return noise * float(np.sqrt(s * m / (m - s - 1)))


def noise_without_decay(noise: float, m: int, d: int, s: int) -> float:
    """Return sigma sqrt(s m / (m - s - 1) + d (m - s) / m); derived.

    Without weight decay the end-to-end matrix keeps its values off range(Y), those of a Gaussian
    matrix with entries of variance 1 / m (a wide network, Corollary 2.6).
    """
    return float(np.hypot(oracle_noise(noise, m, s), noise * np.sqrt(d * (m - s) / m)))


def deficiency_decay(
    steps: np.ndarray, learning_rate: float, margin: float, depth: int
) -> np.ndarray:
    """Return exp(-2 alpha delta^(2 - 2/L) eta t), which the loss stays below, for alpha = 1.

    For gradient flow on balanced layers from a product with deficiency margin delta.

    Args:
        steps: t.
        learning_rate: eta, times the strong convexity alpha of the loss.
        margin: delta > 0.
        depth: L.

    References:
        Cohen and Razin 2024, arXiv:2408.13767, Theorem 2.
    """
    rate = 2 * margin ** (2 - 2 / depth) * learning_rate
    return np.exp(-rate * np.asarray(steps, dtype=float))


def speed_exponent(depth: int) -> float:
    """Return 2 - 2/L, the power of sigma_r with which balanced layers move it.

    References:
        Cohen and Razin 2024, arXiv:2408.13767, Theorem 3.
    """
    return 2 - 2 / depth


# phi' of the activations of network.kind = "deep_prior".
_SLOPES = {
    "sigmoid": lambda g: 0.25 / np.cosh(g / 2) ** 2,
    "tanh": lambda g: 1 / np.cosh(g) ** 2,
    "softplus": lambda g: 0.5 + 0.5 * np.tanh(g / 2),
    "arctan": lambda g: 1 / (1 + g**2),
}
# Nodes of a trapezoidal rule on [-12, 12], which a Gaussian leaves with a probability of 4e-33; the
# rule's error falls exponentially with their number, and is rounding here.
_NODES = 2001


def jacobian_limit(activation: str) -> float:
    """Return sqrt(E phi'(g)^2), g standard normal: sigma_min(J(0)) as the width grows; derived.

    Rows of V phi(W u) / sqrt(k) move with z = W u by V diag(phi'(z)) / sqrt(k), where V has
    independent entries of variance 1 and z ~ N(0, I_k). By the law of large numbers J J^T tends to
    E phi'(g)^2 I (arXiv:2403.05395).

    Args:
        activation: phi.
    """
    g = np.linspace(-12.0, 12.0, _NODES)
    weights = np.exp(-(g**2) / 2) * (g[1] - g[0]) / np.sqrt(2 * np.pi)
    return float(np.sqrt(np.sum(weights * _SLOPES[activation](g) ** 2)))
