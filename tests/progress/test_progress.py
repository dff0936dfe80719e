from __future__ import annotations

import re

import pytest

from dlnsweep.execution.events import Event
from dlnsweep.progress import reporting as progress
from dlnsweep.progress.reporting import Tally, bar_line, reporting, share_of
from dlnsweep.progress.terminal_line import TerminalLine
from dlnsweep.settings.sentences import duration, shorten


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def tell(tally: Tally, clock: Clock, *events: Event) -> None:
    for event in events:
        clock.now += 1.0
        tally.add(event)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (18720, "5 h 12 min")],
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1 k"), (23_400, "23.4 k"), (2.5e6, "2.5 M"), (7e9, "7 G")],
)
def test_numbers_have_three_digits(number: float, text: str) -> None:
    assert shorten(number) == text


def test_a_tally_counts_runs_rate_and_time_left(clock: Clock) -> None:
    tally = Tally(runs=10, runs_done=2, run_steps=8000, diverged=1)
    assert tally.line() == "2 of 10 runs done, 1 diverged"
    tell(
        tally,
        clock,
        Event("ready", text="cpu"),
        Event("progress", 0, 1000, diverged=1),
        Event("progress", 1, 1000),
        Event("progress", 0, 1000, diverged=2),
    )
    assert tally.line() == "2 of 10 runs done, 1 k run-steps/s, 3 diverged"
    tell(tally, clock, Event("done", 0, 1000, runs=4, diverged=2))
    assert tally.line() == "6 of 10 runs done, 1 k run-steps/s, 4 s left, 3 diverged"
    tell(tally, clock, Event("done", 1, 4000, runs=4))
    assert tally.line() == "10 of 10 runs done, 1.6 k run-steps/s, 3 diverged"


def test_a_slow_start_is_no_measure_of_the_rest(clock: Clock) -> None:
    """A minute of compiling and a first tiny segment had once made 33 hours of 50 seconds."""
    tally = Tally(runs=10, runs_done=0, run_steps=1_000_000)
    tell(tally, clock, Event("ready"), Event("ready"))
    clock.now += 60.0
    tell(tally, clock, Event("progress", 0, 500))
    assert tally.seconds_left is None
    assert "left" not in tally.line()
    # Work that an earlier process has done tells nothing either.
    tally.add(Event("resumed", 1, 300_000))
    for _ in range(8):
        tell(tally, clock, Event("progress", 0, 20_000))
    assert tally.seconds_left == pytest.approx((1_000_000 - 460_500) / 20_000)
    assert "at most 27 s left" in tally.line()
    # One worker has ended a batch, for which compiling counts; the other one has not.
    tell(tally, clock, Event("done", 0, 10_000, runs=1))
    assert "at most" in tally.line()
    tell(tally, clock, Event("done", 1, 10_000, runs=1))
    assert "at most" not in tally.line()


def test_a_few_first_steps_are_no_measure_of_the_rest(clock: Clock) -> None:
    """Steps between records of steps 1, 2, 3, ... had made 43 hours of a minute."""
    tally = Tally(runs=120, runs_done=0, run_steps=7_200_000)
    tell(tally, clock, Event("ready"), *[Event("progress", 0, 60)] * 20)
    assert tally.line() == "0 of 120 runs done, 60 run-steps/s, 0 diverged"
    tell(tally, clock, Event("progress", 0, 7_200))
    assert "at most" in tally.line()


def test_where_steps_are_jumped_over_runs_tell_how_long_it_takes(clock: Clock) -> None:
    tally = Tally(runs=12, runs_done=2, run_steps=10**12, by_runs=True)
    tell(tally, clock, Event("progress", 0, 10**11))
    assert tally.line() == "2 of 12 runs done, 0 diverged"
    clock.now += 19.0
    tell(tally, clock, Event("done", 0, 10**11, runs=4))
    # Four runs in 20 seconds, and six are left.
    assert tally.line() == "6 of 12 runs done, 30 s left, 0 diverged"
    assert share_of(tally) == 0.5


@pytest.mark.parametrize("columns", range(8, 130, 3))
def test_the_bar_fits_any_terminal(clock: Clock, columns: int) -> None:
    tally = Tally(runs=20_000, runs_done=10_000, run_steps=10**9)
    for event in (Event("ready"), Event("progress", 0, 23_700), Event("done", 1, 5 * 10**8)):
        for seconds in (0.0, 4000.0):
            line = bar_line(tally, seconds, columns)
            assert len(line) <= max(columns, 17)
            assert line.isprintable()
        tell(tally, clock, event)
    if columns > 37:
        assert "──" in line
        assert "10000/20000 runs" in line or "10000 of 20000 runs" in line


class Screen:
    """A terminal of some columns, which breaks what it shows as it grows narrower."""

    def __init__(self) -> None:
        self.columns, self.rows = 60, [""]

    def write(self, text: str) -> None:
        for part in re.findall(r"\x1b\[2K|\x1b\[A|\r|\n|[^\x1b\r\n]+", text):
            if part == "\x1b[A":
                # Nothing is left below the cursor.
                assert self.rows.pop() == ""
            elif part == "\x1b[2K":
                self.rows[-1] = ""
            elif part == "\n":
                self.rows.append("")
            elif part != "\r":
                self.rows[-1] += part
                assert len(self.rows[-1]) < self.columns

    def flush(self) -> None: ...

    def become(self, columns: int) -> None:
        whole = self.rows.pop()
        self.columns = columns
        broken = [whole[i : i + columns] for i in range(0, len(whole), columns)]
        self.rows += broken or [""]


def test_a_terminal_that_becomes_narrower_keeps_no_dead_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Screen()
    monkeypatch.setattr(TerminalLine, "_columns", lambda self: screen.columns)
    line = TerminalLine(screen, lambda columns: "x" * columns)
    screen.write("before\n")
    line.draw()
    for columns in (30, 17, 90, 40, 20, 21):
        screen.become(columns)
        line.draw()
        assert screen.rows == ["before", "x" * (columns - 3)]
    line.print("a note")
    assert screen.rows == ["before", "a note", "x" * 18]


def test_what_a_dead_worker_did_does_not_count(clock: Clock) -> None:
    tally = Tally(runs=4, runs_done=0, run_steps=1000)
    tell(tally, clock, Event("progress", 0, 600, diverged=1), Event("retry", 0))
    assert (tally.steps_done, tally.diverged) == (0, 0)
    tell(tally, clock, Event("progress", 0, 600), Event("failed", 0))
    assert tally.line() == "0 of 4 runs done, 0 diverged, 1 batch failed"


def test_what_an_earlier_process_did_is_done_but_no_part_of_the_rate(clock: Clock) -> None:
    tally = Tally(runs=2, runs_done=0, run_steps=2000)
    tell(tally, clock, Event("ready"), Event("resumed", 0, 900), Event("progress", 0, 50))
    assert tally.steps_done == 950
    assert tally.line() == "0 of 2 runs done, 25 run-steps/s, 0 diverged"
    tell(tally, clock, Event("retry", 0), Event("resumed", 0, 900), Event("progress", 0, 75))
    assert tally.line() == "0 of 2 runs done, 15 run-steps/s, 0 diverged"
    first = Tally(runs=2, runs_done=0, run_steps=2000)
    tell(first, clock, Event("resumed", 0, 900), Event("done", 0, 100, runs=1))
    assert first.line() == "1 of 2 runs done, 100 run-steps/s, 10 s left, 0 diverged"


def test_notes_are_shown_and_count_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally(runs=2, runs_done=0, run_steps=2000)
    with reporting(tally) as on_event:
        on_event(Event("progress", 0, 50, diverged=1))
        on_event(Event("note", 0, text="a sentence."))
    assert capsys.readouterr().err == "dlnsweep: a sentence.\n"
    assert (tally.steps_done, tally.diverged) == (50, 1)


def test_the_rate_survives_long_segments(clock: Clock) -> None:
    tally = Tally(runs=1, runs_done=0, run_steps=100)
    for _ in range(3):
        clock.now += 60.0
        tally.add(Event("progress", 0, 6))
    assert tally.rate == pytest.approx(0.1)


def test_minutes_of_preparation_count_as_work(clock: Clock) -> None:
    tally = Tally(runs=4, runs_done=0, run_steps=4000)
    tell(tally, clock, Event("ready"))
    for batch in range(2):
        clock.now += 99.0
        tell(tally, clock, Event("progress", batch, 16))
        tally.add(Event("done", batch, 984, runs=1))
    assert tally.line() == "2 of 4 runs done, 10 run-steps/s, 3 min 20 s left, 0 diverged"


def test_runs_that_stop_early_shorten_the_time_left_and_do_not_count_as_speed(
    clock: Clock,
) -> None:
    tally = Tally(runs=4, runs_done=0, run_steps=4000, may_stop=True)
    tell(tally, clock, Event("ready"), Event("progress", 0, 50), Event("progress", 1, 50))
    assert tally.line() == "0 of 4 runs done, 50 run-steps/s, 0 diverged"
    # 100 of the 1000 planned steps were taken: the other three batches will take such a share.
    tell(tally, clock, Event("done", 0, 950, runs=1, saved=900))
    assert tally.line() == "1 of 4 runs done, 50 run-steps/s, 6 s left, 0 diverged"
    assert tally.steps_done == 1050
    again = Tally(runs=4, runs_done=1, run_steps=3000, may_stop=True, ended=(100, 1000))
    tell(again, clock, Event("ready"), Event("progress", 1, 50))
    assert again.line() == "1 of 4 runs done, 50 run-steps/s, 0 diverged"
    tell(again, clock, *[Event("progress", 1, 50)] * 5)
    assert again.line() == "1 of 4 runs done, 50 run-steps/s, at most 5 s left, 0 diverged"


def test_the_line_fits_its_width(clock: Clock) -> None:
    tally = Tally(runs=20_000, runs_done=10_000, run_steps=10**9)
    tell(tally, clock, Event("progress", 0, 23_700), Event("done", 1, 23_700))
    lines = {width: tally.line(width) for width in range(8, 90)}
    assert all(len(line) <= width for width, line in lines.items())
    assert lines[80] == (
        "10000 of 20000 runs done, 23.7 k run-steps/s, 11 h 43 min left, 0 diverged"
    )
    assert lines[70] == "10000/20000 runs, 23.7 k steps/s, 11 h 43 min left, 0 diverged"
    assert lines[50] == "10000/20000 runs, 11 h 43 min left, 0 diverged"


def test_plain_lines_come_at_commits_but_not_many(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = Tally(runs=100, runs_done=0, run_steps=1000)
    with reporting(tally) as report:
        for batch in range(100):
            clock.now += 0.1
            report(Event("done", batch, 10, runs=1))
    lines = capsys.readouterr().err.splitlines()
    assert 9 <= len(lines) <= 11
    assert lines[-1] == "dlnsweep: 100 of 100 runs done, 100 run-steps/s, 0 diverged"


def test_a_plain_line_comes_every_half_minute(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = Tally(runs=1, runs_done=0, run_steps=10_000)
    with reporting(tally) as report:
        for _ in range(95):
            clock.now += 1.0
            report(Event("progress", 0, 10))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert (
        lines[0]
        == "dlnsweep: 0 of 1 runs done, 10 run-steps/s, at most 16 min 10 s left, 0 diverged"
    )


def test_a_failed_batch_is_told_at_once(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(Tally(4, 0, 100)) as report:
        report(Event("failed", 0, text="killed"))
    expected = "dlnsweep: 0 of 4 runs done, 0 diverged, 1 batch failed\n"
    assert capsys.readouterr().err == expected


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally(4, 0, 100)
    with reporting(tally, quiet=True) as report:
        report(Event("done", 0, 100, runs=4))
    assert (capsys.readouterr().err, tally.runs_done) == ("", 4)


@pytest.mark.usefixtures("clock")
def test_the_bar_says_what_it_waits_for() -> None:
    tally = Tally(4, 0, 100)
    assert progress._words(tally, 2.2, 60) == "starting, 2 s"
    tally.add(Event("ready"))
    assert progress._words(tally, 4.0, 60) == "compiling on 1 worker, 4 s"
    tally.add(Event("ready"))
    assert progress._words(tally, 4.0, 60) == "compiling on 2 workers, 4 s"
    tally.add(Event("progress", 0, 10))
    assert progress._words(tally, 9.0, 60) == "0 of 4 runs done, 0 diverged"
    tally.add(Event("stopping"))
    assert progress._words(tally, 9.0, 60) == "saving how far it is"
    tally.shows_wishes = True
    tally.wish(2)
    assert progress._words(tally, 9.0, 60) == "saving how far it is; Ctrl-C: ends at once"
