"""results/kept/open_questions/README.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import signature

import numpy as np

from dlnsweep.analysis.bootstrap import median_interval, resamples
from dlnsweep.problems import subspace
from kept.numbers import AtLeast
from kept.tables import Table, sweep, table
from kept.text import ROOT, Part, Statement, says

FILE = "results/kept/open_questions/README.md"


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


def _head() -> Iterator[Statement]:
    seeds = [sweep(path.stem)["sweep"]["seeds"] for path in (ROOT / "sweeps").glob("open_*.toml")]
    level = signature(median_interval).parameters["level"].default
    yield says(
        "of at least {} seeds a point; intervals are {} % bootstrap",
        AtLeast(min(seeds)), round(100 * level),
    )  # fmt: skip


def _interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median and its 95 % bootstrap interval, as the text states them."""
    low, high = median_interval(np.array([values]))
    return float(np.median(values)), float(low[0]), float(high[0])


def _isometry() -> Iterator[Statement]:
    rows = table("open_questions/isometry.csv")
    least, largest = rows.column("isometry_min"), rows.column("isometry_max")
    worst = [max(abs(a * a - 1), abs(b * b - 1)) for a, b in zip(least, largest, strict=True)]
    yield says("random signs; {} runs of", len(rows.rows))
    yield says("from {} random choices", subspace._SUPPORTS)
    estimate = rows.column("rip_lower_estimate")
    few = [e for e, m in zip(estimate, rows.column("measurement_dim"), strict=True) if m <= 12]
    assert np.mean([e > 1 for e in few]) > 0.95
    errors = [rows.column(n) for n in ("regression_error", "noisy_test_error")]
    yield says(
        "with the regression error {} ({} to {}, seeds resampled), with the "
        "noisy test error {} ({} to {})",
        *(
            x
            for error in errors
            for x in _interval_of_correlation(least, error, rows.column("seed"))
        ),
    )
    others = [(largest, "{} and {}, max"), (worst, "over both {} and {}, and")]
    others += [(estimate, "constant {} and {} (it is")]
    for of, words in others:
        yield says(words, *(_rank_correlation(of, error) for error in errors))
    weak = [e for s, e in zip(least, errors[0], strict=True) if s < 0.3]
    yield says("{} of {} runs have a regression", sum(e > 0.02 for e in weak), len(weak))


def _rank_correlation(
    one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray
) -> float:
    """Return Spearman's correlation."""
    return float(np.corrcoef(_ranks(np.array(one)), _ranks(np.array(other)))[0, 1])


def _interval_of_correlation(
    one: Sequence[float], other: Sequence[float], seeds: Sequence[int]
) -> tuple[float, float, float]:
    """Return Spearman's correlation with its 95 % bootstrap interval over the seeds.

    A resample takes a seed with all its runs, which share their draws.
    """
    x, y = np.array(one), np.array(other)
    of_seed = [np.flatnonzero(np.array(seeds) == seed) for seed in sorted(set(seeds))]
    drawn = [np.concatenate([of_seed[k] for k in chosen]) for chosen in resamples(len(of_seed))]
    low, high = np.quantile([_rank_correlation(x[runs], y[runs]) for runs in drawn], [0.025, 0.975])
    return _rank_correlation(one, other), float(low), float(high)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks, equal values the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def _optimizer() -> Iterator[Statement]:
    rows, file = table("open_questions/optimizer.csv"), sweep("open_optimizer")
    decay = file["training"]["weight_decay"]
    sizes = file["training"]["minibatch_size"]
    own = [rows.where(minibatch_size=size) for size in sizes]
    off = [_interval(each.column("off_subspace_error")) for each in own]
    assert {round(each[0], 5) for each in off} == {round(off[0][0], 5)}
    yield says("the off-subspace error is {} ({} to {}) for all four", *off[0])
    plateaus = [each.median("regression_error") / decay for each in own]
    yield says("full batches; {} runs", len(rows.rows))
    yield says("the regression error {} to {} λ", min(plateaus), max(plateaus))

    rows, file = table("open_questions/momentum.csv"), sweep("open_momentum")
    end = file["training"]["num_steps"]
    yield says("the learning rate, {} runs", len(rows.where(step=end).rows))
    plain, fast = (rows.where(optimizer=n) for n in file["training"]["optimizer"])

    def off_at(of: Table, step: int) -> tuple[float, float, float]:
        return _interval(of.where(step=step).column("off_subspace_error"))

    yield says(
        "at step 10 120 the off-subspace error is {} ({} to {}) beside {} ({} to {}), at the end "
        "{} ({} to {}) beside {}, and",
        *off_at(fast, 10120), *off_at(plain, 10120), *off_at(fast, end), off_at(plain, end)[0],
    )  # fmt: skip
    last = [of.where(step=end).median("regression_error") for of in (plain, fast)]
    assert f"{last[0]:.3e}" == f"{last[1]:.3e}"


PARTS = [
    Part(FILE, "", _head),
    # Owed: the intervals of the exponents, and how many of the failures diverge.
    Part(FILE, "(b) How wide is wide enough?", _width, complete=False),
    Part(
        FILE,
        "(f) Restricted isometry of the drawn operator against success",
        _isometry,
        settings=(
            "d = 32, s = 4, L = 3, d_w = 128, m = 5 to 24",
            "10 000 fan-in steps; test noise 0.1",
            "max |σ² − 1|",
            "(it is above 1 for nearly all operators with m ≤ 12",
            "σ_min of about 0.3",
            "error above 2 %",
        ),
    ),
    Part(
        FILE,
        "(g) Minibatches and momentum in place of full gradient descent",
        _optimizer,
        settings=(
            "d = 64, m = 32, s = 4, n = 1000, L = 3, d_w = 128, c = 1/16, λ = 10⁻³, 50 000 steps",
            "minibatches of 4, 16 and 64 samples",
            "momentum 0.9 with",
        ),
    ),
]
