"""A run as the statements of the theorem see it, the theorem's conditions, and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from dlnsweep.settings.warm_start import WARM_START
from dlnsweep.theory import formulas as theory
from dlnsweep.theory import proof as theory_proof
from dlnsweep.theory.setup import THEOREM, Setup, is_met

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
        constant: Its constant in the paper; None where that states none, so that the runs tell what
            it would have to be, and cannot break it.
        judge: From a run that meets the conditions to its verdict.
        needs: The observables that it is about, beside the two errors.
        decayed: Whether it is about runs with weight decay; else about runs without.
        from_below: Whether it bounds from below, so that the smallest constant is the tight one.
    """

    name: str
    source: str
    constant: float | None
    judge: Callable[[Run], Verdict]
    needs: tuple[str, ...] = ()
    decayed: bool = True
    from_below: bool = False

    def tight(self, verdict: Verdict) -> float:
        """Return the constant with which a run's margin would be 1."""
        if verdict.tight is not None:
            return verdict.tight
        constant = self.constant or 1.0
        return constant * verdict.margin if self.from_below else constant / verdict.margin


@dataclass(frozen=True)
class Demands:
    """What a run must meet to be judged; by default what Theorem A.2 asks.

    Attributes:
        isometry: delta: |sigma^2 - 1| <= delta for the singular values of A R. A run in which they
            were not recorded does not meet it, unless delta is infinite.
        any_width: Whether to judge narrower runs, too. The constants of (70) are not stated; they
            are taken as 1. Lemma A.25 states its own.
        any_decay: Whether to judge runs with more weight decay than (29) allows, too.
    """

    isometry: float = theory_proof.ISOMETRY
    any_width: bool = False
    any_decay: bool = False


def conditions(run: Run, demands: Demands, *, decayed: bool = True) -> str:
    """Return which of the theorem's conditions a run does not meet; empty if all.

    Args:
        run: The run.
        demands: What is asked of it.
        decayed: Whether the statement is about runs with weight decay.
    """
    for name, allowed in THEOREM.items():
        # Assumption 2.1 is all that the theorem asks of A.
        if name != "problem.operator" and not is_met(run.setup.settings.get(name), allowed):
            if name == WARM_START:
                return "its initial weights are given"
            return f"{name} is not {' or '.join(map(str, allowed))}"
    if decayed != bool(run.decay):
        return "no weight decay" if decayed else "weight decay"
    return " and ".join(_unmet(run, demands))


def _unmet(run: Run, demands: Demands) -> Iterator[str]:
    d, m, s = run.setup.sizes
    if m >= d:
        yield "measurement_dim not below signal_dim"
    if run.depth < 2:
        yield "no hidden layer"
    if int(run.setup["problem.num_samples"]) < s:
        yield "fewer samples than dimensions"
    # Remark 2.5: any smaller step size will do.
    if run.rate > theory.prescribed_learning_rate(m, run.depth, 1.0) * (1 + _SAME):
        yield "learning rate above (29)"
    if run.gamma > 1 + _SAME:
        yield "gamma above 1"
    limit = theory_proof.weight_decay_limit(run.depth, run.setup.smallest)
    if run.decay > limit * (1 + _SAME) and not demands.any_decay:
        yield "weight decay above L sigma_min^2/(400*35) of (29)"
    yield from _not_isometric(run, demands.isometry)
    if not demands.any_width:
        needed = theory.width_of_equation_70(
            d, run.stable_rank, run.depth, run.condition_number, run.width
        )
        if run.width < needed:
            yield "width below (70)"
        if run.width < theory_proof.width_of_lemma_a25(m, run.depth, run.width):
            yield "width below Lemma A.25"


def _not_isometric(run: Run, delta: float) -> Iterator[str]:
    names = ("isometry_min", "isometry_max")
    values = [float(run.recorded[name][0]) for name in names if name in run.recorded]
    if len(values) < len(names):
        if np.isfinite(delta):
            yield f"delta not known: add {' and '.join(names)} to record.observables"
    elif not all(abs(value**2 - 1) <= delta for value in values):
        yield f"delta above {delta:g}"
