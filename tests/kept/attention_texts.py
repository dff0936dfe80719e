"""results/kept/attention/README.md."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import pytest

from kept import attention
from kept.plans import planned
from kept.tables import sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/attention/README.md"


def _everything() -> Iterator[Statement]:
    file, rows = sweep("attention_plateaus"), table("attention/plateaus.csv")
    problem, network = file["problem"], file["network"]
    runs, steps, _ = planned("attention_plateaus")
    yield says("rank one, {} heads,", network["heads"])
    yield says("{} seeds, {} prompts of {} examples each", runs, problem["num_samples"],
               problem["context_length"])  # fmt: skip
    assert problem["input_dim"] == 4
    assert problem["covariance_power"] == 1
    yield says("weights, {} steps of", steps)
    levels = attention.levels(4, problem["context_length"], 1.0)
    for learned, level in enumerate(levels):
        found = rows.where(learned=learned)
        assert found.column("level") == pytest.approx([level] * len(found.rows), rel=1e-5)
        ratios = [loss / level for loss in found.column("loss")]
        yield says(
            f"| {learned} | {{}} | {{}} ({{}} to {{}}) | {{}} |",
            level, median(ratios), min(ratios), max(ratios), len(ratios),
        )  # fmt: skip
    yield says("at least {} records, one every {} steps, between which the loss changes by less "
               "than {} of itself", attention._FEWEST, steps / (file["record"]["count"] - 1),
               attention._CALM)  # fmt: skip
    yield says("Deviations are those of {} prompts", problem["num_samples"])
    start = rows.where(learned=0).column("loss")
    yield says("is off by up to {} %.", 100 * max(abs(loss / levels[0] - 1) for loss in start))
    # Two seeds pass over a plateau, each over one.
    assert len(rows.rows) == 5 * runs - 2
    lasts = [row["last_step"] - row["first_step"] for row in rows.rows if 0 < row["learned"] < 4]
    assert max(lasts) > 10 * min(lasts)


PARTS = [Part(FILE, "", _everything, settings=("variances 1, 1/2, 1/3, 1/4", "(1 + (1 + Σ l"))]
