"""Where `sweep.kernel = "auto"` tries time jumps: by the settings of a run, never the machine.

Jumps are tried of the networks whose estimates were held against gradient descent step by step
(estimates.csv and momentum.csv in results/kept/long_runs), where the steps of a run would take a
minute of a core or so by the fastest kernel there is, and forty times as long as its walks, by a
guess. A walk may take twice what is expected, and more where steps would take longer: a twentieth
of their time is for both. A run whose walk takes more, whose estimate is beyond the tolerance, or
that diverges, is trained by its steps (`engine/batch.py`). As for vector instructions, a folder
keeps what it was begun with: another border needs another word in its record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnsweep.contracts.network import AUTO_JUMPS, network_of
from dlnsweep.contracts.schedule import record_steps
from dlnsweep.networks.layered.kind import problem_rank
from dlnsweep.networks.matrix.kind import matrix_shape
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.settings.training import OF_NETWORK
from dlnsweep.settings.warm_start import WARM_START
from dlnsweep.spec.jumps import check_jumps

if TYPE_CHECKING:
    from dlnsweep.plan.plan import Plan

# What a folder's record says of it.
_RECORD, _WORD = "auto_jumps", "by_cost"
# Problems and networks of the certificate, with activations and depths as there.
_CERTIFIED = {
    ("subspace", "deep_linear"),
    ("teacher", "mlp"),
    ("teacher", "diagonal_linear"),
    ("matrix_completion", "deep_linear"),
}
_ACTIVATIONS = ("tanh", "gelu", "erf", "softplus", "quadratic")
_DEEPEST = 6
_OPTIMIZERS = ("gradient_descent", "momentum", "nesterov")
# What else must be as there: its value, where a setting has one.
_NEEDED: dict[str, Any] = {
    "sweep.kernel": "auto",
    "training.loss": OF_NETWORK,
    "training.prescription": "none",
    "network.initial_weights": "drawn",
}
# What no run of it has.
_LEFT_OUT = (
    WARM_START,
    "record.weights",
    "training.stop_when",
    "training.learning_rate_factors",
    "training.weight_decay_factors",
)
# Outputs on all samples: the tangent kernel is decomposed at each jump.
_MOST_OUTPUTS = 64
# The least that the steps of a run take of one core: floating-point operations a second as vector
# instructions make them (results/kept/speed/simd_dense.csv), or steps of the reduced kernel.
_STEP_FLOPS_A_SECOND = 45e9
_REDUCED_STEP_SECONDS = 4e-6
# What a gradient of a walk takes of one core, at most (results/kept/long_runs/border.csv).
_GRADIENT_SECONDS, _GRADIENT_FLOPS_A_SECOND = 1e-5, 2e9
# Runs that would be done sooner are not worth compiling jumps for.
_LEAST_SECONDS = 60.0
# Both walks of a run may take so much of the time of its steps, and twice what they are expected to
# take must be less.
_SHARE = 0.05
# What is expected of a walk: real steps, and jumps beside those that records ask for, some of which
# cost more.
_STEPS, _JUMPS, _JUMPS_A_RECORD, _DEARER = 5_000, 60, 2, 3
# Of a jump: seven rows of Euler steps, each of four gradients. Beside them the derivatives of each
# output cost one.
_JUMP_GRADIENTS = 112


def of_new(plan: Plan) -> dict[str, str]:
    """Return what the record of a folder that is begun now has of it."""
    return {_RECORD: _WORD} if taken_by(plan).any() else {}


def of_record(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a folder's record has of it."""
    return {_RECORD: _WORD} if record.get(_RECORD) == _WORD else {}


def settings_in(record: Mapping[str, Any], row: RunSettings, width: int) -> dict[str, int]:
    """Return what a folder's record says of a batch, as settings of its runs.

    Args:
        record: The folder's record.
        row: The settings of one of the batch's runs.
        width: The width of its arrays.
    """
    most = gradients_allowed(row, width) if of_record(record) else 0
    return {AUTO_JUMPS: most} if most else {}


def taken_by(plan: Plan) -> np.ndarray:
    """Return for each run of a plan whether jumps are tried in a folder that is begun now."""
    found = np.zeros(plan.num_runs, bool)
    # Runs that go on have the bits of whole ones, step by step.
    if plan.sweep.options.kernel != "auto" or plan.sweep.options.go_on_from:
        return found
    return each(plan, lambda row, width: gradients_allowed(row, width) > 0)


def each(plan: Plan, tells: Callable[[RunSettings, int], bool]) -> np.ndarray:
    """Return what is told of each run of a plan by its row and the width of its arrays.

    Args:
        plan: The plan.
        tells: What tells it, alike for runs of a program that have as many steps.
    """
    together = np.stack([plan.programs, plan.settings["training.num_steps"]])
    _, firsts, places = np.unique(together, axis=1, return_index=True, return_inverse=True)
    widths = [plan.program_widths[plan.programs[first]] for first in firsts]
    found = [tells(plan.row(i), width) for i, width in zip(firsts, widths, strict=True)]
    return np.array(found, bool)[places.reshape(-1)]


def told(plan: Plan, tried: np.ndarray) -> list[str]:
    """Return what is told of the runs for which jumps are tried.

    Args:
        plan: The plan.
        tried: Which they are.
    """
    count = int(tried.sum())
    if not count:
        return []
    which = "its runs" if count == plan.num_runs else f"{count} of its {plan.num_runs} runs"
    return [
        f"time jumps are tried for {which}, which are long enough for them; a run that they do not "
        'hold for is trained step by step (outcomes say which; sweep.kernel = "dense" or '
        '"generic" takes all steps)'
    ]


def gradients_allowed(row: RunSettings, width: int) -> int:
    """Return how many gradients a walk may take of a run for which jumps are tried; else 0.

    Args:
        row: The run's settings.
        width: The width of its arrays.
    """
    if not _is_certified(row):
        return 0
    network, steps = network_of(row), row["training.num_steps"]
    flops = network.step_cost(row, width).flops
    step = flops / _STEP_FLOPS_A_SECOND
    if not network.why_full(row, width):
        step = min(step, _REDUCED_STEP_SECONDS)
    seconds = steps * step
    if seconds < _LEAST_SECONDS:
        return 0
    gradient = _GRADIENT_SECONDS + flops / _GRADIENT_FLOPS_A_SECOND
    most = int(_SHARE * seconds / (2 * gradient))
    records = len(record_steps(row.section("record", RecordSettings), steps))
    jump = _JUMP_GRADIENTS + outputs_of(row)
    expected = _STEPS + (_JUMPS + _JUMPS_A_RECORD * records) * _DEARER * jump
    return most if most >= 2 * expected else 0


def _is_certified(row: RunSettings) -> bool:
    """Tell whether a run is one of those that the certificate is about."""
    if (row["problem.kind"], row["network.kind"]) not in _CERTIFIED:
        return False
    if any(row.get(key, needed) != needed for key, needed in _NEEDED.items()):
        return False
    if row.get("network.activation", _ACTIVATIONS[0]) not in _ACTIVATIONS:
        return False
    if row["training.optimizer"] not in _OPTIMIZERS:
        return False
    if any(row.get(key) not in (None, "", [], ()) for key in _LEFT_OUT):
        return False
    forced = {key: [value] for key, value in row.items()} | {"sweep.kernel": ["jumps"]}
    if any(check_jumps(forced)):
        return False
    return row.number("network.depth", 1) <= _DEEPEST and 0 < outputs_of(row) <= _MOST_OUTPUTS


def outputs_of(row: RunSettings) -> int:
    """Return the number of outputs on all samples, of a linear network on as many as their rank."""
    if row["problem.kind"] == "matrix_completion":
        rows, columns = matrix_shape(row)
        return rows * columns
    samples = row.number("problem.num_samples", 0)
    if row["network.kind"] == "deep_linear":
        samples = min(samples, problem_rank(row))
    return int(row["problem.signal_dim"] * samples)
