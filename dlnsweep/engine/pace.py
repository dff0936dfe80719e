"""What walks by time jumps will take, from the first seconds of them.

A walk begins with real steps and short jumps; then jumps grow as the time that has passed, so that
every decade of steps takes about as long, until weight decay keeps them short: a fast part that was
frozen at a jump's beginning turns away from the true one by h eta lambda, and with rates a of it
the extrapolation converges while a h (h eta lambda)^2 is small, which gives

    h eta lambda = c (eta lambda)^(1/3),    c = 0.5 to 1.5 where measured, with a of some tenths.

A jump that follows the fast part (`jumps/euler.py`) costs more and is some tenths of a time
constant long, whatever the decay: of both that is made by which one is faster.
After two time constants of the decay what moves has faded, and jumps are some ten times as long.
"""

from __future__ import annotations

import math
import time
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dlnsweep.contracts.schedule import record_steps
from dlnsweep.engine.descent import WHOLE, descend
from dlnsweep.engine.jumps import JumpProgram, estimate_of
from dlnsweep.engine.rungs import tolerances
from dlnsweep.engine.segments import Segments
from dlnsweep.numerics.compiled import STOPS_A_SEGMENT
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sections import RecordSettings

# What a jump that follows takes of a time constant of the decay.
_FOLLOWED = 0.3
# c, the time constants after which what moves has faded, and how much longer jumps are then.
_LONGEST, _FADED, _LONGER = 1.0, 2.0, 10.0
# A finer walk of a run is looked at for this share of the time, if the others took all of it.
_LEAST_SHARE = 0.2


class Mark(NamedTuple):
    """How far a walk had come, at a time.

    Attributes:
        seconds: Since it began.
        step: The step that both walks had come to.
        steps: Real steps taken by the finer one.
        jumps: Jumps that it has tried.
    """

    seconds: float
    step: int
    steps: int
    jumps: int


class Paced(NamedTuple):
    """What a run takes.

    Attributes:
        seconds: In all, the trials that are too coarse included.
        walked: How many of its records were reached at last.
        records: All of them.
    """

    seconds: float
    walked: int
    records: int


def paced(program: JumpProgram, row: RunSettings, run: dict[str, np.ndarray], most: float) -> Paced:
    """Walk a run for some seconds, and say what it takes.

    Args:
        program: The program of its batch.
        row: Its settings.
        run: A column for each, with one entry.
        most: Seconds to walk, roughly.
    """
    tolerance, last = row["sweep.tolerance"], int(row["training.num_steps"])
    steps = record_steps(row.section("record", RecordSettings), last)
    rate = _decay_of(row)
    seconds, began, walked = 0.0, time.perf_counter(), 0
    for rung in tolerances(tolerance):
        left = max(most - (time.perf_counter() - began), _LEAST_SHARE * most)
        trail, records, done, price = _walked(program, run, rung, steps, left)
        walked = len(steps) if done else len(records)
        seconds += trail[-1].seconds + (0.0 if done else seconds_left(trail, last, rate, price))
        names = records[0] if records else {}
        found = {name: np.concatenate([each[name][0] for each in records]) for name in names}
        if not estimate_of(found) > tolerance:
            break
    return Paced(seconds, walked, len(steps))


def seconds_left(trail: list[Mark], last: int, rate: float, price: float) -> float:
    """Return the seconds that the rest of a walk takes.

    Args:
        trail: How far it has come, mark by mark, from its first step.
        last: Its last step.
        rate: eta lambda, a step.
        price: What a jump that follows costs, over a plain one; infinite if there is none.
    """
    now = trail[-1]
    if now.step <= 0:
        return now.seconds * last
    before = next(each for each in reversed(trail) if each.step <= now.step / 2)
    pace = (now.step - before.step) / max(now.seconds - before.seconds, 1e-9)
    fastest = faded = math.inf
    if rate > 0:
        length = max(_LONGEST * rate ** (-2 / 3), _FOLLOWED / rate / price)
        fastest = max(pace, length / _seconds_a_jump(trail))
        faded = max(_FADED / rate, now.step)
    until = min(float(last), faded)
    grown = min(now.step * fastest / pace, until)
    seconds = now.step / pace * math.log(grown / now.step)
    return seconds + (until - grown) / fastest + (last - until) / (_LONGER * fastest)


def _seconds_a_jump(trail: list[Mark]) -> float:
    """Return what a jump takes, from where no real steps were between, if there is such a place."""
    pairs = list(pairwise(trail))
    alone = [(a, b) for a, b in pairs if a.steps == b.steps and b.jumps > a.jumps]
    chosen = alone or pairs
    seconds = sum(b.seconds - a.seconds for a, b in chosen)
    return max(seconds, 1e-9) / max(sum(b.jumps - a.jumps for a, b in chosen), 1)


def _walked(
    program: JumpProgram,
    run: dict[str, np.ndarray],
    tolerance: float,
    steps: np.ndarray,
    most: float,
) -> tuple[list[Mark], list[dict[str, np.ndarray]], bool, float]:
    """Walk from record to record for some seconds.

    Returns:
        How far it came, mark by mark; the records; whether it came to its end; what a jump costs
        that follows the fast part.
    """
    began = time.perf_counter()
    inputs, carry = program.begin(program.arguments(run), tolerance, steps)
    price = program.price(inputs, carry)
    segments = Segments(steps, STOPS_A_SEGMENT, program.grain, ends=steps.tolist())
    trail, records = [Mark(0.0, 0, 0, 0)], []
    call, arrived = program.segment, program.arrived
    for passed in descend(call, inputs, carry, segments, 1, lambda _: WHOLE, arrived):
        walks = passed.carry.state.walks
        now, taken, jumps, trials = (
            np.asarray(each)[0] for each in (walks.now, walks.steps, walks.jumps, walks.trials)
        )
        seconds = time.perf_counter() - began
        on_its_way = max(int(np.min(now)), passed.segment.start)
        step = passed.segment.end if passed.arrived else on_its_way
        trail.append(Mark(seconds, step, int(taken[0]), int(jumps[0] + trials[0])))
        if passed.arrived:
            records.append(passed.records)
        if seconds > most:
            return trail, records, segments.finished, price
    # A run that has diverged ends before its last record.
    return trail, records, True, price


def _decay_of(row: RunSettings) -> float:
    """Return eta lambda, a step, as momentum makes it; 0 where a network has no decay."""
    names = ("learning_rate", "weight_decay")
    slow = 1 - float(row.number("training.momentum", 0.0))
    return math.prod(float(row.number(f"training.{name}", 0.0)) for name in names) / slow
