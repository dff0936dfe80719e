"""How far the least-norm interpolator is from the truth (derived).

Targets x_i = beta . y_i without noise, of n <= m inputs with independent entries N(0, 1), Y (m, n).
The least-norm solution is X Y^+ = beta P, P the projection onto range(Y). Turning all inputs leaves
their law as it is, so that range(Y) is a uniformly random subspace, whatever beta, of dimension n
with probability 1, and E P = (n / m) I. Hence

    E ||X Y^+ - beta||^2 / ||beta||^2 = E ||beta (I - P)||^2 / ||beta||^2 = 1 - n / m

and on fresh inputs of this law, whose covariance is I, the mean squared error over the mean squared
target is the same (its limit for n, m -> infinity: arXiv:1903.08560). Of k fresh inputs the ratio
of the two sums has a mean that is larger by a part below 2 / (k - 2).
"""

from __future__ import annotations

from math import nan, sqrt


def least_norm_error(num_samples: int, num_inputs: int) -> float:
    """Return sqrt(1 - n/m): the root mean square of ||X Y^+ - beta|| / ||beta||; derived.

    NaN for n > m, where samples without noise leave one solution.

    Args:
        num_samples: n.
        num_inputs: m.
    """
    return sqrt(1 - num_samples / num_inputs) if num_samples <= num_inputs else nan
