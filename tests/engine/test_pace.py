"""How long a walk by jumps takes, from its first seconds: against walks whose rest is known."""

from __future__ import annotations

import math

import pytest

from dlnsweep.engine.pace import Mark, seconds_left

A_JUMP, A_STEP, REAL_STEPS, LAST = 1e-3, 1e-5, 500, 10**9


def walked(longest: float) -> list[Mark]:
    """Return a walk of a tenth of a run's time so far a jump, but no more than `longest`."""
    marks = [Mark(0.0, 0, 0, 0), Mark(REAL_STEPS * A_STEP, REAL_STEPS, REAL_STEPS, 0)]
    while marks[-1].step < LAST:
        seconds, step, steps, jumps = marks[-1]
        length = int(min(0.1 * step, longest, LAST - step))
        marks.append(Mark(seconds + A_JUMP, step + max(length, 1), steps, jumps + 1))
    return marks


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("decay", [0.0, 1e-9, 3e-8])
def test_what_is_left_of_a_walk_is_known_within_a_factor_of_two(share: float, decay: float):
    # Up to two time constants of the decay, as long as `LAST` is here at the least of them.
    last = min(LAST, 2 / decay) if decay else LAST
    marks = [mark for mark in walked(decay ** (-2 / 3) if decay else LAST) if mark.step <= last]
    seen = marks[: max(10, int(share * len(marks)))]
    left = marks[-1].seconds - seen[-1].seconds
    found = seconds_left(seen, int(last), decay, math.inf)
    assert left / 2 < found < 2 * left


def test_what_has_faded_is_jumped_over_fast():
    marks = [mark for mark in walked(1e5) if mark.step <= 1e6]
    short, long = (seconds_left(marks, last, 1e-6, math.inf) for last in (2 * 10**6, 4 * 10**6))
    assert short < long < 1.5 * short


def test_a_walk_that_took_no_step_says_something():
    assert seconds_left([Mark(0.0, 0, 0, 0), Mark(0.5, 0, 0, 1)], 100, 0.0, math.inf) == 50.0


def test_jumps_that_follow_are_counted_where_they_are_faster():
    """Each of 0.3 time constants of a decay, for the time of eight plain ones."""
    decay, price = 1e-9, 8.0
    plain = walked(decay ** (-2 / 3))
    seen = [mark for mark in plain if mark.step <= 1e6]
    last = round(2 / decay)
    found = seconds_left(seen, last, decay, price)
    slowly = seconds_left(seen, last, decay, math.inf)
    grown = math.log(last / seen[-1].step) / math.log(1.1) * A_JUMP
    assert 2 / 0.3 * price * A_JUMP / 2 < found < 2 * (2 / 0.3 * price * A_JUMP + grown)
    assert found < slowly
    assert seconds_left(seen, last, 1e-3, 1e6) == seconds_left(seen, last, 1e-3, math.inf)
