"""Curves beside regression on a sparse vector from few samples. Imports no NumPy."""

from __future__ import annotations

from functools import partial

import dlnsweep.theory.values as values
from dlnsweep.theory.curve import TheoryCurve
from dlnsweep.theory.setup import NOISELESS, SPARSE


def _least(what: str, observable: str, label: str, text: str) -> TheoryCurve:
    return TheoryCurve(
        (observable,),
        label,
        f"{text} (of each run's own samples; the median over the seeds)",
        partial(values.least_solution, what=what),
        SPARSE,
        any_start=True,
        by_seed=True,
    )


SPARSE_CURVES: dict[str, TheoryCurve] = {
    "least_norm_error": TheoryCurve(
        ("test_error", "least_norm_distance"),
        "least ℓ₂ solution to true β, √(1 − n/m)",
        "sqrt(1 - n/m), the relative distance of the least l2 solution X Y⁺ from the true β in the "
        "root mean square over data: its test error, and the least_norm_distance of networks that "
        "find β (derived: inputs N(0, I), no noise, n <= m)",
        values.least_norm_error,
        NOISELESS,
        any_start=True,
    ),
    "least_l2_error": _least(
        "l2_error", "test_error", "least ℓ₂ solution", "the test error of X Y⁺, of least l2 norm"
    ),
    "least_l1_error": _least(
        "l1_error",
        "test_error",
        "least ℓ₁ solution",
        "the test error of the solution of least l1 norm, certified by linear programming; none "
        "where it is the truth, or a seed's is not the only one",
    ),
    "least_l1_distance": _least(
        "distance",
        "least_norm_distance",
        "least ℓ₁ solution",
        "the relative distance of the solution of least l1 norm, certified by linear programming, "
        "from X Y⁺, of least l2 norm; none where a seed's is not the only one",
    ),
    "least_l1_norm": _least(
        "l1_norm", "l1_norm", "least ℓ₁ norm", "the least l1 norm of a solution, certified"
    ),
}
