"""results/kept/open_questions/README.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import signature
from itertools import pairwise
from math import log, log1p, sqrt
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from dlnsweep.analysis import transitions
from dlnsweep.analysis.bootstrap import median_interval, resamples
from dlnsweep.problems import subspace
from dlnsweep.theory import formulas
from kept.numbers import About, AtLeast
from kept.tables import Table, sweep, table
from kept.text import ROOT, Part, Statement, says

FILE = "results/kept/open_questions/README.md"


_WIDTH_BY = ("network.depth", "problem.condition_number", "problem.subspace_dim")


def _width_runs() -> pd.DataFrame:
    """Return the runs as the fit of transitions takes them."""
    rows, success = table("open_questions/width.csv"), sweep("open_width")["figure"][0]["success"]
    runs = pd.DataFrame(rows.rows).rename(columns={"training.num_steps": "steps"})
    # A run that diverged has no record of its last step.
    diverged = runs["step"] < runs["steps"]
    succeeded = ~diverged
    for each in success:
        succeeded &= runs[each["observable"]] < each["below"]
    status = np.where(diverged, "diverged", "finished")
    return runs.assign(succeeded=succeeded, status=status)


def _width() -> Iterator[Statement]:
    runs = _width_runs()
    found = transitions.fit_transitions(runs, "network.width", list(_WIDTH_BY))
    rows = table("open_questions/width_transitions.csv")
    half = rows.column("x_half")
    for name in ("num_diverged", "x_half", "low", "high"):
        np.testing.assert_allclose(rows.column(name), found.table[name], rtol=1e-12)
    yield says("lies between {} and {} in all {} settings", min(half), max(half), len(half))
    # The exponents once more, by a fit of this file.
    known = np.log(np.array([rows.column(name) for name in _WIDTH_BY], dtype=float)).T
    fit, *_ = np.linalg.lstsq(
        np.column_stack([known, np.ones(len(half))]), np.log(half), rcond=None
    )
    np.testing.assert_allclose(fit[:3], found.exponents["exponent"], rtol=1e-9)
    laws = found.exponents[["exponent", "low", "high"]].to_numpy(dtype=float)
    for words, law in zip(("L^", "kappa^", "s^"), laws, strict=True):
        yield says(words + "{} ({} to {})", *map(float, law))
    diverged = sum(found.table["num_diverged"].to_list())
    yield says(
        "{} of the {} failures diverge", diverged, (~runs["succeeded"]).to_list().count(True)
    )

    file = sweep("open_width")
    problem, widths = file["problem"], file["network"]["width"]
    assert file["training"]["prescription"] == "theorem_2_3"
    yield says(
        "d = {}, m = {}, {} networks of width {} to {} with the theorem's own step size, weight "
        "decay (γ = 1/{})",
        problem["signal_dim"], problem["measurement_dim"], len(runs),
        widths[0], widths[-1], round(1 / file["training"]["gamma"]),
    )  # fmt: skip
    below = {each["observable"]: each["below"] for each in file["figure"][0]["success"]}
    yield says(
        "its regression error is below {} and its off-subspace error below {}.",
        below["regression_error"], below["off_subspace_error"],
    )  # fmt: skip
    ranges = [sorted(set(rows.column(name))) for name in _WIDTH_BY]
    yield says("κ = {} to {}, s = {} and {};",
               ranges[1][0], ranges[1][-1], *ranges[2])  # fmt: skip
    assert (ranges[0][0], ranges[0][-1]) == (2, 6)
    by_kappa = [median(rows.where(condition_number=k).column("x_half")) for k in ranges[1]]
    assert by_kappa[0] > 1.3 * by_kappa[1]
    assert abs(by_kappa[2] / by_kappa[1] - 1) < 0.1
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


def _rates(rows: Table, since: int, until: int, per_step: float) -> list[float]:
    """Return how fast each run's off-subspace error falls between two steps, over a rate."""
    recorded = sorted(set(rows.column("step")))
    start, end = (min(recorded, key=lambda s: abs(s - step)) for step in (since, until))
    first, last = (rows.where(step=s).by("seed", "off_subspace_error") for s in (start, end))
    return [log(first[seed] / last[seed]) / (end - start) / per_step for seed in first]


def _first_layer(file: dict[str, Any]) -> float:
    """Return the rate at which the first layer alone decays, a step."""
    return -log1p(-file["training"]["learning_rate"] * file["training"]["weight_decay"])


def _depth() -> Iterator[Statement]:
    rows, file = table("open_questions/depth.csv"), sweep("open_depth")
    alone, depths = _first_layer(file), file["network"]["depth"]
    early = [_interval(_rates(rows.where(depth=d), 100, 1000, alone)) for d in depths]
    yield says(
        "{} ({} to {}), {} ({} to {}), {} ({} to {}) and {} ({} to {}) for L = 2 to 5 between "
        "steps 100 and 1 000",
        *(x for found in early for x in found),
    )  # fmt: skip
    late = [median(_rates(rows.where(depth=d), 10_000, 20_000, alone)) for d in depths]
    yield says("to {}, {}, {} and {} between steps 10 000 and 20 000", *late)
    end = file["training"]["num_steps"]
    last = [median(_rates(rows.where(depth=d), 30_000, end, alone)) for d in depths]
    yield says("it is 1 for all ({} to {}).", min(last), max(last))

    def lead(step: int) -> float:
        two, five = (
            rows.where(depth=d, step=step).column("off_subspace_error") for d in (2, 5)
        )  # fmt: skip
        return median(five) / median(two)

    yield says(
        "a factor {} at step 2 933, {} at 9 885, and {} at the end",
        lead(2933), lead(9885), lead(end),
    )  # fmt: skip
    yield says("{} steps, {} runs, all certified",
               end, len(rows.where(step=end).rows))  # fmt: skip


def _training_noise() -> Iterator[Statement]:
    rows = table("open_questions/training_noise.csv")

    def off(noise: float, decay: float) -> tuple[float, float, float]:
        own = rows.where(measurement_noise=noise, weight_decay=decay)
        return _interval(own.column("off_subspace_error"))

    above = [off(noise, 0.0)[0] for noise in (0.03, 0.1, 0.3)]
    yield says(
        "ends at {} ({} to {}) for σ = 0.01 and at {} to {} above, in place of {} ({} to {}) "
        "without noise",
        *off(0.01, 0.0), min(above), max(above), *off(0.0, 0.0),
    )  # fmt: skip
    yield says("λ = 0.01 gives {} ({} to {}) at σ = 0.01 and {} ({} to {}), hardly",
               *off(0.01, 0.01), *off(0.1, 0.01))  # fmt: skip
    yield says("d_w = 64, {} runs", len(rows.rows))
    cost = [
        rows.where(measurement_noise=noise, weight_decay=0.0).median("test_error")
        for noise in (0.1, 0.3)
    ]
    yield says("costs {} % of the signal at σ = 0.1 and {} % at 0.3", *(100 * c for c in cost))


def _low_rank() -> Iterator[Statement]:
    rows = table("open_questions/nearly_low_rank.csv")

    def found(tail: float, decay: float, name: str) -> tuple[float, float, float]:
        return _interval(rows.where(tail_level=tail, weight_decay=decay).column(name))

    levels = sorted(set(rows.column("tail_level")))
    flat = [100 * found(tail, 0.01, "test_error")[0] for tail in levels]
    yield says("({} % to {} % for λ = 0.01 up to ε = {})", min(flat), max(flat), levels[-1])
    worst = found(levels[-1], 0.0, "test_error")
    yield says("rises to {} ({} to {}) only", worst[0], *(1e4 * x for x in worst[1:]))
    least, more = (found(tail, 0.01, "off_subspace_error") for tail in (1e-3, 1e-2))
    yield says(
        "it is {} ({} to {}) at ε = 0.001, {} ({} to {}) at 0.01",
        least[0], *(1e5 * x for x in least[1:]), more[0], *(1e3 * x for x in more[1:]),
    )  # fmt: skip
    yield says("reaches {} ({} to {}) at ε = 0.3", *found(0.3, 0.01, "off_subspace_error"))
    yield says("...; {} runs; test", len(rows.rows))
    yield from _jumps()


def _kept_above() -> float:
    """Return the least x² / λ for which (x − wx) x = λ w^(−1/3) has a solution w."""
    # x² (1 − w) w^(1/3) = λ: the left side is largest at w = 1/4.
    w = np.linspace(0.0, 1.0, 100_001)
    return 1 / float(np.max((1 - w) * np.cbrt(w)))


def _jumps() -> Iterator[Statement]:
    """State where a direction of the tail is learnt, by formula and by the error's jump."""
    least = _kept_above()
    yield says("exists for x² ≥ {} λ only): {} for λ = 0.01 and {} for λ = 10⁻³",
               least, sqrt(0.01 * least), sqrt(1e-3 * least))  # fmt: skip
    yield says("above some {} √λ,", About(sqrt(least)))
    rows = table("open_questions/nearly_low_rank.csv", weight_decay=1e-3)
    levels = sorted(level for level in set(rows.column("tail_level")) if level > 0)
    off = [rows.where(tail_level=level).median("off_subspace_error") for level in levels]
    steps = [after / before for before, after in pairwise(off)]
    at = int(np.argmax(steps))
    yield says("the jump lies between ε = {} and {}.", levels[at], levels[at + 1])


def _initialization() -> Iterator[Statement]:
    rows, file = table("open_questions/initialization.csv"), sweep("open_initialization")
    alone, end = _first_layer(file), file["training"]["num_steps"]
    decay = file["training"]["weight_decay"]
    kinds = file["network"]["initializer"]
    ends = rows.where(step=end)
    yield says("L = 2 and 4, {} runs", len(ends.rows))
    for depth, words in ((2, "({} λ for"), (4, ", {} λ for L = 4)")):
        own = {
            round(ends.where(initializer=k, depth=depth).median("regression_error") / decay, 1)
            for k in kinds
        }
        assert len(own) == 1
        yield says(words, own.pop())
    settings = [rows.where(initializer=k, depth=d) for k in kinds for d in (2, 4)]
    last = [median(_rates(own, 30_000, end, alone)) for own in settings]
    yield says("alone ({} to {} of it)", min(last), max(last))
    off = {
        (k, d, step): rows.where(initializer=k, depth=d, step=step).median("off_subspace_error")
        for k in kinds
        for d in (2, 4)
        for step in (0, end)
    }
    yield says(
        "begins at {} instead of {}",
        off["orthogonal", 2, 0], off["fan_in_normal", 2, 0],
    )  # fmt: skip
    ahead = [off[k, d, end] / off["orthogonal", d, end] for k in kinds[::2] for d in (2, 4)]
    yield says("by a factor of {} to {} at the end", min(ahead), max(ahead))
    four = [rows.where(initializer=k, depth=4) for k in kinds]
    yield says(
        "is {} ({} to {}), {} ({} to {}) and {} ({} to {}) times",
        *(x for own in four for x in _interval(_rates(own, 100, 1000, alone))),
    )


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


def _best_weight_decay() -> Iterator[Statement]:
    rows, file = table("open_questions/best_weight_decay.csv"), sweep("open_best_weight_decay")
    levels = file["record"]["noise_levels"]
    names = [f"noisy_test_errors_{1 + k}" for k in range(len(levels))]
    decays = sorted(set(rows.column("weight_decay")))
    medians = {
        (decay, level): rows.where(weight_decay=decay).median(name)
        for decay in decays
        for level, name in zip(levels, names, strict=True)
    }
    best = {level: min(decays, key=lambda d: medians[d, level]) for level in levels}
    yield says(
        "{} for σ up to 3·10⁻⁴, {} for 0.001 and 0.003, {} for 0.01 and 0.03, {} for 0.1, {} for "
        "0.3 (of the grid",
        *(best[level] for level in (3e-4, 1e-3, 0.01, 0.1, 0.3)),
    )
    for same in ((1e-4, 3e-4), (1e-3, 3e-3), (0.01, 0.03)):
        assert best[same[0]] == best[same[1]]
    agree = [
        sum(
            min(decays, key=lambda d: rows.one(name, weight_decay=d, seed=seed)) == best[level]
            for seed in set(rows.column("seed"))
        )
        for level, name in zip(levels, names, strict=True)
    ]
    yield says(
        "the same in {} to {} of the {} seeds", min(agree), max(agree), file["sweep"]["seeds"]
    )
    m, d, s = (file["problem"][f"{n}_dim"] for n in ("measurement", "signal", "subspace"))
    yield says("below the oracle, {} σ at σ = 0.3", medians[best[0.3], 0.3] / 0.3)
    yield says(
        "({} σ at σ = 0.003; the oracle {} σ, a network that is not trained off the subspace {} σ)",
        medians[best[0.003], 0.003] / 0.003,
        formulas.oracle_noise(1.0, m, s), formulas.noise_without_decay(1.0, m, d, s),
    )  # fmt: skip
    training = file["training"]
    end, scale = training["num_steps"], training["data_fit_scale"]
    yield says("{} steps, each network", end)
    yield says("levels; {} runs", len(rows.rows))
    yield says("whose plateau, {} λ,", formulas.plateau(1.0, m, s, 3, data_fit_scale=scale))
    yield says("the oracle lets through, {} σ,", formulas.oracle_noise(1.0, m, s))
    yield says("ηλT of {} (λ = 10⁻⁴)", training["learning_rate"] * 1e-4 * end)
    lost = [rows.where(weight_decay=x).median("regression_error") for x in decays if x > 0.03]
    kept = 1 / _kept_above()
    yield says(
        "(error {} to {}), as (d) predicts for c = 1/16: a singular value of 1 is kept for "
        "λ/c < {}, so for λ < {}.",
        min(lost), max(lost), kept, kept * scale,
    )  # fmt: skip
    yield from _more_steps(rows, levels, names)


def _more_steps(few: Table, levels: Sequence[float], names: Sequence[str]) -> Iterator[Statement]:
    """State what a hundred times as many steps change."""
    rows = table("open_questions/best_weight_decay_long.csv")
    seeds, (end,) = sorted(set(rows.column("seed"))), set(rows.column("step"))
    training = sweep("open_best_weight_decay")["training"]
    assert end == 100 * training["num_steps"] == 10**7
    assert len(seeds) == 10
    decays = sorted(set(rows.column("weight_decay")))
    yield says("from 10⁻⁷ to 10⁻³; {} runs", len(rows.rows))
    assert (len(decays), decays[0], decays[-1]) == (9, 1e-7, 1e-3)

    def amplified(of: Table, decay: float, k: int) -> float:
        found = [
            row[names[k]] / levels[k]
            for row in of.where(weight_decay=decay).rows
            if row["seed"] in seeds
        ]
        assert len(found) == len(seeds)
        return median(found)

    best = [min(decays, key=lambda d, k=k: amplified(rows, d, k)) for k in range(len(levels))]
    assert best[0] == best[1] == best[2]
    assert best[6] == best[7] == decays[-1]
    yield says(
        "The best is {} for σ up to 0.001, {} for 0.003, {} for 0.01, {} for 0.03 and the largest "
        "of these, {}, above",
        *best[2:7],
    )
    reached = [amplified(rows, decay, k) for k, decay in enumerate(best)]
    yield says("must be about {};", training["learning_rate"] * best[0] * end)
    yield says("amplified {} to {} times at all levels", min(reached), max(reached))
    least = min(amplified(few, decay, 0) for decay in set(few.column("weight_decay")))
    yield says("{} steps leave {} at σ = 10⁻⁴", training["num_steps"], least)
    both = amplified(few, 1e-5, 0), amplified(rows, 1e-7, 0)
    for each in both:
        yield says("it is amplified {} times for ηλT = {} after either", each,
                   training["learning_rate"] * 1e-7 * end)  # fmt: skip


PARTS = [
    Part(FILE, "", _head),
    Part(
        FILE,
        "(a) Does depth speed up the decay of the off-subspace error, and when?",
        _depth,
        settings=(
            "(c = 1/16, d_w = 1000), λ = 10⁻³",
            "certified at 10⁻⁴",
            "From step 20 to some 3 000 (ηλt of 0.3)",
            "W_{L:2}",
            "from 30 000 on",
            "--at 20000 --at 30000 --at 100000",
        ),
    ),
    Part(
        FILE,
        "(b) How wide is wide enough?",
        _width,
        settings=(
            "κ matters between 1 and 2, hardly between 2 and 4",
            "--success 'off_subspace_error < 0.1' --by",
            "--digits 3 --csv",
        ),
    ),
    Part(
        FILE,
        "(c) Noise in the training measurements",
        _training_noise,
        settings=("d = 32, m = 16, s = 2, L = 3, d_w = 64", "than without, at σ = 0.1"),
    ),
    Part(
        FILE,
        "(d) Data that are only nearly of low rank",
        _low_rank,
        settings=(
            "k = 1, 2, ...;",
            "For λ = 0.01 it",
            "with σ(A) about 1 the",
            "(x − wx)x = λ w^(−1/3)",
            "for λ = 0.01 and",
            "for λ = 10⁻³",
        ),
    ),
    Part(
        FILE,
        "(e) Orthogonal and balanced initial weights",
        _initialization,
        settings=("certified at 10⁻⁴", "of width 1000", "Between steps 100 and 1 000", "of L = 4"),
    ),
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
    Part(
        FILE,
        "(h) The test error against the weight decay and the noise: the best weight decay",
        _best_weight_decay,
        settings=(
            "(L = 3, c = 1/16), nine weight decays from 10⁻⁵ to 10⁻¹",
            "certified at 10⁻³",
            "From λ = 0.03 on",
            "10⁷ steps, nine weight decays",
            "{from=1e-7,to=1e-3,count=9,",
            "after 10 000 000 steps'",
            "below it: at σ = 10⁻⁴",
            "with a λ of 10⁻⁵ and of 10⁻⁷",
        ),
    ),
]
