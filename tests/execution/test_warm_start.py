"""Runs that begin with the weights of another folder's: matched, told, trained, refused."""

from __future__ import annotations

import importlib.util
import itertools
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_samples import data_files

import dlnsweep
from dlnsweep.engine import descent, journal
from dlnsweep.errors import Interrupted, SpecError, StoreError
from dlnsweep.execution.events import Event
from dlnsweep.execution.warm_start import plan_of, told
from dlnsweep.execution.workers import worker
from dlnsweep.execution.workers.worker import execute_batch
from dlnsweep.plan.plan import make_plan
from dlnsweep.results import Results
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store
from dlnsweep.store.weights import packed, unpacked

# Sums of some ten products of numbers of size 1, over some tens of steps.
ROUNDING = 1e-13
RATES = (0.02, 0.01)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(5)
    file = tmp_path_factory.mktemp("arrays") / "own.npz"
    np.savez(file, inputs=random.normal(size=(7, 4)), targets=random.normal(size=(7, 5)))
    return file


def document(file: Path, **changes: Any) -> dict[str, Any]:
    """A sweep of four runs; changes as section__key."""
    found: dict[str, dict[str, Any]] = {
        "problem": {"kind": "from_file", "data_file": str(file)},
        "network": {"kind": "deep_linear", "depth": 2, "width": 5},
        "training": {"learning_rate": list(RATES), "num_steps": 20},
        "record": {
            "spacing": "linear",
            "count": 5,
            "weights": "final",
            "observables": ["loss", "regression_error"],
        },
        "sweep": {"seeds": 2, "kernel": "generic"},
    }
    for key, value in changes.items():
        section, _, inner = key.partition("__")
        found.setdefault(section, {})[inner] = value
    return {"name": "sweep", **found}


def run(out: Path, asked: dict[str, Any], **options: Any) -> Results:
    return dlnsweep.run(Sweep.from_dict(asked), out, workers=0, **options)


@pytest.fixture(scope="module")
def source(arrays: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("source"), document(arrays)).path


def of(results: Results, **settings: Any) -> int:
    """Return the id of the run with some settings."""
    runs = results.runs()
    for key, value in settings.items():
        runs = runs[runs[key.replace("__", ".")] == value]
    (found,) = runs["run_id"].tolist()
    return int(found)


def layers(weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return [weights["weights[0]"], weights["weights[1]"]]


def descend(
    weights: list[np.ndarray],
    file: Path,
    steps: int,
    rate: float,
    decay: float = 0.0,
    momentum: float = 0.0,
) -> list[np.ndarray]:
    """Gradient descent, with momentum, on (1/2) ||W_2 W_1 Y - X||_F^2 + (decay/2) ||W||_F^2."""
    with np.load(file) as found:
        y, x = found["inputs"].T, found["targets"].T
    first, second = (weight.copy() for weight in weights)
    speeds = [np.zeros_like(first), np.zeros_like(second)]
    for _ in range(steps):
        residual = second @ first @ y - x
        gradients = [
            second.T @ residual @ y.T + decay * first,
            residual @ (first @ y).T + decay * second,
        ]
        speeds = [momentum * v + g for v, g in zip(speeds, gradients, strict=True)]
        first, second = first - rate * speeds[0], second - rate * speeds[1]
    return [first, second]


def test_it_is_a_plain_loop_from_the_kept_weights(
    arrays: Path, source: Path, tmp_path: Path
) -> None:
    asked = document(
        arrays,
        training__learning_rate=0.005,
        training__weight_decay=[0.1, 0.3],
        training__optimizer="momentum",
        training__momentum=0.9,
        sweep__warm_start={"from": str(source), "where": {"training.learning_rate": RATES[0]}},
    )
    asked["record"]["observables"] = ["loss", "weight_norms"]
    before, found = dlnsweep.open_results(source), {}
    # Vector instructions come with an extra.
    simd = ["simd"] if importlib.util.find_spec("llvmlite") else []
    for kernel in ("generic", "dense", *simd):
        asked["sweep"]["kernel"] = kernel
        found[kernel] = run(tmp_path / kernel, asked)
    for seed, decay in itertools.product((0, 1), (0.1, 0.3)):
        kept = layers(before.weights(of(before, seed=seed, training__learning_rate=RATES[0])))
        wanted = descend(kept, arrays, 20, 0.005, decay, 0.9)
        for results in found.values():
            own = of(results, seed=seed, training__weight_decay=decay)
            for one, other in zip(layers(results.weights(own)), wanted, strict=True):
                np.testing.assert_allclose(one, other, rtol=0, atol=ROUNDING)
    rows = found["dense"].runs()
    assert set(rows["kernel"]) == {"dense"}
    assert set(rows["sweep.warm_start"]) == {str(source)}
    starts = before.runs().set_index("run_id").loc[rows["starts_from"]]
    assert (starts["training.learning_rate"] == RATES[0]).all()
    assert starts["seed"].tolist() == rows["seed"].tolist()
    assert set(rows["starts_from_step"]) == {20}


def test_plain_gradient_descent_goes_on_as_if_it_had_not_ended(
    arrays: Path, source: Path, tmp_path: Path
) -> None:
    whole = run(tmp_path / "whole", document(arrays, training__num_steps=40, record__count=9))
    asked = document(arrays, sweep__warm_start=str(source))
    half = run(tmp_path / "half", asked)
    for seed, rate in itertools.product((0, 1), RATES):
        one, other = (of(each, seed=seed, training__learning_rate=rate) for each in (half, whole))
        for name, weight in whole.weights(other).items():
            np.testing.assert_array_equal(half.weights(one)[name], weight)
        curves = half.curves().query(f"run_id == {one}"), whole.curves().query(f"run_id == {other}")
        late = curves[1][curves[1]["step"] >= 20]
        np.testing.assert_array_equal(curves[0]["step"] + 20, late["step"])
        # Observables may differ in last digits from one program to another.
        for name in ("loss", "regression_error"):
            np.testing.assert_allclose(curves[0][name], late[name], rtol=ROUNDING)
    # With drawn weights they are other runs, and so are they with others that are given.
    drawn = make_plan(Sweep.from_dict(document(arrays)))
    others = plan_of(Sweep.from_dict(document(arrays, sweep__warm_start=str(whole.path))))
    again = plan_of(Sweep.from_dict(asked))
    ids = [set(each.run_ids.tolist()) for each in (drawn, again, others)]
    assert len(set.union(*ids)) == 3 * 4
    assert ids[1] == set(half.runs()["run_id"])
    assert told(others.starts) == [
        f"4 runs begin with the weights of 4 runs of {whole.path}, step 40",
        "which differ in: training.num_steps, 40 there and 20 here",
    ]
    # The folder takes the runs that it holds, and no others.
    with pytest.raises(StoreError, match=r"sweep\.warm_start is .* there and .* here"):
        run(half.path.parent, document(arrays, sweep__warm_start=str(whole.path)))


def test_what_looks_back_looks_at_the_weights_that_were_given(arrays: Path, tmp_path: Path) -> None:
    asked = document(
        arrays, network__kind="mlp", network__activation="tanh", training__learning_rate=0.01,
        training__stop_when={"observable": "loss", "patience": 1, "threshold": 0.99},
    )  # fmt: skip
    asked["record"]["observables"] = ["loss", "parameter_distance"]
    # Runs that ended at their second record: their weights are those of the step at which they did.
    before = run(tmp_path / "before", asked)
    assert set(before.runs()["status"]) == {"stopped"}
    del asked["training"]["stop_when"]
    asked["sweep"]["warm_start"] = str(before.path)
    results = run(tmp_path / "after", asked)
    assert set(results.runs()["starts_from_step"]) == {5}
    for row in results.runs().to_dict("records"):
        ends, begun = results.weights(row["run_id"]), before.weights(row["starts_from"])
        moved = np.sqrt(sum(np.sum((ends[name] - begun[name]) ** 2) for name in begun))
        curve = results.curves(where={"run_id": row["run_id"]})["parameter_distance"]
        assert curve.iloc[0] == 0 < moved
        np.testing.assert_allclose(curve.iloc[-1], moved, rtol=ROUNDING)


def refused(said: str, asked: dict[str, Any], kind: type[Exception] = SpecError) -> None:
    with pytest.raises(kind, match=said):
        plan_of(Sweep.from_dict(asked))


def test_runs_without_one_run_to_start_from_are_named(arrays: Path, source: Path) -> None:
    def asked(where: Any = None, **changes: Any) -> dict[str, Any]:
        table = {"from": str(source)} | ({} if where is None else {"where": where})
        return document(arrays, sweep__warm_start=table, **changes)

    refused(
        r"the run with training\.learning_rate = 0\.02, seed = 2 has none to start from in "
        r".*: seed is 2 here and \[0, 1\] there; name the value to start from, "
        r"sweep\.warm_start\.where = \{ seed = \.\.\. \}, or leave",
        asked(sweep__seeds=3),
    )
    refused(
        r"the run with training\.learning_rate = 0\.3, seed = 0 .* "
        r"\{ \"training\.learning_rate\" = \.\.\. \}",
        asked(training__learning_rate=[0.02, 0.3]),
    )
    refused(
        r"network\.width is 6 here and \[5\] there; take a sweep of the same networks",
        asked(network__width=6),
    )
    refused("names 'training.lerning_rate', .* did you mean", asked({"training.lerning_rate": 0.1}))
    refused(
        r"asks for training\.learning_rate = 0\.5, of which .* has no run; its values there are "
        r"\[0\.01, 0\.02\]",
        asked({"training.learning_rate": 0.5}),
    )
    refused("with several values; give the one", asked({"seed": [0, 1]}))
    # A setting that varies there and that this problem has not.
    other = asked()
    other["problem"] = {
        "kind": "subspace", "signal_dim": 5, "measurement_dim": 4, "subspace_dim": 2,
        "num_samples": 9,
    }  # fmt: skip
    plan = plan_of(Sweep.from_dict(other))
    assert "problem.kind, from_file there and subspace here" in plan.starts.others
    other["problem"]["measurement_dim"] = 3
    refused(
        r"do not fit the run with seed 0 here: weights\[0\] is float64 \[5, 4\] there and float64 "
        r"\[5, 3\] here",
        other,
    )
    refused(r"is float64 \[5, 4\] there and float32", asked(sweep__precision="float32"))
    chosen = plan_of(Sweep.from_dict(asked({"seed": 1, "training.learning_rate": 0.02})))
    assert len(set(chosen.starts.run_ids.tolist())) == 1
    assert told(chosen.starts)[0].startswith("4 runs begin with the weights of a run of ")


def test_several_runs_to_start_from_are_told(arrays: Path, tmp_path: Path) -> None:
    problem = {"kind": "noisy_subspace", "signal_dim": 5, "measurement_dim": 4, "subspace_dim": 2,
               "num_samples": 9, "measurement_noise": [0.1, 0.2]}  # fmt: skip
    there = document(arrays)
    there |= {"problem": problem}
    there["training"]["learning_rate"] = 0.01
    there["record"]["weights"] = [5, 15]
    folder = run(tmp_path, there).path
    asked = document(arrays, sweep__warm_start=str(folder))
    asked["problem"]["data_file"] = str(arrays)
    refused(
        r"could start from 2 runs of .*, which differ in problem\.measurement_noise "
        r"\(\[0\.1, 0\.2\]\); choose one, sweep\.warm_start\.where = "
        r"\{ \"problem\.measurement_noise\" = \.\.\. \}",
        asked,
    )
    table = {"from": str(folder), "where": {"problem.measurement_noise": 0.2}, "step": 5}
    asked["sweep"]["warm_start"] = table
    plan = plan_of(Sweep.from_dict(asked))
    assert set(plan.starts.steps.tolist()) == {5}
    asked["sweep"]["warm_start"] = {**table, "step": 6}
    refused(r"step is 6, at which run \d+ has no weights; they are kept at 5, 15", asked)
    # The last that are kept, if none is asked for.
    del table["step"]
    asked["sweep"]["warm_start"] = table
    assert set(plan_of(Sweep.from_dict(asked)).starts.steps.tolist()) == {15}


def test_a_boundary_of_networks_that_are_trained_already(
    arrays: Path, source: Path, tmp_path: Path
) -> None:
    """Rounds close in on the largest stable rate; their runs are those of a list of its values."""
    where = {"training.learning_rate": RATES[0]}
    asked = document(
        arrays,
        training__learning_rate=[0.01, 10.0],
        training__num_steps=400,
        sweep__warm_start={"from": str(source), "where": where},
        sweep__refine={"between": "training.learning_rate", "tolerance": 0.3},
    )
    found = run(tmp_path / "found", asked)
    table = dlnsweep.boundaries(found)
    (low,), (high,) = table["low"], table["high"]
    assert 0.01 < low < high < 10.0
    assert 1 - low / high < 0.3
    runs = found.runs()
    rates = sorted(set(runs["training.learning_rate"]))
    assert len(rates) > 2
    assert len(runs) == 2 * len(rates)
    listed = document(
        arrays, training__learning_rate=rates, training__num_steps=400,
        sweep__warm_start=asked["sweep"]["warm_start"],
    )  # fmt: skip
    plan = plan_of(Sweep.from_dict(listed))
    assert set(plan.run_ids.tolist()) == set(runs["run_id"].tolist())
    assert set(runs["starts_from"]) == {
        of(dlnsweep.open_results(source), training__learning_rate=RATES[0], seed=seed)
        for seed in (0, 1)
    }
    # Again it is the same rounds, of which nothing is left to do.
    before = data_files(found.path)
    assert len(run(tmp_path / "found", asked).runs()) == len(runs)
    assert data_files(found.path) == before
    # Of the values that rounds add there are no weights where each run takes its own value's.
    asked["sweep"]["warm_start"] = str(source)
    asked["training"]["learning_rate"] = list(RATES)
    with pytest.raises(SpecError, match=r"add values of training\.learning_rate, which varies in"):
        run(tmp_path / "own", asked)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sweep__kernel": "jumps"}, 'sweep.kernel is "jumps", which draws the weights'),
        ({"sweep__kernel": "reduced", "record__weights": []}, 'sweep.kernel is "reduced", which'),
        ({"sweep__go_on_from": "x"}, "sweep.warm_start and sweep.go_on_from are both given"),
        ({"sweep__warm_start": {"where": {}}}, r"sweep.warm_start.from is missing"),
        ({"sweep__warm_start": {"from": ""}}, "sweep.warm_start.from is ''"),
        ({"sweep__warm_start": 3}, "is 3; it must be a results folder, or a table"),
        ({"sweep__warm_start": ["a", "b"]}, "one value for all runs"),
        ({"sweep__warm_start": {"from": "a", "stop": 3}}, "warm_start.stop is not a key"),
        ({"network__initial_weights": "law", "sweep__kernel": "auto"}, 'is "law", which has no'),
        (
            {"sweep__until": {"observable": "loss", "width": 0.1, "most_seeds": 9}},
            "sweep.warm_start and sweep.until are both given",
        ),
        (
            {"sweep__refine": {"between": "network.width"}, "network__width": [5, 9]},
            "there are no weights of the networks that rounds add",
        ),
        (
            {"figure__kind": "curves", "figure__y": "regression_error",
             "figure__theory": ["phase_1"]},
            "runs that begin with weights drawn",
        ),
    ],
)  # fmt: skip
def test_what_needs_drawn_weights_is_refused(
    changes: dict[str, Any], said: str, arrays: Path
) -> None:
    with pytest.raises(SpecError, match=said):
        Sweep.from_dict(document(arrays, **{"sweep__warm_start": "results/x", **changes}))


def test_a_folder_that_cannot_be_started_from_is_told(
    arrays: Path, source: Path, tmp_path: Path
) -> None:
    refused("is not a folder", document(arrays, sweep__warm_start="nosuch"), StoreError)
    bare = run(tmp_path / "bare", document(arrays, record__weights=[])).path
    refused("keeps no weights; give a folder", document(arrays, sweep__warm_start=str(bare)))
    wild = document(arrays, training__learning_rate=[1e9, 0.01])
    wild["name"] = "wild"
    diverged = run(tmp_path, wild).path
    asked = document(arrays, sweep__warm_start={"from": str(diverged)})
    asked["training"]["learning_rate"] = [1e9]
    refused(r"run \d+ diverged at step \d+, before any step", asked)
    # Of a sweep that is not done, those runs can be started from that are.
    damaged = tmp_path / "damaged"
    shutil.copytree(source, damaged)
    asked = document(arrays, sweep__warm_start=str(damaged))
    (curves,) = (damaged / "curves").iterdir()
    moved = curves.rename(tmp_path / "away")
    refused(
        r"has 4 of the runs to start from not done yet, run \d+ the first; run that sweep again",
        asked,
    )
    moved.rename(curves)
    with pytest.raises(SpecError, match="is this sweep's own results folder"):
        run(damaged.parent, {**asked, "name": "damaged"})
    (weights,) = (damaged / "weights").iterdir()
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    refused("is damaged .*checksum", asked, StoreError)


def test_a_folder_that_changes_meanwhile_is_not_started_from(
    arrays: Path, source: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    shutil.copytree(source, there)
    asked = document(arrays, sweep__warm_start=str(there))
    with pytest.raises(Interrupted):
        run(tmp_path, asked, should_stop=lambda: True)
    out = tmp_path / "sweep"
    # Other weights of the same runs, in a file that is whole.
    _replace_weights(there)
    with pytest.raises(StoreError, match="began with other weights than those that"):
        run(tmp_path, asked)
    with pytest.raises(StoreError, match=r"weights of run \d+ have changed since this sweep"):
        execute_batch(out, 0)
    shutil.rmtree(there)
    with pytest.raises(StoreError, match="is not a folder"):
        execute_batch(out, 0)
    assert Store.open(out).done() == set()
    description = json.loads((out / "sweep.json").read_text())
    assert description["sweep"]["warm_start"]["from"] == str(there)
    # One that was moved has the same weights: the runs that are planned are those.
    moved = tmp_path / "moved"
    shutil.copytree(source, moved)
    planned = Store.open(out).known_run_ids().tolist()
    results = run(tmp_path, document(arrays, sweep__warm_start=str(moved)))
    assert results.runs()["run_id"].tolist() == planned
    assert set(results.runs()["status"]) == {"finished"}


def _replace_weights(folder: Path) -> None:
    """Change the weights of all runs, as another computation of the same runs might."""
    (file,) = (folder / "weights").iterdir()
    groups = unpacked(file.read_bytes())
    for group in groups:
        for array in group.arrays.values():
            array += 1.0
    file.write_bytes(packed(groups))


def test_a_batch_that_was_stopped_has_the_bytes_of_a_whole_one(
    arrays: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descent, "_FIRST_SEGMENT_STEPS", 5)
    monkeypatch.setattr(descent.TimedBudget, "__call__", lambda *_: 5)
    monkeypatch.setattr(journal, "_LARGEST_SHARE", np.inf)
    asked = document(
        arrays, training__optimizer="adam", sweep__warm_start=str(source), sweep__kernel="dense"
    )
    whole = run(tmp_path / "whole", asked).path
    events: list[Event] = []

    def stops() -> bool:
        return any(event.kind == "progress" for event in events)

    monkeypatch.setattr(worker, "_REPORT_SECONDS", 0.0)
    with pytest.raises(Interrupted):
        run(tmp_path / "pieces", asked, should_stop=stops, on_event=events.append)
    events.clear()
    pieces = run(tmp_path / "pieces", asked, on_event=events.append).path
    assert sum(event.run_steps for event in events if event.kind == "resumed") > 0
    assert data_files(pieces) == data_files(whole)
    (one,), (other,) = ((each / "weights").iterdir() for each in (pieces, whole))
    assert one.read_bytes() == other.read_bytes()
