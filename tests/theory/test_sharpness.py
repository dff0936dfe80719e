"""Where steps leave a quadratic, by the steps; how flat a minimiser can be, by Jacobians."""

from __future__ import annotations

import numpy as np
import pytest

from dlnsweep.theory import sharpness as theory

# The two sides of a threshold: a thousandth away, where a step's growth differs from 1 by 1e-5.
BESIDE = 1e-3


def growth(curvature: float, rate: float, momentum: float, *, nesterov: bool) -> float:
    """Return the spectral radius of one step (x, v) -> (x', v') as it is written."""

    def step(x: float, v: float) -> tuple[float, float]:
        v = momentum * v + curvature * x
        return x - rate * (curvature * x + momentum * v if nesterov else v), v

    columns = np.array([step(1.0, 0.0), step(0.0, 1.0)]).T
    return float(np.max(np.abs(np.linalg.eigvals(columns))))


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.9])
def test_steps_converge_below_the_threshold_and_not_above(momentum, nesterov):
    threshold = theory.stability_threshold(0.07, momentum, nesterov=nesterov)
    below, above = threshold * (1 - BESIDE), threshold * (1 + BESIDE)
    assert growth(below, 0.07, momentum, nesterov=nesterov) < 1 - 1e-6
    assert growth(above, 0.07, momentum, nesterov=nesterov) > 1 + 1e-6


def product(layers: list[np.ndarray]) -> np.ndarray:
    made = np.eye(layers[0].shape[1])
    for layer in layers:
        made = layer @ made
    return made


def sharpness(layers: list[np.ndarray]) -> float:
    """Return the largest eigenvalue of J J^T, J by every entry's own product."""
    columns = []
    for k, layer in enumerate(layers):
        for entry in np.ndindex(layer.shape):
            unit = np.zeros_like(layer)
            unit[entry] = 1.0
            columns.append(product([*layers[:k], unit, *layers[k + 1 :]]).ravel())
    jacobian = np.array(columns).T
    return float(np.linalg.eigvalsh(jacobian @ jacobian.T)[-1])


def minimiser(rng: np.random.Generator, target: np.ndarray, depth: int) -> list[np.ndarray]:
    """Return balanced layers with this product, from the singular value decomposition."""
    left, values, right = np.linalg.svd(target, full_matrices=False)
    root = np.diag(values ** (1 / depth))
    turns = [np.linalg.qr(rng.normal(size=root.shape))[0] for _ in range(depth - 1)]
    ends = [right, *turns]
    return [
        (left if k == depth - 1 else turns[k]) @ root @ (ends[k] if k == 0 else ends[k].T)
        for k in range(depth)
    ]


@pytest.mark.parametrize("shape", [(1, 4), (3, 4)])
@pytest.mark.parametrize("depth", [2, 5])
def test_no_minimiser_is_flatter_and_balanced_layers_are_as_flat(shape, depth):
    rng = np.random.default_rng(7)
    target = rng.normal(size=shape)
    largest = float(np.linalg.svd(target, compute_uv=False)[0])
    least = theory.least_sharpness(depth, largest)
    layers = minimiser(rng, target, depth)
    assert np.allclose(product(layers), target, rtol=0, atol=1e-12)
    # Rounding of a few products of small matrices.
    assert sharpness(layers) == pytest.approx(least, rel=1e-11)
    for size in (1e-3, 0.1, 1.0):
        # Another minimiser: what stands between two layers cancels in the product.
        between = np.eye(shape[0]) + size * rng.normal(size=(shape[0], shape[0]))
        other = [np.linalg.solve(between, layers[0]), layers[1] @ between, *layers[2:]]
        assert np.allclose(product(other), target, rtol=0, atol=1e-10)
        assert sharpness(other) >= least * (1 - 1e-11)
    # Both layers of the last one differ: it is not as flat.
    assert sharpness(other) > least * 1.01


def gradient(layers: list[np.ndarray], target: np.ndarray, decay: float) -> list[np.ndarray]:
    """Return the gradient of (1/2) ||W_L ... W_1 - X||^2 + (decay/2) sum ||W_l||^2."""
    rest = product(layers) - target
    return [
        product([np.eye(layer.shape[0]), *layers[k + 1 :]]).T
        @ rest
        @ product([np.eye(layers[0].shape[1]), *layers[:k]]).T
        + decay * layer
        for k, layer in enumerate(layers)
    ]


def descended(
    layers: list[np.ndarray], target: np.ndarray, rate: float, decay: float, steps: int
) -> float:
    """Return the norm of the gradient after so many steps."""
    for _ in range(steps):
        moves = gradient(layers, target, decay)
        layers = [layer - rate * move for layer, move in zip(layers, moves, strict=True)]
    return float(np.sqrt(sum(np.sum(each**2) for each in gradient(layers, target, decay))))


@pytest.mark.parametrize(("depth", "decay"), [(1, 0.0), (1, 0.3), (2, 0.0), (4, 0.0)])
def test_descent_ends_at_a_minimiser_below_the_limit_and_nowhere_above(depth, decay):
    rng = np.random.default_rng(3)
    left, right = (np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(2))
    largest = 1.5
    target = left @ np.diag([largest, 1.3, 1.1]) @ right
    limit = theory.stability_threshold(theory.flattest_minimiser(depth, largest, decay))
    layers = minimiser(rng, target / (1 + decay), depth)
    begun = [layer + 1e-4 * rng.normal(size=layer.shape) for layer in layers]
    # A step multiplies the leading direction by -0.96 and -1.04: in 400 steps by 1e-7 and 1e7.
    assert descended(begun, target, 0.98 * limit, decay, 400) < 1e-9
    # What leaves may overflow.
    with np.errstate(all="ignore"):
        assert not descended(begun, target, 1.02 * limit, decay, 400) < 1e-2


def test_of_several_layers_with_decay_no_flattest_minimiser_is_said():
    assert np.isnan(theory.flattest_minimiser(2, 1.0, 0.1))
