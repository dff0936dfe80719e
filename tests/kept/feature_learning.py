"""results/kept/feature_learning/README.md."""

from __future__ import annotations

from collections.abc import Iterator
from math import log, log10
from statistics import fmean, median

import numpy as np

from kept.numbers import About, AtLeast, AtMost
from kept.plans import planned
from kept.sparse_solutions import table as solved
from kept.tables import Table, sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/feature_learning/README.md"
FOLDER = "feature_learning"


def _certified() -> Iterator[Statement]:
    rows, file = table(f"{FOLDER}/sparse_solutions.csv"), sweep("sparse_recovery")
    assert rows.column("seed") == list(range(file["sweep"]["seeds"]))
    assert file["sweep"]["seeds"] == sweep("sparse_recovery_rates")["sweep"]["seeds"]
    assert file["problem"] == sweep("sparse_recovery_rates")["problem"]
    # One seed anew: a linear program has the same solution on any machine, up to rounding.
    again = solved([0]).iloc[0]
    for name in ("least_singular_value", "certificate_elsewhere", "l1_norm", "l2_test_error"):
        assert abs(again[name] - rows.one(name, seed=0)) < 1e-6 * again[name]
    # Independent columns, and signs on them: rounding of sums of 20 terms.
    assert min(rows.column("least_singular_value")) > 1
    assert max(rows.column("certificate_on_support")) < 1e-13
    yield says(
        "for each of the {} seeds linear programming gives the true β as the least ℓ₁ solution, "
        "to {}, and a dual vector shows that it is the only one ({} or less off",
        len(rows.rows), AtMost(max(rows.column("l1_test_error"))),
        max(rows.column("certificate_elsewhere")),
    )  # fmt: skip
    apart = rows.column("l2_test_error")
    yield says("are {} apart (median; {} to {})", median(apart), min(apart), max(apart))


def _scales() -> Iterator[Statement]:
    rows, file = table(f"{FOLDER}/sparse_recovery.csv"), sweep("sparse_recovery")
    runs, steps, _ = planned("sparse_recovery")
    problem = file["problem"]
    yield says(
        "{} runs of {} steps, β = u∘u − v∘v from {} samples of {} inputs of which {} matter",
        runs, steps, problem["num_samples"], problem["measurement_dim"], problem["sparsity"],
    )  # fmt: skip
    scales = file["network"]["layer_init_scale"]

    def ends(observable: str, batch: int, noise: float) -> list[float]:
        own = rows.where(minibatch_size=batch, label_noise=noise)
        found = own.by("layer_init_scale", f"{observable}_median")
        return [found[scale] for scale in scales]

    cells = " | ".join(["{}"] * len(scales))
    yield says(f"| | α = {cells} |", *scales)
    noise = file["training"]["label_noise"][1]
    gradient, single = ends("test_error", 0, 0.0), ends("test_error", 1, 0.0)
    assert all(b < a * 1.001 for a, b in zip(gradient, single, strict=True))
    noisy, noisier = ends("test_error", 0, noise), ends("test_error", 1, noise)
    yield says(f"| to the least ℓ₁, gradient descent | {cells} |", *gradient)
    yield says(f"| single samples | {cells} |", *single)
    yield says(f"| gradient descent, label noise | {cells} |", *noisy)
    yield says(f"| single samples, label noise | {cells} |", *noisier)
    distances = ends("least_norm_distance", 0, 0.0)
    yield says(f"| to the least ℓ₂, gradient descent | {cells} |", *distances)
    left = [ends("regression_error", batch, 0.0)[i] for batch in (0, 1) for i in (0, 1)]
    yield says("(train errors of {} to {})", min(left), max(left))
    yield says("(standard deviation {}, fresh", noise)
    assert np.ptp(noisier[:4]) < 1e-6
    yield says("all α up to 0.1 end at the same {}, from", noisier[0])
    yield says("up to 1e-2 at some {}.", About(fmean(noisy[:3])))
    yield says(
        "train errors of {} and {}, as",
        ends("regression_error", 0, noise)[0], ends("regression_error", 1, noise)[0],
    )  # fmt: skip
    lost = sum(rows.column("num_diverged"))
    assert lost == sum(rows.where(minibatch_size=1, label_noise=noise).column("num_diverged"))
    yield says("{} runs diverged, all by single", lost)


def _rates() -> Iterator[Statement]:
    rows = table(f"{FOLDER}/sparse_recovery_rates.csv")
    runs, steps, _ = planned("sparse_recovery_rates")
    scale = sweep("sparse_recovery_rates")["network"]["layer_init_scale"]
    yield says("({} runs of {} steps at α = {})", runs, steps, scale)
    rates = sorted(set(rows.column("learning_rate")))
    chosen = [rates[i] for i in (0, 6, 7, 8, 10, 11, 12)]
    cells = " | ".join(["{}"] * len(chosen))
    yield says(f"| | η = {cells} |", *chosen)
    every, one = (rows.where(minibatch_size=size) for size in (0, 1))
    found, lost = (every.by("learning_rate", n) for n in ("test_error_median", "num_diverged"))
    yield says(
        f"| gradient descent | {cells} ({{}} of {{}} diverged) |",
        *(found[rate] for rate in chosen), lost[rates[-1]], every.column("num_runs")[0],
    )  # fmt: skip
    assert not any(lost[rate] for rate in rates[:-1])
    found, lost = (one.by("learning_rate", n) for n in ("test_error_median", "num_diverged"))
    yield says(
        "| single samples | {} | {} | {} | {} ({} of {} diverged) | all diverged | | |",
        *(found[rate] for rate in chosen[:4]), lost[chosen[3]], one.column("num_runs")[0],
    )  # fmt: skip
    assert not any(lost[rate] for rate in rates[:8])
    assert all(lost[rate] == one.column("num_runs")[0] for rate in rates[9:])
    end = every.one("regression_error_median", learning_rate=rates[-1])
    yield says("their train error is {}. Tables", end)
    rows = table(f"{FOLDER}/sparse_solutions.csv")
    yield says("the least ℓ₂ solution's {} or near it", median(rows.column("l2_test_error")))


def _sparse() -> Iterator[Statement]:
    yield from _certified()
    yield from _scales()
    yield from _rates()


def _exponents(rows: Table, depth: int) -> list[float]:
    """Return the exponent of the largest rate in the richness, seed by seed."""
    found = []
    for seed in sorted(set(rows.column("seed"))):
        own = rows.where(depth=depth, seed=seed).by("richness", "largest_rate")
        richness, largest = np.log(list(own)), [log(rate) for rate in own.values()]
        found.append(float(np.polyfit(richness, largest, 1)[0]))
    return found


def _lazy_rich() -> Iterator[Statement]:
    rows, file = table(f"{FOLDER}/lazy_rich.csv"), sweep("lazy_rich")
    runs, steps, _ = planned("lazy_rich")
    yield says(
        "{} runs of {} steps, ReLU networks of width {} in",
        runs, steps, file["network"]["width"],
    )  # fmt: skip
    yield says("{} samples of a ReLU teacher", file["problem"]["num_samples"])
    level = file["figure"][0]["success"]["below"]
    assert all(figure["success"]["below"] == level for figure in file["figure"])
    yield says("ends below an error of {};", level)
    yield says("mean of {} seeds", file["sweep"]["seeds"])
    grids = (file["network"]["richness"], file["training"]["learning_rate"])
    decades = [round(log10(grid["to"] / grid["from"])) for grid in grids]
    assert decades == [6, 12]
    yield says("γ over six decades, η over twelve")
    assert (grids[1]["count"] - 1) / decades[1] == 4
    yield says("four rates a decade")
    richness = sorted(set(rows.column("richness")))
    lazy = rows.where(richness=[g for g in richness if g < 0.11])
    rich = rows.where(richness=[g for g in richness if g > 9.9])
    for words, own, published in (("γ ≤ 0.1", lazy, "2"), ("γ ≥ 10", rich, "")):
        values: list[float] = []
        for depth in (2, 3):
            found = _exponents(own, depth)
            mean = fmean(found)
            values += [mean, min(found), max(found), mean + 2]
        ends = (published or "1", published or "2/3")
        cells = [f"{{}} ({{}} to {{}}) | {{}} | {end} |" for end in ends]
        yield says(f"| {words} | {cells[0]} {cells[1]}", *values)
    yield from _linear_edge(rows, file["problem"]["num_samples"])


def _linear_edge(rates: Table, num_samples: int) -> Iterator[Statement]:
    """What a linearized network's edge, 2 n over the kernel's largest eigenvalue, leaves to say."""
    rising = table(f"{FOLDER}/lazy_rich_rising.csv")
    assert [r["seed"] for r in rising.rows] == rates.column("seed")
    found: dict[float, list[bool]] = {}
    below, above, trains = [], [], {2: list[float](), 3: list[float]()}
    for row, own in zip(rising.rows, rates.rows, strict=True):
        richness, depth = row["network.richness"], row["network.depth"]
        assert (richness, depth) == (own["network.richness"], own["network.depth"])
        edge = 2 * num_samples / row["kernel_eigenvalue"]
        under, over = row["largest_quiet_rate"] / edge, row["least_rising_rate"] / edge
        found.setdefault(richness, []).append(under < 1 <= over)
        if richness < 0.011:
            below.append(under)
            above.append(over)
            trains[depth].append(own["largest_rate"] / edge)
    sure = [right for richness, each in found.items() if richness < 0.011 for right in each]
    assert all(sure)
    yield says(
        "For γ ≤ 0.01 all {} edges, of {} seeds, {} depths and {} γ,", len(sure),
        len(set(rising.column("seed"))), len(trains), len([g for g in found if g < 0.011]),
    )  # fmt: skip
    yield says("as near as {} and {} of it", max(below), min(above))
    yield says("At γ = 0.1 {} of {} do", sum(found[0.1]), len(found[0.1]))
    yield says("far from linear, {}.", sum(found[1]))
    yield says(
        "train, up to {} to {} times 2n/λ₁ at depth 2 and {} to {} times at depth 3",
        *(end for each in trains.values() for end in (min(each), max(each))),
    )  # fmt: skip


def _get_rich_quick() -> Iterator[Statement]:
    rows, file = table(f"{FOLDER}/get_rich_quick.csv"), sweep("get_rich_quick")
    runs, steps, _ = planned("get_rich_quick")
    assert set(rows.column("num_runs")) == {file["sweep"]["seeds"]} == {10}
    assert not any(rows.column("num_diverged"))
    problem, network = file["problem"], file["network"]
    yield says("{} runs of {} steps, ten seeds", runs, steps)
    yield says(
        "{} samples of {} inputs of norm 1", problem["num_samples"], problem["measurement_dim"]
    )
    assert problem["num_teacher_neurons"] == 3
    assert problem["inputs"] == "sphere"
    yield says("The student has {}, whose", network["width"])
    products = {
        round(rate * scale**2, 12)
        for scale, rate in zip(
            rows.column("layer_init_scale"), rows.column("learning_rate"), strict=True
        )
    }
    (product,) = products
    yield says("s the scale; η = {}/s²", product)
    yield says("(medians of the final loss: {} or less)", AtMost(max(rows.column("loss_median"))))
    scales, imbalances = (sorted(set(rows.column(k))) for k in ("layer_init_scale", "imbalance"))
    small, middle, large = scales[0], scales[6], scales[-1]
    cells = [(small, d) for d in (-1, -0.25, 0, 1)] + [(middle, d) for d in (-1, 1)]
    yield says("| | s = {}, δ = −1 | −0.25 | 0 | 1 | s = {}, δ", small, middle)

    def found(name: str, scale: float, imbalance: float) -> float:
        return rows.one(f"{name}_median", layer_init_scale=scale, imbalance=imbalance)

    holes = " | ".join(["{}"] * len(cells))
    for words, name in (
        ("activation distance", "activation_distance"), ("kernel distance", "kernel_distance"),
        ("distance of the parameters", "parameter_distance"), ("test loss", "test_loss"),
    ):  # fmt: skip
        yield says(f"| {words} | {holes} |", *(found(name, *cell) for cell in cells))
    share = [100 * found("activation_distance", small, d) for d in (1, -1)]
    yield says("change {} % of their activation patterns; those of δ = −1 change {} %", *share)
    best = max(found("test_loss", small, d) for d in imbalances[4:])
    others = [(small, d) for d in imbalances[:4]] + [(s, d) for s in scales[1:] for d in imbalances]
    assert imbalances[4] == 0
    assert all(found("test_loss", *cell) > best for cell in others)
    moved = [found("parameter_distance", small, d) for d in imbalances]
    assert moved == sorted(moved, reverse=True)
    kernel = {d: found("kernel_distance", small, d) for d in imbalances}
    assert max(kernel, key=lambda d: kernel[d]) == -0.25
    for d in imbalances[4:]:
        falling = [found("kernel_distance", s, d) for s in scales]
        assert falling == sorted(falling, reverse=True)
    yield says(
        "from {} at s = {} to {} and more at s = {}.",
        max(found("kernel_distance", large, d) for d in imbalances[4:]), large,
        AtLeast(min(kernel[d] for d in imbalances[4:])), small,
    )  # fmt: skip
    yield from _in_float32(steps)


def _in_float32(steps: int) -> Iterator[Statement]:
    rows = table(f"{FOLDER}/get_rich_quick_precision.csv")
    scales, imbalances, seeds = (
        sorted(set(rows.column(key))) for key in ("layer_init_scale", "imbalance", "seed")
    )
    assert (imbalances, seeds) == ([-1, 0, 1], [0, 1])
    yield says("Of {} runs of {} steps on", len(rows.rows), steps)
    yield says("(scales {}, {} and {}, δ", *scales)
    names = ("kernel_distance", "activation_distance", "test_loss")
    fine, coarse = (
        {name: np.array(rows.column(f"{name}_{precision}")) for name in names}
        for precision in ("float64", "float32")
    )
    changes = [100 * np.max(np.abs(coarse[name] / fine[name] - 1)) for name in names]
    yield says(
        "kernel distances by at most {} %, activation\ndistances by {} % and test losses by {} %",
        *changes,
    )
    # Rows come seed by seed.
    assert rows.column("seed") == seeds * (len(rows.rows) // 2)
    apart = [
        100 * np.median(np.abs(np.diff(fine[name].reshape(-1, 2))[:, 0] / fine[name][::2]))
        for name in names[:2]
    ]
    yield says("a median of {} % and {} % apart", *apart)
    times = table("speed/tangent_kernel.csv", samples=1000)
    hours = [times.one("hours", precision=each) for each in ("float32", "float64")]
    yield says("all cells would take {} hours in float32 and {} in float64", *hours)
    yield from _whole(steps)


def _whole(steps: int) -> Iterator[Statement]:
    took = table(f"{FOLDER}/get_rich_quick_times.csv").rows[0]
    rows = table(f"{FOLDER}/get_rich_quick_whole.csv")
    assert len(rows.rows) == 17**2
    assert (set(rows.column("num_runs")), set(rows.column("num_diverged"))) == ({16}, {0})
    assert took["runs"] == 16 * len(rows.rows)
    assert took["run_steps"] == took["runs"] * steps
    yield says("All {} runs kept two workers", took["runs"])
    yield says("busy for {} seconds together", took["seconds"])
    yield says("so that they took {} hours of two cores", took["seconds"] / 2 / 3600)
    scales, imbalances = (sorted(set(rows.column(k))) for k in ("layer_init_scale", "imbalance"))
    small = scales[0]

    def found(name: str, scale: float, imbalance: float) -> float:
        return rows.one(f"{name}_median", layer_init_scale=scale, imbalance=imbalance)

    yield says("fit (to medians of {} or less)", AtMost(max(rows.column("loss_median"))))
    yield says(
        "at s = {} networks of δ = 1 change {} % of their activation patterns, those of\nδ = −1 "
        "change {} %",
        small, *(100 * found("activation_distance", small, d) for d in (1, -1)),
    )  # fmt: skip
    best = [found("test_loss", small, d) for d in imbalances if d > 0]
    assert sorted(rows.column("test_loss_median"))[: len(best)] == sorted(best)
    yield says("of all cells, to a test loss of {} to {}.", min(best), max(best))
    kernel = {s: {d: found("kernel_distance", s, d) for d in imbalances} for s in scales}
    at = [max(kernel[s], key=lambda d, s=s: kernel[s][d]) for s in scales]
    yield says(
        "furthest at δ = −{}, by {};", -at[0], max(max(each.values()) for each in kernel.values())
    )
    turn = next(i for i, d in enumerate(at) if d > 0)
    assert at[:turn] == sorted(at[:turn], reverse=True)
    assert all(d > 0 for d in at[turn:])
    yield says("until from s = {} on it is a positive one", scales[turn])
    spread = [max(each.values()) / min(each.values()) for each in kernel.values()]
    assert spread[11:] == sorted(spread[11:], reverse=True)
    yield says("and from s = {} on δ changes the distance by a factor of at most {}.",
               scales[12], AtMost(spread[12]))  # fmt: skip


PARTS = [
    Part(
        FILE,
        "Sparse recovery by diagonal linear networks (arXiv:2002.09277, arXiv:2302.08982)",
        _sparse,
        settings=(
            "where below 1 is",
            "At α = 1e-3 and below",
            "those distances are of 30 000 steps",
            "all α up to 0.1",
            "up to 1e-2",
            "At α = 1 and 3 rates",
        ),
    ),
    Part(
        FILE,
        "Lazy and rich learning rates (arXiv:2410.04642)",
        _lazy_rich,
        settings=(
            "depth 2](lazy",
            "η ∝ γ² for γ ≪ 1 and η ∝ γ^{2/L} for γ ≫ 1",
            "exponents are ours and 2:",
            "γ^{1/L} each, whose curvature is γ^{−2/L}",
            "an error of 1 or above",
            "(1/2n) ‖f − y‖²",
            "at step 0; from η = 2n/λ₁ on",
            "errors are above 10⁻¹²",
            "last rate below 2n/λ₁",
            "at γ = 1, far",
            "at depth 3 (γ ≤ 0.01)",
        ),
    ),
    Part(
        FILE,
        "Get rich quick: scale and imbalance (arXiv:2406.06158)",
        _get_rich_quick,
        settings=(
            "1 000 samples of 100 inputs, 17 × 17 cells of 16 seeds",
            "on 1 000 samples of 100 inputs",
            "δ of −1, 0 and 1, two",
            "problem.num_samples=1000 --set problem.measurement_dim=100",
            "record.num_test_samples=10000",
            "sweep.seeds=16",
            "network.imbalance={from=-1,to=1,count=17}",
            "{from=0.1,to=1.9952623149688795,count=17,",
            "{from=1,to=0.0025118864315095794,count=17,",
            "of norm 1 and",
            "δ = −1 | −0.25 | 0 | 1 |",
            "δ = −1 | 1 |",
            "networks of δ = 1,",
            "those of δ = −1",
            "at δ = −0.25",
            "From δ = 0 on",
            "networks of δ = 0 and",
        ),
    ),
]
