"""Momentum: the doubled state of parameters and their last displacement, and its fast part.

With f(y) what gradient descent would add, u(0) = 0 and b the momentum, a step of heavy ball is

    u <- b u + f(y),    y <- y + u,

and one of Nesterov's (as optax has it) y <- y + b u + f(y) with the new u. On z = (y, u) this is
a map as any other, and its flow the logarithm of `flow.py`. Where f has the Jacobian -H, a part
with H v = a v moves by a matrix,

    C + 1,    C = [[-t a, s], [-a, b - 1]],    t = 1, s = b  (Nesterov: t = 1 + b, s = b^2),

whose eigenvalues c satisfy c^2 + (1 - b + t a) c + a = 0: of a small a one is near -a / (1 - b),
slow, and the other near -(1 - b); beyond some a they are a pair of complex numbers, and the part
oscillates as it fades. A step is stable for a < 2 (1 + b) / (2 t - 1), which is 2 (1 + b), and
Nesterov's 2 (1 + b) / (1 + 2 b): there c = -2.

The flow has L(C) in place of log(1 + C), with L the terms of the logarithm, and Phi(k) of
`fast.py` becomes a function of C for each row v of the span and each entry beside it,

    g(C) = p + q C,    q = (g(c2) - g(c1)) / (c2 - c1),    p = (c2 g(c1) - c1 g(c2)) / (c2 - c1),

with g(c) = k / (1 - k L(c)), implicit, on the span. Beside it g(c) = (e^{k L(c)} - 1) / L(c) of the
slow eigenvalue, so that what only decays does so exactly, and the implicit one of the fast
eigenvalue: there u is a slave of f(y), of which an exponential step would lose its order.

An implicit step lets what oscillates fade, however slowly it does: by |c + 1|^k, b^{k / 2} of heavy
ball. So a jump must not begin before it has: how far a pair of complex c still is from rest is
known by its part of the velocity, over L(c), and by that of Delta^4 z, over c^4; of a part that
follows what is slow both are too much, the second by less, but of a small c it is rounding. Where
a jump has landed nothing oscillates but what the jump was wrong by, and that is taken away.

Terms of the logarithm of an eigenvalue on the unit circle's inside can grow: with c = i - 1 they
have a positive real part. An implicit step lets that fade too, where k |L(c)| is large.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Complex, Float

from dlnsweep.jumps.extrapolation import ROWS
from dlnsweep.jumps.fast import Fast, carried, fast_part
from dlnsweep.jumps.flow import TERMS, Move, State, Vector
from dlnsweep.jumps.rules import STEEPEST
from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.products import multiply

# Roots that are nearer to each other, relatively and squared, are moved apart: by less than
# matters to extrapolation, and far enough for divided differences to have ten digits.
_APART = 1e-10
# Beside the span a root is a fast one if it is so many times another.
_FASTER = 4.0
# Of an implicit step that lets a growing part fade: k |L| at least, and a factor of 1/2 a step.
_FAR = 3.0
# With a smaller c what oscillates is not known by differences over c^4.
_KNOWN = 0.1

Roots = Complex[Array, " n"]


class Modes(NamedTuple):
    """Parts that move by matrices C.

    Attributes:
        rates: a.
        slow, fast: The eigenvalues of C, the one near 0 and the other.
        slow_log, fast_log: L of them.
    """

    rates: Float[Array, " n"]
    slow: Roots
    fast: Roots
    slow_log: Roots
    fast_log: Roots

    @property
    def apart(self) -> Bool[Array, " n"]:
        """Whether the other is real, and much faster."""
        return (jnp.imag(self.fast) == 0) & (jnp.abs(self.fast) > _FASTER * jnp.abs(self.slow))


class Doubled(NamedTuple):
    """The fast part at a point.

    Attributes:
        rows: V of `fast.py`.
        rates: What a step of gradient descent takes away along each row.
        along: The rows' modes.
        beside: Those of the entries off their span, by their decays.
    """

    rows: Float[Array, "K N"]
    rates: Float[Array, " K"]
    along: Modes
    beside: Modes


class Swinging(NamedTuple):
    """What oscillates, of each row of the span.

    Attributes:
        found: z of it, by the differences of z.
        known: The same, and zero where it is mostly rounding.
        each_step: What a step multiplies it by, turns aside.
    """

    found: Float[Array, "2 K"]
    known: Float[Array, "2 K"]
    each_step: Float[Array, " K"]


@dataclass(frozen=True)
class Momentum:
    """z = (y, u), one after the other.

    Attributes:
        beta: b.
        nesterov: Whether the momentum is Nesterov's.
    """

    beta: Float[Array, ""]
    nesterov: bool
    follows = False

    @property
    def _matrix(self) -> tuple[Any, Any]:
        """The numbers t and s of C."""
        return (1 + self.beta, self.beta**2) if self.nesterov else (1.0, self.beta)

    @property
    def limit(self) -> Any:
        """The limit of stability."""
        return 2 * (1 + self.beta) / (2 * self._matrix[0] - 1)

    def begun(self, parameters: Vector) -> State:
        """Return z at step 0, where nothing has moved."""
        return jnp.concatenate([parameters, jnp.zeros_like(parameters)])

    def parameters(self, state: State) -> Vector:
        """Return y."""
        return state[: state.size // 2]

    def displacement(self, state: State) -> Vector:
        """Return u."""
        return state[state.size // 2 :]

    def whole(self, entries: Vector) -> State:
        """Return the factors of y, and the same of u."""
        return jnp.concatenate([entries, entries])

    def move(self, descent: Move) -> Move:
        """Return what a step adds to z."""

        def moved(state: State) -> State:
            here, before = descent(self.parameters(state)), self.displacement(state)
            after = self.beta * before + here
            step = self.beta * after + here if self.nesterov else after
            return jnp.concatenate([step, (self.beta - 1) * before + here])

        return moved

    def reached(self, difference: State) -> Sequence[Vector]:
        """Return y, and y + s u / (1 - b), which no step changes where f = 0."""
        here, before = self.parameters(difference), self.displacement(difference)
        return here, here + self._matrix[1] / (1 - self.beta) * before

    def along(self, derivatives: Float[Array, "K N"], difference: Vector) -> Float[Array, " K"]:
        """Return M times a difference of y."""
        return multiply(derivatives, difference)

    def fast_part(
        self, derivatives: Float[Array, "K N"], decays: Vector, weights: Float[Array, " p"]
    ) -> Doubled:
        """Return the fast part; see `fast.fast_part`."""
        plain = fast_part(derivatives, decays, weights)
        along, beside = (self._modes(rates, weights) for rates in (plain.rates, decays))
        return Doubled(plain.rows, plain.rates, along, beside)

    def steepest(self, fast: Doubled) -> Vector:
        """Return the row of the largest rate."""
        return fast.rows[jnp.argmax(fast.rates)]

    def carrier(self, fast: Doubled, length: Float[Array, ""]) -> Callable[[State], State]:
        """Return Phi(k), as a function of a velocity of z."""

        def implicit(logs: Roots) -> Roots:
            return length / (1 - length * logs)

        def exact(logs: Roots) -> Roots:
            still = logs == 0
            safe = jnp.where(still, 1.0, logs)
            return jnp.where(still, length, jnp.expm1(length * safe) / safe)

        along, beside = fast.along, fast.beside
        within = _polynomial(along, implicit(along.slow_log), implicit(along.fast_log))
        others = jnp.where(beside.apart, implicit(beside.fast_log), exact(beside.fast_log))
        without = _polynomial(beside, exact(beside.slow_log), others)

        def carry(velocity: State) -> State:
            halves = velocity.reshape(2, -1)
            rows = fast.rows
            inside = multiply(halves, rows.T)
            moved = multiply(self._applied(along, within, inside), rows)
            aside = self._applied(beside, without, halves - multiply(inside, rows))
            # What the diagonal puts back into the span would be fast there.
            return (moved + aside - multiply(multiply(aside, rows.T), rows)).reshape(-1)

        return carry

    def within(self, fast: Doubled, length: Float[Array, ""]) -> Callable[[State], State]:
        """It does not follow."""
        raise NotImplementedError

    def beside(self, fast: Doubled, length: Float[Array, ""]) -> Callable[[State], State]:
        """It does not follow."""
        raise NotImplementedError

    def as_descent(self, length: Float[Array, ""]) -> Float[Array, ""]:
        """Return so many over 1 - b."""
        return length / (1 - self.beta)

    def settler(self, fast: Doubled, length: Float[Array, ""]) -> Callable[[Vector], Vector]:
        """Return Phi(k) of the rates, not of their logarithms."""
        return partial(carried, Fast(fast.rows, fast.rates, fast.rates, fast.beside.rates), length)

    def holds(self, fast: Doubled, length: Float[Array, ""]) -> Bool[Array, ""]:
        """Return whether all of it is stable, and fades by the flow as it does by steps."""
        stable = jnp.max(fast.rates) < STEEPEST * self.limit
        least = length / ROWS

        def implicit(logs: Roots) -> Bool[Array, " n"]:
            return (jnp.real(logs) <= 0) | (least * jnp.abs(logs) > _FAR)

        along, beside = fast.along, fast.beside
        exact = jnp.real(beside.slow_log) <= 0
        others = jnp.where(beside.apart, implicit(beside.fast_log), jnp.real(beside.fast_log) <= 0)
        fading = jnp.all(implicit(along.slow_log)) & jnp.all(implicit(along.fast_log))
        return stable & fading & jnp.all(exact & others)

    def swinging(self, fast: Doubled, velocity: State, left_out: State) -> Swinging | None:
        """Return what oscillates."""
        along = fast.along
        oscillates = jnp.imag(along.fast) != 0

        def apart(logs: Roots, other: Roots, part: State) -> Float[Array, "2 K"]:
            inverse = [1 / jnp.where(oscillates, each, 1j) for each in (logs, other)]
            halves = multiply(part.reshape(2, -1), fast.rows.T)
            return self._applied(along, _polynomial(along, *inverse), halves)

        first = apart(along.slow_log, along.fast_log, velocity)
        found = apart(along.slow**TERMS / TERMS, along.fast**TERMS / TERMS, left_out)
        most, sizes = (jnp.linalg.norm(each, axis=0) for each in (first, found))
        less = jnp.where(oscillates, jnp.minimum(1.0, most / jnp.where(sizes > 0, sizes, 1.0)), 0.0)
        known = jnp.where(jnp.abs(along.fast) > _KNOWN, less, 0.0)
        each_step = jnp.where(oscillates, jnp.abs(1 + along.fast), 0.0)
        return Swinging(found * less, found * known, each_step)

    def later(self, fast: Doubled, swinging: Swinging, length: Float[Array, ""]) -> State:
        """Return what is left of what oscillates after so many steps."""
        return multiply(swinging.found * swinging.each_step**length, fast.rows).reshape(-1)

    def stilled(self, fast: Doubled, swinging: Swinging, state: State) -> State:
        """Return z without what oscillates and is known well."""
        return state - multiply(swinging.known, fast.rows).reshape(-1)

    def _modes(self, rates: Float[Array, " n"], weights: Float[Array, " p"]) -> Modes:
        half = (1 - self.beta + self._matrix[0] * rates) / 2
        square = half**2 - rates
        least = _APART * half**2
        square = jnp.where(jnp.abs(square) < least, least, square)
        fast = -(half + jnp.sqrt(square.astype(complex)))
        slow = rates / fast
        return Modes(rates, slow, fast, _terms(slow, weights), _terms(fast, weights))

    def _applied(
        self, modes: Modes, factors: tuple[Any, Any], halves: Float[Array, "2 n"]
    ) -> Float[Array, "2 n"]:
        """Return p z + q C z."""
        (t, s), (here, before) = self._matrix, halves
        turned = jnp.stack(
            [
                -t * modes.rates * here + s * before,
                -modes.rates * here - (1 - self.beta) * before,
            ]
        )
        return factors[0] * halves + factors[1] * turned


def _terms(roots: Roots, weights: Float[Array, " p"]) -> Roots:
    """Return L(c) = c - c^2 / 2 + ..."""
    total, power = jnp.zeros_like(roots), jnp.ones_like(roots)
    for k in range(TERMS):
        power = power * roots
        total = total + weights[k] * power
    return total


def _polynomial(modes: Modes, slow: Roots, fast: Roots) -> tuple[Vector, Vector]:
    """Return p and q, given the function at both eigenvalues."""
    apart = modes.fast - modes.slow
    first = (modes.fast * slow - modes.slow * fast) / apart
    return jnp.real(first), jnp.real((fast - slow) / apart)
