"""The fast part of layers by products of matrices, against explicit matrices in NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from dlnsweep.jumps.flow import TERMS, weights_of
from dlnsweep.jumps.layers import LayeredDescent, backward, carried, forward, layers_of, turned
from dlnsweep.jumps.walk import Motion, Walk, begun, walked
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.vectors import flat, like

SIZES = {1: (3, 4), 2: (3, 5, 4), 3: (3, 4, 5, 4), 4: (4, 5, 4, 6, 4)}


def drawn(depth: int, random: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """Return layers that are not balanced, and inputs."""
    sizes = SIZES[depth]
    weights = [random.normal(size=(b, a)) for a, b in itertools.pairwise(sizes)]
    return weights, random.normal(size=(sizes[0], 3))


def matrix(weights: list[np.ndarray], inputs: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return M, by Kronecker products of row-major entries."""
    blocks = []
    for i in range(len(weights)):
        left, right = np.eye(len(weights[-1])), inputs
        for weight in weights[:i]:
            right = weight @ right
        for weight in weights[:i:-1]:
            left = left @ weight
        blocks.append(np.sqrt(factors[i]) * np.kron(left, right.T))
    return np.hstack(blocks)


def logarithm(rate: np.ndarray) -> np.ndarray:
    return sum(rate**k / k for k in range(1, TERMS + 1))  # type: ignore[return-value]


@pytest.mark.parametrize("depth", SIZES)
@pytest.mark.parametrize("length", [0.3, 1e3, 1e7])
def test_a_velocity_is_carried_by_the_true_derivatives(depth: int, length: float):
    """However far the layers are from being balanced."""
    random = np.random.default_rng([3, depth])
    weights, inputs = drawn(depth, random)
    factors, decays = random.uniform(0.001, 0.01, depth), random.uniform(0, 1e-3, depth)
    decays[0] = 0.0
    # As beside the limit of stability.
    factors /= np.linalg.norm(matrix(weights, inputs, factors), 2) ** 2
    velocity = [random.normal(size=weight.shape) for weight in weights]
    with numerics():
        layers = layers_of(tuple(map(jnp.asarray, weights)), *map(jnp.asarray, (inputs, factors)))
        along = forward(layers, tuple(map(jnp.asarray, velocity)))
        back = flat(backward(layers, along))
        fast = turned(layers, jnp.asarray(decays), weights_of(TERMS))
        found = flat(carried(fast, jnp.asarray(length), tuple(map(jnp.asarray, velocity))))
    own, given = matrix(weights, inputs, factors), np.concatenate([v.ravel() for v in velocity])
    np.testing.assert_allclose(np.ravel(along), own @ given, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(back, own.T @ (own @ given), rtol=1e-13, atol=1e-14)
    # D is diagonal in the eigenvectors of the first and the last term.
    turns = []
    for part in (own[:, : weights[0].size], own[:, own.shape[1] - weights[-1].size :]):
        kernel = (part @ part.T).reshape(len(weights[-1]), 3, len(weights[-1]), 3)
        axes = (1, 3) if not turns else (0, 2)
        turns.append(np.linalg.eigh(np.trace(kernel, axis1=axes[0], axis2=axes[1]))[1])
    turn = np.kron(*turns)
    rates = np.diag(turn.T @ own @ own.T @ turn)
    inverse = turn @ np.diag(logarithm(rates) / rates) @ turn.T
    slow = np.repeat(logarithm(decays), [weight.size for weight in weights])
    safe = np.where(slow > 0, slow, 1.0)
    times = np.where(slow > 0, -np.expm1(-length * safe) / safe, length)
    wanted = np.linalg.solve(np.diag(1 / times) + own.T @ inverse @ own, given)
    # Both solve systems whose condition is up to the length.
    allowed = 1e-15 * max(1e4, length) * np.linalg.norm(wanted)
    assert np.linalg.norm(np.asarray(found) - wanted) < allowed


def test_balanced_layers_decay_as_their_flow_does():
    """Where all terms have the same eigenvectors, by the eigenvectors of M^T M."""
    random = np.random.default_rng(4)
    bases = [np.linalg.qr(random.normal(size=(4, 4)))[0] for _ in range(4)]
    values = np.diag([1.2, 0.9, 0.5, 0.2])
    weights = [after @ values @ before.T for before, after in itertools.pairwise(bases)]
    factors, length = np.full(3, 0.1), 50.0
    velocity = [random.normal(size=(4, 4)) for _ in range(3)]
    with numerics():
        layers = layers_of(tuple(map(jnp.asarray, weights)), jnp.eye(4), jnp.asarray(factors))
        fast = turned(layers, jnp.zeros(3), weights_of(TERMS))
        found = flat(carried(fast, jnp.asarray(length), tuple(map(jnp.asarray, velocity))))
    own = matrix(weights, np.eye(4), factors)
    rates, vectors = np.linalg.eigh(own.T @ own)
    along = vectors.T @ np.concatenate([v.ravel() for v in velocity])
    wanted = vectors @ (length / (1 + length * logarithm(np.maximum(rates, 0))) * along)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-11)


def test_a_walk_is_the_steps():
    """24 by 24 entries, rank 2, from small layers that are not balanced; by NumPy, step by step."""
    size, depth, rate, steps = 24, 3, 4e-3, 20_000
    random = np.random.default_rng(5)
    target = random.normal(size=(size, 2)) @ random.normal(size=(2, size))
    target *= 12 / np.linalg.norm(target)
    weights = [random.normal(size=(size, size)) * 0.3 / size**0.5 for _ in range(depth)]
    shapes = tuple((size, size) for _ in range(depth))

    def loss(vector: Any) -> Any:
        product = jnp.eye(size)
        for weight in like(vector, shaped):
            product = jnp.matmul(weight, product)
        return jnp.sum((product - target) ** 2) / 2

    def descent(vector: Any) -> Any:
        return -rate * jax.grad(loss)(vector)

    def advance(walk: Walk, stop: Any) -> Walk:
        point = jax.lax.fori_loop(walk.now, stop, lambda _, x: x + descent(x), walk.point)
        return walk._replace(point=point, now=stop, steps=walk.steps + stop - walk.now)

    with numerics():
        shaped = tuple(jnp.zeros(shape) for shape in shapes)
        rule = LayeredDescent(shapes)
        motion = Motion(
            rule=rule,
            descent=descent,
            derivatives=lambda x: layers_of(like(x, shaped), jnp.eye(size), jnp.full(depth, rate)),
            size=lambda x: jnp.sqrt(2 * loss(x)),
            roots=jnp.full(depth * size**2, rate**0.5),
            decays=jnp.zeros(depth * size**2),
            advance=advance,
            dearness=100,
        )
        walk = begun(rule, flat(tuple(map(jnp.asarray, weights))))
        go = jax.jit(
            lambda w: walked(
                motion, w, jnp.int64(steps), jnp.asarray(1e-8), weights_of(TERMS), jnp.int64(10**9)
            )
        )
        found = [np.asarray(each) for each in like(go(walk)[0].point, shaped)]
        taken, jumps = (int(getattr(go(walk)[0], name)) for name in ("steps", "jumps"))
    for _ in range(steps):
        first = weights[1] @ weights[0]
        residual = weights[2] @ first - target
        back = weights[2].T @ residual
        gradients = [weights[1].T @ back, back @ weights[0].T, residual @ first.T]
        weights = [w - rate * g for w, g in zip(weights, gradients, strict=True)]
    assert taken < 2000
    assert 0 < jumps < 40
    for mine, judge in zip(found, weights, strict=True):
        assert np.linalg.norm(mine - judge) < 1e-7 * np.linalg.norm(judge)
