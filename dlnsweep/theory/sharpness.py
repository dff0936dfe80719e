"""How sharp a minimum may be for steps to stay there, and how flat one can be, in float64."""

from __future__ import annotations


def stability_threshold(
    learning_rate: float, momentum: float = 0.0, *, nesterov: bool = False
) -> float:
    """Return (2 + 2 beta)/eta; Nesterov's (2 + 2 beta)/((1 + 2 beta) eta).

    Full-batch steps on the quadratic (h/2) x^2 converge for h below this and diverge above. With
    v <- beta v + h x, x <- x - eta v (gradient descent for beta = 0) the step's eigenvalues are
    the roots of z^2 - (1 + beta - eta h) z + beta; with Nesterov's x <- x - eta (h x + beta v), v
    being the new one, those of z^2 - (1 + beta)(1 - eta h) z + beta (1 - eta h). As h grows from 0
    they leave the unit disc at z = -1: where eta h = 2 + 2 beta, (2 + 2 beta)/(1 + 2 beta).

    Args:
        learning_rate: eta.
        momentum: beta, of 0 <= beta < 1.
        nesterov: Whether the gradient is taken ahead.

    References:
        Cohen, Kaur, Li, Kolter and Talwalkar 2021, arXiv:2103.00065.
    """
    ahead = 1 + 2 * momentum if nesterov else 1.0
    return (2 + 2 * momentum) / (ahead * learning_rate)


def least_sharpness(depth: int, largest: float) -> float:
    """Return L s^(2 - 2/L), s = sigma_1(X): no minimiser of (1/2) ||W_L ... W_1 - X||^2 is flatter.

    Derived. At a minimiser the residual vanishes, so the Hessian is J^T J, with the nonzero
    eigenvalues of J J^T = sum_k (A_k A_k^T) kron (B_k^T B_k), A_k = W_L ... W_{k+1},
    B_k = W_{k-1} ... W_1. With u, v the top singular vectors of X, p_k = ||A_k^T u|| and
    q_k = ||B_k v||,

        (u kron v)^T J J^T (u kron v) = sum_k p_k^2 q_k^2,

    and s = u^T A_{k-1} B_k v <= p_{k-1} q_k. So the sum is at least s^2 sum_k p_k^2 / p_{k-1}^2,
    and by the inequality of the means, with p_0 = ||X^T u|| = s and p_L = 1, at least
    s^2 L s^(-2/L). Balanced layers reach it: the eigenvalues of J J^T are then
    sum_k s_i^(2 (L - k)/L) s_j^(2 (k - 1)/L), the largest of them L s^(2 - 2/L).

    Args:
        depth: L.
        largest: s > 0.

    References:
        Marion and Chizat 2024, arXiv:2405.13456, for one output and any inputs.
    """
    return depth * largest ** (2 - 2 / depth)


def flattest_minimiser(depth: int, largest: float, weight_decay: float) -> float:
    """Return the largest eigenvalue of the Hessian at the flattest minimiser, decay included.

    Of F = (1/2) ||W_L ... W_1 - X||^2 + (lambda/2) sum ||W_l||^2. Derived. One layer: F is
    quadratic with the Hessian (1 + lambda) I at every point, so that steps of gradient descent
    multiply what is left by 1 - eta (1 + lambda) and diverge from eta = 2/(1 + lambda) on. Several
    layers without decay: `least_sharpness`; from eta = 2 over it on, steps leave every minimiser
    (but for starts of measure zero), whether they diverge or wander.

    Args:
        depth: L.
        largest: sigma_1(X) > 0.
        weight_decay: lambda >= 0.

    Returns:
        The eigenvalue; NaN for several layers with decay, for which it is not derived.
    """
    if depth == 1:
        return 1 + weight_decay
    return least_sharpness(depth, largest) if weight_decay == 0 else float("nan")
