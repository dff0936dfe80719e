"""Where `kernel = "auto"` trains on the span of the samples: where that is exact, and pays. No JAX.

The rule reads a run's settings alone, so that a run gets the same way on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlnsweep.contracts.network import GIVEN, REDUCED_INPUTS, StepCost
from dlnsweep.contracts.on_span import AUTO_KNOWS, why_not_on_span
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.settings.reasons import Reason
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.warm_start import WARM_START

# Seconds that are to be saved, in all steps of a run, beside what it takes to reduce its inputs; by
# what factor a step is to be shorter, since what it costs is guessed.
_LEAST_SECONDS, _LEAST_FACTOR = 2.0, 1.5
# A reduced QR of (m, r) takes 4 m r^2 operations, a singular value decomposition some ten times
# as many (measured); the first layer's part of the span is a product.
_QR, _SVD = 4, 40
_FLOPS_A_SECOND = 5e9
# Of a network that says none.
GUESSED_WIDTH = 64


def rank_of(row: RunSettings) -> int:
    """Return the most dimensions that the training inputs of a run can span."""
    problem = PROBLEMS[row["problem.kind"]]
    return problem.rank_of(row.section("problem", problem.settings))


def why_not(row: RunSettings) -> Reason | None:
    """Return why a run is not the same on the span, or is to keep its way; else None."""
    if REDUCED_INPUTS not in (row.get(AUTO_KNOWS) or ()):
        return Reason(
            "begun_before",
            "the generic way, as in all of a folder that was begun before auto knew another",
        )
    if row.get(WARM_START):
        return GIVEN
    known = row.get("problem.num_samples") or PROBLEMS[row["problem.kind"]].rank
    if not known or rank_of(row) >= row["problem.measurement_dim"]:
        return Reason("all_spanned", "its inputs span all their dimensions")
    for why in why_not_on_span({key: [value] for key, value in row.items()}):
        first = why.partition(",")[0].rstrip(".")
        return Reason("not_exact", f"not the same on the span of its inputs: {first}")
    return None


def why_not_worth(row: RunSettings, cost: Callable[[RunSettings, int], StepCost]) -> Reason | None:
    """Return why it does not pay; else None."""
    if is_worth(row, cost, row["training.num_steps"]):
        return None
    return Reason(
        "not_worth",
        "too short or too small for inputs on their span to pay",
        {"sweep.kernel": REDUCED_INPUTS},
    )


def is_worth(row: RunSettings, cost: Callable[[RunSettings, int], StepCost], num_steps: Any) -> Any:
    """Return whether it pays, for a number of steps or for each of several.

    Args:
        row: The settings of one of the runs.
        cost: Estimates a step on all inputs.
        num_steps: The numbers of steps.
    """
    width = row.get("network.width") or GUESSED_WIDTH
    inputs, rank = row["problem.measurement_dim"], rank_of(row)
    samples = row.get("problem.num_samples") or rank
    whole, small = cost(row, width), cost(row | {"problem.measurement_dim": rank}, width)
    # Of a minibatch, its share of both.
    share = (row.get("training.minibatch_size") or samples) / samples
    saved = share * (whole.seconds - small.seconds)
    flops = (_QR if rank == samples else _SVD) * inputs * rank**2 + 4 * inputs * rank * width
    enough = num_steps * saved >= _LEAST_SECONDS + flops / _FLOPS_A_SECOND
    return enough & (whole.seconds >= _LEAST_FACTOR * small.seconds)
