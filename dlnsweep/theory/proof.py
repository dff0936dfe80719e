"""Appendix A of arXiv:2502.15522 as it stands there: conditions, events, lemmas, constants.

Numbers in brackets are the paper's. Its proof has weights of variance 1; here, as in `formulas.py`,
entries of W_i have variance 1 / fan_in_i, so the powers of d_w beside its bounds are gone, and
sqrt(m / d_w) ||W_{i:1} Y|| is what it bounds in W_{i:1} Y. Constants that the paper does not give
are not invented: where it writes "less than up to a constant", the function returns the order
alone and its name ends in `_order`.

The paper slips here and there. What matters to the formulas below:

- (40) needs eta <= 1 / lambda_max(P), which Lemma A.16 gives for eta <= m / (3 L sigma_max^2) only;
  (29) allows three times that.
- Lemma A.26 says lambda_max(P) <= 2 L sigma_max^2 / m; its proof gives (9/7)^4 = 2.73 for the 2.
- (59b) bounds sigma_min(W_{L:i}) for 1 <= i < L; with i = 1 that cannot be (W_{L:1} has m columns
  and d > m rows), and Lemma A.10 has 1 < i <= L, as (69b) does.
- Lemma A.21 for i = 1 would need m / d_1 <= 1 / L, and that is 1.
- (78) has lost the factor ||y|| of (79), which (80) keeps.
- Lemma A.25 takes t - tau <= m log(d_w) / (eta lambda), half of what T of (30b) allows, and the
  third of its bounds has 3/4 in the place of the 5/4 of (72).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]

# delta of Theorem A.2: |sigma^2 - 1| for the singular values of A R, by (6).
ISOMETRY = 1 / 10
# Lemmas A.8 and A.10: where the gains lie at step 0.
EVENTS_AT_START = (4 / 5, 6 / 5)
# B(t) of Theorem A.12, (59b), up to tau, and of Theorem A.23, (69b), from tau to T. From below
# (69b) bounds W_{L:i} alone.
EVENTS_OF_THEOREM_A12 = (3 / 4, 5 / 4)
EVENTS_OF_THEOREM_A23 = (5 / 7, 9 / 7)
# C in C(t) of (59c): the 50 of Lemma A.19's proof, 32 (5/4)^2, and the 11/5 of Lemma A.11, which
# is left out there (derived).
DISPLACEMENT_CONSTANT = 50 * 11 / 5


def weight_decay_limit(depth: int, smallest: float) -> float:
    """Return L sigma_min(X)^2 / (400 * 35), which lambda must not exceed, (29)."""
    return depth * smallest**2 / (400 * 35)


def width_of_lemma_a25(m: int, depth: int, width: float) -> float:
    """Return 4 L m log(d_w) / log(63/61), which d_w must reach, proof of Lemma A.25."""
    return 4 * depth * m * np.log(width) / np.log(63 / 61)


def start_error_bounds(m: int, d: int) -> tuple[float, float]:
    """Return 6/5 sqrt(d/m) + 1 and 11/5 sqrt(d/m): bounds on ||Phi(0)||_F / ||X||_F, (57)."""
    root = np.sqrt(d / m)
    return 6 / 5 * root + 1, 11 / 5 * root


def start_output_bound(m: int, d: int) -> float:
    """Return 6/5 sqrt(d/m), which bounds ||U(0)||_F / ||X||_F, U = W_{L:1} Y, (57)."""
    return 6 / 5 * np.sqrt(d / m)


def output_bound(m: int, d: int) -> float:
    """Return 5/4 sqrt(d/m), which bounds ||U(t)||_F / ||X||_F up to T, proofs of A.17 and A.26."""
    return 5 / 4 * np.sqrt(d / m)


def kept_products(
    learning_rate: float, weight_decay: float, fan_ins: Sequence[float]
) -> tuple[Numbers, float]:
    """Return C_prod^(i) of each layer and C_prod, (24).

    Lemma A.15: C_prod^(i) >= 1/4. Lemma B.4, (88): 1 - C_prod is at most
    (L - 1) eta lambda / d_w + eta lambda / m <= 2 eta lambda / m.

    Args:
        learning_rate: eta.
        weight_decay: lambda.
        fan_ins: d_1, ..., d_L of (22): m, then d_w.
    """
    kept = 1 - learning_rate * weight_decay / np.asarray(fan_ins, dtype=float)
    others = [np.prod(np.delete(kept, i)) for i in range(len(kept))]
    return np.array(others, dtype=np.float64), float(np.prod(kept))


def kept_until_tau(depth: int) -> float:
    """Return 1 - 1 / (20 L): (1 - eta lambda / d_i)^t is above it up to tau, Lemma A.21."""
    return 1 - 1 / (20 * depth)


def spectrum_in_phase_one(
    m: int, depth: int, smallest: float, largest: float
) -> tuple[float, float]:
    """Return (9/32)^2 L sigma_min^2 / m and 3 L sigma_max^2 / m, Lemma A.16.

    Between them lie the eigenvalues of P(t), (38), while B(t) of (59b) holds.

    Args:
        m: Number of measurements.
        depth: L.
        smallest: sigma_min(X).
        largest: sigma_max(X).
    """
    return (9 / 32) ** 2 * depth * smallest**2 / m, 3 * depth * largest**2 / m


def spectrum_in_phase_two(
    m: int, depth: int, smallest: float, largest: float
) -> tuple[float, float]:
    """Return sigma_min^2 / (10 m) and 2 L sigma_max^2 / m, proof of Lemma A.26.

    The second does not follow from (69b): (9/7)^4 L sigma_max^2 / m does, which is larger.
    """
    return smallest**2 / (10 * m), 2 * depth * largest**2 / m


def higher_order_in_phase_one(learning_rate: float, m: int, depth: int, smallest: float) -> float:
    """Return 17 eta L sigma_min^2 / (1024 m), which bounds ||E(t)|| / ||Phi(t)||, (60)."""
    return 17 * learning_rate * depth * smallest**2 / (1024 * m)


def higher_order_in_phase_two(learning_rate: float, m: int, smallest: float) -> float:
    """Return 3 eta sigma_min^2 / (80 m), which does so from tau to T, proof of Lemma A.26."""
    return 3 * learning_rate * smallest**2 / (80 * m)


def displacement_order(d: int, stable_rank: float, depth: int, condition_number: float) -> float:
    """Return R = kappa^2 sqrt(d sr(X)) / L of C(t), (59c).

    Up to tau ||W_i(t) - (1 - eta lambda / d_i)^t W_i(0)||_op is below a constant times that, in
    the paper's weights: sqrt(d_i) times those here.
    """
    return condition_number**2 * np.sqrt(d * stable_rank) / depth


def late_displacement_order(
    d: int, stable_rank: float, condition_number: float, width: float
) -> float:
    """Return kappa^2 sqrt(d sr(X)) log(d_w), Delta_infinity of (69c) without its constant.

    From tau to T ||W_i(t) - (1 - eta lambda / d_i)^(t - tau) W_i(tau)||_F is below it.
    """
    return condition_number**2 * np.sqrt(d * stable_rank) * np.log(width)


def phase_one_steps_order(gamma: float, m: int, d: int) -> float:
    """Return log(sqrt(d/m) / gamma), the order of tau for L = 2 and kappa = 1, (17)."""
    return np.log(np.sqrt(d / m) / gamma)


def off_subspace_order(
    steps: ArrayLike, learning_rate: float, weight_decay: float, m: int, width: float
) -> Numbers:
    """Return (1 - eta lambda / m)^t sqrt(d_w / m), the order of the off-subspace error, (18), (75).

    (18) has eta = m / 2, which makes it (1 - lambda / 2)^t.
    """
    kept = 1 - learning_rate * weight_decay / m
    return kept ** np.asarray(steps, dtype=float) * float(np.sqrt(width / m))


def product_norm_mean(rows: Sequence[int]) -> float:
    """Return E ||A_q ... A_1 y||^2 / ||y||^2 = n_1 ... n_q, (82) of Lemma B.2.

    For independent standard Gaussian A_i with n_i rows. By (83) a relative deviation of 0.1 has a
    probability below c_1 exp(-c_2 / sum 1 / n_i), its constants unstated.
    """
    return float(np.prod(np.asarray(rows, dtype=float)))


def noisy_error_with_decay_order(
    noise: float, gamma: float, s: int, condition_number: float, stable_rank: float, width: float
) -> float:
    """Return gamma kappa sqrt(sr(X)) + d_w^(-3/2) + sigma sqrt(s), Corollary 2.6, (19) and (78).

    The order of the test error at T of a signal of norm about 1. The paper's exponent of d_w is
    an unstated C_2; 3/2 is that of (75).

    Args:
        noise: sigma.
        gamma: That of (8).
        s: Dimension of the subspace.
        condition_number: kappa.
        stable_rank: sr(X).
        width: d_w.
    """
    level = gamma * condition_number * np.sqrt(stable_rank)
    return level + float(width) ** -1.5 + noise * np.sqrt(s)


def noisy_error_without_decay_order(
    noise: float,
    m: int,
    d: int,
    s: int,
    fit: float = 0.0,
    condition_number: float = 1.0,
    stable_rank: float = 1.0,
    size: float = 1.0,
) -> float:
    """Return sigma (sqrt(d (m - s) / m) - sqrt(s)) - beta kappa sqrt(sr(X)) ||y||, (20).

    The order of what the test error is above without weight decay; it says nothing where it is not
    positive.

    Args:
        noise: sigma.
        m: Number of measurements.
        d: Dimension of the signals.
        s: Dimension of the subspace.
        fit: beta, the relative regression error.
        condition_number: kappa.
        stable_rank: sr(X).
        size: ||y||.
    """
    kept = noise * (np.sqrt(d * (m - s) / m) - np.sqrt(s))
    return kept - fit * condition_number * np.sqrt(stable_rank) * size
