"""Where an observable goes as a setting grows without end, by its values at several sizes.

With w_1 < ... < w_k the values of the setting and h_i = w_1 / w_i, the mean over seeds of what runs
end with is taken to be

    y(h) = y(0) + a_1 h + a_2 h^2 + ...,

as it is in the width of networks whose weights are independent: the corrections to infinite width
are powers of 1/width (Dyer and Gur-Ari 2020, arXiv:1909.11304; Yaida 2020). Polynomials of degree 1
and 2 are fitted by least squares with weights 1/h, as fluctuations of narrow networks are larger;
both are linear in y, so that every seed, which has the same data at all sizes, has a limit of its
own. Their mean y_2(0), of degree 2, is the limit. Errors are skewed over the data that seeds draw,
which makes Student's interval too short on the side of the rare large ones. So its quantiles +-t go
through the inverse of Hall's transformation (Hall 1992), with g the skewness of the n seeds' limits
and s their standard deviation:

    q(t) = (3 / a) ((1 + a (t - a / 6))^(1/3) - 1),   a = g / sqrt(n)
    low, high = y_2(0) - s q(+t) / sqrt(n) - left,  y_2(0) - s q(-t) / sqrt(n) + left

What the polynomials leave out is estimated by left = |y_1(0) - y_2(0)| h_k: degree 1 errs by some
a_2 h_1 h_k, and what degree 2 leaves out is smaller by another factor of the order h_k (derived).

Few seeds of very skewed errors hide their tail, and the interval stays too short for the mean
(measured: results/kept/population).

That corrections fall as 1/w is checked, not assumed: p with

    (y_1 - y_2) / (y_2 - y_3) = (h_1^p - h_2^p) / (h_2^p - h_3^p)

over the three largest sizes is 1 up to O(h) then. With N and F the means of y_1 - y_2 and
y_2 - y_3, S their covariances over the n seeds by n and t Student's quantile, its interval is that
of the quotient (Fieller 1954): all rho with

    (N - rho F)^2 <= t^2 (S_NN - 2 rho S_NF + rho^2 S_FF),

whose ends are roots of a quadratic, as the p whose right side above, which rises with p, is rho.
Where F^2 <= t^2 S_FF, F is not clear of zero and the interval has no upper end: it is told as
infinite, as one beyond 8 is, and an end below 1/20 as 0: so where a mean grows with the setting, or
as its logarithm, both ends are 0. Of differences of opposite signs there is no p. Resamples of the
seeds, which stood here before, held a known order in 63 to 87 % of samples of five seeds and 81 to
94 % of ten, where this holds it in 92 to 98 % (measured: Gaussian and skewed errors, orders 1/2, 1
and 2). Where the interval has nothing from 3/4 to 5/4 no limit is given. Order 1 is told where it
has something of that and lies between 1/2 and 2, the orders next to 1 (of fluctuations, and of
corrections whose first term vanishes). Sizes eight times apart tell it by fewer seeds than sizes
twice apart. The random numbers of a seed at several sizes may be the same ones, whose effect falls
as w^(-1/2) in each seed and has no mean: so p is looked at only where the mean of y_1 - y_3 is
beyond five standard errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from dlnsweep.analysis.begun import check_begun
from dlnsweep.errors import SpecError
from dlnsweep.results import Results
from dlnsweep.results.joined import Joined, opened
from dlnsweep.results.recorded import listed
from dlnsweep.results.wide_tables import fitted
from dlnsweep.settings.sentences import did_you_mean, no_setting, show

Numbers = NDArray[np.float64]

LEVEL = 0.95
# A limit is given where the order's interval has something of this.
ORDERS = (0.75, 1.25)
# It is told to be 1 where it is none of these.
_NEXT = (0.5, 2.0)
ONE, ANOTHER, UNTOLD = "order 1", "another order", "order not told by these seeds"
# The orders that are looked for.
_SEARCHED = (0.05, 8.0)
# To rounding.
_HALVINGS = 55
_FEWEST_SIZES, _FEWEST_SEEDS = 3, 3
_CLEAR = 5.0
# Below this a, what the first order leaves out, some a^2 t^3, is rounding.
_SYMMETRIC = 1e-8
# What sentences call it: an option of the command, an argument of the function.
_IN = "the setting to extrapolate in"


def extrapolate(
    folder: Any, setting: str, observables: Sequence[str], at_most: float | None = None
) -> pd.DataFrame:
    """Extrapolate means over the seeds to an infinite value of a setting, such as the width.

    Args:
        folder: The results folder, its `Results`, or several as `concat` joins them: a run that
            stands in more than one of these counts once.
        setting: The setting, with three positive values or more.
        observables: Which; scalars that are recorded, at the runs' ends.
        at_most: The largest value of the setting that is used; None: all are.

    Returns:
        One row for each observable and each combination of the other settings: the settings;
        observable; num_sizes; num_seeds, of seeds that have a run at every size that did not
        diverge and ended with a finite number; num_left_out, of other seeds; largest, the mean at
        the largest size; limit with the ends low and high of its 95 % interval; order with
        order_low and order_high, NaN where the seeds do not tell, order_high infinite where they
        bound it from below alone; verdict.

    Raises:
        SpecError: If a name is not one of the sweep's, or the setting has too few values.
        StoreError: If no run is done yet.
    """
    if not isinstance(setting, str):
        raise SpecError(f"{_IN} is {show(setting)}; it must be a setting, such as 'network.width'.")
    if at_most is not None and (isinstance(at_most, bool) or not isinstance(at_most, Real)):
        raise SpecError(f"at_most is {show(at_most)}; it must be a number, or None.")
    observables = listed(observables, "of")
    results = opened(folder)
    runs: Any = (
        results.distinct_runs() if isinstance(results, Joined) else results.runs(unused=True)
    )
    check_begun(results, runs)
    runs = runs[runs["status"] != "planned"]
    if at_most is not None and pd.api.types.is_numeric_dtype(runs.get(setting)):
        runs = runs[runs[setting] <= at_most]
    _check(results, runs, setting, observables)
    by = [name for name in results.varying if name not in (setting, "seed")]
    # What is another size's own, as a width that moves with it, makes no group.
    by = [name for name in by if not _follows(runs, name, setting)]
    rows = []
    for observable in observables:
        groups: Any = runs.groupby(by, dropna=False) if by else [((), runs)]
        for key, group in groups:
            found = _limit_of(group, setting, f"final_{observable}")
            rows.append({**dict(zip(by, key, strict=True)), "observable": observable, **found})
    return pd.DataFrame(rows)


def _check(
    results: Results | Joined, runs: pd.DataFrame, setting: str, observables: Sequence[str]
) -> None:
    if setting not in results.settings:
        raise SpecError(no_setting(_IN, setting, results.settings))
    for name in observables:
        if f"final_{name}" not in runs.columns:
            recorded = [each.removeprefix("final_") for each in runs.columns if "final_" in each]
            raise SpecError(
                f"the observable to extrapolate is '{name}', which was not recorded as one number"
                f"{did_you_mean(name, recorded)}"
            )
    values = np.asarray(runs[setting], dtype=object)
    if not all(isinstance(v, int | float) and 0 < v < np.inf for v in values):
        raise SpecError(
            f"{_IN} is '{setting}', which must have positive numbers in every run done."
        )
    count = len(set(values))
    if count < _FEWEST_SIZES:
        raise SpecError(
            f"{_IN} is '{setting}', which has {count} value{'s' * (count != 1)} in the runs that "
            f"are done; a limit and the order in which it is neared need {_FEWEST_SIZES}, such as "
            "[64, 128, 256, 512]."
        )


def _follows(runs: pd.DataFrame, name: str, setting: str) -> bool:
    """Return whether a setting has one value at each size, and several in all."""
    each: Any = runs.groupby(setting)[name].nunique(dropna=False)
    return bool((each == 1).all()) and bool(runs[name].nunique(dropna=False) > 1)


def _limit_of(group: pd.DataFrame, setting: str, column: str) -> dict[str, Any]:
    """Return the row of a group of runs, without its settings."""
    usable = group[group["status"] != "diverged"]
    table: Any = usable.pivot_table(index="seed", columns=setting, values=column)
    # A size at which no run is left is one that every seed lacks; of infinity there is no mean.
    whole = table.reindex(columns=sorted(group[setting].unique())).astype(float)
    whole = whole[np.isfinite(whole).all(axis=1)]
    seeds, sizes = whole.shape
    found: dict[str, Any] = {
        "num_sizes": sizes,
        "num_seeds": seeds,
        "num_left_out": int(group["seed"].nunique() - seeds),
    }
    names = ("largest", "limit", "low", "high", "order", "order_low", "order_high")
    if seeds < _FEWEST_SEEDS or sizes < _FEWEST_SIZES:
        few = f"too few: {_FEWEST_SIZES} sizes and {_FEWEST_SEEDS} seeds at all of them are needed"
        return found | dict.fromkeys(names, np.nan) | {"verdict": few}
    # pivot_table sorts by size.
    places = np.asarray(whole.columns, dtype=float)
    values = np.asarray(whole, dtype=float)
    # By their size, for squares of what is very large or small are no numbers.
    unit = float(np.max(np.abs(values))) or 1.0
    values = values / unit
    limit, low, high = limit_and_ends(places, values)
    order = orders(places, values)
    verdict = verdict_on(order)
    if verdict == ANOTHER:
        limit, low, high = np.nan, np.nan, np.nan
        size = setting.rpartition(".")[2]
        # Both ends of the order are 0 where a mean grows, or falls as no power.
        falls = "falls as another power than" if order[2] > 0 else "does not fall as a power of"
        verdict = f"{falls} 1/{size}: no limit"
    numbers = (*(unit * each for each in (values[:, -1].mean(), limit, low, high)), *order)
    return found | dict(zip(names, map(float, numbers), strict=True)) | {"verdict": verdict}


def verdict_on(order: tuple[float, float, float]) -> str:
    """Return what p and the ends of its interval say: ONE, ANOTHER or UNTOLD."""
    _, low, high = order
    if np.isnan(low):
        return UNTOLD
    if low > ORDERS[1] or high < ORDERS[0]:
        return ANOTHER
    return ONE if _NEXT[0] < low and high < _NEXT[1] else UNTOLD


def limit_and_ends(sizes: Numbers, values: Numbers) -> tuple[float, float, float]:
    """Return the limit of means and the ends of its interval; see the module's head.

    Args:
        sizes: The values of the setting (k,), ascending.
        values: y (n, k), a row a seed.
    """
    first, second = limits_of_seeds(sizes, values)
    low, high = mean_interval(second)
    left = abs(float(first.mean() - second.mean())) * sizes[0] / sizes[-1]
    return float(second.mean()), low - left, high + left


def limits_of_seeds(sizes: Numbers, values: Numbers) -> tuple[Numbers, Numbers]:
    """Return y_1(0) and y_2(0) of each seed; arguments as of `limit_and_ends`."""
    small = sizes[0] / sizes
    return values @ _at_zero(small, 1), values @ _at_zero(small, 2)


def mean_interval(values: Numbers) -> tuple[float, float]:
    """Return the ends of the interval of a mean whose values (n,) may be skewed; n >= 3."""
    count, spread, mean = len(values), float(np.std(values, ddof=1)), float(values.mean())
    # Of equal values there is no skewness; of those that differ by rounding SciPy would have none.
    skewness: Any = stats.skew((values - mean) / spread, bias=False) if spread > 0 else 0.0
    a = float(skewness) / count**0.5
    student: Any = stats.t
    t = float(student.ppf((1 + LEVEL) / 2, count - 1))

    def untransformed(x: float) -> float:
        # To first order in a where the cube root would cancel.
        if abs(a) < _SYMMETRIC:
            return x - a / 6 - a * x**2 / 3
        return 3 / a * (float(np.cbrt(1 + a * (x - a / 6))) - 1)

    reach = spread / count**0.5
    return mean - reach * untransformed(t), mean - reach * untransformed(-t)


def _at_zero(small: Numbers, degree: int) -> Numbers:
    """Return c with c . y the value at 0 of the polynomial that is fitted to y."""
    root = small**-0.5
    design = root[:, None] * small[:, None] ** np.arange(degree + 1)
    return np.linalg.pinv(design)[0] * root


def orders(sizes: Numbers, values: Numbers) -> tuple[float, float, float]:
    """Return p and the ends of its interval; NaN where the seeds do not tell, or there is no p.

    Args:
        sizes: The values of the setting (k,), ascending.
        values: y (n, k), a row a seed.
    """
    last, ends = sizes[-3:], values[:, -3:]
    across = ends[:, 0] - ends[:, -1]
    if abs(across.mean()) * len(across) ** 0.5 < _CLEAR * np.std(across, ddof=1):
        return np.nan, np.nan, np.nan
    near, far = ends[:, 0] - ends[:, 1], ends[:, 1] - ends[:, 2]
    alike = np.sign(near.mean()) * np.sign(far.mean()) > 0
    own = _order(last, near.mean() / far.mean()) if alike else np.nan
    low, high = (_order(last, each) for each in _quotient_ends(near, far))
    return own, low, high


def _quotient_ends(near: Numbers, far: Numbers) -> tuple[float, float]:
    """Return the ends of Fieller's interval of the quotient of two means; see the module's head.

    Without an upper end it is infinite; the quotients below zero are left out, and where the set
    has two pieces of others the lower end is that of the lower piece.
    """
    student: Any = stats.t
    t = float(student.ppf((1 + LEVEL) / 2, len(near) - 1))
    (nn, nf), (_, ff) = np.cov(near, far) * t**2 / len(near)
    above, below = float(near.mean()), float(far.mean())
    # All rho with a rho^2 - 2 b rho + c <= 0.
    a, b, c = below**2 - ff, above * below - nf, above**2 - nn
    inside = b**2 - a * c
    if a > 0:
        # The quotient itself is within: without rounding there is a root.
        root = max(inside, 0.0) ** 0.5
        return (b - root) / a, (b + root) / a
    if a == 0 and b == 0 and c > 0:
        # The last two sizes have the same values in each seed, the others have not.
        return np.inf, np.inf
    if a == 0 or inside <= 0:
        return 0.0, np.inf
    first, last = sorted(((b - inside**0.5) / a, (b + inside**0.5) / a))
    return (max(last, 0.0) if first <= 0 else 0.0), np.inf


def _order(sizes: Numbers, quotient: float) -> float:
    """Return p of three sizes (3,) by the quotient of their means' differences, by bisection.

    0 where it is below what is looked for, or there is none, infinite where it is beyond that.
    """
    small = sizes[0] / sizes

    def apart(p: float) -> float:
        """Return what rises through 0 at the order."""
        a, b, c = small**p
        return float((a - b) - (b - c) * quotient)

    low, high = _SEARCHED
    if apart(low) > 0:
        return 0.0
    if apart(high) < 0:
        return np.inf
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if apart(middle) < 0 else (low, middle)
    return (low + high) / 2


def limits_text(table: pd.DataFrame, setting: str, width: int = 10**6) -> str:
    """Return the table for a terminal."""
    keys = [*(name for name in table.columns if "." in name), "observable"]
    shown = table.copy()
    for name in ("largest", "limit", "low", "high"):
        shown[name] = [f"{value:.6g}" for value in shown[name]]
    for name in ("order", "order_low", "order_high"):
        shown[name] = ["" if np.isnan(value) else f"{value:.2f}" for value in shown[name]]
    head = f"means over the seeds as {setting} grows without end (95 % intervals)"
    return f"{head}\n\n{fitted(shown, keys, width)}"
