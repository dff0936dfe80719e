"""The engine as the benchmarks drive it: a sweep's row, or the kernel on given matrices."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.engine.program import Program
from dlnsweep.networks.layered.dense import DenseKernel, delay_for
from dlnsweep.networks.layered.samples import reduce_samples
from dlnsweep.numerics.lanes import Layout, choose_layout
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import device_description
from dlnsweep.numerics.streams import purpose_key
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.settings.training import TrainingSettings
from dlnsweep.spec.sweep import Sweep

LEARNING_RATE, WEIGHT_DECAY = 0.01, 1e-3
_STOPS = 16


def sweep_document(
    *,
    depth: int,
    width: int,
    steps: int,
    precision: str = "float32",
    seeds: int | list[int] = 1,
    count: int = 2,
    name: str = "benchmark",
    **problem: int,
) -> dict[str, Any]:
    """Return a sweep on Gaussian subspace data; by default at the sizes of the paper's Figure 4."""
    sizes = {"signal_dim": 64, "measurement_dim": 32, "subspace_dim": 4, "num_samples": 1000}
    return {
        "name": name,
        "problem": {"kind": "subspace", **sizes, **problem},
        "network": {"kind": "deep_linear", "depth": depth, "width": width},
        "training": {
            "learning_rate": LEARNING_RATE,
            "weight_decay": WEIGHT_DECAY,
            "num_steps": steps,
        },
        "record": {"count": count, "observables": ["regression_error", "off_subspace_error"]},
        # The tables of the dense kernel; those of the reduced one ask for it.
        "sweep": {"precision": precision, "seeds": seeds, "kernel": "dense"},
    }


def plan_of(document: dict[str, Any]) -> Plan:
    """Return the plan of a sweep document."""
    return make_plan(Sweep.from_dict(document))


class SweepRow:
    """The compiled program of a sweep's first run, with the run's state at step 0."""

    def __init__(self, document: dict[str, Any]) -> None:
        plan = plan_of(document)
        self.row = plan.row(0)
        self.program = Program(self.row, self.row["network.width"], 1, device_description())
        columns = {key: column[:1] for key, column in plan.settings.items()}
        self.inputs, self._carry = self.program.start(self.program.arguments(columns))
        kernel = self.program.kernel
        assert isinstance(kernel, DenseKernel)
        self._kernel = kernel
        # Taken now: the first segment is given the state.
        self.weights = self._lane(jax.jit(jax.vmap(self._kernel.weights))(self.inputs, self._carry))
        self.data = self._lane(self.inputs.constants.data)

    @staticmethod
    def _lane(tree: Any) -> Any:
        return jax.tree.map(lambda x: x[0], tree)

    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all samples X (d, n) and Y (m, n)."""
        settings = self.program.drawing.sections.problem
        draw = PROBLEMS[settings.kind].draw
        drawn = jax.jit(lambda seed: draw(settings, partial(purpose_key, seed)))(self.row["seed"])
        signals, measurements = (np.asarray(a, self.row["sweep.precision"]) for a in drawn)
        return signals, measurements

    def advance(self, steps: int) -> None:
        """Train all lanes of the program for some steps."""
        stops = np.full(_STOPS, steps, np.int64)
        self._carry, _ = self.program.segment(
            self.inputs, self._carry, 0, stops, np.zeros(_STOPS, bool)
        )
        jax.block_until_ready(self._carry)

    def error(self) -> float:
        """Return the squared error of the first lane now."""
        view = self._kernel.view(self._lane(self.inputs), self._lane(self._carry))
        return float(view.squared_error)


class Direct:
    """The dense kernel on given weights and samples, without a problem of a sweep.

    Args:
        weights: Per layer an array (lanes, d_i, d_{i-1}).
        signals: X, (d, n), the same for all lanes.
        measurements: Y, (m, n).
        rank: The rank of Y.
        delay: See `gradient_descent.advance`; the kernel's own choice by default.
        layout: How lanes are batched; the kernel's own choice by default.
    """

    def __init__(
        self,
        weights: tuple[np.ndarray, ...],
        signals: np.ndarray,
        measurements: np.ndarray,
        rank: int,
        *,
        delay: int | None = None,
        layout: Layout | None = None,
        learning_rate: float = LEARNING_RATE,
    ) -> None:
        lanes, precision = weights[0].shape[0], weights[0].dtype
        dims = (measurements.shape[0], *(w.shape[1] for w in weights))
        if layout is None:
            entries = sum(a * b for a, b in zip((rank, *dims[1:]), dims[1:], strict=False))
            layout = choose_layout("cpu", entries * precision.itemsize, lanes)
        training = TrainingSettings(
            learning_rate=learning_rate, weight_decay=WEIGHT_DECAY, num_steps=1
        )
        kernel = DenseKernel(
            training,
            RecordSettings(observables=["regression_error"]),
            delay=delay or delay_for(dims, rank),
            early_exit=layout.vectorized == 1,
            # The decay is coarse here, as in the sweeps that the tables are of.
            keeps_roundings=False,
        )
        self.layout, self.delay, self.lanes = layout, kernel.delay, lanes
        data = reduce_samples(
            jnp.asarray(signals, jnp.float64), jnp.asarray(measurements, jnp.float64), rank
        )
        data = jax.tree.map(lambda x: x.astype(precision), data)

        def start(*mine: Any) -> Any:
            return kernel.start(
                mine, data, dims[:-1], training, {"rank_threshold": jnp.asarray(1e-3)}
            )

        begin = jax.jit(jax.vmap(start))
        segment = jax.jit(layout.batch(kernel.segment, 2), donate_argnums=1)
        # A call takes `layout.lanes` lanes; the last call is filled up.
        self._calls = []
        for first in range(0, lanes, layout.lanes):
            places = np.minimum(np.arange(first, first + layout.lanes), lanes - 1)
            self._calls.append(begin(*(w[places] for w in weights)))
        self._stops = np.zeros(_STOPS, np.int64)
        self._unrecorded = np.zeros(_STOPS, bool)
        arguments = (np.int64(0), self._stops, self._unrecorded)
        self._segment = segment.lower(*self._calls[0], *arguments).compile()

    def advance(self, steps: int) -> None:
        """Train all lanes for some steps, call by call."""
        stops = self._stops + steps
        for i, (inputs, carry) in enumerate(self._calls):
            carry, _ = self._segment(inputs, carry, np.int64(0), stops, self._unrecorded)
            jax.block_until_ready(carry)
            self._calls[i] = (inputs, carry)


def random_networks(
    dims: tuple[int, ...], rank: int, precision: str, lanes: int
) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    """Draw fan-in normal weights of some lanes, and samples X, Y of a rank."""
    rng = np.random.default_rng(0)
    weights = tuple(
        (rng.normal(size=(lanes, rows, columns)) / np.sqrt(columns)).astype(precision)
        for columns, rows in pairwise(dims)
    )
    measurements = np.linalg.qr(rng.normal(size=(dims[0], rank)))[0]
    signals = rng.normal(size=(dims[-1], rank)) / np.sqrt(dims[-1])
    return weights, signals, measurements


def matrix_products(size: int, depth: int, lanes: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return `lanes` products of `depth` square matrices that fit one matrix of rank 5 (Y = I)."""
    weights, _, _ = random_networks((size,) * (depth + 1), size, "float32", lanes)
    rng = np.random.default_rng(1)
    target = rng.normal(size=(size, 5)) @ rng.normal(size=(5, size)) / size
    return weights, target, np.eye(size)
