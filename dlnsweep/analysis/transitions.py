"""Where runs begin to succeed: the value of a setting at which half of them do, and its exponents.

In each group of runs the probability of success p is fitted to the setting x,

    ln(p / (1 - p)) = b (ln x - ln x_half),

by maximum likelihood with a weak prior on the slope (see logistic.py); a run that diverged has
failed. Over the groups a power law is fitted, ln x_half = a + sum_k e_k ln(g_k), by least squares.
The interval of x_half is that of sign tests of the seeds at the values that were tried (see
half.py), which supposes no law of p but that it rises or falls. That of an exponent is

    e_k -+ t S,    S^2 = n / (n - 1) var(e_k) + sum_g a_kg^2 w_g^2 / 12,

with t Student's quantile for the n seeds, var(e_k) over resamples of these (a seed is taken with
all its runs; the groups share them), which is (n - 1) / n of the variance that is meant, a_kg the
change of e_k by ln x_half of a group and w_g the ln of the quotient of two neighbouring values
where all runs of a group change between them: nothing tells where x_half lies there, and an even
law over such a gap has variance w^2 / 12. Quantiles of the resamples, which stood here before, held
an exponent in 37 to 49 % of simulated sweeps of two seeds, 62 to 78 % of three, 70 to 87 % of five
and 88 to 93 % of ten, and had no width where all runs of each group change between two values.
This one holds it in 88 to 100 % (three to 20 seeds, 60 sweeps each), but of 20 seeds in 72 to 83 %
where skewed thresholds vary by a third of the gaps between values: the logistic law is not theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlnsweep.analysis.begun import check_begun
from dlnsweep.analysis.bootstrap import resamples
from dlnsweep.analysis.half import fewest_tries, half_interval, trend
from dlnsweep.analysis.logistic import logistic_half
from dlnsweep.analysis.success import succeeded_in_the_end
from dlnsweep.errors import SpecError
from dlnsweep.results.joined import SWEEP, Joined, opened
from dlnsweep.results.wide_tables import fitted
from dlnsweep.settings.sentences import did_you_mean, no_setting

Numbers = NDArray[np.float64]

LEVEL = 0.95
# A least-squares solution of some ten values is off by a few roundings of its terms.
_ROUNDINGS = 16
_CONDITION = re.compile(r"\s*([a-z_0-9]+)\s*<\s*([-+0-9.eE]+)\s*")


@dataclass(frozen=True)
class Condition:
    """What a run must end with to succeed: an observable below a value, or not diverged.

    Attributes:
        observable: The observable; empty where it is enough that the run did not diverge.
        below: What its final value must be below.
    """

    observable: str
    below: float

    @classmethod
    def read(cls, text: str) -> Condition:
        """Read "regression_error < 0.1", or "finished".

        Raises:
            SpecError: If it is not of this form.
        """
        if text.strip() == "finished":
            return cls("", float("inf"))
        found = _CONDITION.fullmatch(text)
        try:
            return cls(found[1], float(found[2])) if found else _refuse(text)
        except ValueError:
            return _refuse(text)


def _refuse(text: str) -> Condition:
    raise SpecError(
        f"success is {text!r}; it must be such as 'regression_error < 0.1', or 'finished'."
    )


@dataclass(frozen=True)
class Transitions:
    """The fitted transitions of a sweep.

    Attributes:
        table: One row a group: the settings of the group, `num_runs`, of them `num_diverged`
            (failures), `x_half` with the ends `low` and `high` of its 95 % interval, two of the
            values that were tried. 0 and infinity stand for "below the smallest" and "above the
            largest" value of x that the group has; with fewer than 6 seeds a value no end is known.
            Where all runs of a group end alike the other groups tell on which side half of them
            succeed; where those of all groups do, x_half is as if success rose with x, without end.
        exponents: One row a setting of the power law: `setting`, `exponent`, `low`, `high`, NaN
            where a group has one seed; empty if too few groups have a transition inside their
            range, or the settings move together.
        left_out: How many groups the power law leaves out, for want of such a transition.
        too_few: How many groups have no interval, for want of seeds at any value.
        sided: Whether any group tells whether success rises or falls with x.
    """

    table: pd.DataFrame
    exponents: pd.DataFrame
    left_out: int
    too_few: int = 0
    sided: bool = True


@dataclass(frozen=True)
class _Halves:
    """Where half of the runs succeed, of the groups that enter the power law.

    Attributes:
        halves: x_half, (groups, samples), that of all runs first, then those of the resamples.
        gaps: w, (groups,).
        seeds: n, the fewest that one of them has.
    """

    halves: Numbers
    gaps: Numbers
    seeds: int


def transitions(
    folder: Any, x: str, success: Sequence[Condition], by: Sequence[str] = ()
) -> Transitions:
    """Fit where the runs of a results folder begin to succeed.

    Args:
        folder: The results folder, its `Results`, or several as `concat` joins them: a run that
            stands in more than one of these counts once, unless `by` tells the sweeps apart.
        x: The setting, positive numbers; success may begin or end as it grows.
        success: Conditions on final values, all of which a successful run meets.
        by: Settings whose values make the groups; those that are positive numbers enter the
            power law.

    Raises:
        SpecError: If a name is not one of this sweep's, or x is not positive numbers.
        StoreError: If no run is done yet.
    """
    results = opened(folder)
    if isinstance(results, Joined) and SWEEP not in by:
        runs: Any = results.distinct_runs()
    else:
        runs = results.runs(unused=True)
    check_begun(results, runs)
    for name, key in ((x, "x"), *((each, "by") for each in by)):
        if name not in results.settings:
            raise SpecError(no_setting(key, name, results.settings))
    success = [condition for condition in success if condition.observable]
    for condition in success:
        if f"final_{condition.observable}" not in runs.columns:
            recorded = [name.removeprefix("final_") for name in runs.columns if "final_" in name]
            raise SpecError(
                f"success names '{condition.observable}', which was not recorded"
                f"{did_you_mean(condition.observable, recorded)}"
            )
    runs = runs[runs["status"] != "planned"]
    values = np.asarray(runs[x], dtype=object)
    if not len(runs) or not all(isinstance(v, int | float) and v > 0 for v in values):
        raise SpecError(f"x is '{x}', which must have positive numbers in every run that is done.")
    runs = runs.assign(succeeded=succeeded_in_the_end(runs, success))
    return fit_transitions(runs, x, list(by))


def fit_transitions(runs: pd.DataFrame, x: str, by: list[str]) -> Transitions:
    """Fit where runs begin to succeed.

    Args:
        runs: One row a run: its settings, seed and status, and whether it `succeeded`.
        x: The setting, positive numbers.
        by: Settings whose values make the groups.
    """
    seeds = np.unique(runs["seed"])
    # Row 0 is the sample itself, the others are resamples: how often each seed is taken.
    counts = np.ones((1, len(seeds)), np.int64)
    if by:
        drawn = [np.bincount(row, minlength=len(seeds)) for row in resamples(len(seeds))]
        counts = np.concatenate([counts, np.stack(drawn)])
    rows, halves, gaps, lanes, too_few = [], [], [], [], 0
    groups: Any = list(runs.groupby(by, dropna=False)) if by else [((), runs)]
    tallies = [_tallies(group, x, seeds) for _, group in groups]
    trends = [trend(places, *map(_total, counted)) for places, *counted in tallies]
    common = sum(trends)
    for (key, group), (places, wins, tries), own in zip(groups, tallies, trends, strict=True):
        logs, slope = np.log(places), own or common
        half = logistic_half(logs, counts @ wins, counts @ tries, falling=slope < 0)
        there = tries.sum(axis=1) > 0
        # A resample may have none of the seeds of a group that has fewer than others.
        half = np.where(counts @ there > 0, half, np.nan)
        tried = tries > 0
        told = (_total(tried & (wins == tries)), _total(tried & (wins == 0)), _total(tried))
        low, high = half_interval(places, *told, LEVEL, slope)
        too_few += bool(told[2].max() < fewest_tries(LEVEL))
        rows.append(
            {
                **dict(zip(by, key, strict=True)),
                "num_runs": len(group),
                "num_diverged": int((group["status"] == "diverged").sum()),
                "x_half": half[0],
                # A fit that does not suit the runs may lie beyond what the tests leave.
                "low": min(low, half[0]),
                "high": max(high, half[0]),
            }
        )
        halves.append(half)
        gaps.append(_gap(places, _total(wins) / _total(tries)))
        lanes.append(int(there.sum()))
    table = pd.DataFrame(rows)
    inside = np.isfinite(table["x_half"]) & (table["x_half"] > 0)
    kept = np.asarray(inside)
    fewest = int(np.array(lanes)[kept].min(initial=len(seeds)))
    law = _Halves(np.array(halves)[kept], np.array(gaps)[kept], fewest)
    exponents = _power_law(table.loc[inside], law, by)
    return Transitions(table, exponents, int((~inside).sum()), too_few, common != 0)


def _total(counted: NDArray[Any]) -> Numbers:
    return counted.sum(axis=0, dtype=float)


def _gap(places: Numbers, shares: Numbers) -> float:
    """Return the ln of the quotient of two neighbours between which all runs change; 0 if none."""
    (all_change,) = np.nonzero(np.abs(np.diff(shares)) == 1)
    return float(np.log(places[all_change + 1] / places[all_change]).max(initial=0.0))


def _tallies(
    group: pd.DataFrame, x: str, seeds: NDArray[np.int64]
) -> tuple[Numbers, Numbers, Numbers]:
    """Return the values of x, and for each seed how often it succeeds at each, and of how often."""
    places, column = np.unique(np.asarray(group[x], dtype=float), return_inverse=True)
    lane = np.searchsorted(seeds, np.asarray(group["seed"]))
    tries, wins = (np.zeros((len(seeds), len(places))) for _ in range(2))
    np.add.at(tries, (lane, column), 1.0)
    np.add.at(wins, (lane, column), np.asarray(group["succeeded"], dtype=float))
    return places, wins, tries


def _power_law(table: pd.DataFrame, law: _Halves, by: list[str]) -> pd.DataFrame:
    names = [name for name in by if _is_law_setting(pd.Series(table[name]))]
    if len(table) < len(names) + 1 or not names:
        return _no_exponents()
    factors = np.log(table[names].to_numpy(dtype=float))
    design = np.column_stack([np.ones(len(table)), factors])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        # Settings that move together have no exponents of their own.
        return _no_exponents()
    fits = []
    for sample in law.halves.T:
        # A resample in which a group's transition leaves its range is fitted without it.
        kept = np.isfinite(sample) & (sample > 0)
        if np.linalg.matrix_rank(design[kept]) == design.shape[1]:
            fits.append(_least_squares(design[kept], np.log(sample[kept]))[1:])
    own, reach = fits[0], np.full(len(names), np.nan)
    if law.seeds > 1 and len(fits) > 1:
        from scipy.special import stdtrit

        across = law.seeds / (law.seeds - 1) * np.var(np.array(fits[1:]), axis=0)
        across += (np.linalg.pinv(design)[1:] ** 2) @ (law.gaps**2 / 12)
        reach = stdtrit(law.seeds - 1, (1 + LEVEL) / 2) * np.sqrt(across)
    rows: list[Mapping[str, Any]] = [
        {"setting": name, "exponent": float(one), "low": float(one - r), "high": float(one + r)}
        for name, one, r in zip(names, own, reach, strict=True)
    ]
    return pd.DataFrame(rows)


def _least_squares(design: Numbers, logs: Numbers) -> Numbers:
    """Return the coefficients, 0 where rounding alone would make them something else."""
    found = np.linalg.lstsq(design, logs, rcond=None)[0]
    # Equal values have a slope of 0, which comes out as a sum of rounded products of about this.
    rounding = np.finfo(float).eps * (np.abs(np.linalg.pinv(design)) @ np.abs(logs))
    return np.where(np.abs(found) <= _ROUNDINGS * rounding, 0.0, found)


def _no_exponents() -> pd.DataFrame:
    return pd.DataFrame({"setting": [], "exponent": [], "low": [], "high": []})


def _is_law_setting(column: pd.Series) -> bool:
    numbers = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return numbers and bool((column > 0).all()) and column.nunique() > 1


def transitions_text(found: Transitions, x: str, width: int = 10**6) -> str:
    """Return the tables for a terminal."""
    shown = found.table.copy()
    for name in ("x_half", "low", "high"):
        shown[name] = [_shown(value) for value in shown[name]]
    lines = [f"{x} at which half of the runs succeed (95 % interval by sign tests)", ""]
    keys = list(shown.columns[: list(shown.columns).index("num_runs")])
    lines += [fitted(shown, keys, width)]
    if found.too_few:
        least = f"{fewest_tries(LEVEL)} seeds a value, too few for an interval"
        lines += ["", f"groups with fewer than {least}: {found.too_few}"]
    if not found.sided:
        lines += ["", f"these runs do not tell whether success rises or falls with {x}: x_half is"]
        lines[-1] += " as if it rose"
    diverged = int(np.sum(shown["num_diverged"].to_numpy()))
    if diverged:
        total = int(np.sum(shown["num_runs"].to_numpy()))
        lines += ["", f"{diverged} of {total} runs diverged and count as failures"]
    if len(found.exponents):
        lines += ["", f"power law of {x}: exponents (95 % interval over the seeds)", ""]
        lines += [fitted(found.exponents, ["setting"], width, float_format=lambda v: f"{v:.3g}")]
    if found.left_out:
        lines += ["", f"groups without a transition inside their range: {found.left_out}"]
    return "\n".join(lines)


def _shown(value: float) -> str:
    return {0.0: "below", float("inf"): "above"}.get(value, f"{value:.4g}")
