"""What a run costs: arithmetic, bytes and seconds, estimated from its settings alone. No JAX.

The seconds are rough (a factor of two); they decide only how runs are cut into batches and
whether widths share a program. `dlnsweep plan` measures a short probe instead. What a step costs
the kind of network says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dlnsweep.contracts.network import BY_DEFINITION, network_of
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.schedule import record_steps, weight_steps
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sections import RecordSettings

# The seconds of a reduced run: its pilot's, and a step's.
_PILOT_SECONDS = 1.5
_REDUCED_STEP_SECONDS = 8e-6
# What the jumps of a run take, however long it is, in steps.
_JUMPED_STEPS = 100_000
# Compiling a program once more, on each of the workers that use it.
_COMPILE_SECONDS = 5.0


@dataclass(frozen=True)
class RunCost:
    """The estimated cost of one run.

    Attributes:
        step_flops: Floating-point operations a step.
        state_bytes: Bytes of the weights (and the optimizer's moments), and of what a step holds
            for all samples.
        call_bytes: The least memory in which it can be drawn and trained.
        seconds: Seconds on one core.
        num_records: Recorded steps.
        record_bytes: Bytes of its records in memory, and about those of the weights it keeps.
        reduced: Whether the reduced kernel is to try.
        shares: Whether it shares what its seed draws with the other runs of a batch.
    """

    step_flops: int
    state_bytes: int
    call_bytes: int
    seconds: float
    num_records: int
    record_bytes: int
    reduced: bool
    shares: bool = False


def record_length(row: RunSettings) -> int:
    """Return the number of values of all recorded observables at one step."""
    default = RecordSettings.model_fields["num_eigenvalues"].default
    # A folder that an earlier version began has no such number.
    number = int(row.number("record.num_eigenvalues", default))
    dims = replace(network_of(row).dimensions(row), num_eigenvalues=number)
    sizes = [OBSERVABLES[name].size for name in row["record.observables"]]
    return sum(1 if size is None else size(dims) for size in sizes)


def cost_of(row: RunSettings, width: int) -> RunCost:
    """Estimate the cost of a run with arrays of `width`."""
    network = network_of(row)
    step = network.cost(row, width)
    reduced = not network.why_full(row, width)
    item = 8 if row["sweep.precision"] == "float64" else 4
    record = row.section("record", RecordSettings)
    num_steps = row["training.num_steps"]
    num_records = len(record_steps(record, num_steps))
    taken = num_steps
    if row["sweep.kernel"] == "jumps":
        taken = min(2 * num_steps, _JUMPED_STEPS)
    seconds = taken * step.seconds + num_records * step.record_seconds
    if reduced:
        seconds = _PILOT_SECONDS + num_steps * _REDUCED_STEP_SECONDS
    return RunCost(
        step_flops=step.flops,
        state_bytes=step.state_bytes,
        # A step has its old and its new state at once.
        call_bytes=max(2 * step.state_bytes, step.draw_bytes),
        seconds=seconds,
        num_records=num_records,
        record_bytes=num_records * (8 + item * record_length(row))
        + len(weight_steps(record, num_steps)) * step.state_bytes,
        reduced=reduced,
        shares=row["sweep.kernel"] not in BY_DEFINITION and network.lanes_share(row),
    )


def worth_padding(row: RunSettings, widths: Sequence[int], counts: Sequence[int]) -> list[int]:
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
    if row["sweep.kernel"] in BY_DEFINITION or not network_of(row).paddable(row):
        return list(widths)
    # What the pilot does not certify is trained on the padded arrays.
    dense = row | {"sweep.kernel": "dense"}
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
