"""E s(u . x) s(v . x) over x ~ N(0, I), from the inner products of u and v alone.

linear       u.v
quadratic    |u|^2 |v|^2 + 2 (u.v)^2                                      s(z) = z^2, by Isserlis
erf          (2/pi) arcsin(u.v / sqrt((1 + |u|^2) (1 + |v|^2)))           s(z) = erf(z / sqrt 2)
relu         (|u| |v| sin t + (pi - t) u.v) / (2 pi)                      t the angle of u and v

erf: as in Saad and Solla 1995, Phys. Rev. E 52, 4225; relu: the arc-cosine kernel of degree 1 of
Cho and Saul 2009. The texts were not at hand: tests hold all of them against quadrature.

ReLU's derivatives are written out. With N = |u| |v| and f the moment,

    df/d(u.v) = (pi - t) / (2 pi)         df/d|u|^2 = N sin t / (4 pi |u|^2)

where automatic differentiation would divide by sin t, which cancels: parallel vectors are
harmless. N sin t is the root of a difference, and near zero only accurate to sqrt(eps) N; since it
makes the t of all three formulas, its error enters them to second order only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import pi
from typing import TYPE_CHECKING, Any

from dlnsweep.numerics.lazy import jax, jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    Grams = Float[Array, "p q"]
    Moment = Callable[[Grams, Grams, Grams], Grams]


def _linear(uu: Grams, vv: Grams, uv: Grams) -> Grams:
    del uu, vv
    return uv


def _quadratic(uu: Grams, vv: Grams, uv: Grams) -> Grams:
    return uu * vv + 2 * uv**2


def _erf(uu: Grams, vv: Grams, uv: Grams) -> Grams:
    # Rounding must not put parallel vectors of infinite length beyond arcsin's domain.
    ratio = uv / jnp.sqrt((1 + uu) * (1 + vv))
    return 2 / pi * jnp.arcsin(jnp.clip(ratio, -1.0, 1.0))


def _angle(uu: Grams, vv: Grams, uv: Grams) -> tuple[Grams, Grams]:
    """Return |u| |v| sin t and t, whose derivatives are finite where t is 0.

    The square of the first is (N - u.v) (N + u.v). In that form it is the same number wherever a
    program computes it again, which uu vv - uv^2 is not where a product and a difference are one
    instruction; and of a vector with itself it is 0.
    """
    lengths = uu * vv
    known = lengths > 0
    norms = jnp.where(known, jnp.sqrt(jnp.where(known, lengths, 1.0)), 0.0)
    square = (norms - uv) * (norms + uv)
    apart = square > 0
    height = jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1.0)), 0.0)
    # The angle with a vector of length zero is that of none.
    return height, jnp.where(known, jnp.arctan2(height, jnp.where(known, uv, 1.0)), 0.0)


@lru_cache(maxsize=1)
def _relu() -> Moment:
    """Return ReLU's moment, made on first use: decorating would load JAX."""

    @jax.custom_jvp
    def moment(uu: Grams, vv: Grams, uv: Grams) -> Grams:
        height, angle = _angle(uu, vv, uv)
        return (height + (pi - angle) * uv) / (2 * pi)

    def tangent(at: Any, along: Any) -> tuple[Grams, Grams]:
        (uu, vv, uv), (duu, dvv, duv) = at, along
        height, angle = _angle(uu, vv, uv)
        first, second = (
            jnp.where(square > 0, height / jnp.where(square > 0, square, 1.0), 0.0)
            for square in (uu, vv)
        )
        moved = (first * duu + second * dvv) / 2 + (pi - angle) * duv
        return moment(uu, vv, uv), moved / (2 * pi)

    moment.defjvp(tangent)
    return moment


def moment_of(activation: str) -> Moment:
    """Return E s(u . x) s(v . x) as a function of |u|^2, |v|^2 and u.v, entry by entry."""
    if activation == "relu":
        return _relu()
    return {"linear": _linear, "quadratic": _quadratic, "erf": _erf}[activation]
