"""Small networks by vector instructions beside others: `python -m tests.benchmarks.small_networks`.

512 runs of gradient descent in float64, full batches: ours by `sweep.kernel = "simd"` (extra
`simd`) and by what they are trained with otherwise, in a process a core, as the engine's workers
are; and JAX's `jit(vmap(scan))` over all runs at once with all cores, as one would write it. The
same data and the same initial weights; steps alone are timed, as the difference of two lengths.
Before that the losses after some steps are compared.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.runtime import numerics, usable_cores
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table, machine, verdict
from tests.benchmarks.timing import in_turns

RUNS, RATE = 512, 1e-3
_SHORT = 40
# Seconds that the longer of the two lengths is to take.
_SECONDS = 0.3


@dataclass(frozen=True)
class Case:
    """A network and its data.

    Attributes:
        name: What it is called.
        problem: The keys of [problem].
        network: The keys of [network].
        otherwise: The kernel that it is trained with otherwise.
        predict: Its outputs, of the engine's parameters and inputs, as one would write it.
        flops: The operations of a step that are products of matrices, of a run.
        target: How many times faster than by hand it is to be.
        limit: What its speed is limited by.
    """

    name: str
    problem: dict[str, Any]
    network: dict[str, Any]
    otherwise: str
    predict: Callable[[Any, Any], Any]
    flops: int
    target: float
    limit: str

    def document(self, kernel: str, steps: int, seeds: list[int]) -> dict[str, Any]:
        """Return a sweep of some of the runs."""
        return {
            "name": "small",
            "problem": self.problem,
            "network": self.network,
            "training": {"learning_rate": RATE, "num_steps": steps},
            "record": {"observables": ["loss"], "count": 2},
            "sweep": {"seeds": seeds, "kernel": kernel},
        }


def _chain(params: Any, inputs: Any, phi: Callable[[Any], Any]) -> Any:
    first, *rest = params["weights"] if isinstance(params, dict) else params
    values = first @ inputs
    for weight in rest:
        values = weight @ phi(values)
    return values


def _layers(dims: list[int], samples: int) -> int:
    """Return the operations of a step of a chain of matrices: forward, backward, gradients."""
    sizes = [a * b for a, b in pairwise(dims)]
    return 2 * samples * (3 * sum(sizes) - sizes[0])


def _linear(depth: int) -> Case:
    problem = {"kind": "subspace", "signal_dim": 5, "measurement_dim": 5, "subspace_dim": 1,
               "num_samples": 5}  # fmt: skip
    return Case(
        f"linear, depth {depth}, 5 x 5, n = 5",
        problem,
        {"kind": "deep_linear", "depth": depth, "width": 5},
        "dense",
        partial(_chain, phi=lambda x: x),
        _layers([5] * (depth + 1), 5),
        15.0,
        "products too short for full blocks, each waiting for the last",
    )


def _mlp(name: str, phi: Callable[[Any], Any], inputs: int, width: int, samples: int) -> Case:
    problem = {"kind": "teacher", "signal_dim": 1, "measurement_dim": inputs,
               "num_samples": samples}  # fmt: skip
    return Case(
        f"{name}, d = {inputs}, k = {width}, n = {samples}",
        problem,
        {"kind": "mlp", "depth": 2, "width": width, "activation": name},
        "generic",
        partial(_chain, phi=phi),
        _layers([inputs, width, 1], samples),
        3.0,
        "the adders" if name == "relu" else f"{width * samples} {name} a step",
    )


def _diagonal() -> Case:
    def predict(params: Any, inputs: Any) -> Any:
        return (params["u"] ** 2 - params["v"] ** 2) @ inputs

    problem = {"kind": "sparse_regression", "measurement_dim": 30, "num_samples": 20,
               "sparsity": 3}  # fmt: skip
    network = {"kind": "diagonal_linear", "layer_init_scale": 0.1}
    return Case(
        "diagonal, d = 30, n = 20",
        problem,
        network,
        "generic",
        predict,
        4 * 30 * 20,
        3.0,
        "reading the data twice a step, a number a multiply-add",
    )


def cases() -> list[Case]:
    """Return what is measured."""
    return [
        _linear(3),
        _linear(10),
        _mlp("relu", lambda x: jnp.maximum(x, 0.0), 5, 8, 10),
        _mlp("relu", lambda x: jnp.maximum(x, 0.0), 10, 16, 20),
        _mlp("tanh", jnp.tanh, 10, 16, 20),
        _diagonal(),
    ]


def _plan(document: dict[str, Any]) -> Any:
    from tests.benchmarks.ours import plan_of

    return plan_of(document)


class Scan:
    """`jit(vmap(scan))` over `jax.grad` steps of all runs at once."""

    def __init__(self, case: Case) -> None:
        from dlnsweep.engine.batch import program_for

        plan = _plan(case.document("generic", 1, list(range(RUNS))))
        with numerics():
            program = program_for(plan.row(0), plan.program_widths[0], RUNS)
            inputs, carry = program.start(program.arguments(plan.settings))
            self.arrays = jax.tree.map(
                lambda leaf: leaf[:RUNS], (carry.state.params, inputs.constants.samples)
            )

        def loss(params: Any, samples: Any) -> Any:
            return 0.5 * jnp.sum((case.predict(params, samples.inputs) - samples.targets) ** 2)

        def train(params: Any, samples: Any, steps: int) -> Any:
            def step(params: Any, _: Any) -> tuple[Any, None]:
                slopes = jax.grad(loss)(params, samples)
                return jax.tree.map(lambda p, g: p - RATE * g, params, slopes), None

            return lax.scan(step, params, length=steps)[0]

        def batched(params: Any, samples: Any, steps: int) -> Any:
            found = jax.vmap(partial(train, steps=steps))(params, samples)
            return found, jax.vmap(loss)(found, samples)

        self.train = jax.jit(batched, static_argnames="steps")

    def losses(self, steps: int) -> np.ndarray:
        """Return the loss of each run after some steps."""
        with numerics():
            return np.asarray(self.train(*self.arrays, steps=steps)[1])

    def seconds(self, steps: int) -> float:
        """Return the seconds of a call."""
        with numerics():
            began = time.perf_counter()
            jax.block_until_ready(self.train(*self.arrays, steps=steps))
            return time.perf_counter() - began


def _error(case: Case, scan: Scan) -> float:
    """Return the largest relative difference of the losses after some steps."""
    from dlnsweep.engine.batch import train_batch

    plan = _plan(case.document("simd", _SHORT, list(range(RUNS))))
    trained = train_batch(plan.settings, plan.shared, plan.program_widths[0])
    assert set(trained.kernel) == {"simd"}, trained.kernel_reason[0]
    found, wanted = trained.observables["loss"][:, -1], scan.losses(_SHORT)
    return float(np.max(np.abs(found - wanted) / wanted))


def measured(case: Case, processes: Pinned, rounds: int, seconds: float) -> tuple[Any, float]:
    """Return the seconds a run-step of each peer, and the error of ours."""
    scan = Scan(case)
    cores = processes.cores
    shares = [list(range(i, RUNS, len(cores))) for i in range(len(cores))]

    def ours(kernel: str, steps: int) -> float:
        jobs = [{"document": case.document(kernel, steps, seeds)} for seeds in shares]
        return max(one["answer"]["training"] for one in processes.call("train", jobs))

    def a_run_step(take: Callable[[int], float], steps: int) -> float:
        return (take(_SHORT + steps) - take(_SHORT)) / steps / RUNS

    def length(take: Callable[[int], float]) -> int:
        """Return how many steps take about the wanted seconds."""
        steps = 100
        while True:
            # The first call of a length may compile.
            take(_SHORT + steps)
            taken = take(_SHORT + steps)
            if taken > seconds / 5:
                return max(100, int(steps * seconds / taken))
            steps *= 4

    peers = {
        "simd": partial(ours, "simd"),
        "otherwise": partial(ours, case.otherwise),
        "by hand": scan.seconds,
    }
    timed = {name: partial(a_run_step, take, length(take)) for name, take in peers.items()}
    return in_turns(timed, rounds), _error(case, scan)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="for trying the script, not numbers")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    rounds, seconds = (1, 0.05) if arguments.quick else (5, _SECONDS)
    where = machine()
    print(where, flush=True)
    cores = usable_cores()
    table = Table(
        f"small networks, float64, {RUNS} runs, {len(cores)} cores: microseconds a run-step",
        ["step", "simd", "otherwise", "by hand", "otherwise / simd", "by hand / simd",
         "share of the peak", "error"],
    )  # fmt: skip
    with Pinned(cores) as processes:
        for case in cases():
            peak = sum(one["answer"] for one in processes.call("peak", [{} for _ in cores]))
            found, error = measured(case, processes, rounds, seconds)
            mine = found["simd"]
            table.add(
                case.name, *(1e6 * found[name] for name in ("simd", "otherwise", "by hand")),
                found["otherwise"] / mine, found["by hand"] / mine, case.flops / mine / peak, error,
            )  # fmt: skip
            ratio = verdict(found["by hand"] / mine, case.target)
            table.notes.append(f"{case.name}: by hand / simd {ratio}; limited by {case.limit}.")
            print(table.notes[-1], flush=True)
            if arguments.csv:
                table.write_csv(arguments.csv, where)
    print(table.markdown() if arguments.markdown else table.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
