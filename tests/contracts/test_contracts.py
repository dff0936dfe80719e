"""What every registered thing keeps: contract tests over the registries, strangers' included."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from dlnsweep.contracts.drawing import drawing_named, drawing_of
from dlnsweep.contracts.loss import LOSSES
from dlnsweep.contracts.network import NETWORKS, NetworkKind, network_of
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.engine.batch import train_batch
from dlnsweep.engine.trained import Trained
from dlnsweep.errors import SpecError
from dlnsweep.execution.comparison import AS_AUTO, AS_JUMPS, compare_runs
from dlnsweep.execution.judges import JUDGES, choose_kernels
from dlnsweep.networks.layered.initializers import INITIALIZERS
from dlnsweep.numerics.lanes import Layout
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.settings.base import Settings, description, is_traced_float
from dlnsweep.settings.sections import SECTIONS
from dlnsweep.settings.training import SWITCHES
from dlnsweep.settings.words import words_of
from dlnsweep.spec.sweep import Sweep

MATRIX = {
    "kind": "matrix_approximation", "num_rows": 3, "num_columns": 4, "loss": "half_sum",
}  # fmt: skip
SAMPLES = {
    "kind": "noisy_subspace", "signal_dim": 5, "measurement_dim": 4, "subspace_dim": 2,
    "num_samples": 7, "measurement_noise": 0.1, "tail_level": 0.3, "tail_power": 1.0,
    "condition_number": 2.0,
}  # fmt: skip

# A small sweep of each kind, in which as much as possible is recorded and away from its default.
DOCUMENTS: dict[tuple[str, str], dict[str, Any]] = {
    ("samples", "deep_linear"): {
        "problem": SAMPLES,
        "network": {"kind": "deep_linear", "depth": 2, "width": 6},
        "training": {"learning_rate": 0.05, "weight_decay": 0.02},
        "record": {"observables": ["loss", "noisy_test_error", "numerical_rank"],
                   "test_noise": 0.1, "rank_threshold": 0.5},
        "sweep": {"kernel": "dense"},
    },
    ("samples", "linear_then_relu"): {
        "problem": SAMPLES,
        "network": {"kind": "linear_then_relu", "depth": 2, "width": 6},
        "training": {"learning_rate": 0.05, "weight_decay": 0.02},
        "record": {"observables": ["loss", "noisy_test_error"], "test_noise": 0.1},
    },
    ("inverse", "deep_prior"): {
        "problem": {"kind": "deep_prior", "signal_dim": 6, "measurement_dim": 4, "loss": "power",
                    "loss_power": 3.0, "noise_level": 0.1, "operator": "conditioned",
                    "condition_number": 2.0},
        "network": {"width": 9, "trained_layers": "both"},
        "training": {"learning_rate": 0.3},
        "record": {"observables": ["loss", "signal_error"]},
    },
    ("matrix", "deep_linear"): {
        "problem": MATRIX,
        "network": {"depth": 2, "width": 5, "layer_init_scale": 0.8},
        "training": {"learning_rate": 0.02, "weight_decay": 0.01},
        "record": {"observables": ["loss", "singular_values"]},
    },
    ("matrix", "end_to_end"): {
        "problem": MATRIX,
        "network": {"kind": "end_to_end", "depth": 2, "width": 5, "layer_init_scale": 0.8},
        "training": {"learning_rate": 0.02},
        "record": {"observables": ["loss", "end_to_end_loss"]},
    },
    ("population", "committee"): {
        "problem": {"kind": "population", "input_dim": 100, "num_teacher_neurons": 2,
                    "teacher_directions": "gaussian", "output_noise": 0.1},
        "network": {"width": 3, "trained_layers": "both", "initial_correlation": 0.2},
        "training": {"learning_rate": 0.1, "weight_decay": 0.02},
        "record": {"observables": ["loss", "teacher_overlaps", "readouts"]},
        "sweep": {"precision": "float64"},
    },
    ("samples", "mlp"): {
        "problem": SAMPLES,
        "network": {"kind": "mlp", "depth": 2, "width": 6, "activation": "tanh", "biases": True,
                    "initializer": "unit_rows", "imbalance": 0.5, "richness": 0.8,
                    "output": "centred"},
        "training": {"learning_rate": 0.05, "weight_decay": 0.02},
        "record": {"observables": ["loss", "parameter_distance"]},
    },
    ("samples", "diagonal_linear"): {
        "problem": SAMPLES,
        "network": {"kind": "diagonal_linear", "depth": 3, "layer_init_scale": 0.5},
        "training": {"learning_rate": 0.02, "weight_decay": 0.02},
        "record": {"observables": ["loss", "parameter_norm"]},
    },
    ("samples", "deep_linear_resnet"): {
        "problem": SAMPLES,
        "network": {"kind": "deep_linear_resnet", "depth": 2, "width": 6, "ends": "gaussian",
                    "initializer": "fan_in_normal", "layer_init_scale": 0.3},
        "training": {"learning_rate": 0.02, "weight_decay": 0.02},
        "record": {"observables": ["loss", "parameter_norm"]},
    },
    ("samples", "linear_attention"): {
        "problem": {"kind": "teacher", "signal_dim": 1, "measurement_dim": 8, "num_samples": 7},
        "network": {"kind": "linear_attention", "context_length": 2, "heads": 2,
                    "key_query": "separate", "head_rank": 2, "layer_init_scale": 2.0},
        "training": {"learning_rate": 0.5, "weight_decay": 0.02},
        "record": {"observables": ["loss", "parameter_norm"]},
    },
}  # fmt: skip
# Weight decay of factorizations, and expected losses.
FLOAT64_ONLY = {("matrix", "deep_linear"), ("population", "committee")}
# Those without a kernel of their own are trained by one and the same way: one of them is enough.
BY_PLACE = [
    pytest.param(place, id=" ".join(place), marks=pytest.mark.slow if place[1] in (
        "mlp", "deep_linear_resnet", "linear_attention") else ())
    for place in DOCUMENTS
]  # fmt: skip
# Differences over 2e-5 of numbers of size one, each rounded at 1e-16, and their third derivatives.
DIFFERENCED = 1e-9
# Ten steps of roundings of 6e-8, magnified where an entry's own history scales it.
NEAR = 1e-3
# Of what is recorded here nothing depends on these, for a reason.
SILENT = {
    "training.divergence_factor": "no run diverges",
    "record.rank_threshold": "no rank is recorded; as an axis it is refused",
    "record.test_noise": "no noisy test error is recorded; as an axis it is refused",
}


def sweep_of(place: tuple[str, str], **changes: Any) -> Sweep:
    document = {key: dict(value) for key, value in DOCUMENTS[place].items()}
    document["training"]["num_steps"] = 30
    document["record"] |= {"spacing": "explicit", "steps": [0, 7, 30]}
    for key, value in changes.items():
        section, _, inner = key.partition("__")
        document.setdefault(section, {})[inner] = value
    return Sweep.from_dict(document | {"name": "contract"})


def trained(plan: Plan, lanes: list[dict[str, float]]) -> Trained:
    """Train the plan's first run as a batch, with other numbers in some lanes."""
    columns = {}
    for key, column in plan.settings.items():
        values = [lane.get(key, column[0]) for lane in lanes]
        columns[key] = np.array(values, column.dtype)
    return train_batch(columns, plan.shared, plan.program_widths[0])


def traced_settings(plan: Plan) -> Iterator[tuple[str, float]]:
    """Yield the traced settings that a run uses, with a value near its own."""
    row = plan.row(0)
    for section, settings in plan.sweep.classes.items():
        for key in settings.model_fields:
            dotted = f"{section}.{key}"
            value = row.get(dotted)
            # What turns something on is of another program: tests/networks/test_steps.py.
            if dotted in network_of(row).honoured or key in SWITCHES:
                continue
            if is_traced_float(settings, key) and value is not None and not np.isnan(value):
                yield dotted, 1.25 * value if value else 0.25


def test_every_kind_has_a_document():
    assert set(DOCUMENTS) == set(NETWORKS)


@pytest.mark.parametrize("place", BY_PLACE)
def test_every_traced_number_changes_the_records_of_one_program(place: tuple[str, str]):
    plan = make_plan(sweep_of(place))
    numbers = dict(traced_settings(plan))
    assert len(numbers) >= 4
    rows = [plan.row(0) | {key: value} for key, value in numbers.items()]
    assert len({drawing_of(row, plan.program_widths[0]).key for row in rows}) == 1
    lanes = [{}, {}, *({key: value} for key, value in numbers.items())]
    found = trained(plan, lanes)
    assert set(found.status) == {"finished"}
    records = np.concatenate(
        [values.reshape(len(lanes), -1) for values in found.observables.values()], axis=1
    )
    assert np.isfinite(records).all()
    np.testing.assert_array_equal(records[0], records[1], "equal lanes have equal numbers")
    silent = {key for i, key in enumerate(numbers, start=2) if (records[i] == records[0]).all()}
    names = plan.sweep.observables
    used = {key for key in SILENT if any(OBSERVABLES[n].uses(key.partition(".")[2]) for n in names)}
    assert silent == (set(SILENT) - used) & set(numbers)


@pytest.mark.parametrize("place", DOCUMENTS, ids=" ".join)
def test_what_is_switched_on_is_another_program(place: tuple[str, str]):
    """One process keeps programs by their key; runs with something on and without it share none."""
    network = NETWORKS[place]
    if not network.generic:
        pytest.skip("it is trained in no way that can have it")
    row = make_plan(sweep_of(place, sweep__kernel="generic")).row(0)
    rows = [row, *(row | {f"training.{k}": "1, 0.5" if off == "" else 0.5}
                   for k, off in SWITCHES.items())]  # fmt: skip
    assert len({drawing_of(each, 6).key for each in rows}) == len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("place", DOCUMENTS, ids=" ".join)
def test_float32_is_near_float64_and_a_batch_is_its_runs(place: tuple[str, str]):
    plan = make_plan(sweep_of(place))
    number, value = next(iter(traced_settings(plan)))
    both = trained(plan, [{}, {number: value}])
    for lane in ({}, {number: value}):
        alone = trained(plan, [lane, lane])
        i = int(bool(lane))
        for name, values in alone.observables.items():
            # A program of as many lanes: the same bits.
            np.testing.assert_array_equal(values[0], both.observables[name][i])
    if place in FLOAT64_ONLY:
        with pytest.raises(SpecError, match='"float64"'):
            sweep_of(place, sweep__precision="float32")
        return
    coarse = trained(make_plan(sweep_of(place, sweep__precision="float32")), [{}, {}])
    for name, values in coarse.observables.items():
        if name != "numerical_rank":
            # 30 steps of roundings of 6e-8.
            np.testing.assert_allclose(values[0], both.observables[name][0], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("place", DOCUMENTS, ids=" ".join)
def test_every_optimizer_trains_in_both_precisions_or_is_refused(
    place: tuple[str, str], optimizer: str
):
    """Ten steps: by sign or with normalised entries, roundings are magnified in few more."""
    steps = {"record__steps": [0, 1, 10], "training__num_steps": 10}
    found: dict[str, dict[str, np.ndarray]] = {}
    for precision in ("float64", "float32"):
        if precision == "float32" and place in FLOAT64_ONLY:
            continue
        changes = steps | {"training__optimizer": optimizer, "sweep__precision": precision}
        try:
            sweep = sweep_of(place, **changes)
        except SpecError:
            # By its kind, so in both precisions.
            with pytest.raises(SpecError, match="optimizer"):
                sweep_of(place, **changes)
            assert not found
            continue
        result = trained(make_plan(sweep), [{}, {}])
        assert set(result.status) == {"finished"}
        found[precision] = {name: values[0] for name, values in result.observables.items()}
        for values in found[precision].values():
            assert np.isfinite(values).all()
        assert (found[precision]["loss"][-1] != found[precision]["loss"][0]).all()
    for name, values in found.get("float32", {}).items():
        if name != "numerical_rank":
            np.testing.assert_allclose(values, found["float64"][name], rtol=NEAR, atol=NEAR)


# Kinds whose weights say something beside what their seed draws only.
NOT_GIVEN = {("inverse", "deep_prior"), ("matrix", "end_to_end"), ("population", "committee")}


@pytest.mark.parametrize("place", BY_PLACE)
def test_weights_that_are_given_are_those_that_a_run_starts_from(place: tuple[str, str]):
    # Some kernels hold the first layer in a basis of the samples, to which it is turned.
    rounding = 1e-12
    for kernel in {"dense", "generic"} & {*NETWORKS[place].kernels}:
        plan = make_plan(sweep_of(place, sweep__kernel=kernel, record__weights=[0, 30]))
        columns = {key: np.repeat(column[:1], 2) for key, column in plan.settings.items()}
        warm = columns | {"sweep.warm_start": np.array(["somewhere"] * 2, object)}
        width = plan.program_widths[0]
        drawing = drawing_of(plan.row(0), width)
        assert drawing.takes_weights == (place not in NOT_GIVEN)
        if not drawing.takes_weights:
            continue
        drawn = train_batch(columns, plan.shared, width)
        # The second run begins with others, of which it keeps those of step 0.
        given = {
            name: array[:, 0] * np.reshape([1.0, 1.5], (2, *[1] * (array.ndim - 2)))
            for name, array in drawn.weights.items()
        }
        found = train_batch(warm, plan.shared, width, given=given)
        for name, array in found.weights.items():
            np.testing.assert_allclose(array[0], drawn.weights[name][0], rtol=0, atol=rounding)
            np.testing.assert_allclose(array[1, 0], given[name][1], rtol=0, atol=rounding)
        for name, values in found.observables.items():
            np.testing.assert_allclose(
                values[0], drawn.observables[name][0], rtol=rounding, atol=rounding
            )
            assert name == "numerical_rank" or (values[1, -1] != values[0, -1]).any()


def choices(settings: type[Settings], key: str) -> list[Any]:
    """Return the values of a setting that is one of several words, or yes or no."""
    field = settings.model_fields[key]
    info = description(settings, key)
    if key == "kind" or info is None or info.role != "static":
        return []
    words = words_of(field.metadata)
    return list(words) if words is not None else list(get_args(field.annotation))


@pytest.mark.slow
@pytest.mark.parametrize("place", DOCUMENTS, ids=" ".join)
def test_every_choice_changes_the_numbers_or_is_refused(place: tuple[str, str]):
    """The first and the last record of a run, for each word that a setting can be."""
    plan = make_plan(sweep_of(place))
    first = trained(plan, [{}, {}])
    ends = {name: values[0][[0, -1]] for name, values in first.observables.items()}
    tried = 0
    for section in ("problem", "network", "training"):
        settings = plan.sweep.classes[section]
        for key in settings.model_fields:
            for value in choices(settings, key):
                if value == plan.row(0).get(f"{section}.{key}"):
                    continue
                if (key, value) == ("loss", "squared"):
                    # What "network" is, where a network has no loss of its own.
                    continue
                more = {f"{section}__{key}": value}
                if value == "polyak_sgd":
                    # By default its rate is at most 1, which is gradient descent where loss over
                    # squared gradient is more.
                    more["training__polyak_largest_rate"] = 1e6
                try:
                    other = make_plan(sweep_of(place, **more))
                except SpecError:
                    continue
                found = trained(other, [{}, {}])
                tried += 1
                same = all(
                    np.array_equal(found.observables[name][0][[0, -1]], values, equal_nan=True)
                    for name, values in ends.items()
                )
                assert not same, f"{section}.{key} = {value!r} changes nothing"
    assert tried >= 1


@pytest.mark.parametrize("place", [p for p in DOCUMENTS if NETWORKS[p].generic], ids=" ".join)
def test_the_gradient_is_that_of_central_differences(place: tuple[str, str]):
    """Along a random direction; measured at most 2.2e-11 of the gradient's length."""
    row = make_plan(sweep_of(place, sweep__kernel="generic")).row(0)
    with numerics():
        drawing: Any = drawing_named(NETWORKS[place].generic).from_row(
            row, row.get("network.width") or 1
        )
        kernel = drawing.kernel(Layout(1))
        example = drawing.example_arguments() | {"seed": row["seed"]}
        given = {
            key: jnp.asarray(
                old if isinstance(old, tuple) else row.number(key, old), jnp.asarray(old).dtype
            )
            for key, old in example.items()
        }
        inputs, carry = jax.jit(lambda g: drawing.start(kernel, g, lambda array: array))(given)
        start, tree = ravel_pytree(carry.state.params)
        direction = np.random.default_rng(0).normal(size=start.shape)
        direction /= np.linalg.norm(direction)

        def along(h: Any) -> Any:
            return kernel.fit(tree(start + h * direction), inputs.constants)

        slope = float(jax.jit(jax.grad(along))(0.0))
        value = jax.jit(along)
        gradient = jax.jit(jax.grad(kernel.fit))(carry.state.params, inputs.constants)
        length = float(jnp.linalg.norm(ravel_pytree(gradient)[0]))
        differences = float(value(1e-5) - value(-1e-5)) / 2e-5
    assert abs(slope) > 0
    assert abs(differences - slope) <= DIFFERENCED * length


# What mixes samples in ways that samples in the lanes do not know, and why.
UNKNOWN = {
    ("inverse", "deep_prior"): "its arrays of samples are of several lengths",
    ("matrix", "deep_linear"): "its step takes an array without samples and one with them together",
    ("samples", "linear_attention"): "its step joins the samples with another axis",
}


@pytest.mark.parametrize("kernel", JUDGES)
@pytest.mark.parametrize("place", DOCUMENTS, ids=" ".join)
def test_every_way_agrees_with_the_generic_one(place: tuple[str, str], kernel: str):
    """`dlnsweep compare` of each kind of network, by each kernel that has a judge."""
    network, plan = NETWORKS[place], make_plan(sweep_of(place))
    of = "jumps" if kernel == AS_JUMPS else kernel
    known = "generic" in network.kernels and of in (*network.kernels, AS_AUTO)
    if not known:
        with pytest.raises(SpecError, match=r"^there is nothing to compare: "):
            choose_kernels(plan, [0], kernel, "generic")
        return
    if kernel == "simd_samples" and place in UNKNOWN:
        with pytest.raises(SpecError, match=f"trains this: simd_samples cannot: {UNKNOWN[place]}"):
            compare_runs(plan, [0], kernels=choose_kernels(plan, [0], kernel, "generic"))
        return
    kernels = choose_kernels(plan, [0], kernel, "generic")
    (pair,) = compare_runs(plan, [0], kernels=kernels)
    assert pair.endings == ("finished", "finished")
    assert set(pair.deviations) == set(plan.sweep.observables)
    assert pair.is_right(plan.sweep.options.tolerance)


@pytest.mark.parametrize(
    ("key", "users"),
    [
        ("rank_threshold", "only numerical_rank reads it: all its runs would be the same; add it"),
        ("test_noise", "only noisy_test_error reads it: all its runs would be the same; add it"),
        ("num_test_samples", "only test_loss, test_accuracy, least_norm_distance, test_error, "
                             "noisy_test_error, noisy_test_errors read it: all "
                             "its runs would be the same; add one"),
    ],
)  # fmt: skip
def test_an_axis_that_nothing_recorded_reads_is_refused(key: str, users: str):
    values: list[float] = [10, 20] if key == "num_test_samples" else [0.1, 0.2]
    changes = {f"record__{key}": values, "record__observables": ["loss"]}
    with pytest.raises(SpecError) as caught:
        sweep_of(("samples", "deep_linear"), **changes)
    (sentence,) = caught.value.problems
    assert sentence == (
        f"sweep: record.{key} has several values, but {users} to record.observables, or give one "
        "value."
    )


def networks() -> list[Any]:
    return [pytest.param(kind, id=" ".join(place)) for place, kind in NETWORKS.items()]


@pytest.mark.parametrize("kind", networks())
def test_a_kind_says_what_it_is(kind: NetworkKind):
    assert kind.settings.__doc__
    assert inspect.getdoc(type(kind))
    for name in kind.observables:
        assert kind.has(OBSERVABLES[name])
    assert set(kind.observables) <= set(kind.known_observables())
    for name in kind.known_observables():
        assert kind.label(name, OBSERVABLES[name].label)


def all_settings() -> list[type[Settings]]:
    found = [problem.settings for problem in PROBLEMS.values()]
    found += [kind.settings for kind in NETWORKS.values()]
    return list(dict.fromkeys([*found, *SECTIONS.values()]))


@pytest.mark.parametrize("settings", all_settings(), ids=lambda each: each.__name__)
def test_every_key_says_what_it_is(settings: type[Settings]):
    assert settings.__doc__
    for key in settings.model_fields:
        info = description(settings, key)
        assert info is not None, key
        assert info.text, key


def test_what_is_registered_has_a_sentence_about_itself():
    for observable in OBSERVABLES.values():
        assert observable.label
        assert observable.text
    for problem in PROBLEMS.values():
        assert inspect.getdoc(problem.draw), problem.kind
    for loss in LOSSES.values():
        assert inspect.getdoc(loss.function), loss.name
    for initializer in INITIALIZERS.values():
        assert inspect.getdoc(initializer.draw), initializer.name
