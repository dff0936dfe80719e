"""What the proof of Theorem A.2 keeps true on its way, and Corollary 2.6.

Events and lemmas as Appendix A of arXiv:2502.15522 states them, in normalised weights; see
`theory/proof.py`, also for where the paper slips.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from dlnsweep.analysis.claims.run import Run, Statement, Verdict, not_applicable
from dlnsweep.theory import proof as theory_proof

_UPPER = ("upper_gain_min", "upper_gain_max")
_LOWER = ("lower_gain_min", "lower_gain_max")
_CURVATURE = ("curvature_min", "curvature_max")
_MIDDLE = ("middle_gain_max",)
_HIGHER = ("higher_order_term",)
_NONE_LATE = "no record between tau and T"

Records = Callable[[Run], np.ndarray]
Judge = Callable[[Run, np.ndarray], Verdict]


def _first(run: Run) -> np.ndarray:
    return run.steps == 0


def _early(run: Run) -> np.ndarray:
    return run.until_tau


def _late(run: Run) -> np.ndarray:
    return run.from_tau


def _during(records: Records, judge: Judge, run: Run) -> Verdict:
    """Judge a run on some of its records."""
    inside = records(run)
    return judge(run, inside) if np.any(inside) else not_applicable(_NO_RECORD[records])


_NO_RECORD: dict[Records, str] = {
    _first: "step 0 is not recorded",
    _early: "no record up to tau",
    _late: _NONE_LATE,
}


def _band(names: tuple[str, str], band: tuple[float, float], run: Run, at: np.ndarray) -> Verdict:
    """Judge whether gains lie in a band about 1; its constant is the band's half width."""
    least = float(np.min(run.recorded[names[0]][at]))
    most = float(np.max(run.recorded[names[1]][at]))
    return Verdict(min(least / band[0], band[1] / most), max(1 - least, most - 1))


def _below(name: str, bound: Callable[[Run], float], run: Run, at: np.ndarray) -> Verdict:
    """Judge whether what is recorded under a name stays below a number."""
    most = float(np.max(run.recorded[name][at]))
    return Verdict(bound(run) / most if most else np.inf)


def _middle(run: Run, at: np.ndarray) -> Verdict:
    if run.depth < 3:
        return not_applicable("no layer between the first and the last")
    return _below("middle_gain_max", lambda run: float(np.sqrt(run.depth)), run, at)


def _spectrum(
    bounds: Callable[[int, int, float, float], tuple[float, float]], run: Run, at: np.ndarray
) -> Verdict:
    """Judge the eigenvalues of P(t); its constant is the factor by which both bounds would fit."""
    # sigma_max(X) is 1.
    low, high = bounds(run.setup.sizes[1], run.depth, run.setup.smallest, 1.0)
    least = float(np.min(run.recorded["curvature_min"][at]))
    most = float(np.max(run.recorded["curvature_max"][at]))
    return Verdict(min(least / low, high / most))


def _higher_order_one(run: Run) -> float:
    m = run.setup.sizes[1]
    return theory_proof.higher_order_in_phase_one(run.rate, m, run.depth, run.setup.smallest)


def _higher_order_two(run: Run) -> float:
    return theory_proof.higher_order_in_phase_two(run.rate, run.setup.sizes[1], run.setup.smallest)


def _start_error(run: Run, at: np.ndarray) -> Verdict:
    _, m, _ = run.setup.sizes
    bound = theory_proof.start_error_bounds(m, run.setup.sizes[0])[0]
    return Verdict(bound / float(np.max(run.error[at])))


def _start_output(run: Run) -> float:
    return theory_proof.start_output_bound(run.setup.sizes[1], run.setup.sizes[0])


def _output(run: Run) -> float:
    return theory_proof.output_bound(run.setup.sizes[1], run.setup.sizes[0])


def _until_horizon(run: Run) -> np.ndarray:
    return run.steps <= run.horizon


_NO_RECORD[_until_horizon] = "no record up to T"


def _displacement(run: Run) -> float:
    d = run.setup.sizes[0]
    order = theory_proof.displacement_order(d, run.stable_rank, run.depth, run.condition_number)
    return theory_proof.DISPLACEMENT_CONSTANT * order


def _late_displacement(run: Run, at: np.ndarray) -> Verdict:
    """Judge (69c) by the triangle inequality: W_i(tau) itself is not recorded, its distance is."""
    moved = run.recorded["displacement"][at]
    order = theory_proof.late_displacement_order(
        run.setup.sizes[0], run.stable_rank, run.condition_number, run.width
    )
    most = float(np.max(moved + moved[0]))
    return Verdict(order / most if most else np.inf)


def _kept(run: Run) -> Verdict:
    last = run.phase_one_ends
    if last is None:
        return not_applicable("the run ends in phase 1")
    # The first layer decays fastest: m < d_w.
    kept = (1 - run.rate * run.decay / run.setup.sizes[1]) ** float(run.steps[last])
    return Verdict(kept / theory_proof.kept_until_tau(run.depth))


def _noise_with_decay(run: Run) -> Verdict:
    at = run.at_horizon
    if at is None:
        return not_applicable("the run ends before T")
    noise, s = float(run.setup["record.test_noise"]), run.setup.sizes[2]
    order = theory_proof.noisy_error_with_decay_order(
        noise, run.gamma, s, run.condition_number, run.stable_rank, run.width
    )
    return Verdict(order / float(run.recorded["noisy_test_error"][at]))


def _noise_without_decay(run: Run) -> Verdict:
    d, m, s = run.setup.sizes
    noise = float(run.setup["record.test_noise"])
    # Test signals have mean square norm 1, and their measurements about that and the noise.
    size = float(np.sqrt(1 + m * noise**2))
    order = theory_proof.noisy_error_without_decay_order(
        noise, m, d, s, float(run.error[-1]), run.condition_number, run.stable_rank, size
    )
    if order <= 0:
        return not_applicable("the right side of (20) is not positive")
    return Verdict(float(run.recorded["noisy_test_error"][-1]) / order)


def _statement(
    name: str,
    source: str,
    constant: float | None,
    records: Records,
    judge: Judge,
    needs: tuple[str, ...],
) -> Statement:
    return Statement(name, source, constant, partial(_during, records, judge), needs)


_START, _ONE, _TWO = (
    theory_proof.EVENTS_AT_START,
    theory_proof.EVENTS_OF_THEOREM_A12,
    theory_proof.EVENTS_OF_THEOREM_A23,
)
_OF_LOWER = "the singular values of sqrt(m/d_w) W_{i:1}Y over X's"

EVENTS: tuple[Statement, ...] = (
    _statement(
        f"at step 0 {_OF_LOWER} lie in [4/5, 6/5]",
        "Lemma A.8",
        1 / 5,
        _first,
        partial(_band, _LOWER, _START),
        _LOWER,
    ),
    _statement(
        "at step 0 ||W_{j:i}|| <= C sqrt(L) for 1 < i <= j < L",
        "Lemma A.9",
        None,
        _first,
        _middle,
        _MIDDLE,
    ),
    _statement(
        "at step 0 the singular values of W_{L:i} lie in [4/5, 6/5]",
        "Lemma A.10",
        1 / 5,
        _first,
        partial(_band, _UPPER, _START),
        _UPPER,
    ),
    _statement(
        "at step 0 the residual is at most (6/5 sqrt(d/m) + 1) ||X||",
        "Lemma A.11",
        1,
        _first,
        _start_error,
        (),
    ),
    _statement(
        "at step 0 ||U|| = ||W_{L:1}Y|| is at most 6/5 sqrt(d/m) ||X||",
        "Lemma A.11",
        6 / 5,
        _first,
        partial(_below, "output_norm", _start_output),
        ("output_norm",),
    ),
    _statement(
        "up to T ||U(t)|| is at most 5/4 sqrt(d/m) ||X||",
        "proofs of Lemmas A.17 and A.26",
        5 / 4,
        _until_horizon,
        partial(_below, "output_norm", _output),
        ("output_norm",),
    ),
    _statement(
        f"up to tau {_OF_LOWER} lie in [3/4, 5/4]",
        "B(t) of Theorem A.12, (59b)",
        1 / 4,
        _early,
        partial(_band, _LOWER, _ONE),
        _LOWER,
    ),
    _statement(
        "up to tau the singular values of W_{L:i} lie in [3/4, 5/4], i > 1",
        "B(t) of Theorem A.12, (59b)",
        1 / 4,
        _early,
        partial(_band, _UPPER, _ONE),
        _UPPER,
    ),
    _statement(
        "up to T ||W_{j:i}|| <= 2 C sqrt(L) for 1 < i <= j < L",
        "(59b), (69b)",
        None,
        _until_horizon,
        _middle,
        _MIDDLE,
    ),
    _statement(
        "up to tau ||W_i(t) - (1 - eta lambda/d_i)^t W_i(0)|| <= 110 kappa^2 sqrt(d sr(X)) / L, in "
        "the paper's weights",
        "C(t) of Theorem A.12, (59c), with the 50 of Lemma A.19 times the 11/5 of A.11",
        theory_proof.DISPLACEMENT_CONSTANT,
        _early,
        partial(_below, "displacement", _displacement),
        ("displacement",),
    ),
    Statement(
        "up to tau (1 - eta lambda/d_i)^t >= 1 - 1/(20 L)", "Lemma A.21", 1, _kept, from_below=True
    ),
    _statement(
        "up to tau ||E(t)|| <= 17 eta L sigma_min^2 / (1024 m) ||Phi||",
        "Lemma A.14, (60)",
        17 / 1024,
        _early,
        partial(_below, "higher_order_term", _higher_order_one),
        _HIGHER,
    ),
    _statement(
        "up to tau the eigenvalues of P(t) lie in [(9/32)^2 L sigma_min^2/m, 3 L sigma_max^2/m]",
        "Lemma A.16",
        1,
        _early,
        partial(_spectrum, theory_proof.spectrum_in_phase_one),
        _CURVATURE,
    ),
    _statement(
        "from tau to T the singular values of W_{L:i} lie in [5/7, 9/7], i > 1",
        "B(t) of Theorem A.23, (69b)",
        2 / 7,
        _late,
        partial(_band, _UPPER, _TWO),
        _UPPER,
    ),
    _statement(
        "from tau to T sqrt(m/d_w) ||W_{i:1}Y|| <= 9/7 sigma_max(X)",
        "B(t) of Theorem A.23, (69b)",
        9 / 7,
        _late,
        partial(_below, "lower_gain_max", lambda _: theory_proof.EVENTS_OF_THEOREM_A23[1]),
        ("lower_gain_max",),
    ),
    _statement(
        "from tau to T ||W_i(t) - (1 - eta lambda/d_i)^(t - tau) W_i(tau)|| <= C kappa^2 sqrt(d "
        "sr(X)) log(d_w)",
        "C(t) of Theorem A.23, (69c)",
        None,
        _late,
        _late_displacement,
        ("displacement",),
    ),
    _statement(
        "from tau to T ||E(t)|| <= 3 eta sigma_min^2 / (80 m) ||Phi||",
        "proof of Lemma A.26",
        3 / 80,
        _late,
        partial(_below, "higher_order_term", _higher_order_two),
        _HIGHER,
    ),
    _statement(
        "from tau to T the eigenvalues of P(t) lie in [sigma_min^2/(10 m), 2 L sigma_max^2/m]",
        "proof of Lemma A.26",
        1,
        _late,
        partial(_spectrum, theory_proof.spectrum_in_phase_two),
        _CURVATURE,
    ),
    Statement(
        "with weight decay the noisy test error at T is of the order gamma kappa sqrt(sr(X)) + "
        "d_w^(-3/2) + sigma sqrt(s)",
        "Corollary 2.6, (19), exponent of (75)",
        None,
        _noise_with_decay,
        ("noisy_test_error",),
    ),
    Statement(
        "without weight decay the noisy test error ends above the order sigma (sqrt(d(m-s)/m) - "
        "sqrt(s)) - beta kappa sqrt(sr(X)) ||y||",
        "Corollary 2.6, (20)",
        None,
        _noise_without_decay,
        ("noisy_test_error",),
        decayed=False,
        from_below=True,
    ),
)
