"""What a figure says of a network in pure functions, its loss, optimizer and steps."""

from __future__ import annotations

import pandas as pd

from dlnsweep.contracts.network import find_network
from dlnsweep.figures.labels import observable_label, words_of
from dlnsweep.figures.layout import constants
from dlnsweep.figures.statistics import Selection
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep


def said(richness: float = 1.0, **training: object) -> list[str]:
    document = {
        "name": "words",
        "problem": {"kind": "modular_addition", "modulus": 5, "num_samples": 15},
        "network": {"kind": "mlp", "depth": 2, "width": 6, "activation": "tanh",
                    "richness": richness},
        "training": {"learning_rate": 0.1, "num_steps": 10, **training},
        "record": {"observables": ["loss"]},
    }  # fmt: skip
    plan = make_plan(Sweep.from_dict(document))
    runs = pd.DataFrame({name: list(column) for name, column in plan.settings.items()})
    with words_of(runs):
        return constants(Selection(runs, runs, len(runs), 0, 0, 0))


def test_what_is_usual_or_off_is_not_said():
    found = said()
    assert "tanh activation" in found
    silent = ("γ", "σ", "ρ", "ε", "flow", "schedule")
    assert not [each for each in found if any(word in each for word in silent)]
    assert not [each for each in found if "loss" in each or "gradient" in each]


def test_what_a_problem_and_its_network_have_in_common_is_said_once():
    document = {
        "name": "words",
        "problem": {"kind": "icl_regression", "input_dim": 2, "context_length": 5,
                    "num_samples": 9},
        "network": {"kind": "linear_attention", "context_length": 5, "heads": 2},
        "training": {"learning_rate": 0.1, "num_steps": 10},
        "record": {"observables": ["loss"]},
    }  # fmt: skip
    plan = make_plan(Sweep.from_dict(document))
    runs = pd.DataFrame({name: list(column) for name, column in plan.settings.items()})
    with words_of(runs):
        found = constants(Selection(runs, runs, len(runs), 0, 0, 0))
    assert [each for each in found if "= 5" in each] == ["context length $N$ = 5"]


def test_what_is_chosen_is_said():
    assert "$γ$ = 3" in said(richness=3.0)
    found = said(
        optimizer="adamw", loss="cross_entropy", schedule="cosine", schedule_steps=10,
        schedule_end=0.1, sam_radius=0.05,
    )  # fmt: skip
    assert "epochs of minibatches" in said(minibatch_size=3, minibatch_order="epochs")
    assert "gradient flow, $ε$ = $10^{-6}$" in said(flow_tolerance=1e-6)
    assert {"adamw", "cross entropy loss", "cosine schedule", "$ρ$ = 0.05"} <= set(found)


def test_the_loss_of_a_network_in_pure_functions_may_be_any():
    label = observable_label("loss", find_network("modular_addition", "mlp"))
    assert label == r"loss $c\,\ell(f(Y),X)+\frac{\lambda}{2}\|\theta\|^2$"
