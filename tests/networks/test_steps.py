"""What [training] can turn on in a step: against plain loops with the same random numbers."""

from __future__ import annotations

import contextlib
import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from batch_samples import drawn, plan_of, train_rows
from jax.interpreters.partial_eval import dce_jaxpr

from dlnsweep.contracts.drawing import drawing_of
from dlnsweep.errors import SpecError
from dlnsweep.networks.generic import steps
from dlnsweep.networks.layered.minibatches import draw_in_epochs, draw_samples
from dlnsweep.numerics.lanes import Layout
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import purpose_key, step_gaussian
from dlnsweep.settings.training import BY_LAYER, SWITCHES, TrainingSettings

STEPS = 40
# Roundings of forty steps, 1e-16 each.
ROUNDING = 1e-12


def loss_of(weights: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> float:
    return 0.5 * float(np.sum((weights[1] @ weights[0] @ y - x) ** 2))


def gradients_of(weights: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    residual = weights[1] @ weights[0] @ y - x
    return [weights[1].T @ residual @ y.T, residual @ (weights[0] @ y).T]


def length(matrices: list[np.ndarray]) -> float:
    return float(np.sqrt(sum(np.sum(matrix**2) for matrix in matrices)))


def key_of(seed: int, purpose: str) -> Any:
    return purpose_key(jnp.int64(seed), purpose)


def step_of(t: int, seed: int, training: Any, x: np.ndarray, y: np.ndarray):
    """Return a step's samples and the weight of their loss."""
    size, total, weight = training.minibatch_size, x.shape[1], 1.0
    if size:
        draw = draw_in_epochs if training.minibatch_order == "epochs" else draw_samples
        chosen = np.asarray(draw(key_of(seed, "training/minibatches"), jnp.int64(t), size, total))
        x, y, weight = x[:, chosen], y[:, chosen], total / size
    if training.label_noise:
        noise = step_gaussian(key_of(seed, "training/label_noise"), jnp.int64(t), *x.shape)
        x = x + training.label_noise * np.asarray(noise)
    return x, y, weight


def learning_rate(training: Any, t: int) -> float:
    """Return eta of step t under a cosine schedule with warm-up."""
    if training.schedule == "constant":
        return training.learning_rate
    if t < training.warmup_steps:
        return training.learning_rate * t / training.warmup_steps
    part = (t - training.warmup_steps) / (training.schedule_steps - training.warmup_steps)
    fallen = (1 + np.cos(np.pi * min(part, 1.0))) / 2
    return training.learning_rate * (training.schedule_end + (1 - training.schedule_end) * fallen)


def plain_loss(plan, row: int) -> float:
    """Train a run in NumPy; return its loss at the end."""
    sections, weights, x, y, _ = drawn(plan, row, tests=False)
    training, seed = sections.training, int(plan.row(row)["seed"])
    average, beta = weights, training.ema_decay
    for t in range(STEPS):
        batch_x, batch_y, weight = step_of(t, seed, training, x, y)
        found = [weight * g for g in gradients_of(weights, batch_x, batch_y)]
        if training.sam_radius:
            beside = [w + training.sam_radius * g / length(found)
                      for w, g in zip(weights, found, strict=True)]  # fmt: skip
            found = [weight * g for g in gradients_of(beside, batch_x, batch_y)]
        if training.clip_norm:
            found = [g * min(1, training.clip_norm / length(found)) for g in found]
        eta, decay = learning_rate(training, t), training.weight_decay
        weights = [w - eta * (g + decay * w) for w, g in zip(weights, found, strict=True)]
        average = [beta * a + (1 - beta) * w for a, w in zip(average, weights, strict=True)]
    return loss_of(average, x, y) + 0.5 * training.weight_decay * length(average) ** 2


def plan_with(seeds: int = 2, **training: Any):
    return plan_of(
        network={"depth": 2, "width": 5},
        training={"num_steps": STEPS, "learning_rate": 0.03, **training},
        record={"count": 2, "observables": ["loss"]},
        sweep={"seeds": seeds, "kernel": "generic"},
    )


@pytest.mark.parametrize(
    "training",
    [
        {"minibatch_size": 5, "minibatch_order": "epochs", "label_noise": [0.1, 0.3],
         "sam_radius": 0.05, "clip_norm": 0.8, "warmup_steps": 7, "schedule": "cosine",
         "schedule_steps": [31, 40], "schedule_end": 0.1, "ema_decay": 0.8},
        {"label_noise": [0.1, 0.3], "sam_radius": [0.02, 0.05]},
    ],
    ids=["all", "noise and sam"],
)  # fmt: skip
def test_a_step_is_that_of_a_plain_loop(training: dict[str, Any]):
    plan = plan_with(**training)
    assert len(plan.program_widths) == 1, "numbers do not compile anew"
    found = train_rows(plan)
    with numerics():
        for row in range(0, plan.num_runs, 3):
            wanted = plain_loss(plan, row)
            assert found.observables["loss"][row, -1] == pytest.approx(wanted, rel=ROUNDING)


def test_what_is_off_is_another_program_and_changes_nothing():
    plan = plan_with(1, label_noise=[0, 0.2], clip_norm=[0, 1e9])
    # Without both, with one, with the other, with both.
    assert len(plan.program_widths) == 4
    rows = [plan.row(i) for i in range(4)]
    plain, clipped = (
        next(i for i, row in enumerate(rows)
             if (row["training.label_noise"], row["training.clip_norm"]) == wanted)
        for wanted in [(0, 0), (0, 1e9)]
    )  # fmt: skip
    found = [train_rows(plan, [i]).observables["loss"][0, -1] for i in (plain, clipped)]
    assert found[0] == found[1], "nothing is longer than that"


def test_an_epoch_has_each_sample_once():
    with numerics():
        key = key_of(3, "training/minibatches")
        epochs = []
        for epoch in (0, 1, 2**33):
            steps = [epoch * 3 + i for i in range(3)]
            drawn_ = [np.asarray(draw_in_epochs(key, jnp.int64(t), 4, 13)) for t in steps]
            epochs.append(np.concatenate(drawn_))
            assert len(set(epochs[-1].tolist())) == 12, "one of thirteen is left out"
        assert not np.array_equal(epochs[0], epochs[1])
        assert not np.array_equal(epochs[0], epochs[2])


def test_permutations_are_uniform():
    """The place of sample 0 among 3: 600 epochs; beyond 4.5 deviations once in 10^5."""
    with numerics():
        key = key_of(5, "training/minibatches")
        whole = jax.jit(jax.vmap(lambda t: draw_in_epochs(key, t, 3, 3)))
        places = np.argmin(np.asarray(whole(np.arange(600))), axis=1)
    counts = np.bincount(places, minlength=3)
    assert np.all(np.abs(counts - 200) < 4.5 * np.sqrt(600 * 2 / 9))


@pytest.mark.parametrize(
    ("training", "sentence"),
    [
        ({"minibatch_order": "epochs"},
         "training.minibatch_order is 'epochs', which needs minibatches; give "
         "training.minibatch_size."),
        ({"schedule": "linear", "schedule_end": 0.1},
         "training.schedule_steps is missing; training.schedule = 'linear' has no default for it."),
        # Of a default that stands for nothing no second sentence is said.
        ({"schedule": "linear", "schedule_end": 0.1, "warmup_steps": 20},
         "training.schedule_steps is missing; training.schedule = 'linear' has no default for it."),
        ({"schedule": "exponential", "schedule_steps": 20},
         "training.schedule_end is missing; training.schedule = 'exponential' has no default for "
         "it."),
        ({"schedule": "linear", "schedule_end": 0.1, "schedule_steps": 41},
         "training.schedule_steps is 41.0; the schedule would not end within training.num_steps, "
         "which is 40."),
        ({"schedule": "linear", "schedule_end": 0.1, "schedule_steps": 20, "warmup_steps": 20},
         "training.warmup_steps is 20.0; it must be less than training.schedule_steps, which is "
         "20.0."),
        ({"warmup_steps": 50},
         "training.warmup_steps is 50.0; the warm-up would not end within training.num_steps, "
         "which is 40."),
        ({"schedule": "exponential", "schedule_end": 0.0, "schedule_steps": 20},
         "training.schedule_end is 0.0; training.schedule = 'exponential' falls by factors and "
         "needs it to be positive."),
        ({"schedule": "steps", "schedule_end": 0.1, "schedule_steps": 20, "schedule_stages": 2.5},
         "training.schedule_stages is 2.5; stages are counted, and of another number the schedule "
         "would not end at training.schedule_end: take a whole number."),
        ({"schedule_end": 0.1},
         "training.schedule_end is given, but constant does not use it; it belongs to linear, "
         "cosine, exponential, steps."),
        ({"sam_radius": -1.0}, "training.sam_radius is -1.0; it must not be negative."),
        ({"sam_radius": 0.1, "optimizer": "polyak_sgd", "polyak_largest_rate": 1.0,
          "polyak_least_loss": 0.0, "polyak_epsilon": 0.0},
         "training.sam_radius is 0.1, and training.optimizer is 'polyak_sgd', whose rate is the "
         "loss over the squared gradient: these would be of other weights. Take another "
         "optimizer, or a radius of 0."),
        ({"clip_norm": 0.1, "optimizer": "polyak_sgd"},
         "training.clip_norm is 0.1, and training.optimizer is 'polyak_sgd', whose rate is the "
         "loss over the squared gradient: of a shorter gradient its steps are longer. Take another "
         "optimizer, bound its steps by training.polyak_largest_rate, or leave the norm out."),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(training: dict[str, Any], sentence: str):
    with pytest.raises(SpecError) as caught:
        plan_with(**training)
    assert caught.value.problems == (f"sweep: {sentence}",)


@pytest.mark.parametrize(
    ("optimizer", "key"),
    [("adam", "beta1"), ("adam", "beta2"), ("group_rmsprop", "group_rmsprop_decay")],
)
def test_a_decay_that_float32_makes_one_is_refused(optimizer: str, key: str):
    """By Adam all weights were NaN after the first step, and the run had diverged."""

    def plan(decay: float, precision: str):
        numbers = {"num_steps": STEPS, "learning_rate": 0.03, "optimizer": optimizer, key: decay}
        return plan_of(training=numbers, sweep={"seeds": 1, "precision": precision})

    with pytest.raises(SpecError) as caught:
        plan(1 - 1e-8, "float32")
    assert caught.value.problems == (
        f"sweep: training.{key} is 0.99999999 and sweep.precision is 'float32', in which that is "
        "1: an average that takes up nothing. Take at most 0.9999999, or set sweep.precision to "
        '"float64".',
    )
    plan(1 - 1e-8, "float64")
    plan(0.9999999, "float32")


def test_only_the_generic_way_carries_it_out():
    for kernel in ("auto", "dense"):
        with pytest.raises(SpecError) as caught:
            plan_of(training={"label_noise": 0.1}, sweep={"kernel": kernel})
        assert caught.value.problems == (
            "sweep: training.label_noise is 0.1, which the generic way alone carries out; set "
            'sweep.kernel = "generic".',
        )


def traced_step(**training: Any) -> tuple[set[str], int, int]:
    """Return the numbers of [training] that a step reads, its operations and the state's leaves."""
    plan = plan_with(1, **training)
    row = plan.row(0)
    drawing: Any = drawing_of(row, 5)
    kernel = drawing.kernel(Layout(1))
    arguments = drawing.example_arguments()
    with numerics():
        inputs, carry = jax.eval_shape(
            lambda given: drawing.start(kernel, given, lambda array: array), arguments
        )
        now = jax.ShapeDtypeStruct((), jnp.int64)
        given = inputs.constants, carry.state, now
        step = jax.make_jaxpr(kernel.step)(*given).jaxpr
        pruned, read = dce_jaxpr(step, [True] * len(step.outvars))
    paths = jax.tree_util.tree_flatten_with_path(given)[0]
    names = {
        path[2].key
        for (path, _), used in zip(paths, read, strict=True)
        if used and path[0].idx == 0 and getattr(path[1], "name", "") == "numbers"
    }
    return names, len(pruned.eqns), len(jax.tree.leaves(carry.state))


def test_what_is_off_is_not_in_a_step_and_keeps_nothing():
    """No operation reads its number, and no state is there for it: it cannot cost anything."""
    plain, operations, leaves = traced_step()
    assert plain == {"data_fit_scale", "weight_decay"}
    # Weights, whether it goes on, and where it diverged.
    assert leaves == 2 + 2
    for key in SWITCHES:
        if key == "flow_tolerance" and importlib.util.find_spec("diffrax") is None:
            continue
        value = "1, 0.5" if key in BY_LAYER else 0.5
        found, more, kept = traced_step(**{key: value})
        # Factors by layer are in the rates and decays from the start.
        assert key in BY_LAYER or key in found, key
        assert more > operations or key == "learning_rate_factors", key
        assert kept - leaves == {"ema_decay": 2, "flow_tolerance": 1}.get(key, 0), key


@pytest.mark.parametrize("size", [0, 3])
def test_inputs_are_said_to_stay_but_of_minibatches(size: int, monkeypatch: pytest.MonkeyPatch):
    """What is prepared once for all steps would be prepared in each of them."""
    said = []

    def told(*, same_inputs: bool) -> Any:
        said.append(same_inputs)
        return contextlib.nullcontext()

    monkeypatch.setattr(steps, "for_gradients", told)
    training = TrainingSettings(learning_rate=0.1, num_steps=1, minibatch_size=size, sam_radius=0.1)
    numbers = {"sam_radius": 0.1}
    with numerics():
        steps.value_and_gradients(training, lambda w: (jnp.sum(w**2), None), jnp.ones(3), numbers)
    assert said == [not size] * 2
