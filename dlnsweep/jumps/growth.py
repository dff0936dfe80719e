"""What grows where nothing is seen of it: at a saddle, off which a part is smaller than all errors.

A jump is held to errors beside the whole of the parameters, and a part that is much smaller is held
to nothing: where all else rests jumps would grow longer from one to the next, and what leaves the
saddle, by a factor e^{g h} in h steps, would leave it late; both walks of a run alike, so that no
estimate shows it. So each jump carries a number along with the parameters and is held to its error,
too. It is what a part of size 1 would be that grows by g a step, by the same steps,

    c <- c (1 + b g),    b = (1 - e^{-k d}) / d,    c = 1 at first,

for d the decay that `fast.py` takes it to have. With -A the Jacobian of f and v the vector of the
least eigenvalue of Phi(h) (1 / h + A), g = -v^T A v / v^T v: by a few products of Lanczos' method
that begin with the vector of the jump before. A jump of some order is then as long, times g, as it
is where what grows is seen.
"""

from __future__ import annotations

from jaxtyping import Array, Float, Int

from dlnsweep.jumps.fast import phi
from dlnsweep.jumps.flow import Vector
from dlnsweep.jumps.projection import Map, projected
from dlnsweep.numerics.krylov import generic_vectors
from dlnsweep.numerics.lazy import jax, jnp

# Products with A a jump.
_PRODUCTS = 8
# How much of a generic vector is added to that of the jump before.
_GENERIC = 0.1
# Where a part would grow by more than e^50 it is no longer small.
_MOST = 50.0


def growing(
    pull: Map, precondition: Map, point: Vector, time: Float[Array, ""], before: Vector
) -> tuple[Float[Array, ""], Vector]:
    """Return g, not below 0, and P^{-1} v for the next jump.

    Args:
        pull: f, of y.
        precondition: Multiplies by P = Phi(h).
        point: y.
        time: h.
        before: P^{-1} v of the jump before, or 0.
    """
    along = jax.linearize(pull, point)[1]
    generic = generic_vectors(1, point.size)[0].astype(point.dtype)
    generic = generic / jnp.linalg.norm(generic)
    start = jnp.where(jnp.any(before != 0), before + _GENERIC * generic, generic)
    found = projected(lambda y: y / time - along(y), precondition, start, _PRODUCTS)
    size = jnp.sum(found.along**2)
    rate = 1 / time - found.least / jnp.where(size > 0, size, 1.0)
    length = jnp.linalg.norm(found.dual)
    dual = found.dual / jnp.where(length > 0, length, 1.0)
    known = jnp.isfinite(rate) & jnp.all(jnp.isfinite(dual))
    return jnp.where(known, jnp.maximum(rate, 0.0), 0.0), jnp.where(known, dual, 0.0)


def unseen(
    rate: Float[Array, ""], decay: Float[Array, ""], time: Float[Array, ""], n: Int[Array, ""]
) -> Float[Array, ""]:
    """Return what n steps of a jump of length h add to c.

    Args:
        rate: g.
        decay: d.
        time: h.
        n: n.
    """
    return jnp.expm1(n * jnp.log1p(rate * phi(decay, time / n)))


def least_error(
    difference: Float[Array, ""], rate: Float[Array, ""], time: Float[Array, ""]
) -> Float[Array, ""]:
    """Return an error of c, over what it has become."""
    return jnp.abs(difference) * jnp.exp(-jnp.minimum(rate * time, _MOST))
