"""Small networks for vector instructions: plans of them, and random ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from planned_runs import train
from spec_samples import sweep

from dlnsweep.plan.plan import Plan, make_plan

# Both take the same steps in float64 and round apart: 40 steps that contract, and sums of some ten
# terms, of numbers of size 1.
ROUNDING = 1e-13
TRAINING = {"learning_rate": 0.05, "num_steps": 40, "weight_decay": 0.01}
TEACHER = {"kind": "teacher", "signal_dim": 2, "measurement_dim": 3, "num_samples": 4}
_SQUARES = ("squared", "mean_squared")
_MARGINS = ("logistic", "exponential")
_OPTIMIZERS = (
    "gradient_descent", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "amsgrad",
    "nadam", "adamax", "group_rmsprop", "lamb",
)  # fmt: skip


def planned(case: dict[str, Any], **options: Any) -> Plan:
    """Return the plan of a few runs of a case, by vector instructions."""
    whole = {
        "problem": TEACHER,
        "training": TRAINING,
        "record": {"count": 5, "observables": ["loss"]},
    }
    return make_plan(sweep(**(whole | case), sweep={"seeds": 2, "kernel": "simd"} | options))


def random_case(number: int) -> dict[str, Any]:
    """Return a small network, its data and its training, drawn."""
    random = np.random.default_rng(number)

    def one(*values: Any) -> Any:
        return values[random.integers(len(values))]

    loss = one(*_SQUARES, *_MARGINS, "cross_entropy")
    inputs, samples = one(1, 2, 4), one(1, 3, 6)
    if loss in _SQUARES:
        problem = {"kind": "teacher", "signal_dim": one(1, 2, 3)}
    else:
        # Means of equal distances need as many inputs as there are classes.
        inputs = max(inputs, 2)
        labels = "signs" if loss in _MARGINS else "one_hot"
        problem = {"kind": "gaussian_mixture", "num_classes": 2, "labels": labels}
    sizes = {"measurement_dim": inputs, "num_samples": samples}
    return {
        "problem": problem | sizes,
        "network": {"kind": "mlp", "width": one(1, 2, 4, 6), "depth": one(2, 3, 4),
                    "activation": one("linear", "tanh", "relu", "gelu", "erf", "softplus")},
        "training": {"learning_rate": one(0.001, 0.01), "num_steps": 30,
                     "optimizer": one(*_OPTIMIZERS), "weight_decay": one(0.0, 0.02), "loss": loss},
    }  # fmt: skip


def beside_generic(case: dict[str, Any]) -> tuple[tuple[str, str], float]:
    """Return how a run ends by vector instructions and by the generic way, and how far they differ.

    That is the largest difference of an observable, over the largest value that it has in the run.
    """
    case = case | {"record": {"count": 5, "observables": ["loss", "parameter_norm"]}}
    found, judge = (train(planned(case, seeds=1, kernel=kernel)) for kernel in ("simd", "generic"))
    assert found.kernel == ["simd"], found.kernel_reason
    endings = found.status[0], judge.status[0]
    if found.num_rows[0] != judge.num_rows[0]:
        return endings, np.inf
    rows = slice(0, int(judge.num_rows[0]))
    apart = []
    for name, values in found.observables.items():
        wanted = judge.observables[name][0, rows]
        apart.append(np.max(np.abs(values[0, rows] - wanted)) / np.max(np.abs(wanted)))
    return endings, float(max(apart))
