"""Small networks for vector instructions: plans of them, and random ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from planned_runs import train
from spec_samples import sweep

from dlnsweep.engine.trained import Trained
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


def random_family(number: int) -> dict[str, Any]:
    """Return four small networks that a program trains, their data and their training, drawn.

    They are two seeds by two decays.
    """
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
    decays = [one(0.0, 0.002), one(0.02, 0.1)]
    return {
        "problem": problem | sizes,
        "network": {"kind": "mlp", "width": one(1, 2, 4, 6), "depth": one(2, 3, 4),
                    "activation": one("linear", "tanh", "relu", "gelu", "erf", "softplus")},
        "training": {"learning_rate": one(0.001, 0.01), "num_steps": 30,
                     "optimizer": one(*_OPTIMIZERS), "weight_decay": decays, "loss": loss},
        "record": {"count": 5, "observables": ["loss", "parameter_norm"]},
    }  # fmt: skip


@dataclass(frozen=True)
class Beside:
    """A run by vector instructions, beside the generic way.

    Attributes:
        endings: How it ends by both.
        deviation: The largest difference of an observable, over its largest value in the run.
    """

    endings: tuple[str, str]
    deviation: float


def with_samples(case: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a random family with so many samples that vectors of them are full, or nearly."""
    random = np.random.default_rng([number, 1])
    count = int(random.choice([3, 7, 8, 9, 16, 20, 33, 64, 70, 100, 129, 200]))
    network = case["network"] | {"biases": bool(random.integers(2))}
    return case | {"problem": case["problem"] | {"num_samples": count}, "network": network}


def beside_generic(case: dict[str, Any], kernel: str = "simd") -> list[Beside]:
    """Train a case's runs, all together, by vector instructions and by the generic way."""
    found, judge = (train(planned(case, kernel=each)) for each in (kernel, "generic"))
    assert set(found.kernel) == {kernel}, found.kernel_reason
    return [
        Beside((found.status[run], judge.status[run]), _deviation(found, judge, run))
        for run in range(len(found.kernel))
    ]


def _deviation(found: Trained, judge: Trained, run: int) -> float:
    count = int(judge.num_rows[run])
    if found.num_rows[run] != count:
        return np.inf
    apart = [0.0]
    for name, values in found.observables.items():
        wanted = judge.observables[name][run, :count]
        # What diverges at once has no records.
        if count:
            apart.append(np.max(np.abs(values[run, :count] - wanted)) / np.max(np.abs(wanted)))
    return float(np.max(apart))
