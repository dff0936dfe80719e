"""results/kept/classification/README.md."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import inf, log
from statistics import median

import numpy as np

from dlnsweep.theory.max_margin import largest_normalized_margin
from dlnsweep.theory.neural_collapse import collapse_rates, nc3_limit
from kept import grokking_teacher
from kept.grokking import FITTED, GROKKED
from kept.margins import largest
from kept.numbers import AtMost
from kept.plans import planned
from kept.tables import Table, sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/classification/README.md"
DEPTHS = (1, 2, 3, 4)


def _range(values: list[float]) -> tuple[float, float, float]:
    return median(values), min(values), max(values)


def _products(rows: Table, *names: str) -> list[float]:
    """Return a column times others, or over those that begin with /."""
    found = [1.0] * len(rows.rows)
    for name in names:
        column = rows.column(name.removeprefix("/"))
        found = [a / b if name[0] == "/" else a * b for a, b in zip(found, column, strict=True)]
    return found


def _margins() -> Iterator[Statement]:
    rows, file = table("classification/max_margin.csv"), sweep("max_margin")
    runs, steps, _ = planned("max_margin")
    problem = file["problem"]
    assert len(rows.rows) == runs
    yield says(
        "{} runs of {} steps on exponential loss, linear networks of depth 1 to 4 on {} samples of "
        "{} inputs, {} seeds. Dashed are the largest margins: γ = {},",
        runs, steps, problem["num_samples"], problem["measurement_dim"], file["sweep"]["seeds"],
        problem["margin"],
    )  # fmt: skip
    pair, random = (rows.where(support=name) for name in ("pair", "random"))
    assert all(abs(x / problem["margin"] - 1) < 1e-7 for x in pair.column("largest_margin"))
    below = []
    for depth in DEPTHS:
        best = largest_normalized_margin(depth, problem["margin"])
        own = pair.where(depth=depth, fixed_length=0).column("margin")
        below.append(100 * median(1 - each / best for each in own))
    yield says("it is still {} %, {} %, {} % and {} % below.", *below)
    # One seed anew: the solver's answer does not depend on the machine, up to rounding.
    again = largest("random", 0)
    assert abs(again.margin / random.where(seed=0).column("largest_margin")[0] - 1) < 1e-7
    support = random.column("num_support")
    yield says(
        "to {}, from {} to {} support vectors",
        AtMost(max(map(abs, rows.column("certified_gap")))), min(support), max(support),
    )  # fmt: skip
    # Of a run that has converged both are the same number, rounded in its eighth digit.
    gaps = zip(rows.column("duality_gap"), rows.column("relative_gap"), strict=True)
    assert all(dual >= gap * (1 - 1e-6) for dual, gap in gaps)
    yield from _random(random)
    yield from _pair(pair)


def _random(rows: Table) -> Iterator[Statement]:
    ends = {
        (fixed, depth): rows.where(fixed_length=fixed, depth=depth)
        for fixed in (0, 1) for depth in DEPTHS
    }  # fmt: skip
    ranges = " | ".join(["{} ({} to {})"] * 4)
    for fixed, words, gap in (
        (0, "constant rate", "gap, 1 − margin / γ"),
        (1, "fixed length", "gap"),
    ):
        own = [ends[fixed, depth] for depth in DEPTHS]
        sizes = [median(each.column("size")) for each in own]
        yield says(f"| {words}: γ‖β‖ | {{}} | {{}} | {{}} | {{}} |", *sizes)
        found = [_range(each.column("relative_gap")) for each in own]
        yield says(f"| {gap} | {ranges} |", *chain(*found))
    found = [_range(_products(ends[1, depth], "relative_gap", "size", "/rate")) for depth in DEPTHS]
    yield says(f"| gap · γ‖β‖ / K | {ranges} |", *chain(*found))
    yield says("({} to {} here, by the seed)", min(rows.column("rate")), max(rows.column("rate")))


def _pair(rows: Table) -> Iterator[Statement]:
    found, first = [], 0.0
    for depth in DEPTHS:
        ends = [rows.where(depth=depth, fixed_length=fixed) for fixed in (0, 1)]
        gaps, sizes = ([end.column(n) for end in ends] for n in ("relative_gap", "size"))
        powers = [log(b / a) / log(s / r) for a, b, r, s in zip(*gaps, *sizes, strict=True)]
        assert ends[0].column("seed") == ends[1].column("seed")
        found.append(_range(powers))
        first = median(sizes[0]) if depth == 1 else first
    yield says(f"| measured | {' | '.join(['{} ({} to {})'] * 4)} |", *chain(*found))
    yield says("| derived, −2/L | {} | {} | {} | {} |", *(-2 / depth for depth in DEPTHS))
    yield says("at γ‖β‖ = {}, is not late", first)


def _collapse() -> Iterator[Statement]:
    rows, file = table("classification/neural_collapse.csv"), sweep("neural_collapse")
    runs, steps, _ = planned("neural_collapse")
    assert len(rows.rows) == runs
    yield says("{} runs of {} steps, one layer", runs, steps)
    yield says("over the last {} steps)", steps // 6)
    problem, training = file["problem"], file["training"]
    assert (problem["num_classes"], problem["samples_per_class"]) == (4, 5)
    limit = nc3_limit(problem["num_classes"])
    words = ("squared, 5e-3", "squared, 1e-2", "cross-entropy, 5e-4", "cross-entropy, 1e-3")
    pairs = zip(words, training["loss"], training["weight_decay"], strict=True)
    for name, loss, decay in pairs:
        own = rows.where(loss=loss, weight_decay=decay)
        assert len(own.rows) == file["sweep"]["seeds"]
        sizes = problem["num_classes"], problem["samples_per_class"]
        derived = [rate / decay for rate in collapse_rates(loss, decay, *sizes)]
        first, second, third = (_range(own.column(f"nc{i}_rate")) for i in (1, 2, 3))
        cells = "{} ({} to {}) | {} | {} ({} to {}) | {}"
        values = (*first, derived[0], *second, derived[1])
        if loss == "squared":
            ends = own.column("nc3_end")
            yield says(f"| {name} | {cells} | ends at {{}} | {{}} |", *values, median(ends), limit)
        else:
            yield says(f"| {name} | {cells} | {{}} ({{}} to {{}}) | {{}} |",
                       *values, *third, derived[2])  # fmt: skip
    long = table("classification/neural_collapse_long.csv")
    own = long.where(loss="cross_entropy", weight_decay=5e-4).column("nc2_rate")
    yield says("it is {} to {} in all {} (", min(own), max(own), len(own))
    claims = table("classification/neural_collapse_claims.csv")
    kept = [
        sum(row["satisfied"] for row in claims.rows if row["statement"].startswith(name))
        for name in ("NC1", "NC2")
    ]
    yield says("within 5 % of its derived rate NC1 is in {} runs of {}, NC2 in {} (",
               kept[0], len(rows.rows), kept[1])  # fmt: skip
    product = training["weight_decay"][1] * training["learning_rate"][1]
    strong = rows.where(loss="squared", weight_decay=1e-2)
    yield says(
        "What is left of ηλ itself ({}) explains {} and {}:",
        product, strong.median("nc1_rate"), strong.median("nc2_rate"),
    )  # fmt: skip


def _short(decay: float) -> str:
    return f"{decay:.0e}".replace("e-0", "e-")


def _grokking() -> Iterator[Statement]:
    rows, file = table("classification/grokking.csv"), sweep("grokking")
    runs, fewest, most = planned("grokking")
    assert len(rows.rows) == runs
    problem, network, training = file["problem"], file["network"], file["training"]
    yield says(
        "{} runs of {} to {} steps, the table of a + b modulo {} by a two-layer quadratic network "
        "of width {}, {} of the {} entries for training, {} seeds;",
        runs, fewest, most, problem["modulus"], network["width"], problem["num_samples"],
        problem["modulus"] ** 2, file["sweep"]["seeds"],
    )  # fmt: skip
    assert (FITTED, GROKKED) == (0.99, 0.5)
    yield says(
        "within {} steps, with a test accuracy of at most {} then (chance is {}), and all know the "
        "others in the end ({} or more).",
        max(rows.column("fitted_step")), max(rows.column("test_accuracy_then")),
        1 / problem["modulus"], min(rows.column("final_test_accuracy")),
    )  # fmt: skip
    cells = "{} | {} | {} | {} ({} to {}) | {} | {} ({} to {}) |"
    pairs = zip(network["layer_init_scale"], training["weight_decay"], strict=True)
    for scale, decay in pairs:
        own = rows.where(layer_init_scale=scale, weight_decay=decay)
        yield says(
            f"| {scale:g} | {_short(decay)} | {cells}",
            own.median("fitted_step"), own.median("grokked_step"),
            median(_products(own, "grokked_step", "/fitted_step")),
            *_range(own.column("grokked_time")), own.median("first_norm"),
            *_range(own.column("norm_then")),
        )  # fmt: skip
    same = rows.where(weight_decay=1e-3)
    rise = _slopes(same, "layer_init_scale", "grokked_time", by_log=False)
    fall = _slopes(rows.where(layer_init_scale=1.41), "weight_decay", "grokked_step", by_log=True)
    yield says("over a decade of λ it is t ∝ (ηλ)^[{}] ({} to {}, by the seed)", *fall)
    yield says("ηλt rises by {} ({} to {}) for each factor of e", *rise)
    yield says("the theorem has 1 in place of {},", rise[0])
    ends, starts = same.column("norm_then"), same.column("first_norm")
    yield says(
        "at λ = 1e-3 between {} and {}, from starts of {} to {}.",
        min(ends), max(ends), min(starts), max(starts),
    )  # fmt: skip


def _slopes(rows: Table, x: str, y: str, *, by_log: bool) -> tuple[float, float, float]:
    """Return the slopes in log x, seed by seed, as median, least and largest."""
    found = []
    rows = Table(rows.path, [row for row in rows.rows if row[y] != ""])
    for seed in sorted(set(rows.column("seed"))):
        own = rows.where(seed=seed)
        values = np.array(own.column(y), float)
        at = np.log(own.column(x))
        found.append(float(np.polyfit(at, np.log(values) if by_log else values, 1)[0]))
    return _range(found)


def _student() -> Iterator[Statement]:
    rows, file = table("classification/grokking_teacher.csv"), sweep("grokking_teacher")
    runs, _, most = planned("grokking_teacher")
    steps, problem = file["training"]["num_steps"], file["problem"]
    assert (len(rows.rows), max(steps)) == (runs, most)
    yield says("{} runs of {} to {} steps, no classes: {} samples of a teacher of one ReLU neuron "
               "in {} dimensions, students of {},",
               runs, min(steps), max(steps), problem["num_samples"], problem["measurement_dim"],
               file["network"]["width"])  # fmt: skip
    assert problem["num_teacher_neurons"] == 1
    yield says("{} seeds; some", file["sweep"]["seeds"])
    yield says("error of {} on the", grokking_teacher.FITTED)
    yield says("comes below {} (between", grokking_teacher.FOUND)
    missed = []
    for scale, decay in sorted({(r["layer_init_scale"], r["weight_decay"]) for r in rows.rows}):
        own = rows.where(layer_init_scale=scale, weight_decay=decay)
        found = [r for r in own.rows if r["found_step"] != ""]
        missed += [decay] * (len(own.rows) - len(found))
        # Of a run that does not come below t is larger than of those that do.
        late = [r["found_step"] if r["found_step"] != "" else inf for r in own.rows]
        times, norms = ([r[name] for r in found] for name in ("found_time", "norm_then"))
        yield says(
            f"| {scale:g} | {_short(decay)} | {{}} | {{}} | {{}} | {{}} ({{}} to {{}}) | {{}} | "
            "{} ({} to {}) |",
            own.median("fitted_step"), own.median("test_error_then"), median(late),
            median(late) * own.column("learning_rate")[0] * decay, min(times), max(times),
            own.median("first_norm"),
            median(norms), min(norms), max(norms),
        )  # fmt: skip
    first = rows.where(weight_decay=1e-4)
    for words, least in (("From scale 4 to 8 it rises by {} ({} to {}, by", 4),
                         ("from 2 to 8 by {} ({} to {})", 2)):  # fmt: skip
        scales = [s for s in set(first.column("layer_init_scale")) if s >= least]
        own = first.where(layer_init_scale=scales)
        yield says(words, *_slopes(own, "layer_init_scale", "found_time", by_log=False))
    at = first.where(layer_init_scale=8).rows
    yield says("t is {} times as late as", median(r["found_step"] / r["fitted_step"] for r in at))
    fall = _slopes(rows.where(layer_init_scale=2), "weight_decay", "found_step", by_log=True)
    yield says("t ∝ λ^[{}] ({} to {})", *fall)
    assert missed == [3e-4]
    yield says("One run of {}, at λ = 3e-4, does not come below {};", runs, grokking_teacher.FOUND)
    ends = rows.column("final_test_error")
    yield says("end between {} and {}, all", min(ends), max(ends))
    assert {r["seed"] for r in rows.rows if r["final_test_error"] > 0.16} == {2}


PARTS = [
    Part(
        FILE,
        "The largest margin (arXiv:1710.10345, arXiv:1906.05890)",
        _margins,
        settings=(
            "γ / L^{L/2}",
            "gradients are below 1e-140",
            "L = 1 | 2 | 3 | 4",
            "gap, 1 − margin",
            "**1/log t, with",
            "‖β‖^{−1/L}",
            "‖β‖^{−2/L}",
            "where K = 0,",
            "derived, −2/L",
        ),
    ),
    Part(
        FILE,
        "Neural collapse (arXiv:2008.08186)",
        _collapse,
        settings=(
            "| squared, 5e-3",
            "| squared, 1e-2",
            "| cross-entropy, 5e-4",
            "| cross-entropy, 1e-3",
            "at step 0;",
            "within 5 % of",
            "√(2 − 2√(1 − 1/C))",
            "factor is 1 − 2ηλ where the flow's is e^{−2ηλ}",
        ),
    ),
    Part(
        FILE,
        "Grokking (arXiv:2301.02679, arXiv:2210.01117, arXiv:2311.18817)",
        _grokking,
        settings=(
            "goes as 1/(ηλ)",
            "the theorem has 1 in",
            "at λ = 1e-3 between",
            "larger scales, have 1",
        ),
    ),
    Part(
        FILE,
        "Grokking of a student (arXiv:2210.01117, arXiv:2311.18817)",
        _student,
        settings=(
            "as scale^−2",
            "rises by 1 for each",
            "of 2 and more",
            "above 0.16 by",
            "late as that from scale 8",
        ),
    ),
]
