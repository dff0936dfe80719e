"""Partial dependence of a number on one of several settings that were sampled independently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]

# Fewer sampled points a coefficient say nothing of how surely it is known.
POINTS_PER_MEAN = 3
# Columns are scaled to length 1; a Gram matrix's eigenvalues are exact to some 1e-16 of that.
_RANK_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Dependence:
    """A partial dependence in bins.

    Attributes:
        x: The median of the setting in each bin.
        mean: The partial dependence, averaged over the bin.
        low: The lower end of its interval.
        high: The upper end.
        points: How many sampled points there are.
        inseparable: Other settings whose effects cannot be told from those before them.
    """

    x: Numbers
    mean: Numbers
    low: Numbers
    high: Numbers
    points: int
    inseparable: tuple[str, ...]


class TooFewPointsError(ValueError):
    """There are too few sampled points for so many bins; the message says how many of each."""


def partial_dependence(
    y: Numbers, x: Numbers, others: Mapping[str, pd.Series], bins: int, level: float = 0.95
) -> Dependence:
    """Return how y depends on x where the other settings are averaged out.

    The partial dependence on x_j is E[y | x_j = x, the others as they are sampled] (Friedman
    2001). It is estimated by least squares: y = a_j(bin of x_j) + sum over the other k of
    a_k(bin of x_k), with piecewise constant functions of bins of equally many values, or of a
    setting's own values where these are no more than the bins. Of settings that are sampled
    independently the best such fit has the main effects of y for its terms, whatever
    interactions y has besides, so that a_j is the partial dependence, averaged over the bin; what
    the others explain is taken out of its error.

    The interval is of Student's t with the errors' variance by sampled points (a sandwich: runs
    of one point, its seeds, belong together), and has the scatter of the others' average in it.
    It is of independent samples, of these seeds; a Sobol sequence fills space more evenly, so
    that its errors are smaller. Means of few values of which some are far above the rest are held
    less often than it says; those of logarithms are not.

    Args:
        y: A finite number of each run, (runs,).
        x: The setting, (runs,), with more values than bins.
        others: The other settings that vary, (runs,) each.
        bins: How many bins.
        level: Of the interval.

    Raises:
        TooFewPointsError: If there are less than three sampled points a coefficient.
    """
    # Loads SciPy.
    from scipy.special import stdtrit

    own, _ = _binned(pd.Series(x), bins)
    columns, inseparable = _one_hot(own, bins), []
    continuous = [_ids(pd.Series(x))]
    for name, column in others.items():
        codes, is_continuous = _binned(column, bins)
        if is_continuous:
            continuous.append(_ids(column))
        more = _one_hot(codes, int(codes.max()) + 1)[:, 1:]
        more = more - more.mean(axis=0)
        wider = np.hstack([columns, more])
        if _rank(wider) < wider.shape[1]:
            inseparable.append(name)
        else:
            columns = wider
    point = pd.DataFrame(dict(enumerate(continuous))).groupby(list(range(len(continuous))))
    cluster = point.ngroup().to_numpy()
    points, count = int(cluster.max()) + 1, columns.shape[1]
    if points < POINTS_PER_MEAN * count:
        raise TooFewPointsError(f"{points} sampled points for {count} means")
    inverse = np.linalg.inv(columns.T @ columns)
    fitted = inverse @ (columns.T @ y)
    errors = y - columns @ fitted
    # How much each run moves each bin's mean, and by its own others the point of their average.
    moves = (columns * errors[:, None]) @ inverse[:, :bins]
    moves += (columns[:, bins:] @ fitted[bins:])[:, None] / len(y)
    by_point = np.zeros((points, bins))
    np.add.at(by_point, cluster, moves)
    spread = np.sqrt((by_point**2).sum(axis=0) * points / (points - count))
    half = stdtrit(points - count, (1 + level) / 2) * spread
    middle = np.array([np.median(x[own == place]) for place in range(bins)])
    mean = fitted[:bins]
    return Dependence(middle, mean, mean - half, mean + half, points, tuple(inseparable))


def _binned(column: pd.Series, bins: int) -> tuple[Codes, bool]:
    """Return the bin of each run, or the number of its value where there are few of these.

    Runs with one value are in one bin; bins have equally many values. A setting that a run does
    not use is a value of its own.
    """
    ids = _ids(column)
    count = int(ids.max()) + 1
    if count <= bins or not pd.api.types.is_numeric_dtype(column.dtype):
        return ids, False
    return ids * bins // count, True


def _ids(column: pd.Series) -> Codes:
    """Return the rank of each run's value; words come as they come."""
    numbers = pd.api.types.is_numeric_dtype(column.dtype)
    return pd.factorize(column, sort=numbers, use_na_sentinel=False)[0].astype(np.int64)


def _one_hot(codes: Codes, count: int) -> Numbers:
    return (codes[:, None] == np.arange(count)).astype(np.float64)


def _rank(columns: Numbers) -> int:
    length = np.sqrt((columns**2).sum(axis=0))
    scaled = columns / np.where(length > 0, length, 1.0)
    return int((np.linalg.eigvalsh(scaled.T @ scaled) > _RANK_TOLERANCE).sum())
