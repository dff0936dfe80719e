"""What moves slowly, as a polynomial of the last places where jumps have ended.

With momentum the flow has a term k U' (`slow.py`), which could be had by steps from where a jump
begins, as the terms of plain steps are. But what is fast, of which a jump leaves a little, would
oscillate in those steps, and k is as large as 1 / (1 - b): parts of the residual would be magnified
at each jump. Places are as far apart as jumps are long, which fade what is fast, and their
differences magnify nothing. So U' and U'' are those of the cubic through the last four of them.

Where a run has taken real steps what oscillates has faded. There U' is (G / (1 - sigma) - U) / k,
U the difference of two steps, and places before the first jump are where that would come from.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Array, Float

from dlnsweep.numerics.lazy import jnp
from dlnsweep.reduced.jumping.flow import Chained, Clock, Layers, passing, pulls
from dlnsweep.reduced.jumping.gaps import stretched
from dlnsweep.reduced.jumping.slow import Slow

# How many places there are before the present one.
PLACES = 3


class History(NamedTuple):
    """Earlier places, by the clock and the decay of the present one.

    Attributes:
        places: The E_i, of the latest first.
        times: When that was, in steps from now; negative.
    """

    places: tuple[Layers, ...]
    times: Float[Array, " n"]


class _Cubic(NamedTuple):
    """E(s) - E(0) of a layer by Newton's differences, with places at s = 0 and `nodes`."""

    nodes: list[Any]
    first: Any
    second: Any
    third: Any

    def change(self, s: Any) -> Any:
        """Return E(s) - E(0)."""
        a, b, _ = self.nodes
        return s * (self.first + (s - a) * (self.second + (s - b) * self.third))

    def bend(self, s: Any) -> Any:
        """Return the second derivative."""
        a, b, _ = self.nodes
        return 2 * self.second + (6 * s - 2 * (a + b)) * self.third


def begun(
    chain: Chained,
    slow: Slow,
    scales: Float[Array, " L"],
    before: Layers,
    layers: Layers,
    length: Float[Array, ""],
) -> History:
    """Return places before a run's first jump.

    Args:
        chain: What gradients read.
        slow: What is slow of a step.
        scales: The c_i.
        before: The D_i a step before.
        layers: The D_i.
        length: How far apart the places are.
    """
    # E of the step before, and U between both: s is -1 there.
    earlier = [jnp.exp(log) * d for log, d in zip(chain.logs, before, strict=True)]
    moved = [now - then for now, then in zip(layers, earlier, strict=True)]
    half = jnp.exp(-chain.logs / 2)
    middle = tuple(
        half[j] * (then + move / 2)
        for j, (then, move) in enumerate(zip(earlier, moved, strict=True))
    )
    pulled = pulls(chain, half * scales, middle)
    bends = [
        (pull - move) / slow.first[j]
        for j, (pull, move) in enumerate(zip(pulled, moved, strict=True))
    ]
    times = -length * jnp.arange(1.0, PLACES + 1)
    places = []
    for time in times:
        s = stretched(-chain.logs, time, jnp)
        paces = passing(-chain.logs)
        places.append(
            tuple(
                layer + s[j] * (moved[j] + bends[j] / 2) + s[j] ** 2 / 2 * bends[j] / paces[j]
                for j, layer in enumerate(layers)
            )
        )
    return History(tuple(places), times)


def later(chain: Chained, history: History, layers: Layers, length: Float[Array, ""]) -> History:
    """Return the places after a jump from `layers`, by the clock of its end."""
    faded = jnp.exp(chain.logs * length)
    places = [tuple(faded[j] * e for j, e in enumerate(own)) for own in (layers, *history.places)]
    times = jnp.concatenate([jnp.zeros(1), history.times])[:-1] - length
    return History(tuple(places[:PLACES]), times)


def still(chain: Chained, layers: Layers, length: Float[Array, ""]) -> History:
    """Return the places of what has not moved, so far apart."""
    times = -length * jnp.arange(1.0, PLACES + 1)
    places = []
    for time in times:
        faded = jnp.exp(-chain.logs * time)
        places.append(tuple(faded[j] * layer for j, layer in enumerate(layers)))
    return History(tuple(places), times)


def others(
    chain: Chained, clock: Clock, slow: Slow, history: History, layers: Layers, time: Any
) -> Layers:
    """Return w of `flow.jump`, -k U' - m U'' of each layer at a time from now."""
    ratios = clock.ratios(chain, time)
    # ds / dt then.
    paces = passing(-chain.logs) * jnp.exp(-chain.logs * time)
    s = stretched(-chain.logs, time, jnp)
    return tuple(
        -ratios[j]
        * paces[j]
        * (slow.first[j] * cubic.bend(s[j]) + slow.second[j] * paces[j] * 6 * cubic.third)
        for j, cubic in enumerate(_cubics(chain, history, layers))
    )


def displacements(chain: Chained, history: History, layers: Layers) -> tuple[Layers, Layers]:
    """Return D_i(0) - D_i(-1) and D_i(-1) - D_i(-2), by steps."""
    back = stretched(-chain.logs, jnp.float64(-2.0), jnp)
    grown = jnp.exp(-chain.logs)
    lost = -jnp.expm1(-chain.logs)
    last, one_before = [], []
    for j, (cubic, layer) in enumerate(zip(_cubics(chain, history, layers), layers, strict=True)):
        first, second = cubic.change(-1.0), cubic.change(back[j])
        last.append(lost[j] * layer - grown[j] * first)
        one_before.append(grown[j] * (lost[j] * layer + first - grown[j] * second))
    return tuple(last), tuple(one_before)


def _cubics(chain: Chained, history: History, layers: Layers) -> list[_Cubic]:
    nodes = [stretched(-chain.logs, time, jnp) for time in history.times]
    found = []
    for j, layer in enumerate(layers):
        a, b, c = (s[j] for s in nodes)
        at_a, at_b, at_c = (place[j] for place in history.places)
        one, two, three = (at_a - layer) / a, (at_b - at_a) / (b - a), (at_c - at_b) / (c - b)
        second, other = (two - one) / b, (three - two) / (c - a)
        found.append(_Cubic([a, b, c], one, second, (other - second) / c))
    return found
