"""results/kept/open_questions/README.md."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature

import numpy as np

from dlnsweep.analysis.bootstrap import median_interval
from kept.numbers import AtLeast
from kept.tables import sweep, table
from kept.text import ROOT, Part, Statement, says

FILE = "results/kept/open_questions/README.md"


def _head() -> Iterator[Statement]:
    seeds = [sweep(path.stem)["sweep"]["seeds"] for path in (ROOT / "sweeps").glob("open_*.toml")]
    level = signature(median_interval).parameters["level"].default
    yield says(
        "of at least {} seeds a point; intervals are {} % bootstrap",
        AtLeast(min(seeds)), round(100 * level),
    )  # fmt: skip


def _width() -> Iterator[Statement]:
    rows = table("open_questions/width_transitions.csv")
    half = rows.column("x_half")
    yield says("lies between {} and {} in all {} settings", min(half), max(half), len(half))
    columns = ("depth", "condition_number", "subspace_dim")
    known = np.log(np.array([rows.column(name) for name in columns], dtype=float)).T
    fit, *_ = np.linalg.lstsq(
        np.column_stack([known, np.ones(len(half))]), np.log(half), rcond=None
    )
    yield says("L^{} (", float(fit[0]))
    yield says("kappa^{} (", float(fit[1]))
    yield says("s^{} (", float(fit[2]))

    file = sweep("open_width")
    problem, widths = file["problem"], file["network"]["width"]
    assert file["training"]["prescription"] == "theorem_2_3"
    yield says(
        "d = {}, m = {}, {} networks of width {} to {} with the theorem's own step size, weight "
        "decay (γ = 1/{})",
        problem["signal_dim"], problem["measurement_dim"],
        len(half) * len(widths) * file["sweep"]["seeds"],
        widths[0], widths[-1], round(1 / file["training"]["gamma"]),
    )  # fmt: skip
    below = {each["observable"]: each["below"] for each in file["figure"][0]["success"]}
    yield says(
        "its regression error is below {} and its off-subspace error below {}.",
        below["regression_error"], below["off_subspace_error"],
    )  # fmt: skip
    ranges = [sorted(set(rows.column(name))) for name in columns]
    yield says("κ = {} to {}, s = {} and {};",
               ranges[1][0], ranges[1][-1], *ranges[2])  # fmt: skip
    assert (ranges[0][0], ranges[0][-1]) == (2, 6)
    scaled = table("width_scaling/summary.csv").column("width")
    yield says("From {} to {} all networks succeed", min(scaled), max(scaled))


PARTS = [
    Part(FILE, "", _head),
    # Owed: the intervals of the exponents, and how many of the failures diverge.
    Part(FILE, "(b) How wide is wide enough?", _width, complete=False),
]
