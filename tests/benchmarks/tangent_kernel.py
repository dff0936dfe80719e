"""What distances of the tangent kernel cost: `python -m tests.benchmarks.tangent_kernel`.

The networks of `sweeps/get_rich_quick.toml`, at its size and at that of the paper (1 000 samples of
100 inputs). The kernel is formed from the layers, as an mlp says, and from the derivatives of all
outputs by all weights, as of a network that says nothing. Beside a record of it stand one of the
activation distance and a step, and the hours of the paper's grid of 4 624 runs at 10^4 steps and
nine records on two cores. What bounds a step stands beside it: its two large products, those of
the hidden layer's weights with the samples and of its gradient with them, by themselves. Time is
that on a core, the least of some; a neighbour on a core's caches still changes it.
"""

from __future__ import annotations

import argparse
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

from tests.benchmarks.tables import Table, machine

_FILE = Path(__file__).parents[2] / "sweeps" / "get_rich_quick.toml"
RUNS, STEPS, RECORDS, CORES = 4624, 10_000, 9, 2
# Samples, inputs, precision.
SIZES = ((150, 30, "float64"), (1000, 100, "float64"), (1000, 100, "float32"))
# Steps of a run that is timed, and the same in the longer one; how often each.
FEW, MANY, ATTEMPTS = 40, 440, 5


def document(samples: int, inputs: int, precision: str) -> dict[str, Any]:
    """Return one cell of the sweep, two seeds of it, at some size."""
    found = tomllib.loads(_FILE.read_text())
    del found["figure"]
    found["problem"] |= {"num_samples": samples, "measurement_dim": inputs}
    found["network"] |= {"layer_init_scale": 0.3, "imbalance": 0.0}
    found["training"] |= {"learning_rate": 0.1}
    found["sweep"] = {"seeds": 2, "kernel": "generic", "precision": precision}
    return found


def seconds(made: dict[str, Any], observables: list[str], steps: int, records: int) -> float:
    """Return the seconds on a core that a run takes, once its programs are compiled."""
    from dlnsweep.engine.batch import train_batch
    from dlnsweep.plan.plan import make_plan
    from dlnsweep.spec.sweep import Sweep

    record = {"observables": observables, "spacing": "linear", "count": records}
    made = made | {"record": record, "training": made["training"] | {"num_steps": steps}}
    plan = make_plan(Sweep.from_dict(made))
    best = float("inf")
    for attempt in range(1 + ATTEMPTS):
        began = time.process_time()
        train_batch(plan.settings, plan.shared, plan.program_widths[0])
        if attempt:
            best = min(best, time.process_time() - began)
    return best / plan.num_runs


def products(made: dict[str, Any]) -> float:
    """Return the seconds on a core of a step's two large products, by XLA and alone."""
    import jax
    import jax.numpy as jnp

    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.runtime import numerics

    problem, network = made["problem"], made["network"]
    sizes = network["width"], problem["measurement_dim"], problem["num_samples"]
    with numerics():
        # Of size one over their inner lengths, so that nothing overflows or becomes subnormal.
        weights, inputs = (
            jnp.ones(shape, made["sweep"]["precision"]) / shape[1]
            for shape in (sizes[:2], sizes[1:])
        )

        @jax.jit
        def repeated(weights: Any, inputs: Any, count: Any) -> Any:
            def once(_: Any, w: Any) -> Any:
                return w - 1e-3 * multiply(multiply(w, inputs), inputs.T)

            return jax.lax.fori_loop(0, count, once, weights)

        def least(count: int) -> float:
            best = float("inf")
            for attempt in range(1 + ATTEMPTS):
                began = time.process_time()
                repeated(weights, inputs, count).block_until_ready()
                if attempt:
                    best = min(best, time.process_time() - began)
            return best

        return (least(MANY) - least(FEW)) / (MANY - FEW)


def by_derivatives(view: Any, params: Any) -> Any:
    """Return the kernel of any network."""
    from dlnsweep.networks.generic.tangent_kernel import jacobian
    from dlnsweep.numerics.products import multiply

    derivatives = jacobian(view, params)
    return multiply(derivatives, derivatives.T)


def measured(samples: int, inputs: int, precision: str) -> tuple[float, ...]:
    """Return the seconds of a step, its products, and records: kernel, so, activations."""
    from dlnsweep.engine.programs import PROGRAMS
    from dlnsweep.networks.generic import tangent_kernel

    made, few = document(samples, inputs, precision), 3
    short, long = (seconds(made, ["loss"], steps, 2) for steps in (FEW, MANY))
    alone = products(made)

    def record(name: str) -> float:
        with_it, without = (
            seconds(made, each, few, few + 1) for each in (["loss", name], ["loss"])
        )
        # What is less than timing hides is nothing.
        return max(0.0, (with_it - without) / (few + 1))

    found = [record("kernel_distance"), record("activation_distance")]
    layers = tangent_kernel.kernel_at
    tangent_kernel.kernel_at = by_derivatives
    PROGRAMS.clear()
    try:
        found.insert(1, record("kernel_distance"))
    finally:
        tangent_kernel.kernel_at = layers
        PROGRAMS.clear()
    kernel, derivatives, activations = found
    return (long - short) / (MANY - FEW), alone, kernel, derivatives, activations


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="for trying the script, not numbers")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    where = machine()
    print(where, flush=True)
    table = Table(
        f"get_rich_quick: a run's step and records on a core; hours: {RUNS} runs of {STEPS} steps "
        f"and {RECORDS} records on {CORES} cores",
        ["samples", "inputs", "precision", "step, us", "its products, us", "kernel distance, ms",
         "by derivatives, ms", "activation distance, ms", "hours", "hours by derivatives"],
    )  # fmt: skip
    for size in SIZES[:1] if arguments.quick else SIZES:
        step, alone, kernel, derivatives, activations = measured(*size)
        hours = [
            RUNS * (STEPS * step + RECORDS * (each + activations)) / CORES / 3600
            for each in (kernel, derivatives)
        ]
        records = [1e3 * each for each in (kernel, derivatives, activations)]
        table.add(*size, 1e6 * step, 1e6 * alone, *records, *hours)
        if arguments.csv:
            table.write_csv(arguments.csv, where)
    print(table.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
