"""README.md: Figures 1 to 4 of arXiv:2502.15522."""

from __future__ import annotations

from collections.abc import Iterator
from math import log

from dlnsweep.theory import formulas as theory
from kept.tables import sweep, table
from kept.text import GUIDES, Part, Statement, says


def _figure_1() -> Iterator[Statement]:
    sizes = sweep("fig1a_robustness")["problem"]
    d, m, s = (sizes[f"{name}_dim"] for name in ("signal", "measurement", "subspace"))
    errors = table("fig1a_robustness/summary.csv").by("weight_decay", "regression_error_median")
    yield says(
        "({} times, dotted); with λ = 0.01 hardly more than the oracle X Y⁺ ({} times, dashed), "
        "at a regression error of {} %",
        theory.noise_without_decay(1.0, m, d, s), theory.oracle_noise(1.0, m, s),
        100 * errors[0.01],
    )  # fmt: skip
    relu = table("fig1b_relu/summary.csv")
    errors = relu.by("weight_decay", "regression_error_median")
    yield says(
        "are still learning (regression error {} % and {} %)",
        *(100 * errors[decay] for decay in (0.0, 0.01)),
    )
    yield says("at a regression error of {} %.*", 100 * errors[0.03])
    errors = relu.by("weight_decay", "test_error_median")
    yield says("without noise is {} % against {} %", 100 * errors[0.01], 100 * errors[0.0])
    levels = sweep("fig1b_relu")["record"]["noise_levels"]
    noisy = table("fig1b_relu/noise.csv")
    yield says(
        "at σ = {} it is {} times without, {} times with λ = 0.01 and {} times with 0.03",
        levels[-1],
        *(
            noisy.where(weight_decay=decay).median(f"noisy_test_errors_{len(levels)}") / levels[-1]
            for decay in (0.0, 0.01, 0.03)
        ),
    )


def _figures_2_to_4() -> Iterator[Statement]:
    file = sweep("fig2_subspace_dim")
    rows = table("fig2_subspace_dim/summary.csv")
    plateaus = [
        e / file["training"]["weight_decay"] for e in rows.column("regression_error_median")
    ]
    yield says("are nearly equal ({} to {} λ)", min(plateaus), max(plateaus))
    off = rows.by("subspace_dim", "off_subspace_error_median")
    least, most = (table("fig2_subspace_dim/curves.csv", subspace_dim=s) for s in (2, 32))

    def ratios(name: str) -> dict[int, float]:
        below = least.by("step", name)
        return {step: value / below[step] for step, value in most.by("step", name).items()}

    yield says("is up to {} times that of s = 2", max(ratios("regression_error").values()))
    apart = ratios("off_subspace_error")
    yield says(
        "is {} at step 0, {} at step 82, {} at step 5 000 and {} at the end",
        apart[0], apart[82], apart[5000], off[32] / off[2],
    )  # fmt: skip

    file = sweep("fig3_depth")
    decay, scale = file["training"]["weight_decay"], file["training"]["data_fit_scale"]
    m, s = file["problem"]["measurement_dim"], file["problem"]["subspace_dim"]
    rows, jumped = table("fig3_depth/summary.csv"), table("fig3_depth/summary_by_jumps.csv")
    names = ("off_subspace_error_median", "regression_error_median")
    pairs = [
        pair for name in names for pair in zip(rows.column(name), jumped.column(name), strict=True)
    ]
    assert rows.column("num_runs") == jumped.column("num_runs")
    yield says("to {} of themselves", max(abs(new / old - 1) for old, new in pairs))
    plateaus = [error / decay for error in rows.column("regression_error_median")]
    formula = [theory.plateau(1.0, m, s, depth, 1.0, scale) for depth in (2, 3, 4, 5)]
    yield says(
        "(at {} to {} λ; the root mean square over all data of the global minimum is {}, {}, {} "
        "and {} λ for L = 2 to 5,",
        min(plateaus), max(plateaus), *formula,
    )  # fmt: skip
    off = rows.by("depth", "off_subspace_error_median")
    yield says("at the end L = 5 is at {} of L = 2. All {} runs", off[5] / off[2],
               sum(rows.column("num_runs")))  # fmt: skip

    rows = table("fig4_weight_decay/summary.csv")
    errors = rows.by("weight_decay", "regression_error_median")
    plateaus = [error / own for own, error in errors.items()]
    yield says(
        "The plateaus are {} to {} λ, slope {} on log-log; the global minimum is at {} λ",
        min(plateaus), max(plateaus), _slope(errors), theory.plateau(1.0, m, s, 3, 1.0, scale),
    )  # fmt: skip
    steps = sum(
        n * t for n, t in zip(rows.column("num_runs"), rows.column("num_steps"), strict=True)
    )
    yield says("All {} runs, {} million run-steps", sum(rows.column("num_runs")), steps / 1e6)


def _slope(values: dict[float, float]) -> float:
    """Return the slope of a straight line through the logarithms, by least squares."""
    x, y = [log(key) for key in values], [log(value) for value in values.values()]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return above / sum((a - mean_x) ** 2 for a in x)


PARTS = [
    Part(
        f"{GUIDES}/papers.md",
        "Figure 1 of arXiv:2502.15522: robustness to noise",
        _figure_1,
        settings=(
            "d = 200, m = 100, s = 5, L = 5, d_w = 400, η = 10⁻³, 100 000 steps; 10 runs a curve",
            "3 runs a curve",
            "at 100 000 steps λ = 0 and 0.01 are",
            "λ = 0.01 learns faster",
            "λ = 0.03 has settled",
        ),
    ),
    Part(
        f"{GUIDES}/papers.md",
        "Figures 2, 3 and 4 of arXiv:2502.15522",
        _figures_2_to_4,
        settings=(
            "(d_w = 512 and 1000), 10 runs a curve",
            "at a tolerance of 1e-4",
            "one learning rate of 1/10",
            "(the initial curvature is 63, stability needs 20)",
            "scaled by 1/16",
            "c = 1/8 to 1/16",
            "stable at c = 1,",
            "(c = 1, with η = 1/100 where 1/10 diverges) and with c = 1/16",
            "that of s = 32",
            "that of s = 2",
            "by all of them it took 14,",
            "those of L = 5 that begin",
            "paper says about 10 λ for this figure and 20 λ",
        ),
    ),
]
