"""Calls of a program, one after another: runs from where they start to their last record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dlnsweep.contracts.drawing import Sections
from dlnsweep.contracts.network import CHECK_JUMPS
from dlnsweep.contracts.schedule import record_steps
from dlnsweep.engine.bursts import checked, looked
from dlnsweep.engine.descent import TimedBudget, descend, valid_rows
from dlnsweep.engine.journal import Call, leaves_of
from dlnsweep.engine.jumps import JumpProgram
from dlnsweep.engine.kept import KeptWeights
from dlnsweep.engine.reduced_bursts import ReducedBursts
from dlnsweep.engine.rungs import GAVE_UP
from dlnsweep.engine.segments import Segments
from dlnsweep.engine.trained import Trained, filled, joined
from dlnsweep.engine.watch import Progress, Watch
from dlnsweep.numerics.compiled import STOPS_A_SEGMENT
from dlnsweep.reduced.program import ReducedProgram
from dlnsweep.settings.run_settings import RunSettings


def train_pieces(
    program: Any,
    row: RunSettings,
    start: Callable[[slice], tuple[Any, Any]],
    outcome: list[tuple[str, str, float]],
    watch: Watch,
    most: int | None = None,
    seeds: Sequence[int] = (),
) -> Trained:
    """Train runs, as many at a time as a call of the program takes.

    Args:
        program: The program.
        row: The settings of one of them.
        start: Returns inputs and state at step 0 of some of them.
        outcome: What outcomes say of each: its kernel, why, and the estimate.
        watch: What the batch tells, asks and keeps.
        most: How many gradients a walk by time jumps may take.
        seeds: Those of reduced runs whose jumps are checked.
    """
    steps = record_steps(Sections.from_row(row).record, row["training.num_steps"])
    parts = []
    for first in range(0, len(outcome), program.layout.lanes):
        piece = slice(first, min(len(outcome), first + program.layout.lanes))
        part = watch.journal.next_ended(len(outcome[piece]))
        if part is None:
            own = [ReducedBursts(seed, steps, row[CHECK_JUMPS]) for seed in seeds[piece]]
            part = _train_lanes(program, start(piece), outcome, piece, row, steps, watch, most, own)
            watch.journal.end_call(part)
        else:
            watch.on_progress(Progress(int(steps[-1]) * len(part.num_rows), watch.diverged, True))
        watch.diverged += int(np.sum(part.diverged_step >= 0))
        parts.append(part)
    return joined(parts, np.arange(len(outcome)))


def _train_lanes(
    program: Any,
    started: tuple[Any, Any],
    outcome: list[tuple[str, str, float]],
    piece: slice,
    row: RunSettings,
    steps: np.ndarray,
    watch: Watch,
    most: int | None,
    bursts: Sequence[ReducedBursts],
) -> Trained:
    """Train as many runs as one call of the program takes."""
    outcome, record = outcome[piece], Sections.from_row(row).record
    count, behind = len(outcome), None
    if watch.begun:
        started, behind = watch.begun.call(program, piece, steps, started)
    (inputs, carry), kept = watch.journal.present_call(started)
    kept = kept or behind
    everywhere = isinstance(program, ReducedProgram) and program.stops_everywhere
    weights = KeptWeights(record, int(steps[-1]), count)
    # A walk by jumps is asked after each record whether it has come there.
    ends = steps.tolist() if isinstance(program, JumpProgram) else weights.ends
    ends += [end for each in bursts for end in each.ends]
    segments = Segments(steps, STOPS_A_SEGMENT, program.grain, everywhere=everywhere, ends=ends)
    records: list[dict[str, np.ndarray]] = []
    told = 0
    if kept:
        segments.go_to(kept.position)
        records.append(kept.records)
        weights.go_on(kept.weights, kept.weight_steps)
        for each in bursts:
            each.go_on(kept.stretches)
        told = _reached(program, carry, kept.position[1])
        watch.on_progress(Progress(told * count, watch.diverged, True))

    def present() -> Call:
        whole = {k: np.concatenate([r[k] for r in records], axis=1) for k in records[0]}
        own = [each.values() for each in bursts]
        leaves, places = leaves_of(inputs, carry), (own[0] if own else {})
        return Call(leaves, segments.position, whole, *weights.values(), places)

    def gives_up(carry: Any) -> bool:
        # A walk that has taken too many has taken no less at its end: when it is seen is the same.
        return isinstance(program, JumpProgram) and (
            most is not None and program.spent(carry) > most
        )

    arrived = program.arrived if isinstance(program, JumpProgram) else None
    budget = TimedBudget()
    for passed in descend(program.segment, inputs, carry, segments, count, budget, arrived):
        carry, here = passed.carry, passed.segment.end
        if passed.arrived:
            records.append(passed.records)
            weights.look(program, inputs, carry, here)
            for each in bursts:
                each.look(carry, here)
        else:
            here = _reached(program, carry, passed.segment.start)
        diverged = watch.diverged + int(np.sum(passed.diverged_step >= 0))
        watch.on_progress(Progress(max(here - told, 0) * count, diverged))
        told = max(told, here)
        watch.check(present)
        if records and gives_up(carry):
            break
    reached = segments.position[0]
    weights.end(program, inputs, carry)
    kept_weights, kept_steps = weights.values()
    norms = np.full(count, np.nan)
    if isinstance(program, ReducedProgram):
        norms = program.residual_norms(inputs, carry)[:count]
    stopped_step = np.asarray(carry.stopped_step)[:count]
    diverged_step = np.asarray(carry.state.diverged_step)[:count]
    num_rows = valid_rows(steps, diverged_step, stopped_step)
    trained = Trained(
        steps=steps,
        observables={k: filled([r[k] for r in records], len(steps)) for k in records[0]},
        num_rows=np.minimum(num_rows, reached),
        diverged_step=diverged_step,
        stopped_step=stopped_step,
        kernel=[kernel for kernel, _, _ in outcome],
        kernel_reason=[reason for _, reason, _ in outcome],
        truncation_error=np.array([error for _, _, error in outcome]),
        residual_norm=norms,
        compile_seconds=0.0,
        seconds=0.0,
        weights=kept_weights,
        weight_steps=kept_steps,
        state=weights.state(program, carry),
    )
    if isinstance(program, JumpProgram | ReducedProgram):
        trained = program.told(carry, trained)
    if gives_up(carry):
        return replace(trained, kernel_reason=[GAVE_UP], truncation_error=np.array([np.inf]))
    if isinstance(program, JumpProgram) and program.places:
        tolerance = row["sweep.tolerance"]
        for looked_at in looked(program, inputs, carry, trained, tolerance):
            carry = looked_at
            watch.check(present)
        return checked(carry, trained, tolerance)
    for each in bursts:
        for _ in each.looked(program, inputs, carry, trained):
            watch.check(present)
        trained = each.checked(carry, trained)
    return trained


def _reached(program: Any, carry: Any, step: int) -> int:
    """Return the step that runs have come to, of walks that rest between recorded ones too."""
    return max(step, program.reached(carry)) if isinstance(program, JumpProgram) else step
