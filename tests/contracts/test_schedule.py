"""At which steps runs are recorded, and how steps are cut into segments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dlnsweep.contracts.schedule import record_steps, total_of
from dlnsweep.engine.segments import Segments
from dlnsweep.settings.sections import RecordSettings


def record(**options) -> RecordSettings:
    return RecordSettings(**options)


def test_log_spacing_is_rounded_powers_each_once():
    found = record_steps(record(spacing="log", count=7), 1000)
    assert found.tolist() == [0, 1, 3, 10, 32, 100, 316, 1000]
    assert found.dtype == np.int64
    many = record_steps(record(spacing="log", count=200), 20)
    assert many.tolist() == list(range(21))


def test_linear_spacing():
    assert record_steps(record(spacing="linear", count=5), 10).tolist() == [0, 2, 5, 8, 10]
    assert record_steps(record(spacing="linear", count=100), 3).tolist() == [0, 1, 2, 3]


def test_explicit_steps_are_sorted_and_end_at_the_last_step():
    wanted = record(spacing="explicit", steps=[30, 7, 7, 1])
    assert record_steps(wanted, 20).tolist() == [0, 1, 7, 20]
    assert record_steps(wanted, 30).tolist() == [0, 1, 7, 30]


@pytest.mark.parametrize("num_steps", [1, 2, 10**6, 2**53, 2**53 + 1, 2**62 - 1, 2**62])
@pytest.mark.parametrize("spacing", ["log", "linear"])
def test_first_and_last_steps_are_recorded(spacing, num_steps):
    found = record_steps(record(spacing=spacing, count=50), num_steps)
    assert found[0] == 0
    assert found[-1] == num_steps
    assert np.all(np.diff(found) > 0)
    assert len(found) <= 51


def test_the_steps_of_many_long_runs_are_counted():
    assert total_of(np.full(5, 2**62)) == 5 * 2**62
    assert total_of(np.array([], np.int64)) == 0


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    st.sets(st.integers(0, 300), min_size=1, max_size=40),
    st.integers(1, 9),
    st.integers(1, 8),
    st.lists(st.integers(1, 400), min_size=1, max_size=6),
)
def test_segments_cover_every_step_in_order(steps, length, grain, budgets):
    ordered = np.array(sorted(steps), dtype=np.int64)
    segments = Segments(ordered, length, grain)
    now, recorded, cuts, rounds = 0, [], [], 0
    while not segments.finished:
        segment = segments.take(budgets[rounds % len(budgets)])
        assert segment.start == now
        assert len(segment.stops) == len(segment.recorded) == length
        assert np.all(np.diff(np.concatenate([[now], segment.stops])) >= 0)
        assert segment.end == segment.stops[-1]
        recorded += segment.stops[segment.recorded].tolist()
        cuts += segment.stops[~segment.recorded].tolist()
        # A segment goes forward, or records a step at which it stands.
        assert segment.end > now or segment.recorded.any()
        assert segment.end - now <= max(budgets[rounds % len(budgets)], grain)
        now = segment.end
        rounds += 1
        assert rounds < 1000
    assert recorded == ordered.tolist()
    assert now == ordered[-1]
    # Cuts fall only where the kernel folds its delayed updates anyway.
    for cut in set(cuts) - set(recorded):
        before = max([t for t in recorded if t < cut], default=0)
        assert (cut - before) % grain == 0


def test_padding_repeats_the_last_stop_unrecorded():
    segment = Segments(np.array([0, 4]), 5, 1).take(100)
    assert segment.stops.tolist() == [0, 4, 4, 4, 4]
    assert segment.recorded.tolist() == [True, True, False, False, False]


def test_a_long_gap_is_cut_at_multiples_of_the_grain():
    segments = Segments(np.array([0, 3, 1000]), 4, 8)
    first, second = segments.take(100), segments.take(100)
    assert first.stops.tolist() == [0, 3, 99, 99]
    assert first.recorded.tolist() == [True, True, False, False]
    assert second.start == 99
    assert second.end == 195
    assert not segments.finished


@hypothesis_settings(max_examples=100, deadline=None)
@given(
    st.sets(st.integers(0, 300), min_size=1, max_size=40),
    st.integers(1, 9),
    st.integers(1, 50),
    st.lists(st.integers(1, 400), min_size=1, max_size=6),
)
def test_stops_at_every_multiple_do_not_depend_on_budgets(steps, length, grain, budgets):
    ordered = np.array(sorted(steps), dtype=np.int64)
    gaps = zip([0, *ordered[:-1]], ordered, strict=True)
    wanted = [s for a, b in gaps for s in (*range(a + grain, b, grain), b)]
    segments = Segments(ordered, length, grain, everywhere=True)
    now, stops, recorded = 0, [], []
    while not segments.finished:
        # Another one goes on from anywhere.
        other = Segments(ordered, length, grain, everywhere=True)
        other.go_to(segments.position)
        segments = other
        segment = segments.take(budgets[len(stops) % len(budgets)])
        assert segment.start == now
        now = segment.end
        count = len(np.unique(segment.stops))
        stops += segment.stops[:count].tolist()
        recorded += segment.stops[segment.recorded].tolist()
    assert stops == wanted
    assert recorded == ordered.tolist()
