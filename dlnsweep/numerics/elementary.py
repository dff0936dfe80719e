r"""erf, gelu and softplus in float64 by few terms, which a CPU takes fast.

XLA's own take several times as long there, most of all with their gradients: they are made of
branches, all of which are computed. With words of no other meaning than here,

    e^-s = 2^n e^r,    n an integer, |r| <= (ln 2) / 2;
    erfc x = e^(-x^2) G(q) / (x + 4),    q = (x - 4) / (x + 4),    x >= 0;
    log(1 + w) = 2 s A(s^2),    s = w / (2 + w), A(v) = atanh(v^1/2) / v^1/2.

(Shepherd and Laframboise 1981, Mathematics of Computation 36, map the half-line by q.) e^r, G, A
and, up to x = 1, erf x / x are polynomials that interpolate in Chebyshev's points, 60 digits or
more: to 1.7e-17, to 1.4e-16 up to x = 27.5, to 4.6e-18 and to 1.3e-19. e^-s below 3e-308 is 0.
What is not float64, or not on a CPU, is XLA's to compute. All can be differentiated as often as one
likes: derivatives are made of what the functions have made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from dlnsweep.numerics.lazy import jax, jnp, lax

Reals = Float[Array, "..."]

# ln 2 as a number of 40 bits, whose products with n are exact, and the rest.
_LN2, _LN2_REST = float.fromhex("0x1.62e42fefa2000p-1"), float.fromhex("0x1.9ef35793c7673p-41")
# Adding it to an integer leaves that in the lowest bits of the sum.
_MAGIC = 6755399441055744.0  # 1.5 * 2^52
_LARGEST = 708.0
# Of e^r - 1 - r over r^2.
_EXPONENTIAL = (
    0.5000000000000019, 0.1666666666666668, 0.04166666666648795, 0.008333333333319589,
    0.0013888888952352863, 0.00019841269890076403, 2.4801485441561313e-05, 2.755724088722987e-06,
    2.763265472252779e-07, 2.511004920481866e-08,
)  # fmt: skip
# Of erf x over x, the first apart.
_SLOPE = 1.1283791670955126
_NEAR = (
    -0.3761263890318375, 0.11283791670954879, -0.026866170645076792,
    0.0052239776248180145, -0.000854832698083379, 0.0001205533111164271, -1.4925595266831182e-05,
    1.6461000484121368e-06, -1.6350312701054695e-07, 1.4659775274047436e-08,
    -1.1372848856791674e-09, 5.957176147748911e-11,
)  # fmt: skip
_FAR = (
    1.095995661000491, -0.976548729080882, 0.7732087022652447, -0.5408538313132358,
    0.33085158787759567, -0.1740109372400729, 0.07638151491814321, -0.026370053335044292,
    0.006112055560310095, -0.00028095894235236437, -0.00045505209422397325, 0.00017681340298725465,
    -3.6373673231797127e-06, -1.8863471119694955e-05, 4.699347438526199e-06, 1.4310763508529521e-06,
    -8.524844332457512e-07, -8.640569831701434e-08, 1.2770365612890532e-07, 1.0257167711219558e-08,
    -1.5053200120204315e-08, -3.274401510362946e-09,
)  # fmt: skip
_FARTHEST = 27.5
# Of A less 1.
_LOGARITHM = (
    0.3333333333333307, 0.2000000000009359, 0.14285714272637373, 0.11111112046038372,
    0.090908702118891, 0.07693311488208962, 0.06650126836781005, 0.060555724848537,
    0.04160068485466246, 0.08526225600197067,
)  # fmt: skip


@contextmanager
def by_primitives() -> Iterator[None]:
    """Say that what is traced inside has JAX's own functions: what reads them has better ones."""
    with _asked()(True):
        yield


@cache
def _asked() -> Any:
    """Return what says so, to JAX too: what `jax.jit` or a scan keeps of a function is of one."""
    return jax.make_user_context(default_value=False)


def _ours(z: Reals) -> bool:
    return z.dtype == np.float64 and jax.default_backend() == "cpu" and not _asked().value


def erf(z: Reals) -> Reals:
    """Return (2 / sqrt pi) int_0^z exp(-s^2) ds."""
    return _functions()["erf"](z)[0] if _ours(z) else lax.erf(z)


def gelu(z: Reals) -> Reals:
    """Return z Phi(z), with the distribution function of the standard normal distribution."""
    return z * _functions()["normal"](z)[0] if _ours(z) else jax.nn.gelu(z, approximate=False)


def softplus(z: Reals) -> Reals:
    """Return log(1 + exp z)."""
    return _functions()["softplus"](z)[0] if _ours(z) else jax.nn.softplus(z)


def _polynomial(coefficients: Sequence[float], x: Reals) -> Reals:
    """Return sum_k c_k x^k, even and odd terms by themselves: a term waits for half the others."""

    def summed(coefficients: Sequence[float], x: Reals) -> Reals:
        total = jnp.full_like(x, coefficients[-1])
        for each in coefficients[-2::-1]:
            total = total * x + each
        return total

    square = x * x
    return summed(coefficients[::2], square) + x * summed(coefficients[1::2], square)


def _decay(s: Reals, rest: Reals | float = 0.0) -> Reals:
    """Return e^-(s + rest) for s >= 0 and a far smaller rest."""
    x = jnp.minimum(s, _LARGEST)
    n = lax.round(x * (-1 / math.log(2)), lax.RoundingMethod.TO_NEAREST_EVEN)
    r = (-x - n * _LN2) - (n * _LN2_REST + rest)
    bits = lax.bitcast_convert_type(n + _MAGIC, jnp.int64)
    scale = lax.bitcast_convert_type((1023 << 52) - (bits << 52), jnp.float64)
    e = r + r * r * _polynomial(_EXPONENTIAL, r)
    # What XLA finds cheap it makes again wherever it is read, some versions behind a barrier, too;
    # quotients are dear, and this one is exact.
    return _kept((1.0 + e) / jnp.where(s > _LARGEST, jnp.inf, scale))


def _kept(x: Reals) -> Reals:
    """Return the same, made once."""
    return lax.optimization_barrier(x)


def _tail(x: Reals, decay: Reals) -> Reals:
    """Return erfc x of x >= 0 and e^(-x^2)."""
    x = jnp.minimum(x, _FARTHEST)
    inverse = 1 / (x + 4.0)
    return decay * (_polynomial(_FAR, (x - 4.0) * inverse) * inverse)


def _error_function(z: Reals) -> tuple[Reals, Reals]:
    """Return erf z, and e^(-z^2)."""
    x, square = jnp.abs(z), z * z
    decay = _decay(square)
    far = 1.0 - _tail(x, decay)
    far = jnp.where(z < 0, -far, far)
    near = z * _SLOPE + z * square * _polynomial(_NEAR, square)
    return jnp.where(x > 1.0, far, near), decay


def _normal(z: Reals) -> tuple[Reals, Reals]:
    """Return the distribution function and the density of the standard normal distribution."""
    x = jnp.minimum(jnp.abs(z), 40.0)
    # x^2 as a sum of two, of which the first is exact: e to that power magnifies what is rounded.
    bits = lax.bitcast_convert_type(x, jnp.int64) & ~((1 << 27) - 1)
    high = lax.bitcast_convert_type(bits, jnp.float64)
    decay = _decay(0.5 * high * high, 0.5 * (x - high) * (x + high))
    below = 0.5 * _tail(x * 0.5**0.5, decay)
    found = _kept(jnp.where(z > 0, 1.0 - below, below))
    return found, decay * (2 * math.pi) ** -0.5


def _soft(z: Reals) -> tuple[Reals, Reals, Reals]:
    """Return log(1 + e^z), its derivative p = 1 / (1 + e^-z), and 1 - p."""
    small = _decay(jnp.abs(z))
    s = small / (2.0 + small)
    square, twice = s * s, 2.0 * s
    value = jnp.maximum(z, 0.0) + (twice + twice * square * _polynomial(_LOGARITHM, square))
    larger = 1 / (1.0 + small)
    smaller = small * larger
    return value, jnp.where(z > 0, larger, smaller), jnp.where(z > 0, smaller, larger)


def _slopes_of_error_function(z: Reals, erf: Reals, decay: Reals) -> tuple[Reals, Reals]:
    del erf
    return 2 / math.pi**0.5 * decay, -2.0 * z * decay


def _slopes_of_normal(z: Reals, below: Reals, density: Reals) -> tuple[Reals, Reals]:
    del below
    return density, -z * density


def _slopes_of_soft(z: Reals, value: Reals, p: Reals, rest: Reals) -> tuple[Reals, Reals, Reals]:
    del z, value
    curvature = p * rest
    return p, curvature, -curvature


@cache
def _functions() -> dict[str, Callable[[Reals], tuple[Reals, ...]]]:
    """Return functions of several results, with the derivative of each in terms of all."""
    return {
        "erf": _differentiated(_error_function, _slopes_of_error_function),
        "normal": _differentiated(_normal, _slopes_of_normal),
        "softplus": _differentiated(_soft, _slopes_of_soft),
    }


def _differentiated(function: Any, slopes: Any) -> Any:
    found = jax.custom_jvp(function)

    @found.defjvp
    def derivative(primals: tuple[Reals], tangents: tuple[Reals]) -> tuple[Any, Any]:
        made = found(*primals)
        return made, tuple(each * tangents[0] for each in slopes(*primals, *made))

    return found
