"""What a run costs: arithmetic, bytes and seconds, estimated from its settings alone. No JAX.

The seconds are rough (a factor of two); they decide only how runs are cut into batches and
whether widths share a program. `dlnsweep plan` measures a short probe instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.observables import OBSERVABLES, Dimensions, why_not_reduced
from dlnsweep.problems import PROBLEMS
from dlnsweep.schedule import record_steps
from dlnsweep.sections import RecordSettings

# One core: multiply-adds of skinny products, and the dispatch of a step's small operations.
_FLOPS_A_SECOND = 8e9
_BYTES_A_SECOND = 15e9
# One core: products over all samples, which are wide, in float64; float32 is twice as fast.
_WIDE_FLOPS_A_SECOND = 40e9
_DISPATCH_SECONDS = 3e-6
# A pilot takes about so many steps itself, and so many seconds; a dense run below this many
# floating-point operations takes less.
_FEWEST_STEPS = 1000
_LEAST_FLOPS = 1e10
# Roughly the width of a network that is compressed to its law.
_COMPRESSED_WIDTH = 400
_PILOT_SECONDS = 1.5
_REDUCED_STEP_SECONDS = 8e-6
# Compiling a program once more, on each of the workers that use it.
_COMPILE_SECONDS = 5.0


@dataclass(frozen=True)
class RunCost:
    """The estimated cost of one run.

    Attributes:
        step_flops: Floating-point operations a step.
        state_bytes: Bytes of the weights (and the optimizer's moments), and of what a step holds
            for all samples.
        seconds: Seconds on one core.
        num_records: Recorded steps.
        record_bytes: Bytes of its records in memory.
        reduced: Whether the reduced kernel is to try.
    """

    step_flops: int
    state_bytes: int
    seconds: float
    num_records: int
    record_bytes: int
    reduced: bool


def layer_sizes(row: Mapping[str, Any], width: int) -> tuple[int, ...]:
    """Return the layer sizes (m, d_w, ..., d_w, d)."""
    hidden = (width,) * (row["network.depth"] - 1)
    return (row["problem.measurement_dim"], *hidden, row["problem.signal_dim"])


def problem_rank(row: Mapping[str, Any]) -> int:
    """Return the rank of the measurements."""
    problem = PROBLEMS[row["problem.kind"]]
    fields = {k: row.get(f"problem.{k}") for k in problem.settings.model_fields}
    # NaN and None stand for "not used by this run".
    used = {k: v for k, v in fields.items() if v is not None and v == v}
    return problem.rank(problem.settings.model_validate(used))


def record_length(row: Mapping[str, Any]) -> int:
    """Return the number of values of all recorded observables at one step."""
    # Of a folder that an earlier version began, the row has no levels.
    levels = row.get("record.noise_levels") or ()
    dims = Dimensions(
        row["problem.signal_dim"], row["problem.measurement_dim"], row["network.depth"], len(levels)
    )
    sizes = [OBSERVABLES[name].size for name in row["record.observables"]]
    return sum(1 if size is None else size(dims) for size in sizes)


def dense_flops(dims: Sequence[int], rank: int) -> int:
    """Return the floating-point operations of a dense step on reduced samples."""
    inputs = (rank, *dims[1:])
    return 6 * rank * sum(a * b for a, b in zip(inputs, dims[1:], strict=False))


def _relu_costs(dims: Sequence[int], rank: int, num_samples: int) -> tuple[int, int]:
    """Return the operations of a step with one ReLU, and the numbers that it holds for all samples.

    The last layer acts on all samples, forward, backward and for its gradient; so does the way
    from the reduced directions to the samples and back. Held are A, H and G, and the residual.
    """
    *_, width, signal_dim = dims
    over_samples = num_samples * width * (6 * signal_dim + 4 * rank)
    held = num_samples * (3 * width + signal_dim)
    return dense_flops(dims[:-1], rank) + over_samples, held


def must_reduce(row: Mapping[str, Any]) -> bool:
    """Return whether a run is trained by the reduced kernel whatever the pilot finds."""
    return row["sweep.kernel"] == "reduced" or row["network.initial_weights"] == "law"


def why_dense(row: Mapping[str, Any], width: int) -> str:
    """Return why a run gets the dense kernel; empty if the reduced one is to try.

    The rule reads the settings alone, never the machine, so that a run gets the same kernel
    anywhere. What the settings leave open the pilot decides: under "auto" a run that it cannot
    certify is trained by the dense kernel.
    """
    if row["sweep.kernel"] == "dense":
        return "asked for"
    if row["network.kind"] != "deep_linear":
        return f"{row['network.kind']} is not linear"
    depth, optimizer = row["network.depth"], row["training.optimizer"]
    reason = why_not_reduced(
        optimizer, depth, row["record.observables"], row["training.minibatch_size"]
    )
    if reason or must_reduce(row):
        return reason
    return why_not_worth(layer_sizes(row, width), problem_rank(row), row["training.num_steps"])


def why_not_worth(dims: Sequence[int], rank: int, num_steps: int) -> str:
    """Return why a run is not worth a pilot; empty if it is.

    Args:
        dims: The layer sizes m, d_1, ..., d.
        rank: The rank of the measurements.
        num_steps: The number of steps.
    """
    if num_steps < _FEWEST_STEPS or num_steps * dense_flops(dims, rank) < _LEAST_FLOPS:
        return "too short or too narrow for a pilot to pay"
    return ""


def cost_of(row: Mapping[str, Any], width: int) -> RunCost:
    """Estimate the cost of a run with arrays of `width`."""
    if row["network.initial_weights"] == "law":
        width = min(width, _COMPRESSED_WIDTH)
    dims, rank = layer_sizes(row, width), problem_rank(row)
    descent = row["training.optimizer"] == "gradient_descent"
    inputs = (rank, *dims[1:]) if descent else dims
    entries = sum(a * b for a, b in itertools.pairwise(inputs))
    reduced = not why_dense(row, width)
    item = 8 if row["sweep.precision"] == "float64" else 4
    copies, held = (1 if descent else 3), 0
    flops = 6 * rank * entries
    step = max(
        flops / _FLOPS_A_SECOND, (1 if descent else 8) * 3 * item * entries / _BYTES_A_SECOND
    )
    if row["network.kind"] == "linear_then_relu":
        # A problem of a user's own need not say how many samples it draws.
        flops, held = _relu_costs(dims, rank, row.get("problem.num_samples") or rank)
        step = flops / _WIDE_FLOPS_A_SECOND * item / 8
    record = RecordSettings.model_validate(
        {k.partition(".")[2]: v for k, v in row.items() if k.startswith("record.")}
    )
    num_records = len(record_steps(record, row["training.num_steps"]))
    # An observable of the whole end-to-end matrix needs one product with all m input directions.
    per_record = 2 * dims[0] * entries / _FLOPS_A_SECOND
    seconds = row["training.num_steps"] * (step + _DISPATCH_SECONDS) + num_records * per_record
    if reduced:
        seconds = _PILOT_SECONDS + row["training.num_steps"] * _REDUCED_STEP_SECONDS
    return RunCost(
        step_flops=flops,
        state_bytes=item * (copies * entries + held),
        seconds=seconds,
        num_records=num_records,
        record_bytes=num_records * (8 + item * record_length(row)),
        reduced=reduced,
    )


def worth_padding(
    row: Mapping[str, Any], widths: Sequence[int], counts: Sequence[int]
) -> list[int]:
    """Choose the padded widths under which runs of several widths cost least in all.

    Each program costs its compilation; each run costs its time at the padded width. The best cut
    of the ascending widths into neighbouring groups is found by dynamic programming.

    Args:
        row: The settings of one of the runs.
        widths: The distinct widths, ascending.
        counts: The number of runs of each.

    Returns:
        The padded widths, ascending; a run takes the first that is not below its own.
    """
    from dlnsweep.initializers import INITIALIZERS

    if not INITIALIZERS[row["network.initializer"]].paddable or row["network.depth"] == 1:
        return list(widths)
    # What the pilot does not certify is trained on the padded arrays.
    dense = {**row, "sweep.kernel": "dense"}
    seconds = np.array([cost_of(dense, width).seconds for width in widths])
    runs = np.concatenate([[0], np.cumsum(counts)])
    # least[i]: the least cost of the i narrowest widths; starts[i]: where its last group starts.
    least, starts = np.zeros(len(widths) + 1), np.zeros(len(widths) + 1, np.int64)
    for end in range(1, len(widths) + 1):
        costs = least[:end] + (runs[end] - runs[:end]) * seconds[end - 1] + _COMPILE_SECONDS
        starts[end] = np.argmin(costs)
        least[end] = costs[starts[end]]
    bounds, end = [], len(widths)
    while end:
        bounds.append(widths[end - 1])
        end = int(starts[end])
    return bounds[::-1]
