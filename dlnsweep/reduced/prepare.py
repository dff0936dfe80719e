"""From a network at step 0 to a certified reduction, or to the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dlnsweep.reduced.later import Later, pays
from dlnsweep.reduced.pilot import Pace, Pilot
from dlnsweep.reduced.reduction import Reduction, Sizes
from dlnsweep.reduced.start import Network

# A pilot gives up once its bases hold more than this share of a hidden layer.
_LARGEST_SHARE = 0.9
# A pilot gives up once its steps have taken this share of the run's own arithmetic: the rehearsals
# that follow take a few times as much, and the run on nearly complete bases is to come.
_LARGEST_WORK = 0.25
# The estimate is aimed at this share of the tolerance, and is near enough above the second.
_AIM, _NEAR = 0.6, 0.25
# Thresholds change by these factors at most from trial to trial.
_LEAST, _MOST = 0.02, 10.0
# What leads from threshold to error is at least so steep, on logarithmic scales.
_LEAST_POWER = 0.3
_MOST_TRIALS = 6
# A level of the compressed network has at most this share of the last one's error: 1/10 was seen
# for depth 4, 1/30 and less for depth 3 (reduced/law.py).
_LEVEL_GAIN = 10.0
# How much the pilot's own truncation may matter: a rehearsal compares with the pilot, and does not
# see it. Truncations matter 1 to 100 times as much as what they leave out.
_LEAK_GAIN = 100.0
# Beyond this ratio of the measurements' singular values no tolerance can be met; see `_thinness`.
_THINNEST = 1e10
# Directions below this share of the tolerance are left out of the rehearsal's yardstick too.
_FINEST_SHARE = 1e-3
# Thresholds to begin with, beside the tolerance: as a first guess, and where later steps have bases
# of their own, so that some more directions in the first ones cost little.
_FIRST, _FINER = 1.0, 0.03
# Of what the rehearsal finds a run may lack more: at tolerances near 1e-8 and with some ten
# e-foldings of weight decay errors of up to 5 times that were seen.
_SAFETY = 2.0
# The path along which bases of later steps are looked for is nearer to the rehearsal's than to the
# run's in some networks: a network of six layers was wrong by twice the estimate without this.
_LATER_SAFETY = 1.5
# Momentum strays from the flow that the pilot follows, too, and where the residual decays to
# nothing a slightly wrong rate adds up: errors up to 3.03 times the rehearsal's were seen.
_MOMENTUM_SAFETY = 2.0
# How the two thresholds are traded for one another: forward by the first, backward by the second.
_TRADES = ((4.0, 1.0), (1.0, 2.0), (4.0, 0.7), (0.5, 2.0))
# Trades were seen to spare a tenth of a step's arithmetic at most. What a rehearsal evaluates takes
# some ten times as long as a step of compiled code, so trades pay in so many times as many steps.
_TRADES_PAY = 10.0 * 10.0 * len(_TRADES)


@dataclass(frozen=True)
class Thresholds:
    """Below which values directions are left out."""

    forward: float
    backward: float

    def times(self, forward: float, backward: float) -> Thresholds:
        """Return the thresholds multiplied by two factors."""
        return Thresholds(forward * self.forward, backward * self.backward)


@dataclass(frozen=True)
class Prepared:
    """A network with the bases in which it can be trained.

    Attributes:
        reduction: The pilot's spaces.
        sizes: The numbers of basis vectors that are used.
        estimate: Largest relative error that the truncation is expected to cause.
        thresholds: Those that gave the sizes: a good start for a similar network.
        refusal: Why the bases are complete, not small and certified; empty if they are the latter.
        missing: Of a network that is itself a truncation, what that may cause.
        coarse: Whether they are complete because that is too much, so that a finer one may do.
        later: The bases of later steps; None where all are taken in the same.
    """

    reduction: Reduction
    sizes: Sizes
    estimate: float
    thresholds: Thresholds | None = None
    refusal: str = ""
    missing: float = 0.0
    coarse: bool = False
    later: Later | None = None


def paces(tolerance: float) -> list[Pace]:
    """Return how to follow a run for a tolerance: at first, and once more if that fails."""
    # Checkpoints half a stride apart: each long step has one at its end. A stride is a share
    # of the steps since the exact ones, and what lies between checkpoints is one of all steps: were
    # the shares equal, two long steps would fit between checkpoints. After the first of them the
    # pilot would have left its bases, and go where the run does not, which no rehearsal sees
    # (tests/reduced/test_visited.py).
    first = Pace(tolerance / 3e3, exact=200, stride=0.07, checks=0.035, shrink=0.3)
    second = Pace(
        first.tolerance / 10,
        4 * first.exact,
        first.stride / 2,
        first.checks / 2,
        first.shrink / 2,
    )
    return [first, second]


def prepare(
    network: Network,
    num_steps: int,
    tolerance: float,
    hint: Thresholds | None = None,
    *,
    however_large: bool = False,
    coarser: tuple[int, ...] | None = None,
    followers: int = 0,
    narrows: bool = False,
) -> Prepared:
    """Find bases with which the run's records are right to `tolerance`.

    Where none are found the result says why, and has complete bases, which are exact and large.

    Args:
        network: The network at step 0.
        num_steps: The steps that the run will have.
        tolerance: Largest relative error of the regression error, of the off-subspace error and
            of the end-to-end matrix on range(Y).
        hint: The thresholds of a similar network; they spare trials.
        however_large: Do not give up on bases that hold most of a hidden layer, or cost as much.
        coarser: Of a network that is itself a truncation, the sizes of the hidden layers of the
            next coarser one: their difference tells how much this one lacks.
        followers: How many runs will take its thresholds as their hint.
        narrows: Whether it may take its later steps in smaller bases, if that pays.
    """
    thinness = _thinness(network)
    refusal = "the measurements are nearly rank-deficient" if thinness > _THINNEST else ""
    missing, coarse = 0.0, False
    share, work = _LARGEST_SHARE, _LARGEST_WORK * num_steps * network.step_flops
    if however_large:
        share, work = 1.0, np.inf
    for pace in () if refusal else paces(tolerance):
        pilot = Pilot(network, num_steps, pace, share, work)
        refusal = pilot.refusal
        if pilot.strayed:
            continue
        if refusal:
            break
        finer = _at(_FINER * tolerance)
        own = (finer.forward, finer.backward) if narrows else None
        reduction = Reduction(pilot, _FINEST_SHARE * tolerance, narrows=own)
        if coarser is not None:
            missing = reduction.deviation_within(coarser) / _LEVEL_GAIN
            if missing > tolerance:
                refusal = f"the compressed network is too coarse ({missing:.1e})"
                coarse = True
                break
        worth = num_steps * (1 + followers) > _TRADES_PAY * reduction.evaluations
        found = search(reduction, tolerance, hint, thinness, trades=worth)
        if not found.refusal:
            return replace(found, estimate=max(found.estimate, missing), missing=missing)
        refusal = found.refusal
    if coarser is not None and not missing:
        missing = np.inf
    everything = Reduction(Pilot.complete(network))
    return Prepared(
        everything,
        everything.everything,
        missing,
        refusal=refusal,
        missing=missing,
        coarse=coarse,
    )


def _at(forward: float) -> Thresholds:
    return Thresholds(forward, forward / 4)


def _thinness(network: Network) -> float:
    """Return by how much the off-subspace error magnifies what the pilot has left out.

    It is read from W_{L:1} on the range of the measurements where it is about more than what lies
    off that range. A chain knows W_{L:1} Y; dividing by the singular values of Y magnifies what
    is wrong with it by up to their ratio.
    """
    inputs, directions = network.descent.inputs, network.off_directions
    if directions is None or not np.any(directions[: len(inputs)]):
        return 1.0
    return float(np.max(inputs) / np.min(inputs))


def search(
    reduction: Reduction,
    tolerance: float,
    hint: Thresholds | None,
    thinness: float,
    *,
    trades: bool,
) -> Prepared:
    """Return the cheapest truncation tried that meets the tolerance, or the best one."""
    rank = reduction.pilot.network.first.shape[1]
    narrows = reduction.narrows
    thresholds = hint or _at((_FINER if narrows else _FIRST) * tolerance)
    safety = _SAFETY * (_MOMENTUM_SAFETY if reduction.pilot.network.descent.momentum else 1.0)
    best: Prepared | None = None
    nearest: Prepared | None = None

    def attempt(thresholds: Thresholds, most: float) -> Prepared:
        nonlocal narrows
        sizes = reduction.sizes_for(thresholds.forward, thresholds.backward)
        leak = thinness * reduction.pilot.leak
        later = None
        if narrows and pays(reduction.pilot.schedule, sizes.step_flops(rank)):
            further = safety * _LATER_SAFETY
            first, rest, later = reduction.rehearse_later(sizes, tolerance, most, further)
            rest *= _LATER_SAFETY
            deviation = max(first, rest)
            if rest > first and safety * rest > tolerance:
                deviation = reduction.rehearse(sizes, most)
                # By how much the path that is looked along differs from the run's does not depend
                # on thresholds.
                later, narrows = None, deviation > rest / 2
        else:
            deviation = reduction.rehearse(sizes, most)
        estimate = safety * max(deviation, _LEAK_GAIN * leak)
        later = later if estimate <= tolerance else None
        return Prepared(reduction, sizes, estimate, thresholds, later=later)

    power, factor, before = 1.0, 1.0, np.inf
    for _ in range(_MOST_TRIALS):
        # Beyond this it makes no difference by how much.
        most = _AIM * tolerance / _LEAST
        tried = attempt(thresholds, tolerance if best else most)
        if nearest is None or tried.estimate < nearest.estimate:
            nearest = tried
        if tried.estimate <= tolerance:
            best = tried
            if hint or tried.later or tried.estimate >= _NEAR * tolerance:
                break
        elif best:
            break
        # The error is about proportional to the thresholds, or to the power that two trials show.
        estimate = max(tried.estimate, 1e-300)
        if estimate < before < most and factor < 1:
            power = float(np.log(estimate / before) / np.log(factor))
            power = float(np.clip(power, _LEAST_POWER, 1.0))
        factor = float(np.clip((_AIM * tolerance / estimate) ** (1 / power), _LEAST, _MOST))
        thresholds, before = thresholds.times(factor, factor), estimate
    if best is None:
        assert nearest is not None
        # Of what is far beyond it a rehearsal is not followed to the end.
        text = f"the error estimate stayed at {nearest.estimate:.1e} or more, above the tolerance"
        return replace(nearest, refusal=text)
    for factors in () if hint or best.later or not trades else _TRADES:
        assert best.thresholds is not None
        tried = attempt(best.thresholds.times(*factors), tolerance)
        cheaper = tried.sizes.step_flops(rank) < best.sizes.step_flops(rank)
        if tried.estimate <= tolerance and cheaper:
            best = tried
    return best
