"""What the proof of Theorem 2.3 keeps true on its way, and Corollary 2.6.

Of the events B(t) the constants are known here, 3/4 and 5/4 in Theorem A.12, 5/7 and 9/7 in
Theorem A.23; what they bound, and Lemma A.14 with its constant, is reconstructed after Du and Hu
(2019, arXiv:1901.08572), whose proof the paper's follows. The sources of such statements say so.
W_{i:1} Y is judged up to tau only: the first layer's start decays by (1 - eta lambda / m)^t, to
d_w^{-2} at T, so nothing keeps these gains near 1 in phase 2, and Theorem A.23 cannot say that they
stay there (derived).
"""

from __future__ import annotations

import numpy as np

from dlnsweep import theory
from dlnsweep.claims.run import Run, Statement, Verdict, not_applicable

_UPPER = ("upper_gain_min", "upper_gain_max")
_LOWER = ("lower_gain_min", "lower_gain_max")
_CURVATURE = ("curvature_min", "curvature_max", "isometry_min", "isometry_max")
_AFTER_DU_HU = "reconstructed after Du and Hu 2019"


def _band(
    run: Run, names: tuple[str, str], inside: np.ndarray, band: tuple[float, float]
) -> Verdict:
    """Judge whether gains lie in a band about 1; its constant is the band's half width."""
    least = float(np.min(run.recorded[names[0]][inside]))
    most = float(np.max(run.recorded[names[1]][inside]))
    return Verdict(min(least / band[0], band[1] / most), max(1 - least, most - 1))


def _at_start(run: Run) -> Verdict:
    first = np.arange(len(run.steps)) == 0
    pairs = [_band(run, names, first, theory.EVENTS_OF_THEOREM_A12) for names in (_UPPER, _LOWER)]
    worst = [float(pair.tight or 0.0) for pair in pairs]
    return Verdict(min(pair.margin for pair in pairs), max(worst))


def _upper_one(run: Run) -> Verdict:
    return _band(run, _UPPER, run.until_tau, theory.EVENTS_OF_THEOREM_A12)


def _lower_one(run: Run) -> Verdict:
    return _band(run, _LOWER, run.until_tau, theory.EVENTS_OF_THEOREM_A12)


def _upper_two(run: Run) -> Verdict:
    inside = run.from_tau
    if not np.any(inside):
        return not_applicable("no record between tau and T")
    return _band(run, _UPPER, inside, theory.EVENTS_OF_THEOREM_A23)


def _middle(run: Run) -> Verdict:
    if run.depth < 3:
        return not_applicable("no layer between the first and the last")
    inside = run.steps <= run.horizon
    most = float(np.max(run.recorded["middle_gain_max"][inside]))
    return Verdict(theory.middle_gain_bound(run.depth) / most)


def _curvature(run: Run) -> Verdict:
    """Judge the spectrum of P(t) in phase 1; its constant is the half width of the gains' band."""
    m = run.setup.sizes[1]
    inside = run.until_tau
    least, most = (
        float(pick(run.recorded[name][inside]))
        for pick, name in zip((np.min, np.max), _CURVATURE[:2], strict=True)
    )
    # sigma_max(X) is 1.
    smallest = float(run.recorded["isometry_min"][0]) * run.setup.smallest
    largest = float(run.recorded["isometry_max"][0])
    low, high = theory.curvature_bounds(m, run.depth, smallest, largest)
    even = theory.curvature_bounds(m, run.depth, smallest, largest, (1.0, 1.0))
    gains = (max(least, 0.0) / even[0]) ** 0.25, (most / even[1]) ** 0.25
    return Verdict(min(least / low, high / most), max(1 - gains[0], gains[1] - 1))


def _higher_order(run: Run) -> Verdict:
    inside = run.until_tau
    share = run.recorded["higher_order_term"][inside]
    slowest = run.rate * run.recorded["curvature_min"][inside]
    return Verdict(theory.HIGHER_ORDER_SHARE * float(np.min(slowest / share)))


def _noise_with_decay(run: Run) -> Verdict:
    at = run.at_horizon
    if at is None:
        return not_applicable("the run ends before T")
    noise, s = float(run.setup["record.test_noise"]), run.setup.sizes[2]
    bound = theory.noisy_error_with_decay(
        noise, run.gamma, s, run.condition_number, run.stable_rank, run.width
    )
    return Verdict(bound / float(run.recorded["noisy_test_error"][at]))


def _noise_without_decay(run: Run) -> Verdict:
    d, m, s = run.setup.sizes
    bound = theory.noisy_error_without_decay(float(run.setup["record.test_noise"]), m, d, s)
    if bound <= 0:
        return not_applicable("the bound is negative: d (m - s) / m is below s")
    if run.error[-1] > bound:
        return not_applicable("the data are not fitted to the size of the bound")
    return Verdict(float(run.recorded["noisy_test_error"][-1]) / bound)


EVENTS: tuple[Statement, ...] = (
    Statement(
        "at step 0 the singular values of W_{L:i} and of sqrt(m/d_w) W_{i:1}Y over Y's lie in "
        "[3/4, 5/4]",
        f"Lemmas A.8 to A.11, {_AFTER_DU_HU}, with the constants of Theorem A.12",
        0.25,
        _at_start,
        (*_UPPER, *_LOWER),
    ),
    Statement(
        "up to tau the singular values of W_{L:i} lie in [3/4, 5/4]",
        f"B(t) of Theorem A.12, {_AFTER_DU_HU}",
        0.25,
        _upper_one,
        _UPPER,
    ),
    Statement(
        "up to tau the singular values of sqrt(m/d_w) W_{i:1}Y over Y's lie in [3/4, 5/4]",
        f"B(t) of Theorem A.12, {_AFTER_DU_HU}",
        0.25,
        _lower_one,
        _LOWER,
    ),
    Statement(
        "from tau to T the singular values of W_{L:i} lie in [5/7, 9/7]",
        f"B(t) of Theorem A.23, {_AFTER_DU_HU}",
        2 / 7,
        _upper_two,
        _UPPER,
    ),
    Statement(
        "up to T ||W_{j:i}|| is below 2 sqrt(L) for 1 < i <= j < L",
        f"B(t), {_AFTER_DU_HU}, where the constant is left out, here 2",
        2,
        _middle,
        ("middle_gain_max",),
    ),
    Statement(
        "up to tau the eigenvalues of P(t) lie between (3/4)^4 L sigma_min^2/m and (5/4)^4 L "
        "sigma_max^2/m, sigma = sigma(AR) sigma(X)",
        f"Lemma A.16, {_AFTER_DU_HU}",
        0.25,
        _curvature,
        _CURVATURE,
    ),
    Statement(
        "up to tau the terms of higher order of a step are below eta lambda_min(P(t)) ||Phi|| / 6",
        f"Lemma A.14, {_AFTER_DU_HU}",
        theory.HIGHER_ORDER_SHARE,
        _higher_order,
        ("higher_order_term", "curvature_min"),
    ),
    Statement(
        "with weight decay the noisy test error at T is below gamma kappa sqrt(sr(X)) + d_w^(-3/2) "
        "+ sigma sqrt(s)",
        "Corollary 2.6, constants left out",
        1,
        _noise_with_decay,
        ("noisy_test_error",),
    ),
    Statement(
        "without weight decay the noisy test error ends above sigma (sqrt(d(m-s)/m) - sqrt(s))",
        "Corollary 2.6, constants left out",
        1,
        _noise_without_decay,
        ("noisy_test_error",),
        decayed=False,
        from_below=True,
    ),
)
