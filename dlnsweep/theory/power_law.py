"""By which power the loss of one pass falls on features of a power-law spectrum (arXiv:2405.15074).

Data whose coordinate j has the deviation j^-alpha, the target j^-beta, m random features, linear
regression by steps of one fresh sample from theta = 0. With tau = eta t, Table 1 there has for
2 alpha > 1, where the sum of the spectrum does not grow with the size, up to factors

    F_pp ~ tau^-(1 + beta / alpha - 1 / (2 alpha))    what is left of the target
    K_pp ~ tau^-(2 - 1 / (2 alpha))                   the noise of the steps

of which the one that falls more slowly is seen: F_pp in its phases I and II, beta < alpha, and K_pp
in phase III. No theta is better than what m features leave of the target,

    F_0 ~ m^-(2 alpha - max(0, 1 - 2 beta)),

which both reach, factors left out, at tau = m^((2 alpha - max(0, 1 - 2 beta)) / e), e the exponent
above: there, at the latest, the power law has ended. It is m^(2 alpha) at most, where the spectrum
of the features ends.

A start theta of independent entries N(0, s^2 / m) adds s^2 / m to the squared coefficients
j^(-2 beta) of the target: of the directions j up to m that are nothing while
s^2 m^(2 beta - 1) << 1; else the loss falls more slowly (derived).
"""

from __future__ import annotations

from math import nan

# The part of a squared coefficient that is nothing beside it.
_NOTHING = 0.01


def power_law_exponent(data_exponent: float, target_exponent: float) -> float:
    """Return e of loss ~ (eta t)^-e, min(1 + beta / alpha, 2) - 1 / (2 alpha).

    NaN for 2 alpha <= 1, where learning rates must fall with the size.

    Args:
        data_exponent: alpha.
        target_exponent: beta, not negative.

    References:
        Paquette et al. 2024, arXiv:2405.15074, Table 1: F_pp and K_pp.
    """
    if 2 * data_exponent <= 1:
        return nan
    return min(1 + target_exponent / data_exponent, 2.0) - 1 / (2 * data_exponent)


def power_law_end(data_exponent: float, target_exponent: float, num_features: int) -> float:
    """Return the eta t at which a loss has come to F_0 by its power; NaN without a power.

    Args:
        data_exponent: alpha.
        target_exponent: beta, not negative.
        num_features: m.

    References:
        Paquette et al. 2024, arXiv:2405.15074, Table 1: F_0.
    """
    left = 2 * data_exponent - max(0.0, 1 - 2 * target_exponent)
    return num_features ** (left / power_law_exponent(data_exponent, target_exponent))


def is_small_start(scale: float, target_exponent: float, num_features: int) -> bool:
    """Return whether a start N(0, s^2 / m) is nothing beside the target; derived.

    Args:
        scale: s.
        target_exponent: beta.
        num_features: m.
    """
    return scale**2 * num_features ** (2 * target_exponent - 1) <= _NOTHING
