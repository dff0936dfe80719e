"""A batch that is stopped at any moment goes on bit for bit as if it had not been."""

from __future__ import annotations

import errno
import io
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sweep_samples import BARE, data_files, write

import dlnsweep
from dlnsweep.engine import batch, descent, journal
from dlnsweep.engine.journal import KINDS, Journal, State
from dlnsweep.engine.trained import Trained
from dlnsweep.errors import Interrupted, StoreError
from dlnsweep.execution.events import Event
from dlnsweep.execution.preparing import prepare
from dlnsweep.execution.workers import worker
from dlnsweep.machine.stopping import asking
from dlnsweep.networks.layered import kind as layered
from dlnsweep.numerics.code import ROOMS_OF_NUMBERS
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.reduced import lane as lanes
from dlnsweep.reduced import prepare as prepare_module
from dlnsweep.reduced import program as reducing
from dlnsweep.reduced.chain import Chain
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store
from dlnsweep.store.packing import PackError, is_intact, pack, unpack

DOCUMENT: dict[str, Any] = {
    "name": "test",
    "problem": {
        "kind": "subspace",
        "signal_dim": 6,
        "measurement_dim": 4,
        "subspace_dim": 2,
        "num_samples": 12,
    },
    "network": {"depth": 3, "width": 8},
    "training": {"learning_rate": [0.01, 0.02], "weight_decay": 0.1, "num_steps": 150},
    "record": {"count": 7},
    "sweep": {"seeds": 2, "kernel": "dense"},
}


def plan_of(**sections: dict[str, Any]) -> Plan:
    merged = {k: v if isinstance(v, str) else v | sections.get(k, {}) for k, v in DOCUMENT.items()}
    return make_plan(Sweep.from_dict(merged))


def train(plan: Plan, **options: Any) -> Trained:
    columns = {key: np.asarray(column) for key, column in plan.settings.items()}
    return batch.train_batch(columns, plan.shared, int(max(columns["network.width"])), **options)


def in_pieces(plan: Plan) -> tuple[Trained, list[bytes], list[int]]:
    """Train with a new process, so to speak, for every segment and every prepared run."""
    kept: list[bytes] = []
    told: list[int] = []

    def save(state: State) -> None:
        kept.append(pack(state, KINDS))

    while True:
        state = unpack(kept[-1], KINDS) if kept else None
        told.append(0)

        def tell(progress: batch.Progress) -> None:
            told[-1] += progress.run_steps

        own = Journal(state, save)
        try:
            trained = train(plan, on_progress=tell, should_stop=lambda: True, journal=own)
            return trained, kept, told
        except Interrupted:
            continue


def assert_same(found: Trained, wanted: Trained) -> None:
    for name, value in vars(wanted).items():
        if name in ("compile_seconds", "seconds"):
            continue
        if name == "observables":
            assert list(found.observables) == list(value)
            for observable, array in value.items():
                rows = found.observables[observable]
                assert rows.dtype == array.dtype
                for run, count in enumerate(wanted.num_rows):
                    mine, other = rows[run, :count], array[run, :count]
                    assert mine.tobytes() == other.tobytes(), (observable, run)
        elif name == "state":
            assert [leaf.tobytes() for leaf in found.state] == [leaf.tobytes() for leaf in value]
        elif name == "weights":
            bits = {key: array.tobytes() for key, array in value.items()}
            assert {key: array.tobytes() for key, array in found.weights.items()} == bits
        elif isinstance(value, np.ndarray):
            assert np.array_equal(getattr(found, name), value, equal_nan=value.dtype.kind == "f")
        else:
            assert getattr(found, name) == value, name


@pytest.fixture
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descent, "_FIRST_SEGMENT_STEPS", 20)
    monkeypatch.setattr(descent, "_SEGMENT_SECONDS", 1e-12)


# DLNSWEEP_MANY=1 tries what is like the rest, too.
MANY = "DLNSWEEP_MANY" in os.environ

CASES: dict[str, dict[str, Any]] = {
    # One run diverges, one stops early.
    "gradient_descent": {
        "training": {
            "learning_rate": [0.01, 0.03, 1e60],
            "weight_decay": 0.0,
            "num_steps": 400,
            "stop_when": {"observable": "regression_error", "below": 0.5},
        },
        "record": {"spacing": "linear", "count": 5, "weights": [0, 100, 300, 400]},
    },
    # The length of a substep is kept between the steps.
    "gradient flow": {
        "training": {"learning_rate": [0.5, 2.0], "num_steps": 150, "flow_tolerance": 1e-6},
        "sweep": {"kernel": "generic"},
    },
    "adam on minibatches, float32": {
        "network": {"depth": 2},
        "training": {"optimizer": "adam", "minibatch_size": 3},
        "sweep": {"precision": "float32"},
        "record": {"weights": "final"},
    },
}
if MANY:
    CASES["delayed, a call a run"] = {
        "network": {"width": 400},
        "training": {"learning_rate": 0.002, "num_steps": 40},
    }


@pytest.mark.usefixtures("_short_segments")
@pytest.mark.parametrize("case", CASES)
def test_a_batch_in_pieces_has_the_bits_of_a_whole_one(case: str) -> None:
    plan = plan_of(**CASES[case])
    whole = train(plan)
    found, kept, told = in_pieces(plan)
    assert_same(found, whole)
    assert len(kept) > 3
    # Whoever counts the steps sees each process begin with what was done before.
    steps = plan.settings["training.num_steps"].sum()
    ended_early = case == "gradient_descent"
    assert told[-1] <= steps if ended_early else told[-1] == steps
    assert sorted(told) == told
    if ended_early:
        assert set(whole.status) == {"finished", "stopped", "diverged"} - {"finished"}


@pytest.mark.usefixtures("_short_segments")
@pytest.mark.parametrize("kernel", ["auto", "reduced"] if MANY else ["reduced"])
def test_reduced_runs_in_pieces(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run is refused, and one is trained again: by the dense kernel or in complete bases."""
    for module, name in ((layered, "_FEWEST_STEPS"), (layered, "_LEAST_FLOPS"), (lanes, "_WORSE")):
        monkeypatch.setattr(module, name, 0)
    monkeypatch.setattr(prepare_module, "_LARGEST_WORK", np.inf)
    monkeypatch.setattr(reducing, "_STOP_FLOPS", 1.0)
    prepare_network, left = lanes.prepare, lanes.left_its_rehearsal
    prepared: list[bool] = []

    def refuse(network: Any, *arguments: Any, **options: Any) -> Any:
        prepared.append(True)
        found = prepare_network(network, *arguments, **options)
        odd = network.descent.weight_decay == 0.3
        return replace(found, refusal="refused here") if odd else found

    def leave(lane: lanes.Lane, *arguments: Any) -> str:
        again = lane.descent.weight_decay == 0.2 and not lane.prepared.refusal
        return "it left" if again else left(lane, *arguments)

    monkeypatch.setattr(lanes, "prepare", refuse)
    monkeypatch.setattr(batch, "left_its_rehearsal", leave)
    plan = plan_of(
        network={"depth": 2, "width": 30},
        training={"learning_rate": 0.02, "weight_decay": [0.1, 0.2, 0.3]},
        record={"count": 5},
        sweep={"seeds": 1, "kernel": kernel, "tolerance": 1e-3},
    )
    whole = train(plan)
    assert whole.kernel == ["reduced", *([kernel.replace("auto", "dense")] * 2)]
    assert "it left" in whole.kernel_reason[1]
    assert "refused here" in whole.kernel_reason[2]
    prepared.clear()
    found, kept, _ = in_pieces(plan)
    assert_same(found, whole)
    assert len(prepared) == 3, "each run is prepared once, in whichever process"
    assert len(kept) > 6
    # A small state: no weights, no bases of the pilot.
    assert max(map(len, kept)) < 10 * 30 * 30 * 8 * 3


@pytest.mark.usefixtures("_short_segments")
def test_reduced_runs_that_jump_in_pieces() -> None:
    """Each of the two trials is half of what is told, before and after an interruption."""
    plan = plan_of(
        network={"width": 40},
        training={"learning_rate": 0.03, "weight_decay": [1e-3, 3e-3], "num_steps": 200_000},
        record={"count": 200},
        sweep={"seeds": 1, "kernel": "reduced", "tolerance": 1e-4},
    )
    at_once: list[int] = []
    whole = train(plan, on_progress=lambda progress: at_once.append(progress.run_steps))
    assert all(reason.endswith(" jumps") for reason in whole.kernel_reason)
    steps = int(plan.settings["training.num_steps"].sum())
    # Each call's own half is rounded down.
    assert steps - len(at_once) <= sum(at_once) <= steps
    found, kept, told = in_pieces(plan)
    assert_same(found, whole)
    # Two runs made ready, and two trials of each in more than a piece.
    assert len(kept) > 2 + 4
    assert sorted(told) == told
    assert steps - len(kept) - len(at_once) <= told[-1] <= steps


def test_a_run_that_is_being_prepared_ends_at_a_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some time after it; and what was prepared before is kept."""
    plan = plan_of(
        network={"width": 40},
        training={"learning_rate": 0.03, "weight_decay": 1e-3, "num_steps": 20_000},
        sweep={"seeds": 2, "kernel": "reduced"},
    )
    prepared: list[int] = []
    wishes: list[bool] = []
    kept: list[bytes] = []
    own = Chain.advance

    def advance(self: Any, *arguments: Any, **options: Any) -> Any:
        # In the middle of the second run's pilot.
        if prepared and not wishes:
            wishes.append(True)
        return own(self, *arguments, **options)

    def lane(self: Any, index: int, make: Any) -> Any:
        if index == 1:
            prepared.append(index)
        return kept_lane(self, index, make)

    kept_lane = Journal.lane
    monkeypatch.setattr(Journal, "lane", lane)
    monkeypatch.setattr(Chain, "advance", advance)
    journal = Journal(None, lambda state: kept.append(pack(state, KINDS)))
    # It is given no time to come to its own end.
    monkeypatch.setattr(batch, "asking", partial(asking, seconds=0.0))
    with pytest.raises(Interrupted):
        train(plan, should_stop=lambda: bool(wishes), journal=journal)
    again = Journal(unpack(kept[-1], KINDS), None)
    assert again.has_lane(0)
    assert not again.has_lane(1)


# The file.


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sweeps"), BARE)


@pytest.fixture(scope="module")
def reference(sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("reference")
    return data_files(dlnsweep.run(sweep, root, workers=0).path)


@pytest.fixture
def _one_step_a_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descent, "_FIRST_SEGMENT_STEPS", 1)
    monkeypatch.setattr(descent, "_SEGMENT_SECONDS", 1e-12)


def interrupted(sweep: Path, out: Path, segments: int = 2) -> tuple[Store, Path]:
    """Return the folder of a sweep whose first batch was interrupted, and its checkpoint."""
    made = prepare(Sweep.from_file(sweep), out / "small")
    asked: list[bool] = []
    with pytest.raises(Interrupted):
        worker.execute_batch(
            made.store.root,
            0,
            should_stop=lambda: bool(asked.append(True)) or len(asked) == segments,
        )
    path = made.store.checkpoint(0).path
    assert isinstance(path, Path)
    return made.store, path


def finish(sweep: Path, out: Path) -> list[str]:
    """Complete the sweep; return the notes."""
    events: list[Event] = []
    dlnsweep.run(sweep, out, workers=0, on_event=events.append)
    return [event.text for event in events if event.kind == "note"]


def receipt(store: Store) -> dict[str, Any]:
    return store.files.read_json("receipts/batch-000000.json")


@pytest.mark.usefixtures("_one_step_a_segment")
def test_a_batch_goes_on_from_its_file(sweep: Path, reference, tmp_path: Path) -> None:
    store, path = interrupted(sweep, tmp_path)
    assert [p.name for p in path.parent.iterdir()] == ["batch-000000.npz"]
    assert store.verify() == []
    assert store.gc() == []
    assert path.exists(), "it is of use until its batch is done"
    state = unpack(path.read_bytes(), KINDS)[1]
    events: list[Event] = []
    worker.execute_batch(store.root, 0, events.append)
    assert not path.exists()
    assert not [e for e in events if e.kind == "note"]
    (resumed,) = [e for e in events if e.kind == "resumed"]
    assert resumed.run_steps == 4 * state.call.position[1] > 0
    assert sum(e.run_steps for e in events) == 4 * 30
    found = receipt(store)
    assert found["resumed_seconds"] == state.seconds > 0
    assert found["seconds"] > found["resumed_seconds"]
    assert found["notes"] == []
    assert finish(sweep, tmp_path) == []
    assert data_files(store.root) == reference


@pytest.mark.usefixtures("_one_step_a_segment")
def test_checkpoints_come_by_the_clock(sweep: Path, reference, tmp_path: Path) -> None:
    store = prepare(Sweep.from_file(sweep), tmp_path / "small").store
    worker.execute_batch(store.root, 0)
    assert receipt(store)["checkpoints"] == 0, "it took less than five minutes"
    worker.execute_batch(store.root, 1, checkpoint_seconds=0.0)
    second = store.files.read_json("receipts/batch-000001.json")
    assert second["checkpoints"] >= 1
    assert 0 < second["checkpoint_seconds"] < second["seconds"]
    finish(sweep, tmp_path)
    assert data_files(store.root) == reference
    assert not list((store.root / "checkpoints").iterdir())


def test_saving_takes_a_small_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(journal.time, "monotonic", lambda: now[0])
    saved: list[float] = []

    def save(_: State) -> None:
        saved.append(now[0])
        now[0] += 30.0

    own = Journal(None, save, 100.0)
    while now[0] < 5000:
        own.pause(None, ending=False)
        now[0] += 1.0
    assert saved == [100.0, 1130.0, 2160.0, 3190.0, 4220.0]
    own.pause(None, ending=True)
    assert len(saved) == 6
    assert own.save_seconds == 180.0


def changed(path: Path, **changes: Any) -> None:
    origin, state = unpack(path.read_bytes(), KINDS)
    path.write_bytes(pack((origin | changes, state), KINDS))


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def other_arrays(path: Path) -> None:
    origin, state = unpack(path.read_bytes(), KINDS)
    call = replace(state.call, leaves=[*state.call.leaves, np.zeros(3)])
    path.write_bytes(pack((origin, replace(state, call=call)), KINDS))


@pytest.mark.usefixtures("_one_step_a_segment")
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (damage, "its checksum is wrong"),
        (lambda path: path.write_bytes(b""), "its checksum is wrong"),
        (lambda path: path.write_bytes(pack([1, 2, 3], [])), "too many values to unpack"),
        (lambda path: path.write_bytes(pack(({}, 5), [])), "it is of other runs"),
        (
            lambda path: changed(path, jax="0.9.0"),
            "it was written with jax 0.9.0, and this is jax ",
        ),
        (
            lambda path: changed(path, **{"numerics version": 2}),
            "it was written with numerics version 2, and this is numerics version ",
        ),
        (lambda path: changed(path, code="other"), "another version of dlnsweep's code wrote it"),
        (lambda path: changed(path, runs="other"), "it is of other runs"),
        (
            lambda path: changed(path, cpu="x86_64 of old"),
            "it was written on another kind of CPU, x86_64 of old, and this is ",
        ),
        (
            lambda path: changed(path, variables={"XLA_FLAGS": "--xla_cpu_max_isa=AVX"}),
            "it was written where XLA_FLAGS='--xla_cpu_max_isa=AVX' was set, and here none is",
        ),
        (other_arrays, "its arrays are not those of the programs here"),
    ],
)
def test_what_does_not_fit_is_not_used(
    spoil, reason: str, sweep: Path, reference, tmp_path: Path
) -> None:
    store, path = interrupted(sweep, tmp_path)
    spoil(path)
    events: list[Event] = []
    worker.execute_batch(store.root, 0, events.append)
    (note,) = [e.text for e in events if e.kind == "note"]
    assert note.startswith(f"{path}: cannot be used ({reason}")
    assert note.endswith("); it is removed, and its batch begins anew.")
    assert receipt(store)["notes"] == [note]
    assert receipt(store)["resumed_seconds"] == 0.0
    assert not path.exists()
    for name in ("curves", "outcomes"):
        name = f"{name}/batch-000000.parquet"
        assert (store.root / name).read_bytes() == reference[name]


@pytest.mark.usefixtures("_one_step_a_segment")
def test_another_number_of_threads_loses_nothing_and_is_told(sweep: Path, tmp_path: Path) -> None:
    store, path = interrupted(sweep, tmp_path)
    changed(path, threads=[64, 64])
    worker.execute_batch(store.root, 0)
    (note,) = receipt(store)["notes"]
    assert note.startswith(f"{path}: was written by a process of another number of threads; its ")
    assert receipt(store)["resumed_seconds"] > 0.0


@pytest.mark.usefixtures("_one_step_a_segment")
def test_verify_finds_every_flipped_byte_of_a_checkpoint(sweep: Path, tmp_path: Path) -> None:
    store, path = interrupted(sweep, tmp_path)
    good = path.read_bytes()
    for i in [*range(0, len(good), 211), *range(len(good) - 90, len(good))]:
        bad = bytearray(good)
        bad[i] ^= 1 << (i % 8)
        path.write_bytes(bytes(bad))
        (problem,) = store.verify()
        assert problem.path == path
        assert not problem.leftover
        assert problem.sentence == (
            f"{path}: was changed after it was written; remove it, or run the sweep again, which "
            "removes it and computes this batch from its beginning."
        )


@pytest.mark.usefixtures("_one_step_a_segment")
def test_the_checkpoint_of_a_batch_that_is_done_is_a_leftover(sweep: Path, tmp_path: Path) -> None:
    store, path = interrupted(sweep, tmp_path)
    kept = path.read_bytes()
    worker.execute_batch(store.root, 0)
    # Another runner of the same batch was slower, and was killed before it could remove its own.
    path.write_bytes(kept)
    (problem,) = store.verify()
    assert problem.leftover
    assert problem.sentence.endswith(
        "its batch is done, so nothing needs it; `dlnsweep gc` removes it."
    )
    assert store.gc(dry_run=True) == [path]
    assert store.gc() == [path]
    assert store.verify() == []
    path.write_bytes(kept)
    worker.execute_batch(store.root, 0)
    assert not path.exists(), "who finds the batch done removes it, too"


@pytest.mark.usefixtures("_one_step_a_segment")
def test_a_checkpoint_that_cannot_be_written_does_not_end_the_batch(
    sweep: Path, reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlnsweep.store import files

    write_new = files.write_new

    def full(path: Path, data: Any) -> None:
        if path.suffix == ".npz":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_new(path, data)

    monkeypatch.setattr(files, "write_new", full)
    store = prepare(Sweep.from_file(sweep), tmp_path / "small").store
    events: list[Event] = []
    worker.execute_batch(store.root, 0, events.append, checkpoint_seconds=0.0)
    notes = [e.text for e in events if e.kind == "note"]
    assert notes
    assert all(note.startswith("no checkpoint was written: ") for note in notes)
    assert "No space left on device" in notes[0]
    assert store.done() == {0}
    assert list((store.root / "_staging").iterdir()) == [store.root / "_staging/lock"]


@pytest.mark.usefixtures("_one_step_a_segment")
def test_links_out_of_the_folder_are_refused(sweep: Path, tmp_path: Path) -> None:
    store, path = interrupted(sweep, tmp_path)
    outside = tmp_path / "outside"
    path.parent.rename(outside)
    path.parent.symlink_to(outside)
    with pytest.raises(StoreError, match="is a symbolic link"):
        Store.open(store.root)
    with pytest.raises(StoreError, match="is a symbolic link"):
        store.checkpoint(0).write(b"")
    assert [p.name for p in outside.iterdir()] == ["batch-000000.npz"]


# What is kept comes back as it was.


class Pair(NamedTuple):
    first: Any
    second: Any


class Other(NamedTuple):
    first: Any


numbers = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
arrays = hnp.arrays(
    st.sampled_from(["float64", "float32", "int64", "uint32", "bool"]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
values = st.recursive(
    numbers | arrays,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=8,
)


def bits(value: Any) -> Any:
    """Return a value that is equal for what is the same to the bit, type by type."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return [(bits(k), bits(v)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [bits(item) for item in value]
    return type(value).__name__, repr(value)


@hypothesis_settings(max_examples=60, deadline=None)
@given(values)
def test_what_is_packed_comes_back(value: Any) -> None:
    data = pack(value, [Pair])
    assert is_intact(data)
    assert bits(unpack(data, [Pair])) == bits(value)


def test_what_is_unknown_is_neither_packed_nor_unpacked() -> None:
    data = pack(Pair(1, np.zeros(2)), [Pair])
    with pytest.raises(PackError, match="another version of dlnsweep wrote it"):
        unpack(data, [Other])
    renamed = type("Pair", (Other,), {})
    with pytest.raises(PackError, match="a Pair has other fields here"):
        unpack(data, [renamed])
    for value in (object(), np.array(["text"]), np.array([None]), b"bytes", Other(1)):
        if not isinstance(value, Other):
            with pytest.raises(TypeError, match="cannot keep"):
                pack(value, [])
    with np.load(io.BytesIO(data), allow_pickle=False) as plain:
        assert sorted(plain) == ["a0", "outline"]


def test_all_that_a_batch_imports_counts_as_code_of_its_numbers() -> None:
    """Or else its changes would go unnoticed, and a journal of other code be gone on with."""
    from test_architecture import modules, own_imports, room_of

    assert {room_of(name) for name in modules()} >= ROOMS_OF_NUMBERS
    needed, todo = set(), ["engine.batch", "builtins"]
    while todo:
        name = todo.pop()
        if name not in needed:
            needed.add(name)
            todo += own_imports(name)
    # What figures ask of a sweep comes with all that is built in, and decides about no number.
    assert {room_of(name) for name in needed} - {"figure_kinds"} <= ROOMS_OF_NUMBERS
