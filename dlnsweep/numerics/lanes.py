"""The one place that decides how runs are batched on a device.

On a CPU `vmap` does not help once a run's weights fill the cache: there each run takes its steps
alone (`lax.map`), while its weights are in cache. Tiny networks are vectorised, else dispatch of
their small operations would cost more than the arithmetic. On a GPU or TPU `vmap` over all runs is
what fills the device. `tests/benchmarks/kernel_tuning.py` repeats the measurements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dlnsweep.numerics.lazy import jax, lax

# A vmapped group of runs should fit in a core's second-level cache (1 to 2 MiB on CPUs of today).
_CPU_GROUP_BYTES = 256 * 1024
_CPU_WIDEST_GROUP = 32
_CPU_MOST_GROUPS = 16
# Above this many bytes a run's products are large enough for one run to keep a core busy.
_CPU_ALONE_BYTES = 32 * 1024


@dataclass(frozen=True)
class Layout:
    """How the lanes of one call of a compiled program are executed.

    Attributes:
        vectorized: Number of lanes under one `vmap`; 1 means that each lane runs alone.
        groups: Number of such groups, one after another.
        streams: Whether a large operator is read block by block.
    """

    vectorized: int
    groups: int = 1
    streams: bool = False

    @property
    def lanes(self) -> int:
        """Number of lanes of one call."""
        return self.vectorized * self.groups

    def batch(self, function: Callable[..., Any], num_lane_arguments: int) -> Callable[..., Any]:
        """Extend a function of one run to all lanes.

        Args:
            function: Its first `num_lane_arguments` arguments get a leading axis of lanes; the
                rest are shared by all.
            num_lane_arguments: How many.
        """

        def batched(*arguments: Any) -> Any:
            lanes, shared = arguments[:num_lane_arguments], arguments[num_lane_arguments:]

            def one(lane: tuple[Any, ...]) -> Any:
                return function(*lane, *shared)

            if self.vectorized == 1:
                return lax.map(one, lanes)
            if self.groups == 1:
                return jax.vmap(one)(lanes)
            shape = (self.groups, self.vectorized)
            grouped = jax.tree.map(lambda x: x.reshape(*shape, *x.shape[1:]), lanes)
            result = lax.map(jax.vmap(one), grouped)
            return jax.tree.map(lambda x: x.reshape(self.lanes, *x.shape[2:]), result)

        return batched


def choose_layout(platform: str, run_bytes: int, lanes: int) -> Layout:
    """Choose the layout for a batch.

    The choice depends neither on the number of cores nor on what else runs. At least 2 lanes are
    vectorised together, or none: one lane under `vmap` gives other bits than several.

    Args:
        platform: "cpu", "gpu" or "tpu".
        run_bytes: Bytes of one run's changing state.
        lanes: Number of runs of the batch; used where the device wants them all at once.
    """
    if platform != "cpu":
        return Layout(max(2, lanes))
    if run_bytes > _CPU_ALONE_BYTES:
        # A call takes one run, so batches of any size share one program.
        return Layout(1)
    group = 2
    while group < min(lanes, _CPU_WIDEST_GROUP) and 2 * group * run_bytes <= _CPU_GROUP_BYTES:
        group *= 2
    return Layout(group, min(_CPU_MOST_GROUPS, -(-lanes // group)))


# Milliseconds a run-step of 2, 4, 6, 8, 12 runs that share an operator of 80 MB (a core of an AMD
# EPYC, float32, 100 x 100, depth 3): 4.8, 2.8, 2.3, 2.1, 1.8. A call lasts as long as the longest
# of its runs, so where runs stop early many together waste what they gain.
_CPU_MOST_SHARING = 8


def sharing_layout(platform: str, lanes: int) -> Layout:
    """Choose the layout for a batch whose runs share an operator larger than the caches.

    Args:
        platform: "cpu", "gpu" or "tpu".
        lanes: Number of runs of the batch.
    """
    if platform != "cpu":
        return Layout(max(2, lanes))
    return Layout(min(lanes, _CPU_MOST_SHARING), streams=True)


# How XLA's CPU compiler makes fast code of a loop of small float64 products: its own inlined
# matrix products rather than calls of a library for each (tests/benchmarks/reduced.py). Beyond
# this size its own are slow.
ONE_FUNCTION_OPTIONS: dict[str, Any] = {
    "xla_cpu_experimental_ynn_fusion_type": "",
    "xla_cpu_multi_thread_eigen": False,
    "xla_cpu_prefer_vector_width": 512,
}
LARGEST_IN_ONE_FUNCTION = 128


def as_one_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function for XLA's CPU compiler to compile as one, loops and all.

    Else every operation in a loop is dispatched by itself, which costs more than a small product.
    It needs the compiler options above. The arguments must not be literals when XLA compiles:
    large ones would stop the process (jax 0.10.2), so call it only with what comes from the
    arguments of the program.
    """
    try:
        from jax.experimental.xla_metadata import set_xla_metadata
    except ImportError:
        return function
    compiled = jax.jit(function)

    def call(*arguments: Any) -> Any:
        with set_xla_metadata(xla_cpu_small_call="true", inlineable="false"):
            return compiled(*arguments)

    return call


def reduced_layout(platform: str, lanes: int) -> Layout:
    """Choose the layout for a batch of reduced runs.

    Args:
        platform: "cpu", "gpu" or "tpu".
        lanes: Number of runs of the batch; used where the device wants them all at once.
    """
    return Layout(1) if platform == "cpu" else Layout(max(2, lanes))
