"""Fresh samples at each step, `training.minibatch_order = "one_pass"`."""

from __future__ import annotations

import zlib
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from resumed import assert_goes_on
from spec_samples import problems

import dlnsweep
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import gaussian, purpose_key, step_keys, threefry2x32
from dlnsweep.spec.sweep import Sweep

RATE, DECAY, STEPS, SIZE, TOTAL = 0.02, 0.1, 60, 2, 8
# Sixty steps of rounding, 1e-16 each.
ROUNDING = 1e-12
ONE_PASS = {"minibatch_order": "one_pass", "minibatch_size": SIZE}
DOCUMENT: dict[str, Any] = {
    "name": "one_pass",
    "problem": {"kind": "power_law", "ambient_dim": 7, "measurement_dim": 3, "num_samples": TOTAL,
                "data_exponent": [0.5, 1.0], "target_exponent": 0.7},
    "network": {"kind": "mlp", "depth": 1, "width": 1, "activation": "linear"},
    "training": {"learning_rate": RATE, "weight_decay": DECAY, "num_steps": STEPS, **ONE_PASS},
    "record": {"observables": ["loss"], "spacing": "explicit", "steps": [0, 1, 25]},
    "sweep": {"seeds": 2},
}  # fmt: skip


@partial(jax.jit, static_argnums=1)
def random_numbers(seed: Any, size: int) -> Any:
    """Return all steps' standard normal numbers: the block of seed and purpose, step, purpose."""
    key = purpose_key(seed, "training/stream")

    def of_step(step: Any) -> Any:
        words = threefry2x32(key, (jnp.uint32(0), step))
        own = threefry2x32(words, (jnp.uint32(0), jnp.uint32(zlib.crc32(b"data/signals"))))
        return gaussian(own, 7, size)

    return jax.vmap(of_step)(jnp.arange(STEPS + 1, dtype=jnp.uint32))


@jax.jit
def begun(seed: Any) -> Any:
    """Return the standard normal numbers of W, of the first weights and of what is recorded."""
    key = partial(purpose_key, seed)
    shapes = ("data/operator", 7, 3), ("weights/1", 1, 3), ("data/signals", 7, TOTAL)
    return [gaussian(key(purpose), *shape) for purpose, *shape in shapes]


def plain_losses(seed: int, data_exponent: float, size: int = SIZE) -> dict[int, float]:
    """Train random features by one-pass stochastic gradient descent: arXiv:2405.15074, eq. (4)."""
    features, theta, recorded = map(np.asarray, begun(jnp.int64(seed)))
    fresh = np.asarray(random_numbers(jnp.int64(seed), size))
    places, losses = np.arange(1.0, 8.0), {}
    deviations, b = places**-data_exponent, places**-0.7
    features, theta = features / np.sqrt(3), theta / np.sqrt(3)
    recorded = deviations[:, None] * recorded
    for step in range(STEPS + 1):
        residual = theta @ features.T @ recorded - b @ recorded
        losses[step] = 0.5 * np.sum(residual**2) + 0.5 * DECAY * np.sum(theta**2)
        z = deviations[:, None] * fresh[step]
        y = features.T @ z
        gradient = TOTAL / size * (theta @ y - b @ z) @ y.T
        theta = theta - RATE * (gradient + DECAY * theta)
    return losses


# More than the samples that are recorded, too: fresh ones are none of those.
@pytest.mark.parametrize("size", [SIZE, 2 * TOTAL + 1])
def test_steps_on_fresh_samples_are_those_of_a_plain_loop(size: int, tmp_path: Path):
    training = DOCUMENT["training"] | {"minibatch_size": size}
    results = dlnsweep.run(Sweep.from_dict(DOCUMENT | {"training": training}), tmp_path, workers=0)
    runs, curves = results.runs(), results.curves()
    run: Any
    with numerics():
        for _, run in runs.iterrows():
            losses = plain_losses(int(run["seed"]), float(run["problem.data_exponent"]), size)
            own = curves[curves["run_id"] == run["run_id"]]
            assert list(own["step"]) == [0, 1, 25, STEPS]
            for step, loss in zip(own["step"], own["loss"], strict=True):
                assert loss == pytest.approx(losses[step], rel=ROUNDING)


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_the_same_bits(tmp_path: Path):
    training = DOCUMENT["training"] | {"num_steps": 4000}
    own = Sweep.from_dict(DOCUMENT | {"training": training, "record": {"observables": ["loss"]}})
    assert_goes_on(own, tmp_path)


STREAMS: dict[str, dict[str, Any]] = {
    "power_law": DOCUMENT["problem"] | {"data_exponent": 0.5},
    "teacher": {"signal_dim": 2, "measurement_dim": 3, "output_noise": 0.5},
    "single_index": {"measurement_dim": 3, "hermite_degree": 2, "noise": 0.5},
    "multi_index": {"measurement_dim": 3, "hermite_degree": 2, "num_directions": 2},
    "gaussian_mixture": {"measurement_dim": 3, "num_classes": 2},
    "icl_regression": {"input_dim": 2, "context_length": 3},
    "sparse_regression": {"measurement_dim": 3, "sparsity": 1},
}


def test_problems_that_stream_are_named():
    assert {kind for kind, each in PROBLEMS.items() if each.stream is not None} == set(STREAMS)


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if kind == "power_law" else pytest.mark.slow) for kind in STREAMS],
)
def test_a_problem_streams_what_it_draws(kind: str):
    """Of the same keys the same samples; of the keys of two steps others, of the same teacher."""
    from dlnsweep.contracts.keys import sweep_classes

    document = {
        "name": "stream",
        "problem": {"kind": kind, "num_samples": TOTAL} | STREAMS[kind],
        "network": {"kind": "mlp", "depth": 1, "width": 1},
        "training": {"learning_rate": RATE, "num_steps": 1},
        "record": {"observables": ["loss"]},
    }
    values = Sweep.from_dict(document).values
    fields = sweep_classes(kind, "mlp")["problem"].model_fields
    given = {key: values[f"problem.{key}"][0] for key in fields}
    problem, settings = PROBLEMS[kind], PROBLEMS[kind].settings(**given)
    assert problem.stream is not None
    with numerics(), jax.disable_jit():
        key = partial(purpose_key, jnp.int64(3))
        common = problem.stream.common(settings, key)
        drawn = problem.draw(settings, key)
        if kind != "gaussian_mixture":
            for mine, wanted in zip(
                problem.stream.draw(settings, common, key, TOTAL), drawn, strict=True
            ):
                np.testing.assert_array_equal(mine, wanted)
        steps = [
            problem.stream.draw(
                settings, common, step_keys(key("training/stream"), jnp.int64(t)), 5
            )
            for t in (0, 1, 2**33)
        ]
    for targets, inputs in steps:
        assert (targets.shape, inputs.shape) == (
            (drawn[0].shape[0], 5),
            (drawn[1].shape[0], 5),
        )
    seen = np.concatenate([drawn[1], *(inputs for _, inputs in steps)], axis=1)
    assert len(np.unique(np.round(seen, 12), axis=1).T) == TOTAL + 15, "no sample comes twice"


@pytest.mark.slow
def test_the_classes_of_a_stream_are_random():
    """600 classes of three: beyond 4.5 deviations once in 10^5."""
    sizes = {"num_classes": 3, "measurement_dim": 3, "num_samples": 3, "signal_dim": 3}
    settings: Any = PROBLEMS["gaussian_mixture"].settings(**sizes)
    stream = PROBLEMS["gaussian_mixture"].stream
    assert stream is not None
    with numerics():
        key = partial(purpose_key, jnp.int64(0))
        targets, _ = stream.draw(settings, stream.common(settings, key), key, 600)
    counts = np.asarray(targets).sum(axis=1)
    assert np.all(np.abs(counts - 200) < 4.5 * np.sqrt(600 * 2 / 9))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"problem": {"kind": "unconstrained_features", "num_classes": 2, "samples_per_class": 2},
          "record__observables": ["loss"], "sweep__kernel": "generic"},
         "training.minibatch_order is 'one_pass'; problem.kind = 'unconstrained_features' draws no "
         "fresh samples at each step, as teacher, gaussian_mixture, sparse_regression, "
         "single_index, multi_index, power_law, icl_regression do: take 'epochs' or "
         "'replacement'."),
        ({"problem": DOCUMENT["problem"], "record__observables": ["loss"],
          "sweep__kernel": "dense"},
         "training.minibatch_order is 'one_pass', which the generic way alone carries out; set "
         'sweep.kernel = "generic".'),
        ({"problem": DOCUMENT["problem"], "record__observables": ["loss"],
          "sweep__kernel": "generic", "training__minibatch_size": 0},
         "training.minibatch_order is 'one_pass', which needs minibatches; give "
         "training.minibatch_size."),
    ],
)  # fmt: skip
def test_what_cannot_be_streamed_is_refused(changes: dict[str, Any], sentence: str):
    given = {f"training__{key}": value for key, value in ONE_PASS.items()} | changes
    assert problems(**given) == [sentence]
