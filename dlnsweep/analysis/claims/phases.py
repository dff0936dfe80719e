"""The two phases of Theorem A.2 and its conclusions: contraction, levels, off-subspace error."""

from __future__ import annotations

import numpy as np

from dlnsweep.analysis.claims.run import Run, Statement, Verdict, not_applicable
from dlnsweep.theory import formulas as theory
from dlnsweep.theory import proof as theory_proof

_NONE_LATE = "no record between tau and T"
_ENDS_EARLY = "the run ends before T"
# W_1(t) P_perp is a product of t roundings, and its norm a decomposition.
_SAME_DECAY = 1e-6


def _phase_one_records(run: Run) -> int:
    """Return the index of the record that ends phase 1, or of the last one."""
    last = run.phase_one_ends
    return len(run.steps) - 1 if last is None else last


def _phase_one(run: Run) -> Verdict:
    """Judge the contraction between records, up to the first below (30a)."""
    last = _phase_one_records(run)
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


def _recursion(run: Run) -> Verdict:
    """Judge (59a), applied step after step from each record of phase 1 to the next."""
    last = _phase_one_records(run)
    if last < 1:
        return not_applicable("phase 1 is over at the first record")
    d, m, _ = run.setup.sizes
    gaps = np.diff(run.steps[: last + 1])
    bounds = [
        theory.phase_one_bound(
            gap, start, run.rate, run.decay, m, d, run.depth, run.setup.smallest, run.setup.norm
        )
        for gap, start in zip(gaps, run.residual[:last], strict=True)
    ]
    with np.errstate(divide="ignore"):
        return Verdict(float(np.min(np.array(bounds) / run.residual[1 : last + 1])))


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


def _not_of_the_sketch(run: Run) -> str:
    """Return why Section 2.1 is not about a run; empty if it is."""
    if run.depth != 2 or run.condition_number != 1:
        return "Section 2.1 is about L = 2 and kappa = 1"
    return ""


def _phase_one_order(run: Run) -> Verdict:
    d, m, _ = run.setup.sizes
    order, last = theory_proof.phase_one_steps_order(run.gamma, m, d), run.phase_one_ends
    reason = _not_of_the_sketch(run)
    if reason or order <= 0 or last is None:
        return not_applicable(reason or "no end of phase 1, or a negative logarithm")
    # (17) is for eta = m / 2; smaller steps take longer in proportion.
    share = run.rate / theory.prescribed_learning_rate(m, run.depth, 1.0)
    return Verdict(order / (share * max(float(run.steps[last]), 1.0)))


def _level(run: Run) -> float:
    d, m, _ = run.setup.sizes
    return theory.phase_two_level(run.decay, m, d, run.setup.smallest, run.setup.norm)


def _phase_two(run: Run) -> Verdict:
    if not np.any(run.from_tau):
        return not_applicable(_NONE_LATE)
    return Verdict(_level(run) / float(np.max(run.residual[run.from_tau])))


def _phase_two_order(run: Run) -> Verdict:
    if not np.any(run.from_tau):
        return not_applicable(_NONE_LATE)
    worst = float(np.max(run.residual[run.from_tau]))
    return Verdict(run.gamma * run.setup.norm / worst)


def _first_layer(run: Run) -> float:
    """Return the run's own ||W_1(0) P_perp|| where it was recorded, else that of a wide layer."""
    own = run.recorded.get("first_layer_off_range")
    if own is not None:
        return float(own[0])
    return theory.first_layer_off_range(run.setup.sizes[1], run.setup.rank, run.width)


def _off_subspace(run: Run) -> Verdict:
    inside = run.from_tau
    if not np.any(inside):
        return not_applicable(_NONE_LATE)
    bound = theory.off_subspace_bound(
        run.steps[inside], run.rate, run.decay, run.setup.sizes[1], _first_layer(run)
    )
    return Verdict(float(np.min(bound / run.off[inside])))


def _off_subspace_order(run: Run) -> Verdict:
    inside = run.from_tau
    reason = _not_of_the_sketch(run)
    if reason or not np.any(inside):
        return not_applicable(reason or _NONE_LATE)
    order = theory_proof.off_subspace_order(
        run.steps[inside], run.rate, run.decay, run.setup.sizes[1], run.width
    )
    return Verdict(float(np.min(order / run.off[inside])))


def _off_subspace_at_horizon(run: Run) -> Verdict:
    at = run.at_horizon
    if at is None:
        return not_applicable(_ENDS_EARLY)
    return Verdict(theory.off_subspace_level(run.width) / float(run.off[at]))


def _exponent(run: Run) -> Verdict:
    at = run.at_horizon
    if at is None:
        return not_applicable(_ENDS_EARLY)
    return Verdict(-float(np.log(run.off[at]) / np.log(run.width)))


def _first_layer_decay(run: Run) -> Verdict:
    """Judge that ||W_1(t) P_perp|| over the decayed start is 1, up to rounding."""
    own = run.recorded["first_layer_off_range"]
    kept = (1 - run.rate * run.decay / run.setup.sizes[1]) ** run.steps
    # Where it has underflown there is nothing to compare.
    seen = own > 1e-290
    if not np.any(seen):
        return not_applicable("W_1 P_perp is zero")
    off = float(np.max(np.abs(own[seen] / (kept[seen] * own[0]) - 1)))
    return Verdict(_SAME_DECAY / off if off else np.inf)


def _best_step(run: Run) -> Verdict:
    error = run.recorded["noisy_test_error"]
    best = int(np.argmin(error))
    if best == len(error) - 1 or not run.steps[best]:
        return not_applicable("the test error is smallest at the first or the last record")
    return Verdict(1 / (run.rate * run.decay * float(run.steps[best])))


# Theorem A.2 is the formal version of Theorem 2.3; its (31) and (32) are (10) and (11).
PHASES: tuple[Statement, ...] = (
    Statement(
        "before tau the residual contracts by 1 - eta L sigma_min^2 / (32 m) a step",
        "(31), (64)",
        32,
        _phase_one,
    ),
    Statement(
        "before tau a step leaves at most (1 - eta L sigma_min^2 / (16 m)) ||Phi|| + (5 eta lambda "
        "/ (2 m)) sqrt(d/m) ||X||, between records",
        "A(t) of Theorem A.12, (59a)",
        1,
        _recursion,
    ),
    Statement(
        "tau <= 32 m / (eta L sigma_min^2) log(L sigma_min^2 / (35 lambda))",
        "Corollary A.18",
        32,
        _phase_one_length,
    ),
    Statement(
        "tau is of the order log(sqrt(d/m) / gamma), for L = 2, kappa = 1",
        "(17)",
        None,
        _phase_one_order,
    ),
    Statement(
        "from tau to T the residual is below 80 lambda ||X|| sqrt(d/m) / sigma_min^2",
        "Lemma A.26",
        80,
        _phase_two,
    ),
    Statement(
        "from tau to T the residual is below C_1 gamma ||X||",
        "(31), (69a)",
        None,
        _phase_two_order,
    ),
    Statement(
        "W_1(t) P_perp = (1 - eta lambda / m)^t W_1(0) P_perp, in norm and to 1e-6",
        "Appendix A.7",
        _SAME_DECAY,
        _first_layer_decay,
        ("first_layer_off_range",),
    ),
    Statement(
        "from tau to T the off-subspace error is below 2 (1 - eta lambda / m)^t ||W_1(0) P_perp||",
        "(74)",
        2,
        _off_subspace,
    ),
    Statement(
        "from tau to T it is of the order (1 - eta lambda / m)^t sqrt(d_w / m), for L = 2, "
        "kappa = 1",
        "(18)",
        None,
        _off_subspace_order,
    ),
    Statement(
        "at T the off-subspace error is of the order d_w^(-3/2)",
        "(75)",
        None,
        _off_subspace_at_horizon,
    ),
    Statement(
        "at T the off-subspace error is at most d_w^(-C_2)",
        "(32)",
        None,
        _exponent,
        from_below=True,
    ),
    Statement(
        "the noisy test error is smallest after about 1 / (eta lambda) steps",
        "Remark 2.4",
        None,
        _best_step,
        ("noisy_test_error",),
    ),
)
