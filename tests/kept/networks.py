"""results/kept/networks/README.md."""

from __future__ import annotations

import tomllib
from collections.abc import Generator, Iterator
from itertools import chain
from math import log
from typing import Any

import numpy as np

from dlnsweep.theory.sharpness import least_sharpness, stability_threshold
from kept import predictions
from kept.numbers import About, AtMost, Value
from kept.plans import planned
from kept.stability import NEAR
from kept.tables import ROOT, Table, sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/networks/README.md"


def _row(rows: Table) -> tuple[Value, ...]:
    """Return what the text's tables have of one setting of the edge, after its threshold."""
    (records,) = set(rows.column("records"))
    assert records == 50
    first, arrived, rises = (rows.column(n) for n in ("first_ratio", "arrived", "rises"))
    return (
        min(first), max(first), min(arrived), max(arrived), max(rows.column("largest_ratio")),
        min(rows.column("least_late")), max(rows.column("largest_late")),
        min(rises), max(rises), max(rows.column("final_loss")),
    )  # fmt: skip


_ROW = "{} | {} to {} | {} to {} | {} | {} to {} | {} to {} | {} |"


def _edge() -> Iterator[Statement]:
    rows, file = table("networks/edge_of_stability.csv"), sweep("edge_of_stability")
    assert NEAR == 0.9
    for rate in file["training"]["learning_rate"]:
        own = rows.where(learning_rate=rate)
        assert len(own.rows) == file["sweep"]["seeds"]
        threshold = stability_threshold(rate)
        assert set(own.column("threshold")) == {threshold}
        yield says(f"| {rate} | {_ROW}", threshold, *_row(own))
    away = max(abs(x - 1) for x in chain(rows.column("least_late"), rows.column("largest_late")))
    yield says("So all {} runs are within {} % of", len(rows.rows), AtMost(100 * away))
    yield from _momentum()


def _heavy(rows: Table, learning_rate: float) -> Generator[Statement, None, dict[float, int]]:
    """State what runs by momentum found; return how many stay near the threshold."""
    within = {}
    for momentum in sorted(set(rows.column("momentum"))):
        own = rows.where(momentum=momentum)
        threshold = stability_threshold(learning_rate, momentum)
        # The table has six digits.
        assert all(abs(x / threshold - 1) < 1e-5 for x in own.column("threshold"))
        first, low, high = (own.column(n) for n in ("first_ratio", "least_late", "largest_late"))
        ends = zip(low, high, strict=True)
        within[momentum] = sum(least >= 0.9 and most <= 1.1 for least, most in ends)
        yield says(
            f"| {momentum} | {{}} | {{}} to {{}} | {{}} | {{}} to {{}} | {{}} of {{}} | {{}} |",
            threshold, min(first), max(first), max(own.column("largest_ratio")),
            min(low), max(high), within[momentum], len(own.rows), max(own.column("final_loss")),
        )  # fmt: skip
    return within


def _momentum() -> Iterator[Statement]:
    rows = table("networks/edge_of_stability_momentum.csv")
    training = sweep("edge_of_stability_momentum")["training"]
    assert set(rows.column("momentum")) == set(training["momentum"])
    within = yield from _heavy(rows, training["learning_rate"])
    half = rows.where(momentum=0.5).rows
    yield says("for β = 0.5 in {} runs of {}; the other", within[0.5], len(half))
    missed = [row for row in half if row["least_late"] < 0.9]
    assert len(missed) == 3
    assert all(row["largest_ratio"] > 1 for row in missed)


def _rates(name: str, words: str = "") -> Iterator[Statement]:
    rows = table(f"networks/{name}.csv")
    for rate in sorted(set(rows.column("learning_rate"))):
        own, threshold = rows.where(learning_rate=rate), stability_threshold(rate)
        assert len(own.rows) == 10
        # The tables have six digits.
        assert all(abs(x / threshold - 1) < 1e-5 for x in own.column("threshold"))
        yield says(f"| {rate}{words} | {_ROW}", threshold, *_row(own))


def _digits() -> Iterator[Statement]:
    text = (ROOT / "results/kept/networks/edge_of_stability_digits.toml").read_text("utf-8")
    file = tomllib.loads(text)
    network, training = file["network"], file["training"]
    yield says("{} of them for training, drawn", file["problem"]["num_samples"])
    yield says("of {} seeds; ten classes, mean squared loss, {} steps",
               file["sweep"]["seeds"], training["num_steps"])  # fmt: skip
    yield says("of depth {} and width {} whose", network["depth"], network["width"])
    assert network["layer_init_scale"] == 0.5
    yield from _rates("edge_of_stability_digits")
    rows = table("networks/edge_of_stability_digits.csv")
    rates = training["learning_rate"]
    assert set(rows.column("learning_rate")) == set(rates)
    assert min(rows.where(learning_rate=rates[1:]).column("least_late")) > 1
    yield from _rates("edge_of_stability_digits_linear", ", linear")
    losses = table("networks/edge_of_stability_digits_linear.csv").column("final_loss")
    yield says("its least value, {} to {};", min(losses), max(losses))
    rows = table("networks/edge_of_stability_digits_momentum.csv")
    yield from _heavy(rows, training["learning_rate"][1])
    low = [least for least in rows.where(momentum=0.9).column("least_late") if least < 0.9]
    assert len(low) == 3
    yield says("up to {} % below.", 100 * (1 - min(low)))


def _ends(rows: Table) -> tuple[str, list[Value]]:
    arrived = rows.one("num_arrived")
    if not arrived:
        return "{}", [arrived]
    ends = [rows.one(name) for name in ("median", "least", "largest")]
    return "{} ({} to {}), {}", [*ends, arrived]


def _minima() -> Iterator[Statement]:
    rows, file = table("networks/flat_minima.csv"), sweep("flat_minima")
    rates = file["training"]["learning_rate"]
    assert planned("flat_minima") == (sum(rows.column("num_runs")), 2000, 4000)
    yield says("all {} runs (2 000 to 4 000 steps)", sum(rows.column("num_runs")))
    least = least_sharpness(file["network"]["depth"], 1.0)
    yield says("No minimiser is flatter than L σ₁^(2−2/L) = {},", least)
    holes = ["η = 0.02 (2/η = {})", "η = 0.04 ({})", "η = 0.08 ({})", "η = 0.16 ({})"]
    yield says(" | ".join(holes), *(stability_threshold(rate) for rate in rates[:4]))
    for scale in (0.7, 0.8, 0.9, 1, 1.1, 1.15):
        found = [_ends(rows.where(layer_init_scale=scale, learning_rate=r)) for r in rates[:4]]
        cells = " | ".join(cell for cell, _ in found)
        yield says(f"| {scale} | {cells} |", *chain.from_iterable(v for _, v in found))

    def of(rate: float, name: str) -> list[float]:
        return [x for x in rows.where(learning_rate=rate).column(name) if x != ""]

    flattest = min(x for x in rows.column("least") if x != "")
    assert flattest > least
    yield says(
        "Every such run, {} of them, is above {}: the least has {}.",
        sum(rows.column("num_arrived")), least, flattest,
    )  # fmt: skip
    sharpest = [max(of(rate, "largest")) for rate in rates[1:4]]
    assert all(s < stability_threshold(r) for s, r in zip(sharpest, rates[1:4], strict=True))
    yield says("not above: {}, {}, {} for η = 0.04, 0.08, 0.16", *sharpest)
    first, second, *_ = sorted(of(0.02, "largest"), reverse=True)
    growth = abs(1 - 0.02 * first)
    yield says(
        "one run of {} has {}: its residual is rounding, which grows by a factor of {} a step, and "
        "needs some {} steps from 10⁻¹⁶ to 1. The next one has {}.",
        sum(of(0.02, "num_arrived")), first, growth, About(log(1e16) / log(growth)), second,
    )  # fmt: skip
    ends = min(of(0.16, "least_left")), max(of(0.16, "largest_left"))
    away = max(abs(end * 0.16 / 2 - 1) for end in ends)
    yield says(
        "the 2 000 steps are too few: {} of {} runs are at a minimiser, {} have diverged, and all "
        "others end with a sharpness of {} to {}, within {} % of 2/η, and a loss of at most {}.",
        sum(of(0.16, "num_arrived")), sum(of(0.16, "num_runs")), sum(of(0.16, "num_diverged")),
        *ends, AtMost(100 * away), AtMost(max(of(0.16, "largest_loss"))),
    )  # fmt: skip
    assert sum(of(0.22, "num_arrived")) == 0
    yield says(
        "2/η = {} lies below {}: no run can stay at a minimiser, and none of {} does. {} diverge, "
        "the others go round at losses of {} to {}.",
        stability_threshold(0.22), least, sum(of(0.22, "num_runs")), sum(of(0.22, "num_diverged")),
        min(of(0.22, "least_loss")), max(of(0.22, "largest_loss")),
    )  # fmt: skip


def _variance() -> Iterator[Statement]:
    rows, script = table("networks/prediction_variance.csv"), predictions
    yield says("on the same {} samples by {} steps, {} seeds a width",
               script.SAMPLES, script.STEPS, script.SEEDS)  # fmt: skip
    yield says("on {} fresh points of the same law", script.POINTS)
    widths = rows.column("network.width")
    assert widths == list(script.WIDTHS)
    assert set(rows.column("num_runs")) == {script.SEEDS}
    assert set(rows.column("num_diverged")) == {0}
    names = ("prediction_variance", "standard_error", "mean_square")
    variances, errors, squares = (rows.column(name) for name in names)
    cells = [
        value
        for h, own, error, square in zip(widths, variances, errors, squares, strict=True)
        for value in (h, own, error, h * own, square)
    ]
    yield says("\n".join(["| {} | {} | {} | {} | {} |"] * len(widths)), *cells)
    exponent, error = _exponent(widths, variances, errors)
    yield says("h^{}, with a standard error of {}", exponent, error)
    assert 2.5 < (exponent + 1) / error < 3.5, "three standard errors"
    first, *others = rows.column("largest_loss")
    yield says("at width {} one network has not fitted its samples (a loss of {}, at the other\n"
               "widths {} at most)", widths[0], first, AtMost(max(others)))  # fmt: skip


def _exponent(widths: list[Any], values: list[Any], errors: list[Any]) -> tuple[float, float]:
    """Return the slope of the logarithms, weighted by their errors, and its standard error."""
    x, y = np.log(widths), np.log(values)
    weights = (np.array(values) / np.array(errors)) ** 2
    apart = x - np.average(x, weights=weights)
    spread = np.sum(weights * apart**2)
    return float(np.sum(weights * apart * y) / spread), float(spread**-0.5)


PARTS = [
    Part(
        FILE,
        "Edge of stability (arXiv:2103.00065)",
        _edge,
        settings=(
            "(depth 3, width 32) on 100 samples", "full batches, 10 seeds a rate",
            "rises to 2/η, overshoots", "In units of 2/η",
            "| η | 2/η | at step 0 | first record of 0.9 or more",
            "one before, of 50 |", "of 2/η in the last third (asked for: 10 %)",
            "A record every 50 steps",
            "at η = 0.4 with momentum β, v ← βv + ∇, for 1 500 steps. In units of (2 + 2β)/η",
            "| β | (2 + 2β)/η | at step 0 |",
            "within 10 % in the last third |", "The published (2 + 2β)/η",
            "stays for β = 0.25, and", "With β = 0.9 it", "Momentum fits 100 samples",
        ),
    ),
    Part(
        FILE,
        "Edge of stability on one's own arrays (arXiv:2103.00065)",
        _digits,
        settings=(
            "1 797 images of 8 × 8", "In units of 2/η",
            "| η | 2/η | at step 0 | first record of 0.9 or more",
            "one before, of 50 |", "just above 2/η, as published",
            "network.depth=5 --set training.learning_rate=[0.8,1.2,1.6]", "at one of 2/η:",
            "momentum at η = 0.6, ", "learning_rate=0.6 --set training.momentum=[0.25,0.5,0.9]",
            "in units of (2 + 2β)/η", "| β | (2 + 2β)/η | at step 0 |",
            "within 10 % in the last third |", "stays at β = 0.9, too",
        ),
    ),
    Part(
        FILE,
        "Flat minima (arXiv:2405.13456)",
        _minima,
        settings=(
            "L = 10, width 5,", "32 seeds", "in 1 min 33 s, figure",
            "½‖W_L ... W_1 − x‖² with ‖x‖ = 1", "W_{k+1}, B_k = W_{k−1} ... W_1",
            "uᵀA_{k−1}B_k v ≤ p_{k−1}‖B_k", "p_{k−1}² ≥ σ₁² L (p_L/p_0)^(2/L), p_L = 1, p_0",
            "(loss below 1e-12)", "how many of 32 do", "at up to 2/η and not above",
            "for η = 0.04, 0.08, 0.16", "At η = 0.02", "At η = 0.16 the", "At η = 0.22, 2/η",
        ),
    ),
    Part(
        FILE,
        "Variance over seeds (arXiv:1901.01608)",
        _variance,
        settings=("N^(−1/4)", "as 1/h. Fitted", "errors from −1 is"),
    ),
]  # fmt: skip
