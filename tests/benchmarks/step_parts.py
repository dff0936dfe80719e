"""What a step of the second row of `field_networks` is made of: `python -m ...step_parts`.

The network (two layers of tanh, d = 20, k = 64, n = 200, float64) by the generic way, beside what
its step cannot do without, by XLA and alone, in a loop: the two products of its hidden layer with
the samples, as one writes them and by rows of samples, as ours are made, and what the tanh between
them adds; and the same step of one run, written by hand.
Times are those on a core, the least of some, of one run; of `jit(vmap(scan))`, which spreads over
the cores, those of all its threads. The library's speed at large products stands beside them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.field_networks import cases
from tests.benchmarks.network_peers import RATE, Scan, begun
from tests.benchmarks.ours import plan_of
from tests.benchmarks.tables import Table, machine

_FEW, _MANY, _ATTEMPTS = 50, 550, 6
# Of what is less than a step, so many times as many: else what is timed is some milliseconds.
_LONGER = 40
# Ours in a process a core has half of the runs.
_OURS = 16
_LARGE = 1024


def least(seconds: Callable[[int], float], longer: int = 1) -> float:
    """Return the least seconds of a step, as the difference of two lengths."""
    few, many = longer * _FEW, longer * _MANY
    for steps in (few, many):
        seconds(steps)
    short, long = (min(seconds(n) for _ in range(_ATTEMPTS)) for n in (few, many))
    return (long - short) / (many - few)


def repeated(once: Callable[[Any], Any], begun: Any) -> float:
    """Return the seconds on a core of what is done again and again to some arrays."""
    import jax

    @jax.jit
    def loop(begun: Any, count: Any) -> Any:
        return jax.lax.fori_loop(0, count, lambda _, values: once(values), begun)

    def seconds(steps: int) -> float:
        began = time.process_time()
        jax.block_until_ready(loop(begun, steps))
        return time.process_time() - began

    return least(seconds, _LONGER)


def product(matrix: Any) -> float:
    """Return the seconds on a core of the square of a large matrix, the least of some."""
    import jax

    multiply = jax.jit(lambda a: a @ a)

    def seconds() -> float:
        began = time.process_time()
        multiply(matrix).block_until_ready()
        return time.process_time() - began

    seconds()
    return min(seconds() for _ in range(_ATTEMPTS))


def main() -> int:
    """Print the table."""
    import jax
    import jax.numpy as jnp

    from dlnsweep.engine.batch import train_batch
    from dlnsweep.numerics.runtime import numerics

    parser = argparse.ArgumentParser()
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    where = machine()
    print(where, flush=True)
    case = cases()[1][0]
    params, samples = begun(case)
    table = Table(f"{case.name}: microseconds on a core", ["what", "us", "Gflop/s"])

    def ours(steps: int) -> float:
        plan = plan_of(case.document("generic", steps, list(range(_OURS))))
        began = time.process_time()
        train_batch(plan.settings, plan.shared, plan.program_widths[0])
        return time.process_time() - began

    with numerics():
        first, last = (jnp.asarray(each[0]) for each in params["weights"])
        inputs, targets = jnp.asarray(samples.inputs[0]), jnp.asarray(samples.targets[0])

        def loss(weights: Any) -> Any:
            outputs = weights[1] @ jnp.tanh(weights[0] @ inputs)
            return 0.5 * jnp.sum((outputs - targets) ** 2)

        def step(weights: Any) -> Any:
            return jax.tree.map(lambda w, g: w - RATE * g, weights, jax.grad(loss)(weights))

        def between(phi: Callable[[Any], Any], by_rows: bool) -> float:
            def once(own: Any) -> Any:
                if not by_rows:
                    return own - 1e-6 * (phi(own @ inputs) @ inputs.T)
                return own - 1e-6 * (inputs @ phi(rows @ own))

            return repeated(once, first.T if by_rows else first)

        rows = inputs.T.copy()
        products, products_by_rows = (between(lambda h: h, each) for each in (False, True))
        tanh = between(jnp.tanh, True) - products_by_rows
        by_hand = repeated(step, (first, last))
        large = product(jnp.ones((_LARGE, _LARGE)) / _LARGE)
    scan = Scan(case, (params, samples), "vmap")

    def together(steps: int) -> float:
        began = time.process_time()
        scan.losses(steps)
        return time.process_time() - began

    # Of the products with the samples alone.
    flops = 4 * first.size * inputs.shape[1]
    table.add("its two products with the samples", 1e6 * products, flops / products / 1e9)
    table.add("the same by rows", 1e6 * products_by_rows, flops / products_by_rows / 1e9)
    table.add("its tanh between them", 1e6 * tanh, np.nan)
    table.add("a step of one run by hand", 1e6 * by_hand, flops / by_hand / 1e9)
    own, theirs = least(ours) / _OURS, least(together) / case.runs
    table.add(f"ours, {_OURS} runs", 1e6 * own, flops / own / 1e9)
    table.add(f"jit(vmap(scan)), {case.runs} runs", 1e6 * theirs, flops / theirs / 1e9)
    table.add(f"a product of {_LARGE} x {_LARGE}", 1e6 * large, 2 * _LARGE**3 / large / 1e9)
    print(table.text())
    if arguments.csv:
        table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
