"""A run as the statements of the theorem see it, the theorem's conditions, and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from dlnsweep import theory
from dlnsweep.theory_setup import THEOREM, Setup, is_met

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
        recorded: Whatever else of use was recorded there, by name.
    """

    setup: Setup
    steps: np.ndarray
    error: np.ndarray
    off: np.ndarray
    recorded: Mapping[str, np.ndarray] = field(default_factory=dict)

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
    def condition_number(self) -> float:
        """The condition number of X."""
        return 1 / self.setup.smallest

    @property
    def stable_rank(self) -> float:
        """sr(X)."""
        s = self.setup.sizes[2]
        return theory.stable_rank(theory.signal_values(self.condition_number, s))

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

    @property
    def until_tau(self) -> np.ndarray:
        """Which records lie in phase 1, the first that is over included."""
        last = self.phase_one_ends
        return np.arange(len(self.steps)) <= (len(self.steps) if last is None else last)

    @property
    def from_tau(self) -> np.ndarray:
        """Which records lie between the end of phase 1 and T."""
        first = self.phase_one_ends
        if first is None:
            return np.zeros(len(self.steps), dtype=bool)
        return (self.steps >= self.steps[first]) & (self.steps <= self.horizon)

    @property
    def at_horizon(self) -> int | None:
        """The first record from T on, as an index; None if there is none."""
        after = np.flatnonzero(self.steps >= self.horizon)
        return int(after[0]) if len(after) else None


@dataclass(frozen=True)
class Verdict:
    """What a run says of a statement.

    Attributes:
        margin: The bound over what was measured, at the worst step; NaN if it does not apply. Of a
            bound from below what was measured over the bound.
        tight: The constant with which the margin would be 1; None where it is the statement's own
            over the margin.
        why_not: Which condition did not hold; empty if all did.
    """

    margin: float
    tight: float | None = None
    why_not: str = ""


def not_applicable(reason: str) -> Verdict:
    """Return the verdict of a run to which a statement does not apply."""
    return Verdict(np.nan, why_not=reason)


@dataclass(frozen=True)
class Statement:
    """One statement of the theorem.

    Attributes:
        name: What it says.
        source: Where it stands.
        constant: Its constant in the paper.
        judge: From a run that meets the conditions to its verdict.
        needs: The observables that it is about, beside the two errors.
        decayed: Whether it is about runs with weight decay; else about runs without.
        from_below: Whether it bounds from below, so that the smallest constant is the tight one.
    """

    name: str
    source: str
    constant: float
    judge: Callable[[Run], Verdict]
    needs: tuple[str, ...] = ()
    decayed: bool = True
    from_below: bool = False

    def tight(self, verdict: Verdict) -> float:
        """Return the constant with which a run's margin would be 1."""
        if verdict.tight is not None:
            return verdict.tight
        return self.constant * verdict.margin if self.from_below else self.constant / verdict.margin


@dataclass(frozen=True)
class Demands:
    """What a run must meet for the theorem to speak of it.

    Attributes:
        isometry: delta: |sigma^2 - 1| < delta for the singular values of A R, where they were
            recorded. The paper's delta is not known here; beyond 1 the step size of (8) is
            unstable, so no smaller theorem can hold there.
        any_width: Whether to judge runs narrower than (70), whose constants are left out, too.
    """

    isometry: float = 1.0
    any_width: bool = False


def conditions(run: Run, demands: Demands, *, decayed: bool = True) -> str:
    """Return which of the theorem's conditions a run does not meet; empty if all.

    Args:
        run: The run.
        demands: What is asked of it.
        decayed: Whether the statement is about runs with weight decay.
    """
    for name, allowed in THEOREM.items():
        if not is_met(run.setup.settings.get(name), allowed):
            return f"{name} is not {' or '.join(map(str, allowed))}"
    _, m, s = run.setup.sizes
    if decayed != bool(run.decay):
        return "no weight decay" if decayed else "weight decay"
    if int(run.setup["problem.num_samples"]) < s:
        return "fewer samples than dimensions"
    if abs(run.rate / theory.prescribed_learning_rate(m, run.depth, 1.0) - 1) > _SAME:
        return "learning rate is not (8)"
    if run.gamma > 1 + _SAME:
        return "weight decay above (8) with gamma = 1"
    if not _is_isometric(run, demands.isometry):
        return f"not an isometry on the subspace: |sigma(AR)^2 - 1| reaches {demands.isometry:g}"
    d = run.setup.sizes[0]
    needed = theory.width_of_equation_70(
        d, run.stable_rank, run.depth, run.condition_number, run.width
    )
    if run.width < needed and not demands.any_width:
        return "width below (70)"
    return ""


def _is_isometric(run: Run, delta: float) -> bool:
    """Return whether the recorded singular values of A R are within delta; True of none."""
    names = ("isometry_min", "isometry_max")
    values = [float(run.recorded[name][0]) for name in names if name in run.recorded]
    return all(abs(value**2 - 1) < delta for value in values)
