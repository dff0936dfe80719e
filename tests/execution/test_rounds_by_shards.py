"""Rounds by shards: each of them waits for a whole round, and the bytes are those of one runner."""

from __future__ import annotations

import random
import signal
import subprocess
from pathlib import Path

import pytest
from sweep_samples import BARE, PATIENCE, data_files, start, trained_apart, wait_until, write

import dlnsweep
from dlnsweep.errors import Interrupted, SpecError
from dlnsweep.execution import heartbeat
from dlnsweep.execution.preparing import IN_PROCESS, Prepared, prepare
from dlnsweep.execution.rounds import meeting
from dlnsweep.execution.shards import Shard
from dlnsweep.spec.sweep import Sweep

# Three batches a round.
REFINE = BARE.replace("learning_rate = 0.05", "learning_rate = [0.01, 30.0]") + (
    '\n[sweep.refine]\nbetween = "training.learning_rate"\ntolerance = 0.2\n'
)
UNTIL = BARE + (
    '\n[sweep.until]\nobservable = "regression_error"\nwidth = 0.3\nrelative = true\n'
    "most_seeds = 12\n"
)


@pytest.mark.parametrize("text", [REFINE, UNTIL], ids=["refine", "until"])
def test_shards_take_turns_from_round_to_round(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    whole = dlnsweep.run(path, tmp_path / "whole", workers=0)
    told: list[str] = []

    def turn(index: int) -> tuple[int, int]:
        before = len(told)
        results = dlnsweep.run(
            path, tmp_path / "out", workers=0, shard=f"{index}/2", wait_seconds=0,
            on_event=lambda event: told.append(event.text) if event.kind == "note" else None,
        )  # fmt: skip
        assert len(told) > before
        status = results.store.status()
        return status.planned, status.done

    turns = [turn(1)]
    assert told == [
        "runs of the file's own values and seeds are left to other shards, and the next round "
        "follows from all of them: once they are done the same command goes on"
    ]
    # The second one ends the first round, plans the next and does its share of that, and so on.
    while told[-1].startswith("runs of "):
        turns.append(turn(1 + len(turns) % 2))
        assert turns[-1] >= turns[-2]
        assert len(turns) < 20
    assert len({planned for planned, _ in turns}) > 2, "there were rounds"
    assert any(text.startswith("runs of round 1 are left to other shards") for text in told)
    assert data_files(tmp_path / "out" / "small") == data_files(whole.path)
    assert dlnsweep.open_results(tmp_path / "out" / "small").store.verify() == []
    # Whoever runs again finds all done.
    assert turn(2) == turns[-1]
    assert turns[-1][0] == turns[-1][1] == whole.store.status().done


@pytest.fixture
def round_of(tmp_path: Path) -> Prepared:
    """Return a round of which the first shard's share, batches 0 and 2, is left."""
    sweep = Sweep.from_file(write(tmp_path, BARE))
    prepared = prepare(sweep, tmp_path / "out" / "small", Shard(1, 2), how=IN_PROCESS)
    assert (sorted(prepared.todo), prepared.elsewhere) == ([0, 2], {1: 4})
    return prepared


def looked(prepared: Prepared, seconds: float | None, told: list[str]) -> bool:
    return meeting.met(prepared, seconds, told.append, lambda: False)


def test_a_shard_waits_while_another_is_at_work(
    round_of: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlnsweep.execution.workers.worker import execute_batch

    told: list[str] = []
    naps: list[float] = []

    def nap(seconds: float, _should_stop: object) -> None:
        naps.append(seconds)
        if len(naps) == 4:
            execute_batch(round_of.store.root, 1)

    clock = iter(range(0, 10**6, 50))
    monkeypatch.setattr(meeting.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(meeting, "_sleep", nap)
    alive = heartbeat.Runner("host", 1, "shard 2/2", 1.0, ((1, ""),), gone=False)
    monkeypatch.setattr(meeting, "runners", lambda _store: [alive])
    # Fifty seconds pass between two looks, and nobody loses patience.
    assert looked(round_of, 60.0, told)
    assert told == ["waiting for 4 runs of this round, which other shards compute"]
    assert naps == [0.1, 0.2, 0.4, 0.8]


def test_a_shard_ends_where_nobody_is_at_work(
    round_of: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    assert not looked(round_of, 0.0, told)
    assert told == []
    dead = heartbeat.Runner("host", 1, "shard 2/2", 1.0, ((1, ""),), gone=True)
    monkeypatch.setattr(meeting, "runners", lambda _store: [dead])
    monkeypatch.setattr(meeting, "_sleep", lambda seconds, _: naps.append(seconds))
    clock, naps = iter(range(0, 10**6, 25)), list[float]()
    monkeypatch.setattr(meeting.time, "monotonic", lambda: next(clock))
    assert not looked(round_of, None, told)
    assert len(naps) == 2, "a minute by default"


def test_who_waits_can_be_stopped(round_of: Prepared) -> None:
    with pytest.raises(Interrupted, match="the same command goes on"):
        meeting.met(round_of, None, lambda _: None, lambda: True)


@pytest.mark.parametrize("wait", [-1, True, "long", float("nan")])
def test_a_wrong_wait_is_refused(wait: object, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"^wait_seconds is .*; it must be a number from 0"):
        dlnsweep.run(write(tmp_path, BARE), tmp_path, wait_seconds=wait)  # pyright: ignore


def test_who_is_no_shard_waits_for_nobody(tmp_path: Path) -> None:
    path = write(tmp_path, BARE)
    with pytest.raises(SpecError, match=r"^wait_seconds is how long a shard waits"):
        dlnsweep.run(path, tmp_path, wait_seconds=5)
    with start("run", path, "--out", tmp_path, "--wait", "5", cwd=tmp_path) as process:
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "--wait is how long a shard waits for others; give --shard I/N, too." in said
    assert not (tmp_path / "small").exists()


@pytest.mark.slow
@pytest.mark.parametrize("text", [REFINE, UNTIL], ids=["refine", "until"])
def test_shards_side_by_side_that_are_killed(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    whole = trained_apart(path, tmp_path / "whole")
    root, chance = tmp_path / "out" / "small", random.Random(0)

    def begin(index: int) -> subprocess.Popen[str]:
        arguments = ("run", path, "--out", tmp_path / "out", "--workers", "0")
        return start(*arguments, "--shard", f"{index}/2", cwd=tmp_path)

    both = [begin(1), begin(2)]
    for _ in range(4):
        done = len(list(root.glob("curves/*")))
        wait_until(
            lambda done=done: len(list(root.glob("curves/*"))) > done or both[0].poll() is not None
        )
        victim = chance.randrange(2)
        both[victim].send_signal(signal.SIGKILL)
        both[victim].communicate()
        both[victim] = begin(victim + 1)
    said = [process.communicate(timeout=PATIENCE) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    # The other one may have ended before the last one began: then all is done at once.
    assert any("round 1 of at most" in words for _, words in said), said
    assert data_files(root) == data_files(whole)
    store = dlnsweep.open_results(root).store
    store.gc()
    assert store.verify() == []


def test_a_script_for_slurm_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dlnsweep.cli.files import slurm

    slurm(write(tmp_path, REFINE), shards=4)
    script = capsys.readouterr().out
    assert '--shard "$SLURM_ARRAY_TASK_ID/4"' in script
    assert "# A job whose share of a round is done waits while others are" in script
