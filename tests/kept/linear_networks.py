"""results/kept/linear_networks/README.md."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from math import log
from statistics import fmean

import numpy as np

from kept.tables import Table, sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/linear_networks/README.md"
SCALES = (1e-3, 1e-4, 1e-5, 1e-6)
STOPPED = 1e-6


def _largest(rows: Table, name: str) -> list[float]:
    """Return the largest of three runs, which their median and upper quartile fix."""
    pairs = zip(rows.column(f"{name}_median"), rows.column(f"{name}_q75"), strict=True)
    return [2 * upper - middle for middle, upper in pairs]


def _errors(rows: Table, depth: int) -> list[float]:
    found = rows.where(depth=depth).by("product_init_scale", "reconstruction_error_median")
    return [found[scale] for scale in SCALES]


def _ranks(rows: Table) -> tuple[float, float]:
    found = rows.column("effective_rank_median")
    return min(found), max(found)


def _transition(rho: float, side: int) -> float:
    """Return the number of Gaussian measurements from which the least nuclear norm recovers.

    The statistical dimension of Amelunxen, Lotz, McCoy and Tropp (2014) of a matrix with sides of
    `side` and rank rho side, as the text states it.
    """
    u = np.linspace(0.0, 2.0, 4001)

    def cost(tau: float) -> float:
        inside = np.where(u >= tau, (u - tau) ** 2 * np.sqrt(4 - u**2), 0.0)
        tail = np.sum((inside[1:] + inside[:-1]) / 2) * (u[1] - u[0]) / np.pi
        return rho + (1 - rho) * (rho * (1 + tau**2) + (1 - rho) * tail)

    return side**2 * min(cost(tau) for tau in np.linspace(0.0, 2.0, 2001))


_HEAD = (
    "depth | scale 1e-3 | 1e-4 | 1e-5 | 1e-6 | least nuclear norm | |---|---|---|---|---|---|---|"
)
# The solver stops at this duality gap, relative to the norm (dlnsweep/theory/nuclear_norm.py).
GAP = 1e-6
_FOUR = "{} | {} | {} | {}"
_THREE = "{} ({} to {})"
_MANY = f"| 5 000 | 2 | {_FOUR} | {{}} | | | 3 | {_FOUR} | | | | 4 | {_FOUR} | |"


def _least(kind: str, unit: str, count: int) -> list[float]:
    """Return the median, the least and the largest error of the least nuclear norm."""
    solved = table(f"linear_networks/nuclear_norm_{kind}.csv").where(**{unit: count})
    errors = sorted(solved.column("reconstruction error"))
    assert len(errors) == 3
    assert max(solved.column("gap")) < GAP
    return [errors[1], errors[0], errors[2]]


def _rows(rows: Table, least: list[float]) -> list[float]:
    return [*_errors(rows, 2), *least, *_errors(rows, 3), *_errors(rows, 4)]


def _factorization() -> Iterator[Statement]:
    rows = table("linear_networks/completion.csv")
    few, many = rows.where(num_observed=2000), rows.where(num_observed=5000)
    away = few.where(depth=4, product_init_scale=1e-6)
    deep = few.where(depth=[3, 4])
    (far,) = _largest(away, "reconstruction_error")
    stopped = [value < STOPPED for value in _largest(rows, "train_error")]
    # Each row is three runs, of which the largest did not stop.
    yield says("and {} of the 72 stopped at a train error of 1e-6)",
               3 * sum(stopped) + 2 * stopped.count(False))  # fmt: skip
    yield says(
        f"| observed | {_HEAD} | 2 000 | 2 | {_FOUR} | {_THREE} | | | 3 | {_FOUR} | | | | 4 | "
        f"{{}} | {{}} | {{}} | {{}} (1 of 3: {{}}) | | {_MANY}",
        *_rows(few, _least("completion", "entries", 2000)), far,
        *_rows(many, _least("completion", "entries", 5000)[:1]),
    )  # fmt: skip
    yield says("at a scale of 1e-3 ({}); with 5 000", _errors(few, 2)[0])
    (stuck,) = _largest(away, "train_error")
    # The least of three from their median and lower quartile.
    low = 2 * away.one("effective_rank_q25") - away.one("effective_rank_median")
    yield says(
        "stays at a train error of {} while its error over all entries grows to {} and its "
        "effective rank falls to {}:",
        stuck, far, low,
    )  # fmt: skip
    yield says("at an effective rank of {} to {}. Baseline", *_ranks(deep))

    rows = table("linear_networks/sensing.csv")
    assert max(_largest(rows, "train_error")) < STOPPED
    few, many = rows.where(num_measurements=2000), rows.where(num_measurements=5000)
    yield says(
        f"| measurements | {_HEAD} | 2 000 | 2 | {_FOUR} | {_THREE} | | | 3 | {_FOUR} | | "
        f"| | 4 | {_FOUR} | | {_MANY}",
        *_rows(few, _least("sensing", "measurements", 2000)),
        *_rows(many, _least("sensing", "measurements", 5000)[:1]),
    )  # fmt: skip
    yield says("sets in at {} of them", round(_transition(1 / 20, 100)))
    yield says(
        "Depth 3 and 4 end at an effective rank of {} to {}", *_ranks(rows.where(depth=[3, 4]))
    )
    yield says("measurements at {} to {} (medians)", *_ranks(few.where(depth=2)))


def _ends(rows: Table, name: str) -> tuple[float, float]:
    found = rows.column(name)
    return min(found), max(found)


def _five(value: float) -> float:
    return float(f"{value:.4e}")


def _norms() -> Iterator[Statement]:
    rows, file = table("linear_networks/norms_diverge.csv"), sweep("norms_diverge")
    yield says("{} runs to a loss of {}, float64.",
               len(rows.rows), file["training"]["stop_when"]["below"])  # fmt: skip
    assert not any(rows.column("num_below"))
    yield says(
        "Of {} recorded points {} have a positive determinant",
        sum(rows.column("num_records")), sum(rows.column("num_positive")),
    )  # fmt: skip
    balanced, gaussian = (rows.where(initializer=n) for n in ("balanced", "fan_in_normal"))
    deep = balanced.where(depth=[3, 4])
    # Empty: it was never lost.
    assert set(deep.column("loss_where_lost")) == {""}
    yield says(
        "where |w_11| is {} to {} and the bound {} to {}.",
        *_ends(deep, "final_free_entry"), *_ends(deep, "final_free_entry_bound"),
    )  # fmt: skip
    two = balanced.where(depth=2)
    yield says("(at a loss of {} to {}) the determinant", *_ends(two, "loss_where_lost"))
    yield says("|w_11| stays at {} to {}.", *_ends(two, "final_free_entry"))
    assert "" not in gaussian.where(depth=[2, 3]).column("loss_where_lost")
    late = sorted(x for x in gaussian.where(depth=4).column("loss_where_lost") if x != "")
    yield says("at a loss of {} and {} in the two of depth 4", late[1], late[0])
    yield from _norms_long()
    yield from _norms_rates()


def _norms_long() -> Iterator[Statement]:
    rows, file = table("linear_networks/norms_diverge_long.csv"), sweep("norms_diverge_long")
    steps = file["training"]["num_steps"]
    yield says("the same for {} steps", steps)
    yield says("{} runs from balanced weights at depth 3 to 6, by time jumps, for {} steps.",
               len(rows.rows), steps)  # fmt: skip
    three, deep = rows.where(depth=3), rows.where(depth=[4, 5, 6])
    assert set(deep.column("loss_where_lost")) == {""}
    assert not any(rows.column("num_below"))
    loss, entry, bound = (
        # All seeds end alike.
        [fmean(rows.where(depth=L).column(f"final_{name}")) for L in (4, 5, 6)]
        for name in ("loss", "free_entry", "free_entry_bound")
    )
    yield says("at losses of {}, {} and {}; |w_11| is {}, {} and {} and the bound {}, {} and {} "
               "(estimates from {} to {})",
               *loss, *entry, *bound, *_ends(deep, "truncation_error"))  # fmt: skip
    yield says("Of all {} recorded points {} have a positive determinant, and none",
               sum(rows.column("num_records")), sum(rows.column("num_positive")))  # fmt: skip
    grown = []
    for L, end in zip(deep.column("depth"), deep.column("final_free_entry"), strict=True):
        (rate,) = set(deep.where(depth=L).column("learning_rate"))
        grown.append(end ** (2 + 2 / L) / ((2 * L + 2) * rate * steps))
    yield says("at the ends it is {} to {} of that", min(grown), max(grown))
    yield says("at a loss of {} to {} there.", *_ends(three, "loss_where_lost"))


def _norms_rates() -> Iterator[Statement]:
    rows, file = table("linear_networks/norms_diverge_rates.csv"), sweep("norms_diverge_rates")
    yield says("depth 3 at four rates, {} runs.", len(rows.rows))
    rates = file["training"]["learning_rate"]
    assert len(rates) == 4
    for each in (*rows.rows, *table("linear_networks/norms_diverge_long.csv", depth=3).rows):
        assert each["truncation_error"] == math.inf
    large, small = (
        rows.where(learning_rate=rate).by("seed", "final_free_entry")
        for rate in (max(rates), min(rates))
    )
    factors = [small[seed] / large[seed] for seed in large]
    yield says(
        "from a rate of {} to {} the entry at the end grows by factors of {} to {}, where 10^0.9 "
        "is {}.",
        max(rates), min(rates), min(factors), max(factors), 10**0.9,
    )  # fmt: skip


_OPTIMIZERS = ("gradient_descent", "adagrad", "adadelta")


def _acceleration() -> Iterator[Statement]:
    steps: dict[tuple[int, str, int], int] = {}
    for p in (4, 2):
        file, rows = sweep(f"acceleration_p{p}"), table(f"linear_networks/acceleration_p{p}.csv")
        for optimizer in _OPTIMIZERS:
            for depth in (1, 2, 3):
                own = rows.where(optimizer=optimizer, depth=depth)
                reached = {
                    rate: step
                    for rate, step in own.by("learning_rate", "first_step").items()
                    if step != ""
                }
                best = min(reached, key=lambda rate: reached[rate])
                rates = own.column("learning_rate")
                assert min(rates) < best < max(rates)
                steps[p, optimizer, depth] = int(reached[best])
    file = sweep("acceleration_p4")
    rates = file["training"]["learning_rate"]
    yield says(
        "condition number {}, {} seeds, {} learning rates from {} to {}.",
        file["problem"]["condition_number"], file["sweep"]["seeds"],
        rates["count"], rates["from"], rates["to"],
    )  # fmt: skip
    for p, level in ((4, "1e-4"), (2, "5e-3")):
        yield says(
            f"| p = {p}, loss {level} | {' | '.join(['{}'] * 9)} |",
            *(steps[p, optimizer, depth] for optimizer in _OPTIMIZERS for depth in (1, 2, 3)),
        )
    gradient = [steps[4, "gradient_descent", depth] for depth in (1, 2)]
    assert gradient[1] < steps[4, "adagrad", 1]
    yield says("by a factor of {} at the end", gradient[0] / gradient[1])
    best = table("linear_networks/acceleration_p4.csv", optimizer="adadelta", depth=1)
    first = {r: s for r, s in best.by("learning_rate", "first_step").items() if s != ""}
    yield says("at a rate of {}, far above", min(first, key=lambda rate: first[rate]))
    assert round(gradient[1] / steps[4, "adadelta", 1]) == 6


def _orders(name: str) -> list[float]:
    """Return the orders in the learning rate between its neighbours, of medians."""
    rows = table("linear_networks/linear_balance.csv")
    orders = []
    for depth in (2, 3, 4):
        found = sorted(rows.where(depth=depth).by("learning_rate", f"{name}_median").items())
        for (rate, value), (more, larger) in pairwise(found):
            orders.append(log(larger / value) / log(more / rate))
    return orders


def _initialization() -> Iterator[Statement]:
    steps = table("linear_networks/linear_initialization.csv")
    reached = table("linear_networks/linear_initialization_success.csv")
    yield says("({} runs, one output)", sum(reached.column("num_runs")))
    file = sweep("linear_initialization")
    seeds, end = file["sweep"]["seeds"], file["training"]["num_steps"]
    wide = reached.where(width=20, initializer="fan_in_normal")
    for arrived in (reached.where(initializer="balanced"), wide):
        assert arrived.column("num_below") == arrived.column("num_runs")
    yield says("none of {} fails", sum(wide.column("num_runs")))
    narrow = reached.where(width=1, initializer="fan_in_normal", depth=8)
    arrived = sorted(narrow.by("product_init_scale", "num_below").items())
    (least, few), (next_least, more) = arrived[:2]
    yield says("at depth 8 and a scale of {} [{} of {} have", least, seeds - few, seeds)
    yield says("after {} steps (at {}: {} of {})", end, next_least, seeds - more, seeds)
    wide = steps.where(width=20, depth=8, product_init_scale=1e-3)
    yield says(
        "(depth 8, scale 1e-3: {} against {})",
        wide.one("steps_taken_median", initializer="fan_in_normal"),
        wide.one("steps_taken_median", initializer="balanced"),
    )
    fall = _first_falls()
    depths = (2, 3, 5, 8)
    yield says(
        "mean of {} networks at scale 1e-3: {}, {}, {}, {} for depth 2, 3, 5, 8",
        seeds, *(fall[d] for d in depths),
    )  # fmt: skip
    yield says("L / (1 + (L − 1)/20) is {}, {}, {}, {}.", *(d / (1 + (d - 1) / 20) for d in depths))


def _first_falls() -> dict[int, float]:
    """Return the decrease of the loss in the first step, Gaussian over balanced, by depth."""
    rows = table("linear_networks/linear_initialization_first.csv")

    def fall(depth: int, initializer: str) -> float:
        own = rows.where(depth=depth, initializer=initializer)
        start, after = (own.where(step=step).by("seed", "loss") for step in (0, 1))
        return fmean(start[seed] - after[seed] for seed in start)

    return {d: fall(d, "fan_in_normal") / fall(d, "balanced") for d in (2, 3, 5, 8)}


def _failures() -> Iterator[Statement]:
    rows = table("linear_networks/linear_failures.csv")
    yield says("({} runs): balanced", sum(rows.column("num_runs")))

    def reached(initializer: str, sign: str, depth: int) -> list[int]:
        own = rows.where(initializer=initializer, product_determinant=sign, depth=depth)
        by_size = own.by("num_rows", "num_below")
        return [by_size[size] for size in (1, 2, 4)]

    right = rows.where(initializer="balanced", product_determinant="positive")
    runs = sum(right.column("num_runs"))
    assert runs - sum(right.column("num_below")) == 1
    assert sum(reached("balanced", "positive", 8)) == 29
    yield says("all but one run of {}, depth 8)", runs)
    assert reached("balanced", "negative", 2) == [0, 10, 10]
    assert not any(sum(reached("balanced", "negative", depth)) for depth in (3, 5, 8))
    signs = ("negative", "positive")
    assert all(reached("fan_in_normal", sign, d) == [10] * 3 for d in (2, 3) for sign in signs)
    yield says(
        "sign {}, {}, {} ({}, {}, {}) of {} at depth 5 and {}, {}, {} ({}, {}, {}) at depth 8",
        *(n for sign in signs for n in reached("fan_in_normal", sign, 5)),
        rows.column("num_runs")[0],
        *(n for sign in signs for n in reached("fan_in_normal", sign, 8)),
    )  # fmt: skip


def _theory() -> Iterator[Statement]:
    drift, apart = _orders("unbalancedness_drift"), _orders("end_to_end_distance")
    yield says("is of order {} to {} in η", min(drift), max(drift))
    yield says("update of order {} to {}, closer", min(apart), max(apart))

    margins = table("linear_networks/linear_margin.csv")
    assert set(margins.column("at_step")) == {0}
    yield says(
        "{} runs, every recorded loss is at or below the envelope of Theorem 2 (largest ratio {},",
        sum(margins.column("num_runs")), max(margins.column("largest_ratio")),
    )  # fmt: skip

    speeds = table("linear_networks/linear_speed.csv")
    medians = speeds.by("depth", "median")
    yield says("has the medians {}, {}, {}, {} for depth 2 to 5", *medians.values())
    low, high = speeds.by("depth", "min"), speeds.by("depth", "max")
    yield says(
        "lie in {} to {}, {} to {}, {} to {}, {} to {}:",
        *(end[depth] for depth in medians for end in (low, high)),
    )
    yield from _initialization()
    yield from _failures()


PARTS = [
    Part(
        FILE,
        "Deep matrix factorization (arXiv:1905.13655)",
        _factorization,
        settings=(
            "(72 runs; the file allows a million steps",
            "What is below some 3e-3",
            "What is below some 1e-3",
            "with 2 000 entries",
            "(2 000 entries)",
            "and scale 1e-6",
            "72 runs at full size",
            "All stopped at a train error of 1e-6",
            "with 2 000 measurements",
            "with 5 000 all",
            "scales of 1e-5 and above",
            "a 100 × 100 matrix of rank 5",
            "inf_τ {ρ + (1 − ρ)[ρ(1 + τ²) + (1 − ρ)∫(u − τ)² √(4 − u²)/π du]} d² with the integral "
            "from τ to 2",
            "ρ = 1/20",
            "an operator of 80 or 200 MB",
            "(30 × 30, rank 2,",
            "72 runs, all stopped at 1e-6",
            "of sensing, 30 x 30",
        ),
    ),
    Part(
        FILE,
        "Norms diverge (arXiv:2005.06398)",
        _norms,
        settings=(
            "d|w_11|/dt = L |w_11|^(−1−2/L), so that |w_11|^(2+2/L) is (2L + 2)ηT",
            "The curvature is |w_11|^(2−2/L), so that a rate below 1 over",
            "|w_11|⁴/(2L + 2) steps or more",
            "(L + 1)/(2L) of these",
            "adds some 1e-19 of itself",
            "between 10¹⁸ and 4·10¹⁸ steps |w_11|^(5/2) at depth 4",
            "to 1e-6 (a test; 5e-10 when it was made)",
            "apart by c_1 and c_2, of order η",
            "√((u² + c_1)(u² + c_2)), and passes",
            "(5K)^(3/5), with K = ∫ du/√((u² + c_1)(u² + c_2)) from",
            "(10K)^(3/5) the observed",
            "a determinant of −1, and",
            "of order η^(−3/10)",
            "where 10^0.9 is",
            "of order 1/η or more",
        ),
    ),
    Part(
        FILE,
        "Implicit acceleration (arXiv:1802.06509)",
        _acceleration,
        settings=(
            "at one learning rate, p = 4]",
            "gradient descent, depth 1 | 2 | 3 | AdaGrad, depth 1 | 2 | 3 | AdaDelta, depth 1 | 2 "
            "| 3 |",
            "with p = 4 depth",
            "with p = 2 depth",
            "far above the usual 1,",
            "depth with p = 4;",
            "All rates, p = 4]",
            "[p = 2]",
            "[curves, p = 2]",
        ),
    ),
    Part(
        FILE,
        "Theory of linear networks (arXiv:2408.13767, arXiv:1810.02281)",
        _theory,
        settings=(
            "ηt = 4 the drift of W_{l+1}ᵀW_{l+1} − W_lW_lᵀ",
            "closer to 1 the",
            "at step 0; band",
            "2 − 2/n.",
            "steps to 1e-5, hidden width 1]",
            "have width 1, which",
            "With hidden width 20 it",
            "Σ_j ‖W_{L:j+1}‖² ∇ℓ W_{j−1:1}ᵀW_{j−1:1}",
            "c^{2−2/L}",
            "all terms but j = 1 see",
            "1 + (L − 1)/d in place",
            "size 2 or 4 gradient",
            "for sizes 1, 2, 4 with",
            "(loss below 1e-3 after 20 000 steps",
        ),
    ),
]
