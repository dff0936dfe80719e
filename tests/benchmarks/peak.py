"""How far the rows of `field_networks` could be from by hand at most: `python -m ...peak`.

Of each row's step the products of matrices are counted and divided by the speed of a large product
of the same precision: what no way of training can go below on a core. Beside it the step's own
products, but those with one output, each in the best of the forms that it can be written in, by
XLA's library and without it; tiny networks, which are trained as vector instructions, have none.
Times are those on a core, the least of some, so that other programs on the machine do not decide.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.numerics.runtime import numerics, usable_cores
from tests.benchmarks.field_networks import cases
from tests.benchmarks.network_peers import Case
from tests.benchmarks.step_parts import least, product
from tests.benchmarks.tables import Table, machine

_LARGE = 1024
_ATTEMPTS = 5
# More are tiny networks, which are trained as vector instructions.
_MOST_RUNS = 32
# XLA's library of small products, and what it has otherwise.
_LIBRARIES: tuple[dict[str, Any], ...] = ({}, {"xla_cpu_experimental_ynn_fusion_type": ""})


def sizes(case: Case) -> list[tuple[int, int, int]]:
    """Return outputs, inputs and samples of each product of matrices forward."""
    inputs, outputs = case.problem["measurement_dim"], case.problem["signal_dim"]
    hidden = [case.network["width"]] * (case.network["depth"] - 1)
    dims = [inputs, *hidden, outputs]
    return [(b, a, case.problem["num_samples"]) for a, b in pairwise(dims) if b > 1]


def forms(
    rows: int, inner: int, columns: int, dtype: str
) -> Iterator[tuple[str, tuple[int, int], Any]]:
    """Return the forms of A B: its name, the shape of what changes with a step, and the product.

    What changes is given as the form reads it; the other factor is drawn in either layout.
    """
    import jax.numpy as jnp

    drawn = np.random.default_rng(0).standard_normal
    right = jnp.asarray(drawn((inner, columns)), dtype)
    turned = jnp.asarray(np.ascontiguousarray(right.T))
    yield "A B", (rows, inner), lambda a: a @ right
    yield "A (B^T)^T", (rows, inner), lambda a: a @ turned.T
    yield "(B^T A^T)^T", (rows, inner), lambda a: turned @ a.T
    yield "(B^T (A^T))^T", (inner, rows), lambda a: turned @ a


def seconds_of(multiply: Any, shape: tuple[int, int], dtype: str, options: dict[str, Any]) -> float:
    """Return the seconds of a product on a core, in a loop."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    def loop(left: Any, found: Any, count: Any) -> Any:
        def once(_: Any, carry: Any) -> Any:
            left, found = carry
            # What is added has no size, but keeps the product in the loop.
            left = left.at[0, 0].add(found[0, 0] * 1e-30)
            return left, multiply(left)

        return lax.fori_loop(0, count, once, (left, found))

    left = jnp.asarray(np.random.default_rng(1).standard_normal(shape), dtype)
    begun = jnp.zeros_like(multiply(left))
    lowered = jax.jit(loop).lower(left, begun, np.int64(0))
    compiled = lowered.compile(compiler_options=options)

    def seconds(steps: int) -> float:
        began = time.process_time()
        jax.block_until_ready(compiled(left, begun, np.int64(steps)))
        return time.process_time() - began

    return least(seconds)


def best(rows: int, inner: int, columns: int, dtype: str) -> float:
    """Return the seconds of a product A B in its best form."""
    found = {}
    for number, options in enumerate(_LIBRARIES):
        for name, shape, multiply in forms(rows, inner, columns, dtype):
            found[name, number] = seconds_of(multiply, shape, dtype, options)
    return min(found.values())


def products(case: Case) -> float:
    """Return the seconds on a core of a step's products of matrices, each in its best form."""
    total = 0.0
    for layer, (outputs, inputs, samples) in enumerate(sizes(case)):
        # Forward, the gradient by the weights, and that by what the layer reads.
        todo = [(outputs, inputs, samples), (outputs, samples, inputs)]
        todo += [(inputs, outputs, samples)] * (layer > 0)
        total += sum(best(*each, case.precision) for each in todo)
    return total


def main() -> int:
    """Print the table."""
    import jax.numpy as jnp

    parser = argparse.ArgumentParser()
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        # Before JAX starts: XLA makes as many threads as it finds cores.
        os.sched_setaffinity(0, {usable_cores()[0]})
    where = machine()
    print(where, flush=True)
    table = Table(
        "steps of field_networks and the processor's peak: microseconds on a core",
        ["step", "at the peak, us", "its products, us", "Gflop/s", "a large product, Gflop/s"],
    )
    with numerics():
        large = {}
        for precision in ("float64", "float32"):
            matrix = jnp.ones((_LARGE, _LARGE), precision) / _LARGE
            large[precision] = 2 * _LARGE**3 / min(product(matrix) for _ in range(_ATTEMPTS))
        for case, _, _ in cases():
            speed = large[case.precision]
            own = np.nan if case.runs > _MOST_RUNS else products(case)
            done = 2 * sum(
                math.prod(each) * (2 + (layer > 0)) for layer, each in enumerate(sizes(case))
            )
            table.add(case.name, 1e6 * case.flops / speed, 1e6 * own, done / own / 1e9, speed / 1e9)
            table.keep_last(arguments.csv, where)
    print(table.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
