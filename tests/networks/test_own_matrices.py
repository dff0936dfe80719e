"""Matrices as functions of parameters of one's own: the example of the guide, and what is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import guides
import jax.numpy as jnp
import numpy as np
import pytest
from plugin_samples import loaded
from spec_samples import problems

import dlnsweep
from dlnsweep.contracts.network import NETWORKS
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import keys_of
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep

# Sums of some hundred terms in another order, over a hundred steps that hardly amplify them.
ROUNDING = 1e-11
# Linear layers as a network of one's own, drawn as `fan_in_normal` draws them.
PRODUCT = """
from typing import Annotated, Literal

import dlnsweep
from dlnsweep.settings import Describe, Settings
from dlnsweep.streams import gaussian


class Product(Settings):
    kind: Literal["product"] = "product"
    width: Annotated[int, Describe("static", "hidden width", "k")]


def init(settings, data, key):
    k, m, d = settings.width, data.num_columns, data.num_rows
    return gaussian(key("weights/1"), k, m) / m**0.5, gaussian(key("weights/2"), d, k) / k**0.5


def predict(params, inputs, settings):
    return params[1] @ params[0]


dlnsweep.register_network(dlnsweep.Network("product", Product, init, predict, task="matrix"))
"""
PROBLEM_KINDS: dict[str, dict[str, Any]] = {
    "matrix_completion": {"num_rows": 6, "num_columns": 5, "rank": 2, "num_observed": 20},
    "matrix_sensing": {"num_rows": 5, "num_columns": 6, "rank": 2, "num_measurements": 20},
    "matrix_approximation": {"num_rows": 5, "num_columns": 5},
    "divergent_completion": {},
    "regression": {"num_inputs": 5, "num_samples": 12, "power": 4},
}
SHORT = {"learning_rate": 0.02, "weight_decay": 1e-2, "num_steps": 120}


@pytest.fixture
def diagonal(tmp_path: Path) -> Path:
    path = tmp_path / "diagonal_middle.py"
    path.write_text(guides.block("own_networks", "A matrix as a function of parameters", "python"))
    return path


@pytest.fixture
def product(tmp_path: Path) -> Path:
    path = tmp_path / "product.py"
    path.write_text(PRODUCT)
    return path


def document(**sections: dict[str, Any]) -> dict[str, Any]:
    made = {
        "name": "own",
        "problem": {"kind": "matrix_completion", **PROBLEM_KINDS["matrix_completion"]},
        "network": {"kind": "diagonal_middle", "width": 4, "scale": 0.7},
        "training": dict(SHORT),
        "record": {"count": 10},
    }
    return {**made, **{name: made.get(name, {}) | values for name, values in sections.items()}}


def drawn(own: dict[str, Any], seed: int) -> Any:
    """Return the loss of a run's matrix, as its problem draws it."""
    sections = make_plan(Sweep.from_dict(own)).row(0)
    settings: Any = sections.section("problem", PROBLEMS[own["problem"]["kind"]].settings)
    with numerics():
        return PROBLEMS[settings.kind].draw(settings, keys_of(jnp.asarray(seed)))


def test_the_example_runs_and_draws(diagonal: Path, tmp_path: Path):
    text = guides.block("own_networks", "A matrix as a function of parameters", "toml")
    with loaded(diagonal):
        results = dlnsweep.run(
            tomllib.loads(text), tmp_path / "out", workers=0, overrides=["training.num_steps=200"]
        )
        ends = results.summary(by="network.scale", observable="effective_rank")
    assert len(ends) == 3
    assert (results.path / "figures" / "curves.png").exists()


def test_its_steps_are_those_of_a_loop(diagonal: Path, tmp_path: Path):
    """c l(W) + (lambda/2) ||theta||^2, l the mean over entries, W = U diag(s) V^T, in NumPy."""
    observables = ["loss", "train_error", "reconstruction_error", "gradient_norm", "parameter_norm"]
    observables += ["parameter_distance", "singular_values", "gradient_alignment", "determinant"]
    own = document(
        problem={"num_columns": 6},
        training={"data_fit_scale": 3.0, "learning_rate": 0.005},
        record={
            "spacing": "explicit", "steps": [0, 1, 60, 120], "weights": [0, 120],
            "observables": observables,
        },
    )  # fmt: skip
    del own["record"]["count"]
    with loaded(diagonal):
        results = dlnsweep.run(own, tmp_path / "out", workers=0, figures=False)
        run_id = int(results.runs()["run_id"].iloc[0])
        seen = results.curves().set_index("step")
        begun, ended = (results.weights(run_id, step) for step in (0, 120))
        fit = drawn(own, 0)
    mask, known, target = (
        np.asarray(a) for a in (fit.observed.mask, fit.observed.targets, fit.target)
    )
    u, s, v = (begun[f"{name}"] for name in "usv")
    first, eta, decay, scale = np.concatenate([u.ravel(), s.ravel(), v.ravel()]), 0.005, 1e-2, 3.0
    for step in range(121):
        w = u @ np.diag(s[0]) @ v.T
        gradient = scale * 2 * (mask * w - known) / mask.sum()
        back = (
            gradient @ v @ np.diag(s[0]) + decay * u,
            np.diag(u.T @ gradient @ v)[None] + decay * s,
            gradient.T @ u @ np.diag(s[0]) + decay * v,
        )
        if step in seen.index:
            flat = np.concatenate([u.ravel(), s.ravel(), v.ravel()])
            left, values, right = np.linalg.svd(w)
            error = ((mask * w - known) ** 2).sum() / mask.sum()
            expected = {
                "loss": scale * error + decay / 2 * (flat**2).sum(),
                "train_error": error,
                "reconstruction_error": np.linalg.norm(w - target) / np.linalg.norm(target),
                "gradient_norm": np.sqrt(sum((g**2).sum() for g in back)),
                "parameter_norm": np.linalg.norm(flat),
                "parameter_distance": np.linalg.norm(flat - first),
                "singular_values": values,
                "gradient_alignment": np.diag(left.T @ gradient @ right.T),
                "determinant": np.linalg.det(w),
            }
            for name, value in expected.items():
                found = np.asarray(seen.loc[step, name])
                # Singular vectors of a value that is zero are any: rank 4 of 6.
                kept = slice(0, 4) if name == "gradient_alignment" else ...
                np.testing.assert_allclose(
                    found[kept], np.asarray(value)[kept], rtol=ROUNDING, atol=ROUNDING, err_msg=name
                )
        if step < 120:
            u, s, v = (each - eta * g for each, g in zip((u, s, v), back, strict=True))
    for name, value in {"u": u, "s": s, "v": v}.items():
        np.testing.assert_allclose(ended[name], value, rtol=ROUNDING, atol=ROUNDING)


def test_what_is_not_trained_stands_still_and_rates_are_factors(diagonal: Path, tmp_path: Path):
    """s with rate 0 or not trained, and U at half the rate, are the steps of a loop on U and V."""
    frozen = "trained=lambda p, _: {'u': True, 's': False, 'v': True}"
    still = "lambda p, s, o: {'u': 0.5, 's': 0.0, 'v': 1.0}"
    text, found = diagonal.read_text(), []
    own = document(training={"learning_rate": 0.005, "weight_decay": 0.0})
    own["record"] = {"spacing": "explicit", "steps": [0, 120], "weights": [0, 120]}
    for more in (f"rates={still}, {frozen}", f"rates={still}"):
        diagonal.write_text(text.replace('task="matrix"', f'task="matrix", version="1", {more}'))
        with loaded(diagonal):
            place = tmp_path / str(len(found))
            results = dlnsweep.run(own, place, workers=0, figures=False)
            run_id = int(results.runs()["run_id"].iloc[0])
            found.append([results.weights(run_id, step) for step in (0, 120)])
            fit = drawn(own, 0)
    mask, known = (np.asarray(a) for a in (fit.observed.mask, fit.observed.targets))
    u, s, v = (found[1][0][name] for name in "usv")
    first = s
    for _ in range(120):
        gradient = 2 * (mask * (u * s @ v.T) - known) / mask.sum()
        u, v = u - 0.0025 * gradient @ v * s, v - 0.005 * gradient.T @ u * s
    for begun, ended in found:
        # What is not trained is no weight of the run.
        assert "s" not in begun or np.array_equal(ended["s"], first)
        for name, value in {"u": u, "v": v}.items():
            np.testing.assert_allclose(ended[name], value, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("kind", PROBLEM_KINDS)
def test_a_product_of_ones_own_is_the_house_s(kind: str, product: Path, tmp_path: Path):
    """Everything that both have agrees, by another way of descent; divergence, too."""
    observables = ["loss", "train_error", "singular_values", "effective_rank", "gradient_norm"]
    observables += ["gradient_alignment", "speed_exponent", "steps_taken"]
    # A program with it takes long to compile.
    observables += ["sharpness"] * (kind == "matrix_sensing")
    own = document(problem={"kind": kind}, record={"observables": observables}, sweep={"seeds": 2})
    own["problem"] = {"kind": kind, **PROBLEM_KINDS[kind]}
    own["training"] |= {"learning_rate": [0.02, 60.0]}
    found = {}
    with loaded(product):
        for name in ("product", "deep_linear"):
            own["network"] = {"kind": name, "width": 6} | (
                {"depth": 2} if name != "product" else {}
            )
            results = dlnsweep.run(own, tmp_path / name, workers=0, figures=False)
            found[name] = results.curves().sort_values(["training.learning_rate", "seed", "step"])
            found[name, "ends"] = results.runs().sort_values(["training.learning_rate", "seed"])
    ours, theirs = found["deep_linear"], found["product"]
    assert list(found["product", "ends"]["status"]) == list(found["deep_linear", "ends"]["status"])
    assert "diverged" in set(found["product", "ends"]["status"])
    assert list(ours["step"]) == list(theirs["step"])
    calm = (ours["training.learning_rate"] < 1).to_numpy()
    for name in observables:
        a, b = (np.stack(table[name].to_numpy()[calm]) for table in (ours, theirs))
        # The slope of logarithms, and singular vectors, amplify what is rounded.
        loose = {"speed_exponent": 1e-6, "gradient_alignment": 1e-8, "sharpness": 1e-8}
        tolerance = loose.get(name, 1e-9)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)


def test_time_jumps_know_that_its_loss_is_the_problems(product: Path, tmp_path: Path):
    """The curvature of a mean over some entries is not that of half the squared error of all."""
    observables = ["loss", "train_error", "singular_values"]
    training = {"weight_decay": 1e-3, "num_steps": 50_000}
    found = {}
    with loaded(product):
        for kernel in ("generic", "jumps"):
            own = document(
                network={"kind": "product"}, training=training, sweep={"kernel": kernel},
                record={"count": 6, "observables": observables},
            )  # fmt: skip
            del own["network"]["scale"]
            results = dlnsweep.run(own, tmp_path / kernel, workers=0, figures=False)
            found[kernel] = results.curves()
            run = results.runs().iloc[0]
    # "asked for; 1,234 steps taken, 48,766 in 99 jumps"
    taken = int(run["kernel_reason"].split()[2].replace(",", ""))
    assert taken < 0.5 * training["num_steps"], run["kernel_reason"]
    assert run["truncation_error"] < 1e-5
    for name in observables:
        ours, theirs = (np.stack(found[k][name].to_numpy()) for k in ("jumps", "generic"))
        # The tolerance of the sweep, relative to the largest value.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max())


def test_what_it_has_not_is_refused(diagonal: Path):
    base = {"problem": {"kind": "matrix_completion", **PROBLEM_KINDS["matrix_completion"]},
            "network": {"kind": "diagonal_middle", "width": 4}}  # fmt: skip

    def refused(**changes: Any) -> str:
        return problems(**base, **changes)[0]

    with loaded(diagonal):
        for name in ("weight_norms", "unbalancedness", "unbalancedness_drift"):
            sentence = refused(record__observables=[name])
            assert sentence.startswith(f"record.observables names '{name}', which is for ")
            assert "factorizations of a matrix; network.kind is 'diagonal_middle', " in sentence
        assert refused(record__observables=["determinant"]).startswith(
            "record.observables names 'determinant'; a matrix of 6 rows and 5 columns has none"
        )
        assert "'free_entry'" in refused(record__observables=["free_entry"])
        assert refused(training__minibatch_size=2).startswith("training.minibatch_size is 2; with")
        assert refused(training__loss="logistic").startswith("training.loss is 'logistic'; with")
        assert refused(training__label_noise=0.1).startswith(
            "training.label_noise is 0.1, which is for targets of samples"
        )
        assert refused(sweep__kernel="reduced").startswith("sweep.kernel is 'reduced'; with")
        base["problem"] = {"kind": "divergent_completion"}
        assert refused(record__observables=["reconstruction_error"]).startswith(
            "record.observables names 'reconstruction_error'; the target of problem.kind ="
        )
        # It is a network for matrices, and for no samples.
        del base["problem"]
        assert "network.kind is 'diagonal_middle'; with problem.kind = 'subspace'" in refused()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('@ params["v"].T', '@ params["v"][:3].T',
         "predict returns float64 of shape (6, 3); the matrix that the problem is about has the "
         "shape (6, 5)."),
        ("data.num_rows", "data.rows",
         "init fails (AttributeError: 'MatrixData' object has no attribute 'rows', at "
         "diagonal_middle.py:18)."),
        ('(params["u"]', '(inputs @ params["u"]', "predict fails with the parameters that init"),
        ('return (params["u"] * params["s"])', 'return (0 * params["u"] * params["s"])',
         "the gradient of its loss is zero at the initial parameters"),
    ],
)  # fmt: skip
def test_a_wrong_matrix_is_told_before_anything_is_written(
    old: str, new: str, sentence: str, diagonal: Path, tmp_path: Path
):
    text = diagonal.read_text()
    assert old in text
    diagonal.write_text(text.replace(old, new))
    with loaded(diagonal), pytest.raises(dlnsweep.SpecError) as caught:
        dlnsweep.run(document(), tmp_path / "out", workers=0)
    start = "network.kind 'diagonal_middle' cannot be trained: "
    assert str(caught.value).startswith(start + sentence)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ('task="matrices"', "task is 'matrices'; it must be 'samples' or 'matrix'"),
        ('task="matrix", loss=predict', "task is 'matrix', which has no samples and the problem's "
         "loss; leave loss out"),
        ('task="matrix", reduction="mean"', "task is 'matrix', which has no samples and the "
         "problem's loss; leave reduction out"),
    ],
)  # fmt: skip
def test_what_cannot_be_one_is_not_registered(changes: str, sentence: str, diagonal: Path):
    diagonal.write_text(diagonal.read_text().replace('task="matrix"', changes))
    with pytest.raises(dlnsweep.SpecError) as caught, loaded(diagonal):
        pass
    assert sentence in str(caught.value)
    assert ("matrix", "diagonal_middle") not in NETWORKS


def test_figures_write_w(diagonal: Path):
    with loaded(diagonal):
        kind = NETWORKS["matrix", "diagonal_middle"]
        assert kind.label("nuclear_norm", r"nuclear norm $\|W_{L:1}\|_*$") == (
            r"nuclear norm $\|W\|_*$"
        )
        assert r"\ell(W)" in kind.label("loss", "loss")
