"""Small networks by vector instructions beside others: `python -m tests.benchmarks.small_networks`.

512 runs of gradient descent in float64, full batches: ours by `sweep.kernel = "simd"` (extra
`simd`) and by what they are trained with otherwise, in a process a core, as the engine's workers
are; and, as one would write them, JAX's `jit(vmap(scan))` and a PyTorch loop over steps with
autograd (extra `bench`), each over all runs at once with all cores. The same data and the same
initial weights; steps alone are timed, as the difference of two lengths. Before that the losses
after some steps are compared.
"""

from __future__ import annotations

import argparse
import importlib.util
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
NAMES = ("simd", "otherwise", "by hand", "PyTorch")
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
        predict: Its outputs, of the engine's parameters, inputs and what it does at each neuron, as
            one would write it.
        activation: What it does there; nothing by default.
        flops: The operations of a step that are products of matrices, of a run.
        target: How many times faster than by hand it is to be.
        limit: What its speed is limited by.
    """

    name: str
    problem: dict[str, Any]
    network: dict[str, Any]
    otherwise: str
    predict: Callable[[Any, Any, Callable[[Any], Any]], Any]
    flops: int
    target: float
    limit: str
    activation: str = ""

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
        _chain,
        _layers([5] * (depth + 1), 5),
        15.0,
        "products too short for full blocks, each waiting for the last",
    )


def _mlp(name: str, inputs: int, width: int, samples: int) -> Case:
    problem = {"kind": "teacher", "signal_dim": 1, "measurement_dim": inputs,
               "num_samples": samples}  # fmt: skip
    return Case(
        f"{name}, d = {inputs}, k = {width}, n = {samples}",
        problem,
        {"kind": "mlp", "depth": 2, "width": width, "activation": name},
        "generic",
        _chain,
        _layers([inputs, width, 1], samples),
        3.0,
        "the adders" if name == "relu" else f"{width * samples} {name} a step",
        name,
    )


def _diagonal() -> Case:
    def predict(params: Any, inputs: Any, phi: Callable[[Any], Any]) -> Any:
        del phi
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
        _mlp("relu", 5, 8, 10),
        _mlp("relu", 10, 16, 20),
        _mlp("tanh", 10, 16, 20),
        _diagonal(),
    ]


def _plan(document: dict[str, Any]) -> Any:
    from tests.benchmarks.ours import plan_of

    return plan_of(document)


class Scan:
    """`jit(vmap(scan))` over `jax.grad` steps of all runs at once."""

    def __init__(self, case: Case) -> None:
        from dlnsweep.engine.programs import PROGRAMS

        plan = _plan(case.document("generic", 1, list(range(RUNS))))
        with numerics():
            program = PROGRAMS.dense(plan.row(0), plan.program_widths[0], RUNS)
            inputs, carry = program.start(program.arguments(plan.settings))
            self.arrays = jax.tree.map(
                lambda leaf: leaf[:RUNS], (carry.state.params, inputs.constants.samples)
            )

        phi = {"relu": jax.nn.relu, "tanh": jnp.tanh}.get(case.activation, lambda x: x)

        def loss(params: Any, samples: Any) -> Any:
            outputs = case.predict(params, samples.inputs, phi)
            return 0.5 * jnp.sum((outputs - samples.targets) ** 2)

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


class Torch:
    """A loop over steps with autograd, all runs at once."""

    def __init__(self, case: Case, arrays: Any) -> None:
        import torch

        self.torch = torch
        params, samples = arrays
        leaves, structure = jax.tree.flatten(params)
        self.leaves = [torch.tensor(np.asarray(leaf)) for leaf in leaves]
        inputs, targets = (
            torch.tensor(np.asarray(each)) for each in (samples.inputs, samples.targets)
        )
        phi = {"relu": torch.relu, "tanh": torch.tanh}.get(case.activation, lambda x: x)

        def loss(leaves: Any, inputs: Any, targets: Any) -> Any:
            outputs = case.predict(jax.tree.unflatten(structure, leaves), inputs, phi)
            return 0.5 * ((outputs - targets) ** 2).sum()

        self.losses_of = lambda leaves: torch.func.vmap(loss)(leaves, inputs, targets)

    def losses(self, steps: int) -> np.ndarray:
        """Return the loss of each run after some steps."""
        leaves = [leaf.clone().requires_grad_() for leaf in self.leaves]
        optimizer = self.torch.optim.SGD(leaves, lr=RATE)
        for _ in range(steps):
            optimizer.zero_grad()
            # Each run's loss depends on its own weights alone.
            self.losses_of(leaves).sum().backward()
            optimizer.step()
        return self.losses_of(leaves).detach().numpy()

    def seconds(self, steps: int) -> float:
        """Return the seconds of training them."""
        began = time.perf_counter()
        self.losses(steps)
        return time.perf_counter() - began


def _error(case: Case, peers: list[Any]) -> float:
    """Return the largest relative difference of the losses after some steps to a peer's."""
    from dlnsweep.engine.batch import train_batch

    plan = _plan(case.document("simd", _SHORT, list(range(RUNS))))
    trained = train_batch(plan.settings, plan.shared, plan.program_widths[0])
    assert set(trained.kernel) == {"simd"}, trained.kernel_reason[0]
    found = trained.observables["loss"][:, -1]
    wanted = [peer.losses(_SHORT) for peer in peers]
    return max(float(np.max(np.abs(found - each) / each)) for each in wanted)


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
    others: list[Any] = [scan]
    if importlib.util.find_spec("torch") is not None:
        others.append(Torch(case, scan.arrays))
        peers["PyTorch"] = others[-1].seconds
    timed = {name: partial(a_run_step, take, length(take)) for name, take in peers.items()}
    return in_turns(timed, rounds), _error(case, others)


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
        ["step", "simd", "otherwise", "by hand", "PyTorch", "otherwise / simd", "by hand / simd",
         "PyTorch / simd", "share of the peak", "error"],
    )  # fmt: skip
    with Pinned(cores) as processes:
        for case in cases():
            peak = sum(one["answer"] for one in processes.call("peak", [{} for _ in cores]))
            found, error = measured(case, processes, rounds, seconds)
            mine = found["simd"]
            table.add(
                case.name, *(1e6 * found.get(name, np.nan) for name in NAMES),
                *(found.get(name, np.nan) / mine for name in NAMES[1:]), case.flops / mine / peak,
                error,
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
