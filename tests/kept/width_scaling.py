"""README.md: the reduced kernel, with the figure over seven decades of width."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from dlnsweep.engine import deviations
from dlnsweep.execution import comparison
from dlnsweep.reduced import lane as lanes
from dlnsweep.settings.sections import SweepSettings
from dlnsweep.theory import formulas as theory
from kept.numbers import About, AtMost
from kept.scripts import script, stated
from kept.tables import Table, sweep, table
from kept.text import GUIDES, Part, Statement, says

TEST = "tests/reduced/test_certification.py"
SAFETY = 3.0
# As near to its value at the largest width a plateau is "that of a single layer".
NEAR = 0.02


def _kernel() -> Iterator[Statement]:
    tolerance = SweepSettings.model_fields["tolerance"].default
    yield says("`sweep.tolerance` (default {}, relative,", tolerance)
    document = script("basis_size")._document(2)
    problem = document["problem"]
    names = ("signal_dim", "measurement_dim", "subspace_dim", "condition_number")
    yield says(
        "(d = {}, m = {}, s = {}, κ = {}, d_w = {}, λ = {}, both phases)",
        *(problem[name] for name in names), document["network"]["width"],
        document["training"]["weight_decay"],
    )  # fmt: skip
    yield says("that differ by less than {} count as equal", deviations._ROUNDING)
    yield says("and beyond {} it ends with 1", comparison._EXACT)
    yield says("less than {} of an observable's largest value", deviations._ROUNDING)
    yield from _certified()
    yield says(
        "within {} % at its end and a factor of {} at every recorded step",
        100 * lanes._LIKENESS, 1 + lanes._EXCURSION,
    )  # fmt: skip
    yield from _caption()


def _certified() -> Iterator[Statement]:
    yield says("on some {} random networks", About(stated(TEST, "GROUPS") * stated(TEST, "LANES")))
    assert stated(TEST, "SAFETY") == SAFETY
    rows = table("certification/certification.csv", certificate="certified")
    columns = (rows.column(name) for name in ("error", "estimate", "tolerance"))
    beyond = [e / max(t, SAFETY * own) for e, own, t in zip(*columns, strict=True)]
    tolerances = rows.column("tolerance")
    yield says(
        "on {} others ([table](../../results/kept/certification/certification.csv): the same "
        "generator with other seeds, tolerances from {} to {}) the error was never beyond {} times",
        len(rows.rows), min(tolerances), max(tolerances), AtMost(max(beyond)),
    )  # fmt: skip
    narrow = _later_bases()
    yield says(
        "on {} more, whose later steps have smaller bases "
        "([table](../../results/kept/certification/later_bases.csv)), never beyond {} times",
        len(narrow), AtMost(max(map(_allowed, narrow))),
    )  # fmt: skip
    momenta = set(rows.column("momentum"))
    assert 0 in momenta
    others = rows.where(momentum=sorted(momenta - {0}))
    yield says(
        "The median of error over estimate was {}, and {} with momentum,",
        _share(rows.where(momentum=0)), _share(others),
    )  # fmt: skip


def _allowed(row: dict[str, Any]) -> float:
    """Return a run's error over what is allowed."""
    return row["error"] / max(row["tolerance"], SAFETY * row["estimate"])


def _later_bases() -> list[dict[str, Any]]:
    """Return the runs whose later steps have smaller bases; of all depths, and by either rule."""
    rows = table("certification/later_bases.csv", certificate="certified").rows
    narrow = [row for row in rows if row["later directions"]]
    assert {row["depth"] for row in narrow} == {2, 3, 4, 5, 6}
    assert {row["step rule"] for row in narrow} == {"uniform", "fan_in"}
    assert all(row["later directions"] <= row["directions"] for row in narrow)
    # Of those that were refused them none is wrong, either.
    assert max(map(_allowed, rows)) <= 1
    return narrow


def _share(rows: Table) -> float:
    """Return the median of error over estimate."""
    pairs = zip(rows.column("error"), rows.column("estimate"), strict=True)
    return median(error / estimate for error, estimate in pairs)


def _caption() -> Iterator[Statement]:
    file, rows = sweep("width_scaling"), table("width_scaling/summary.csv")
    d, m, s = (file["problem"][f"{n}_dim"] for n in ("signal", "measurement", "subspace"))
    decay, widths = file["training"]["weight_decay"], file["network"]["width"]
    assert file["problem"]["condition_number"] == 1
    yield says(
        "{} networks of depth 2 and 3, width {} to {}, one compiled",
        sum(rows.column("num_runs")), min(widths), max(widths),
    )  # fmt: skip
    yield says(
        "an off-subspace error below {} and", AtMost(max(rows.column("off_subspace_error_median")))
    )
    # The singular values are equal, so the stable rank is s; log d_w at the width that is asked.
    asked = 1e6
    for _ in range(50):
        asked = theory.width_of_equation_70(d, s, 3, 1, asked)
    yield says(
        "a width of {} is enough where the proof asks for some {} and {} (",
        min(widths), theory.width_of_lemma_a14(d, s, 3, 1), asked,
    )  # fmt: skip
    # All widths from 10^6 on have the same median, at both depths.
    wide = rows.where(width=[w for w in widths if w >= 10**6])
    plateaus = {round(error / decay, 2) for error in wide.column("regression_error_median")}
    assert len(plateaus) == 1
    single = plateaus.pop()
    apart = {
        width: max(abs(error / decay / single - 1) for error in found)
        for width in widths
        if (found := rows.where(width=width).column("regression_error_median"))
    }
    yield says("from {} on it is that of", min(w for w in widths if apart[w] < NEAR))
    yield says(
        "(measured {} λ in the median; the root mean square over all data is {} λ",
        single, theory.plateau(1.0, m, s, 1),
    )  # fmt: skip


PARTS = [
    Part(
        f"{GUIDES}/kernels.md",
        "The reduced kernel",
        _kernel,
        settings=(
            "network of width 1000 has",
            "b_i = W_{L:i+1}^T Φ",
            "f_{i-1} = W_{i-1:1} Y",
            "B_i and F_{i-1}",
            "D_i(t) F_{i-1}^T",
            "1. A *pilot*",
            "2. The spaces",
            "3. The run takes",
            "It ends with 1 if",
            "formula with L = 1)",
            "(2023, arXiv",
            "; 2024, arXiv",
        ),
    )
]
