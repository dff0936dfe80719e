"""Shards: independent runners of one folder that need no coordinator."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_samples import BARE, PATIENCE, QUICK, data_files, start, trained_apart, write

import dlnsweep
from dlnsweep.cli.app import main
from dlnsweep.errors import SpecError
from dlnsweep.execution.shards import Shard


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sweeps"), BARE)


@pytest.fixture(scope="module")
def reference(sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return data_files(dlnsweep.run(sweep, tmp_path_factory.mktemp("whole"), workers=0).path)


@given(st.integers(1, 60), st.integers(0, 10**6))
def test_every_batch_belongs_to_one_shard(count: int, number: int) -> None:
    shards = [Shard.read(f"{index}/{count}") for index in range(1, count + 1)]
    assert sum(shard.takes(number) for shard in shards) == 1


def test_shards_are_as_large_as_each_other() -> None:
    sizes = [sum(Shard(i, 7).takes(number) for number in range(100)) for i in range(1, 8)]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "1/2/3", "-1/2", "1 / 2", ""])
def test_a_wrong_shard_is_refused(text: str, sweep: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as raised:
        dlnsweep.run(sweep, tmp_path / "out", shard=text)
    assert str(raised.value) == (
        f"--shard is {text!r}; it must be i/n with whole numbers 1 <= i <= n, such as 1/8 for the "
        "first of eight shards."
    )
    assert not (tmp_path / "out").exists()


# SMALL has three batches: more shards than batches, fewer, and one that is begun by another count.
@pytest.mark.parametrize(
    "shards", [["2/2", "1/2"], ["3/5", "5/5", "1/5", "4/5", "2/5"], ["2/3", "1/2", "2/2"]]
)
def test_any_shards_in_any_order_give_the_same_files(
    shards: list[str], sweep: Path, reference: dict[str, bytes], tmp_path: Path
) -> None:
    for shard in shards:
        dlnsweep.run(sweep, tmp_path, workers=0, shard=shard)
    assert data_files(tmp_path / "small") == reference
    assert not dlnsweep.open_results(tmp_path / "small").store.verify()


def test_a_shard_computes_its_own_batches_and_no_others(sweep: Path, tmp_path: Path) -> None:
    dlnsweep.run(sweep, tmp_path, workers=0, shard="2/2")
    assert [p.name for p in (tmp_path / "small" / "curves").iterdir()] == ["batch-000001.parquet"]


def test_shards_that_create_the_folder_at_the_same_moment(
    sweep: Path, reference: dict[str, bytes], tmp_path: Path
) -> None:
    from dlnsweep.execution.preparing import prepare
    from dlnsweep.spec.sweep import Sweep

    for attempt in range(10):
        root, barrier, left = tmp_path / f"{attempt}" / "small", threading.Barrier(4), []

        def begin(index: int, root=root, barrier=barrier, left=left) -> None:
            planned = Sweep.from_file(sweep)
            barrier.wait()
            left.append(list(prepare(planned, root, Shard(index, 4)).todo))

        threads = [threading.Thread(target=begin, args=[index]) for index in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(left) == [[], [0], [1], [2]]
        assert data_files(root) == {"runs.parquet": reference["runs.parquet"]}


def ran(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str | Path
) -> tuple[str, str]:
    """Run a command in this process, to its end; return what it printed and said."""
    monkeypatch.setattr(sys, "argv", ["dlnsweep", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    said = capsys.readouterr()
    return said.out, said.err


def test_two_shards_on_the_command_line(tmp_path: Path) -> None:
    # With no process below these two: what they share is the folder.
    sweep = write(tmp_path, QUICK)
    arguments = ("run", sweep, "--out", tmp_path, "--workers", "0", "--shard")
    both = [start(*arguments, shard, cwd=tmp_path) for shard in ("1/2", "2/2")]
    said = [process.communicate(timeout=PATIENCE) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    root = tmp_path / "small"
    assert data_files(root) == data_files(trained_apart(sweep, tmp_path / "whole"))
    for index, runs in ((0, 8), (1, 4)):
        assert f"{root}: {runs} of {runs} runs of shard {index + 1}/2 to do" in said[index][1]
    # The last one has drawn the figure; perhaps both were.
    assert (root / "figures" / "curves.png").exists()
    assert any(str(root / "figures" / "curves.png") in printed for printed, _ in said)


def test_a_shard_that_is_not_the_last_says_what_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = write(tmp_path, QUICK)
    arguments = ("run", sweep, "--out", tmp_path, "--workers", "0", "--shard", "1/2")
    _, said = ran(capsys, monkeypatch, *arguments)
    assert (
        f"dlnsweep: {tmp_path / 'small'}: 4 runs are left to other shards; `dlnsweep status "
        f"{tmp_path / 'small'}` shows who is at work, and the last one draws the figures"
    ) in said
    assert not (tmp_path / "small" / "figures").exists()
