"""results/kept/linear_networks/README.md: low-rank adaptation."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import numpy as np
import pytest

from dlnsweep.theory.formulas import signal_values
from dlnsweep.theory.low_rank import least_loss
from kept import adaptation
from kept.numbers import AtMost
from kept.plans import planned
from kept.tables import sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/linear_networks/README.md"
_ENDED = 1e-10


def _sizes() -> Iterator[Statement]:
    file = sweep("low_rank_adaptation")
    problem, training = file["problem"], file["training"]
    rows, columns, kappa = (
        problem[key] for key in ("num_rows", "num_columns", "condition_number")
    )  # fmt: skip
    assert rows == kappa
    _, steps, _ = planned("low_rank_adaptation")
    yield says("of rank r = {}, {}, {}, {}, from B", *file["network"]["width"])
    yield says("5/6, ..., 1/6 ({} × {}); A", rows, columns)
    yield says("variance scale²/{}, {} seeds each, {} steps of η = {}.", columns,
               file["sweep"]["seeds"], steps, training["learning_rate"])  # fmt: skip


def _ends() -> Iterator[Statement]:
    file, rows = sweep("low_rank_adaptation"), table("linear_networks/low_rank_adaptation.csv")
    runs, _, _ = planned("low_rank_adaptation")
    values = signal_values(6.0, 6)
    for row in rows.rows:
        assert row["least"] == pytest.approx(least_loss(values, row["width"]), rel=1e-5, abs=1e-20)
    ended = [row for row in rows.rows if abs(row["above"]) < _ENDED]
    (late,) = [row for row in rows.rows if abs(row["above"]) >= _ENDED]
    off = max(abs(row["above"]) for row in ended)
    yield says("from both scales: {} of {} runs to {}.", len(ended), runs, AtMost(off))
    yield says("Of the other, of rank {} and scale {}, is left {},",
               late["width"], late["scale"], late["above"])  # fmt: skip
    replayed = max(abs(value) for value in rows.column("replayed"))
    yield says("in NumPy ends where the runs do, to {}.", AtMost(replayed))
    eta = file["training"]["learning_rate"]
    for scale in file["network"]["layer_init_scale"]:
        for width in file["network"]["width"]:
            found = rows.where(scale=scale, width=width).rows
            h = [-np.expm1(-row["derived"] / 2) / eta for row in found]
            ratios = [row["rate"] / row["derived"] for row in found if row["rate"] != ""]
            yield says(
                f"| {'1.0' if scale == 1 else '1e-3'} | {width} | {{}} ({{}} to {{}}) | "
                "{} ({} to {}) |",
                median(h), min(h), max(h), median(ratios), min(ratios), max(ratios),
            )  # fmt: skip
            if scale == 1:
                assert max(h) < 1 / 6
            if (scale, width) == (1, 6):
                yield says("of rank 6 needs {} to {} times", 1 / 6 / max(h), 1 / 6 / min(h))
    assert [row for row in rows.rows if row["rate"] == ""] == [late]
    high, low = adaptation._LATE
    yield says("fitted between {} and {} above", high, low)
    high, low = adaptation._LATE_OF_FULL_RANK
    yield says("of rank 6 from a small A between {} and {},", high, low)


def _directions() -> Iterator[Statement]:
    rows = table("linear_networks/low_rank_adaptation_directions.csv")
    for width, places in ((1, 1), (2, 2), (4, 4), (6, 6)):
        for place in range(1, places + 1):
            found = rows.where(width=width, direction=place)
            steps = found.column("steps")
            ratios = [row["steps"] / row["derived"] for row in found.rows]
            yield says(
                f"| {width} | {place} | {{}} ({{}} to {{}}) | {{}} ({{}} to {{}}) |",
                median(steps), min(steps), max(steps), median(ratios), min(ratios), max(ratios),
            )  # fmt: skip
    early = [row["derived"] - row["steps"] for row in rows.rows]
    (worst,) = [row for row in rows.rows if abs(row["derived"] - row["steps"]) > 3]
    yield says("In all but one of {} directions within {} steps,", len(early), 3)
    assert median(early) == pytest.approx(0.5, abs=0.1)
    yield says("The one, seed 8 of rank {}, is {} steps early",
               worst["width"], worst["derived"] - worst["steps"])  # fmt: skip
    assert (worst["seed"], worst["direction"]) == (8, 2)


def _everything() -> Iterator[Statement]:
    yield from _sizes()
    yield from _ends()
    yield from _directions()


PARTS = [
    Part(
        FILE,
        "Low-rank adaptation",
        _everything,
        settings=(
            "s = 1, 5/6, ..., 1/6", "B = 0 and", "(s_{r+1}² + ... + s_6²)/2", "(1 − ηh)^(2t)",
            "−s_{r+1}), (−s_{r+1}", "s_r − s_{r+1} = 1/6", "From scale 1", "stays of size 1",
            "from b = 0 and", "s_i/2.",
        ),
    )
]  # fmt: skip
