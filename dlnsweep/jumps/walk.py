"""A run from one step to another, by jumps where they hold and pay and by real steps elsewhere.

A jump is made where all of this holds; else real steps are taken before the next trial, twice as
many after each trial that fails.

- It is longer than what it costs.
- The differences of the iterates at its start say that what is left out of the flow's logarithm
  (`flow.py`) is small over it: so the fast part has settled, and what oscillates has died away.
- Its extrapolation has converged (`extrapolation.py`).
- Curvature is below the limit of stability, by a share, at its start by the tangent kernel and at
  its end by the whole Hessian (power iterations that begin with the kernel's largest direction):
  where it is reached, gradient descent oscillates and its flow does not.

Errors are measured in the parameters, relative to their norm, and in the outputs, by the loss's
own metric and relative to the loss: a small loss is followed relative to itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.jumps import arrival, choice, growth
from dlnsweep.jumps.choice import FOLLOWING, Choice
from dlnsweep.jumps.euler import dearer, euler
from dlnsweep.jumps.extrapolation import ROWS_WANTED, jump
from dlnsweep.jumps.flow import TERMS, Move, Vector, flow
from dlnsweep.jumps.places import Places, passed
from dlnsweep.jumps.rules import STEEPEST, Rule
from dlnsweep.jumps.steepest import steepest_of
from dlnsweep.numerics.lazy import jax, jnp, lax

# Differences of points are no better known than this, relative to the points.
_ROUNDING = 2e-15
# Of the steps that are left no jump that lands takes a smaller share.
_LEFT_KNOWN = 2.0**-50
# Before a jump that lands where nothing is recorded outputs may be wrong by so much more, where
# they change by less than a third of the residual: the next jump makes them anew of what is slow.
# (An implicit Euler step makes it a third where a jump is half a time constant.)
_LOOSER, _LOOSEST, _SLAVED = 1e4, 1e-3, 1 / 3


class Walk(NamedTuple):
    """How far a run is.

    Attributes:
        point: x, and what the rule keeps beside it: z of `rules.py`.
        active: Whether it has not diverged.
        diverged_step: First step at which it had, or -1.
        now: The step.
        choice: The lengths that jumps are to have.
        burst: How many real steps follow the next trial that fails.
        trial: No jump is tried before this step.
        landed: Where the last jump came to.
        steepest: The direction of the largest curvature as last seen, in y.
        weakest: That of the least one, as `growth.py` has it.
        steps: Real steps taken.
        jumps: Jumps made, holds among them.
        holds: How many of them have held a run that had arrived.
        waits: Before so many jumps it is not asked whether the run has arrived.
        trials: Jumps tried that were not made.
        places: Where it is looked at, if anywhere; see `places.py`.
    """

    point: Vector
    active: Bool[Array, ""]
    diverged_step: Int[Array, ""]
    now: Int[Array, ""]
    choice: Choice
    burst: Int[Array, ""]
    trial: Int[Array, ""]
    landed: Int[Array, ""]
    steepest: Vector
    weakest: Vector
    steps: Int[Array, ""]
    jumps: Int[Array, ""]
    holds: Int[Array, ""]
    waits: Int[Array, ""]
    trials: Int[Array, ""]
    # Without them no leaf, so that programs and checkpoints are what they were.
    places: Places | None = None


class Planned(NamedTuple):
    """A jump of some kind, and what is left by it.

    Attributes:
        lands: Whether it, or one after it without another between, ends at a recorded step.
        share: What its outputs may be wrong by, over the square root of twice the loss.
        length: Its length.
        jumps: How many jumps there are to the recorded step.
    """

    lands: Bool[Array, ""]
    share: Float[Array, ""]
    length: Float[Array, ""]
    jumps: Float[Array, ""]


@dataclass(frozen=True)
class Motion:
    """A run's gradient descent, in functions of all its parameters x as one vector.

    Attributes:
        rule: How steps are made of gradients.
        descent: f, what a step of gradient descent adds to x.
        derivatives: M of `fast.py`, as the rule reads it.
        size: The square root of twice the loss, data-fit scale included.
        roots: R^{1/2}: x = R^{1/2} y; 1 where the learning rate is 0.
        decays: The diagonal of R D.
        advance: Takes a walk and a step; returns the walk there, by real steps.
        dearness: What derivatives cost, in gradients: K where they are made one by one.
    """

    rule: Rule
    descent: Move
    derivatives: Callable[[Vector], Any]
    size: Callable[[Vector], Float[Array, ""]]
    roots: Vector
    decays: Vector
    advance: Callable[[Walk, Int[Array, ""]], Walk]
    dearness: int

    def pull(self, point: Vector) -> Vector:
        """Return what a step of gradient descent adds to y."""
        return self.descent(self.roots * point) / self.roots

    @property
    def least(self) -> int:
        """The steps that a jump costs: some twenty velocities, and the derivatives."""
        return 20 * TERMS + self.dearness

    @property
    def prices(self) -> Float[Array, " kinds"]:
        """What a jump of each kind costs, over a plain one."""
        own = [1.0, dearer(self.dearness, ROWS_WANTED)]
        return jnp.asarray(own if self.rule.follows else own[:1])


def begun(rule: Rule, parameters: Vector) -> Walk:
    """Return a walk at step 0."""
    point = rule.begun(parameters)
    none, zero = -jnp.ones((), jnp.int64), jnp.zeros((), jnp.int64)
    one = jnp.ones((), jnp.int64)
    return Walk(
        point,
        jnp.ones((), bool),
        none,
        zero,
        choice.begun(point.dtype),
        one,
        zero,
        none,
        jnp.zeros_like(parameters),
        jnp.zeros_like(parameters),
        zero,
        zero,
        zero,
        zero,
        zero,
    )


def walked(
    motion: Motion,
    start: Walk,
    stop: Int[Array, ""],
    tolerance: Float[Array, ""],
    weights: Float[Array, " p"],
    gradients: Int[Array, ""],
) -> tuple[Walk, Int[Array, ""]]:
    """Return a walk that has come to a step, has diverged before it, or rests on its way.

    A walk that goes on after a rest is the same as one that has not rested.

    Args:
        motion: The run's gradient descent.
        start: The walk as it stands.
        stop: The step.
        tolerance: The error allowed to each jump, relative.
        weights: The terms of the flow; see `flow.weights_of`.
        gradients: How many it may take before it rests, roughly.

    Returns:
        The walk, and how many it has left.
    """

    def unfinished(state: tuple[Walk, Array]) -> Bool[Array, ""]:
        walk, left = state
        return walk.active & (walk.now < stop) & (left > 0)

    def onward(state: tuple[Walk, Array]) -> tuple[Walk, Array]:
        walk, left = state
        worth = stop - walk.now >= motion.least
        tries = worth & (walk.now >= walk.trial)
        until = jnp.minimum(jnp.where(worth, jnp.minimum(stop, walk.trial), stop), walk.now + left)
        after = lax.cond(
            tries,
            lambda w: _tried(motion, w, stop, tolerance, weights),
            lambda w: motion.advance(w, until),
            walk,
        )
        if walk.places is not None:
            after = after._replace(places=passed(walk.places, walk, after))
        # A jump that follows is paid for by its price.
        price = motion.prices[after.choice.kind]
        paid = jnp.ceil(motion.least * price).astype(left.dtype)
        # However far a walk that diverges was to go before it would rest.
        taken = jnp.where(after.active, until, after.diverged_step) - walk.now
        return after, left - jnp.where(tries, paid, taken)

    return lax.while_loop(unfinished, onward, (start, gradients))


def _tried(
    motion: Motion,
    walk: Walk,
    stop: Int[Array, ""],
    tolerance: Float[Array, ""],
    weights: Float[Array, " p"],
) -> Walk:
    """Return a walk after a jump, or where it stood with real steps to take before the next."""
    rule, roots, least = motion.rule, motion.roots, motion.least
    scales = rule.whole(roots)
    point, parameters = walk.point / scales, rule.parameters(walk.point)
    derivatives = motion.derivatives(parameters)
    fast = rule.fast_part(derivatives, motion.decays, weights)

    def fast_part_at(y: Vector) -> Any:
        return rule.fast_part(motion.derivatives(scales * y), motion.decays, weights)

    fit = motion.size(parameters)
    allowed = (tolerance + _ROUNDING) * jnp.linalg.norm(parameters)
    rounding = _ROUNDING * jnp.linalg.norm(rule.along(derivatives, rule.parameters(point)))
    move = rule.move(motion.descent)

    def error_of(difference: Vector, share: Float[Array, ""]) -> Float[Array, ""]:
        limits = allowed, share * fit + rounding
        found = []
        for part in rule.reached(difference):
            sizes = jnp.linalg.norm(roots * part), jnp.linalg.norm(rule.along(derivatives, part))
            # Weights that have decayed to zero may be as wrong as that.
            found += [
                jnp.where(size == 0, 0.0, size / limit)
                for size, limit in zip(sizes, limits, strict=True)
            ]
        return reduce(jnp.maximum, found)

    def velocity_of(y: Vector) -> tuple[Vector, Vector]:
        return flow(lambda each: move(scales * each) / scales, y, weights)

    velocity, left_out = velocity_of(point)
    swinging, quiet = rule.swinging(fast, velocity, left_out), walk.now == walk.landed
    if swinging is not None:
        # Of a jump that has just been made, not of the run.
        still = rule.stilled(fast, swinging, point)
        point = jnp.where(quiet, still, point)
        velocity, left_out = lax.cond(quiet, velocity_of, lambda _: (velocity, left_out), still)
        walk = walk._replace(point=jnp.where(quiet, scales * point, walk.point))
    left = (stop - walk.now).astype(point.dtype)
    looser = jnp.minimum(_LOOSER * tolerance, _LOOSEST)

    # Beyond 2^53 what is left is rounded: by less than a jump that lands.
    shortest = jnp.maximum(left * _LEFT_KNOWN, least)

    def planned(length: Float[Array, ""], landing: Float[Array, ""]) -> Planned:
        landing, length = jnp.maximum(landing, shortest), jnp.maximum(length, least)
        lands = left <= jnp.maximum(1.5 * landing, landing + least)
        wanted = jnp.where(lands, landing, jnp.minimum(length, left - landing))
        # Outputs that change by their own size are followed, not slaves of what is slow. By how
        # much they will: what a looser jump was wrong by moves fast, no farther than it is wrong.
        moved = rule.parameters(rule.carrier(fast, wanted)(velocity))
        change = jnp.linalg.norm(rule.along(derivatives, moved))
        follows = ~(change <= _SLAVED * fit)
        share = jnp.where(lands | follows, tolerance, looser)
        # The flow's own error grows with the length.
        error = error_of(rule.carrier(fast, wanted)(left_out), share)
        wanted = jnp.maximum(wanted * jnp.minimum(1.0, 0.9 / error), 1.0)
        until = jnp.where(lands, left, left - landing)
        # Parts of one length end at the step that is to be reached.
        parts = jnp.ceil(until / wanted)
        return Planned(lands, share, jnp.floor(until / parts), jnp.where(lands, parts, parts + 1))

    prices = motion.prices
    hoped = walk.choice.hoped(prices) if rule.follows else walk.choice.lengths
    landings = walk.choice.landings
    plans = [planned(hoped[each], landings[each]) for each in range(prices.size)]
    kind = jnp.argmin(prices * jnp.stack([plan.jumps for plan in plans]))
    chosen = jax.tree.map(lambda *each: jnp.stack(each)[kind], *plans)
    lands, share, length = chosen.lands, chosen.share, chosen.length
    smooth = (error_of(rule.carrier(fast, length)(left_out), share) <= 1) & (length >= least / 2)
    smooth &= rule.holds(fast, length)
    burst = jnp.maximum(walk.burst, least // 2)
    wait = burst
    if swinging is not None:
        swings = jnp.where(quiet, 0.0, error_of(rule.later(fast, swinging, length), tolerance))
        smooth &= swings <= 1
        # By then it will have faded.
        needed = jnp.log(swings) / -jnp.log(jnp.max(swinging.each_step))
        needed = jnp.clip(needed, least // 2, 4 * least).astype(burst.dtype)
        wait = jnp.where(swings > 1, needed, burst)

    def held(walk: Walk, way: Vector) -> tuple[Walk, Bool[Array, ""]]:
        time = rule.as_descent(left)
        approach = arrival.Approach(motion.pull, rule.settler(fast, time), time)
        made = point + way
        made = made + rule.begun(approach.correction(rule.parameters(made)))
        to_rest, rests = approach.way_left(rule.parameters(made))
        beyond = rule.carrier(fast, left)(velocity_of(made)[0])
        found = [error_of(each, tolerance) for each in (beyond, rule.begun(to_rest))]
        done = rests & rule.holds(fast, left) & (reduce(jnp.maximum, found) <= 1)
        more = {"jumps": walk.jumps + 1, "holds": walk.holds + 1}
        after = walk._replace(point=scales * made, now=stop, landed=stop, trial=stop, **more)
        other = walk._replace(waits=walk.jumps + arrival.later(walk.jumps))
        return jax.tree.map(lambda a, b: jnp.where(done, a, b), after, other), done

    def near(walk: Walk) -> tuple[Walk, Bool[Array, ""]]:
        way = rule.carrier(fast, left)(velocity)
        close = error_of(way, looser) <= arrival.NEAR
        return lax.cond(close, held, stays, walk, way)

    def stays(walk: Walk, *_: Any) -> tuple[Walk, Bool[Array, ""]]:
        return walk, jnp.zeros((), bool)

    def jumped(walk: Walk) -> tuple[Walk, Bool[Array, ""]]:
        steps = euler(
            rule,
            lambda y: velocity_of(y)[0],
            fast_part_at,
            point,
            velocity,
            fast,
            length,
            kind == FOLLOWING,
        )
        time = rule.as_descent(length)
        rate, weakest = growth.growing(
            motion.pull, rule.settler(fast, time), rule.parameters(point), time, walk.weakest
        )
        decay = jnp.max(motion.decays)

        def both(n: Int[Array, ""]) -> Vector:
            return jnp.append(steps(n), growth.unseen(rate, decay, time, n))

        def error_of_both(difference: Vector) -> Float[Array, ""]:
            unseen = growth.least_error(difference[-1], rate, time) / (tolerance + _ROUNDING)
            return jnp.maximum(error_of(difference[:-1], share), unseen)

        made = jump(both, error_of_both, jnp.append(point, 0.0), length)
        made = made._replace(point=made.point[:-1])
        end, largest = rule.parameters(made.point), rule.steepest(fast)
        taken, steepest = steepest_of(motion.pull, end, walk.steepest, largest)
        done = made.accepted & (taken < STEEPEST * rule.limit)
        # A jump that was cut short says less than the one before it.
        known = walk.choice.landings, walk.choice.lengths
        before = jnp.where(lands, *(each[kind] for each in known))
        cut = done & (length < before)
        # Longer than this one it has just failed.
        most = jnp.where(done & walk.choice.failed, length, jnp.inf)
        following = jnp.minimum(made.following, most)
        following = jnp.where(cut, jnp.maximum(following, before), following)
        walk = walk._replace(choice=walk.choice.tried(kind, lands, following, done))
        # As a length of time it is rounded where it is so long, as a number of steps it is not.
        beyond, whole = stop - walk.now, length.astype(jnp.int64)
        arrives = lands & (chosen.jumps <= 1)
        now = walk.now + jnp.where(arrives, beyond, jnp.minimum(whole, beyond))
        after = walk._replace(
            point=scales * made.point,
            now=now,
            landed=now,
            burst=jnp.asarray(least, jnp.int64),
            steepest=steepest,
            weakest=weakest,
            jumps=walk.jumps + 1,
        )
        failed = walk._replace(trials=walk.trials + 1)
        again = ~made.accepted & (made.following >= least)
        return jax.tree.map(lambda a, b: jnp.where(done, a, b), after, failed), done | again

    def unheld(walk: Walk) -> Walk:
        walk, goes_on = lax.cond(
            smooth,
            jumped,
            lambda walk: (walk._replace(trials=walk.trials + 1), jnp.zeros((), bool)),
            walk,
        )
        return walk._replace(
            trial=jnp.where(goes_on, walk.now, walk.now + wait),
            burst=jnp.where(goes_on | (wait != burst), walk.burst, 2 * burst),
        )

    asks = (chosen.jumps > arrival.FEW) & (walk.jumps >= walk.waits)
    walk, arrived = lax.cond(asks, near, stays, walk)
    return lax.cond(arrived, lambda walk: walk, unheld, walk)
