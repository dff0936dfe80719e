"""Claims about networks beyond linear ones, and the verdicts of those that are registered.

Each claim has its conditions from the formula that it is about; see `theory/curves.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dlnsweep.contracts.claim import CLAIMS, Claim, Records, register_claim
from dlnsweep.settings.warm_start import WARM_START
from dlnsweep.theory.curves import THEORY_CURVES
from dlnsweep.theory.setup import Setup, is_met

# A minimiser, up to an error of 1e-6 in its output.
_ARRIVED = 1e-12
# By the precision of training, in which observables are computed. The share of it to which the
# sharpness is known: ten residuals and two of numerics/krylov.py, with its own rounding.
_CURVATURE_KNOWN = {"float64": 1e-9, "float32": 2e-4}
# Some hundred roundings: where a bound may be met with equality.
_EQUAL = {"float64": 1e-6, "float32": 1e-5}
# What NC1 and NC2 are beyond rounding: both are of unit matrices, and the first is a square. Runs
# in float32 come to rest at 1e-15 and 1e-7.
_ROUNDED = {
    "float64": {"nc1": 1e-25, "nc2": 1e-12},
    "float32": {"nc1": 1e-10, "nc2": 1e-4},
}


def _precision(run: Records) -> str:
    return str(run.settings.get("sweep.precision", "float64"))


def _formula(name: str, run: Records) -> np.ndarray:
    """Return the values of a theory curve that knows settings only."""
    return THEORY_CURVES[name].values(Setup(run.settings, np.nan), run.steps)


def _at_the_edge(run: Records) -> float:
    late = run.steps >= 2 / 3 * run.steps[-1]
    threshold, sharpness = _formula("stability_threshold", run)[late], run.values["sharpness"][late]
    # What is curved nowhere upwards is below any threshold.
    margins = 1.1 * threshold / np.where(sharpness > 0, sharpness, np.nan)
    return float(np.min(np.where(sharpness <= 0, np.inf, margins)))


def _flattest(run: Records) -> float:
    """Judge the sharpness at minimisers, and at what lies as near to one as a loss tells.

    With a residual of norm e and balanced layers of a matrix of norm 1 the Hessian's first part has
    an eigenvalue of at least L (1 - e)^(2 - 2/L), as W minimises the loss of another target, and
    its second one none above (L - 1) e in size: together L (1 - 3 e) and more (derived).
    """
    there = run.values["loss"] < _ARRIVED
    if not np.any(there):
        return np.nan
    near = 3 * np.sqrt(2 * run.values["loss"][there]) + _CURVATURE_KNOWN[_precision(run)]
    least = _formula("least_sharpness", run)[there] * (1 - near)
    return float(np.min(run.values["sharpness"][there] / least))


def _largest(name: str, observable: str) -> Any:
    def judge(run: Records) -> float:
        known = run.values[observable][np.isfinite(run.values[observable])]
        if not len(known):
            return np.nan
        most, allowed = float(np.max(known)), 1 + _EQUAL[_precision(run)]
        return float(_formula(name, run)[0] * allowed / most) if most > 0 else np.inf

    return judge


def _late_rate(observable: str) -> Any:
    def judge(run: Records) -> float:
        values, late = run.values[observable], run.steps >= 5 / 6 * run.steps[-1]
        first, last = np.flatnonzero(late)[[0, -1]]
        fall = np.array([1.0, np.nan])
        if last > first and values[last] > _ROUNDED[_precision(run)][observable]:
            wanted = THEORY_CURVES[f"{observable}_rate"].values(
                Setup(run.settings, 1.0), run.steps[[first, last]].astype(float)
            )
            fall = np.log([values[first] / values[last], wanted[0] / wanted[1]])
        return float(0.05 / abs(fall[0] / fall[1] - 1)) if np.isfinite(fall[1]) else np.nan

    return judge


_OURS = (
    ("stability_threshold", ("sharpness",), _at_the_edge, "arXiv:2103.00065",
     "the sharpness is at most 1.1 times the stability threshold in the last third"),
    ("least_sharpness", ("sharpness", "loss"), _flattest, "derived",
     "no minimiser (loss below 1e-12) is flatter than L σ_1^(2 - 2/L)"),
    ("largest_margin", ("l2_margin",), _largest("largest_margin", "l2_margin"), "derived",
     "no l2_margin is larger than γ"),
    ("largest_normalized_margin", ("margin",), _largest("largest_normalized_margin", "margin"),
     "derived", "no margin of a deep linear network is larger than γ / L^(L/2)"),
    ("nc1_rate", ("nc1",), _late_rate("nc1"), "derived",
     "NC1 falls at its derived rate, to 5 %, over the last sixth"),
    ("nc2_rate", ("nc2",), _late_rate("nc2"), "derived",
     "NC2 falls at its derived rate, to 5 %, over the last sixth"),
)  # fmt: skip
for _curve, _observables, _judge, _source, _name in _OURS:
    register_claim(Claim(_name, _source, _observables, _judge, THEORY_CURVES[_curve].needs))


def claims_about(runs: pd.DataFrame) -> list[Claim]:
    """Return the registered claims whose observables were recorded, and whose settings some have.

    Args:
        runs: The table of runs.
    """
    found = []
    for claim in CLAIMS.values():
        recorded = all(f"final_{name}" in runs.columns for name in claim.observables)
        if recorded and any(not _unmet(claim, row) for row in _settings(runs, claim)):
            found.append(claim)
    return found


def claims_about_none(runs: pd.DataFrame) -> Iterator[str]:
    """Yield why a registered claim whose observables were recorded is about none of the runs."""
    for claim in CLAIMS.values():
        if all(f"final_{name}" in runs.columns for name in claim.observables):
            reasons = dict.fromkeys(_unmet(claim, row) for row in _settings(runs, claim))
            if "" not in reasons:
                yield f"'{claim.name}' is not about them: {' or '.join(reasons)}"


def claims_not_recorded(runs: pd.DataFrame) -> Iterator[str]:
    """Yield what to record for a registered claim that would be about some of the runs."""
    for claim in CLAIMS.values():
        missing = [name for name in claim.observables if f"final_{name}" not in runs.columns]
        if missing and any(not _unmet(claim, row) for row in _settings(runs, claim)):
            yield f"{' and '.join(missing)} for '{claim.name}'"


def _settings(runs: pd.DataFrame, claim: Claim) -> list[dict[str, Any]]:
    known = [name for name in (*claim.needs, WARM_START) if name in runs.columns]
    return runs[known].drop_duplicates().to_dict("records") if known else [{}]  # type: ignore


def _unmet(claim: Claim, settings: Any) -> str:
    if not is_met(settings.get(WARM_START), ("",)):
        return "its initial weights are given"
    for name, allowed in claim.needs.items():
        if not is_met(settings.get(name), allowed):
            return f"{name} is not {' or '.join(map(str, allowed))}"
    return ""


def judged(claim: Claim, row: Any, curve: pd.DataFrame | None) -> tuple[float, str]:
    """Return the margin of one run, and why it has none.

    Args:
        claim: The claim.
        row: The run in the table of runs.
        curve: Its records, ascending; None where there are none yet.
    """
    if curve is None or row["status"] == "diverged":
        return np.nan, "not done yet" if curve is None else "diverged"
    if why_not := _unmet(claim, row):
        return np.nan, why_not
    # A batch of an earlier version of the file may lack a column.
    curve = curve.reindex(columns=["step", *claim.observables])
    values = {name: curve[name].to_numpy(dtype=float) for name in claim.observables}
    margin = claim.judge(Records(row.to_dict(), curve["step"].to_numpy(dtype=float), values))
    if margin == margin:
        return margin, ""
    # What is no number may be why; who judges need not tell.
    for name, numbers in values.items():
        if np.isnan(numbers).any():
            return margin, f"{name} is no number in a record"
    return margin, "no record that it is about"


def claim_row(
    claim: Claim, group: dict[str, Any], verdicts: Sequence[tuple[float, str]]
) -> dict[str, Any]:
    """Return the row of the table for one claim and some runs."""
    held = [margin for margin, why_not in verdicts if not why_not]
    reasons = Counter(why_not for _, why_not in verdicts if why_not)
    return {
        "statement": claim.name,
        "source": claim.source,
        **group,
        "satisfied": sum(margin >= 1 for margin in held),
        "violated": sum(margin < 1 for margin in held),
        "measured": 0,
        "not_applicable": sum(reasons.values()),
        "worst_margin": min(held, default=np.nan),
        "constant": np.nan,
        "tight": np.nan,
        "why_not": "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common()),
    }


def needed_by(claims: Sequence[Claim]) -> Iterator[str]:
    """Yield the observables that some claims are about."""
    yield from dict.fromkeys(name for claim in claims for name in claim.observables)
