"""The host loop beside one that is written out, and what is kept of what was compiled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dlnsweep.engine import descent
from dlnsweep.engine.descent import WHOLE, Passed, TimedBudget, descend, valid_rows
from dlnsweep.engine.programs import Programs
from dlnsweep.engine.segments import Segment, Segments

STEPS = np.array([0, 1, 5, 70, 71, 200])
INPUTS = 2
NEVER = np.array([10**9])


def carried(count: np.ndarray, ends: np.ndarray) -> Any:
    ended = count >= ends
    state = SimpleNamespace(active=~ended, diverged_step=np.where(ended, ends, -1))
    return SimpleNamespace(state=state, count=count)


def counting(ends: np.ndarray) -> Any:
    """Return a program whose lanes count their steps, until each of them ends."""

    def call(inputs: Any, carry: Any, start: int, stops: np.ndarray, recorded: np.ndarray) -> Any:
        assert np.all(carry.count[carry.state.active] == start)
        values = np.minimum(stops[None], ends[:, None])
        return carried(values[:, -1], ends), {"count": values * inputs}

    return call


def descended(ends: np.ndarray, segments: Segments, budget: int) -> list[Passed]:
    """Return what is passed from step 0 on; the last lane is no run."""
    start = carried(np.zeros(len(ends), int), ends)
    runs = len(ends) - 1
    return list(descend(counting(ends), INPUTS, start, segments, runs, lambda _: budget))


@pytest.mark.parametrize("budget", [1, 7, 64, WHOLE])
def test_every_recorded_step_is_passed_once(budget: int) -> None:
    ends = np.array([10**9, 10**9, 3])
    found = descended(ends, Segments(STEPS, 4, 1), budget)
    records = np.concatenate([each.records["count"] for each in found], axis=1)
    np.testing.assert_array_equal(records, [INPUTS * STEPS] * 2)
    assert sum(each.steps for each in found) == STEPS[-1]
    assert all(np.array_equal(each.diverged_step, [-1, -1]) for each in found)
    assert found[-1].segment.end == STEPS[-1]


def test_it_ends_where_no_run_is_active_any_more() -> None:
    ends = np.array([6, 2, 10**9])
    found = descended(ends, Segments(STEPS, 1, 1), WHOLE)
    # The third lane is no run: it fills the call up.
    assert found[-1].segment.end == 70
    np.testing.assert_array_equal(found[-1].diverged_step, [6, 2])
    diverged, stopped = np.array([6, 2, -1, -1]), np.array([-1, -1, 70, -1])
    np.testing.assert_array_equal(valid_rows(STEPS, diverged, stopped), [3, 2, 4, 6])


def test_a_program_that_rests_on_its_way_is_called_for_the_same_segment_again() -> None:
    def call(inputs: Any, carry: Any, start: int, stops: np.ndarray, recorded: np.ndarray) -> Any:
        assert start == last, "a walk goes on from where it is; its segment begins where it did"
        count = np.minimum(carry.count + 30, stops[-1])
        values = np.where(recorded, count[:, None], -1)
        return carried(count, NEVER), {"count": values}

    last, found = 0, []
    segments = Segments(STEPS, 4, 1, ends=STEPS.tolist())
    walk = descend(
        call, None, carried(np.zeros(1, int), NEVER), segments, 1, lambda _: WHOLE,
        lambda carry, step: bool(carry.count[0] >= step),
    )  # fmt: skip
    for passed in walk:
        found.append((int(passed.carry.count[0]), passed.arrived))
        recorded_here = [[passed.segment.end]] if passed.arrived else [[]]
        assert passed.records["count"].tolist() == recorded_here
        last = passed.segment.end if passed.arrived else last
    assert [count for count, arrived in found if arrived] == STEPS.tolist()
    assert [count for count, arrived in found if not arrived] == [35, 65, 101, 131, 161, 191]


def test_segments_grow_to_about_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descent, "_FIRST_SEGMENT_STEPS", 10)

    def passed(steps: int, seconds: float) -> Passed:
        segment = Segment(0, np.array([steps]), np.array([True]))
        return Passed(segment, None, {}, np.array([-1]), seconds)

    budget = TimedBudget()
    assert budget(None) == 10
    assert budget(passed(10, 1e-9)) == 320, "at most thirty-two times as many"
    assert budget(passed(320, 0.5)) == 640
    assert budget(passed(640, 16.0)) == 40
    assert budget(passed(40, 1e9)) == 1


def test_what_was_compiled_first_goes_first() -> None:
    programs = Programs(most=2)
    made: list[str] = []

    def made_of(name: str) -> str:
        return programs.once(name, lambda: made.append(name) or name)

    assert [made_of(name) for name in "abab"] == ["a", "b", "a", "b"]
    assert made == ["a", "b"]
    made_of("c")
    assert (len(programs), made_of("b"), made) == (2, "b", ["a", "b", "c"])
    made_of("a")
    assert made == ["a", "b", "c", "a"]
    programs.clear()
    assert len(programs) == 0


def test_what_cannot_be_compiled_is_not_kept() -> None:
    programs = Programs()

    def fails() -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        programs.once("a", fails)
    assert programs.once("a", lambda: "made") == "made"
