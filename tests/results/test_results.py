from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import store_samples as samples

from dlnsweep.errors import SpecError, StoreError
from dlnsweep.figures.records import Records
from dlnsweep.figures.statistics import select
from dlnsweep.results import Results, open_results, tables
from dlnsweep.results.joined import concat
from dlnsweep.results.tables import to_pandas
from dlnsweep.store import Store
from dlnsweep.store.records import curves_table, outcomes_table


@pytest.fixture
def results(tmp_path) -> Results:
    samples.complete(tmp_path / "a")
    return open_results(str(tmp_path / "a"))


@pytest.fixture
def half(tmp_path) -> Results:
    store = Store.create(tmp_path / "half", samples.plan(), {})
    samples.commit(store, 1)
    return open_results(store.root)


def error_of(run_id: int, step: int) -> float:
    return (1.0 + run_id % 97) / (1.0 + step)


def test_names_and_settings(results):
    assert results.name == "sample"
    assert results.sweep["source"] == "arXiv:2502.15522, Figure 4"
    assert results.varying == ["training.weight_decay", "training.momentum"]
    assert results.settings[0] == "seed"
    assert repr(results) == f"Results({str(results.path)!r})"


def test_what_is_no_results_folder_is_refused(tmp_path):
    with pytest.raises(StoreError, match="not the results folder of a sweep"):
        open_results(tmp_path)


def test_runs_have_their_settings_and_outcomes(results):
    runs = results.runs(unused=True)
    assert runs["run_id"].tolist() == samples.plan().run_ids.tolist()
    assert runs["training.weight_decay"].tolist() == [0.1] * 3 + [0.01] * 3 + [0.0] * 3 + [0.5] * 3
    assert runs["seed"].tolist() == [0, 1, 2] * 4
    assert runs["training.momentum"].isna().tolist() == [True, False, False] * 4
    diverged = runs["run_id"] % 5 == 0
    assert 0 < diverged.sum() < 12
    assert (runs["status"] == np.where(diverged, "diverged", "finished")).all()
    assert runs["diverged_step"].dtype == "Int64"
    assert runs["diverged_step"].isna().tolist() == (~diverged).tolist()
    assert runs["last_step"].tolist() == np.where(diverged, 10, 100).tolist()
    assert runs["final_error"].tolist() == [error_of(i, 100) for i in runs["run_id"]]
    assert runs["final_singular_values"][3].shape == (3,)
    assert list(runs.columns) == [
        "run_id",
        *results.settings,
        "status",
        "diverged_step",
        "last_step",
        "kernel",
        "kernel_reason",
        "truncation_error",
        "final_error",
        "final_singular_values",
    ]


def test_runs_that_are_not_done_are_planned(half):
    runs = half.runs()
    assert runs["status"].tolist()[:6] == ["planned"] * 6
    assert "planned" not in runs["status"].tolist()[6:]
    assert runs["last_step"][:6].isna().all()
    assert runs["last_step"].dtype == "Int64"
    assert runs["final_error"][:6].isna().all()
    assert runs["final_singular_values"][0] is None
    assert runs["kernel"].isna().tolist() == [True] * 6 + [False] * 6


def test_a_running_sweep_may_be_watched(half):
    assert len(half.curves()["run_id"].unique()) == 6
    samples.commit(Store.open(half.path), 0)
    assert len(half.curves()["run_id"].unique()) == 12
    assert "planned" not in half.runs()["status"].tolist()


def test_nothing_done_yet(tmp_path):
    store = Store.create(tmp_path / "a", samples.plan(), {})
    results = open_results(store.root)
    assert results.runs()["status"].tolist() == ["planned"] * 12
    curves = results.curves("error")
    assert len(curves) == 0
    assert list(curves.columns) == ["run_id", "step", "error", "seed", *results.varying]
    assert len(results.curves()) == 0
    summary = results.summary("training.weight_decay", "error")
    assert summary["num_planned_missing"].tolist() == [3, 3, 3, 3]
    assert summary["error_count"].tolist() == [0, 0, 0, 0]
    assert np.isnan(summary["error_median"].to_numpy()).all()
    assert len(results.summary("seed", at="min")) == 3


def test_curves_hold_every_record_and_its_settings(results):
    curves = results.curves()
    assert list(curves.columns) == [
        "run_id",
        "step",
        "error",
        "singular_values",
        "seed",
        "training.weight_decay",
        "training.momentum",
    ]
    runs = results.runs().set_index("run_id")
    assert len(curves) == sum(2 if i % 5 == 0 else 4 for i in runs.index)
    for row in curves.to_dict("records"):
        assert row["error"] == error_of(row["run_id"], row["step"])
        assert row["seed"] == runs.loc[row["run_id"], "seed"]
        assert row["training.weight_decay"] == runs.loc[row["run_id"], "training.weight_decay"]
        assert row["singular_values"].tolist() == [row["error"] * f for f in (1.0, 0.5, 0.25)]


def test_chosen_observables_and_runs(results):
    curves = results.curves("error", where={"training.weight_decay": [0.1, 0.5], "seed": 1})
    assert list(curves.columns)[:3] == ["run_id", "step", "error"]
    assert "singular_values" not in curves
    assert set(curves["training.weight_decay"]) == {0.1, 0.5}
    assert set(curves["seed"]) == {1}
    unused = results.runs(where={"training.momentum": None})
    assert unused["seed"].tolist() == [0] * 4
    assert len(results.runs(where={"training.momentum": [None, 0.9]})) == 12
    assert len(results.runs(where={"training.optimizer": "adam"})) == 0
    assert len(results.curves(where={"training.optimizer": "adam"})) == 0
    run_id = int(samples.plan().run_ids[4])
    assert set(results.curves(where={"run_id": run_id})["run_id"]) == {run_id}


@pytest.mark.parametrize(
    "several", [[0, 2], (0, 2), {0, 2}, range(0, 3, 2), np.array([0, 2]), pd.Series([0, 2])]
)
def test_several_values_of_a_setting_may_come_in_any_form(results, several):
    joined = concat({"one": results.path})
    for each in (results, joined):
        assert set(each.runs(where={"seed": several})["seed"]) == {0, 2}
        assert set(each.curves("error", where={"seed": several})["seed"]) == {0, 2}


@pytest.mark.parametrize("where", [[], "", 0, pd.Series([1]), np.zeros(2), "seed", {1: 2}])
def test_what_chooses_no_runs_is_refused(results, where):
    joined = concat({"one": results.path})
    for ask in (results.runs, joined.runs, lambda chosen: results.curves(where=chosen)):
        with pytest.raises(SpecError, match=r"where is .*; it must be a dictionary of settings"):
            ask(where)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda r: r.curves(vectors=np.zeros(2)), "vectors is "),
        (
            lambda r: r.curves("eror"),
            "'eror' is no recorded observable of this sweep; did you mean 'error'?",
        ),
        (
            lambda r: r.curves(["error", "x"]),
            "'x' is no recorded observable of this sweep; there are error, singular_values.",
        ),
        (
            lambda r: r.runs(where={"training.weigth_decay": 1}),
            "'training.weigth_decay' is no setting of this sweep; "
            "did you mean 'training.weight_decay'?",
        ),
        (lambda r: r.summary("depht"), "'depht' is no setting of this sweep; there are seed,"),
        (
            lambda r: r.summary("seed", "singular_values"),
            "singular_values is a vector, but a summary takes numbers; use curves() for it.",
        ),
        (
            lambda r: r.summary("seed", at="end"),
            "at is 'end'; it must be 'final', 'min', 'argmin', { minimise = OBSERVABLE } or a "
            "recorded step.",
        ),
        (
            lambda r: r.summary("seed", at=True),
            "at is true; it must be 'final', 'min', 'argmin', { minimise = OBSERVABLE } or a "
            "recorded step.",
        ),
        (
            lambda r: r.summary("seed", at=12),
            "at is 12, but no run has a record at that step; there is one at step 10.",
        ),
    ],
)
def test_wrong_questions_are_refused(results, ask, sentence):
    with pytest.raises(SpecError) as caught:
        ask(results)
    assert str(caught.value).startswith(f"{results.path}: {sentence}")


def naive_summary(values: dict[int, list[float]]) -> dict[str, list]:
    """Return statistics in plain NumPy, group by group."""
    groups = [np.array(v) for v in values.values()]
    return {
        "error_count": [len(v) for v in groups],
        "error_median": [np.median(v) for v in groups],
        "error_q25": [np.quantile(v, 0.25) for v in groups],
        "error_q75": [np.quantile(v, 0.75) for v in groups],
        "error_std": [np.std(v, ddof=1) for v in groups],
        "error_min": [v.min() for v in groups],
        "error_max": [v.max() for v in groups],
    }


@pytest.mark.parametrize(("at", "step"), [("final", 100), (10, 10), (0, 0), ("min", 100)])
def test_summary_is_that_of_the_runs_that_did_not_diverge(results, at, step):
    summary = results.summary("seed", "error", at=at)
    runs = results.runs()
    good = runs[runs["status"] == "finished"]
    values = {s: [error_of(i, step) for i in g["run_id"]] for s, g in good.groupby("seed")}
    expected = naive_summary(values)
    # Two ways of adding up a few numbers near 1: a few units in the last place.
    for name, column in expected.items():
        np.testing.assert_allclose(summary[name], column, rtol=1e-14)
    assert summary["seed"].tolist() == [0, 1, 2]
    assert summary["num_runs"].tolist() == [4, 4, 4]
    diverged = (runs["status"] == "diverged").groupby(runs["seed"]).sum()
    assert summary["num_diverged"].tolist() == diverged.tolist()
    assert summary["num_planned_missing"].tolist() == [0, 0, 0]


def test_summary_counts_what_is_missing(half):
    summary = half.summary(["training.weight_decay"], at="min")
    assert summary["training.weight_decay"].tolist() == [0.0, 0.01, 0.1, 0.5]
    assert summary["num_planned_missing"].tolist() == [0, 3, 3, 0]
    assert summary["error_count"].tolist()[1:3] == [0, 0]
    assert "singular_values_median" not in summary


def test_summary_over_several_settings_unused_ones_and_none(results):
    by_two = results.summary(["training.momentum", "training.weight_decay"])
    assert len(by_two) == 8
    assert by_two["training.momentum"].isna().tolist() == [False] * 4 + [True] * 4
    assert by_two["num_runs"].sum() == 12
    overall = results.summary([])
    assert overall["num_runs"].tolist() == [12]
    assert list(overall.columns)[:3] == ["num_runs", "num_diverged", "num_planned_missing"]


def commit_values(store: Store, number: int, final: np.ndarray, status: str, vector: int) -> None:
    rows = dict(store.batches())[number]
    ids = store.known_run_ids()[rows]
    n = len(ids)
    store.commit(
        number,
        curves_table(
            ids,
            np.array([0, 5]),
            {"error": np.stack([final, final], 1), "norms": np.ones((n, 2, vector))},
            np.full(n, 2),
        ),
        outcomes_table(
            ids,
            status=[status] * n,
            diverged_step=np.full(n, -1),
            last_step=np.full(n, 5),
            kernel=["dense"] * n,
            kernel_reason=[""] * n,
            truncation_error=np.full(n, np.nan),
            final={"error": final, "norms": np.ones((n, vector))},
        ),
        samples.RECEIPT,
    )


@pytest.mark.parametrize("at", ["final", "min", 5])
def test_no_number_that_is_not_finite_enters_unseen(tmp_path, at):
    store = Store.create(tmp_path / "a", samples.plan((0.1, 0.01)), {})
    commit_values(store, 0, np.array([1.0, np.nan, 3.0, np.inf, -np.inf, 5.0]), "stopped", 2)
    summary = open_results(store.root).summary("training.weight_decay", at=at)
    assert summary["error_count"].tolist() == [1, 2]
    assert summary["error_median"].tolist() == [5.0, 2.0]
    assert summary["num_diverged"].tolist() == [0, 0]
    assert summary["num_planned_missing"].tolist() == [0, 0]
    assert np.isnan(summary["error_std"][0])


def test_a_run_that_was_stopped_holds_its_last_value_as_in_figures(tmp_path):
    values = np.array([[9.0, 4.0, 0.0], [8.0, 7.0, 6.0], [7.0, 1.0, 0.0], [6.0, 5.0, 2.0]])
    rows = np.array([2, 3, 2, 3])
    store = Store.create(tmp_path / "a", samples.plan((0.1, 0.01)), {})
    ids = store.known_run_ids()[dict(store.batches())[0]]
    # Every second run ends at step 5, one of them because it diverged.
    repeat = -(-len(ids) // 4)
    values, rows = np.tile(values, (repeat, 1))[: len(ids)], np.tile(rows, repeat)[: len(ids)]
    status = ["stopped" if n == 2 else "finished" for n in rows]
    diverged = np.full(len(ids), -1)
    status[2], diverged[2] = "diverged", 7
    store.commit(
        0,
        curves_table(ids, np.array([0, 5, 10]), {"error": values}, rows),
        outcomes_table(
            ids, status=status, diverged_step=diverged, last_step=np.where(rows == 2, 5, 10),
            kernel=["dense"] * len(ids), kernel_reason=[""] * len(ids),
            truncation_error=np.full(len(ids), np.nan),
            final={"error": np.take_along_axis(values, rows[:, None] - 1, 1)[:, 0]},
        ),
        samples.RECEIPT,
    )  # fmt: skip
    results = open_results(store.root)
    held = [v[n - 1] for v, n, s in zip(values, rows, status, strict=True) if s != "diverged"]
    drawn = Records(results, select(results, {})).per_run("error", 10)
    np.testing.assert_array_equal(drawn, held)
    for found in (
        results.summary([], "error", at=10),
        concat({"one": results}).summary("sweep", "error", at=10),
    ):
        assert found["error_count"].tolist() == [len(held)]
        assert found["error_median"].tolist() == [np.median(held)]
    # Where nothing was recorded nothing is held.
    with pytest.raises(SpecError, match="step"):
        results.summary([], "error", at=7)
    with pytest.raises(SpecError, match="no run has a record"):
        concat({"one": results}).summary("sweep", "error", at=7)


def test_vectors_of_several_lengths_stand_in_one_frame(tmp_path):
    store = Store.create(tmp_path / "a", samples.plan(), {})
    commit_values(store, 0, np.ones(6), "finished", 2)
    commit_values(store, 1, np.ones(6, dtype=np.float32), "finished", 4)
    results = open_results(store.root)
    lengths = results.curves()["norms"].map(len)
    assert lengths.tolist() == [2] * 12 + [4] * 12
    assert results.runs()["final_norms"].map(len).tolist() == [2] * 6 + [4] * 6
    assert results.summary("seed")["error_count"].tolist() == [4, 4, 4]


def test_an_observable_that_only_some_batches_record(tmp_path):
    store = Store.create(tmp_path / "a", samples.plan(), {})
    commit_values(store, 0, np.ones(6), "finished", 2)
    samples.commit(store, 1)
    results = open_results(store.root)
    curves = results.curves()
    assert {"norms", "singular_values"} <= set(curves.columns)
    assert curves["norms"].isna().tolist() == [False] * 12 + [True] * (len(curves) - 12)
    assert len(results.summary("seed", at="min")) == 3


def test_batches_of_curves_are_all_curves(results):
    pieces = list(results.curve_batches("error"))
    assert [piece.column_names for piece in pieces] == [["run_id", "step", "error"]] * 2
    whole = results.curves("error", settings=[])
    assert list(whole.columns) == ["run_id", "step", "error"]
    assert pa.concat_tables(pieces).to_pandas().equals(whole)
    some = list(results.curve_batches("error", where={"seed": 1}))
    chosen = results.curves("error", where={"seed": 1}, settings=[])
    assert pa.concat_tables(some).to_pandas().equals(chosen)
    with pytest.raises(SpecError, match="'eror' is no recorded observable"):
        next(results.curve_batches("eror"))


def test_chosen_settings_stand_beside_the_curves(results):
    curves = results.curves("error", settings=["training.optimizer"])
    assert list(curves.columns) == ["run_id", "step", "error", "training.optimizer"]
    with pytest.raises(SpecError, match="'sed' is no setting of this sweep; did you mean 'seed'"):
        results.curves("error", settings=["sed"])


def test_curves_that_do_not_fit_into_memory_are_refused(results, monkeypatch):
    rows = len(results.curves())
    # 2.2 times run_id, step, error and three settings, and vectors of three numbers.
    needed = int(2.2 * rows * (8 * 6 + 120 + 8 * 3))
    monkeypatch.setattr("dlnsweep.results.recorded.available_memory", lambda: needed)
    assert len(results.curves()) == rows
    monkeypatch.setattr("dlnsweep.results.recorded.available_memory", lambda: needed - 1)
    with pytest.raises(StoreError) as caught:
        results.curves()
    assert str(caught.value) == (
        f"{results.path}: curves() would make a table of {rows} rows, for which about 0.0 GB are "
        "needed and 0.0 GB are free; ask for less with observables=[...], where={...} or "
        "settings=[], for medians with summary(by=...), or go through curve_batches(), which gives "
        "one batch after another."
    )
    # Less is asked for, so it fits.
    assert len(results.curves("error")) == rows
    assert len(results.curves(where={"seed": 1})) < rows
    assert len(results.summary("seed", at="min")) == 3


def test_few_batches_are_held_at_once(monkeypatch):
    made = pa.table({"x": np.zeros(1000)})
    monkeypatch.setattr(tables, "_AHEAD_BYTES", 3 * made.nbytes)
    given: list[int] = []
    taken: list[int] = []

    def read(number: int) -> pa.Table:
        # Three read ahead, and the one that is looked at.
        assert len(given) - len(taken) <= 4
        given.append(number)
        return made

    for number, _ in tables.stream(read, list(range(50))):
        taken.append(number)
    assert taken == list(range(50))
    assert sorted(given) == taken


def test_damage_is_reported_where_it_is(results):
    path = results.path / "curves/batch-000001.parquet"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(StoreError, match="is damaged and cannot be read as Parquet") as caught:
        results.curves()
    assert str(caught.value).startswith(f"{path}: ")


def test_big_whole_numbers_stay_exact():
    frame = to_pandas(pa.table({"a": pa.array([2**60 + 1, None]), "b": pa.array([1, 2])}))
    assert frame["a"].tolist()[0] == 2**60 + 1
    assert frame["a"].isna().tolist() == [False, True]
    assert list(frame.columns) == ["a", "b"]
    assert frame["b"].dtype == np.int64


def test_records_of_many_runs(tmp_path):
    # The measure at a fifth of its size: 100 000 runs of 20 rows within 5 s.
    count, lanes, num_steps = 20_000, 4_000, 20
    ids = np.random.default_rng(0).permutation(count).astype(np.int64) * 461168601842
    settings = {
        "training.weight_decay": np.repeat(np.arange(20) / 10, count // 20),
        "training.optimizer": np.array(["adam", "sgd"], dtype=object)[np.arange(count) % 2],
        "seed": np.arange(count) % (count // 20),
    }
    batch, lane = np.arange(count) // lanes, np.arange(count) % lanes
    store = Store.create(
        tmp_path / "a",
        samples.plan(run_ids=ids, settings=settings, batch=batch, lane=lane),
        {},
    )
    for number, rows in store.batches():
        error = np.random.default_rng(number).random((lanes, num_steps))
        store.commit(
            number,
            curves_table(ids[rows], np.arange(num_steps), {"error": error}, np.full(lanes, 20)),
            outcomes_table(
                ids[rows],
                status=["finished"] * lanes,
                diverged_step=np.full(lanes, -1),
                last_step=np.full(lanes, 19),
                kernel=["dense"] * lanes,
                kernel_reason=[""] * lanes,
                truncation_error=np.full(lanes, np.nan),
                final={"error": error[:, -1]},
            ),
            {},
        )
    results = open_results(store.root)
    curves = results.curves()
    assert len(curves) == count * num_steps
    groups = [curves.loc[curves["training.weight_decay"] == decay] for decay in np.arange(20) / 10]
    lowest = results.summary("training.weight_decay", at="min")
    assert lowest["error_min"].tolist() == [g["error"].to_numpy().min() for g in groups]
    final = results.summary("training.weight_decay")
    ends = [g["error"].to_numpy()[g["step"].to_numpy() == 19] for g in groups]
    assert final["error_median"].tolist() == [np.median(e) for e in ends]


def test_sweep_json_is_what_plain_json_gives(results):
    assert json.loads((results.path / "sweep.json").read_text()) == results.sweep
    assert isinstance(results.runs(), pd.DataFrame)
