"""Steps may be up to 2^62: nothing that shows one may go by floats, which end at 2^53."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import store_samples as samples

import dlnsweep
from dlnsweep.cli.app import app
from dlnsweep.store import Store
from dlnsweep.store.records import curves_table, outcomes_table

DECAY = "training.weight_decay"
# Neither it nor its neighbours are floats.
LAST = 2**62 - 1
STEPS = np.array([0, 2**53 + 1, LAST - 2, LAST])
DIVERGED = LAST - 2


def folder(path: Path, decays: tuple[float, float], *, diverge: bool) -> Path:
    """Write a folder of six runs; of its seeds the second diverges."""
    whole = samples.plan(decays, name=path.name, observables=("error",))
    settings = {**whole.settings, "training.num_steps": np.full(6, LAST)}
    whole = samples.plan(decays, name=path.name, observables=("error",), settings=settings)
    store = Store.create(path, whole, samples.ENVIRONMENT)
    for number, rows in store.batches():
        ids = store.known_run_ids()[rows]
        lost = (np.arange(len(ids)) % 3 == 1) & diverge
        error = np.tile([4.0, 3.0, 1.0, 2.0], (len(ids), 1))
        curves = curves_table(ids, STEPS, {"error": error}, np.where(lost, 3, 4))
        outcomes = outcomes_table(
            ids,
            status=["diverged" if each else "finished" for each in lost],
            diverged_step=np.where(lost, DIVERGED, -1),
            last_step=np.where(lost, DIVERGED, LAST),
            kernel=["jumps"] * len(ids),
            kernel_reason=["asked for"] * len(ids),
            truncation_error=np.full(len(ids), np.nan),
            final={"error": error[:, -1]},
        )
        store.commit(number, curves, outcomes, samples.RECEIPT)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return (
        folder(tmp_path / "lost", (0.1, 0.01), diverge=True),
        folder(tmp_path / "well", (0.2, 0.3), diverge=False),
    )


def whole(results: Any) -> tuple[list[int], set[int]]:
    """Return the steps at which runs diverged, and those that they came to."""
    runs = results.runs()
    assert isinstance(runs["diverged_step"].dtype, pd.Int64Dtype)
    assert pd.api.types.is_integer_dtype(runs["last_step"].dtype)
    assert results.curves("error")["step"].dtype == np.int64
    assert set(results.curves("error")["step"]) <= set(STEPS.tolist())
    assert (runs["training.num_steps"] == LAST).all()
    return runs["diverged_step"].dropna().tolist(), set(runs["last_step"])


def test_tables_have_every_unit(folders: Any) -> None:
    lost, well = map(dlnsweep.open_results, folders)
    assert whole(lost) == ([DIVERGED] * 2, {DIVERGED, LAST})
    assert whole(well) == ([], {LAST})
    assert whole(dlnsweep.concat([lost, well])) == ([DIVERGED] * 2, {DIVERGED, LAST})
    # Where none diverged, too.
    also = folder(folders[0].parent / "also", (0.4, 0.6), diverge=False)
    assert whole(dlnsweep.concat([well, also])) == ([], {LAST})
    runs: Any = lost.runs()
    row = runs[runs["status"] == "diverged"].iloc[0]
    one = lost.run(row["run_id"])
    assert (one.diverged_step, one.last_step) == (DIVERGED, DIVERGED)


def test_a_step_chooses_its_own_record_and_no_neighbour(folders: Any) -> None:
    for results in (dlnsweep.open_results(folders[1]), dlnsweep.concat(list(folders))):
        for step, value in ((LAST, 2.0), (LAST - 2, 1.0), (2**53 + 1, 3.0)):
            table = results.summary(["seed"], "error", step)
            assert set(table["error_median"]) == {value}
        with pytest.raises(dlnsweep.SpecError, match=f"at is {LAST - 1}, but no run has a record"):
            results.summary(["seed"], "error", LAST - 1)


def test_files_and_pages_have_every_unit(folders: Any, tmp_path: Path) -> None:
    lost, _ = folders
    app(["export", str(lost), str(tmp_path / "outcomes.csv")], standalone_mode=False)
    with (tmp_path / "outcomes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["diverged_step"] for row in rows} == {"", str(DIVERGED)}
    assert {row["last_step"] for row in rows} == {str(DIVERGED), str(LAST)}
    results = dlnsweep.open_results(lost)
    assert str(DIVERGED) in results.runs().to_csv()
    page = results.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert str(DIVERGED) in page
    # As the guide has it of whoever reads the files as they lie.
    read = pd.read_parquet(lost / "outcomes", dtype_backend="numpy_nullable")
    assert read["diverged_step"].dropna().tolist() == [DIVERGED] * 2


def test_a_curve_is_drawn_at_its_steps(folders: Any) -> None:
    figure = dlnsweep.open_results(folders[1]).figure(y="error", band="none")
    (line, *_) = figure.axes[0].get_lines()
    assert np.asarray(line.get_xdata(orig=True)).tolist() == STEPS.tolist()
