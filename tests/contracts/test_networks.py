"""The table of kinds of networks: what each must say, and what is refused."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
from spec_samples import problems, sweep

from dlnsweep.contracts.drawing import Drawing
from dlnsweep.contracts.network import NETWORKS, OWN_TASKS, find_network, network_of, register
from dlnsweep.contracts.observable import OBSERVABLES, VIEWS, Observable
from dlnsweep.contracts.observable import register as register_observable
from dlnsweep.contracts.problem import PROBLEMS, Problem
from dlnsweep.networks.generic.kind import TASKS
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.training import STEP_RULE_WORDS, UNIFORM

KINDS = [pytest.param(network, id=":".join(place)) for place, network in NETWORKS.items()]


@pytest.mark.parametrize("network", KINDS)
def test_a_kind_of_network_is_whole(network):
    assert NETWORKS[network.task, network.kind] is network
    assert network.task in {problem.task for problem in PROBLEMS.values()}
    assert set(network.views) <= set(VIEWS)
    assert all(network.has(OBSERVABLES[name]) for name in network.observables)
    module, _, name = network.drawing.partition(":")
    assert issubclass(getattr(importlib.import_module(module), name), Drawing)


def test_every_problem_has_a_network_and_the_first_is_the_default():
    for kind in PROBLEMS:
        default = find_network(kind)
        assert default.task == PROBLEMS[kind].task
        for wrong in ("nothing", 3, None):
            assert find_network(kind, wrong) is default
    assert find_network("subspace").kind == "deep_linear"
    assert find_network("subspace", "linear_then_relu").kind == "linear_then_relu"
    row = {"problem.kind": "subspace", "network.kind": "linear_then_relu"}
    assert network_of(RunSettings(row)).kind == "linear_then_relu"


def test_a_kind_is_registered_once():
    sentence = "^a network of kind 'deep_linear' is registered for 'samples'$"
    with pytest.raises(ValueError, match=sentence):
        register(find_network("subspace"))


def test_step_rules_are_those_that_kinds_of_networks_say():
    said = {rule for network in NETWORKS.values() for rule in network.step_rules}
    assert {UNIFORM, *said} == set(STEP_RULE_WORDS) == set(STEP_RULE_WORDS.texts)
    assert said == {"fan_in", "curvature"}


def test_a_step_rule_is_known_to_whoever_reads_a_run_first():
    """Its kind need not have been looked up before, as in a process that reads results alone."""
    code = (
        "from dlnsweep.settings.training import TrainingSettings as T\n"
        "print(T(learning_rate=0.1, num_steps=3, step_rule='fan_in').step_rule)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "fan_in\n"


def test_an_observable_is_for_known_views():
    sentence = "^observable 'mine' is for 'everything'; known are linear, samples"
    with pytest.raises(ValueError, match=sentence):
        register_observable(Observable("mine", "l", "t", lambda v, _: v, views=("everything",)))


def test_without_observables_those_of_the_kind_are_recorded():
    assert sweep().observables == ("regression_error", "off_subspace_error")
    relu = {"network__kind": "linear_then_relu"}
    assert sweep(**relu).observables == ("regression_error",)


def test_an_observable_of_other_networks_is_refused():
    (sentence,) = problems(
        network__kind="linear_then_relu", record__observables=["singular_values"]
    )
    assert sentence == (
        "record.observables names 'singular_values', which is for linear networks and "
        "networks on a loss of a matrix; network.kind is 'linear_then_relu', which has "
        "sharpness, hessian_eigenvalues, hessian_trace, gradient_rounding, loss, "
        "regression_error, weight_norms, gradient_norm, test_error, noisy_test_error, "
        "noisy_test_errors."
    )


def test_a_problem_without_test_samples_has_no_test_errors(monkeypatch: pytest.MonkeyPatch):
    whole = PROBLEMS["subspace"]
    monkeypatch.setitem(
        PROBLEMS, "subspace", Problem("subspace", whole.settings, whole.draw, rank=None)
    )
    (sentence,) = problems(record__observables=["test_error"])
    assert sentence == (
        "record.observables names 'test_error', which needs test samples; problem.kind = "
        "'subspace' draws none."
    )


def test_a_problem_need_not_know_its_rank():
    whole = PROBLEMS["subspace"]
    numbers = {"signal_dim": 8, "measurement_dim": 4, "subspace_dim": 2, "num_samples": 3}
    settings = whole.settings.model_validate(numbers)
    known = Problem("known", whole.settings, whole.draw, rank=whole.rank)
    assert (known.rank_of(settings), known.has_certain_rank(settings)) == (2, True)
    unknown = Problem("unknown", whole.settings, whole.draw)
    assert (unknown.rank_of(settings), unknown.has_certain_rank(settings)) == (3, False)


def test_the_tasks_of_own_networks_are_those_that_are_told():
    assert set(TASKS) == set(OWN_TASKS)
    assert {problem.task for problem in PROBLEMS.values()} - set(OWN_TASKS) == {
        "inverse", "population",
    }  # fmt: skip
