"""`training.prescription`: step size, weight decay and number of steps of each run by a theorem.

"theorem_2_3" of arXiv:2502.15522 prescribes, for signals with singular values from 1 / kappa to 1,

    eta = m / (L sigma_max^2),  lambda = gamma sigma_min^2 sqrt(m / d)      (8)
    T = 2 m log(d_w) / (eta lambda), rounded up                            (9b)

Imports no JAX. The numbers are a run's settings like any other: a run that is given the same ones
by hand is the same run.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from dlnsweep.settings.sentences import show
from dlnsweep.settings.warm_start import WARM_START
from dlnsweep.theory import formulas as theory
from dlnsweep.theory.setup import THEOREM

# What a prescription sets, and from what.
SETS = ("training.learning_rate", "training.weight_decay", "training.num_steps")
READS = (
    "problem.signal_dim",
    "problem.measurement_dim",
    "problem.condition_number",
    "network.depth",
    "network.width",
    "training.gamma",
)
# How a run says that it was given its numbers; they are no part of its identity.
HOW = ("training.prescription", "training.gamma")

_MOST_STEPS = 2**53

Values = Mapping[str, Sequence[Any]]


def theorem_2_3(
    d: int, m: int, condition_number: float, depth: int, width: int, gamma: float
) -> tuple[float, float, int]:
    """Return eta, lambda and T by (8) and (9b), T rounded up to a whole step.

    Args:
        d: Dimension of the signals.
        m: Number of measurements.
        condition_number: kappa; the largest singular value of X is 1.
        depth: L.
        width: d_w, at least 2.
        gamma: In (0, 1].
    """
    rate, decay = _rates(d, m, condition_number, depth, gamma)
    return rate, decay, math.ceil(theory.prescribed_steps(m, width, rate, decay))


def _rates(
    d: int, m: int, condition_number: float, depth: int, gamma: float
) -> tuple[float, float]:
    rate = theory.prescribed_learning_rate(m, depth, 1.0)
    return rate, float(theory.prescribed_weight_decay(gamma, m, d, 1 / condition_number))


def prescribed(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the settings that a sweep file leaves to its prescription."""
    training = document.get("training")
    asked = training.get("prescription", "none") if isinstance(training, Mapping) else "none"
    return () if asked == "none" else SETS


def check_prescription(values: Values, given: Collection[str]) -> Iterator[str]:
    """Check that a prescription fits the file, and that nothing is said twice.

    Args:
        values: The values of the settings that are right.
        given: The settings that the file gives.
    """
    asked = values.get("training.prescription", (None,))[0]
    if asked is None or asked == "none":
        if asked and "training.gamma" in given:
            yield 'training.gamma is given, which needs training.prescription = "theorem_2_3".'
        return
    place = f'training.prescription = "{asked}"'
    for key in SETS:
        if key in given:
            yield f"{key} is given, but {place} sets it; leave one of them out."
    for key, allowed in THEOREM.items():
        # Of weights that are given `spec/warm_start.py` says it.
        present = () if key == WARM_START else values.get(key, ())
        wrong = [value for value in present if value not in allowed]
        if wrong:
            needed = " or ".join(map(show, allowed))
            yield f"{key} is {show(wrong[0])}; {place} is about {needed} only."
    for key in ("network.depth", "network.width"):
        if 1 in values.get(key, ()):
            yield f"{key} is 1; {place} needs at least 2."
    yield from _check_length(values, place)


def _check_length(values: Values, place: str) -> Iterator[str]:
    if not all(values.get(key) for key in READS):
        return
    d, m, condition, depth, width, gamma = (values[key] for key in READS)
    if max(width) > 1:
        rates = _rates(max(d), min(m), max(condition), max(depth), min(gamma))
        steps = theory.prescribed_steps(min(m), max(width), *rates)
        if steps > _MOST_STEPS:
            yield f"{place} asks for {steps:.2g} steps; at most 2^53 can be counted."
