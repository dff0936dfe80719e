"""Networks with one ReLU before the last layer, in plain NumPy on all samples."""

from __future__ import annotations

import numpy as np
from batch_samples import AGREEMENT, drawn, plan_of

from dlnsweep.contracts.schedule import record_steps

NAMES = [
    "loss", "regression_error", "weight_norms", "gradient_norm", "test_error", "noisy_test_error",
    "noisy_test_errors",
]  # fmt: skip


NOISE, LEVELS = 0.2, [0.0, 0.5]
RECORD = {
    "count": 8,
    "observables": NAMES,
    "num_test_samples": 20,
    "test_noise": NOISE,
    "noise_levels": LEVELS,
}


# The plain form: all samples, whole matrices, nothing reduced or rescaled.


def output(weights, y):
    hidden = y
    for weight in weights[:-1]:
        hidden = weight @ hidden
    return weights[-1] @ np.where(hidden > 0, hidden, 0.0)


def loss(weights, x, y, decay, fit):
    squares = sum(float(np.sum(w * w)) for w in weights)
    return 0.5 * fit * float(np.sum((output(weights, y) - x) ** 2)) + 0.5 * decay * squares


def gradients(weights, x, y, decay, fit):
    inner = [y]
    for weight in weights[:-1]:
        inner.append(weight @ inner[-1])
    mask = (inner[-1] > 0).astype(float)
    error = fit * (output(weights, y) - x)
    found = [error @ (mask * inner[-1]).T + decay * weights[-1]]
    back = mask * (weights[-1].T @ error)
    for i in reversed(range(len(weights) - 1)):
        found.insert(0, back @ inner[i].T + decay * weights[i])
        back = weights[i].T @ back
    return found


def step(weights, x, y, training):
    grads = gradients(weights, x, y, training.weight_decay, training.data_fit_scale)
    fan_in = training.step_rule == "fan_in"
    rates = [training.learning_rate / (w.shape[1] if fan_in else 1) for w in weights]
    return [w - eta * g for w, eta, g in zip(weights, rates, grads, strict=True)]


def follow(plan, row):
    """Yield step and weights at the recorded steps."""
    sections, weights, x, y, _ = drawn(plan, row)
    steps = record_steps(sections.record, sections.training.num_steps).tolist()
    for now in range(max(steps) + 1):
        if now in steps:
            yield weights
        weights = step(weights, x, y, sections.training)


def observe(plan, row, weights):
    sections, _, x, y, (signals, measurements, noise) = drawn(plan, row)
    decay, fit = sections.training.weight_decay, sections.training.data_fit_scale

    def fresh(factor):
        error = output(weights, measurements + factor * noise) - signals
        return np.linalg.norm(error) / np.linalg.norm(signals)

    grads = gradients(weights, x, y, decay, fit)
    return {
        "loss": loss(weights, x, y, decay, fit),
        "regression_error": np.linalg.norm(output(weights, y) - x) / np.linalg.norm(x),
        "weight_norms": np.array([np.linalg.norm(w) for w in weights]),
        "gradient_norm": np.sqrt(sum(np.sum(g * g) for g in grads)),
        "test_error": fresh(0.0),
        "noisy_test_error": fresh(1.0),
        "noisy_test_errors": np.array([fresh(level / NOISE) for level in LEVELS]),
    }


def relu_plan(**sections):
    defaults = {
        "network": {"kind": "linear_then_relu", "depth": 3, "width": 8},
        "training": {"learning_rate": 0.05, "weight_decay": 0.1, "num_steps": 100},
        "record": RECORD,
        # Tests with four runs share their programs.
        "sweep": {"seeds": 4, "kernel": "auto"},
    }
    return plan_of(**{name: defaults.get(name, {}) | sections.get(name, {}) for name in defaults})


def assert_follows(plan, row, trained, lane):
    for k, weights in enumerate(follow(plan, row)):
        found = observe(plan, row, weights)
        for name, values in trained.observables.items():
            got, wanted = values[lane, k], found[name]
            assert np.all(np.abs(got - wanted) <= AGREEMENT * np.abs(wanted)), (name, k)
