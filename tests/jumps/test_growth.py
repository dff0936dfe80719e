"""What grows off a saddle while nothing is seen of it: jumps leave the saddle when steps do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from two_products import RATE, TOLERANCE, motion, steps_of, walked

from dlnsweep.jumps.growth import growing, unseen
from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.runtime import numerics


@pytest.mark.parametrize(("target", "small", "decay", "momentum"), [
    (0.03, 1e-11, 1e-3, 0.0), (0.005, 1e-14, 1e-3, 0.0), (0.03, 1e-14, 0.0, 0.0),
    (0.03, 1e-18, 1e-6, 0.0), (0.003, 1e-11, 1e-3, 0.9), (0.003, 1e-14, 0.0, 0.9),
])  # fmt: skip
def test_a_saddle_is_left_when_steps_leave_it(
    target: float, small: float, decay: float, momentum: float
):
    """A product that was 1 from the start rests; the other is less than any jump's error beside it.

    It grows by a share g = eta (s - lambda) a step, over 1 - b with momentum. When half of the way,
    nine tenths and all of it is gone, relative to what it is: each of some hundred jumps may be
    wrong by the tolerance about, and by ten times that with momentum, of whose two parts the number
    that is carried along has one.
    """
    targets, begin = (1.0, target), [1.0, small, 1.0, 0.5 * small]
    time = np.log(1 / small) * (1 - momentum) / (RATE * (target - decay))
    stops = [int(share * time) for share in (0.5, 0.9, 1.0)]
    wanted = steps_of(targets, decay, momentum, begin, stops)
    with numerics():
        made = walked(motion(targets, decay, momentum), begin, stops)
    allowed = (10_000 if momentum else 1000) * TOLERANCE
    for walk, each in zip(made, wanted, strict=True):
        found = np.asarray(walk.point)
        assert found[1] * found[3] == pytest.approx(each[1] * each[3], rel=allowed)
    assert int(made[-1].steps) < stops[-1] / 2


def test_what_grows_is_found_from_the_vector_before():
    """A matrix whose least eigenvalue is a thousandth of the next, in size."""
    random = np.random.default_rng(5)
    turn, _ = np.linalg.qr(random.normal(size=(40, 40)))
    rates = np.concatenate([[-1e-4], random.uniform(0.02, 1.5, 5), np.linspace(0, 1e-3, 34)])
    matrix, time = turn * rates @ turn.T, 1e4
    inverse = turn / (1 / time + np.maximum(rates, 0.0)) @ turn.T
    before: Any = np.zeros(40)
    found: Any = None
    with numerics():
        for _ in range(4):
            found, before = growing(
                lambda y: -jnp.asarray(matrix) @ y, lambda y: jnp.asarray(inverse) @ y,
                jnp.zeros(40), jnp.asarray(time), jnp.asarray(before),
            )  # fmt: skip
    # By a share g h - 1 = 0 beside eigenvalues 1: a Ritz value from above, of 32 products.
    assert float(found) == pytest.approx(1e-4, rel=1e-6)


@pytest.mark.parametrize("sign", [0.0, 1.0])
def test_nothing_grows_where_curvature_is_not_negative(sign: float):
    with numerics():
        found, _ = growing(
            lambda y: -sign * y, lambda y: 10.0 * y, jnp.ones(7), jnp.asarray(10.0), jnp.zeros(7)
        )
    assert float(found) == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("decay", [0.0, 1e-3])
def test_the_number_moves_as_a_part_of_size_1_does(decay: float):
    rate, time, n = 2e-3, 500.0, 4
    k = time / n
    within = k if not decay else (1 - np.exp(-k * decay)) / decay
    part: Any = 1.0
    for _ in range(n):
        part = part + within * rate * part
    with numerics():
        found = unseen(jnp.asarray(rate), jnp.asarray(decay), jnp.asarray(time), jnp.asarray(n))
    assert float(found) == pytest.approx(part - 1, rel=1e-13)
