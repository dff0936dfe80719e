"""Functions that are faster than XLA's are right to a few units in the last place."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from dlnsweep.numerics import elementary
from dlnsweep.numerics.runtime import numerics

# NumPy's long double has 64 bits of 53: a reference to 2^-11 of a unit in the last place.
LONG = np.longdouble
RANDOM = np.random.default_rng(25)
ROOT_PI = Decimal("3.14159265358979323846264338327950288419716939937510").sqrt()
OTHERS = np.array([0.0, -0.0, np.inf, np.nan, 1e-300, 1e308, 40.0, -40.0, 720.0])
# Derivatives are made of numbers that are right to five units, by some ten operations.
OF_DERIVATIVES = 5e-15


def units(found: Any, wanted: np.ndarray) -> np.ndarray:
    """Return the distances in units of the last place of what is wanted."""
    apart = np.abs(np.asarray(found).astype(LONG) - wanted)
    return (apart / np.spacing(np.abs(wanted.astype(float))).astype(LONG)).astype(float)


def complement(x: Decimal) -> Decimal:
    """Return erfc x to 30 digits: the series up to 3, from there the continued fraction."""
    if x <= 3:
        total, term, k = Decimal(0), x, 0
        while abs(term) > Decimal("1e-50") * max(abs(total), Decimal("1e-300")):
            total += term / (2 * k + 1)
            k += 1
            term *= -x * x / k
        return 1 - 2 * total / ROOT_PI
    # (Abramowitz and Stegun 1964, 7.1.14)
    tail = x
    for k in range(300, 0, -1):
        tail = x + Decimal(k) / 2 / tail
    return (-x * x).exp() / ROOT_PI / tail


def called(function: Any, x: np.ndarray) -> Any:
    with numerics():
        return jax.tree.map(np.asarray, jax.jit(function)(x))


def long(digits: list[Decimal]) -> np.ndarray:
    return np.array([LONG(f"{each:.25e}") for each in digits])


def test_erf_is_right_to_two_units():
    x = np.concatenate([RANDOM.uniform(-1.2, 1.2, 400), RANDOM.uniform(-6, 6, 300), [1e-8, -1.0]])
    with localcontext() as context:
        context.prec = 60
        wanted = long([1 - complement(Decimal(each)) for each in x])
    assert units(called(elementary.erf, x), wanted).max() < 2


def test_gelu_is_right_to_six_units_far_down_its_tail():
    z = np.concatenate(
        [RANDOM.uniform(-1.5, 3, 300), RANDOM.uniform(-8, 8, 200), RANDOM.uniform(-36, -8, 200)]
    )
    with localcontext() as context:
        context.prec = 60
        exact = [Decimal(each) for each in z]
        wanted = long([each * complement(-each / Decimal(2).sqrt()) / 2 for each in exact])
    assert units(called(elementary.gelu, z), wanted).max() < 6


def test_softplus_and_its_derivative_are_right_to_three_units():
    z = np.concatenate([RANDOM.uniform(-1, 1, 3000), RANDOM.uniform(-40, 40, 3000),
                        RANDOM.uniform(-700, 700, 1000)])  # fmt: skip
    exact = z.astype(LONG)
    wanted = np.maximum(exact, 0) + np.log1p(np.exp(-np.abs(exact)))
    assert units(called(elementary.softplus, z), wanted).max() < 3
    slopes = called(jax.vmap(jax.grad(elementary.softplus)), z)
    assert units(slopes, 1 / (1 + np.exp(-exact))).max() < 3


@pytest.mark.parametrize("name", ["erf", "gelu", "softplus"])
def test_what_is_no_ordinary_number_is_as_by_jax(name: str):
    with elementary.by_primitives():
        wanted = called(lambda z: getattr(elementary, name)(z), OTHERS)
    np.testing.assert_array_equal(called(getattr(elementary, name), OTHERS), wanted)


def _bell(z: np.ndarray) -> np.ndarray:
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


FIRST = {
    "erf": lambda z: 2 / np.sqrt(np.pi) * np.exp(-(z**2)),
    "gelu": lambda z: special.ndtr(z) + z * _bell(z),
    "softplus": special.expit,
}
SECOND = {
    "erf": lambda z: -4 / np.sqrt(np.pi) * z * np.exp(-(z**2)),
    "gelu": lambda z: (2 - z**2) * _bell(z),
    "softplus": lambda z: special.expit(z) * special.expit(-z),
}


@pytest.mark.parametrize("name", FIRST)
def test_derivatives_are_right_in_reverse_and_forward_over_it(name: str):
    z = np.concatenate([RANDOM.normal(size=500), RANDOM.uniform(-20, 20, 200), [0.0]])
    slope = jax.grad(getattr(elementary, name))
    forward = lambda z: jax.jvp(slope, (z,), (jnp.ones_like(z),))[1]  # noqa: E731
    for made, wanted in ((slope, FIRST[name](z)), (forward, SECOND[name](z))):
        found = called(jax.vmap(made), z)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=OF_DERIVATIVES)


@pytest.mark.parametrize("name", ["erf", "gelu", "softplus"])
def test_float32_is_xlas(name: str):
    z = RANDOM.normal(size=500).astype(np.float32)
    plain = {"erf": jax.lax.erf, "gelu": lambda z: jax.nn.gelu(z, approximate=False),
             "softplus": jax.nn.softplus}  # fmt: skip
    found = called(getattr(elementary, name), z)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, called(plain[name], z))


def test_what_reads_a_trace_finds_primitives():
    with numerics():
        ours = str(jax.make_jaxpr(elementary.erf)(1.0))
        with elementary.by_primitives():
            theirs = str(jax.make_jaxpr(elementary.erf)(1.0))
    assert "bitcast" in ours
    assert "= erf " in theirs
    assert "bitcast" not in theirs
