"""Weights that are kept: against NumPy's own descent, of other kinds, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlnsweep
from dlnsweep.cli.app import app
from dlnsweep.errors import SpecError, StoreError
from dlnsweep.execution.weights_size import (
    MOST_BYTES_A_RUN,
    WeightsSize,
    told_weights,
    weights_size,
)
from dlnsweep.plan.plan import make_plan
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sentences import shorten
from dlnsweep.spec.sweep import Sweep

STEPS = 40
# float64 products of some ten numbers, some tens of steps one after another.
ROUNDED = 1e-12
# The tolerance of a sweep with jumps, sweep.tolerance.
JUMPED = 1e-6
RNG = np.random.default_rng(1)
INPUTS, TARGETS = RNG.normal(size=(9, 5)), RNG.normal(size=(9, 3))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", inputs=INPUTS, targets=TARGETS)


def document(**sections: dict[str, Any]) -> dict[str, Any]:
    base: dict[str, dict[str, Any]] = {
        "problem": {"kind": "from_file", "data_file": "data.npz"},
        "network": {"kind": "deep_linear", "depth": 3, "width": [4, 6]},
        "training": {"learning_rate": 0.002, "weight_decay": 0.1, "num_steps": STEPS},
        "record": {
            "spacing": "linear",
            "count": 5,
            "weights": [0, 20, STEPS],
            "observables": ["loss"],
        },
        "sweep": {"kernel": "dense"},
    }
    merged = {name: values | sections.get(name, {}) for name, values in base.items()}
    return {"name": "kept"} | merged


def descended(weights: list[np.ndarray], steps: int, *, relu: bool = False) -> list[np.ndarray]:
    """Gradient descent on half the squared error and decay, matrix by matrix."""
    weights = [w.copy() for w in weights]
    y, x = INPUTS.T, TARGETS.T
    for _ in range(steps):
        values = [y]
        for i, w in enumerate(weights):
            seen = values[-1]
            if relu and i == len(weights) - 1:
                seen = np.maximum(seen, 0)
                values[-1] = seen
            values.append(w @ seen)
        back = values[-1] - x
        gradients = []
        for i in reversed(range(len(weights))):
            gradients.insert(0, back @ values[i].T)
            back = weights[i].T @ back
            if relu and i == len(weights) - 1:
                back = back * (values[i] > 0)
        weights = [w - 0.002 * (g + 0.1 * w) for w, g in zip(weights, gradients, strict=True)]
    return weights


@pytest.mark.parametrize(
    ("kernel", "network"),
    [
        ("dense", "deep_linear"),
        ("generic", "deep_linear"),
        ("dense", "linear_then_relu"),
        ("jumps", "deep_linear"),
    ],
)
def test_kept_weights_are_those_of_numpys_descent(kernel: str, network: str) -> None:
    asked = document(network={"kind": network}, sweep={"kernel": kernel})
    size = weights_size(make_plan(Sweep.from_dict(asked)))
    results = dlnsweep.run(asked, "out", workers=0)
    total, allowed = 0, JUMPED if kernel == "jumps" else ROUNDED
    for run in results.runs().to_dict("records"):
        kept = {step: results.weights(run["run_id"], step) for step in (0, 20, STEPS)}
        width = run["network.width"]
        assert list(kept[0]) == ["weights[0]", "weights[1]", "weights[2]"]
        assert [w.shape for w in kept[0].values()] == [(width, 5), (width, width), (3, width)]
        for step in (20, STEPS):
            wanted = descended(list(kept[0].values()), step, relu=network != "deep_linear")
            for mine, other in zip(kept[step].values(), wanted, strict=True):
                np.testing.assert_allclose(mine, other, rtol=0, atol=allowed)
        last = results.weights(run["run_id"])
        assert all(np.array_equal(last[name], kept[STEPS][name]) for name in last)
        total += sum(w.nbytes for each in kept.values() for w in each.values())
    # Of padded arrays the plan tells more, as it counts before any are made.
    assert size is not None
    assert size.total_bytes >= total
    if kernel == "generic":
        assert size.total_bytes == total
    assert results.store.verify() == []


def test_other_kinds_have_the_names_of_their_parameters() -> None:
    """A pytree as it is, with what is not trained; deep_prior's z; the matrix of end_to_end."""
    mlp = document(
        network={"kind": "mlp", "width": 4, "biases": True, "output": "centred", "depth": 2},
        training={"weight_decay": 0.0},
        sweep={"kernel": "auto"},
        record={"weights": "final"},
    )
    results = dlnsweep.run(mlp, "mlp", workers=0)
    kept = results.weights(int(results.runs()["run_id"].iloc[0]))
    assert results.store.verify() == []
    assert {name: w.shape for name, w in kept.items()} == {
        "biases[0]": (4,), "biases[1]": (3,), "weights[0]": (4, 5), "weights[1]": (3, 4),
        "initial.biases[0]": (4,), "initial.biases[1]": (3,),
        "initial.weights[0]": (4, 5), "initial.weights[1]": (3, 4),
    }  # fmt: skip
    prior = {
        "name": "prior",
        "problem": {"kind": "deep_prior", "signal_dim": 9, "measurement_dim": 3},
        "network": {"kind": "deep_prior", "width": [5, 20], "trained_layers": "both"},
        "training": {"learning_rate": 0.1, "step_rule": "curvature", "num_steps": 5},
        "record": {"weights": "final", "count": 3},
    }
    results = dlnsweep.run(prior, "prior", workers=0)
    for run in results.runs().to_dict("records"):
        kept = results.weights(run["run_id"])
        width = run["network.width"]
        assert {name: w.shape for name, w in kept.items()} == {
            "hidden": (width,),
            "output_change": (3, width),
        }
        assert np.count_nonzero(kept["hidden"]) == width


def test_runs_that_end_early_and_damage() -> None:
    asked = document(
        network={"width": 4},
        training={
            "learning_rate": [0.0002, 0.02, 1e4],
            "stop_when": {"observable": "loss", "below": 8.0},
        },
        record={"weights": "final", "count": 21},
    )
    results = dlnsweep.run(asked, "out", workers=0)
    runs = results.runs().set_index("status")
    assert set(runs.index) == {"finished", "stopped", "diverged"}
    stopped = runs.loc["stopped"]
    assert 0 < stopped["last_step"] < STEPS
    kept = results.weights(int(stopped["run_id"]))
    product = kept["weights[2]"] @ kept["weights[1]"] @ kept["weights[0]"]
    decay = 0.05 * sum(np.sum(w**2) for w in kept.values())
    loss = 0.5 * np.sum((product @ INPUTS.T - TARGETS.T) ** 2) + decay
    assert loss == pytest.approx(stopped["final_loss"], rel=ROUNDED)
    assert results.weights(int(stopped["run_id"]), int(stopped["last_step"])).keys() == kept.keys()
    diverged = int(runs.loc["diverged", "run_id"])
    for run_id, step, said in (
        (diverged, None, r"diverged at step \d+, before any step at which weights are kept"),
        (int(stopped["run_id"]), 3, r"step is 3, at which run \d+ has no weights; they are kept"),
        (3, None, "run_id is 3, and there is no such run"),
        ("x", None, "run_id is 'x', and there is no such run"),
        ([3], None, r"run_id is \[3\], and there is no such run"),
        (int(stopped["run_id"]), {"a": 1}, "step is {'a': 1}, at which run"),
        (int(stopped["run_id"]), np.zeros(0), "step is .*, at which run"),
    ):
        with pytest.raises(SpecError, match=said):
            results.weights(run_id, step)  # pyright: ignore[reportArgumentType]
    file = results.path / "weights" / "batch-000000.npz"
    whole = file.read_bytes()
    file.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    (problem,) = results.store.verify()
    assert problem.path == file
    assert "was changed after it was written" in problem.sentence
    with pytest.raises(StoreError, match="is damaged"):
        dlnsweep.open_results(results.path).weights(int(stopped["run_id"]))
    # Without it its batch is not done; computed again it has the same bytes.
    file.unlink()
    assert "does not count as done" in results.store.verify()[0].sentence
    dlnsweep.run(asked, "out", workers=0)
    assert file.read_bytes() == whole
    assert results.store.verify() == []


def test_weights_that_cannot_be_kept_are_told_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for sections, said in (
        (
            {"record": {"weights": [0, 17]}},
            "record.weights names 17, which is no recorded step where training.num_steps is 40; "
            "the nearest are 10 and 20",
        ),
        ({"record": {"weights": [20, 20]}}, r"record.weights names a step twice: \[20, 20\]"),
        ({"record": {"weights": "last"}}, "record.weights is 'last'; it must be 'final' or a list"),
        ({"record": {"weights": [-1]}}, r"record.weights\[0\] is -1; it must not be negative"),
        (
            {"sweep": {"kernel": "reduced"}},
            'sweep.kernel is "reduced", but it has no weights to keep, only what they do to few '
            "directions: leave record.weights out",
        ),
    ):
        with pytest.raises(SpecError, match=said):
            Sweep.from_dict(document(**sections))
    with pytest.raises(SpecError, match=r"record\.weights keeps 4\.1 GB of weights of one run; at"):
        raise SpecError(WeightsSize(5 * 10**9, MOST_BYTES_A_RUN + 10**8, RunSettings({})).why_not())
    monkeypatch.setattr("dlnsweep.execution.weights_size._DISK_SHARE", 0.0)
    with pytest.raises(SpecError, match=r"its disk has room for 0B; give a folder on another one"):
        dlnsweep.run(document(), "out", workers=0)
    assert not Path("out").exists()
    # Where they would stand `check` and `plan` say so, too; the file is right for another disk.
    Path("sweep.toml").write_text(
        'name = "kept"\n[problem]\nkind = "from_file"\ndata_file = "data.npz"\n'
        "[network]\ndepth = 2\nwidth = 4\n[training]\nlearning_rate = 0.01\nnum_steps = 5\n"
        '[record]\nweights = "final"\ncount = 3\nobservables = ["loss"]\n'
    )
    for command in (["check"], ["plan", "--no-probe"]):
        capsys.readouterr()
        app([*command, "sweep.toml"], standalone_mode=False)
        assert "not enough room here: " in (told := capsys.readouterr().out), told
        assert "its disk has room for 0B; give a folder on another one with --out" in told
    # What an earlier process has kept is not asked of the disk again.
    size = weights_size(make_plan(Sweep.from_dict(document())))
    assert size is not None
    Path("begun/weights").mkdir(parents=True)
    Path("begun/weights/batch-000000.npz").write_bytes(bytes(size.total_bytes - 1))
    assert size.why_not(Path("begun"))
    Path("begun/weights/batch-000001.npz").write_bytes(bytes(1))
    assert not size.why_not(Path("begun"))
    without = document(record={"weights": []})
    results = dlnsweep.run(without, "bare", workers=0)
    with pytest.raises(SpecError, match=r'keeps no weights; set record\.weights = "final"'):
        results.weights(1)


def test_of_rounds_the_most_that_they_can_keep_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Two matrices of inputs and targets beside one of the width, in float64, at three steps.
    bytes_of = {w: 3 * 8 * (5 * w + w * w + 3 * w) for w in (4, 6)}

    def told(**sections: Any) -> str:
        plan = make_plan(Sweep.from_dict(document(network={"width": 6}, **sections)))
        size = weights_size(plan)
        assert size is not None
        return told_weights(plan, size)

    def shown(count: int) -> str:
        return f"{shorten(count)}B"

    one = bytes_of[6]
    assert told() == f"{shown(one)} beside the curves, uncompressed"
    until = {"observable": "loss", "width": 0.1, "most_seeds": 60}
    assert told(sweep={"kernel": "dense", "seeds": 4, "until": until}) == (
        f"{shown(4 * one)} in the first round, at most {shown(60 * one)} in all, uncompressed"
    )
    refine = {"between": "training.weight_decay", "success": "finished", "points": 5}
    asked = {"training": {"weight_decay": [0.1, 1.0]}, "sweep": {"seeds": 2, "refine": refine}}
    assert told(**asked) == (
        f"{shown(4 * one)} in the first round, uncompressed; each later one adds at most "
        f"{shown(10 * one)} a boundary"
    )
    text = "\n".join(["name = 'a'", *_toml(document(sweep={"seeds": 4, "until": until}))])
    Path("a.toml").write_text(text)
    app(["check", "a.toml"], standalone_mode=False)
    size = weights_size(make_plan(Sweep.from_file("a.toml")))
    assert size is not None
    assert f"weights: {shown(size.total_bytes)} in the first round" in capsys.readouterr().out


def _toml(sections: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for name, values in sections.items():
        if name == "name":
            continue
        lines.append(f"[{name}]")
        for key, value in values.items():
            if isinstance(value, dict):
                inner = ", ".join(f"{k} = {json.dumps(v)}" for k, v in value.items())
                lines.append(f"{key} = {{ {inner} }}")
            else:
                lines.append(f"{key} = {json.dumps(value)}")
    return lines
