"""Measuring a short piece of each program: `dlnsweep plan` asks a process of its own for it.

`python -m dlnsweep.probe` reads a JSON list of {"columns", "shared", "padded_width"} from its
standard input and writes, a line each, what it measured.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from dlnsweep.contracts import plugins
from dlnsweep.errors import DlnsweepError
from dlnsweep.numerics.runtime import load_jax
from dlnsweep.settings.run_settings import RunSettings

_SECONDS = 1.0
# A walk begins with steps one by one; how long its jumps are shows later.
_WALKED_SECONDS = 10.0


def measure(columns: dict[str, list[Any]], shared: dict[str, Any], padded_width: int) -> Any:
    """Compile a batch's program and run its first steps.

    Returns:
        compile_seconds; start_seconds, of a further batch; seconds a run-step, start-up and
        recording left out but a pilot spread over the steps; seconds a record of a run, where an
        observable takes many steps, else 0; lanes and bytes of a call; the way.
    """
    from dlnsweep.contracts.network import network_of
    from dlnsweep.contracts.observable import has_dear_records
    from dlnsweep.engine.descent import descend
    from dlnsweep.engine.jumping import jumping_share
    from dlnsweep.engine.programs import PROGRAMS
    from dlnsweep.engine.segments import Segments
    from dlnsweep.numerics.compiled import STOPS_A_SEGMENT
    from dlnsweep.numerics.runtime import numerics
    from dlnsweep.settings.warm_start import WARM_START

    rows = {
        key: np.array([np.nan if v is None else v for v in values])
        for key, values in columns.items()
    }
    row = RunSettings.at(columns, 0, shared)
    if row.pop(WARM_START, None):
        # Drawn weights take as long, by the way that given ones are trained.
        ways = network_of(row).kernels
        if row["sweep.kernel"] == "auto":
            row["sweep.kernel"] = "dense" if "dense" in ways else "generic"
    count, pilot = len(rows["seed"]), 0.0
    longest = int(rows["training.num_steps"][0])
    with numerics():
        began = time.perf_counter()
        program: Any = None
        inputs: Any = None
        carry: Any = None
        piece: Any = None
        reduced, share = False, 1.0
        kind = network_of(row)
        if not kind.why_full(row, padded_width):
            draw = PROGRAMS.draw(row, padded_width)
            drawn = time.perf_counter()
            lane = draw.lane(row)
            pilot = time.perf_counter() - drawn
            if kind.must_reduce(row) or not (lane.prepared.refusal or draw.why_not_smaller(lane)):
                program = PROGRAMS.reduced(row, draw, [lane])
                inputs, carry = program.start([lane])
                reduced, share = True, jumping_share(program, row, lane)
                # Later runs get the first one's thresholds, and spare most of its trials.
                began, pilot = began + pilot, pilot / 2
        if program is None:
            program = PROGRAMS.dense(row, padded_width, count)
            piece = {key: values[: program.layout.lanes] for key, values in rows.items()}
            inputs, carry = program.start(program.arguments(piece))
        compiled = time.perf_counter() - began
        began = time.perf_counter()
        if not reduced:
            # What every batch pays once more, its program being compiled: drawing data and weights.
            inputs, carry = program.start(program.arguments(piece))
            np.asarray(carry.stopped_step)
        starting = time.perf_counter() - began
        if program.way == "jumps":
            return _walked(program, rows, shared) | {
                "compile_seconds": compiled,
                "start_seconds": starting,
            }
        # Nothing is recorded on the way.
        segments = Segments(np.array([longest]), STOPS_A_SEGMENT, program.grain)
        taken, seconds, spent = 1, 0.0, 0.0
        first: tuple[int, float] | None = None
        now = 0
        for passed in descend(program.segment, inputs, carry, segments, 1, _growing(program.grain)):
            # What its first call compiled is no training.
            late, carry, now = 0.0, passed.carry, passed.segment.end
            if not reduced:
                late, program.late_seconds = program.late_seconds, 0.0
                compiled += late
            taken, seconds = max(1, passed.steps), passed.seconds - late
            first, spent = first or (taken, seconds), spent + seconds
            # What every call takes, however few its steps, is to be the smaller part of it.
            if seconds >= _SECONDS / 4 and (seconds >= 2 * first[1] or spent >= 2 * _SECONDS):
                break
        if first and taken > first[0] and seconds >= 2 * first[1]:
            taken, seconds = taken - first[0], seconds - first[1]
        used, record = min(count, program.layout.lanes), 0.0
        if has_dear_records(row) and not reduced:
            record = _seconds_of_record(program, inputs, carry, now) / used
    return {
        "compile_seconds": compiled,
        "start_seconds": starting,
        "seconds_a_run_step": share * seconds / (taken * used) + pilot / longest,
        "seconds_a_record": record,
        "lanes": program.layout.lanes,
        "call_bytes": program.call_bytes,
        "way": program.way,
    }


def _seconds_of_record(program: Any, inputs: Any, carry: Any, now: int) -> float:
    """Return what a record of all lanes takes where they stand, once compiled."""
    from dlnsweep.numerics.compiled import STOPS_A_SEGMENT

    stops, recorded = np.full(STOPS_A_SEGMENT, now), np.zeros(STOPS_A_SEGMENT, bool)
    recorded[0] = True
    seconds = np.inf
    for _ in range(2):
        began = time.perf_counter()
        carry, values = program.segment(inputs, carry, now, stops, recorded)
        for value in values.values():
            np.asarray(value)
        seconds = min(seconds, time.perf_counter() - began)
    return seconds


def _growing(first: int) -> Callable[[Any], int]:
    """Return a `budget` of `descend` that takes four times as many steps each time."""
    budgets = (first * 4**k for k in itertools.count())
    return lambda _: next(budgets)


def _walked(program: Any, rows: dict[str, np.ndarray], shared: dict[str, Any]) -> dict[str, Any]:
    """Walk some runs of a program by time jumps, for some seconds in all.

    Returns:
        seconds_a_run, their mean; walked and records, how many of their records were reached.
    """
    from dlnsweep.engine.pace import paced

    began, found = time.perf_counter(), []
    count = len(rows["seed"])
    for number in range(count):
        run = {key: values[number : number + 1] for key, values in rows.items()}
        left = _WALKED_SECONDS - (time.perf_counter() - began)
        most = max(left, 0.1 * _WALKED_SECONDS) / (count - number)
        found.append(paced(program, RunSettings.at(run, 0, shared), run, most))
    return {
        "seconds_a_run": float(np.mean([each.seconds for each in found])),
        "walked": sum(each.walked for each in found),
        "records": sum(each.records for each in found),
    }


def main() -> int:
    """Measure what the standard input asks for; the arguments are plug-in files to load."""
    started = time.time()
    if hasattr(os, "sched_setaffinity"):
        # As in a worker: one core, one thread.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    try:
        plugins.load()
        for file in sys.argv[1:]:
            plugins.load_plugin(file)
        load_jax()
        from dlnsweep.numerics.executables import keeping_whole

        # As in a worker, which then finds what is compiled here.
        with nullcontext() if plugins.has_any() else keeping_whole(started):
            for request in json.load(sys.stdin):
                began = time.perf_counter()
                measured = measure(**request)
                measured["spent_seconds"] = time.perf_counter() - began
                print(json.dumps(measured), flush=True)
    except DlnsweepError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
