"""The rates of neural collapse, against gradient descent written out."""

from __future__ import annotations

import numpy as np
import pytest

from dlnsweep.theory.neural_collapse import collapse_rates, nc3_limit

# NC1 is a square of sums of numbers of size 1: below it is rounding.
ROUNDED = 1e-25


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


def descended(
    loss: str, decay: float, eta: float, classes: int, each: int, scale: float, stops: list[int]
) -> list[list[float]]:
    """Return NC1, NC2 and NC3 at some steps of gradient descent."""
    labels = np.repeat(np.arange(classes), each)
    x = np.eye(classes)[labels].T
    random = np.random.default_rng(0)
    h = 0.5 * random.standard_normal((classes + 2, len(labels)))
    w = 0.5 * random.standard_normal((classes, classes + 2))
    found = []
    for step in range(stops[-1] + 1):
        if step in stops:
            found.append(measured(h, w, labels))
        z = w @ h
        slope = scale * (z - x)
        if loss == "cross_entropy":
            shares = np.exp(z - z.max(axis=0))
            slope = (shares / shares.sum(axis=0) - x) / len(labels)
        h, w = h - eta * (w.T @ slope + decay * h), w - eta * (slope @ h.T + decay * w)
    return found


@pytest.mark.parametrize(
    ("loss", "decay", "eta", "classes", "each"),
    [
        ("squared", 0.02, 0.1, 3, 2),
        ("cross_entropy", 2e-3, 1.0, 3, 2),
        ("cross_entropy", 1e-4, 5.0, 3, 2),
        # Where the loss pulls less than the decay.
        ("squared", 1.5, 0.01, 3, 4),
        ("cross_entropy", 0.05, 0.1, 4, 4),
        ("cross_entropy", 0.02, 0.2, 10, 4),
        ("cross_entropy", 0.08, 0.1, 3, 4),
        # So much less that NC3 is of second order in it.
        ("cross_entropy", 0.15, 0.1, 3, 4),
        # Of two classes NC2 has no rate.
        ("cross_entropy", 0.1, 0.1, 2, 4),
    ],
)
def test_they_are_those_of_gradient_descent(
    loss: str, decay: float, eta: float, classes: int, each: int
):
    scale = 1.3 if loss == "squared" and decay < 1 else 1.0
    rates = collapse_rates(loss, decay, classes, each, scale)
    assert np.isnan(rates[1]) == (classes == 2)
    # From exp(-7) of the slow modes on to exp(-9).
    slowest = min(rates[0], rates[2] if classes == 2 else rates[1])
    stops = [round(7 / (slowest * eta)), round(9 / (slowest * eta))]
    found = descended(loss, decay, eta, classes, each, scale, stops)
    # What has not yet died out of faster modes, and eta times the rate.
    for first, last, rate in zip(*found, rates, strict=True):
        if not np.isnan(rate) and last > ROUNDED:
            slope = np.log(first / last) / (eta * (stops[1] - stops[0]))
            assert slope == pytest.approx(rate, rel=0.02)
    if loss == "squared":
        assert found[-1][2] == pytest.approx(nc3_limit(classes), rel=1e-3)


def test_too_much_decay_leaves_no_classes():
    assert all(np.isnan(collapse_rates("cross_entropy", 0.3, 3, 2)))
    assert all(np.isnan(collapse_rates("squared", 1.0, 3, 2, 1e-3)))
    # Half of the square root of the samples: a decay that leaves half of the minimiser.
    assert collapse_rates("squared", 1.0, 3, 4)[:2] == pytest.approx((4.0, 2.0), rel=1e-15)
