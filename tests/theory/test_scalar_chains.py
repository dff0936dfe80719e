"""The exact solution of scalar chains that a kept table rests on, beside integrated flows."""

from __future__ import annotations

import numpy as np
import pytest
from kept.scalar_chains import MEASURED, Chain, Records, measured, ratios, starts, time_to_fit
from scipy.integrate import solve_ivp


def gradient(weights: np.ndarray) -> np.ndarray:
    others = [np.delete(weights, i).prod() for i in range(len(weights))]
    return (weights.prod() - 1) * np.array(others)


def drawn(depth: int) -> np.ndarray:
    """Starts of both signs, some of them beyond the minimiser."""
    found = np.random.default_rng(depth).standard_normal((200, depth)) * 1.2
    products = found.prod(axis=1)
    sides = [products < 0, (products > 0.05) & (products < 0.7), products > 1.3]
    return np.concatenate([found[side][:2] for side in sides])


@pytest.mark.parametrize("depth", [2, 3, 6])
def test_times_are_those_of_integrated_gradient_flow(depth):
    weights = drawn(depth)
    times = time_to_fit(Chain.of(weights))
    for start, time in zip(weights, times, strict=True):
        flow = solve_ivp(
            lambda _, w: -gradient(w), (0, time), start, method="DOP853", rtol=1e-12, atol=1e-14
        )
        # The loss 1e-12 is a residual of 1.4e-6, of which the integrator's errors are a millionth.
        assert abs(flow.y[:, -1].prod() - 1) == pytest.approx(2e-12**0.5, rel=1e-3)


@pytest.mark.parametrize("depth", [2, 3, 6])
def test_the_minimiser_is_that_of_the_flow_and_as_sharp(depth):
    weights = drawn(depth)
    chain = Chain.of(weights)
    sharp = chain.steepness(chain.at(1.0))
    for start, sharpness, time in zip(weights, sharp, 2 * time_to_fit(chain), strict=True):
        flow = solve_ivp(
            lambda _, w: -gradient(w), (0, time), start, method="DOP853", rtol=1e-11, atol=1e-13
        )
        end = flow.y[:, -1]
        assert sharpness == pytest.approx(np.sum(end**-2.0), rel=1e-7)
        assert sharpness >= depth
    assert chain.product(chain.v) == pytest.approx(weights.prod(axis=1), rel=1e-11)


def test_descent_by_tiny_steps_takes_the_time_of_the_flow():
    rate, count = 1e-3, 4000
    weights = drawn(4)[:4]
    steps = np.arange(0, count + 1, 10)
    products = np.empty((len(weights), len(steps)))
    for row, begun in zip(products, weights, strict=True):
        now = begun.copy()
        for step in range(count + 1):
            if step % 10 == 0:
                row[step // 10] = now.prod()
            now = now - rate * gradient(now)
    records = Records(steps, (products - 1) ** 2 / 2, products)
    found = ratios(Chain.of(weights), rate, records)
    assert np.isfinite(found).any()
    # Of first order in the step.
    assert found[np.isfinite(found)] == pytest.approx(1, abs=0.02)


def test_fates_are_told_by_records():
    steps = np.array([0, 10, 100, 1000])
    product = np.array([[0.1, 0.1, 0.2, 0.3], [0.1, 0.9, 1.4, 0.5], [0.1, 0.9, 1.0, np.nan],
                        [3.0, np.nan, np.nan, np.nan]])  # fmt: skip
    records = Records(steps, (product - 1) ** 2 / 2, product)
    status = np.array(["finished", "finished", "stopped", "diverged"])
    assert [MEASURED[i] for i in measured(status, records)] == [
        "waits", "neither", "fitted", "diverged"
    ]  # fmt: skip


def test_seeds_draw_the_same_weights_at_every_depth():
    seeds = np.array([0, 5, 4629])
    deep = starts(seeds, 3)
    assert deep[:, :2] == pytest.approx(starts(seeds, 2), rel=1e-15)
    assert len(np.unique(deep)) == deep.size
