"""By how much two kernels' records of one run differ, beyond what rounding may make of them."""

from __future__ import annotations

import numpy as np

# A difference of numbers of size 1 is known no better than this in float64: each of them is
# rounded at 1.1e-16, and the roundings of many steps add up.
_ROUNDING = 1e-13
# What is left off the subspace by jumps is no better known: at each they add up velocities of
# whole matrices.
_JUMPS_ROUNDING = 1e-12
# The observables that are such differences, over the norm of what they differ from.
_DIFFERENCES = (
    "regression_error",
    "oracle_distance",
    "least_norm_distance",
    "test_error",
    "noisy_test_error",
    "noisy_test_errors",
)
# Those that are sums of squares of such.
_SQUARES = ("loss", "mean_squared_error")
# Those that are squares of differences of numbers of size 1.
_SQUARED_DIFFERENCES = ("layer_rotation", "kernel_distance")
# Near the smallest numbers float64 has fewer than its 53 bits.
_SMALLEST = 1e-290
# Half the distance of 1 and the next number: what one rounding makes.
_UNIT = np.finfo(np.float64).eps / 2


def deviations_of(
    name: str,
    found: np.ndarray,
    judged: np.ndarray,
    judge: str = "dense",
    known_to: np.ndarray | None = None,
    rounded: np.ndarray | float = 0,
) -> np.ndarray:
    """Return the relative deviation of an observable at each recorded step.

    |a - b| / |b| of a scalar, ||a - b|| / ||b|| of a vector, b being the judge's. What the judge
    itself cannot tell from rounding counts as none. The regression error is the norm of a
    difference of numbers of size 1, each rounded at 1.1e-16 over many steps: differences below
    1e-13 count as none, and so for the test errors and the distance to the oracle. For the norm of
    the gradient it is 1e-13 times the largest one of the run, or 1e-13 ||H theta|| with H the
    Hessian, which is what 1e-13 of each parameter makes of it: a run that begins near a saddle may
    have recorded small gradients alone. The loss is judged like the square that it is, as is 1 -
    cos, the square of such a difference. The generic way keeps whole
    matrices, in which what decays stands beside what does not: of all that it records 1e-13 times
    the largest value of the run is rounding, and of the off-subspace error 1e-13: it is a part of a
    matrix of size 1. That has been rounded anew in every step, each time by 1.1e-16 of it at most,
    of which weight decay forgets what is more than 1 / (eta lambda) steps ago. Of two walks by
    jumps it is 1e-12.

    Args:
        name: The observable.
        found: Its values by the kernel; (steps,) or (steps, length).
        judged: Those by the judge.
        judge: "dense", "generic" or "jumps".
        known_to: What one rounding of each parameter makes of it at each step, if that is known.
        rounded: How many steps the generic way has rounded at each recorded one and not forgotten.

    Returns:
        One number a step; infinite where only one of the kernels has a number, or only the one
        that is judged differs from 0.
    """
    a, b = (np.asarray(x, np.float64).reshape(len(x), -1) for x in (found, judged))
    # Where both have no number, such as the effective rank of a zero matrix, they agree.
    agree = np.all((a == b) | (np.isnan(a) & np.isnan(b)), axis=1)
    with np.errstate(all="ignore"):
        difference, size = np.linalg.norm(a - b, axis=1), np.linalg.norm(b, axis=1)
        agree |= difference <= _rounding(name, size, judge, rounded)
        if known_to is not None:
            agree |= difference <= _ROUNDING / _UNIT * known_to
        ratio = np.where(np.isfinite(difference), difference / size, np.inf)
    return np.where(agree, 0.0, ratio)


def _rounding(
    name: str, size: np.ndarray, judge: str, rounded: np.ndarray | float
) -> np.ndarray | float:
    """Return the difference up to which values of these sizes may be equal but for rounding."""
    if name in _DIFFERENCES:
        return _ROUNDING
    if name in _SQUARES:
        # Of x = sqrt(size) known to e = 1e-13 max x, the square is known to 2 x e + e^2.
        root = np.sqrt(size)
        error = _ROUNDING * np.max(root)
        return 2 * root * error + error**2
    if name in _SQUARED_DIFFERENCES:
        root, error = np.sqrt(size), _ROUNDING
        return 2 * root * error + error**2
    if name == "off_subspace_error" and judge != "dense":
        own = _JUMPS_ROUNDING if judge == "jumps" else _ROUNDING + _UNIT * np.asarray(rounded)
        return np.maximum(_ROUNDING * np.max(size), own)
    if name == "gradient_norm" or judge != "dense":
        return max(_ROUNDING * np.max(size), _SMALLEST)
    return _SMALLEST
