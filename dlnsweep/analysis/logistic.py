"""Where a probability of success is one half, by logistic regression. NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

# The standard deviation of the prior of b times the mean distance of neighbouring ln x: where
# all runs fail up to one value and all succeed from the next, the likelihood alone has no maximum.
_PRIOR = 5.0
_NEWTON_STEPS = 60


def logistic_half(x: Numbers, wins: Numbers, tries: Numbers, *, falling: bool = False) -> Numbers:
    """Return e to the power of where the fitted probability of success is one half.

    Maximises sum_j [k_j ln p_j + (n_j - k_j) ln(1 - p_j)] - (b h)^2 / (2 * 5^2) over c and b,
    ln(p / (1 - p)) = b (x - c), with h the mean distance of neighbouring x.

    Args:
        x: ln of the setting's values, ascending, (values,).
        wins: k, how many succeed at each value, (samples, values).
        tries: n, of how many, (samples, values).
        falling: Whether success is known to be rarer at larger values.

    Returns:
        One number a sample; 0 where it lies below the values or all runs succeed, infinity where
        it lies above or none does; if falling, the other way round of all and none.
    """
    # Centred and scaled, both parameters are of order one: z = (x - mean) / h.
    spacing = (x[-1] - x[0]) / max(len(x) - 1, 1) or 1.0
    z = (x - x.mean()) / spacing
    level, slope = np.zeros(len(wins)), np.zeros(len(wins))

    def objective(level: Numbers, slope: Numbers) -> Numbers:
        logit = level[:, None] + slope[:, None] * z
        fit = wins * logit - tries * np.logaddexp(0.0, logit)
        return fit.sum(axis=1) - (slope**2 + level**2 / 1e4) / (2 * _PRIOR**2)

    value = objective(level, slope)
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-(level[:, None] + slope[:, None] * z)))
        wrong, weight = wins - tries * p, tries * p * (1 - p)
        # The faint pull on the level gives a finite answer where all or none succeed.
        gradient = np.stack(
            [
                wrong.sum(axis=1) - level / (1e4 * _PRIOR**2),
                wrong @ z - slope / _PRIOR**2,
            ]
        )
        a = weight.sum(axis=1) + 1 / (1e4 * _PRIOR**2)
        b, d = weight @ z, weight @ z**2 + 1 / _PRIOR**2
        det = a * d - b * b
        step = (
            np.stack([d * gradient[0] - b * gradient[1], a * gradient[1] - b * gradient[0]]) / det
        )
        # Concave, but a full step may overshoot: halve it until the objective does not fall.
        size = np.ones(len(level))
        for _ in range(30):
            new = objective(level + size * step[0], slope + size * step[1])
            worse = new < value - 1e-12 * np.abs(value)
            if not worse.any():
                break
            size = np.where(worse, size / 2, size)
        level, slope = level + size * step[0], slope + size * step[1]
        value = objective(level, slope)
        if np.max(np.abs(size * step)) < 1e-10:
            break
    with np.errstate(divide="ignore", invalid="ignore"):
        half = x.mean() - level / slope * spacing
        share = wins.sum(axis=1) / tries.sum(axis=1)
    side = -np.inf if falling else np.inf
    half = np.select([share == 0, share == 1, np.isnan(half)], [side, -side, x.mean()], half)
    return np.exp(np.where(half < x[0], -np.inf, np.where(half > x[-1], np.inf, half)))


def fit_power_law(x: Numbers, y: Numbers) -> tuple[float, float]:
    """Return a and e of ln y = a + e ln x by least squares.

    Args:
        x: Positive numbers, at least two different ones.
        y: As many positive numbers.
    """
    exponent, level = np.polyfit(np.log(x), np.log(y), 1)
    return float(level), float(exponent)
