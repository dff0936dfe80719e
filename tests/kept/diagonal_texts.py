"""results/kept/feature_learning/README.md: the map of diagonal networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kept.diagonal_map import effective_scale
from kept.feature_learning import FILE, FOLDER
from kept.numbers import AtLeast, AtMost
from kept.plans import planned
from kept.tables import Table, sweep, table
from kept.text import Part, Statement, says

NOISES = (0.0, 0.5, 1.0)
# The least scale left that is judged: below, what the noise itself leaves is seen.
LEAST_LEFT = 0.02


class Map:
    """The cells of the table as arrays (noises, rates, scales)."""

    def __init__(self, rows: Table) -> None:
        self._rows = rows
        self.rates, self.scales = (
            np.unique(rows.column(name)) for name in ("learning_rate", "layer_init_scale")
        )
        self.error = self.cells("test_error_median")
        # A median of fewer than half of the runs is none.
        self.error[2 * self.cells("num_diverged") > self.cells("num_runs")] = np.nan

    def cells(self, name: str) -> np.ndarray:
        """Return a column."""
        # Empty where no run is left. Rows come noise by noise, rate by rate, scale by scale.
        cells = [np.nan if cell == "" else float(cell) for cell in self._rows.column(name)]
        return np.array(cells).reshape(len(NOISES), len(self.rates), len(self.scales))

    def rate(self, value: float) -> int:
        """Return which rate is this one, as the text prints it."""
        return int(np.argmin(np.abs(np.log(self.rates / value))))

    def scale(self, value: float) -> int:
        """Return which scale is this one, as the text prints it."""
        return int(np.argmin(np.abs(np.log(self.scales / value))))


def _derived(cells: Map, file: dict[str, Any]) -> np.ndarray:
    """Return, for each cell with noise, the error without noise at the scale that is left.

    Between the scales of the map by lines of the logarithms; nan below the least one.
    """
    steps, samples = file["training"]["num_steps"], file["problem"]["num_samples"]
    found = np.full(cells.error.shape, np.nan)
    for i, noise in enumerate(NOISES[1:], 1):
        for j, rate in enumerate(cells.rates):
            known = ~np.isnan(cells.error[0, j])
            if not known.any():
                continue
            left = [effective_scale(a, rate, noise, steps, samples) for a in cells.scales]
            x, y = np.log(cells.scales[known]), np.log(cells.error[0, j, known])
            errors = np.exp(np.interp(np.log(left), x, y, right=np.nan))
            found[i, j] = np.where(np.array(left) < LEAST_LEFT, np.nan, errors)
    return found


def _map() -> Iterator[Statement]:
    file, rows = sweep("diagonal_map"), table(f"{FOLDER}/diagonal_map.csv")
    cells = Map(rows)
    runs, steps, most = planned("diagonal_map")
    assert (steps, runs) == (most, sum(rows.column("num_runs")))
    assert set(rows.column("num_runs")) == {file["sweep"]["seeds"]}
    assert file["problem"] == sweep("sparse_recovery")["problem"]
    assert file["training"]["label_noise"] == list(NOISES)
    assert file["training"]["schedule_steps"] == steps
    yield says("{} scales α by {} rates η", len(cells.scales), len(cells.rates))
    yield says("σ = {}, {} and {}, over {} steps, {} seeds: {} runs by vector",
               *NOISES, steps, file["sweep"]["seeds"], runs)  # fmt: skip
    shown = [cells.scale(a) for a in (0.01, 0.0316, 0.1, 0.316)]
    yield says("| | α = {} | {} | {} | {} |", *cells.scales[shown])
    for noise, printed in zip(range(3), ("0", "0.5", "1"), strict=True):
        for rate in (0.01, 0.0464, 0.1, 0.215, 0.464):
            yield says(f"| σ = {printed}, η = {rate} | {{}} | {{}} | {{}} | {{}} |",
                       *cells.error[noise, cells.rate(rate), shown])  # fmt: skip
    yield from _without_noise(cells)
    yield from _with_noise(cells)
    yield from _law(cells, file)


def _without_noise(cells: Map) -> Iterator[Statement]:
    low, high = cells.rate(0.0464), cells.rate(0.316)
    middle = cells.error[0, low : high + 1, cells.scale(0.0464) : cells.scale(0.316) + 1]
    spread = 100 * np.max(middle.max(0) / middle.min(0) - 1)
    yield says("at α from 0.0464 to 0.316 medians at rates from 0.0464 to 0.316 are within {} %",
               AtMost(spread))  # fmt: skip
    beyond = cells.error[0, cells.rate(0.681)]
    yield says("at η = 0.681 they are {} at α = 0.01 and {} at 0.1",
               beyond[0], beyond[cells.scale(0.1)])  # fmt: skip
    left = cells.cells("regression_error_median")
    assert left[0, 0, 0] > 1e-3
    assert left[0, cells.rate(0.1), -2] < 1e-13
    last = cells.error[0, cells.rate(1)]
    yield says("at η = 1 {} or more", AtLeast(np.nanmin(last)))


def _with_noise(cells: Map) -> Iterator[Statement]:
    for noise, rate, words in (
        (1, 0.316, "with σ = 0.5 and η = 0.316 medians are {} to {} from all scales of which half "
                   "of the runs are left, α = 0.01 to {}"),
        (2, 0.147, "with σ = 1 and η = 0.147 {} to {}, α = 0.01 to {}"),
    ):  # fmt: skip
        own = cells.error[noise, cells.rate(rate)]
        left = cells.scales[~np.isnan(own)]
        yield says(words, np.nanmin(own), np.nanmax(own), left.max())
    undone = cells.error[1, cells.rate(0.681)]
    assert np.nanmax(undone) < np.nanmin(cells.error[0, cells.rate(0.681)]) / 5
    yield says("with σ = 0.5 medians are {} to {} there", np.nanmin(undone), np.nanmax(undone))
    best = [np.nanmin(cells.error[i]) for i in range(3)]
    yield says("the least medians of the three maps are {}, {} and {}", *best)
    first, second, third = (np.unravel_index(np.nanargmin(e), e.shape) for e in cells.error)
    yield says("at η = {}, {} and {}", *(cells.rates[at[0]] for at in (first, second, third)))
    assert first[1] == second[1] == third[1] == 0


def _law(cells: Map, file: dict[str, Any]) -> Iterator[Statement]:
    steps, samples = file["training"]["num_steps"], file["problem"]["num_samples"]
    assert (samples, steps) == (20, 10_000)
    derived = _derived(cells, file)
    shrinks = np.array([
        [-np.log(effective_scale(1, rate, noise, steps, samples)) for rate in cells.rates]
        for noise in NOISES
    ])[:, :, None]  # fmt: skip
    # Largest scales are left out: their runs are near divergence.
    judged = ~np.isnan(derived) & ~np.isnan(cells.error) & (cells.scales < 0.5)
    for low, high, words in (
        (0.3, 1, "Of {} cells with 0.3 < c < 1 the median error is {} to {} times that"),
        (1, 2, "Of the {} with 1 < c < 2 it is {} to {} times that"),
    ):
        own = judged & (shrinks > low) & (shrinks < high)
        ratio = cells.error[own] / derived[own]
        yield says(words, int(own.sum()), ratio.min(), ratio.max())
        same = np.broadcast_to(cells.error[0], own.shape)[own] / cells.error[own]
        yield says("and {} to {} times smaller than" if low < 1 else "and {} to {} times below",
                   same.min(), same.max())  # fmt: skip


PARTS = [
    Part(
        FILE,
        "Diagonal networks over scale, rate and label noise (arXiv:2002.09277, arXiv:2006.08680)",
        _map,
        settings=(
            "at α from 0.0464 to 0.316 medians at rates from 0.0464 to 0.316",
            "at η = 0.681", "at α = 0.01 and", "at 0.1 ", "at η = 1 ",
            "with σ = 0.5 ", "σ = 0.5 and η = 0.316", "At η = 0.681", "α = 0.01 to",
            "with σ = 1 and η = 0.147",
            "by 1 − η g_j and v_j by 1 + η g_j", "exactly 1 − η²g_j²", "4σ²/n", "η²T/3",
            "c = 2σ²η²T/(3n)", "with 0.3 < c < 1", "with 1 < c < 2", "a scale left of 0.02",
            "α below 0.5", "all at α = 0.01",
        ),
    ),
]  # fmt: skip
