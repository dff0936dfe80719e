"""Nonlinear networks extrapolated in 1/width, beside a limit that is derived.

python -m tests.benchmarks.mlp_limits [--csv FILE]

An mlp of L layers in the ntk parametrization, f = W_L phi(... phi(W_1 y / sqrt(m)) ...) / sqrt(k),
with entries of N(0, 1), of one output, trained on half the squared error of n samples by gradient
descent. In the limit of infinite width (Jacot, Gabriel and Hongler 2018, arXiv:1806.07572; Lee et
al. 2019, arXiv:1902.06720) the outputs at the start are N(0, Sigma_L) and a step is f -= eta K_L
(f - x), of

    Sigma_1 = K_1 = Y^T Y / m,   Sigma_{l+1} = E phi(z) phi(z)^T,
    K_{l+1} = Sigma_{l+1} + K_l * E phi'(z) phi'(z)^T,   z ~ N(0, Sigma_l),

with * entry by entry. So with R = (1 - eta K_L)^t the loss after t steps has the mean

    (|R x|^2 + tr(R Sigma_L R)) / 2

over weights, and that is averaged over data. Expectations of erf (Williams 1997) and relu (Cho and
Saul 2009) are known.

Where theory has another order: in the standard parametrization at a learning rate of c / k the last
layer's k weights move by O(1/k) each, so that the distance from the start falls as 1/sqrt(k), to 0.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import erf

sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))

from planned_runs import train

from dlnsweep.analysis.limits import ANOTHER, ONE, limit_and_ends, orders, verdict_on
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep
from tests.benchmarks.tables import Table, machine

WIDTHS = {"ntk": (4, 32, 256), "standard": (16, 128, 1024)}
INPUTS, SAMPLES, TEACHERS = 4, 8, 2
# Activation, depth, learning rate.
LAZY = (("erf", 2, 0.1), ("erf", 3, 0.1), ("relu", 2, 0.1), ("relu", 3, 0.1))
# Times 1 / width.
STANDARD = (("erf", 2, 0.1), ("relu", 2, 0.1))
STEPS = 50
# Of each setting, of a sweep, and data sets of the limit.
SEEDS, SWEEP, DRAWS = 1000, 10, 20_000


def ends(own: tuple[str, int, float], parametrization: str, name: str, seeds: int) -> np.ndarray:
    """Return what the runs of a setting end with, (seeds, widths)."""
    activation, depth, rate = own
    columns = []
    for width in WIDTHS[parametrization]:
        rate_there = rate if parametrization == "ntk" else rate / width
        document: dict[str, Any] = {
            "name": "mlp_limits",
            "problem": {"kind": "teacher", "signal_dim": 1, "measurement_dim": INPUTS,
                        "num_samples": SAMPLES, "num_teacher_neurons": TEACHERS,
                        "teacher_activation": "erf"},
            "network": {"kind": "mlp", "depth": depth, "width": width, "activation": activation,
                        "parametrization": parametrization},
            "training": {"learning_rate": rate_there, "num_steps": STEPS},
            "record": {"observables": [name], "count": 2},
            "sweep": {"seeds": seeds, "precision": "float64", "kernel": "generic"},
        }  # fmt: skip
        plan = make_plan(Sweep.from_dict(document))
        found = train(plan)
        assert set(found.status) == {"finished"}
        place = np.argsort([plan.row(run)["seed"] for run in range(plan.num_runs)])
        columns.append(found.observables[name][place, -1])
    return np.stack(columns, axis=1)


def data(draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs (draws, m, n) and targets (draws, n) of the teacher, drawn in NumPy."""
    inputs = rng.standard_normal((draws, INPUTS, SAMPLES))
    rows = rng.standard_normal((draws, TEACHERS, INPUTS))
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    signs = rng.choice([-1.0, 1.0], (draws, 1, TEACHERS))
    return inputs, (signs @ erf(rows @ inputs / 2**0.5))[:, 0] / TEACHERS**0.5


def kernels(activation: str, depth: int, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Sigma_L and K_L of data sets, (draws, n, n) each."""
    sigma = inputs.transpose(0, 2, 1) @ inputs / inputs.shape[1]
    kernel = sigma
    for _ in range(depth - 1):
        own = np.diagonal(sigma, axis1=1, axis2=2)
        if activation == "erf":
            one = 1 + 2 * own
            both = one[:, :, None] * one[:, None, :]
            slope = 4 / np.pi / np.sqrt(both - 4 * sigma**2)
            sigma = 2 / np.pi * np.arcsin(2 * sigma / np.sqrt(both))
        else:
            norms = np.sqrt(own[:, :, None] * own[:, None, :])
            angle = np.arccos(np.clip(sigma / norms, -1, 1))
            slope = (np.pi - angle) / (2 * np.pi)
            sigma = norms * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
        kernel = sigma + kernel * slope
    return sigma, kernel


def losses_in_the_limit(
    own: tuple[str, int, float], steps: int, inputs: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """Return the mean loss over the weights of each data set, (draws,)."""
    activation, depth, rate = own
    sigma, kernel = kernels(activation, depth, inputs)
    left = np.linalg.matrix_power(np.eye(kernel.shape[-1]) - rate * kernel, steps)
    of_targets = np.sum(np.einsum("aij,aj->ai", left, targets) ** 2, axis=1)
    return (of_targets + np.einsum("aij,ajk,aik->a", left, sigma, left)) / 2


def limits() -> Table:
    """Return one row a setting."""
    table = Table(
        f"What {SEEDS} seeds at three widths, and sweeps of {SWEEP} of them, tell after {STEPS} "
        f"steps of the limit of infinite width; {SAMPLES} samples of {INPUTS} inputs; the law "
        f"derived, of {DRAWS} sets of data",
        ["parametrization", "activation", "depth", "learning_rate", "widths", "observable",
         "mean_at_largest", "law", "law_error", "limit", "low", "high", "order", "order_low",
         "order_high", "verdict", "sweeps", "held", "one", "another"],
    )  # fmt: skip
    cases = [*(("ntk", own, "loss") for own in LAZY),
             *(("standard", own, "parameter_distance") for own in STANDARD)]  # fmt: skip
    for parametrization, own, name in cases:
        sizes = np.asarray(WIDTHS[parametrization], dtype=float)
        law = np.zeros(2)
        if parametrization == "ntk":
            drawn = data(DRAWS, np.random.default_rng([2030, own[1]]))
            law = losses_in_the_limit(own, STEPS, *drawn)
        values = ends(own, parametrization, name, SEEDS)
        order = orders(sizes, values)
        held, verdicts = 0, []
        for seeds in values.reshape(-1, SWEEP, len(sizes)):
            _, low, high = limit_and_ends(sizes, seeds)
            held += bool(low <= law.mean() <= high)
            verdicts.append(verdict_on(orders(sizes, seeds)))
        table.add(
            parametrization, *own, " ".join(map(str, WIDTHS[parametrization])), name,
            float(values[:, -1].mean()), float(law.mean()), float(law.std() / len(law) ** 0.5),
            *map(float, limit_and_ends(sizes, values)), *order, verdict_on(order), len(verdicts),
            held, verdicts.count(ONE), verdicts.count(ANOTHER),
        )  # fmt: skip
        print(table.text(), flush=True)
    return table


def main() -> int:
    """Print a table, and write it if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    where = machine()
    table = limits()
    if arguments.csv:
        table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
