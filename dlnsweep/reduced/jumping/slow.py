"""The slow flow of gradient descent with momentum.

With E the shift by a step, G(x) what a plain step adds without weight decay, d = eta lambda and b
the momentum, a step of heavy ball and one of Nesterov's (as optax has it) are

    (E - 1) (E - b) x = E (G - d x)    and    (E - 1) (E - b) x = ((1 + b) E - b) (G - d x).

With the decay on the left the operator there is (E - rho) (E - sigma), rho the slow root of

    z^2 - (1 + b - d) z + b = 0    or    z^2 - (1 - d) ((1 + b) z - b) = 0.

What only moves slowly is a function of time, E = e^D with D = d/dt, and all that oscillates or
fades by sigma has gone. With x = rho^t y and s = sum_t rho^(-1 - t) that leaves of y, as of a plain
step (`flow.py`), an equation for its pull U = dy / ds,

    U + k U' + m U'' + ... = G / (1 - sigma),                                                  (1)

' by the step, with the coefficients of the quotient of e^D - 1 over D, times 1 - sigma e^-D, of
Nesterov's over 1 + b - b e^-D, as series in D; where d is small

    k = 1/2 + sigma / (1 - sigma),         m = 1/6                          (heavy ball)
    k = h - b,    m = 1/6 + b / 2 + b^2 - b h,    h = 1/2 + sigma / (1 - sigma)     (Nesterov)

All else is smaller: of heavy ball k / 12 and 1/120. So it is the flow
of plain steps that are 1 / (1 - sigma) times as long, but for k, which beside the rates of what
moves is as large as 1 / (1 - b) steps are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Array, Float

# A jump is at least so many times k long: at 6 what is fast was seen to grow from one to the next,
# at 11 it was not.
SHORTEST = 12.0
# The last jump before a record is longer by this beside what oscillates.
_LONGER = 2.0


class Slow(NamedTuple):
    """What of a step is slow, of each layer; of plain steps with b = 0.

    Attributes:
        logs: log rho.
        speeds: 1 / (1 - sigma).
        first: k.
        second: m.
    """

    logs: Float[Array, " L"]
    speeds: Float[Array, " L"]
    first: Float[Array, " L"]
    second: Float[Array, " L"]


def slow_of(decays: Any, beta: Any, numpy: Any, *, nesterov: bool) -> Slow:
    """Return it; not a number where a decay is so large that what only decays oscillates.

    Args:
        decays: eta lambda of each layer.
        beta: The momentum.
        numpy: NumPy, or JAX's.
        nesterov: Whether the momentum is Nesterov's.
    """
    # 1 - rho is the lesser root of u^2 - sum u + decays = 0.
    total = 1 - beta + (1 + beta) * decays if nesterov else 1 - beta + decays
    square = total**2 - 4 * decays
    lost = 2 * decays / (total + numpy.sqrt(numpy.maximum(square, 0.0)))
    lost = numpy.where((square >= 0) & (decays < 1), lost, numpy.nan)
    other = beta * (1 - decays if nesterov else 1.0) / (1 - lost)
    plain = 0.5 - numpy.log1p(-lost) / 12 + other / (1 - other)
    second = 1 / 6 + 0.0 * plain
    first = plain
    if nesterov:
        first, second = plain - beta, second - beta * plain + beta / 2 + beta**2
    return Slow(numpy.log1p(-lost), 1 / (1 - other), first, second)


def _largest_root(rate: Any, beta: Any, numpy: Any, *, nesterov: bool) -> Any:
    """Return by what a step multiplies a part, at least what all that oscillates may fade by.

    It is |1 - a| of plain steps, and with momentum no less than sqrt(b), by which less steep parts
    fade that oscillate.

    Args:
        rate: a, what a plain step takes away of the part.
        beta: The momentum.
        numpy: NumPy, or JAX's.
        nesterov: Whether the momentum is Nesterov's.
    """
    half = ((1 - rate) * (1 + beta) if nesterov else 1 + beta - rate) / 2
    product = (1 - rate) * beta if nesterov else beta
    square = half**2 - product
    real = numpy.abs(half) + numpy.sqrt(numpy.maximum(square, 0.0))
    root = numpy.where(square >= 0, real, numpy.sqrt(numpy.abs(product)))
    return numpy.maximum(root, numpy.sqrt(beta))


def fading(rate: Any, beta: Any, numpy: Any, *, nesterov: bool) -> Any:
    """Return how fast at least what is steepest and all that oscillates fades, a step.

    That is 1 - r <= -log r, of plain steps r = |1 - a|.

    Args:
        rate: a, of a plain step.
        beta: The momentum; 0 of plain steps.
        numpy: NumPy, or JAX's.
        nesterov: Whether the momentum is Nesterov's.
    """
    root = _largest_root(rate, beta, numpy, nesterov=nesterov)
    return numpy.maximum(1 - root, 1e-300)


def tail_of(fades: Any, parts: Any) -> Any:
    """Return the rate that the last jumps of a run with momentum are short beside.

    Beyond it real steps fade more; and the last jump is as long for all parts of `gaps.divided`.

    Args:
        fades: See `fading`.
        parts: Into how many each jump is divided.
    """
    return fades / (_LONGER * parts)


def shortest_of(slow: Slow, numpy: Any) -> Any:
    """Return how long a jump must be at least: k / h of what is fast goes from jump to jump."""
    return SHORTEST * numpy.max(slow.first)


def limit_of(beta: Any, *, nesterov: bool) -> Any:
    """Return what a plain step may take away at most of a part that is stable."""
    return 2 * (1 + beta) / (1 + 2 * beta) if nesterov else 2 * (1 + beta)
