"""The kernels of the built-in kinds beside the generic way on what the kinds are defined as."""

from __future__ import annotations

from typing import Any

import pytest

from dlnsweep.contracts.network import NETWORKS
from dlnsweep.errors import SpecError
from dlnsweep.execution.comparison import Pair, compare_runs
from dlnsweep.execution.judges import choose_kernels
from dlnsweep.networks.deep_prior import descent
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep

# Roundings of some sixty steps: 1e-16 each, magnified by products of condition 10 or so.
_ROUNDING = 1e-10


def samples(**network: Any) -> dict[str, Any]:
    return {
        "problem": {
            "kind": "noisy_subspace", "signal_dim": 5, "measurement_dim": 4, "subspace_dim": 2,
            "num_samples": 7, "tail_level": 0.3,
        },
        "network": {"kind": "deep_linear", "depth": 3, "width": 6, **network},
        "training": {"learning_rate": 0.03, "weight_decay": 0.02, "data_fit_scale": 0.7},
        "record": {"observables": ["regression_error", "loss", "gradient_norm", "test_error"]},
    }  # fmt: skip


def matrix(problem: dict[str, Any], **network: Any) -> dict[str, Any]:
    return {
        "problem": problem,
        "network": {"depth": 3, "width": 5, "layer_init_scale": 0.6, **network},
        "training": {"learning_rate": 0.02, "weight_decay": 0.01},
        "record": {"observables": ["loss", "singular_values", "gradient_norm"]},
    }


def prior(loss: str, layers: str, **training: Any) -> dict[str, Any]:
    return {
        "problem": {
            "kind": "deep_prior", "signal_dim": 6, "measurement_dim": 4, "loss": loss,
            "noise_level": 0.1, **({"loss_power": 3.0} if loss == "power" else {}),
        },
        "network": {"width": 9, "input_dim": 11, "trained_layers": layers, "activation": "tanh"},
        "training": {"learning_rate": 0.3, **training},
        "record": {"observables": ["loss", "signal_error", "gradient_norm", "weight_distance"]},
    }  # fmt: skip


COMPLETION = {
    "kind": "matrix_completion", "num_rows": 4, "num_columns": 5, "rank": 2,
    "num_observed": 14, "target_norm": 2.0,
}  # fmt: skip


def with_training(document: dict[str, Any], **training: Any) -> dict[str, Any]:
    return document | {"training": document["training"] | training}


CASES = {
    "deep linear, adam": with_training(samples(), optimizer="adam", learning_rate=1e-3),
    "deep linear, fan_in": with_training(samples(), step_rule="fan_in", learning_rate=0.15),
    "deep linear, minibatches": with_training(samples(), minibatch_size=3),
    "one relu": samples(kind="linear_then_relu"),
    "completion": matrix(COMPLETION),
    "completion, adam": with_training(matrix(COMPLETION), optimizer="adam"),
    "prior": prior("half_squared", "first"),
    "prior, both layers, curvature": prior("cross_entropy", "both", step_rule="curvature"),
    "prior, power": prior("power", "both"),
}
# Like another one.
SLOW = (
    "deep linear, adam",
    "deep linear, fan_in",
    "completion, adam",
    "prior",
    "prior, power",
)


def pairs_of(document: dict[str, Any], kernel: str = "dense") -> list[Pair]:
    document = document | {"name": "defined", "sweep": {"seeds": [5]}}
    document["training"] = document["training"] | {"num_steps": 60}
    document["record"] = document["record"] | {"spacing": "explicit", "steps": [0, 1, 9, 60]}
    plan = make_plan(Sweep.from_dict(document))
    kernels = choose_kernels(plan, [0], kernel)
    return compare_runs(plan, [0], kernels=kernels)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in CASES]
)
def test_a_kernel_is_gradient_descent_on_what_its_kind_is_defined_as(name: str):
    (pair,) = pairs_of(CASES[name])
    assert pair.kernels == ("dense", "generic")
    assert pair.endings == ("finished", "finished")
    assert set(CASES[name]["record"]["observables"]) == set(pair.deviations)
    for observable, deviation in pair.deviations.items():
        assert deviation.largest < _ROUNDING, observable
    assert pair.is_right(1e-6)


def test_the_judge_sees_a_gradient_that_is_wrong_by_a_millionth(monkeypatch: pytest.MonkeyPatch):
    right = descent.loss_slope
    monkeypatch.setattr(descent, "loss_slope", lambda *arguments: (1 + 1e-6) * right(*arguments))
    # A width that no other test has, so that the wrong program serves no other.
    document = prior("half_squared", "first")
    document["network"]["output_entries"] = "uniform"
    (pair,) = pairs_of(document)
    assert not pair.is_right(1e-6)
    assert 1e-8 < pair.deviations["loss"].largest < 1e-4


def test_what_the_generic_way_cannot_train_is_refused():
    document = matrix(COMPLETION, kind="end_to_end")
    document["training"] = {"learning_rate": 0.02}
    with pytest.raises(SpecError, match=r"network.kind = 'end_to_end' follows no gradient alone"):
        pairs_of(document)


def test_the_judge_itself_is_not_compared():
    document = samples() | {"sweep": {"kernel": "generic"}}
    document["training"] = document["training"] | {"num_steps": 60}
    plan = make_plan(Sweep.from_dict(document | {"name": "judge"}))
    with pytest.raises(SpecError, match="which is the judge; look at another kernel"):
        choose_kernels(plan, [0])
    assert choose_kernels(plan, [0], "dense") == ("dense", "generic")


def test_steps_that_the_generic_way_alone_carries_out_are_not_compared():
    """The dense kernel would leave the noise out, and be said to be wrong."""
    document = samples() | {"sweep": {"kernel": "generic"}, "name": "noise"}
    document["training"] = document["training"] | {"num_steps": 60, "label_noise": 0.2}
    plan = make_plan(Sweep.from_dict(document))
    with pytest.raises(SpecError) as caught:
        choose_kernels(plan, [0], "dense")
    assert caught.value.problems == (
        "there is nothing to compare: training.label_noise is 0.2, which the generic way alone "
        "carries out; compare a file without it.",
    )


def test_every_kind_but_end_to_end_is_defined_in_pure_functions():
    assert [kind.kind for kind in NETWORKS.values() if not kind.generic] == ["end_to_end"]
