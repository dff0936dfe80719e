"""results/kept/feature_learning/README.md: sparse recovery by sharpness-aware steps."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import numpy as np

from kept.feature_learning import FILE, FOLDER
from kept.numbers import AtMost
from kept.plans import planned
from kept.sparse_solutions import table as solved
from kept.tables import Table, sweep, table
from kept.text import Part, Statement, says

# The least scale left that is set beside the networks of that scale.
LEAST_LEFT = 0.01


def _beside(rows: Table) -> list[float]:
    """Return test errors over those of rho = 0 at the scale left, where there is enough of it."""
    plain = sorted(rows.where(sam_radius=0).rows, key=lambda row: row["scale_left_median"])
    scales, errors = (
        np.log([row[name] for row in plain]) for name in ("scale_left_median", "test_error_median")
    )
    found = []
    for row in rows.rows:
        left = row["scale_left_median"]
        if row["training.sam_radius"] > 0 and left > LEAST_LEFT:
            found.append(row["test_error_median"] / np.exp(np.interp(np.log(left), scales, errors)))
    return found


def _sam() -> Iterator[Statement]:
    rows, file = table(f"{FOLDER}/sparse_recovery_sam.csv"), sweep("sparse_recovery_sam")
    other = sweep("sparse_recovery")
    assert file["problem"] == other["problem"]
    assert file["network"] == other["network"]
    assert file["training"]["learning_rate"] == other["training"]["learning_rate"]
    runs, steps, _ = planned("sparse_recovery_sam")
    yield says("{} runs of {} steps, {} seeds", runs, steps, file["sweep"]["seeds"])
    assert set(rows.column("num_runs")) == {file["sweep"]["seeds"]}
    scales = [0.01, 0.1, 0.3, 1, 3]
    cells = " | ".join(["{}"] * len(scales))
    yield says(f"| | α = {cells} |", *scales)
    every, single = (rows.where(minibatch_size=size) for size in (0, 1))
    for words, own, radii in (
        ("", every, (0, 0.01, 0.1, 0.3)), ("single samples, ", single, (0, 0.01, 0.1, 0.3)),
    ):  # fmt: skip
        for radius in radii:
            found = own.where(sam_radius=radius).by("layer_init_scale", "test_error_median")
            start = "all samples, " if own is every and radius == 0 else words
            yield says(f"| {start}ρ = {radius} | {cells} |", *(found[scale] for scale in scales))
    yield says(
        "`effective_sparsity` {} or less at ρ = 0.3), where without ρ there are {}.",
        AtMost(single.one("effective_sparsity_median", sam_radius=0.3, layer_init_scale=1)),
        single.one("effective_sparsity_median", sam_radius=0, layer_init_scale=1),
    )  # fmt: skip
    yield says("least ℓ₂ solution, {}.", median(solved(range(10))["l2_test_error"]))
    fell = single.where(sam_radius=0.1).by("layer_init_scale", "scale_left_median")
    yield says("from 0.3 to {} and from 1 to {}.", fell[0.3], fell[1])
    near, far = _beside(single), _beside(every)
    yield says("Where it stays above {}, in {} cells of ρ > 0", LEAST_LEFT, len(near))
    yield says("is {} to {} times that of single", min(near), max(near))
    yield says("on all samples, in {} such cells, up to {} times", len(far), max(far))
    stuck = {True: [], False: []}
    for row in single.rows:
        over = row["training.sam_radius"] / row["network.layer_init_scale"]
        stuck[row["regression_error_median"] > 0.99].append(over)
    # What is printed are the ends of the grid's ratios: 1 and 10, with 3 between.
    assert min(over for over in stuck[True] if over > 3.1) > 9.9 > 3.1 > max(stuck[False])
    assert min(stuck[True]) > 1.01
    lost = rows.where(num_diverged=[n for n in rows.column("num_diverged") if n])
    assert set(lost.column("minibatch_size")) == {1}
    yield says(
        "{} runs diverged, all on single samples with α at most {}.",
        sum(lost.column("num_diverged")), max(lost.column("layer_init_scale")),
    )  # fmt: skip
    ends = [e for e in rows.column("regression_error_median") if e < 0.9]
    yield says("train errors of the others are at most {}:", AtMost(max(ends)))


PARTS = [
    Part(
        FILE,
        "Sparse recovery by sharpness-aware steps (arXiv:2002.09277, arXiv:2010.01412)",
        _sam,
        settings=(
            "up to α = 1 three",
            "by 1 − 2ηh′_j(1 + c_j) and v_j by 1 + 2ηh′_j(1 − c_j), c_j = 2ρh_j",
            "1 − 4ηc_jh′_j − 4η²h′_j²(1 − c_j²)",
            "some 8ηρh_j²",
            "|u_jv_j|^{1/2}",
            "single samples at ρ = 0.1",
            "with ρ = 0 at the scale left",
            "while c_j > 1",
            "(√2 α‖h‖)",
            "a train error of 1:",
            "ρ of 10α or more do",
        ),
    ),
]
