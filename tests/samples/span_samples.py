"""Random runs whose inputs are reduced to their span, and how far they are from the generic way."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep

ACTIVATIONS = ("linear", "tanh", "relu", "gelu", "erf", "quadratic", "softplus")
OPTIMIZERS = ("gradient_descent", "momentum", "nesterov", "group_rmsprop")
PARAMETRIZATIONS = ("standard", "ntk", "mean_field", "mup")
# What is made of the training data alone, of fresh inputs, and of norms of parameters. (In tests
# of few steps no margin is passed; sharpness and its like are in records of their own.)
OBSERVABLES = [
    "loss", "regression_error", "gradient_norm", "parameter_norm", "parameter_distance",
    "layer_rotation", "test_loss", "test_error", "noisy_test_error", "least_norm_distance",
    "gradient_noise",
]  # fmt: skip
STEPS = 40
# Of each family, which two programs train: sets of numbers, and seeds of each.
SETS, SEEDS = 5, 5
# float64: sums of up to a hundred terms in another order, over forty steps that do not blow up.
ALLOWED = 1e-10


class Outcome(NamedTuple):
    """How far a run is from the generic way's: the worst observable, and how both ended."""

    what: str
    numbers: int
    seed: int
    worst: str
    deviation: float
    endings: tuple[str, str]
    error: float


def family(number: int) -> dict[str, Any]:
    """Return the document of random settings: static ones, sets of numbers, and seeds."""
    drawn = np.random.default_rng([2024, number])

    def one_of(values: Any) -> Any:
        return values[int(drawn.integers(len(values)))]

    def sometimes(share: float = 0.35) -> bool:
        return bool(drawn.random() < share)

    def numbers(low: float, high: float, make: Any = float) -> list[float]:
        return [float(make(value)) for value in drawn.uniform(low, high, SETS)]

    samples, inputs = int(drawn.integers(3, 9)), int(drawn.integers(12, 60))
    problem = one_of((
        {"kind": "teacher", "signal_dim": 2},
        {"kind": "teacher", "signal_dim": 1, "inputs": "sphere", "teacher_activation": "erf"},
        {"kind": "gaussian_mixture", "num_classes": 3},
        {"kind": "single_index", "hermite_degree": 2},
        # Of known rank 2, less than the number of samples.
        {"kind": "subspace", "signal_dim": inputs + 4, "subspace_dim": 2},
    ))  # fmt: skip
    problem |= {"measurement_dim": inputs, "num_samples": samples}
    optimizer, depth = one_of(OPTIMIZERS), int(drawn.integers(1, 5))
    parametrizations = PARAMETRIZATIONS[: 2 if optimizer == "group_rmsprop" else 4]
    network = {
        "kind": "mlp", "depth": depth, "width": int(2 * drawn.integers(1, 6)),
        "activation": one_of(ACTIVATIONS), "biases": sometimes(0.5),
        "parametrization": one_of(parametrizations),
        "output": one_of(("plain", "plain", "centred", "symmetrised")[: 3 if depth == 1 else 4]),
        "trained_layers": one_of(("all", "all", "first", "last")[: 2 if depth == 1 else 4]),
        "layer_init_scale": numbers(0.3, 0.9),
    }  # fmt: skip
    training: dict[str, Any] = {
        "learning_rate": numbers(-3, -1.7, lambda power: 10**power), "num_steps": STEPS,
        "optimizer": optimizer, "weight_decay": numbers(0.01, 0.5), "data_fit_scale": 1 / samples,
    }  # fmt: skip
    if optimizer in ("momentum", "nesterov"):
        training["momentum"] = numbers(0.3, 0.9)
    if sometimes():
        training |= {"minibatch_size": int(drawn.integers(1, samples + 1)),
                     "minibatch_order": one_of(("replacement", "epochs"))}  # fmt: skip
    if sometimes():
        training["label_noise"] = numbers(0.02, 0.2)
    if sometimes():
        training["sam_radius"] = numbers(0.01, 0.1)
    if sometimes():
        training["clip_norm"] = numbers(0.1, 0.6)
    if sometimes():
        training |= {"schedule": "cosine", "schedule_steps": STEPS, "schedule_end": 0.1}
    if sometimes():
        factors = ", ".join(f"{f:.3f}" for f in drawn.uniform(0.2, 2, depth))
        training["learning_rate_factors"] = training["weight_decay_factors"] = factors
    sections = {"network": network, "training": training}
    axes = [f"{section}.{key}" for section, keys in sections.items()
            for key, value in keys.items() if isinstance(value, list)]  # fmt: skip
    return {
        "name": f"span{number}",
        "problem": problem,
        **sections,
        "record": {"observables": OBSERVABLES, "count": 6, "num_test_samples": 5,
                   "test_noise": 0.1},
        "sweep": {"seeds": [SEEDS * number + k for k in range(SEEDS)], "kernel": "reduced_inputs",
                  "zip": [axes]},
    }  # fmt: skip


def _plan(document: dict[str, Any], kernel: str) -> Any:
    asked = document | {"sweep": document["sweep"] | {"kernel": kernel}}
    return make_plan(Sweep.from_dict(asked))


def outcomes(document: dict[str, Any]) -> list[Outcome]:
    """Return how far the runs of a document are from the generic way's, in all that is recorded."""
    from planned_runs import train

    plans = [_plan(document, kernel) for kernel in ("reduced_inputs", "generic")]
    found, judge = map(train, plans)
    rows = [plans[0].row(run) for run in range(plans[0].num_runs)]
    rates = document["training"]["learning_rate"]
    return [
        Outcome(
            described(document),
            rates.index(row["training.learning_rate"]),
            row["seed"],
            *_apart(found, judge, run),
            (found.status[run], judge.status[run]),
            float(judge.observables["regression_error"][run, judge.num_rows[run] - 1]),
        )
        for run, row in enumerate(rows)
    ]


def _apart(found: Any, judge: Any, run: int) -> tuple[str, float]:
    """Return the observable that is farthest apart, and how far.

    Differences are over the largest value of the run, and those of 1 - cos, which are squares of
    distances of unit matrices, are of these distances. The noise of gradients, which is a square,
    is rounding where it is below that of `ALLOWED` of the gradient: a network that is zero whatever
    it learns has none.
    """
    worst, farthest, rows = "", 0.0, int(judge.num_rows[run])
    for name, values in judge.observables.items():
        a, b = found.observables[name][run, :rows], values[run, :rows]
        if name == "layer_rotation":
            apart = np.max(np.abs(np.sqrt(a) - np.sqrt(b)))
        else:
            scale = np.max(np.abs(b))
            if name == "gradient_noise":
                gradient = np.max(judge.observables["gradient_norm"][run, :rows])
                scale = max(scale, (ALLOWED * gradient) ** 2)
            apart = np.max(np.abs(a - b)) / scale
        # NaN is the farthest of all.
        if not apart <= farthest:
            worst, farthest = name, float(apart)
    return worst, farthest


def described(document: dict[str, Any]) -> str:
    """Return what a document is of, in a line."""
    network, training = document["network"], document["training"]
    extras = [k for k in ("minibatch_size", "label_noise", "sam_radius", "clip_norm", "schedule",
                          "learning_rate_factors") if k in training]  # fmt: skip
    biases = ["biases"] if network["biases"] else []
    return ", ".join([
        document["problem"]["kind"], f"depth {network['depth']}", network["activation"],
        network["parametrization"], network["output"], f"trained {network['trained_layers']}",
        training["optimizer"], *biases, *extras,
    ])  # fmt: skip
