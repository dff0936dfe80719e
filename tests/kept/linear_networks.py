"""results/kept/linear_networks/README.md."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kept.tables import Table, table
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
_FOUR = "{} | {} | {} | {}"
# Owed: python -m tests.benchmarks.nuclear_norm --csv results/kept/linear_networks
_LEAST = ("0.190 (0.185 to 0.252)", "4.9e-7", "0.043 (0.018 to 0.092)", "1.5e-7")
_MANY = (
    "| 5 000 | 2 | {{}} | {{}} | {{}} | {{}} | {} | | | 3 | {{}} | {{}} | {{}} | {{}} | | "
    "| | 4 | {{}} | {{}} | {{}} | {{}} | |"
)


def _rows(rows: Table) -> list[float]:
    return [error for depth in (2, 3, 4) for error in _errors(rows, depth)]


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
        f"| observed | {_HEAD} | 2 000 | 2 | {_FOUR} | {_LEAST[0]} | | | 3 | {_FOUR} | | | | 4 | "
        f"{{}} | {{}} | {{}} | {{}} (1 of 3: {{}}) | | {_MANY.format(_LEAST[1])}",
        *_rows(few), far, *_rows(many),
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
        f"| measurements | {_HEAD} | 2 000 | 2 | {_FOUR} | {_LEAST[2]} | | | 3 | {_FOUR} | | "
        f"| | 4 | {_FOUR} | | {_MANY.format(_LEAST[3])}",
        *_rows(few), *_rows(many),
    )  # fmt: skip
    yield says("sets in at {} of them", round(_transition(1 / 20, 100)))
    yield says(
        "Depth 3 and 4 end at an effective rank of {} to {}", *_ranks(rows.where(depth=[3, 4]))
    )
    yield says("measurements at {} to {} (medians)", *_ranks(few.where(depth=2)))


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
]
