"""README.md: the caption of the figure over seven decades of width."""

from __future__ import annotations

from collections.abc import Iterator

from dlnsweep import theory
from kept.numbers import AtMost
from kept.tables import sweep, table
from kept.text import Part, Statement, says


def _caption() -> Iterator[Statement]:
    file, rows = sweep("width_scaling"), table("width_scaling/summary.csv")
    m, s = file["problem"]["measurement_dim"], file["problem"]["subspace_dim"]
    decay = file["training"]["weight_decay"]
    yield says("{} networks of depth 2 and 3", sum(rows.column("num_runs")))
    yield says(
        "an off-subspace error below {} and", AtMost(max(rows.column("off_subspace_error_median")))
    )
    # All widths from 10^5 on have the same median, at both depths.
    wide = [w for w in rows.where(depth=2).column("width") if w >= 10**6]
    plateaus = {
        round(e / decay, 2) for e in rows.where(width=wide).column("regression_error_median")
    }
    assert len(plateaus) == 1
    yield says(
        "(measured {} λ in the median; the root mean square over all data is {} λ",
        plateaus.pop(), theory.plateau(1.0, m, s, 1),
    )  # fmt: skip


PARTS = [Part("README.md", "The reduced kernel", _caption, complete=False)]
