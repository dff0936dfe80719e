"""Fates and times of scalar chains beside gradient flow's exact solution, as tables to keep.

    python -m tests.kept.scalar_chains results/scalar_chains --fates FILE --times FILE

A chain is p = w_L ... w_1, its loss (p - 1)^2 / 2. Gradient flow conserves w_i^2 - w_j^2. So let u
be the weight that is smallest in size, with the sign that p has, and c_i = w_i^2 - u^2 >= 0 of the
others, which never change: p = u q(u) with q(u) = prod_i (u^2 + c_i)^(1/2), and

    du/dt = (1 - p) q(u),

one equation of one number. u is monotone, passes through zero where p is negative, and ends where
u q(u) = 1. With a^2 the least c_i and u = a sinh(v), the time from one v to another is

    t = integral of dv / ((1 - p) prod of (u^2 + c_i)^(1/2) over the other c_i).

Of residuals, d log|1 - p| / dt = -K with K = sum_i p^2 / w_i^2: at p = 1 that is the Hessian's
largest eigenvalue, its only one that is not zero. K grows with u^2, so along a flow it is largest
at one of the two ends. By the inequality of the means K >= L at p = 1: with eta L > 2 no minimiser
is stable.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import dlnsweep

# A run is fitted below this loss, where the sweep file ends it.
FITTED = 1e-12
# The time of a run is looked at where its loss is first below that of p = 1/2.
HALF = 1 / 8
PREDICTED = ("waits", "no stable minimiser", "start too steep", "its minimiser unstable", "fits")
MEASURED = ("waits", "fitted", "neither", "diverged")
# Gauss and Legendre's nodes in equal panels, several for a unit of log(v* - v).
PANELS, NODES = 96, 8
BISECTIONS = 80


@dataclass(frozen=True)
class Chain:
    """Starts of chains, (runs,) each, and what gradient flow conserves of them.

    Attributes:
        v: asinh(u / a) at the start.
        gap: a, the root of the least c_i.
        others: The other c_i, (runs, L - 2).
    """

    v: np.ndarray
    gap: np.ndarray
    others: np.ndarray

    @classmethod
    def of(cls, weights: np.ndarray) -> Chain:
        """Return the chains of initial weights, (runs, L)."""
        sizes = np.sort(np.abs(weights), axis=1)
        least = sizes[:, :1]
        gaps = (sizes - least) * (sizes + least)
        sign = np.sign(weights).prod(axis=1)
        gap = np.sqrt(gaps[:, 1])
        return cls(np.arcsinh(sign * least[:, 0] / gap), gap, gaps[:, 2:])

    def factor(self, v: np.ndarray) -> np.ndarray:
        """Return the product of (u^2 + c_i)^(1/2) over the other c_i; v is (nodes, runs)."""
        square = (self.gap * np.sinh(v)) ** 2
        found = np.ones_like(square)
        for c in self.others.T:
            found *= square + c
        return np.sqrt(found)

    def product(self, v: np.ndarray) -> np.ndarray:
        """Return p."""
        return self.gap**2 * np.sinh(v) * np.cosh(v) * self.factor(v)

    def steepness(self, v: np.ndarray) -> np.ndarray:
        """Return K, the sum over i of the square of all weights' product but w_i."""
        u = self.gap * np.sinh(v)
        squares = [u**2, u**2 + self.gap**2, *(u**2 + c for c in self.others.T)]
        return np.add.reduce(
            [
                np.multiply.reduce([w for j, w in enumerate(squares) if j != i])
                for i in range(len(squares))
            ]
        )

    def at(self, product: np.ndarray | float) -> np.ndarray:
        """Return the v at which p has this value, which must be positive."""
        # No weight is smaller than u, so that p >= u^L.
        low, high = np.zeros_like(self.v), np.arcsinh(np.maximum(1, product) / self.gap)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            below = self.product(middle) < product
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2

    def time(self, end: np.ndarray) -> np.ndarray:
        """Return the time from the start to v = end, on the same side of the minimiser.

        With v* - v = (v* - v_0) exp(-z) the integrand has no singularity at the minimiser.
        """
        star = self.at(1.0)
        whole = np.log((star - self.v) / (star - end))
        points, weights = np.polynomial.legendre.leggauss(NODES)
        total = np.zeros_like(self.v)
        for panel in range(PANELS):
            for point, weight in zip(points, weights, strict=True):
                z = whole * (panel + (point + 1) / 2) / PANELS
                v = star - (star - self.v) * np.exp(-z)
                rate = (1 - self.product(v)) / (star - v) * self.factor(v)
                total += weight / (2 * PANELS) * whole / rate
        return total


def time_to_fit(chain: Chain) -> np.ndarray:
    """Return gradient flow's time to the loss FITTED; 0 where the start has it."""
    short = np.sqrt(2 * FITTED)
    first = chain.product(chain.v)
    near = np.abs(1 - first) <= short
    with np.errstate(divide="ignore", invalid="ignore"):
        time = chain.time(chain.at(np.where(first < 1, 1 - short, 1 + short)))
    return np.where(near, 0.0, time)


def predicted(chain: Chain, fit: np.ndarray, rate: float, steps: int) -> np.ndarray:
    """Return the index in PREDICTED of each start; the first that is true."""
    depth = chain.others.shape[1] + 2
    return np.select(
        [
            fit > rate * steps,
            np.full(len(fit), rate * depth > 2),
            rate * chain.steepness(chain.v) > 2,
            rate * chain.steepness(chain.at(1.0)) > 2,
        ],
        [0, 1, 2, 3],
        4,
    )


@cache
def _draw(depth: int) -> Callable[[Any], Any]:
    import jax
    import jax.numpy as jnp

    from dlnsweep.streams import gaussian, purpose_key

    def one(seed: Any) -> Any:
        keys = [purpose_key(seed, f"weights/{i + 1}") for i in range(depth)]
        return jnp.stack([gaussian(key, 1, 1)[0, 0] for key in keys])

    return jax.jit(jax.vmap(one))


def starts(seeds: np.ndarray, depth: int) -> np.ndarray:
    """Return the standard Gaussian weights that seeds draw, (seeds, L)."""
    import jax

    with jax.enable_x64(True):
        return np.asarray(_draw(depth)(seeds.astype(np.int64)))


@dataclass(frozen=True)
class Records:
    """Records of runs as arrays, (runs, records); NaN behind the last one of a run."""

    steps: np.ndarray
    loss: np.ndarray
    product: np.ndarray

    @classmethod
    def of(cls, curves: pd.DataFrame, runs: pd.DataFrame) -> Records:
        """Return the records in the order of `runs`."""
        steps = np.unique(curves["step"].to_numpy())
        row = pd.Index(runs["run_id"]).get_indexer(curves["run_id"].to_numpy())
        place = row, np.searchsorted(steps, curves["step"].to_numpy())
        arrays = np.full((2, len(runs), len(steps)), np.nan)
        arrays[0][place], arrays[1][place] = curves["loss"], curves["determinant"]
        return cls(steps, *arrays)


def measured(status: np.ndarray, records: Records) -> np.ndarray:
    """Return the index in MEASURED of each run.

    A run waits if it is not fitted and in the last nine tenths of its steps no recorded product is
    1 or more and no recorded loss above the one before.
    """
    late = records.steps >= records.steps[-1] / 10
    loss, product = records.loss[:, late], records.product[:, late]
    waits = (product < 1).all(axis=1) & (np.diff(loss, axis=1) <= 0).all(axis=1)
    return np.select([status == "diverged", status == "stopped", waits], [3, 1, 0], 2)


def ratios(chain: Chain, rate: float, records: Records) -> np.ndarray:
    """Return gradient flow's time to each run's first product near 1, over eta times the steps.

    Near is a loss below HALF. NaN for a run that begins there, never is, or has passed 1 before.
    """
    near = records.loss < HALF
    first = near.argmax(axis=1)
    found = records.product[np.arange(len(first)), first]
    begun = chain.product(chain.v)
    good = near.any(axis=1) & (first > 0) & ((found < 1) == (begun < 1))
    good &= np.abs(1 - found) > np.sqrt(2 * FITTED)
    with np.errstate(divide="ignore", invalid="ignore"):
        time = chain.time(chain.at(np.where(good, found, 0.5)))
        return np.where(good, time / (rate * records.steps[first]), np.nan)


def tables(results: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the counts of fates, predicted and measured, and what is told of times."""
    of_one_seed = results.runs({"seed": 0})
    (steps,) = of_one_seed["training.num_steps"].unique()
    fates, times = [], []
    for depth in of_one_seed["network.depth"].unique():
        where = {"network.depth": depth}
        runs, curves = results.runs(where), results.curves(["loss", "determinant"], where)
        names = ("training.learning_rate", "network.layer_init_scale", "seed")
        rates, scales, seeds = (runs[name].to_numpy() for name in names)
        drawn, place = np.unique(seeds, return_inverse=True)
        weights = scales[:, None] * starts(drawn, depth)[place]
        records = Records.of(curves, runs)
        first = records.product[:, 0]
        # The starts here are those of the runs.
        np.testing.assert_allclose(weights.prod(axis=1), first, rtol=1e-12)
        status = runs["status"].to_numpy(str)
        for rate in np.unique(rates):
            own = rates == rate
            chain = Chain.of(weights[own])
            seen = Records(records.steps, records.loss[own], records.product[own])
            fit = time_to_fit(chain)
            told, found = predicted(chain, fit, rate, steps), measured(status[own], seen)
            for i, expected in enumerate(PREDICTED):
                counts = np.bincount(found[told == i], minlength=len(MEASURED))
                if counts.any():
                    fates.append([depth, rate, expected, *counts])
            ratio = ratios(chain, rate, seen)[(told == 4) & (found == 1)]
            negative = (first[own] < 0) & (told == 4)
            ratio = ratio[np.isfinite(ratio)]
            middle = np.quantile(ratio, [0.5, 0.05, 0.95]) if len(ratio) else [np.nan] * 3
            fitted = negative & (found == 1)
            # Not as told: of those that shall wait or fit, whose times decide, how near the end.
            other = ((told == 0) & (found != 0)) | ((told == 4) & (found != 1))
            off = abs(fit[other] / (rate * steps) - 1).max(initial=0)
            times.append(
                [depth, rate, len(ratio), *middle, negative.sum(), fitted.sum(), other.sum(), off]
            )
    return (
        pd.DataFrame(fates, columns=["depth", "learning_rate", "predicted", *MEASURED]),
        pd.DataFrame(times, columns=["depth", "learning_rate", "runs", "median", "q05", "q95",
                                     "negative", "negative_fitted", "otherwise", "off"]),
    )  # fmt: skip


def main() -> None:
    """Write both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--fates", type=Path, required=True)
    parser.add_argument("--times", type=Path, required=True)
    arguments = parser.parse_args()
    fates, times = tables(dlnsweep.open_results(str(arguments.results)))
    fates.to_csv(arguments.fates, index=False)
    times.to_csv(arguments.times, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
