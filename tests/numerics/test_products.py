"""Products that a step takes with its gradient: beside those that JAX would differentiate."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dlnsweep.numerics import products
from dlnsweep.numerics.products import for_gradients, multiply, multiply_rows, read_rows, rows_pay
from dlnsweep.numerics.runtime import numerics

# float64: sums of some ten terms in another order.
ROUNDING = 1e-13
_DRAWN = np.random.default_rng(0)
FIRST, SECOND = _DRAWN.standard_normal((32, 20)), _DRAWN.standard_normal((3, 32))
INPUTS, TARGETS = _DRAWN.standard_normal((20, 70)), _DRAWN.standard_normal((3, 70))


def by_columns(weights: Any, inputs: Any) -> Any:
    return multiply(weights[1], jnp.tanh(multiply(weights[0], inputs)))


def by_rows(weights: Any, inputs: Any) -> Any:
    return read_rows(weights[1], jnp.tanh(multiply_rows(weights[0], inputs)))


def of_numpy(weights: Any, inputs: Any) -> Any:
    return weights[1] @ jnp.tanh(weights[0] @ inputs)


def loss(outputs: Any) -> Any:
    return lambda *arrays: 0.5 * jnp.sum((outputs(*arrays) - TARGETS) ** 2)


def gradient_by_left(rows: int, columns: int, samples: int, dtype: Any = np.float64) -> Any:
    """Return the gradient of half the squared entries of W X by W, of X that is given."""
    drawn = np.random.default_rng(rows)
    weight = jnp.asarray(drawn.standard_normal((rows, columns)), dtype)
    values = jnp.asarray(drawn.standard_normal((columns, samples)), dtype)

    def gradient(weight: Any) -> Any:
        return jax.grad(lambda w: 0.5 * jnp.sum(multiply(w, values) ** 2))(weight)

    return gradient, weight, np.asarray(values)


def same(found: Any, wanted: Any) -> None:
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        size = np.abs(np.asarray(other)).max()
        np.testing.assert_allclose(one, other, rtol=ROUNDING, atol=ROUNDING * size)


@pytest.mark.parametrize("outputs", [by_columns, by_rows])
def test_gradients_are_those_of_plain_products(outputs: Any):
    with numerics():
        weights, inputs = (jnp.asarray(FIRST), jnp.asarray(SECOND)), jnp.asarray(INPUTS)
        wanted = jax.value_and_grad(loss(of_numpy), argnums=(0, 1))(weights, inputs)
        with for_gradients():
            # By the weights alone, too: no gradient by the inputs is made then.
            same(jax.value_and_grad(loss(outputs))(weights, inputs), (wanted[0], wanted[1][0]))
            same(jax.value_and_grad(loss(outputs), argnums=(0, 1))(weights, inputs), wanted)


@pytest.mark.parametrize("outputs", [by_columns, by_rows])
def test_gradients_can_be_differentiated_along_a_direction_and_by_lanes(outputs: Any):
    with numerics():
        weights, inputs = (jnp.asarray(FIRST), jnp.asarray(SECOND)), jnp.asarray(INPUTS)
        along = jax.tree.map(jnp.cos, weights)

        def slopes(outputs: Any) -> Any:
            return jax.jvp(lambda w: jax.grad(loss(outputs))(w, inputs), (weights,), (along,))

        def lanes(outputs: Any) -> Any:
            two = jax.tree.map(lambda w: jnp.stack([w, 2 * w]), weights)
            return jax.vmap(lambda w: jax.grad(loss(outputs))(w, inputs))(two)

        wanted = slopes(of_numpy), lanes(of_numpy)
        with for_gradients():
            same((slopes(outputs), lanes(outputs)), wanted)


def test_a_transposed_factor_is_written_down_for_gradients_alone():
    with numerics():

        def text(rows: int, columns: int) -> str:
            weight, values = jnp.ones((rows, 20)), jnp.ones((20, columns))
            return str(
                jax.make_jaxpr(jax.grad(lambda v: jnp.sum(multiply(weight, v) ** 2)))(values)
            )

        barrier = "optimization_barrier"
        assert barrier not in text(32, 70)
        with for_gradients():
            assert barrier in text(32, 70)
            # A row is its own transpose, and few columns are not worth it.
            assert barrier not in text(1, 70)
            assert barrier not in text(32, 5)


@pytest.mark.parametrize("same_inputs", [False, True])
@pytest.mark.parametrize("shape", [(64, 20), (50, 100), (30, 48), (1, 70), (64, 1)])
@pytest.mark.parametrize("samples", [5, 70, 200])
def test_the_gradient_by_the_left_factor_is_right_however_it_is_made(
    shape: tuple[int, int], samples: int, same_inputs: bool
):
    with numerics():
        gradient, weight, values = gradient_by_left(*shape, samples)
        wanted = (np.asarray(weight) @ values) @ values.T
        with for_gradients(same_inputs=same_inputs):
            same(jax.jit(gradient)(weight), wanted)


def test_how_the_gradient_by_the_left_factor_is_made():
    def barriers(
        rows: int, columns: int, samples: int, *, same_inputs: bool = True, dtype: Any = np.float64
    ) -> list[Any]:
        with numerics(), for_gradients(same_inputs=same_inputs):
            gradient, weight, _ = gradient_by_left(rows, columns, samples, dtype)
            equations = jax.make_jaxpr(gradient)(weight).eqns
        found = [e for e in equations if e.primitive.name == "optimization_barrier"]
        return [each.outvars[0].aval.shape for each in found]

    # X^T, where all steps have the same X; X Z^T where neurons fill what is worked on at once.
    assert barriers(50, 100, 200) == [(200, 100)]
    assert barriers(50, 100, 200, same_inputs=False) == []
    assert barriers(64, 20, 200) == barriers(64, 20, 200, same_inputs=False) == [(20, 64)]
    assert barriers(64, 20, 200, dtype=np.float32) == [(20, 64)]
    # In float32 X^T is not worth it, nor is anything of few samples.
    assert barriers(50, 100, 200, dtype=np.float32) == []
    assert barriers(64, 20, 20) == []


def test_rows_pay_where_inputs_do_not_fill_what_is_worked_on_at_once():
    assert not rows_pay((64, 20), 200)
    with for_gradients():
        assert rows_pay((64, 20), 200)
        # Neurons that do not fill it either, inputs that do, and few samples.
        assert not rows_pay((50, 20), 200)
        assert not rows_pay((50, 100), 1000)
        assert not rows_pay((64, 32), 200)
        assert not rows_pay((64, 20), 20)


def test_what_is_not_of_matrices_stays_a_plain_product(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(products, "_products", lambda: pytest.fail("it was not plain"))
    with numerics(), for_gradients():
        matrix, vector = jnp.ones((32, 20)), jnp.ones(20)
        assert multiply(matrix, vector).shape == (32,)
        assert multiply(jnp.stack([matrix, matrix]), jnp.ones((20, 70))).shape == (2, 32, 70)


@pytest.mark.parametrize("repeated", [False, True])
def test_a_function_that_is_kept_compiled_can_be_differentiated_forward_too(repeated: bool):
    """JAX keeps what it traced of one, which is for gradients in reverse or is not."""

    @jax.jit
    def outputs(weight: Any, values: Any) -> Any:
        return jnp.tanh(multiply(weight, values))

    def add(carry: Any, _: Any) -> Any:
        sums, weight, values = carry
        return (sums + outputs(weight, values), weight, values), None

    def summed(weight: Any, values: Any) -> Any:
        if not repeated:
            return outputs(weight, values)
        return lax.scan(add, (jnp.zeros((32, 70)), weight, values), length=2)[0][0]

    def slopes(values: Any) -> Any:
        return jax.grad(lambda v: summed(weight, v).sum())(values)

    with numerics():
        weight, values = jnp.asarray(FIRST), jnp.asarray(INPUTS)
        with for_gradients():
            assert "optimization_barrier" in str(jax.make_jaxpr(slopes)(values))
        found = jax.jvp(lambda w: summed(w, values), (weight,), (weight,))[1]
        once = (1 - np.tanh(FIRST @ INPUTS) ** 2) * (FIRST @ INPUTS)
        same(found, (1 + repeated) * once)
        with for_gradients():
            # What was traced outside is not taken here.
            assert "optimization_barrier" in str(jax.make_jaxpr(slopes)(values))
