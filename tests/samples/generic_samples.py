"""Networks in pure functions trained from given weights and samples, without drawing any."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnsweep.contracts.network import network_of
from dlnsweep.networks.generic.draw import GenericDrawing
from dlnsweep.networks.generic.state import Samples
from dlnsweep.numerics.lanes import Layout
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import make_plan

# It runs a few steps: to optimize a program takes longer than all of them, and it rounds as well.
LEAN = {"xla_backend_optimization_level": 0}


def kernel_of(sweep: Any) -> tuple[GenericDrawing, Any]:
    """Return how the first run of a sweep draws, and what trains it."""
    row = make_plan(sweep).row(0)
    drawing = GenericDrawing.from_row(row, row.get("network.width") or 1)
    return drawing, drawing.kernel(Layout(1))


def drawn_by(sweep: Any, x: np.ndarray, y: np.ndarray, key: Any) -> Any:
    """Return the parameters that a run begins with, by a function from purpose to key."""
    drawing, _ = kernel_of(sweep)
    with numerics():
        samples = Samples(jnp.asarray(y), jnp.asarray(x))
        found = drawing.network.init(drawing.sections.network, samples, key)
        return jax.tree.map(np.asarray, found)


def trained_from(sweep: Any, params: Any, x: np.ndarray, y: np.ndarray, steps: int) -> dict:
    """Return the records of steps 0, ..., `steps` of the first run of a sweep.

    Args:
        sweep: The sweep; of its problem nothing is drawn.
        params: What the run begins with.
        x: Its targets.
        y: Its inputs.
        steps: The last step.
    """
    drawing, kernel = kernel_of(sweep)
    sections = drawing.sections
    assert network_of(make_plan(sweep).row(0)).generic

    def run(params: Any, x: Any, y: Any, numbers: Any) -> Any:
        filled = sections.with_numbers(numbers, drawing.width)
        network = drawing.traced_network(numbers, lambda value: value)
        start = kernel.start(params, Samples(y, x), network, filled.training, {})
        stops = jnp.arange(steps + 1)
        return kernel.segment(*start, jnp.int64(0), stops, stops >= 0)[1]

    with numerics():
        found = jax.jit(run, compiler_options=LEAN)(params, x, y, sections.traced())
        return {name: np.asarray(values) for name, values in found.items()}
