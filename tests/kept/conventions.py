"""results/kept/conventions/README.md."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from dlnsweep.theory import plateau
from kept.numbers import AtMost
from kept.tables import sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/conventions/README.md"
LITERAL, SCALED = 1.0, 1 / 16


def _plateaus(rows: pd.DataFrame, scale: float) -> pd.Series:
    """Return the regression errors over lambda at one data-fit scale."""
    rows = rows[rows["training.data_fit_scale"] == scale]
    return rows["regression_error_median"] / rows["training.weight_decay"]


def _side_by_side() -> Iterator[Statement]:
    fig2 = table("conventions/fig2.csv")
    fig2["training.weight_decay"] = sweep("fig2_conventions")["training"]["weight_decay"]
    errors = fig2.pivot(
        index="problem.subspace_dim",
        columns="training.data_fit_scale",
        values="off_subspace_error_median",
    )
    apart = 100 * (errors[LITERAL] / errors[SCALED] - 1).abs().max()
    literal, scaled = _plateaus(fig2, LITERAL), _plateaus(fig2, SCALED)
    yield says(
        "the convention moves the plateau, {} to {} λ against {} to {} λ, and what comes before "
        "it; the off-subspace errors are the same within {} %",
        literal.min(), literal.max(), scaled.min(), scaled.max(), AtMost(apart),
    )  # fmt: skip
    fig3 = table("conventions/fig3.csv")
    fig3["training.weight_decay"] = sweep("fig3_conventions")["training"]["weight_decay"]
    literal, scaled = _plateaus(fig3, LITERAL), _plateaus(fig3, SCALED)
    sizes = sweep("fig3_conventions")
    m, s = sizes["problem"]["measurement_dim"], sizes["problem"]["subspace_dim"]
    # lambda = 1: the plateau over lambda.
    formula = [plateau(1.0, m, s, depth) for depth in sizes["network"]["depth"]]
    yield says(
        "end before the plateau ({} to {} λ, still rising towards {} to {} λ)",
        literal.min(), literal.max(), min(formula), max(formula),
    )  # fmt: skip
    yield says("end on it ({} to {} λ)", scaled.min(), scaled.max())
    last = fig3[fig3["training.data_fit_scale"] == LITERAL].set_index("network.depth")
    last = last["off_subspace_error_median"]
    yield says("at the end of the lower row L = 5 is at {} of L = 2", last[5] / last[2])
    fig4 = table("conventions/fig4.csv")
    literal, scaled = _plateaus(fig4, LITERAL), _plateaus(fig4, SCALED)
    # The smallest weight decay is left out, as the text says.
    yield says("plateaus of {} to {} λ literally", sorted(literal)[1], literal.max())
    yield says("of {} to {} λ with c = 1/16; proportional", scaled.min(), scaled.max())


PARTS = [
    Part(
        FILE,
        "Figures 2, 3 and 4, literally and with c = 1/16",
        _side_by_side,
        settings=(
            "(c = 1) and its data fit scaled by 1/16",
            "Figure 2: 3 runs a curve, float32, dense kernel, 5 minutes",
            "Figure 3: 3 runs a curve, 7 minutes; Figure 4: 5 runs a curve, 5 minutes",
            "tolerance of 1e-3",
            "have 10 runs a curve",
            "η = 1/10",
            "η = 1/100",
            "c = 1",
            "c = 1/16",
            "the paper's 20 λ",
            "L = 5 begins",
            "(λ = 10⁻⁴ has not",
        ),
    ),
]
