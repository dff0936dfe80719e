"""The solution of least l1 norm of linear equations, certified, and whether it is the only one.

    minimise ||beta||_1  subject to  beta . y_i = x_i  for all n samples

by linear programming (HiGHS). With Y (m, n) the samples as columns, any nu (n) certifies by itself

    x . nu / max(1, ||Y nu||_inf)  <=  least l1 norm  <=  ||beta||_1               (weak duality)

and if Y_j . nu = sign(beta_j) for the rows Y_j where beta_j is not 0, |Y_j . nu| < 1 for the rest,
and the former are independent, beta is the only solution of its norm (Fuchs 2004, IEEE Trans.
Inform. Theory 50): of another one, beta + z with z Y = 0,

    ||beta + z||_1 >= sum (beta_j + z_j) Y_j . nu = x . nu = ||beta||_1,

where equality takes z_j = 0 for all j with |Y_j . nu| < 1, and so z = 0. nu is here, of all with
these signs, that whose largest size elsewhere is least, by a second program.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog

from dlnsweep.errors import SpecError

# HiGHS meets constraints to 1e-7: entries below that part of the largest are 0.
_ZERO = 1e-7


class LeastL1(NamedTuple):
    """What was found, and how good it is at least.

    Attributes:
        coefficients: beta.
        l1_norm: ||beta||_1.
        gap: (||beta||_1 - the lower bound by nu) / ||beta||_1.
        infeasibility: ||beta Y - x|| / ||x||.
        dual: nu.
        elsewhere: The largest |Y_j . nu| where beta_j is 0; 0 if there is no such j.
        least_singular_value: Of the rows Y_j where beta_j is not 0.
    """

    coefficients: Float[np.ndarray, " m"]
    l1_norm: float
    gap: float
    infeasibility: float
    dual: Float[np.ndarray, " n"]
    elsewhere: float
    least_singular_value: float


def least_l1(inputs: Float[np.ndarray, "m n"], targets: Float[np.ndarray, " n"]) -> LeastL1:
    """Find the linear predictor of least l1 norm that fits all samples.

    Args:
        inputs: Y, one sample a column.
        targets: x.

    Raises:
        SpecError: If a number is not finite, all targets are 0, or no predictor fits all samples.
    """
    y, x = np.asarray(inputs, np.float64), np.asarray(targets, np.float64)
    if not (np.all(np.isfinite(y)) and np.all(np.isfinite(x))):
        raise SpecError("least_l1: inputs and targets must be finite numbers; leave others out.")
    if not np.any(x):
        raise SpecError("least_l1: all targets are 0, which 0 fits; give one that is not.")
    # In units in which HiGHS's tolerance is small.
    scale = float(np.max(np.abs(x)))
    found = linprog(
        np.ones(2 * len(y)), A_eq=np.hstack([y.T, -y.T]), b_eq=x / scale, bounds=(0, None)
    )
    if found.x is None:
        raise SpecError(
            f"least_l1: no predictor of {y.shape[0]} inputs fits all {y.shape[1]} samples; give "
            "fewer samples than inputs, or targets without noise."
        )
    beta = found.x[: len(y)] - found.x[len(y) :]
    support = np.abs(beta) > _ZERO * np.max(np.abs(beta))
    # To the last digits: what the program knows to its tolerance is where beta is not 0.
    beta = np.zeros(len(y))
    beta[support] = scale * np.linalg.lstsq(y[support].T, x / scale)[0]
    nu, norm = _dual(y, np.sign(beta)), float(np.sum(np.abs(beta)))
    sizes = np.abs(y @ nu)
    lower = float(x @ nu) / max(1.0, float(np.max(sizes)))
    missed = float(np.linalg.norm(beta @ y - x) / np.linalg.norm(x))
    singular = np.linalg.svd(y[support].T, compute_uv=False)
    independent = len(singular) == np.sum(support)
    return LeastL1(
        beta,
        norm,
        (norm - lower) / norm,
        missed,
        nu,
        float(np.max(sizes[~support], initial=0.0)),
        float(singular[-1]) if independent else 0.0,
    )


def _dual(y: Float[np.ndarray, "m n"], signs: Float[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
    """Return the nu with Y_j . nu the sign where there is one, as small as can be elsewhere."""
    support, n = signs != 0, y.shape[1]
    off, ones = y[~support], np.ones((int(np.sum(~support)), 1))
    found = linprog(
        [*np.zeros(n), 1.0],
        A_ub=np.block([[off, -ones], [-off, -ones]]),
        b_ub=np.zeros(2 * len(off)),
        A_eq=np.hstack([y[support], np.zeros((int(np.sum(support)), 1))]),
        b_eq=signs[support],
        bounds=(None, None),
    )
    # None with these signs: nothing is certified, and the gap says so.
    return np.zeros(n) if found.x is None else found.x[:n]
