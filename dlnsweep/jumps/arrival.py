"""Where a run has arrived: from there on nothing moves but what only decays.

At rest under weight decay the residual is of the size of lambda, and what it adds to the curvature
is as large as lambda itself: of slow parts the Gauss-Newton Jacobian of `fast.py` is wrong by its
own size, so that no jump converges that is many time constants 1 / (eta lambda) long. But nothing
is left to be followed there. A step of Phi(h) F, however long h is,

- lets what only decays do so exactly, since it meets no curvature but its decay, and what is fast
  follow what is slow;
- moves what is slow by its velocity over eta lambda. By a linearly implicit step with the true
  Jacobian -A of f that would be (1 / h + A)^{-1} f: the way that is left from where Phi(h) F led.

So a run is held where that way is shorter than what a jump may be wrong by. It is found by Lanczos'
method with Phi(h) as preconditioner: in slow directions Phi(h) A is 1 + C / (eta lambda), with C
the residual's part of the curvature, and in fast ones about 1.

A saddle looks the same where what will leave it is less than what is looked at: it has directions
of negative curvature. So the least eigenvalue of Phi(h) (1 / h + A) is looked at, from a generic
start, too. A part that grows by g a step makes it less than -(g / (eta lambda) - 1 / (h eta
lambda)); what is let pass, by `_HELD`, needs thousands of time constants to grow from rounding to
what can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.jumps.flow import Vector
from dlnsweep.jumps.projection import Map, projected
from dlnsweep.numerics.krylov import generic_vectors
from dlnsweep.numerics.lazy import jax, jnp, lax

# A run is asked whether it has arrived where jumps to the next record would be more than so many:
# what is asked costs about three of them. Where it has not, it is asked again after a tenth more.
FEW, _LATER = 4, 0.1
# And where the way that is left is no longer than so many times what a jump may be wrong by: jumps
# leave some of that, which the true Jacobian takes away.
NEAR = 30.0
# Products with A, of the way that is left and for the least eigenvalue.
_PRODUCTS = 32
# What may be left of a residual, over what it was.
_SOLVED = 0.1
# The least eigenvalue may be below 0 by so much: along orbits of a symmetry it is 0.
_HELD = 1e-3


def later(jumps: Int[Array, ""]) -> Int[Array, ""]:
    """Return after how many jumps it is asked again, where so many have been made."""
    return jnp.maximum(FEW, jnp.ceil(_LATER * jumps).astype(jumps.dtype))


@dataclass(frozen=True)
class Approach:
    """The way to where a run rests.

    Attributes:
        pull: f, of y.
        precondition: Multiplies by Phi(h).
        time: h.
    """

    pull: Map
    precondition: Map
    time: Float[Array, ""]

    def correction(self, point: Vector) -> Vector:
        """Return what the true Jacobian adds to a step of Phi(h) F.

        With x = (1 / h + A)^{-1} f it is D^2 x, D = Phi(h) (1 / h + A) - 1: nothing of what only
        decays, and all of what comes to rest twice as fast.

        Args:
            point: y, after that step.
        """
        pull, product = self._linear(point)
        step = projected(product, self.precondition, pull, _PRODUCTS).solution
        for _ in range(2):
            step = self.precondition(product(step)) - step
        return step

    def way_left(self, point: Vector) -> tuple[Vector, Bool[Array, ""]]:
        """Return (1 / h + A)^{-1} f, and whether the run rests where it leads."""
        pull, product = self._linear(point)
        generic = generic_vectors(1, pull.size)[0].astype(pull.dtype)
        # One after the other, so that the method is compiled once.
        both = lax.map(
            lambda right: projected(product, self.precondition, right, _PRODUCTS),
            jnp.stack([pull, generic]),
        )
        held = jnp.min(both.least) >= -_HELD
        return both.solution[0], held & (both.left[0] <= _SOLVED)

    def _linear(self, point: Vector) -> tuple[Vector, Map]:
        """Return f, and what multiplies by 1 / h + A."""
        pull, along = jax.linearize(self.pull, point)
        return pull, lambda y: y / self.time - along(y)
