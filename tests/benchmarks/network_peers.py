"""Small networks as one would train them without this engine, from the engine's own start.

Each peer trains all runs of a `Case` for a number of steps of gradient descent in `seconds`, and
`losses` are those after them: JAX's `jit(vmap(scan))` or `jit(lax.map(scan))` over runs, PyTorch
over all runs at once (`torch.func`), and a PyTorch loop that trains one run after another.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.runtime import numerics

RUNS, RATE = 512, 1e-3


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
        runs: How many runs.
        precision: Of training.
    """

    name: str
    problem: dict[str, Any]
    network: dict[str, Any]
    otherwise: str
    predict: Callable[[Any, Any, Callable[[Any], Any]], Any]
    flops: int
    target: float
    limit: str = ""
    activation: str = ""
    runs: int = RUNS
    precision: str = "float64"

    def document(self, kernel: str, steps: int, seeds: list[int]) -> dict[str, Any]:
        """Return a sweep of some of the runs."""
        return {
            "name": "small",
            "problem": self.problem,
            "network": self.network,
            "training": {"learning_rate": RATE, "num_steps": steps},
            "record": {"observables": ["loss"], "count": 2},
            "sweep": {"seeds": seeds, "kernel": kernel, "precision": self.precision},
        }


def chain(params: Any, inputs: Any, phi: Callable[[Any], Any]) -> Any:
    first, *rest = params["weights"] if isinstance(params, dict) else params
    values = first @ inputs
    for weight in rest:
        values = weight @ phi(values)
    return values


def layers(dims: list[int], samples: int) -> int:
    """Return the operations of a step of a chain of matrices: forward, backward, gradients."""
    sizes = [a * b for a, b in pairwise(dims)]
    return 2 * samples * (3 * sum(sizes) - sizes[0])


def begun(case: Case) -> tuple[Any, Any]:
    """Return the initial weights of all runs, and their samples, as the engine draws them."""
    from dlnsweep.engine.programs import PROGRAMS
    from tests.benchmarks.ours import plan_of

    plan = plan_of(case.document("generic", 1, list(range(case.runs))))
    with numerics():
        program = PROGRAMS.dense(plan.row(0), plan.program_widths[0], case.runs)
        found = []
        # A call of the program has a number of lanes of its own.
        for first in range(0, case.runs, program.layout.lanes):
            within = slice(first, first + program.layout.lanes)
            columns = {key: column[within] for key, column in plan.settings.items()}
            inputs, carry = program.start(program.arguments(columns))
            found.append((carry.state.params, inputs.constants.samples))
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: case.runs], *found)


class Scan:
    """A scan over `jax.grad` steps, one program for all runs.

    Args:
        case: What is trained.
        arrays: What `begun` returns.
        over: "vmap" or "map": all runs step by step, or one run after another.
    """

    def __init__(self, case: Case, arrays: Any, over: str = "vmap") -> None:
        self.arrays = arrays
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
            if over == "map":
                found = lax.map(lambda run: train(*run, steps=steps), (params, samples))
            else:
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


class TorchAtOnce:
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


class TorchLoop:
    """A loop over runs, and over steps with autograd."""

    def __init__(self, case: Case, arrays: Any) -> None:
        import torch

        self.torch = torch
        params, samples = arrays
        leaves, self.structure = jax.tree.flatten(params)
        self.leaves = [torch.tensor(np.asarray(leaf)) for leaf in leaves]
        self.samples = [
            torch.tensor(np.asarray(each)) for each in (samples.inputs, samples.targets)
        ]
        phi = {"relu": torch.relu, "tanh": torch.tanh}.get(case.activation, lambda x: x)

        def loss(leaves: Any, inputs: Any, targets: Any) -> Any:
            outputs = case.predict(jax.tree.unflatten(self.structure, leaves), inputs, phi)
            return 0.5 * ((outputs - targets) ** 2).sum()

        self.loss = loss

    def losses(self, steps: int, runs: int) -> np.ndarray:
        """Return the loss of each of the first runs after some steps."""
        found = []
        for run in range(runs):
            leaves = [leaf[run].clone().requires_grad_() for leaf in self.leaves]
            samples = [each[run] for each in self.samples]
            optimizer = self.torch.optim.SGD(leaves, lr=RATE)
            for _ in range(steps):
                optimizer.zero_grad()
                self.loss(leaves, *samples).backward()
                optimizer.step()
            found.append(self.loss(leaves, *samples).item())
        return np.asarray(found)
