"""Low-rank approximation by two layers, against gradient descent written out."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from dlnsweep.theory import low_rank as theory

VALUES = np.array([1.0, 0.6, 0.3])


def descend(a: np.ndarray, b: np.ndarray, x: np.ndarray, rate: float, steps: int):
    """Yield both layers and their product before every step of gradient descent."""
    for _ in range(steps + 1):
        yield a, b, b @ a
        error = b @ a - x
        a, b = a - rate * b.T @ error, b - rate * error @ a.T


@pytest.mark.parametrize("start", [1e-6, 0.5])
def test_one_direction_takes_as_long_as_derived(start: float):
    rate, value = 1e-3, 0.7
    a, b = np.array([[sqrt(start)]]), np.zeros((1, 1))
    path = [p.item() for *_, p in descend(a, b, np.array([[value]]), rate, 25_000)]
    for share in (0.1, 0.5, 0.9):
        # Records are a step apart, and flow is off by one step or so; 1000 are the fewest here.
        taken = int(np.argmax(np.array(path) >= share * value))
        derived = theory.learning_steps(value, start, rate, share)
        assert derived > 100
        assert taken == pytest.approx(derived, abs=3)


def test_directions_are_learned_one_after_another_when_derived():
    rng = np.random.default_rng(0)
    rate, rank = 0.02, 3
    left, right = (np.linalg.qr(rng.normal(size=(n, 3)))[0] for n in (4, 5))
    a = 1e-5 * rng.normal(size=(rank, 5))
    x = (left * VALUES) @ right.T
    path = np.array([
        np.diag(left.T @ p @ right) for *_, p in descend(a, np.zeros((4, rank)), x, rate, 3000)
    ])  # fmt: skip
    for place, (value, start) in enumerate(zip(VALUES, theory.starts(a, right), strict=True)):
        taken = int(np.argmax(path[:, place] >= value / 2))
        derived = theory.learning_steps(value, start, rate)
        # The neighbour's competition is of order 1e-5^(2 * 0.4) in g; a step or two of 600.
        assert taken == pytest.approx(derived, abs=3)
    # Not of each direction by itself: the third would be early.
    alone, left_over = np.sum((a @ right[:, 2]) ** 2), theory.starts(a, right)[2]
    early = theory.learning_steps(VALUES[2], alone, rate)
    assert early < theory.learning_steps(VALUES[2], left_over, rate) - 30


@pytest.mark.parametrize("scale", [1e-4, 1.0])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_they_end_at_the_least_loss_as_fast_as_derived(rank: int, scale: float):
    rng = np.random.default_rng(1)
    rate = 0.1
    x = np.hstack([np.diag(VALUES), np.zeros((3, 2))])
    a = scale * rng.normal(size=(rank, 5))
    path = list(descend(a, np.zeros((3, rank)), x, rate, 6000))
    least = theory.least_loss(VALUES[::-1], rank)
    above = np.array([0.5 * np.sum((p - x) ** 2) - least for *_, p in path])
    h = theory.slowest(path[-1][0], path[-1][1], VALUES)
    assert np.min(above) > -1e-14
    assert above[-1] < 1e-10
    # Faster curvatures have died out there, and what falls by h is above rounding (of rank 3 the
    # least loss is 0, and what a small start leaves to fall by h is small).
    high, low = (1e-17, 1e-24) if rank == 3 else (1e-11, 1e-13)
    late = np.flatnonzero((above < high) & (above > low))
    measured = -np.polyfit(late, np.log(above[late]), 1)[0]
    # Two curvatures are a fifth apart at rank 2 from a start of size 1.
    assert measured == pytest.approx(-2 * np.log1p(-rate * h), rel=0.02)
    gap = VALUES[rank - 1] - (VALUES[rank] if rank < 3 else 0)
    if scale < 1:
        assert h == pytest.approx(gap, rel=1e-3)
    else:
        assert h < gap
    if rank == 1:
        g = np.sum(a**2)
        exact = (sqrt(g**2 + 4 * VALUES[0] ** 2) - sqrt(g**2 + 4 * VALUES[1] ** 2)) / 2
        # Steps of finite size move the balance by rate^2 each.
        assert h == pytest.approx(exact, rel=0.05 if scale == 1 else 1e-3)
