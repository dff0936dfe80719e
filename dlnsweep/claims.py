"""Theorem 2.3 of arXiv:2502.15522, statement by statement, against the runs of a results folder.

A statement is "satisfied" or "violated" in a run only if its conditions held there; else it says
which did not. "Margin" is the bound over what was measured, the smallest over a run's recorded
steps (above 1 where it is satisfied), and "tight" the constant that would make it 1 in the worst
run, beside the paper's. The theorem's widths leave constants out; they are taken as 1. Not tested
are its restricted isometry of A and the events at the start, and in (74) ||W_1(0) P_perp|| is that
of a wide Gaussian layer, not the run's own: neither is recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dlnsweep import theory
from dlnsweep.errors import SpecError
from dlnsweep.results import open_results
from dlnsweep.theory_curves import THEOREM, Setup, is_met

# Settings are typed into files with a few digits.
_SAME = 1e-3


@dataclass(frozen=True)
class Run:
    """One run as the statements see it.

    Attributes:
        setup: Its settings.
        steps: The recorded steps.
        error: The regression error there, ||Phi||_F / ||X||_F.
        off: The off-subspace error there.
    """

    setup: Setup
    steps: np.ndarray
    error: np.ndarray
    off: np.ndarray

    @property
    def residual(self) -> np.ndarray:
        """||Phi||_F."""
        return self.error * self.setup.norm

    @property
    def rate(self) -> float:
        """The learning rate eta."""
        return float(self.setup["training.learning_rate"])

    @property
    def decay(self) -> float:
        """The weight decay lambda."""
        return float(self.setup["training.weight_decay"])

    @property
    def depth(self) -> int:
        """L."""
        return int(self.setup["network.depth"])

    @property
    def width(self) -> float:
        """d_w."""
        return float(self.setup["network.width"])

    @property
    def gamma(self) -> float:
        """The gamma for which the weight decay is that of (8)."""
        d, m, _ = self.setup.sizes
        return self.decay / theory.prescribed_weight_decay(1.0, m, d, self.setup.smallest)

    @property
    def phase_one_ends(self) -> int | None:
        """The first record with ||Phi|| below (9a), as an index; None if there is none."""
        level = theory.phase_one_level(self.gamma, self.depth, self.setup.norm)
        below = np.flatnonzero(self.residual <= level)
        return int(below[0]) if len(below) else None

    @property
    def horizon(self) -> float:
        """T of (9b)."""
        m = self.setup.sizes[1]
        return theory.prescribed_steps(m, self.width, self.rate, self.decay)


@dataclass(frozen=True)
class Verdict:
    """What a run says of a statement.

    Attributes:
        margin: The bound over what was measured, at the worst step; NaN if it does not apply.
        tight: The constant with which the margin would be 1; None where it is the statement's own
            over the margin.
        why_not: Which condition did not hold; empty if all did.
    """

    margin: float
    tight: float | None = None
    why_not: str = ""


@dataclass(frozen=True)
class Statement:
    """One statement of the theorem.

    Attributes:
        name: What it says.
        source: Where it stands.
        constant: Its constant in the paper.
        judge: From a run whose setting is the theorem's to its verdict.
    """

    name: str
    source: str
    constant: float
    judge: Callable[[Run], Verdict]

    def tight(self, verdict: Verdict) -> float:
        """Return the constant with which a run's margin would be 1."""
        return self.constant / verdict.margin if verdict.tight is None else verdict.tight


def _not(reason: str) -> Verdict:
    return Verdict(np.nan, why_not=reason)


def _conditions(run: Run) -> str:
    """Return which of the theorem's conditions a run does not meet; empty if all."""
    unmet = [
        f"{name} is not {' or '.join(map(str, allowed))}"
        for name, allowed in THEOREM.items()
        if not is_met(run.setup.settings.get(name), allowed)
    ]
    if unmet:
        return unmet[0]
    d, m, s = run.setup.sizes
    if not run.decay:
        return "no weight decay"
    if int(run.setup["problem.num_samples"]) < s:
        return "fewer samples than dimensions"
    wanted = theory.prescribed_learning_rate(m, run.depth, 1.0)
    if abs(run.rate / wanted - 1) > _SAME:
        return "learning rate is not (8)"
    if run.gamma > 1 + _SAME:
        return "weight decay above (8) with gamma = 1"
    condition = 1 / run.setup.smallest
    stable = theory.stable_rank(theory.signal_values(condition, s))
    if run.width < theory.width_of_equation_70(d, stable, run.depth, condition, run.width):
        return "width below (70)"
    return ""


def _phase_one(run: Run) -> Verdict:
    """Judge the contraction between records, up to the first below (9a)."""
    last = run.phase_one_ends
    last = len(run.steps) - 1 if last is None else last
    if last < 1:
        return _not("phase 1 is over at the first record")
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
        return _not("the bound's logarithm is negative")
    if last is None:
        if run.steps[-1] < bound:
            return _not("the run ends in phase 1")
        return Verdict(bound / float(run.steps[-1]), np.inf)
    return Verdict(bound / max(float(run.steps[last]), 1.0))


def _between(run: Run) -> np.ndarray:
    """Return which records lie between the end of phase 1 and T."""
    first = run.phase_one_ends
    if first is None:
        return np.zeros(len(run.steps), dtype=bool)
    return (run.steps >= run.steps[first]) & (run.steps <= run.horizon)


def _phase_two(run: Run) -> Verdict:
    inside = _between(run)
    if not np.any(inside):
        return _not("no record between tau and T")
    d, m, _ = run.setup.sizes
    level = theory.phase_two_level(run.decay, m, d, run.setup.smallest, run.setup.norm)
    return Verdict(level / float(np.max(run.residual[inside])))


def _off_subspace(run: Run) -> Verdict:
    inside = _between(run)
    if not np.any(inside):
        return _not("no record between tau and T")
    _, m, s = run.setup.sizes
    first = theory.first_layer_off_range(m, s, run.width)
    bound = theory.off_subspace_bound(run.steps[inside], run.rate, run.decay, m, first)
    return Verdict(float(np.min(bound / run.off[inside])))


def _at_horizon(run: Run) -> Verdict:
    after = np.flatnonzero(run.steps >= run.horizon)
    if not len(after):
        return _not("the run ends before T")
    return Verdict(theory.off_subspace_level(run.width) / float(run.off[after[0]]))


STATEMENTS: tuple[Statement, ...] = (
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
        "from tau to T the off-subspace error is below 2 (1 - eta lambda / m)^t ||W_1(0) P_perp||",
        "(74)",
        2,
        _off_subspace,
    ),
    Statement("at T the off-subspace error is below d_w^(-3/2)", "(75)", 1, _at_horizon),
)

_NEEDED = ("regression_error", "off_subspace_error")


def claims_table(folder: Any, by: Sequence[str] = ()) -> pd.DataFrame:
    """Test each statement of the theorem run by run.

    Args:
        folder: The results folder.
        by: Settings by whose values the runs are told apart; none by default.

    Returns:
        One row a statement and group: `statement`, `source`, the settings of `by`, the numbers of
        runs `satisfied`, `violated` and `not_applicable` (the conditions did not hold, or the run
        diverged or is not done), `worst_margin`, `constant` (the paper's), `tight` (the largest
        that a run needed), and `why_not`, the reasons with how often.

    Raises:
        SpecError: If the errors that it needs were not recorded, or `by` names no setting.
    """
    results = open_results(folder)
    runs = results.runs().set_index("run_id")
    for name in by:
        if name not in runs.columns or ("." not in name and name != "seed"):
            raise SpecError(f"by is '{name}'; it must be a setting, such as network.depth.")
    missing = [name for name in _NEEDED if f"final_{name}" not in runs.columns]
    if missing:
        raise SpecError(
            f"{folder}: the sweep did not record {' and '.join(missing)}, which the statements are "
            "about; add it to record.observables and run again."
        )
    curves = dict(list(results.curves(observables=list(_NEEDED)).groupby("run_id")))
    rows = []
    groups: Any = runs.groupby(list(by), dropna=False) if by else [((), runs)]
    for key, group in groups:
        judged = [dict(_verdicts(row, curves.get(run_id))) for run_id, row in group.iterrows()]
        for statement in STATEMENTS:
            verdicts = [each[statement.name] for each in judged]
            rows.append(_row(statement, dict(zip(by, key, strict=True)), verdicts))
    return pd.DataFrame(rows)


def _verdicts(row: Any, curve: pd.DataFrame | None) -> Iterator[tuple[str, Verdict]]:
    """Yield the name of each statement with what one run says of it."""
    reason = ""
    if curve is None:
        reason = "not done yet"
    elif row["status"] == "diverged":
        reason = "diverged"
    if curve is None or reason:
        yield from ((statement.name, _not(reason)) for statement in STATEMENTS)
        return
    curve = curve.sort_values("step")
    steps, error, off = (curve[n].to_numpy(dtype=float) for n in ("step", *_NEEDED))
    run = Run(Setup(row.to_dict(), np.nan), steps, error, off)
    reason = _conditions(run)
    for statement in STATEMENTS:
        yield statement.name, _not(reason) if reason else statement.judge(run)


def _row(
    statement: Statement, group: dict[str, Any], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    held = [verdict for verdict in verdicts if not verdict.why_not]
    reasons = Counter(verdict.why_not for verdict in verdicts if verdict.why_not)
    return {
        "statement": statement.name,
        "source": statement.source,
        **group,
        "satisfied": sum(verdict.margin >= 1 for verdict in held),
        "violated": sum(not verdict.margin >= 1 for verdict in held),
        "not_applicable": sum(reasons.values()),
        "worst_margin": min((verdict.margin for verdict in held), default=np.nan),
        "constant": statement.constant,
        "tight": max(map(statement.tight, held), default=np.nan),
        "why_not": "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common()),
    }


def claims_text(table: pd.DataFrame) -> str:
    """Return the table for a terminal: the statements, numbered, above their numbers."""
    numbered = {name: i for i, name in enumerate(dict.fromkeys(table["statement"]), 1)}
    sources = dict(zip(table["statement"], table["source"], strict=True))
    lines = [f"{i}. {name}  [{sources[name]}]" for name, i in numbered.items()]
    short = table.drop(columns=["source", "why_not"])
    short = short.assign(statement=[numbered[name] for name in table["statement"]])
    for name in ("worst_margin", "tight"):
        short[name] = [f"{value:.3g}" if value == value else "-" for value in table[name]]
    lines += ["", short.to_string(index=False)]
    reasons = [reason for text in table["why_not"] for reason in str(text).split("; ") if reason]
    if reasons:
        lines += ["", "not applicable because:"]
        lines += [f"  {reason}" for reason in dict.fromkeys(reasons)]
    return "\n".join(lines)
