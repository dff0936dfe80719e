"""A tanh network of one's own beside loops by hand: `python -m tests.benchmarks.own_network`.

The network of tests/samples/own_networks.py ("tanh2"): d = 20, m = 10, k = 64, n = 200, float64,
32 runs of gradient descent with weight decay. Ours is `train_batch` by the generic way, in a
process a core, as the engine's workers are; the peers have all cores: JAX's `jit(vmap(scan))` over
all runs at once, as one would write it, and a PyTorch loop (extra `bench`), one network after
another with autograd and SGD. The same data and the same initial weights; steps alone are timed,
as the difference of two lengths.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.runtime import numerics, usable_cores
from dlnsweep.numerics.streams import gaussian, purpose_key
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table, machine, verdict
from tests.benchmarks.timing import in_turns

D, M, K, N = 20, 10, 64, 200
RUNS, RATE, DECAY = 32, 1e-3, 1e-3
_SHORT = 20
PLUGIN = str(Path(__file__).parents[1] / "samples" / "own_networks.py")


def document(steps: int, seeds: list[int]) -> dict[str, Any]:
    """Return a sweep of some of the runs."""
    return {
        "name": "own",
        "problem": {"kind": "subspace", "signal_dim": D, "measurement_dim": M, "subspace_dim": 3,
                    "num_samples": N},
        "network": {"kind": "tanh2", "width": K},
        "training": {"learning_rate": RATE, "weight_decay": DECAY, "num_steps": steps},
        "record": {"observables": ["loss"], "count": 2},
        "sweep": {"seeds": seeds},
    }  # fmt: skip


def drawn(seed: Any) -> tuple[np.ndarray, ...]:
    """Return a run's W_1, W_2, Y and X as the engine draws them."""
    from dlnsweep.contracts.problem import PROBLEMS
    from dlnsweep.spec.sweep import Sweep

    plan = Sweep.from_dict(document(1, [seed]) | {"network": {"depth": 2, "width": K}})
    settings = PROBLEMS["subspace"].settings.model_validate(
        {k.partition(".")[2]: v[0] for k, v in plan.values.items() if k.startswith("problem.")}
    )
    with numerics():
        key = partial(purpose_key, seed)
        signals, measurements = PROBLEMS["subspace"].draw(settings, key)
        first = gaussian(key("weights/1"), K, M) / M**0.5
        last = gaussian(key("weights/2"), D, K) / K**0.5
        return tuple(map(np.asarray, (first, last, measurements, signals)))


def objective(params: Any, inputs: Any, targets: Any) -> Any:
    """Return the loss with decay, as one would write it."""
    first, last = params
    fit = 0.5 * jnp.sum((last @ jnp.tanh(first @ inputs) - targets) ** 2)
    return fit + 0.5 * DECAY * (jnp.sum(first**2) + jnp.sum(last**2))


class Scan:
    """`jit(vmap(scan))` over `jax.grad` steps of all runs at once."""

    def __init__(self, runs: list[tuple[np.ndarray, ...]]) -> None:
        self.arrays = [np.stack(column) for column in zip(*runs, strict=True)]

        def train(first: Any, last: Any, inputs: Any, targets: Any, steps: int) -> Any:
            def step(params: Any, _: Any) -> tuple[Any, None]:
                slopes = jax.grad(objective)(params, inputs, targets)
                return jax.tree.map(lambda p, g: p - RATE * g, params, slopes), None

            return lax.scan(step, (first, last), length=steps)[0]

        def batched(*arrays: Any, steps: int) -> Any:
            return jax.vmap(partial(train, steps=steps))(*arrays)

        self.train = jax.jit(batched, static_argnames="steps")

    def seconds(self, steps: int) -> float:
        """Return the seconds of a call."""
        with numerics():
            began = time.perf_counter()
            jax.block_until_ready(self.train(*self.arrays, steps=steps))
            return time.perf_counter() - began


class Torch:
    """A loop over networks and steps, with autograd."""

    def __init__(self, runs: list[tuple[np.ndarray, ...]]) -> None:
        import torch

        self.torch = torch
        self.runs = [[torch.tensor(array) for array in run] for run in runs]

    def seconds(self, steps: int) -> float:
        """Return the seconds of training them all."""
        torch, began = self.torch, time.perf_counter()
        for first, last, inputs, targets in self.runs:
            params = [first.clone().requires_grad_(), last.clone().requires_grad_()]
            optimizer = torch.optim.SGD(params, lr=RATE, weight_decay=DECAY)
            for _ in range(steps):
                optimizer.zero_grad()
                outputs = params[1] @ torch.tanh(params[0] @ inputs)
                (0.5 * ((outputs - targets) ** 2).sum()).backward()
                optimizer.step()
        return time.perf_counter() - began


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="for trying the script, not numbers")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    steps, rounds = (100, 1) if arguments.quick else (1000, 5)
    where = machine()
    print(where, flush=True)
    cores = usable_cores()
    shares = [list(range(i, RUNS, len(cores))) for i in range(len(cores))]
    with numerics():
        runs = [drawn(seed) for seed in range(RUNS)]
    with Pinned(cores) as processes:

        def ours(length: int) -> float:
            jobs = [{"document": document(length, seeds), "plugin": PLUGIN} for seeds in shares]
            return max(one["answer"]["training"] for one in processes.call("train", jobs))

        def a_run_step(seconds: Any, steps: int) -> float:
            return (seconds(_SHORT + steps) - seconds(_SHORT)) / steps / RUNS

        peers = {
            "ours, the generic way": lambda: a_run_step(ours, steps),
            "jit(vmap(scan)) by hand": partial(a_run_step, Scan(runs).seconds, steps),
        }
        if importlib.util.find_spec("torch") is not None:
            loop = Torch(runs)
            peers["PyTorch loop"] = lambda: a_run_step(loop.seconds, max(20, steps // 10))
        found = in_turns(peers, rounds)
    table = Table(
        f"tanh network: d = {D}, m = {M}, k = {K}, n = {N}, float64, {RUNS} runs, "
        f"{len(cores)} cores: microseconds a run-step",
        ["peer", "microseconds", "beside ours"],
    )
    mine = found["ours, the generic way"]
    for name, seconds in found.items():
        table.add(name, 1e6 * seconds, seconds / mine)
    table.notes.append(
        f"By hand / ours {verdict(found['jit(vmap(scan)) by hand'] / mine, 2.0)}"
        + (f"; PyTorch / ours {verdict(found['PyTorch loop'] / mine, 4.0)}."
           if "PyTorch loop" in found else "; PyTorch is not installed.")
    )  # fmt: skip
    print(table.markdown() if arguments.markdown else table.text())
    if arguments.csv:
        table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
