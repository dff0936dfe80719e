""" "auto" trains on the span of the samples where that is exact and pays, and says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from spec_samples import document, problems, sweep

import dlnsweep
from dlnsweep.contracts.network import network_of
from dlnsweep.contracts.on_span import AUTO_KNOWS
from dlnsweep.errors import SpecError
from dlnsweep.execution.judges import choose_kernels
from dlnsweep.execution.origins import origins_of
from dlnsweep.plan import expansion
from dlnsweep.plan.plan import make_plan
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.warm_start import WARM_START

# Many inputs and few samples: a step on all inputs takes a program for a researcher's sweep some
# 70 microseconds, as is guessed, and on the span some 10.
TEACHER = {"kind": "teacher", "signal_dim": 1, "measurement_dim": 20_000, "num_samples": 4}
MLP = {"kind": "mlp", "depth": 2, "width": 4, "activation": "tanh"}
LONG = 60_000


def planned(**changes: Any) -> Any:
    given = {"problem": TEACHER, "network": MLP, "record": {"observables": ["loss"], "count": 3},
             "training": {"learning_rate": 1e-3, "num_steps": LONG}}  # fmt: skip
    return make_plan(sweep(**given | changes))


def way(row: RunSettings) -> tuple[str, str]:
    why = network_of(row).why_full(row, 4)
    assert why is not None
    return network_of(row).kernel_of(row), why.sentence


def test_it_is_taken_where_it_pays_and_a_number_of_steps_has_its_own_program():
    plan = planned(training__learning_rate=1e-3, training__num_steps=[10, LONG])
    assert plan.num_programs == 2
    short, long = (plan.row(i) for i in range(2))
    assert way(short) == ("auto", "too short or too small for inputs on their span to pay")
    assert way(long) == (
        "reduced_inputs", "inputs in the 4 dimensions of their span, exactly, of 20,000"
    )  # fmt: skip
    assert network_of(long).drawing_for(long) == network_of(long).on_span
    assert choose_kernels(plan, [1]) == ("reduced_inputs", "generic")
    # Where products on all inputs are a small part of a step it does not pay, however long.
    few = planned(problem=TEACHER | {"measurement_dim": 5}).row(0)
    assert way(few | {"training.num_steps": 10**9}) == way(short)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"problem.measurement_dim": 4}, "its inputs span all their dimensions"),
        ({"training.optimizer": "adam"},
         "not the same on the span of its inputs: training.optimizer is 'adam'"),
        ({"record.observables": ["loss", "l1_norm"]},
         "not the same on the span of its inputs: record.observables names 'l1_norm'"),
        ({"record.weights": "final"},
         "not the same on the span of its inputs: record.weights asks for the weights themselves"),
        ({WARM_START: "given"}, "its initial weights are given"),
        ({AUTO_KNOWS: None},
         "the generic way, as in all of a folder that was begun before auto knew another"),
    ],
)  # fmt: skip
def test_it_is_not_taken_where_it_is_not_exact_and_the_reason_is_told(
    changes: dict[str, Any], reason: str
):
    row = planned().row(0)
    assert way(row)[0] == "reduced_inputs"
    assert way(row | changes) == ("auto", reason)


def test_inputs_by_their_law_have_no_other_way():
    law = TEACHER | {"inputs": "law", "measurement_dim": [10**3, 10**12]}
    plan = planned(problem=law, training={"learning_rate": 1e-3, "num_steps": 3})
    assert plan.num_programs == 1
    found = "inputs in the 4 dimensions of their span, drawn by their law"
    assert way(plan.row(1)) == ("reduced_inputs", found)
    (sentence,) = problems(problem=law, network=MLP, training__optimizer="adam",
                           record__observables=["loss"])  # fmt: skip
    assert "training.optimizer is 'adam', whose steps depend on the coordinates" in sentence


def test_a_folder_that_was_begun_before_keeps_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Runs that are added to it, too: bits of one folder are those of one way."""

    def made(seeds: int) -> Any:
        return dlnsweep.Sweep.from_dict(
            document(problem=TEACHER, network=MLP, record={"observables": ["loss"], "count": 3},
                     training={"learning_rate": 1e-3, "num_steps": 300}, sweep={"seeds": seeds})
        )  # fmt: skip

    def before(of: Any) -> dict[str, Any]:
        return {k: v for k, v in expansion.shared_of(of).items() if k != AUTO_KNOWS}

    # So short a run would not pay.
    monkeypatch.setattr("dlnsweep.networks.generic.on_span._LEAST_SECONDS", 0.0)
    # Planned as if by an earlier version.
    with monkeypatch.context() as patched:
        patched.setattr("dlnsweep.plan.plan.shared_of", before)
        dlnsweep.run(made(1), tmp_path / "old", workers=0)
    runs = dlnsweep.run(made(2), tmp_path / "old", workers=0).runs()
    assert list(runs["kernel"]) == ["generic"] * 2
    before_it = "the generic way, as in all of a folder that was begun before auto knew another"
    assert all(reason.startswith(before_it) for reason in runs["kernel_reason"])
    new = dlnsweep.run(made(1), tmp_path / "new", workers=0).runs()
    assert list(new["kernel"]) == ["reduced_inputs"]
    # float64: sums of twenty thousand terms in another order.
    ends: Any = [float(each["final_loss"].iloc[0]) for each in (new, runs)]
    assert ends[0] == pytest.approx(ends[1], rel=1e-10)


def made(steps: int, weights: Any, begun: dict[str, Any], **training: Any) -> Any:
    """A sweep that is trained on the span, were it not for its weights."""
    record = {"observables": ["loss"], "spacing": "linear", "count": steps // 10 + 1}
    return dlnsweep.Sweep.from_dict(
        document(problem=TEACHER, network=MLP, record=record | {"weights": weights}, sweep=begun,
                 training={"learning_rate": 1e-3, "num_steps": steps} | training)
    )  # fmt: skip


def test_what_goes_on_is_not_trained_on_the_span_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Kept states are of all inputs: runs on the span began at step 0 after it was said they go on.

    What "auto" knows is no key of a file, and nothing that tells why runs are others.
    """
    monkeypatch.setattr("dlnsweep.networks.generic.on_span._LEAST_SECONDS", 0.0)

    ended = dlnsweep.run(made(20, "final", {}), tmp_path / "short", workers=0).path
    going = {"go_on_from": str(ended)}
    with pytest.raises(SpecError) as caught:
        origins_of(make_plan(made(300, [], going)))
    assert str(caught.value) == (
        "sweep.go_on_from: these runs cannot go on (they are to be trained on the span of their "
        'inputs, and those there kept weights of all inputs: set record.weights = "final" here, '
        "too). Leave it out."
    )
    whole = dlnsweep.run(made(300, "final", going), tmp_path / "long", workers=0).runs()
    assert list(whole["kernel"]) == ["generic"]
    # A folder of an earlier version, which lacks that word.
    file = ended / "sweep.json"
    file.write_text(file.read_text().replace(AUTO_KNOWS, "sweep.nosuch"))
    with pytest.raises(SpecError, match=r"recorded: training\.learning_rate is .* here\. Leave"):
        origins_of(make_plan(made(300, "final", going, learning_rate=2e-3)))


def test_weights_that_are_given_fit_the_generic_way_that_is_to_train_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """They were held against the arrays of the span, which runs without them would have."""
    monkeypatch.setattr("dlnsweep.networks.generic.on_span._LEAST_SECONDS", 0.0)
    ended = dlnsweep.run(made(20, "final", {}, learning_rate=1e-7), tmp_path / "first", workers=0)
    warm = {"warm_start": {"from": str(ended.path)}}
    runs = dlnsweep.run(
        made(300, [], warm, learning_rate=1e-7), tmp_path / "second", workers=0
    ).runs()
    (reason,) = runs["kernel_reason"]
    assert reason.startswith("its initial weights are given")
    # The same steps, as of one run: gradient descent has no memory.
    whole: Any = dlnsweep.run(
        made(320, "final", {}, learning_rate=1e-7), tmp_path / "whole", workers=0
    ).runs()
    # Some hundred sums of twenty thousand terms, compiled for other inputs.
    assert float(runs["final_loss"].iloc[0]) == pytest.approx(whole["final_loss"].iloc[0], rel=1e-9)
