"""Two layers on a matrix that has a higher rank than they have: where they end, and when."""

from __future__ import annotations

from math import log, log1p, sqrt

import numpy as np
from numpy.typing import ArrayLike


def least_loss(values: ArrayLike, rank: int) -> float:
    """Return (1/2) sum_{i > r} s_i^2: no matrix of rank r has a smaller (1/2) ||W - X||^2.

    Args:
        values: Singular values s_i of X, in any order.
        rank: r >= 0, the least width of the layers.

    References:
        Eckart and Young 1936, The approximation of one matrix by another of lower rank.
    """
    left_out = np.sort(np.asarray(values, dtype=float))[::-1][rank:]
    return 0.5 * float(np.sum(left_out**2))


def learning_steps(value: float, start: float, learning_rate: float, share: float = 0.5) -> float:
    """Return the steps that b a, from b = 0 and a^2 = g, takes to reach a share of s.

    Derived. Gradient flow on (1/2) (b a - s)^2 conserves a^2 - b^2 = g, so that p = b a moves by

        dp/dt = (a^2 + b^2) (s - p) = sqrt(g^2 + 4 p^2) (s - p),

    which 2 p = g sinh(ln v) makes dv/dt = (g/2) (v_+ - v) (v - v_-), v_+- = (2 s +- w) / g,
    w = sqrt(g^2 + 4 s^2), so

        t = (1/w) ln[(v - v_-) (v_+ - 1) / ((v_+ - v) (1 - v_-))].

    Of t nearly all passes while b and a are small. A step of gradient descent then multiplies
    a + b by 1 + eta s where the flow has exp(eta s): t s / ln(1 + eta s) steps, in which what is
    left out is a number of steps that does not grow as g falls.

    Args:
        value: s > 0.
        start: g > 0.
        learning_rate: eta > 0.
        share: p / s at the end, in [0, 1).
    """
    root = sqrt(start**2 + 4 * value**2)
    high, low = (2 * value + root) / start, (2 * value - root) / start
    p = share * value
    reached = (2 * p + sqrt(start**2 + 4 * p**2)) / start
    time = log((reached - low) / (1 - low) * (high - 1) / (high - reached)) / root
    return time * value / log1p(learning_rate * value)


def starts(first_layer: ArrayLike, directions: ArrayLike) -> np.ndarray:
    """Return the g of `learning_steps` for each direction of X that a network of rank r learns.

    Derived. From W_2 = 0 and a small first layer A (r, m) the product is to first order in it

        U sinh(S t) V^T A^T A V cosh(S t) V^T,    X = U S V^T,

    of rank r. The largest singular value is learned first; what A still has for the second is what
    of A v_2 is orthogonal to A v_1, and so on: g_i = R_ii^2 of A V = Q R. That holds where the
    layers are small enough for one direction to be learned before the next begins to compete.

    Args:
        first_layer: A (r, m).
        directions: V (m, k), its columns in the order of falling singular values.

    Returns:
        min(r, k) numbers.
    """
    product = np.asarray(first_layer, dtype=float) @ np.asarray(directions, dtype=float)
    return np.diag(np.linalg.qr(product, mode="r")) ** 2


def slowest(first_layer: ArrayLike, last_layer: ArrayLike, values: ArrayLike) -> float:
    """Return the least curvature of (1/2) ||B A - X||^2 off a minimiser of rank r.

    Derived. With X = diag(s), rows of B and columns of A beyond r, which are 0 at the minimiser,
    enter to second order as, for each j > r,

        (1/2) (b, a) [[A A^T, -s_j], [-s_j, B^T B]] (b, a)^T;

    s_{r+1} (0 if there is none) has the lowest eigenvalue h. It is s_r - s_{r+1} where the layers
    are balanced, and ((g^2 + 4 s_1^2)^(1/2) - (g^2 + 4 s_2^2)^(1/2)) / 2 for r = 1 and
    A A^T - B^T B = g, which is smaller. Of the loss above its least value is left what falls by
    (1 - eta h)^(2 t).

    Args:
        first_layer: A (r, m) at the minimiser.
        last_layer: B (d, r).
        values: Singular values of X, in any order.
    """
    a, b = np.asarray(first_layer, dtype=float), np.asarray(last_layer, dtype=float)
    rank = len(a)
    left_out = np.sort(np.asarray(values, dtype=float))[::-1][rank:]
    coupling = -(left_out[0] if len(left_out) else 0.0) * np.eye(rank)
    curvature = np.block([[a @ a.T, coupling], [coupling, b.T @ b]])
    return float(np.linalg.eigvalsh(curvature)[0])
