"""Promises of the whole engine: whatever fails or dies, in whatever order, nothing is lost.

Batches are really trained here; what fails is the operating system under the store. The table of
the guide comes from `tests/benchmarks/survival.py`, which tries the same more often.
"""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from faults import FaultyOs, Killed, count_operations, faults, full_disk
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sweep_samples import BARE, data_files, write

import dlnsweep
from dlnsweep.engine import descent, journal
from dlnsweep.errors import Interrupted, StoreError
from dlnsweep.execution.preparing import prepare
from dlnsweep.execution.workers import worker
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store, system

STEPS = (30, 40, 50)
KEEPING = BARE.replace("[record]\n", '[record]\nweights = "final"\n')
# Recorded at 0, 10, 20, ...
ENDED = {"training.num_steps": 30, "record.count": 4, "record.spacing": '"linear"'}
LONGER = {**ENDED, "training.num_steps": 60, "record.count": 7}


@pytest.fixture(scope="module", autouse=True)
def _short_segments_on_a_quick_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(descent, "_FIRST_SEGMENT_STEPS", 10)
        patch.setattr(descent.TimedBudget, "__call__", lambda *_: 10)
        # A checkpoint at every segment, whatever it costs.
        patch.setattr(journal, "_LARGEST_SHARE", np.inf)
        patch.setattr(system, "os", FaultyOs(-1, full_disk, lasting=False))
        yield


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sweeps"), KEEPING)


@pytest.fixture(scope="module")
def reference(sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("reference")
    return results(dlnsweep.run(sweep, root, workers=0).path)


def folder(sweep: Path, out: Path, steps: tuple[int, ...] = STEPS) -> Store:
    chosen = Sweep.from_file(sweep, [f"training.num_steps={list(steps)}"])
    return prepare(chosen, out / "small").store


def going(sweep: Path, out: Path, settings: dict[str, Any], **more: Any) -> Store:
    """Return the folder of `ENDED`, or of `LONGER` with `go_on_from`."""
    chosen = {**settings, **{f"sweep.{key}": f'"{value}"' for key, value in more.items()}}
    overrides = [f"{key}={value}" for key, value in chosen.items()]
    return prepare(Sweep.from_file(sweep, overrides), out / "small").store


def results(root: Path) -> dict[str, bytes]:
    """Return the files of batches; what lies in `_staging` is nobody's result."""
    found = data_files(root)
    found |= {f"weights/{path.name}": path.read_bytes() for path in root.glob("weights/*.npz")}
    batches = ("curves", "outcomes", "weights")
    return {name: data for name, data in found.items() if name.startswith(batches)}


def work(store: Store, should_stop: Callable[[], bool] = lambda: False) -> None:
    """Do all batches as a runner does, with a checkpoint after every segment."""
    for number in sorted(set(dict(store.batches())) - store.done()):
        worker.execute_batch(store.root, number, lambda _: None, should_stop, 0.0)


def assert_sound(root: Path, reference: dict[str, bytes]) -> None:
    """Nothing is torn or half visible, and what stands there is right to the byte."""
    store = Store.open(root)
    assert [p.sentence for p in store.verify() if not p.leftover] == []
    found = results(root)
    done = {f"curves/batch-{n:06d}.parquet" for n in store.done()}
    assert done == {name for name in found if name.startswith("curves/")}
    assert all(reference[name] == content for name, content in found.items())


def assert_completes(root: Path, reference: dict[str, bytes]) -> None:
    store = Store.open(root)
    work(store)
    store.gc()
    assert store.verify() == []
    found = results(root)
    assert {name: reference[name] for name in found} == found
    assert len(store.done()) == len(store.batches())
    assert os.listdir(root / "_staging") == ["lock"]  # noqa: PTH208
    assert not (root / "checkpoints").exists() or not os.listdir(root / "checkpoints")  # noqa: PTH208


def test_death_at_every_file_operation_of_a_batch(sweep, reference, tmp_path: Path) -> None:
    counted = folder(sweep, tmp_path / "counted", STEPS[:1])
    total = count_operations(lambda: work(counted))
    assert total > 40, "checkpoints are among them"
    resumed = 0
    for number in range(1, total + 1):
        store = folder(sweep, tmp_path / str(number), STEPS[:1])
        with pytest.raises(Killed), faults(number, Killed, lasting=True):
            work(store)
        assert_sound(store.root, reference)
        assert_completes(store.root, reference)
        receipt = store.files.read_json("receipts/batch-000000.json")
        assert receipt["notes"] == []
        resumed += receipt["resumed_seconds"] > 0
    assert resumed > total / 2


def test_death_while_runs_go_on_from_another_folder(sweep, tmp_path: Path) -> None:
    """Each seventh file operation; the table of the guide has them all."""
    ended = going(sweep, tmp_path / "ended", ENDED)
    work(ended)
    whole = going(sweep, tmp_path / "whole", LONGER)
    work(whole)
    wanted = results(whole.root)
    counted = going(sweep, tmp_path / "counted", LONGER, go_on_from=ended.root)
    for number in range(1, count_operations(lambda: work(counted)), 7):
        store = going(sweep, tmp_path / str(number), LONGER, go_on_from=ended.root)
        with pytest.raises(Killed), faults(number, Killed, lasting=True):
            work(store)
        assert_sound(store.root, wanted)
        assert_completes(store.root, wanted)
        receipt = store.files.read_json("receipts/batch-000000.json")
        assert (receipt["went_on_from_step"], receipt["notes"]) == (30, [])
    assert results(counted.root) == wanted
    # Without the other folder the batch begins anew, and has the same bytes.
    store = going(sweep, tmp_path / "alone", LONGER, go_on_from=ended.root)
    ended.root.rename(tmp_path / "elsewhere")
    notes: list[str] = []
    worker.execute_batch(store.root, 0, lambda event: notes.append(event.text))
    assert any("begins at step 0, not where it ended in" in note for note in notes)
    assert results(store.root) == wanted


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_limit_of_the_file_size_ends_a_run_and_a_higher_one_completes_it(
    share: float, sweep, reference, tmp_path: Path
) -> None:
    store = folder(sweep, tmp_path)
    size = len(reference["curves/batch-000000.parquet"])
    with largest_file(int(share * size)), pytest.raises(StoreError) as raised:
        work(store)
    assert "raise the file size limit (ulimit -f) and run the same command again" in str(
        raised.value
    )
    assert_sound(store.root, reference)
    assert_completes(store.root, reference)


def test_the_order_of_batches_does_not_matter(sweep, reference, tmp_path: Path) -> None:
    for seed in range(3):
        store = folder(sweep, tmp_path / str(seed))
        numbers = list(dict(store.batches()))
        random.Random(seed).shuffle(numbers)
        for number in numbers:
            worker.execute_batch(store.root, number)
        assert results(store.root) == reference


class Survival(RuleBasedStateMachine):
    """Start, kill, resume, duplicate, fill the disk, damage, clean and verify in any order."""

    home: Path
    sweep: Path
    reference: dict[str, bytes]

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory(dir=self.home)
        self.out = Path(self.folder.name)
        self.known: dict[str, bytes] = {}

    @property
    def store(self) -> Store:
        return Store.open(self.out / "small")

    @initialize()
    def begin(self) -> None:
        folder(self.sweep, self.out, STEPS[:1])

    @rule(count=st.integers(2, 3), number=st.integers(1, 25), kill=st.booleans())
    def enlarge(self, count: int, number: int, kill: bool) -> None:
        if len(self.store.batches()) >= count:
            return
        failure, expected = (Killed, Killed) if kill else (full_disk, StoreError)
        with suppress(expected), faults(number, failure, lasting=True):
            folder(self.sweep, self.out, STEPS[:count])
        folder(self.sweep, self.out, STEPS[:count])

    @rule(segments=st.integers(1, 16))
    def interrupt(self, segments: int) -> None:
        self.run(lambda: self.counted(segments, lambda: True), Interrupted)

    @rule(segments=st.integers(1, 16))
    def kill_in_a_segment(self, segments: int) -> None:
        def die() -> bool:
            raise Killed

        self.run(lambda: self.counted(segments, die), Killed)

    @rule(number=st.integers(1, 120))
    def kill_in_a_file_operation(self, number: int) -> None:
        with faults(number, Killed, lasting=True):
            self.run(lambda: lambda: False, Killed)

    @rule(number=st.integers(1, 120), lasting=st.booleans())
    def fill_the_disk(self, number: int, lasting: bool) -> None:
        with faults(number, lasting=lasting):
            self.run(lambda: lambda: False, StoreError)

    @rule(segments=st.integers(1, 16), stop=st.booleans())
    def run_twice_at_once(self, segments: int, stop: bool) -> None:
        def other() -> bool:
            work(self.store)
            return stop

        self.run(lambda: self.counted(segments, other), Interrupted)

    @precondition(lambda self: self.checkpoints())
    @rule(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
    def damage_a_checkpoint(self, place: float, bit: int) -> None:
        path = self.checkpoints()[0]
        data = bytearray(path.read_bytes())
        data[int(place * len(data))] ^= 1 << bit
        path.write_bytes(bytes(data))
        found = {p.path for p in self.store.verify() if not p.leftover}
        assert found == {path}
        self.run(lambda: self.counted(2, lambda: True), Interrupted)

    @rule()
    def clean(self) -> None:
        before = {p: p.read_bytes() for p in self.checkpoints()}
        self.store.gc()
        assert self.store.verify() == []
        assert {p: p.read_bytes() for p in self.checkpoints()} == before

    @invariant()
    def nothing_is_lost_or_torn(self) -> None:
        root = self.out / "small"
        assert_sound(root, self.reference)
        done = {n: c for n, c in results(root).items() if n.startswith("curves/")}
        assert self.known.items() <= done.items()
        self.known = done

    def teardown(self) -> None:
        assert_completes(self.out / "small", self.reference)
        self.folder.cleanup()

    def run(self, stopping: Callable[[], Callable[[], bool]], expected: type) -> None:
        with suppress(expected):
            work(self.store, stopping())

    def checkpoints(self) -> list[Path]:
        """Return those of unfinished batches; others are leftovers, which nobody reads."""
        done = {f"batch-{n:06d}.npz" for n in self.store.done()}
        found = sorted((self.out / "small").glob("checkpoints/*.npz"))
        return [path for path in found if path.name not in done]

    @staticmethod
    def counted(segments: int, then: Callable[[], bool]) -> Callable[[], bool]:
        left = [segments]

        def should_stop() -> bool:
            left[0] -= 1
            return left[0] == 0 and then()

        return should_stop


def test_any_order_of_failures(sweep, reference, tmp_path: Path) -> None:
    """Run the state machine; DLNSWEEP_MANY=1000 tries so many histories."""
    examples = int(os.environ.get("DLNSWEEP_MANY", "8"))
    machine: Any = type("Machine", (Survival,), {})
    machine.home, machine.sweep, machine.reference = tmp_path, sweep, reference
    all_checks: Any = list(HealthCheck)
    settings = hypothesis_settings(
        max_examples=examples,
        stateful_step_count=8 if examples < 100 else 25,
        deadline=None,
        derandomize=examples < 100,
        database=None,
        suppress_health_check=all_checks,
    )
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(machine, settings=settings)
