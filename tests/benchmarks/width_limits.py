"""How often the error bar of `dlnsweep extrapolate` holds the limit: 100 settings.

python -m tests.benchmarks.width_limits [--law | --orders] [--csv FILE]

Deep linear networks of two layers, fan-in steps, of settings drawn at random: dimensions, numbers
of samples, condition numbers, learning rates and weight decays. Of each setting 200 seeds at four
widths, the same seeds in all settings of a family, make twenty sweeps of ten, of which each
extrapolates the regression error and says an interval and an order. The limit of the mean is known
by the law of infinite width: of entries of variance 1/m and 1/k

    W_1^T W_1 / k -> I / m,   W_2 W_2^T -> I,   P(0) = W_2 W_1 with entries N(0, 1/m),

and with G = (P Y - X) Y^T and rho = 1 - eta lambda / m a step of both layers is, but for O(1/k),

    P(t+1) = rho P(t) - (eta / m) (1 + rho^(2t+1)) G(t)

(derived: what W_2 moves by falls as 1/sqrt(k), so that W_2 W_2^T stays, and W_1 only decays but for
its part in W_2's rows). `descent_in_the_limit` makes these steps in NumPy on data drawn by it. The
reduced kernel with its weights by their law stands beside that at widths of 10^6 and 10^9
(`--law`), of 20 seeds in five settings of each family: from the same starts, of which what is apart
falls as 1/sqrt(k), and in their means. `--orders` asks for the order at widths eight times apart.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))

from planned_runs import train

from dlnsweep.analysis.limits import (
    ANOTHER,
    LEVEL,
    ONE,
    limit_and_ends,
    limits_of_seeds,
    orders,
    verdict_on,
)
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.reduced.program import ReducedDraw
from dlnsweep.spec.sweep import Sweep
from tests.benchmarks.tables import Table, machine

WIDTHS = (16, 32, 64, 128)
# d, m, s, n of each family, which four programs train.
FAMILIES = ((3, 3, 1, 2), (4, 3, 2, 8), (6, 4, 3, 12), (8, 4, 2, 30))
# Of each family, and settings of each.
STEPS = (30, 120, 60, 90)
SETTINGS = 25
# Of a sweep, and sweeps of a setting.
SEEDS, SWEEPS = 10, 20
# Runs of the limit of each setting.
DRAWS = 10_000
# Of which the order is asked, what of each setting, and of how many settings of a family.
FAR_WIDTHS = (4, 32, 256)
ORDER_SEEDS, ORDER_SWEEP, ORDER_SETTINGS = 1000, 100, 4
# Beside the law, of each of so many settings of a family.
LAW_SEEDS, LAW_WIDTHS, LAW_SETTINGS = 20, (10**6, 10**9), 5


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


def planned(document: dict[str, Any]) -> Plan:
    """Return the plan of a sweep, which is one program."""
    plan = make_plan(Sweep.from_dict(document))
    assert len(set(plan.programs)) == 1
    return plan


def ends(plan: Plan) -> np.ndarray:
    """Return what the runs of a plan end with, (runs,)."""
    found = train(plan)
    assert set(found.status) == {"finished"}
    last = np.asarray(found.num_rows) - 1
    return found.observables["regression_error"][np.arange(plan.num_runs), last]


def by_setting(plan: Plan, own: list[dict[str, float]]) -> np.ndarray:
    """Return which runs a plan has of each setting, by their seeds: (settings, seeds)."""
    rates = [each["learning_rate"] for each in own]
    rows: list[list[tuple[int, int]]] = [[] for _ in own]
    for run in range(plan.num_runs):
        row = plan.row(run)
        rows[rates.index(row["training.learning_rate"])].append((row["seed"], run))
    return np.array([[run for _, run in sorted(row)] for row in rows])


def errors(document: dict[str, Any], own: list[dict[str, float]]) -> np.ndarray:
    """Return what the runs of a sweep end with, (settings, seeds)."""
    plan = planned(document)
    return ends(plan)[by_setting(plan, own)]


class Data(NamedTuple):
    """Runs at step 0 as the limit needs them, with leading axes (runs,)."""

    product: np.ndarray
    inputs: np.ndarray
    signals: np.ndarray
    norm: np.ndarray


def descent_in_the_limit(own: dict[str, float], data: Data) -> np.ndarray:
    """Return the regression errors of runs of infinite width, (runs,); see the module's head."""
    product, inputs, signals, norm = data
    turned = inputs.transpose(0, 2, 1)
    gram, cross = inputs @ turned, signals @ turned
    rate = own["learning_rate"] / inputs.shape[1]
    rho = 1 - rate * own["weight_decay"]
    for step in range(int(own["num_steps"])):
        gradient = product @ gram - cross
        product = rho * product - rate * (1 + rho ** (2 * step + 1)) * gradient
    return np.linalg.norm(product @ inputs - signals, axis=(1, 2)) / norm


def drawn_in_the_limit(
    number: int, own: dict[str, float], draws: int, rng: np.random.Generator
) -> Data:
    """Return runs of a family, drawn in NumPy."""
    d, m, s, n = FAMILIES[number]
    rank = min(s, n)
    operator = rng.standard_normal((draws, m, d)) / m**0.5
    basis, left, right = (_haar(rng, draws, a, b) for a, b in ((d, s), (s, rank), (n, rank)))
    values = np.linspace(1.0, 1.0 / own["condition_number"], rank)
    signals = basis @ (left * values) @ right.transpose(0, 2, 1)
    product = rng.standard_normal((draws, d, m)) / m**0.5
    return Data(product, operator @ signals, signals, np.linalg.norm(signals, axis=(1, 2)))


def drawn_by_the_law(plan: Plan, rows: Sequence[int]) -> Data:
    """Return the starts that the reduced kernel draws of some runs of a plan, W_2 W_1 multiplied.

    Samples are in its coordinates: of rank r, which has all of the signals.
    """
    found = []
    with numerics():
        drawing = ReducedDraw(plan.row(rows[0]), LAW_WIDTHS[0])
        for run in rows:
            start = drawing.draw(plan.row(run))
            data, (last,) = start.data, start.rest
            basis = np.concatenate([data.range_basis, data.off_basis], axis=1)
            product = last @ np.concatenate([start.first, start.first_off], axis=1) @ basis.T
            assert data.residual <= 1e-20 * data.signal_norm**2
            found.append((product, data.range_basis * data.inputs, data.targets, data.signal_norm))
    return Data(*map(np.asarray, zip(*found, strict=True)))


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
            law = descent_in_the_limit(setting, drawn_in_the_limit(number, setting, DRAWS, rng))
            values = np.stack([each[place] for each in widths], axis=1)
            held = by_student = none = told = 0
            halves, found = [], []
            for first in range(0, len(values), SEEDS):
                seeds = values[first : first + SEEDS]
                limit, low, high = limit_and_ends(sizes, seeds)
                verdict = verdict_on(orders(sizes, seeds))
                told += verdict == ONE
                none += verdict == ANOTHER
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


def told_orders(families: int) -> Table:
    """Return what 1000 seeds at widths eight times apart, and sweeps of 100 of them, tell."""
    table = Table(
        f"What {ORDER_SEEDS} seeds at widths {', '.join(map(str, FAR_WIDTHS))} tell of the order "
        f"in which regression errors near their limit, and sweeps of {ORDER_SWEEP} of them; beside "
        f"the limit of infinite width of {DRAWS} seeds",
        ["d", "m", "s", "n", "learning_rate", "weight_decay", "condition_number", "num_steps",
         "order", "order_low", "order_high", "verdict", "law", "law_error", "limit", "low", "high",
         "sweeps", "one", "another", "held"],
    )  # fmt: skip
    sizes = np.asarray(FAR_WIDTHS, dtype=float)
    for number in range(families):
        own = settings_of(number)[:ORDER_SETTINGS]
        rng = np.random.default_rng([2029, number])
        ends = [
            errors(document(number, width, own, kernel="generic", seeds=ORDER_SEEDS), own)
            for width in FAR_WIDTHS
        ]
        for place, setting in enumerate(own):
            values = np.stack([each[place] for each in ends], axis=1)
            drawn = drawn_in_the_limit(number, setting, DRAWS, rng)
            law = descent_in_the_limit(setting, drawn)
            order = orders(sizes, values)
            sweeps = values.reshape(-1, ORDER_SWEEP, len(sizes))
            verdicts = [verdict_on(orders(sizes, each)) for each in sweeps]
            held = 0
            for seeds, verdict in zip(sweeps, verdicts, strict=True):
                _, low, high = limit_and_ends(sizes, seeds)
                held += verdict != ANOTHER and low <= law.mean() <= high
            table.add(
                *FAMILIES[number], *(setting[key] for key in list(table.columns[4:8])), *order,
                verdict_on(order), float(law.mean()), float(law.std() / DRAWS**0.5),
                *map(float, limit_and_ends(sizes, values)), len(sweeps), verdicts.count(ONE),
                verdicts.count(ANOTHER), held,
            )  # fmt: skip
        print(table.text(), flush=True)
    return table


def beside_the_law(families: int) -> Table:
    """Return one row a setting of the first families: the limit beside the reduced kernel's."""
    table = Table(
        f"Regression errors of {LAW_SEEDS} seeds a setting by the reduced kernel's law at two "
        "widths, the farthest from the limit's steps from the same starts relative to the limit, "
        f"and their mean at the larger beside that of {DRAWS} seeds of the limit",
        ["d", "m", "s", "n", "learning_rate", "weight_decay", "condition_number", "num_steps",
         *(f"apart_{width:.0e}".replace("+0", "") for width in LAW_WIDTHS),
         "by_law", "by_law_error", "limit", "limit_error", "apart_in_errors"],
    )  # fmt: skip
    for number in range(families):
        own = settings_of(number)[:LAW_SETTINGS]
        apart, by_law = [], np.array(())
        for width in LAW_WIDTHS:
            plan = planned(document(number, width, own, network={"initial_weights": "law"},
                                    kernel="reduced", seeds=LAW_SEEDS))  # fmt: skip
            runs = by_setting(plan, own)
            by_law = ends(plan)[runs]
            limits = [
                descent_in_the_limit(each, drawn_by_the_law(plan, rows))
                for each, rows in zip(own, runs.tolist(), strict=True)
            ]
            apart.append(np.max(np.abs(by_law / np.array(limits) - 1), axis=1))
        rng = np.random.default_rng([2028, number])
        for place, setting in enumerate(own):
            drawn = drawn_in_the_limit(number, setting, DRAWS, rng)
            limit = descent_in_the_limit(setting, drawn)
            parts = [(v.mean(), v.std(ddof=1) / len(v) ** 0.5) for v in (by_law[place], limit)]
            (a, b), (c, e) = parts
            table.add(
                *FAMILIES[number], *(setting[key] for key in list(table.columns[4:8])),
                *(float(each[place]) for each in apart),
                *map(float, (a, b, c, e, (a - c) / np.hypot(b, e))),
            )  # fmt: skip
        print(f"{FAMILIES[number]}: farthest {[f'{each.max():.2g}' for each in apart]}", flush=True)
    return table


def main() -> int:
    """Print a table, and write it if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--law", action="store_true", help="the limit beside the reduced kernel's")
    parser.add_argument("--orders", action="store_true", help="what the order is told to be")
    parser.add_argument("--families", type=int, default=len(FAMILIES), help="the first few only")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    where = machine()
    made = beside_the_law if arguments.law else told_orders if arguments.orders else coverage
    table = made(arguments.families)
    print(table.text())
    if arguments.csv:
        table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
