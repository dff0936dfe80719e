"""A folder's table of runs is held against the sweep before anything is computed by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import damage
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sweep_samples import BARE, write

from dlnsweep.errors import StoreError
from dlnsweep.execution.preparing import Prepared, prepare
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store.interface import Files

SWEEP = BARE.replace(
    "width = 8", 'kind = "mlp"\nwidth = [4, 9]\nactivation = ["tanh", "relu"]'
).replace('["regression_error", "off_subspace_error"]', '["loss"]')


def forged(root: Path) -> None:
    """Make the receipt fit what stands there."""
    damage.reseal(root)


def lost(root: Path) -> None:
    (root / "receipts" / "plan.json").unlink()


def left(_: Path) -> None:
    """Leave the receipt as it was written."""


def changed(root: Path, name: str, value: object) -> None:
    """Give the last run another value of a column."""
    table = pq.read_table(root / "runs.parquet")
    column = table[name].to_pylist()
    column[-1] = value
    place = table.schema.get_field_index(name)
    table = table.set_column(place, name, pa.array(column, table[name].type))
    pq.write_table(table, root / "runs.parquet")


def begun(tmp_path: Path, text: str = SWEEP) -> tuple[Callable[[], Prepared], Path]:
    sweep = Sweep.from_file(write(tmp_path, text))
    root = tmp_path / "out" / "small"
    prepare(sweep, root)
    return lambda: prepare(sweep, root), root


@pytest.mark.parametrize("receipt", [left, forged, lost])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("network.depth", 2**31),
        ("network.activation", "erf"),
        ("training.learning_rate", np.nextafter(0.05, 1)),
        ("training.learning_rate", None),
        ("seed", 7),
        ("padded_width", 10**6),
    ],
)
def test_another_run_under_a_runs_id_is_refused(
    name: str, value: object, receipt: Callable[[Path], None], tmp_path: Path
) -> None:
    again, root = begun(tmp_path)
    changed(root, name, value)
    receipt(root)
    with pytest.raises(StoreError) as caught:
        again()
    said = str(caught.value)
    assert said.startswith(str(root / "runs.parquet"))
    assert "nothing is computed by it; restore it, or give another folder with --out DIR" in said
    if receipt is not left:
        assert name in said


def test_runs_of_a_larger_sweep_are_held_by_the_receipt(tmp_path: Path) -> None:
    _, root = begun(tmp_path)
    smaller = Sweep.from_file(write(tmp_path, SWEEP.replace("seeds = 2", "seeds = 1")))
    assert prepare(smaller, root).todo
    changed(root, "network.depth", 2**31)
    with pytest.raises(StoreError, match="was changed after it was written"):
        prepare(smaller, root)


def test_a_table_as_it_was_written_is_taken_without_a_receipt(tmp_path: Path) -> None:
    again, root = begun(tmp_path)
    lost(root)
    assert len(again().todo) == len(prepare(Sweep.from_file(tmp_path / "sweep.toml"), root).todo)


@pytest.mark.parametrize(
    "name", ["network.layer_init_scale", "network.biases", "network.parametrization"]
)
def test_a_folder_of_a_version_that_lacked_a_setting_is_enlarged_and_gone_on_with(
    name: str, tmp_path: Path
) -> None:
    _, root = begun(tmp_path)
    table = pq.read_table(root / "runs.parquet")
    pq.write_table(table.drop_columns([name]), root / "runs.parquet")
    damage.reseal(root)
    more = Sweep.from_file(write(tmp_path, SWEEP.replace("seeds = 2", "seeds = 3")))
    todo = prepare(more, root).todo
    assert pq.read_table(root / "runs.parquet")[name].null_count == table.num_rows
    assert prepare(more, root).todo == todo
    changed(root, name, None)
    damage.reseal(root)
    assert prepare(more, root).todo == todo


def test_what_is_lost_of_a_setting_beside_its_default_is_refused(tmp_path: Path) -> None:
    again, root = begun(tmp_path)
    changed(root, "network.width", None)
    damage.reseal(root)
    with pytest.raises(StoreError, match=r"says network\.width = nan of run"):
        again()


def test_runs_that_another_runner_adds_meanwhile_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again, root = begun(tmp_path)
    more = Sweep.from_file(write(tmp_path, SWEEP.replace("seeds = 2", "seeds = 3")))
    hashed, added = Files.committed_sha256, []

    def after_them(files: Files, name: str) -> str | None:
        if not added:
            added.append(name)
            prepare(more, root)
        return hashed(files, name)

    monkeypatch.setattr(Files, "committed_sha256", after_them)
    assert again().todo
    assert added


@pytest.mark.parametrize("line", ['optimizer = ["gradient_descent", "adam"]'])
def test_values_that_are_no_numbers_are_held_too(line: str, tmp_path: Path) -> None:
    key = line.partition(" ")[0]
    kept = "\n".join(each for each in SWEEP.splitlines() if not each.startswith(key))
    again, _ = begun(tmp_path, kept.replace("[training]", f"[training]\n{line}"))
    assert again().todo
