"""results/kept/asking/README.md."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from statistics import median

import numpy as np
from scipy.stats import binomtest

from dlnsweep.analysis import transitions
from dlnsweep.analysis.sequential import looks, ranks
from dlnsweep.settings.until import Until
from kept import coverage, sequential
from kept.asking import ERRORS, SAMPLED
from kept.limits import BELOW
from kept.plans import planned
from kept.scripts import script
from kept.tables import sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/asking/README.md"
refined = script("refined")


def _boundary() -> Iterator[Statement]:
    rows, file = table("asking/stability_boundary.csv"), sweep("stability_boundary")
    depths, seeds = file["network"]["depth"], file["sweep"]["seeds"]
    rates, refine = file["training"]["learning_rate"], file["sweep"]["refine"]
    assert rows.column("network.depth") == depths
    yield says(
        "deep linear networks of {} depths, {} seeds, {} steps.",
        len(depths), seeds, file["training"]["num_steps"],
    )  # fmt: skip
    (values,) = {*rows.column("num_values")}
    yield says(
        "The file names {} learning rates from {} to {}; rounds of {} values in each depth end "
        "with {} values, {} runs in all,",
        rates["count"], rates["from"], rates["to"], 3, values, values * len(depths) * seeds,
    )  # fmt: skip
    grid = 1 + math.ceil(math.log(rates["to"] / rates["from"]) / -math.log1p(-refine["tolerance"]))
    yield says("has {} values in each depth: {} % of its runs.", grid, 100 * values / grid)
    low, high = (rows.by("network.depth", name) for name in ("low", "high"))
    cells = [number for depth in depths for number in (depth, low[depth], high[depth])]
    yield says(" ".join(["| {} | {} | {} |"] * len(depths)), *cells)
    for name, passes in (("share_low", True), ("share_high", False)):
        assert all((share >= 0.5) == passes for share in rows.column(name))
    width = max((high[depth] - low[depth]) / high[depth] for depth in depths)
    yield says("The two ends are within {} % of each other", 100 * width)
    middle = [math.log(low[depth] * high[depth]) / 2 for depth in depths]
    slope = np.polyfit(np.log(depths), middle, 1)[0]
    yield says("to the power of {}, a fit", float(slope))


def _rounds() -> Iterator[Statement]:
    found = table("asking/coverage.csv")
    (repeats,) = {*found.column("repeats")}
    names = ("law", "spread", "seeds", "covered", "median_ratio")
    cells = list(zip(*map(found.column, names), strict=True))
    assert (repeats, [cell[:3] for cell in cells]) == (coverage.REPEATS, coverage.SETTINGS)
    yield says("How often the {} % interval", 100 * transitions.LEVEL)
    yield says("holds the truth, in {} simulated sweeps each", repeats)
    rows = " ".join(f"| {law} | {{}} | {{}} | {{}} | {{}} |" for law, *_ in cells)
    numbers = itertools.chain.from_iterable(cell[1:] for cell in cells)
    yield says(f"in the median | |---|---|---|---|---| {rows}", *numbers)
    called = round(transitions.LEVEL * repeats)
    assert min(found.column("covered")) >= called
    yield says("{} of {} are called for", called, repeats)
    rounds = [row for row in found.rows if row["law"] != coverage.CHANCE]
    assert {row["brackets_right"] for row in rounds} == {repeats}
    yield says("with {} values at most", max(row["most_values"] for row in rounds))
    costs = table("asking/planning.csv")
    runs = costs.column("runs")
    combinations = refined.DEPTHS * refined.DECAYS
    yield says(
        "the rounds end with {} runs ({} combinations, {} seeds)",
        runs[-1], combinations, refined.SEEDS,
    )  # fmt: skip
    cells = list(zip(*map(costs.column, ("round", "runs", "look", "prepare")), strict=True))
    assert all(look + prepare < 1 for _, _, look, prepare in cells)
    rows = " ".join(["| {} | {} | {} | {} |"] * len(cells))
    yield says(f"plan and write the next | |---|---|---|---| {rows}", *itertools.chain(*cells))


def _limit() -> Iterator[Statement]:
    rows, file = table("asking/stability_limit.csv"), sweep("stability_limit")
    depths, rates = file["network"]["depth"], file["training"]["learning_rate"]
    rows_of, columns_of = (file["problem"][f"num_{name}"] for name in ("rows", "columns"))
    yield says(
        "products of {} to {} matrices that approximate a {} × {} matrix, {} learning rates from "
        "{} to {}, {} seeds begun near it, {} steps.",
        min(depths), max(depths), rows_of, columns_of, rates["count"], rates["from"], rates["to"],
        file["sweep"]["seeds"], file["training"]["num_steps"],
    )  # fmt: skip
    names = ("depth", "learning_rate", "runs", "converged", "finished")
    cells = list(zip(*map(rows.column, names), strict=True))
    assert sum(runs for _, _, runs, _, _ in cells) == planned("stability_limit")[0]
    below = [cell for cell in cells if cell[1] < flattest(cell[0])]
    beyond = [cell for cell in cells if cell[1] > flattest(cell[0])]
    assert len(below) + len(beyond) == len(cells)
    assert all(converged == runs for _, _, runs, converged, _ in below)
    assert not any(converged for _, _, _, converged, _ in beyond)
    assert file["figure"][0]["success"]["below"] == BELOW
    count, other = (sum(cell[2] for cell in some) for some in (below, beyond))
    yield says(
        "All {} runs with smaller rates end with a loss below {}, and none of the {} with", count,
        BELOW, other,
    )  # fmt: skip
    assert not any(cell[4] for cell in beyond if cell[0] == 1)
    deep = [cell for cell in beyond if cell[0] > 1]
    left = sum(cell[4] for cell in deep)
    yield says(
        "of the {} runs of several layers beyond the line {} stay bounded",
        sum(cell[2] for cell in deep), left,
    )  # fmt: skip
    known = sorted({*rows.column("learning_rate")})
    yield says("a factor of {} apart.", known[1] / known[0])


def flattest(depth: int) -> float:
    """Return 2 over the sharpness of the flattest minimiser."""
    return 2 / depth


def _points() -> Iterator[Statement]:
    rows, file = table("asking/random_points.csv"), sweep("random_points")
    limit = sweep("stability_limit")
    for section in ("problem", "record"):
        assert file[section] == limit[section]
    depths, rates = file["network"]["depth"], file["training"]["learning_rate"]
    count = file["sweep"]["samples"]
    assert (len(rows.rows), planned("random_points")[0]) == (count, count)
    yield says("{} points drawn at random, independent of each other,", count)
    yield says(
        "a depth from {} to {}, a learning rate from {} to {}, one seed each, {} steps",
        depths["from"], depths["to"], rates["from"], rates["to"], file["training"]["num_steps"],
    )  # fmt: skip
    known = range(depths["from"], depths["to"] + 1)
    derived = sum(math.log(flattest(depth) / rates["from"]) for depth in known)
    derived /= len(known) * math.log(rates["to"] / rates["from"])
    yield says("{} % of the range lies below `2/L`", 100 * derived)
    converged = sum(rows.column("converged"))
    ends = binomtest(converged, count).proportion_ci(0.95, method="exact")
    assert ends.low < derived < ends.high
    yield says(
        "{} points converge, {} % (95 % interval of Clopper and Pearson: {} to {} %)",
        converged, 100 * converged / count, 100 * ends.low, 100 * ends.high,
    )  # fmt: skip
    below = [row["learning_rate"] < flattest(row["depth"]) for row in rows.rows]
    wrong = [row for row, low in zip(rows.rows, below, strict=True) if low != row["converged"]]
    assert not wrong
    beyond = [row for row, low in zip(rows.rows, below, strict=True) if not low]
    yield says(
        "of the {} beyond it {} stay bounded", len(beyond), sum(row["finished"] for row in beyond)
    )


def _samples() -> Iterator[Statement]:
    rows, file = table("asking/random_search.csv"), sweep("random_search")
    count, steps = file["sweep"]["samples"], file["training"]["num_steps"]
    assert len(rows.rows) == count
    assert planned("random_search")[0] == count * file["sweep"]["seeds"]
    ranges = [file["network" if key == "layer_init_scale" else "training"][key] for key in SAMPLED]
    ends = [each[end] for each in ranges for end in ("from", "to")]
    yield says("{} points of a Sobol sequence", count)
    yield says(
        "initial layers ({} to {}), the learning rate ({} to {}) and the weight decay ({} to {}), "
        "{} seeds each, {} steps;",
        *ends, file["sweep"]["seeds"], steps,
    )  # fmt: skip
    columns = {name: np.array(rows.column(name)) for name in (*SAMPLED, *ERRORS)}
    ranks = {name: column.argsort().argsort() for name, column in columns.items()}
    for words, error in zip(("regression error", "off-subspace error"), ERRORS, strict=True):
        found = [float(np.corrcoef(ranks[error], ranks[key])[0, 1]) for key in SAMPLED]
        yield says(f"| {words} | {{}} | {{}} | {{}} |", *found)
    over = columns["regression_error"] / columns["weight_decay"]
    yield says("The regression error is {} times the weight decay", median(over.tolist()))
    decayed = columns["learning_rate"] * columns["weight_decay"] * steps
    late = decayed > 1
    size = np.log(columns["off_subspace_error"] / columns["layer_init_scale"])
    slope = float(np.polyfit(decayed[late], size[late], 1)[0])
    yield says(
        "over the {} points with ηλT above {} the logarithm falls with a slope of {} in ηλT "
        "(derived: {})",
        int(late.sum()), 1, slope, -1,
    )  # fmt: skip
    yield says("which shrinks it by {} − ηλ a step", 1)
    rates = columns["learning_rate"]
    bins = np.array_split(rates.argsort(), 8)
    logs = [np.array([np.log(columns[error][part]).mean() for part in bins]) for error in ERRORS]
    fall = -float(np.polyfit([rates[part].mean() for part in bins], logs[1], 1)[0])
    yield says(
        "by {} a unit of the learning rate; fitted to the means of {} bins it falls by {}.",
        steps * float(columns["weight_decay"].mean()), len(bins), fall,
    )  # fmt: skip
    apart = 100 * math.expm1(float(np.ptp(logs[0])))
    yield says("the {} means differ by {} %.", len(bins), apart)


def _seeds() -> Iterator[Statement]:
    rows, file = table("asking/enough_seeds.csv"), sweep("enough_seeds")
    until, first = file["sweep"]["until"], file["sweep"]["seeds"]
    depths, decays = file["network"]["depth"], file["training"]["weight_decay"]
    yield says(
        "networks of {} depths with {} weight decays, {} steps.",
        len(depths), len(decays), file["training"]["num_steps"],
    )  # fmt: skip
    yield says(
        "within an interval of {} of its size, from {} seeds to {} at most.",
        until["width"], first, until["most_seeds"],
    )  # fmt: skip
    seeds = rows.column("num_seeds")
    assert {*rows.column("ended")} == {"narrow"}
    for low, high, value in zip(*map(rows.column, ("low", "high", "estimate")), strict=True):
        assert high - low <= until["width"] * value
    yield says(
        "All {} intervals are so narrow after {} to {} seeds, {} runs in all, where the most that "
        "each might take would be {}, and as many for all as the one that needs most {}.",
        len(seeds), min(seeds), max(seeds), sum(seeds), len(seeds) * until["most_seeds"],
        len(seeds) * max(seeds),
    )  # fmt: skip
    sizes = looks(sequential.FIRST, sequential.MOST, Until(width=1.0, most_seeds=2).growth)
    yield says(
        "in {} simulated sweeps each of {} to {} seeds, looked at {} times, at a stated {} %:",
        sequential.SWEEPS, sizes[0], sizes[-1], len(sizes), 5,
    )  # fmt: skip
    found = table("asking/sequential.csv")
    for row in found.rows:
        numbers = [float(each) for each in re.findall(r"[\d.]+", row["of"])]
        start = re.sub(r"[\d.]+", "{}", f"| {row['estimated']} | {row['of']} |")
        misses = [row[f"missed_{when}"] for when in ("at_stop", "at_any_look", "by_peeking")]
        yield says(f"{start} {{}} | {{}} | {{}} |", *numbers, *misses)
    # What is spent of each side by whole ranks, of all runs and of those where 30 % diverged.
    chances = [
        100 * 2 * _chance_of_a_miss([int(share * n) for n in sizes], sizes) for share in (1, 0.7)
    ]
    yield says("is {} % to {} %, computed exactly", min(chances), max(chances))
    most = max(found.where(estimated="median").column("missed_at_any_look"))
    yield says(
        "({} of {} are {} standard deviations more)",
        most, sequential.SWEEPS, (most - 10 * max(chances)) / math.sqrt(10 * max(chances)),
    )  # fmt: skip
    yield says("is bounded by the same {} %", 5)


def _chance_of_a_miss(counts: list[int], sizes: tuple[int, ...]) -> float:
    """Return P(some look's lowest rank is above the median), by the walk's distribution."""
    bounds = ranks(tuple(counts), tuple(size / sizes[-1] for size in sizes), 0.025)
    alive, before, crossed = {0: 1.0}, 0, 0.0
    for count, bound in zip(counts, bounds, strict=True):
        for _ in range(count - before):
            step: dict[int, float] = {}
            for heads, chance in alive.items():
                step[heads] = step.get(heads, 0.0) + chance / 2
                step[heads + 1] = step.get(heads + 1, 0.0) + chance / 2
            alive = step
        crossed += sum(chance for heads, chance in alive.items() if heads < bound)
        alive = {heads: chance for heads, chance in alive.items() if heads >= bound}
        before = count
    return crossed


def _stopping() -> Iterator[Statement]:
    rows, file = table("asking/early_stopping.csv"), sweep("early_stopping")
    other = sweep("patience")
    ends = other["training"].pop("stop_when")
    for name in ("problem", "network", "training", "record", "sweep"):
        assert file[name] == other[name]
    noises, scales = file["problem"]["noise"], file["network"]["layer_init_scale"]
    steps, spacing = file["training"]["num_steps"], file["record"]["count"] - 1
    yield says(
        "fit a vector of {} entries, of which {} are not zero, from {} samples with noise on their "
        "targets: {} levels of noise, {} initial scales, {} seeds, {} steps,",
        file["problem"]["measurement_dim"], file["problem"]["sparsity"],
        file["problem"]["num_samples"], len(noises), len(scales), file["sweep"]["seeds"], steps,
    )  # fmt: skip
    yield says("its error on {} fresh samples", file["record"]["num_test_samples"])
    names = (
        "layer_init_scale", "noise", "step", "test_error", "test_error_last", "effective_sparsity",
        "effective_sparsity_last", "step_stopped",
    )  # fmt: skip
    cells = list(zip(*map(rows.column, names), strict=True))
    assert [cell[:2] for cell in cells] == [(s, n) for s in sorted(scales) for n in noises]
    yield says(" ".join(["| {} | {} | {} | {} | {} | {} | {} | {} |"] * len(cells)),
               *(number for cell in cells for number in cell))  # fmt: skip
    small = [cell for cell in cells if cell[0] == min(scales)]
    assert all(file["problem"]["sparsity"] <= cell[5] < 7 for cell in small)
    yield says("effective sparsity is that of {} entries", file["problem"]["sparsity"])
    worse = [cell[4] / cell[3] for cell in small]
    yield says("{} to {} times as large in the end", min(worse), max(worse))
    assert (ends["observable"], "threshold" in ends) == ("test_error", False)
    yield says(
        "has not improved for {} records, which are {} steps",
        ends["patience"], ends["patience"] * steps // spacing,
    )  # fmt: skip
    runs, same = (sum(rows.column(name)) for name in ("runs", "same"))
    assert runs == planned("patience")[0]
    share = sum(rows.column("mean_share")) / len(cells)
    yield says("{} % of the steps, and {} of {} runs", 100 * share, same, runs)
    yield says("the other one's is {} % larger", 100 * max(rows.column("most_excess")))


PARTS = [
    Part(FILE, "As many seeds as it takes", _seeds),
    Part(
        FILE,
        "The largest stable learning rate over the depth",
        lambda: itertools.chain(_boundary(), _rounds()),
    ),
    Part(FILE, "Three settings, sampled", _samples),
    Part(FILE, "How much of a range can be trained", _points),
    Part(FILE, "Where gradient descent can stay", _limit),
    Part(FILE, "Where to stop", _stopping),
]
