"""Theorem 2.3's two phases and its conclusions: contraction, levels, the off-subspace error."""

from __future__ import annotations

import numpy as np

from dlnsweep import theory
from dlnsweep.claims.run import Run, Statement, Verdict, not_applicable


def _phase_one(run: Run) -> Verdict:
    """Judge the contraction between records, up to the first below (9a)."""
    last = run.phase_one_ends
    last = len(run.steps) - 1 if last is None else last
    if last < 1:
        return not_applicable("phase 1 is over at the first record")
    _, m, _ = run.setup.sizes
    with np.errstate(divide="ignore"):
        ratios = run.residual[1 : last + 1] / run.residual[:last]
    contraction = ratios ** (1 / np.diff(run.steps[: last + 1]))
    scale = run.rate * run.depth * run.setup.smallest**2 / m
    slowest = float(np.max(contraction))
    bound = theory.phase_one_factor(run.rate, m, run.depth, run.setup.smallest)
    # A step's factor of 1 and more would need an infinite constant.
    tight = scale / (1 - slowest) if slowest < 1 else np.inf
    return Verdict(bound / slowest, tight)


def _phase_one_length(run: Run) -> Verdict:
    m = run.setup.sizes[1]
    bound = theory.phase_one_steps(run.rate, run.decay, m, run.depth, run.setup.smallest)
    last = run.phase_one_ends
    if not bound:
        return not_applicable("the bound's logarithm is negative")
    if last is None:
        if run.steps[-1] < bound:
            return not_applicable("the run ends in phase 1")
        return Verdict(bound / float(run.steps[-1]), np.inf)
    return Verdict(bound / max(float(run.steps[last]), 1.0))


def _level(run: Run) -> float:
    d, m, _ = run.setup.sizes
    return theory.phase_two_level(run.decay, m, d, run.setup.smallest, run.setup.norm)


def _phase_two(run: Run) -> Verdict:
    inside = run.from_tau
    if not np.any(inside):
        return not_applicable("no record between tau and T")
    return Verdict(_level(run) / float(np.max(run.residual[inside])))


def _residual_at_horizon(run: Run) -> Verdict:
    at = run.at_horizon
    if at is None:
        return not_applicable("the run ends before T")
    return Verdict(_level(run) / float(run.residual[at]))


def _off_subspace(run: Run) -> Verdict:
    """Judge (74), with the run's own ||W_1(0) P_perp|| where it was recorded."""
    inside = run.from_tau
    if not np.any(inside):
        return not_applicable("no record between tau and T")
    _, m, s = run.setup.sizes
    own = run.recorded.get("first_layer_off_range")
    wide = theory.first_layer_off_range(m, s, run.width)
    first = wide if own is None else float(own[0])
    bound = theory.off_subspace_bound(run.steps[inside], run.rate, run.decay, m, first)
    return Verdict(float(np.min(bound / run.off[inside])))


def _off_subspace_at_horizon(run: Run) -> Verdict:
    at = run.at_horizon
    if at is None:
        return not_applicable("the run ends before T")
    return Verdict(theory.off_subspace_level(run.width) / float(run.off[at]))


# (10) and (11) are the theorem's conclusions at T; the constants are those of the lemmas behind.
PHASES: tuple[Statement, ...] = (
    Statement(
        "before tau the residual contracts by 1 - eta L sigma_min^2 / (32 m) a step",
        "Theorem 2.3, phase 1",
        32,
        _phase_one,
    ),
    Statement(
        "tau <= 32 m / (eta L sigma_min^2) log(L sigma_min^2 / (35 lambda))",
        "Corollary A.18",
        32,
        _phase_one_length,
    ),
    Statement(
        "from tau to T the residual is below 80 lambda ||X|| sqrt(d/m) / sigma_min^2",
        "Lemma A.26",
        80,
        _phase_two,
    ),
    Statement(
        "at T the residual is below 80 gamma ||X||",
        "(10), with the constant of Lemma A.26",
        80,
        _residual_at_horizon,
    ),
    Statement(
        "from tau to T the off-subspace error is below 2 (1 - eta lambda / m)^t ||W_1(0) P_perp||",
        "(74)",
        2,
        _off_subspace,
    ),
    Statement(
        "at T the off-subspace error is below d_w^(-3/2)",
        "(11), with the exponent of (75)",
        1,
        _off_subspace_at_horizon,
    ),
)
