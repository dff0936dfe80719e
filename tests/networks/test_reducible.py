"""Why the reduced kernel cannot train a run: each reason has a remedy that takes it away."""

from __future__ import annotations

import itertools
from typing import Any

from batch_samples import plan_of

from dlnsweep.contracts.network import network_of
from dlnsweep.networks.layered.reducible import reasons_not_reduced
from dlnsweep.settings.reasons import Reason

# By the dotted keys that remedies name: a value that the kernel trains with, and one it does not.
CHOICES: dict[str, tuple[Any, Any]] = {
    "training.optimizer": ("momentum", "adam"),
    "network.depth": (3, 1),
    "record.observables": (("loss",), ("loss", "unbalancedness", "displacement")),
    "training.minibatch_size": (0, 5),
    "record.weights": ("", "final"),
    "training.num_steps": (2**53, 2**53 + 1),
}
CODES = {
    "training.optimizer": "optimizer",
    "network.depth": "depth",
    "record.observables": "observable",
    "training.minibatch_size": "minibatches",
    "record.weights": "weights",
    "training.num_steps": "steps",
}


def test_all_reasons_are_said_and_each_remedy_takes_its_own_away() -> None:
    tried = 0
    for wrong in itertools.product((False, True), repeat=len(CHOICES)):
        given = {key: CHOICES[key][bad] for key, bad in zip(CHOICES, wrong, strict=True)}
        reasons = list(reasons_not_reduced(*given.values()))
        expected = {CODES[key] for key, bad in zip(CHOICES, wrong, strict=True) if bad}
        assert {reason.code for reason in reasons} == expected
        for reason in reasons:
            mended = {key: reason.remedy.get(key, value) for key, value in given.items()}
            left = {each.code for each in reasons_not_reduced(*mended.values())}
            assert left == expected - {reason.code}
            tried += 1
    # Each of six is wrong in 32 of 64, and one of them has two reasons.
    assert tried == 7 * 32


def test_what_is_said_names_what_was_found() -> None:
    (optimizer,) = reasons_not_reduced("adam", 2, ())
    assert optimizer.sentence.startswith("adam does not keep")
    first, second = reasons_not_reduced("momentum", 2, ["unbalancedness", "loss", "displacement"])
    assert (first.sentence.split()[0], second.sentence.split()[0]) == (
        "unbalancedness",
        "displacement",
    )
    assert first.remedy == {"record.observables": ["loss"]}


def kept_back(kernel: str, observables: list[str]) -> Reason | None:
    """Return why a run that is worth a pilot is not reduced."""
    plan = plan_of(
        problem={"signal_dim": 64, "measurement_dim": 32, "subspace_dim": 4},
        network={"width": 1000},
        training={"num_steps": 100_000},
        record={"observables": observables},
        sweep={"seeds": 1, "kernel": kernel},
    )
    row = plan.row(0)
    return network_of(row).why_full(row, row["network.width"])


def test_auto_does_not_reduce_runs_whose_estimate_would_not_hold_for_what_is_recorded() -> None:
    assert kept_back("auto", ["regression_error", "loss"]) is None
    told = kept_back("auto", ["regression_error", "gradient_norm"])
    assert told is not None
    assert told.code == "gradient"
    assert "gradient_norm" in told.sentence
    # What helps is to ask for it.
    assert told.remedy == {"sweep.kernel": "reduced"}
    assert kept_back("reduced", ["regression_error", "gradient_norm"]) is None
