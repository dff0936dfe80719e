"""How the steps between two records are divided into jumps.

A jump of h steps leaves the residual, a small difference, wrong by what it is wrong by itself, and
damps what the jumps before it left by a half only where h is long beside 1 / a. So equal jumps are
followed by ever shorter ones, each half of the one before,

    h, ..., h, h / 2, h / 4, ..., h / 2^m,    h / 2^m about the ten steps' worth of 1 / a:

whatever rate a part of the residual fades at, one of them is as long as it takes, and those after
it are so short that they do not disturb it. Then few real steps are left to take. Implicit jumps
(`far.py`) leave nothing to fade, and one half as long is the last.

They take the place of stages long before these reach no farther. A jump that is a share x of
decay's time leaves outputs wrong by about x^3 of their size, by stages, whatever the residual is,
and weight decay holds that at lambda: it is wrong by x^3 / lambda of itself, and what it moves by
some x^4 / lambda. Implicit jumps are wrong by x^3, however small lambda is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dlnsweep.reduced.jumping.stages import count_for, farthest

# The last jump is at most so many times 1 / a long, divided as the others are.
_LAST = 10.0
# Reach of stages, over what the linear part needs.
_MORE = 1.5
# Where jumps may be implicit, stages reach so many times less far: they are some fifty then. Of a
# run of Figure 3 (three layers, lambda = 1e-7) jumps of 421 stages, x = 0.006, left an error of
# 2e-6 within half of decay's time, those of 201 5e-9, and implicit ones, x = 0.02, 6e-9 within two
# of them; an implicit one took as long as 300 to 400 stages. Trials with x = 0.014 and half of it
# were 6e-7 apart at lambda = 1e-5, 4e-6 at 1e-6.
BEFORE_FAR = 64.0
# More than the longest jump has room for.
_MOST_HALVED = 16


class Division(NamedTuple):
    """The jumps of a gap; numbers, or arrays of them.

    Attributes:
        length: h.
        equal: How many jumps are so long.
        halved: How many follow, each half as long as the one before.
        stages: Those of all of them.
        far: Whether they are implicit; None where none may be.
    """

    length: Any
    equal: Any
    halved: Any
    stages: Any
    far: Any

    @property
    def shortest(self) -> Any:
        """The length of the last."""
        return self.length / 2.0**self.halved


def length_of(number: Any, length: Any, equal: Any, numpy: Any) -> Any:
    """Return how long the jump of a number is, from 0; see `Division`."""
    return length * 2.0 ** -numpy.maximum(number - equal + 1, 0).astype(length.dtype)


def stretched(decay: Any, length: Any, numpy: Any) -> Any:
    """Return sum_t rho^(-1 - t) over so many steps, with rho = e^(-decay); `length` without."""
    decays = decay > 0
    own = numpy.where(decays, decay, 1.0)
    passed = numpy.expm1(own * numpy.where(decays, length, 0.0))
    return numpy.where(decays, passed / -numpy.expm1(-own), length)


def reach_of(rate: Any, decay: Any, length: Any, numpy: Any) -> Any:
    """Return how far stages must reach for a jump.

    Args:
        rate: The largest rate a of a step.
        decay: -log rho of the layer that decays fastest.
        length: That of the jump.
        numpy: NumPy, or JAX's.
    """
    return _MORE * rate * stretched(decay, length, numpy)


def divided(
    left: Any,
    longest: Any,
    rate: Any,
    fades: Any,
    decay: Any,
    parts: Any,
    numpy: Any,
    *,
    far: bool,
) -> Division:
    """Return how so many steps are divided.

    Args:
        left: The steps.
        longest: A jump is at most so long.
        rate: See `reach_of`.
        fades: The rate up to which real steps do not oscillate: a, or less with momentum.
        decay: See `reach_of`.
        parts: Into how many each jump is divided, and what is left where that is shorter.
        numpy: NumPy, or JAX's.
        far: Whether jumps may be implicit.
    """
    own = numpy.where(decay > 0, decay, 1.0)
    most = farthest() / BEFORE_FAR if far else farthest()
    farthest_ = numpy.maximum(most / _MORE / numpy.maximum(rate, 1e-300), 1.0)
    # As far as stages go.
    reached = numpy.where(decay > 0, numpy.log1p(farthest_ * -numpy.expm1(-own)) / own, farthest_)
    wanted = numpy.minimum(longest, numpy.maximum(left, 1.0))
    wide = numpy.minimum(wanted, reached) / parts
    halved = numpy.ceil(numpy.log2(numpy.maximum(parts * wide * fades / _LAST, 1.0)))
    halved = numpy.clip(halved, 1.0, _MOST_HALVED)
    beyond = wanted / parts > reached if far else None
    if far:
        wide = numpy.where(beyond, wanted / parts, wide)
        halved = numpy.where(beyond, 1.0, halved)
    tail = 1 - 2.0**-halved
    equal = numpy.maximum(numpy.ceil(left / wide - tail), 0.0)
    length = left / (equal + tail)

    def stages(length: Any) -> Any:
        return count_for(reach_of(rate[..., None], decay, length, numpy), numpy)

    rate = numpy.asarray(rate)
    shorter = numpy.arange(1.0, _MOST_HALVED + 1)
    whole = stages(numpy.asarray(length)[..., None])[..., 0]
    each = stages(numpy.asarray(length)[..., None] / 2.0**shorter)
    made = shorter <= numpy.asarray(halved)[..., None]
    total = equal * whole + numpy.sum(numpy.where(made, each, 0.0), axis=-1)
    return Division(length, equal, halved, total, beyond)
