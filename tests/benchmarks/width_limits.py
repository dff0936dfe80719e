"""How often the error bar of `dlnsweep extrapolate` holds the limit: 100 settings.

python -m tests.benchmarks.width_limits [--csv FILE]

Deep linear networks of two layers, fan-in steps, of settings drawn at random: dimensions, numbers
of samples, condition numbers, learning rates and weight decays. Of each setting 50 seeds at four
widths, the same seeds in all settings of a family, make five sweeps of ten, of which each
extrapolates the regression error and says an interval and an order. The limit of the mean is known
by the law of infinite width: of entries of variance 1/m and 1/k

    W_1^T W_1 / k -> I / m,   W_2 W_2^T -> I,   P(0) = W_2 W_1 with entries N(0, 1/m),

and with G = (P Y - X) Y^T and rho = 1 - eta lambda / m a step of both layers is, but for O(1/k),

    P(t+1) = rho P(t) - (eta / m) (1 + rho^(2t+1)) G(t)

(derived: what W_2 moves by falls as 1/sqrt(k), so that W_2 W_2^T stays, and W_1 only decays but for
its part in W_2's rows). `descent_in_the_limit` makes these steps in NumPy on data drawn by it; the
reduced kernel at a width of 10^9, drawn by its law, stands beside that (`--law`: of a setting in
each family, by 200 seeds).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))

from planned_runs import train

from dlnsweep.analysis.limits import LEVEL, ORDERS, limit_and_ends, limits_of_seeds, orders
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep
from tests.benchmarks.tables import Table, machine

WIDTHS = (16, 32, 64, 128)
# d, m, s, n of each family, which four programs train.
FAMILIES = ((3, 3, 1, 2), (4, 3, 2, 8), (6, 4, 3, 12), (8, 4, 2, 30))
# Of each family, and settings of each.
STEPS = (30, 120, 60, 90)
SETTINGS = 25
# Of a sweep, and sweeps of a setting.
SEEDS, SWEEPS = 10, 5
# Runs of the limit of each setting.
DRAWS = 10_000
LAW_SEEDS, LAW_WIDTH = 200, 10**9


def settings_of(number: int) -> list[dict[str, float]]:
    """Return what differs among the settings of a family."""
    rng = np.random.default_rng([2026, number])
    return [
        {
            "learning_rate": float(rng.uniform(0.05, 0.25)),
            "weight_decay": float(10 ** rng.uniform(-3, -0.7)),
            "condition_number": float(rng.uniform(1, 5)),
            "num_steps": STEPS[number],
        }
        for _ in range(SETTINGS)
    ]


def document(number: int, width: Any, own: list[dict[str, float]], **more: Any) -> dict[str, Any]:
    """Return the sweep of some settings of a family at a width."""
    d, m, s, n = FAMILIES[number]
    column = {key: [each[key] for each in own] for key in own[0]}
    return {
        "name": "coverage",
        "problem": {"kind": "subspace", "signal_dim": d, "measurement_dim": m, "subspace_dim": s,
                    "num_samples": n, "condition_number": column["condition_number"]},
        "network": {"kind": "deep_linear", "depth": 2, "width": width, **more.pop("network", {})},
        "training": {"step_rule": "fan_in",
                     "num_steps": STEPS[number],
                     **{k: column[k] for k in ("learning_rate", "weight_decay")}},
        "record": {"observables": ["regression_error"], "count": 2},
        "sweep": {"precision": "float64", **more,
                  "zip": [["problem.condition_number", "training.learning_rate",
                           "training.weight_decay"]]},
    }  # fmt: skip


def errors(document: dict[str, Any], own: list[dict[str, float]]) -> np.ndarray:
    """Return what the runs of a sweep end with, (settings, seeds)."""
    plan = make_plan(Sweep.from_dict(document))
    assert len(set(plan.programs)) == 1
    found = train(plan)
    assert set(found.status) == {"finished"}
    last = np.asarray(found.num_rows) - 1
    values = found.observables["regression_error"][np.arange(plan.num_runs), last]
    rates = [each["learning_rate"] for each in own]
    rows = [[] for _ in own]
    for run, value in enumerate(values):
        rows[rates.index(plan.row(run)["training.learning_rate"])].append(
            (plan.row(run)["seed"], value)
        )
    return np.array([[value for _, value in sorted(row)] for row in rows])


def descent_in_the_limit(
    number: int, own: dict[str, float], draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the regression errors of runs of infinite width, (draws,); see the module's head."""
    d, m, s, n = FAMILIES[number]
    rank = min(s, n)
    operator = rng.standard_normal((draws, m, d)) / m**0.5
    basis, left, right = (_haar(rng, draws, a, b) for a, b in ((d, s), (s, rank), (n, rank)))
    values = np.linspace(1.0, 1.0 / own["condition_number"], rank)
    signals = basis @ (left * values) @ right.transpose(0, 2, 1)
    inputs = operator @ signals
    turned = inputs.transpose(0, 2, 1)
    gram, cross = inputs @ turned, signals @ turned
    rate = own["learning_rate"] / m
    rho = 1 - rate * own["weight_decay"]
    product = rng.standard_normal((draws, d, m)) / m**0.5
    for step in range(int(own["num_steps"])):
        gradient = product @ gram - cross
        product = rho * product - rate * (1 + rho ** (2 * step + 1)) * gradient
    norm = np.linalg.norm(signals, axis=(1, 2))
    return np.linalg.norm(product @ inputs - signals, axis=(1, 2)) / norm


def _haar(rng: np.random.Generator, draws: int, rows: int, columns: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((draws, rows, columns)))
    return q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None]


def coverage(families: int) -> Table:
    """Return one row a setting of the first families."""
    table = Table(
        f"Limits of the regression error of {SEEDS} seeds at widths {', '.join(map(str, WIDTHS))}, "
        f"{SWEEPS} sweeps a setting, beside the limit of infinite width of {DRAWS} seeds",
        ["d", "m", "s", "n", "learning_rate", "weight_decay", "condition_number", "num_steps",
         "law", "law_error", "law_skewness", "law_deviation", "mean_at_largest", "mean_limit",
         "sweeps", "held", "held_by_student", "no_limit", "order_told", "half_over_law"],
    )  # fmt: skip
    student: Any = stats.t
    quantile = student.ppf((1 + LEVEL) / 2, SEEDS - 1) / SEEDS**0.5
    sizes = np.asarray(WIDTHS, dtype=float)
    for number in range(families):
        own = settings_of(number)
        widths = [
            errors(document(number, w, own, kernel="generic", seeds=SEEDS * SWEEPS), own)
            for w in WIDTHS
        ]
        rng = np.random.default_rng([2027, number])
        for place, setting in enumerate(own):
            law = descent_in_the_limit(number, setting, DRAWS, rng)
            values = np.stack([each[place] for each in widths], axis=1)
            held = by_student = none = told = 0
            halves, found = [], []
            for first in range(0, len(values), SEEDS):
                seeds = values[first : first + SEEDS]
                limit, low, high = limit_and_ends(sizes, seeds)
                order = orders(sizes, seeds)
                told += bool(np.isfinite(order[0]))
                none += bool(order[1] > ORDERS[1] or order[2] < ORDERS[0])
                held += low <= law.mean() <= high
                one, two = limits_of_seeds(sizes, seeds)
                half = (
                    quantile * two.std(ddof=1) + abs(one.mean() - two.mean()) * sizes[0] / sizes[-1]
                )
                by_student += abs(limit - law.mean()) <= half
                halves.append((high - low) / 2 / law.mean())
                found.append(limit)
            skewness: Any = stats.skew(law)
            table.add(
                *FAMILIES[number], *(setting[key] for key in list(table.columns[4:8])),
                float(law.mean()), float(law.std() / DRAWS**0.5), float(skewness),
                float(law.std() / law.mean()), float(values[:, -1].mean()), float(np.mean(found)),
                SWEEPS, int(held), int(by_student), int(none), int(told), float(np.median(halves)),
            )  # fmt: skip
        ours, students = (sum(int(row[i]) for row in table.rows[-SETTINGS:]) for i in (15, 16))
        print(f"{FAMILIES[number]}: {ours}, by Student's {students}, of {SETTINGS * SWEEPS} sweeps")
    return table


def beside_the_law() -> Table:
    """Return the limit by these steps beside the reduced kernel's by law at a width of 10^9."""
    table = Table(
        f"Mean regression errors of {LAW_SEEDS} seeds at a width of 1e9 by the law, and of "
        f"{DRAWS} runs of the limit",
        ["d", "m", "s", "n", "by_law", "by_law_error", "limit", "limit_error", "apart_in_errors"],
    )
    for number in range(len(FAMILIES)):
        own = settings_of(number)[:2]
        made = document(number, LAW_WIDTH, own, network={"initial_weights": "law"},
                        kernel="reduced", seeds=LAW_SEEDS)  # fmt: skip
        by_law = errors(made, own)[0]
        limit = descent_in_the_limit(number, own[0], DRAWS, np.random.default_rng([2028, number]))
        parts = [(v.mean(), v.std(ddof=1) / len(v) ** 0.5) for v in (by_law, limit)]
        (a, b), (c, e) = parts
        table.add(*FAMILIES[number], *map(float, (a, b, c, e, (a - c) / np.hypot(b, e))))
        print(table.text(), flush=True)
    return table


def main() -> int:
    """Print a table, and write it if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--law", action="store_true", help="the limit beside the reduced kernel's")
    parser.add_argument("--families", type=int, default=len(FAMILIES), help="the first few only")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    where = machine()
    table = beside_the_law() if arguments.law else coverage(arguments.families)
    print(table.text())
    if arguments.csv:
        table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
