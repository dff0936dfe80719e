"""Results folders made to hang, crash, fill the memory or reach outside: refused with a sentence.

In this process and without training; the sweep is that of `store_samples`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import store_samples as samples
from damage import listening
from sweep_samples import start, write

from dlnsweep.errors import StoreError
from dlnsweep.execution import heartbeat
from dlnsweep.execution.runner import prepare
from dlnsweep.execution.weights_size import _kept_bytes
from dlnsweep.execution.workers.worker import execute_batch
from dlnsweep.figures.draw import save
from dlnsweep.numerics.compile_cache import why_unusable
from dlnsweep.results import open_results
from dlnsweep.results.csv_files import write_csv
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store
from dlnsweep.store.packing import PackError, pack, unpack
from dlnsweep.store.seals import seal
from dlnsweep.theory.setup import Setup

FILES = ("sweep.json", "runs.parquet", "curves/batch-000000.parquet",
         "outcomes/batch-000000.parquet", "receipts/batch-000000.json")  # fmt: skip
FOLDERS = ("_staging", "curves", "outcomes", "receipts", "checkpoints", "runners", "figures")


def use(root: Path) -> list[str]:
    """Return the sentences with which what looks at a folder refuses it."""
    said = []
    for look in (
        lambda: Store.open(root).status(),
        lambda: heartbeat.runners(Store.open(root)),
        lambda: Store.open(root).gc(),
        lambda: open_results(root).summary("training.weight_decay"),
        lambda: open_results(root).summary("training.weight_decay", at="min"),
        lambda: open_results(root).runs(),
        lambda: said.extend(problem.sentence for problem in Store.open(root).verify()),
    ):
        try:
            look()
        except StoreError as error:
            said.append(str(error))
    return said


def fifo(path: Path) -> None:
    os.mkfifo(path)


def to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [fifo, listening, to_a_device, folder])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_is_not_waited_for(
    name: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    root = tmp_path / "s"
    samples.complete(root)
    (root / name).unlink()
    make(root / name)
    said = use(root)
    assert said
    assert any(name.rpartition("/")[2] in sentence for sentence in said)


@pytest.mark.timeout(60)
def test_a_fifo_as_lock_checkpoint_or_sign_of_life_is_not_waited_for(tmp_path: Path) -> None:
    store = samples.complete(tmp_path / "s")
    for name in ("_staging/lock", "runners/a.json", "checkpoints/batch-000007.npz"):
        path = store.root / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    assert heartbeat.runners(store) == []
    assert store.checkpoint(7).read() is None
    with pytest.raises(StoreError, match="lock: is no regular file"):
        store.gc()
    assert any("batch-000007" in problem.sentence for problem in store.verify())


@pytest.mark.parametrize("name", FOLDERS)
def test_a_link_as_folder_leads_nowhere(name: str, tmp_path: Path) -> None:
    store = samples.complete(tmp_path / "s")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    old = json.dumps({"beat": "2000-01-01T00:00:00+00:00"})
    for victim in ("a.json", "batch-000000.json", "batch-000000.npz", "lock"):
        (foreign / victim).write_text(old)
    before = {path.name: path.read_bytes() for path in foreign.iterdir()}
    path = store.root / name
    if path.exists():
        path.rename(tmp_path / "moved")
    path.symlink_to(foreign)
    # A store that was opened before the link was put there is no way round.
    for act in (
        lambda: Store.open(store.root),
        lambda: store.gc(),
        lambda: heartbeat._forget_old(store),
        lambda: store.files.write_in_order([(f"{name}/new.json", b"x")]),
        lambda: store.files.create_folders([name]),
        lambda: store.files.remove(f"{name}/a.json"),
        lambda: store.files.read_bytes(f"{name}/a.json"),
    ):
        with contextlib.suppress(StoreError):
            act()
    with pytest.raises(StoreError, match="is a symbolic link"):
        Store.open(store.root)
    assert {path.name: path.read_bytes() for path in foreign.iterdir()} == before


def test_a_link_in_the_place_of_a_figure_is_replaced(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    foreign = tmp_path / "foreign"
    foreign.write_text("mine")
    (tmp_path / "curves.png").symlink_to(foreign)
    (tmp_path / f".curves.png.{os.getpid()}.partial").symlink_to(foreign)
    (path,) = save(Figure(figsize=(1, 1)), tmp_path / "curves", ["png"])
    assert foreign.read_text() == "mine"
    assert not path.is_symlink()


def many_rows(path: Path) -> None:
    nothing = np.zeros(10_000_000, np.int64)
    keys = {name: pa.array(nothing) for name in ("run_id", "batch", "lane")}
    pq.write_table(pa.table(keys), path, compression="zstd")


def long_text(path: Path) -> None:
    good = pq.read_table(path)
    text = pa.DictionaryArray.from_arrays(pa.array([0] * good.num_rows), ["x" * 150_000_000])
    table = good.set_column(good.schema.get_field_index("status"), "status", text.cast("string"))
    pq.write_table(table, path, compression="zstd")


def changed(name: str, column: pa.Array | None) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        good = pq.read_table(path)
        place = good.schema.get_field_index(name)
        bad = good.remove_column(place) if column is None else good.set_column(
            place, name, column.take(pa.array(np.arange(good.num_rows) % len(column)))
        )  # fmt: skip
        pq.write_table(bad, path)

    return write


TABLES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "a bomb of runs": ("runs", many_rows, r"claims 10000000 runs in \d+ bytes"),
    "a bomb of text": ("outcomes", long_text, "GB of memory"),
    "no ids": ("runs", changed("run_id", None), "no column 'run_id'"),
    "a depth that is a word": ("runs", changed("network.depth", pa.array(["2"])), "of type string"),
    "an optimizer that is a number": (
        "runs",
        changed("training.optimizer", pa.array([3])),
        "of type int64",
    ),
    "no lanes": ("runs", changed("lane", None), "no column 'lane'"),
    "ids that are words": ("runs", changed("run_id", pa.array(["a"])), "of type string"),
    "ids twice": ("runs", changed("run_id", pa.array([7])), "plans a run twice"),
    "ids missing": ("outcomes", changed("run_id", pa.array([None, 1])), "are missing"),
    "batches missing": ("runs", changed("batch", pa.array([None, 1])), "no numbers of batches"),
    "batches below zero": ("runs", changed("batch", pa.array([-1])), "no numbers of batches"),
    "a batch of 2^62": ("runs", changed("batch", pa.array([2**62])), "no numbers of batches"),
    "no status": ("outcomes", changed("status", None), "no column 'status'"),
    "times": ("curves", changed("error", pa.array([0], pa.timestamp("s"))), "of type timestamp"),
    "no steps": ("curves", changed("step", None), "no column 'step'"),
    # One file with such numbers, beside others with floats: they cannot be put together.
    "whole numbers": ("outcomes", changed("final_error", pa.array([2**62])), "of type int64"),
    "steps that are no integers": ("curves", changed("step", pa.array([0.5])), "of type double"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", TABLES)
def test_a_malformed_table_is_told(name: str, tmp_path: Path) -> None:
    table, damage, expected = TABLES[name]
    store = samples.complete(tmp_path / "s")
    path = store.root / ("runs.parquet" if table == "runs" else f"{table}/batch-000000.parquet")
    damage(path)
    said = "\n".join(use(store.root))
    assert re.search(expected, said), said
    assert "was changed after it was written" in said


RECEIPTS: dict[str, dict[str, object]] = {
    "seconds": {"seconds": "long"},
    "no number": {"seconds": float("1e300")},
    "a list": {"status": [1]},
    "texts": {"status": {"diverged": "x"}},
    "steps": {"run_steps": None, "run_steps_taken": 1},
    "files": {"files": 3},
}


@pytest.mark.parametrize("name", RECEIPTS)
def test_a_malformed_receipt_is_told(name: str, tmp_path: Path) -> None:
    store = samples.complete(tmp_path / "s")
    path = store.root / "receipts" / "batch-000000.json"
    good = json.loads(path.read_text())
    good.pop("checksum")
    path.write_bytes(seal({**good, **RECEIPTS[name]}))
    with pytest.raises(StoreError, match=r"batch-000000\.json: is damaged"):
        store.status()
    assert any("batch-000000.json" in problem.sentence for problem in store.verify())


@pytest.mark.parametrize(
    "change",
    [{"name": 3}, {"name": "x" * 10**6}, {"observables": "all"}, {"sweep": []},
     {"sweep": {"figures": [1]}}, {"sweep": {"shared": 1}}],
)  # fmt: skip
def test_a_malformed_description_is_told(change: dict[str, object], tmp_path: Path) -> None:
    store = samples.complete(tmp_path / "s")
    path = store.root / "sweep.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(StoreError, match=r"sweep\.json: is damaged"):
        Store.open(store.root)


def test_a_text_with_half_of_a_character_is_told(tmp_path: Path) -> None:
    """Python takes it for a text; nothing can draw or write it."""
    store = samples.complete(tmp_path / "s")
    path = store.root / "sweep.json"
    good = json.loads(path.read_text())
    for half, whole in (("\\ud800", False), ("\\uD83D\\uDE00", True)):
        text = json.dumps({**good, "note": "@@"})
        path.write_text(text.replace("@@", half))
        with contextlib.nullcontext() if whole else pytest.raises(StoreError, match="JSON object"):
            store.files.read_json("sweep.json")


def sealed(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
        file.comment = bytes(64)
    data = bytearray(sink.getvalue())
    data[-64:] = hashlib.sha256(data[:-64]).hexdigest().encode()
    return bytes(data)


def npy(array: np.ndarray, **header: object) -> bytes:
    sink = io.BytesIO()
    if not header:
        np.lib.format.write_array(sink, array, allow_pickle=True)
    else:
        known = {"descr": "|u1", "fortran_order": False, "shape": (1,)} | header
        np.lib.format.write_array_header_1_0(sink, known)
        sink.write(array.tobytes())
    return sink.getvalue()


def outline(text: str) -> bytes:
    return npy(np.frombuffer(text.encode(), np.uint8))


ONE = outline('{"array": 0}')
PACKED: dict[str, bytes] = {
    "nesting": sealed({"outline.npy": outline("[" * 100_000)}),
    "nesting of ours": sealed({"outline.npy": outline('{"tuple": [' * 900 + "]}" * 900)}),
    "a bomb": sealed({"outline.npy": ONE, "a0.npy": bytes(10**8)}, zipfile.ZIP_DEFLATED),
    "bzip2": sealed({"outline.npy": ONE, "a0.npy": bytes(100)}, zipfile.ZIP_BZIP2),
    "a huge array": sealed({"outline.npy": ONE, "a0.npy": npy(np.zeros(1), shape=(2**61,))}),
    "a negative one": sealed({"outline.npy": ONE, "a0.npy": npy(np.zeros(1), shape=(-1, -8))}),
    "objects": sealed({"outline.npy": ONE, "a0.npy": npy(np.array([None]))}),
    "no array": sealed({"outline.npy": ONE}),
    "no outline": sealed({"a0.npy": ONE}),
    "a long header": sealed({"outline.npy": ONE, "a0.npy": b"\x93NUMPY\x02\x00" + b"\xff" * 99}),
    "a header that does not end": sealed(
        {"outline.npy": b"\x93NUMPY\x01\x00\x10\x00{'descr': ('|u1',".ljust(26) + bytes(9)}
    ),
    "a key that is a list": sealed({"outline.npy": outline('{"dict": [[[], 1]]}')}),
    "another kind": sealed({"outline.npy": outline('{"kind": "Popen", "fields": {}}')}),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", PACKED)
def test_a_sealed_checkpoint_that_is_malformed_is_refused(name: str) -> None:
    with pytest.raises(PackError):
        unpack(PACKED[name], ())


def test_packing_gives_back_what_it_was_given() -> None:
    value = {"a": np.arange(6.0).reshape(2, 3).T, "b": [(1, None), np.zeros((0, 4)), np.int8(3)]}
    found = unpack(pack(value, ()), ())
    assert found["b"][0] == (1, None)
    np.testing.assert_array_equal(found["a"], value["a"], strict=True)
    assert found["a"].flags.writeable
    assert found["b"][1].shape == (0, 4)


@pytest.mark.timeout(30)
def test_a_checkpoint_that_claims_a_terabyte_is_not_read(tmp_path: Path) -> None:
    store = samples.complete(tmp_path / "s")
    file = store.checkpoint(9)
    file.write(b"x")
    with Path(file.path).open("r+b") as sparse:
        sparse.truncate(2**40)
    with pytest.raises(StoreError, match="its checksum is wrong"):
        file.read()
    assert any("batch-000009" in problem.sentence for problem in store.verify())


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["curves/batch-000000.parquet", "runs.parquet"])
def test_a_table_made_a_terabyte_long_is_not_read(tmp_path: Path, name: str) -> None:
    store = samples.complete(tmp_path / "s")
    with (store.root / name).open("r+b") as sparse:
        sparse.truncate(2**40)
    said = [problem.sentence for problem in store.verify() if name in str(problem.path)]
    assert said
    assert "was changed after it was written" in said[0]


@pytest.mark.parametrize(
    "address", ["s3://b/x?secret=hidden", "s3://b/x#hidden", "file:///x?hidden"]
)
def test_a_secret_in_an_address_is_not_said_again(address: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store.open(address)
    assert "hidden" not in str(caught.value)


def test_a_cell_of_a_csv_file_is_no_formula(tmp_path: Path) -> None:
    cells = ["=1+1", "+1", "-1", "@A", "\t=1", "\r=1", "plain"]
    write_csv(pd.DataFrame({"=x": cells, "y": -1.5}), tmp_path / "a.csv")
    found = pd.read_csv(tmp_path / "a.csv")
    assert found["'=x"].str[0].tolist() == ["'"] * 6 + ["p"]
    assert bool((found["y"].to_numpy() == -1.5).all())


def test_no_folder_above_the_cache_is_open_to_others(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert why_unusable(tmp_path / "a" / "b" / "c") == ""
    finally:
        os.umask(before)
    for name in ("a", "a/b", "a/b/c"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700


def test_no_control_character_reaches_the_terminal(tmp_path: Path) -> None:
    store = samples.complete(tmp_path / "s")
    path = store.root / "sweep.json"
    text = "\x1b[2J\u202e\x9b\x07\r"
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": text}))
    sign = {"host": text, "process": 1, "how": text, "beat": "2026-01-01T00:00:00+00:00"}
    (store.root / "runners").mkdir()
    (store.root / "runners" / "a.json").write_text(json.dumps({**sign, "batches": [[1, text]]}))
    with start("status", store.root, cwd=tmp_path) as process:
        out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert all(character.isprintable() or character == "\n" for character in out + err)
    assert out.startswith(r"\x1b[2J\u202e\x9b\x07\r: 12 of 12 runs done")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("training.learning_rate", float("-inf"), "is -inf; it must be finite"),
        ("training.learning_rate", -1.0, "is -1.0; it must be positive"),
        ("problem.signal_dim", 0, "is 0; it must be at least 1"),
    ],
)
def test_settings_that_no_sweep_can_have_are_told(
    key: str, value: float, said: str, tmp_path: Path
) -> None:
    sweep = write(tmp_path)
    root = tmp_path / "out" / "small"
    prepare(Sweep.from_file(sweep), root)
    changed(key, pa.array([value]))(root / "runs.parquet")
    with pytest.raises(StoreError) as caught:
        execute_batch(root, 0)
    assert f"settings that no sweep can have: {key} {said}" in str(caught.value)


@pytest.mark.parametrize("value", ["nosuch", None, 3])
def test_a_kind_that_is_not_known_is_told(value: object, tmp_path: Path) -> None:
    sweep = write(tmp_path)
    root = tmp_path / "out" / "small"
    prepare(Sweep.from_file(sweep), root)
    changed("problem.kind", pa.array([value]))(root / "runs.parquet")
    with pytest.raises(StoreError, match="are not known together: its results folder is damaged"):
        execute_batch(root, 0)


def test_a_link_among_kept_weights_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "batch-000000.npz").write_bytes(bytes(5))
    (folder / "batch-000001.npz").symlink_to("batch-000001.npz")
    assert _kept_bytes(tmp_path) == 5


def without(column: str, root: Path) -> None:
    table = pq.read_table(root / "runs.parquet").drop_columns([column])
    pq.write_table(table, root / "runs.parquet")


@pytest.mark.parametrize("column", ["sweep.kernel", "training.weight_decay", "network.kind"])
def test_a_table_of_runs_that_lacks_what_a_run_needs_is_told(column: str, tmp_path: Path) -> None:
    sweep = write(tmp_path)
    root = tmp_path / "out" / "small"
    prepare(Sweep.from_file(sweep), root)
    without(column, root)
    with pytest.raises(StoreError, match=re.escape(f"has no column '{column}', which every sweep")):
        execute_batch(root, 0)


@pytest.mark.parametrize("environment", [5e-324, {"variables": "x"}, {"versions": None}])
def test_a_run_needs_to_know_where_its_sweep_was_begun(environment: Any, tmp_path: Path) -> None:
    sweep = write(tmp_path)
    root = tmp_path / "out" / "small"
    prepare(Sweep.from_file(sweep), root)
    path = root / "sweep.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "environment": environment}))
    for go_on in (lambda: prepare(Sweep.from_file(sweep), root), lambda: execute_batch(root, 0)):
        with pytest.raises(StoreError, match="'environment' does not say where"):
            go_on()


def test_a_sweep_without_its_common_settings_is_told(tmp_path: Path) -> None:
    sweep = write(tmp_path)
    root = tmp_path / "out" / "small"
    prepare(Sweep.from_file(sweep), root)
    content = json.loads((root / "sweep.json").read_text())
    del content["sweep"]["shared"]
    (root / "sweep.json").write_text(json.dumps(content))
    with pytest.raises(StoreError, match=r"'sweep\.shared' is missing"):
        execute_batch(root, 0)


def test_a_formula_that_lacks_a_number_of_its_run_tells_so() -> None:
    setup = Setup({"problem.signal_dim": 3}, 1.0)
    with pytest.raises(StoreError, match=r"has no column 'training.learning_rate', which every"):
        _ = setup["training.learning_rate"]
