"""Deep matrix factorization beside PyTorch: `python -m tests.benchmarks.factorization`.

Completion of 12 matrices of 100 x 100, depth 3, float32, plain gradient descent, on all cores: this
engine (a process a core, as its executor starts them), an ordinary PyTorch loop run by run, and
`torch.func` ensembling of all 12. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.numerics.runtime import usable_cores
from tests.benchmarks.tables import Table, machine, verdict
from tests.benchmarks.timing import in_turns, timed

_SIZE, _DEPTH, _RUNS, _OBSERVED, _RATE = 100, 3, 12, 2000, 1e-3


def problem(seed: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return a mask, the observed values and initial weights, float32."""
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(_SIZE, 5)) @ rng.normal(size=(5, _SIZE)) / 5**0.5
    target *= 100 / np.linalg.norm(target)
    mask = np.zeros(_SIZE * _SIZE)
    mask[rng.permutation(mask.size)[:_OBSERVED]] = 1
    mask = mask.reshape(_SIZE, _SIZE)
    weights = [rng.normal(size=(_SIZE, _SIZE)) / 10 * 0.1 for _ in range(_DEPTH)]
    return (
        mask.astype(np.float32),
        (mask * target).astype(np.float32),
        [w.astype(np.float32) for w in weights],
    )


class TorchLoop:
    """An ordinary PyTorch loop, one run after another."""

    def __init__(self, seeds: range) -> None:
        import torch

        self.runs = []
        for seed in seeds:
            mask, target, weights = problem(seed)
            layers = [torch.nn.Parameter(torch.tensor(w)) for w in weights]
            optimizer = torch.optim.SGD(layers, lr=_RATE)
            self.runs.append((torch.tensor(mask), torch.tensor(target), layers, optimizer))

    def advance(self, steps: int) -> None:
        """Train every run for some steps."""
        for mask, target, layers, optimizer in self.runs:
            for _ in range(steps):
                optimizer.zero_grad()
                product = layers[0]
                for layer in layers[1:]:
                    product = layer @ product
                loss = ((mask * product - target) ** 2).sum() / _OBSERVED
                loss.backward()
                optimizer.step()

    def products(self) -> np.ndarray:
        """Return the end-to-end matrices."""
        found = []
        for _, _, layers, _ in self.runs:
            product = layers[0].detach()
            for layer in layers[1:]:
                product = layer.detach() @ product
            found.append(product.numpy())
        return np.array(found)


class TorchEnsemble:
    """All runs at once by `torch.func.vmap` over `torch.func.grad`."""

    def __init__(self, seeds: range) -> None:
        import torch

        drawn = [problem(seed) for seed in seeds]
        self.mask = torch.tensor(np.stack([mask for mask, _, _ in drawn]))
        self.target = torch.tensor(np.stack([target for _, target, _ in drawn]))
        self.layers = tuple(
            torch.tensor(np.stack([weights[i] for _, _, weights in drawn])) for i in range(_DEPTH)
        )

        def loss(layers: Any, mask: Any, target: Any) -> Any:
            product = layers[0]
            for layer in layers[1:]:
                product = layer @ product
            return ((mask * product - target) ** 2).sum() / _OBSERVED

        self.gradient = torch.func.vmap(torch.func.grad(loss))

    def advance(self, steps: int) -> None:
        """Train all runs for some steps."""
        import torch

        with torch.no_grad():
            for _ in range(steps):
                gradients = self.gradient(self.layers, self.mask, self.target)
                self.layers = tuple(
                    w - _RATE * g for w, g in zip(self.layers, gradients, strict=True)
                )

    def products(self) -> np.ndarray:
        """Return the end-to-end matrices."""
        product = self.layers[0]
        for layer in self.layers[1:]:
            product = layer @ product
        return product.numpy()


def _serve(connection: Any, core: int, seeds: list[int]) -> None:
    """Train some runs with the engine's kernel on one core, as often as asked."""
    import os

    os.sched_setaffinity(0, {core})
    from dlnsweep.networks.matrix.descent import FactorizationKernel, partial_products
    from dlnsweep.numerics.lanes import Layout
    from dlnsweep.numerics.lazy import jax, jnp
    from dlnsweep.numerics.runtime import numerics
    from dlnsweep.problems.losses import Entries, Fit
    from dlnsweep.settings.sections import RecordSettings
    from dlnsweep.settings.training import TrainingSettings

    with numerics():
        numbers = TrainingSettings(learning_rate=_RATE, num_steps=1)
        kernel = FactorizationKernel(numbers, RecordSettings(), early_exit=True)
        scale = jnp.asarray(2 / _OBSERVED, jnp.float32)
        started = []
        for seed in seeds:
            mask, target, weights = problem(seed)
            fit = Fit(Entries(jnp.asarray(mask), jnp.asarray(target)), scale, None)
            layers = tuple(map(jnp.asarray, weights))
            started.append(kernel.start(layers, fit, (_SIZE,) * _DEPTH, numbers, {}))
        inputs, carries = jax.tree.map(lambda *a: jnp.stack(a), *started)

        def segment(inputs: Any, carry: Any, stop: Any) -> Any:
            return kernel.advance(inputs, carry.state, jnp.int64(0), stop)

        # The layout that the engine chooses at this size: one run at a time.
        run = jax.jit(Layout(1, 1).batch(segment, 2))
        while (steps := connection.recv()) is not None:
            state = jax.block_until_ready(run(inputs, carries, jnp.int64(steps)))
            carries = carries._replace(state=state)
            chains = [tuple(w[i] for w in state.weights) for i in range(len(seeds))]
            connection.send(np.array([np.asarray(partial_products(c)[-1]) for c in chains]))


class Ours:
    """The engine's kernel, a process for each core."""

    def __init__(self, seeds: range) -> None:
        context = multiprocessing.get_context("spawn")
        cores = sorted(usable_cores())
        self.parts = []
        for i, core in enumerate(cores):
            mine, theirs = context.Pipe()
            arguments = (theirs, core, list(seeds)[i :: len(cores)])
            process = context.Process(target=_serve, args=arguments, daemon=True)
            process.start()
            self.parts.append((mine, process))

    def advance(self, steps: int) -> None:
        """Train all runs for some steps."""
        for connection, _ in self.parts:
            connection.send(steps)
        self.found = [connection.recv() for connection, _ in self.parts]

    def products(self) -> np.ndarray:
        """Return the end-to-end matrices."""
        return np.stack([m for group in zip(*self.found, strict=True) for m in group])

    def close(self) -> None:
        """End the processes."""
        for connection, process in self.parts:
            connection.send(None)
            process.join()


def measure(quick: bool) -> Table:
    """Measure all three in turns; return microseconds a run-step."""
    seeds = range(_RUNS)
    peers: dict[str, Any] = {
        "ours": Ours(seeds), "PyTorch loop": TorchLoop(seeds), "torch.func": TorchEnsemble(seeds),
    }  # fmt: skip
    for peer in peers.values():
        peer.advance(20)
    found = {name: peer.products() for name, peer in peers.items()}
    for name in ("PyTorch loop", "torch.func"):
        # The same work: float32 rounding over twenty steps.
        np.testing.assert_allclose(found[name], found["ours"], rtol=1e-3, atol=1e-5)
    steps = {
        "ours": 40 if quick else 400,
        "PyTorch loop": 4 if quick else 40,
        "torch.func": 4 if quick else 40,
    }

    def clock(name: str) -> Callable[[], float]:
        return lambda: timed(partial(peers[name].advance, steps[name])) / steps[name] / _RUNS * 1e6

    medians = in_turns({name: clock(name) for name in peers}, 3 if quick else 9)
    peers["ours"].close()
    table = Table(
        f"Deep matrix factorization, {_SIZE} x {_SIZE}, depth {_DEPTH}, {_RUNS} runs, float32: "
        "microseconds a run-step",
        ["who", "µs a run-step", "Gflop/s", "beside ours"],
    )
    flops = 2 * (2 + 4 * (_DEPTH - 2)) * _SIZE**3 if _DEPTH > 2 else 6 * _SIZE**3
    for name, value in medians.items():
        table.add(name, value, flops / value / 1e3, value / medians["ours"])
    table.notes.append(
        "PyTorch loop / ours: " + verdict(medians["PyTorch loop"] / medians["ours"], 4)
    )
    table.notes.append("torch.func / ours: " + verdict(medians["torch.func"] / medians["ours"], 2))
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="for trying the script, not numbers")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    where = machine()
    print(where, "\n", flush=True)
    table = measure(arguments.quick)
    print(table.text())
    if arguments.csv:
        table.write_csv(arguments.csv, where)


if __name__ == "__main__":
    main()
