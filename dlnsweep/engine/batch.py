"""Training the runs of one batch on this process's device: arrays in, arrays out, no files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dlnsweep.contracts.drawing import Sections
from dlnsweep.contracts.network import AUTO_JUMPS, CHECK_JUMPS, network_of, program_class
from dlnsweep.contracts.schedule import record_steps
from dlnsweep.engine.begun import Begun
from dlnsweep.engine.calls import train_pieces
from dlnsweep.engine.given import PREFIX
from dlnsweep.engine.journal import Journal
from dlnsweep.engine.jumping import paces_of, train_by_jumps
from dlnsweep.engine.jumps import JumpProgram
from dlnsweep.engine.programs import PROGRAMS, Programs
from dlnsweep.engine.rungs import train_jumping, why_not_kept
from dlnsweep.engine.trained import Trained, joined
from dlnsweep.engine.watch import Progress, Watch
from dlnsweep.errors import Interrupted
from dlnsweep.machine.stopping import asking
from dlnsweep.numerics.runtime import numerics
from dlnsweep.reduced.jumping.jumps import Pace
from dlnsweep.reduced.lane import Lane, complete, left_its_rehearsal, outcome_of
from dlnsweep.reduced.program import ReducedProgram
from dlnsweep.settings.run_settings import RunSettings


def train_batch(
    rows: Mapping[str, np.ndarray],
    shared: Mapping[str, Any],
    padded_width: int,
    on_progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    journal: Journal | None = None,
    begun: Begun | None = None,
    given: Mapping[str, np.ndarray] | None = None,
    programs: Programs = PROGRAMS,
) -> Trained:
    """Train the runs of one batch.

    Args:
        rows: A column for each setting, one entry a run; static settings are the same in all.
        shared: The settings that are no column.
        padded_width: The width of the arrays.
        on_progress: Called after every segment.
        should_stop: Asked after every segment, and at every step of a pilot.
        journal: What an earlier process has done, and where to keep what this one does.
        begun: Where the runs stand, if not at step 0.
        given: Their initial weights, by name, (runs, ...); drawn by default.
        programs: What has been compiled, and keeps what is compiled now.

    Raises:
        Interrupted: If `should_stop` said so; what is done stands in the journal.
        Misfit: If the journal is not of this batch.
    """
    watch = Watch(on_progress, should_stop, journal or Journal(), begun, programs)
    rows = {**rows} | {PREFIX + name: array for name, array in (given or {}).items()}
    with numerics():
        return _train_batch(rows, shared, padded_width, watch)


def _train_batch(
    rows: Mapping[str, np.ndarray],
    shared: Mapping[str, Any],
    padded_width: int,
    watch: Watch,
) -> Trained:
    row = RunSettings.at(rows, 0, shared)
    began = time.perf_counter()
    if row.get(AUTO_JUMPS) and watch.begun is None:
        trained = _try_jumps(rows, row, padded_width, watch)
    else:
        trained = _train_steps(rows, row, padded_width, watch)
    if row.get(CHECK_JUMPS) and trained.burst_error is None:
        trained = replace(trained, burst_error=np.full(len(trained.num_rows), np.nan))
    seconds = time.perf_counter() - began - watch.compile_seconds
    return replace(trained, compile_seconds=watch.compile_seconds, seconds=seconds)


def _train_steps(
    rows: Mapping[str, np.ndarray], row: RunSettings, padded_width: int, watch: Watch
) -> Trained:
    """Train runs step by step, by the kernel that is for them."""
    count = len(rows["seed"])
    if reason := network_of(row).why_full(row, padded_width):
        return _train_dense(rows, row, padded_width, [reason.sentence] * count, watch)
    # Nothing goes on there: what the kernel may leave out it finds from all steps.
    watch.begun = None
    return joined(*_train_reduced(rows, row, padded_width, watch))


def _try_jumps(
    rows: Mapping[str, np.ndarray], row: RunSettings, padded_width: int, watch: Watch
) -> Trained:
    """Train runs by time jumps, and step by step those that they do not hold for."""
    tolerance, most = row["sweep.tolerance"], int(row[AUTO_JUMPS])
    parts: list[Trained] = []
    order: list[int] = []
    left: dict[int, str] = {}
    diverged = watch.diverged
    # A program for each width: jumps have no padded arrays.
    widths = np.nan_to_num(rows.get("network.width", np.ones(len(rows["seed"]))), nan=1)
    for width in dict.fromkeys(widths.tolist()):
        places = np.flatnonzero(widths == width)
        some = {key: column[places] for key, column in rows.items()}
        own = row | RunSettings.at(some, 0) | {"sweep.kernel": "jumps"}
        part = _train_dense(some, own, int(width), ["it pays"] * len(places), watch, most)
        reasons = [why_not_kept(part, k, tolerance, most) for k in range(len(places))]
        left |= {int(place): why for place, why in zip(places, reasons, strict=True) if why}
        if kept := [k for k, why in enumerate(reasons) if not why]:
            parts.append(joined([part], np.array(kept)))
            order += places[kept].tolist()
    if left:
        # Of these it is told again.
        watch.diverged = diverged
        rest = sorted(left)
        some = {key: column[rest] for key, column in rows.items()}
        part = _train_steps(some, row, padded_width, watch)
        told = zip(part.kernel_reason, rest, strict=True)
        reasons = [f"{reason}; no time jumps: {left[place]}" for reason, place in told]
        parts.append(replace(part, kernel_reason=reasons))
        order += rest
    return joined(parts, np.argsort(np.array(order)))


def _train_dense(
    rows: Mapping[str, np.ndarray],
    row: RunSettings,
    padded_width: int,
    reasons: list[str],
    watch: Watch,
    most: int | None = None,
) -> Trained:
    began = time.perf_counter()
    program = watch.programs.dense(row, padded_width, len(rows["seed"]))
    watch.compile_seconds += time.perf_counter() - began
    classes = program_class(row, rows)
    assert len(np.unique(classes)) == 1, "the plan keeps them apart"
    if isinstance(program, JumpProgram):
        steps = record_steps(Sections.from_row(row).record, row["training.num_steps"])

        def train(indices: list[int], tolerance: float) -> Trained:
            def begin(piece: slice) -> tuple[Any, Any]:
                some = {key: column[np.array(indices)[piece]] for key, column in rows.items()}
                return program.begin(program.arguments(some), tolerance, steps)

            outcome = [(program.way, reasons[i], np.nan) for i in indices]
            return train_pieces(program, row, begin, outcome, watch, most)

        return train_jumping(len(reasons), row["sweep.tolerance"], train)
    # The runs of a call have one seed where they share what it draws.
    apart = rows["seed"] if program.drawing.one_seed else np.zeros_like(rows["seed"])
    groups = [np.flatnonzero(apart == seed) for seed in dict.fromkeys(apart.tolist())]
    parts = []
    for group in groups:

        def start(piece: slice, group: np.ndarray = group) -> tuple[Any, Any]:
            some = {key: column[group[piece]] for key, column in rows.items()}
            return program.start(program.arguments(some))

        outcome = [(program.way, program.reason_for(reasons[i]), np.nan) for i in group]
        parts.append(train_pieces(program, row, start, outcome, watch))
    watch.compile_seconds += program.late_seconds
    program.late_seconds = 0.0
    return parts[0] if len(parts) == 1 else joined(parts, np.argsort(np.concatenate(groups)))


def _train_reduced(
    rows: Mapping[str, np.ndarray], row: RunSettings, padded_width: int, watch: Watch
) -> tuple[list[Trained], np.ndarray]:
    """Train the runs that can be certified by the reduced kernel, and the rest by the dense one.

    Returns:
        The parts, and for each run of the batch its place in them.
    """
    forced = network_of(row).must_reduce(row)
    began = time.perf_counter()
    draw = watch.programs.draw(row, padded_width)
    watch.compile_seconds += time.perf_counter() - began
    lanes: list[Lane] = []
    reasons: list[str] = []
    hint = None

    def prepare(index: int) -> Lane:
        left = len(rows["seed"]) - index - 1
        lane = draw.lane(RunSettings.at(rows, index), hint, left)
        # What is kept is all that is used, so that a batch which goes on has the same numbers.
        return lane.made_small(is_reduced=forced or not reason_for(lane))

    def reason_for(lane: Lane) -> str:
        return lane.prepared.refusal or draw.why_not_smaller(lane)

    for index in range(len(rows["seed"])):
        known = watch.journal.has_lane(index)
        try:
            with asking(watch.should_stop):
                lane = watch.journal.lane(index, partial(prepare, index))
        except Interrupted:
            # With what stands in the journal.
            watch.check()
            raise
        hint = hint or lane.prepared.thresholds
        lanes.append(lane)
        reasons.append(reason_for(lane))
        if not known:
            watch.check()
    taken = [i for i, reason in enumerate(reasons) if forced or not reason]
    parts: list[Trained] = []
    order: list[int] = []
    while taken:
        chosen = [lanes[i] for i in taken]
        began = time.perf_counter()
        program = watch.programs.reduced(row, draw, chosen)
        watch.compile_seconds += time.perf_counter() - began
        outcome = [
            (program.way, outcome_of(lane.prepared), lane.prepared.estimate) for lane in chosen
        ]

        def train(
            places: list[int],
            paces: list[Pace] | None,
            keeps: bool,
            program: ReducedProgram = program,
            chosen: list[Lane] = chosen,
            outcome: list[tuple[str, str, float]] = outcome,
            indices: list[int] = taken,
        ) -> Trained:
            some = [chosen[i] for i in places]
            used, own = (program.jumping(), _of_a_trial(watch)) if paces else (program, watch)

            def start(piece: slice) -> Any:
                return used.start(some[piece], paces and paces[piece])

            own_outcome = [outcome[i] for i in places]
            # A trial of which nothing is kept is not looked at.
            looks = paces and keeps and row.get(CHECK_JUMPS)
            seeds = [int(rows["seed"][indices[i]]) for i in places] if looks else []
            return train_pieces(used, row, start, own_outcome, own, seeds=seeds)

        part = train_by_jumps(paces_of(program, row, chosen), row["sweep.tolerance"], train)
        found = [
            left_its_rehearsal(chosen[k], norm, *part.recorded_errors(k), stopped)
            for k, (norm, stopped) in enumerate(
                zip(part.residual_norm, part.stopped_step.tolist(), strict=True)
            )
        ]
        kept = [k for k, reason in enumerate(found) if not reason]
        if kept:
            parts.append(joined([part], np.array(kept)))
            order += [taken[k] for k in kept]
        again = [k for k in range(len(taken)) if k not in set(kept)]
        for k in again:
            reasons[taken[k]] = found[k]
            if forced:
                drawn = draw.draw(RunSettings.at(rows, taken[k]), chosen[k].deeper)
                lane = complete(replace(chosen[k], start=drawn), found[k])
                lanes[taken[k]] = lane.made_small(is_reduced=True)
        taken = [taken[k] for k in again] if forced else []
    left = [i for i in range(len(lanes)) if i not in set(order)]
    if left:
        some = {key: column[left] for key, column in rows.items()}
        parts.append(_train_dense(some, row, padded_width, [reasons[i] for i in left], watch))
    return parts, np.argsort(np.array(order + left))


def _of_a_trial(watch: Watch) -> Watch:
    """Return a watch of one of the two trials that a run takes: each is half of it.

    A run that diverges is none of them, and told when it takes its steps.
    """

    def tell(progress: Progress) -> None:
        watch.on_progress(replace(progress, run_steps=progress.run_steps // 2))

    return replace(watch, on_progress=tell)
