"""Two kernels on a sample of a sweep's runs, side by side: is the faster one right?

The sweep's tolerance is a promise on the reduced kernel's records. The dense kernel takes the same
steps on the whole weight matrices, so it is the judge. The dense kernel of a kind of network takes
the very steps of gradient descent, but on reduced samples, with gradients by hand and whatever
else makes it fast; its judge is the generic way, which differentiates the loss as it is defined.

Both compute in float64 here, whatever the sweep's precision: in float32 the judge's own rounding
adds up to more than a fine tolerance, and it could not judge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnsweep.contracts.network import (
    AUTO_JUMPS,
    AUTO_TAKES,
    BY_DEFINITION,
    BY_VECTORS,
    NetworkKind,
    network_of,
)
from dlnsweep.contracts.schedule import total_of
from dlnsweep.engine.deviations import deviations_of
from dlnsweep.errors import SpecError
from dlnsweep.execution.events import Event
from dlnsweep.execution.warm_start import read_given
from dlnsweep.execution.ways import auto_jumps, jump_checks
from dlnsweep.numerics.runtime import load_jax
from dlnsweep.plan.cost import cost_of
from dlnsweep.plan.plan import Plan
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sentences import show

if TYPE_CHECKING:
    from dlnsweep.engine.batch import Progress, Trained

# What keeps the sweep's tolerance, and says by how much.
ESTIMATED = ("reduced", "jumps")
# Not a kernel but what "auto" makes of runs that it does not try to reduce, in a folder that has
# vector instructions. Pairs have the names of what it was: vector instructions of the generic way's
# steps or of the dense kernel's (`DENSE_STEPS`), or that kernel where they do not pay.
AS_AUTO = "as auto"
DENSE_STEPS = "simd_dense"
# Likewise: as "auto" trains runs in a folder in which it tries time jumps. Pairs say "jumps", and
# outcomes which of them were trained by their steps after all.
AS_JUMPS = "jumps as auto"
# Kernels that take the same steps differ by rounding alone, which a run can magnify.
_EXACT = 1e-8
# By which a judge tells how far it knows a norm that may fall to what rounding leaves.
_KNOWN_TO = {"gradient_norm": "gradient_rounding"}
# The estimate is no bound: a deviation of more than so many times it is a finding.
_ESTIMATES = 3.0


@dataclass(frozen=True)
class Deviation:
    """The largest relative deviation of an observable, and the recorded step where it occurs."""

    largest: float
    step: int


@dataclass(frozen=True)
class Pair:
    """One run by both kernels.

    Attributes:
        label: Its seed and the settings that vary, as short texts by column.
        kernel_reason: What the reduced kernel says of its bases.
        estimate: Its estimate of its relative error; NaN of a kernel that is exact.
        endings: How the run ended by the kernel and by its judge.
        deviations: One for each observable; none for a run that diverged.
        seconds: Seconds of the kernel and of its judge, compiling left out.
        kernels: Their names.
        bursts: What bursts of steps say that its jumps may be wrong by; NaN where there were none.
    """

    label: dict[str, str]
    kernel_reason: str
    estimate: float
    endings: tuple[str, str]
    deviations: dict[str, Deviation]
    seconds: tuple[float, float]
    kernels: tuple[str, str] = ("reduced", "dense")
    bursts: float = np.nan

    @property
    def promises_nothing(self) -> bool:
        """Whether its estimate is infinite: of its numbers nobody knows by how much they err."""
        return bool(np.isinf(self.estimate))

    def is_right(self, tolerance: float) -> bool:
        """Return whether the kernels agree to max(tolerance, 3 x estimate), or to rounding.

        What promises nothing breaks no promise.
        """
        # In this order NaN, which stands for no estimate, leaves the tolerance.
        limit = max(allowed(self.kernels[0], tolerance), _ESTIMATES * self.estimate)
        same_ending = self.endings[0] == self.endings[1]
        return same_ending and all(d.largest <= limit for d in self.deviations.values())


def choose_sample(num_runs: int, wanted: int) -> list[int]:
    """Return rows of the run table, spread evenly: the first and, from two on, the last."""
    count = min(num_runs, wanted)
    return [i * (num_runs - 1) // max(1, count - 1) for i in range(count)]


def allowed(kernel: str, tolerance: float) -> float:
    """Return the relative deviation from its judge that a kernel may show, estimates aside.

    Args:
        kernel: The kernel.
        tolerance: The sweep's, which is about the reduced kernel.
    """
    return tolerance if kernel in ESTIMATED else min(tolerance, _EXACT)


def seconds_of(plan: Plan, chosen: Sequence[int], kernel: str) -> float:
    """Estimate the seconds that some runs will take by a kernel."""
    forced = {"sweep.kernel": kernel, "sweep.precision": "float64"}
    return sum(cost_of(plan.row(i) | forced, _width(plan, i, kernel)).seconds for i in chosen)


def run_steps(plan: Plan, chosen: Sequence[int]) -> int:
    """Return the run-steps of both kernels together."""
    return 2 * total_of(plan.settings["training.num_steps"][list(chosen)])


def compare_runs(
    plan: Plan,
    chosen: Sequence[int],
    on_event: Callable[[Event], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    kernels: tuple[str, str] = ("reduced", "dense"),
) -> list[Pair]:
    """Train some runs by a kernel and by its judge, in this process: first all by the former.

    Args:
        plan: The sweep's plan.
        chosen: Rows of its run table.
        kernels: The kernel and its judge; of `AS_AUTO` and `AS_JUMPS` pairs say what it was.
        on_event: Called with what happens; each training counts as a batch of one run.
        should_stop: Asked after every segment.

    Raises:
        Interrupted: If `should_stop` said so.
        SpecError: If the kernel has left a run to its judge; `AS_AUTO` all of them.
    """
    load_jax()
    trained: dict[str, list[Trained]] = {kernel: [] for kernel in kernels}
    on_event(Event("ready"))
    number = 0
    for kernel, judges in zip(kernels, (False, True), strict=True):
        for index in chosen:
            found = _train(plan, index, kernel, number, on_event, should_stop, judges=judges)
            if kernel in BY_VECTORS and kernel != found.kernel[0]:
                raise _nothing_to_compare(found)
            trained[kernel].append(found)
            number += 1
        if kernel == AS_JUMPS:
            kernels = "jumps", kernels[1]
        if kernel == AS_AUTO:
            kernels = _what_auto_took(network_of(plan.row(chosen[0])), trained[kernel]), kernels[1]
    labels = _labels(plan, chosen)
    memories = [_memory(plan.row(index)) for index in chosen]
    return [
        compare(label, one, judge, kernels, memory)
        for label, one, judge, memory in zip(labels, *trained.values(), memories, strict=True)
    ]


def _what_auto_took(network: NetworkKind, trained: Sequence[Trained]) -> str:
    """Return the name of what "auto" trained some runs by: vectors if it was that for one of them.

    Raises:
        SpecError: If it was the judge.
    """
    ways = {one.kernel[0] for one in trained}
    if "simd_samples" in ways:
        return "simd_samples"
    if "simd" in ways:
        return DENSE_STEPS if network.has_own_kernel else "simd"
    if ways == {"generic"}:
        raise _nothing_to_compare(trained[0])
    return "dense"


def _nothing_to_compare(trained: Trained) -> SpecError:
    reason = trained.kernel_reason[0]
    return SpecError(f"there is nothing to compare: the generic way trains this: {reason}.")


def _train(
    plan: Plan,
    index: int,
    kernel: str,
    number: int,
    on_event: Callable[[Event], None],
    should_stop: Callable[[], bool],
    *,
    judges: bool,
) -> Trained:
    """Train one run by a kernel; one that judges records how far it knows what it records."""
    from dlnsweep.engine.batch import train_batch

    columns = {key: column[[index]] for key, column in plan.settings.items()}
    own = network_of(plan.row(index)).has_own_kernel
    asked: dict[str, Any] = {AUTO_TAKES: "simd" if own else "simd_all", "sweep.kernel": "auto"}
    width, given = _width(plan, index, kernel), None
    if kernel == AS_JUMPS:
        most = auto_jumps.gradients_allowed(plan.row(index), width)
        asked = {AUTO_JUMPS: most, "sweep.kernel": "auto"}
    elif kernel != AS_AUTO:
        asked = {"sweep.kernel": kernel}
    if kernel in (AS_JUMPS, *ESTIMATED):
        asked |= jump_checks.of_run(plan)
    columns |= {k: np.array([v]) for k, v in (asked | {"sweep.precision": "float64"}).items()}
    told = 0

    def report(progress: Progress) -> None:
        nonlocal told
        told += progress.run_steps
        on_event(Event("progress", number, progress.run_steps, diverged=progress.diverged))

    if plan.starts is not None:
        starts = (column[[index]] for column in plan.starts.placement.values())
        given = read_given(plan.starts.asked, *starts)
    shared = plan.shared
    if judges:
        shared = shared | {"record.observables": _with_rounding(plan, index)}
    trained = train_batch(columns, shared, width, report, should_stop, given=given)
    left = int(columns["training.num_steps"][0]) - told
    on_event(Event("done", number, left, 1, int(trained.diverged_step[0] >= 0)))
    return trained


def _with_rounding(plan: Plan, index: int) -> list[str]:
    """Return what a judge records: what is asked for, and how far it is known where it may say."""
    asked, network = plan.row(index)["record.observables"], network_of(plan.row(index))
    more = [_KNOWN_TO[name] for name in asked if name in _KNOWN_TO]
    known = set(network.known_observables())
    return list(dict.fromkeys([*asked, *(name for name in more if name in known)]))


def _width(plan: Plan, index: int, kernel: str) -> int:
    if kernel in BY_DEFINITION:
        # Its arrays have the run's own width.
        return int(plan.row(index).get("network.width") or 1)
    return plan.program_widths[plan.programs[index]]


def _labels(plan: Plan, chosen: Sequence[int]) -> list[dict[str, str]]:
    """Return the seed and the settings that vary over the sweep, for each run."""
    keys = [key for group in plan.sweep.axes for key in group]
    short = [key.rpartition(".")[2] for key in keys]
    names = [s if short.count(s) == 1 else key for s, key in zip(short, keys, strict=True)]
    labels = []
    for index in chosen:
        row = plan.row(index)
        values = {name: _text(row[key]) for name, key in zip(names, keys, strict=True)}
        labels.append({"seed": str(row["seed"])} | values)
    return labels


def _text(value: Any) -> str:
    if value is None:
        # A hyperparameter that the run does not use.
        return "-"
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else show(value)


def compare(
    label: dict[str, str],
    trained: Trained,
    judge: Trained,
    kernels: tuple[str, str] = ("reduced", "dense"),
    memory: float = np.inf,
) -> Pair:
    """Compare a run trained by a kernel with the same run by its judge.

    Of a run that diverged by either kernel only the endings are compared: its numbers blow up, and
    rounding with them.

    Args:
        label: See `Pair`.
        trained: The run by the kernel.
        judge: The run by its judge.
        kernels: Their names.
        memory: The steps after which weight decay has forgotten what rounding made.
    """
    rows = min(int(trained.num_rows[0]), int(judge.num_rows[0]))
    steps = judge.steps[:rows]
    diverged = "diverged" in (*trained.status, *judge.status)
    known_to = {
        name: judge.observables[by][0, :rows]
        for name, by in _KNOWN_TO.items()
        if by in judge.observables
    }
    deviations = {
        name: _largest(
            steps,
            deviations_of(
                name,
                trained.observables[name][0, :rows],
                values[0, :rows],
                judge=kernels[1],
                known_to=known_to.get(name),
                rounded=np.minimum(steps, memory),
            ),
        )
        for name, values in judge.observables.items()
        if name in trained.observables and rows and not diverged
    }
    return Pair(
        label,
        trained.kernel_reason[0],
        float(trained.truncation_error[0]),
        (_ending(trained), _ending(judge)),
        deviations,
        (trained.seconds, judge.seconds),
        kernels,
        np.nan if trained.burst_error is None else float(trained.burst_error[0]),
    )


def _memory(row: RunSettings) -> float:
    """Return 1 / (eta lambda), by the smallest rate and decay of any layer."""
    rate, decay = (np.min(row[f"training.{name}"]) for name in ("learning_rate", "weight_decay"))
    return 1 / (rate * decay) if rate * decay > 0 else np.inf


def _ending(trained: Trained) -> str:
    step = max(int(trained.diverged_step[0]), int(trained.stopped_step[0]))
    return trained.status[0] if step < 0 else f"{trained.status[0]} at {step}"


def _largest(steps: np.ndarray, deviations: np.ndarray) -> Deviation:
    place = int(np.argmax(deviations))
    return Deviation(float(deviations[place]), int(steps[place]))
