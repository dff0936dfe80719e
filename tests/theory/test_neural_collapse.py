"""The rates of neural collapse, against gradient descent written out."""

from __future__ import annotations

import numpy as np
import pytest

from dlnsweep.theory.neural_collapse import collapse_rates, nc3_limit


def measured(h: np.ndarray, w: np.ndarray, labels: np.ndarray) -> list[float]:
    """Return NC1, NC2 and NC3 by their definitions."""
    classes = len(w)
    means = np.array([h[:, labels == c].mean(axis=1) for c in range(classes)]).T
    centred = means - means.mean(axis=1, keepdims=True)
    off = h - means[:, labels]
    between = centred @ centred.T / classes
    # Of rank C - 1: what is smaller is rounding.
    inverse = np.linalg.pinv(between, rcond=1e-8, hermitian=True)
    gram = centred.T @ centred
    ideal = (np.eye(classes) - 1 / classes) / np.sqrt(classes - 1)
    dual = w.T / np.linalg.norm(w) - centred / np.linalg.norm(centred)
    return [
        float(np.trace(off @ off.T @ inverse) / (len(labels) * classes)),
        float(np.linalg.norm(gram / np.linalg.norm(gram) - ideal)),
        float(np.linalg.norm(dual)),
    ]


@pytest.mark.parametrize(
    ("loss", "decay", "eta"),
    [("squared", 0.02, 0.1), ("cross_entropy", 2e-3, 1.0), ("cross_entropy", 1e-4, 5.0)],
)
def test_they_are_those_of_gradient_descent(loss: str, decay: float, eta: float):
    classes, each, scale = 3, 2, 1.3 if loss == "squared" else 1.0
    labels = np.repeat(np.arange(classes), each)
    x = np.eye(classes)[labels].T
    random = np.random.default_rng(0)
    h, w = 0.5 * random.standard_normal((5, 6)), 0.5 * random.standard_normal((3, 5))
    found = []
    # From exp(-7) of the slow modes on to exp(-9): NC1 stays above rounding.
    stops = [round(7 / (2 * decay * eta)), round(9 / (2 * decay * eta))]
    for step in range(stops[1] + 1):
        if step in stops:
            found.append(measured(h, w, labels))
        z = w @ h
        slope = scale * (z - x)
        if loss == "cross_entropy":
            shares = np.exp(z - z.max(axis=0))
            slope = (shares / shares.sum(axis=0) - x) / len(labels)
        h, w = h - eta * (w.T @ slope + decay * h), w - eta * (slope @ h.T + decay * w)
    slopes = np.log(np.divide(*found)) / (eta * (stops[1] - stops[0]))
    rates = collapse_rates(loss, decay, classes, each, scale)
    # What has not yet died out of faster modes, and eta lambda.
    for slope, rate in zip(slopes, rates, strict=True):
        if not np.isnan(rate):
            assert slope == pytest.approx(rate, rel=0.02)
    if loss == "squared":
        assert found[-1][2] == pytest.approx(nc3_limit(classes), rel=1e-3)


def test_too_much_decay_leaves_no_classes():
    assert all(np.isnan(collapse_rates("cross_entropy", 0.3, 3, 2)))
    # Loss of nearly no curvature beside the decay: its own rate is the smaller one.
    assert collapse_rates("squared", 1.0, 3, 2, 1e-3)[0] == pytest.approx(2e-3 * 2**0.5, rel=1e-15)
