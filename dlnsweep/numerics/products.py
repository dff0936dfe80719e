"""Products of matrices in their full precision, and those that a step takes with its gradient.

What a product costs depends on how its factors lie in memory. XLA's library for the CPU (float64,
a core of an AMD EPYC, 64 neurons, 20 inputs, 200 samples) takes A B with up to 120 Gflop/s, but
half of that where A is read transposed, as in W^T Z, the gradient of W H by H, and up to a fifth
less where B is, as in Z X^T, that by W; and it works on 16 columns of A B at once, so that those of
Z X^T by 20 inputs take as long as 32 and more. So inside `for_gradients`

    multiply       writes W^T down before it is multiplied; in float64 X^T, too, once for all steps;
                   and makes X Z^T in place of Z X^T where neurons fill what is worked on and inputs
                   do not, and
    multiply_rows  makes rows of samples of columns, of which W^T's gradient is X Z, with as many
                   columns as there are neurons.

What is made there can be differentiated once in reverse, and then in any direction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from dlnsweep.numerics.lazy import jax, jnp, lax

# Columns of a product from which on it pays to write a transposed factor down, and samples from
# which on rows of them pay.
_FEWEST_COLUMNS, _FEWEST_SAMPLES = 16, 64
# Columns of a product that are worked on at once.
_AT_ONCE = 16
# What rows are taken for: a tenth of the products.
_LEAST_GAIN = 0.9
# What is traced.
_ONE, _ONE_OF_MANY = "a step", "a step of many"


@contextmanager
def for_gradients(*, same_inputs: bool = False) -> Iterator[None]:
    """Say that what is traced inside is for a gradient in reverse.

    Args:
        same_inputs: Whether it is that of one step of many, all of which have the same inputs.
    """
    with _traced()((_ONE, _ONE_OF_MANY)[same_inputs] if jax.default_backend() == "cpu" else ""):
        yield


@cache
def _traced() -> Any:
    """Return what says so, to JAX too: what `jax.jit` or a scan keeps of a function is of one."""
    return jax.make_user_context(default_value="")


def multiply(left: Float[Array, "*p q"], right: Float[Array, "q *r"]) -> Float[Array, "..."]:
    """Multiply matrices or vectors in their full precision (never TF32 on a GPU or bf16 on a TPU).

    Args:
        left: A matrix, a stack of such, or a vector.
        right: A matrix or a vector.
    """
    matrices = left.ndim == right.ndim == 2 and left.dtype == right.dtype
    if not _traced().value or not matrices or min(left.shape) == 1:
        return _plain(left, right)
    return _products()[0](left, right) if right.shape[1] >= _FEWEST_COLUMNS else _plain(left, right)


def rows_pay(weights: tuple[int, int], samples: int) -> bool:
    """Return whether two layers with one hidden between them are best trained by rows of samples.

    Args:
        weights: The number of hidden neurons and of inputs.
        samples: How many there are.
    """
    if not _traced().value or samples < _FEWEST_SAMPLES:
        return False
    # What the columns of a product cost, beside a number of them that is worked on at once.
    neurons, inputs = (-(-size // _AT_ONCE) * _AT_ONCE / size for size in weights)
    return 2 * neurons < _LEAST_GAIN * (1 + inputs)


def multiply_rows(weight: Float[Array, "k m"], inputs: Float[Array, "m n"]) -> Float[Array, "n k"]:
    """Return (W X)^T, for a gradient by W; X's is slow."""
    return _products()[1](weight, inputs)


def read_rows(weight: Float[Array, "d k"], rows: Float[Array, "n k"]) -> Float[Array, "d n"]:
    """Return W H^T."""
    return _products()[2](weight, rows)


def _plain(left: Any, right: Any) -> Any:
    return jnp.matmul(left, right, precision=lax.Precision.HIGHEST)


def _by_left(slopes: Any, right: Any, given: bool) -> Any:
    """Return Z X^T, the gradient of W X by W.

    Args:
        slopes: Z.
        right: X.
        given: Whether X is no function of what is trained.
    """
    rows, (columns, samples) = slopes.shape[0], right.shape
    if samples < _FEWEST_SAMPLES:
        return _plain(slopes, right.T)
    if _pieces(rows) < _LEAST_GAIN * _pieces(columns):
        return lax.optimization_barrier(_plain(right, slopes.T)).T
    # Once for all steps: XLA takes what no step changes out of their loop. In float32 its library
    # gains nothing by it (jax 0.10).
    once = given and _traced().value == _ONE_OF_MANY and slopes.dtype == np.float64
    return _plain(slopes, _written(right) if once else right.T)


def _pieces(columns: int) -> float:
    """Return what a number of columns costs beside as many in pieces that are filled.

    A last piece that is not filled is worked on in still smaller ones, which take as long as two.
    """
    whole, rest = divmod(columns, _AT_ONCE)
    return (whole + 2 * bool(rest)) * _AT_ONCE / columns


def _written(matrix: Any) -> Any:
    """Return the transposed matrix; else XLA would take the transposition into a product."""
    return lax.optimization_barrier(matrix.T)


@cache
def _products() -> tuple[Any, Any, Any]:
    """Return `multiply`, `multiply_rows` and `read_rows`, each with its gradients."""

    def gradients_of_multiply(left: Any, right: Any, slopes: Any, given: bool) -> tuple[Any, Any]:
        by_left = lambda: _by_left(slopes, right, given)  # noqa: E731
        return by_left, lambda: _plain(_written(left), slopes)

    def rows(weight: Any, inputs: Any) -> Any:
        return _plain(_written(inputs), weight.T)

    def gradients_of_rows(weight: Any, inputs: Any, slopes: Any, _: bool) -> tuple[Any, Any]:
        by_weight = lambda: lax.optimization_barrier(_plain(inputs, slopes)).T  # noqa: E731
        return by_weight, lambda: _plain(slopes, weight).T

    def read(weight: Any, rows: Any) -> Any:
        # Of one output the other way round, which XLA of jax 0.12 takes four times as fast.
        return _plain(rows, weight.T).T if weight.shape[0] == 1 else _plain(weight, rows.T)

    def gradients_of_read(weight: Any, rows: Any, slopes: Any, _: bool) -> tuple[Any, Any]:
        return lambda: _plain(slopes, rows), lambda: _plain(_written(slopes), weight)

    return (
        _differentiated(_plain, gradients_of_multiply),
        _differentiated(rows, gradients_of_rows),
        _differentiated(read, gradients_of_read),
    )


def _differentiated(product: Any, gradients: Any) -> Any:
    """Return a product with gradients, of which only those are made that are asked for."""
    found = jax.custom_vjp(product)

    def forward(left: Any, right: Any) -> Any:
        kept = left.value, right.value
        asked = tuple(None if each.perturbed else () for each in (left, right))
        return product(*kept), (kept, asked)

    def backward(residuals: Any, slopes: Any) -> Any:
        kept, asked = residuals
        made = gradients(*kept, slopes, asked[1] is not None)
        return tuple(
            make() if each is None else None for make, each in zip(made, asked, strict=True)
        )

    found.defvjp(forward, backward, symbolic_zeros=True)
    return found
