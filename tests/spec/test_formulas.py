"""Formulas: arithmetic on other settings, as Python computes it; all that is wrong is a sentence."""

# ruff: noqa: E501  (a mistake and its sentence stand in one line of a table)

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from spec_samples import document, problems, sweep

from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.formulas import FormulaError, parse
from dlnsweep.spec.sweep import Sweep

RATE = "training.learning_rate"


def formula(text: str) -> dict[str, str]:
    return {"formula": text}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1 / a.b", 0.1 / 3),
        ("-a.b ** 2", -9.0),
        ("2 ** -a.b", 0.125),
        ("(a.b + c.d) * 2 - 1", 2 * 3.5 - 1),
        ("7 // a.b + 7 % a.b", 3.0),
        ("max(a.b, c.d, 2) + min(a.b, 4)", 6.0),
        ("sqrt(a.b) + exp(c.d) + log(a.b)", math.sqrt(3) + math.exp(0.5) + math.log(3)),
        ("log2(8) + log10(1000) + abs(-a.b)", 9.0),
        ("round(2.6) + floor(2.6) + ceil(2.2)", 8.0),
        ("pi", math.pi),
        ("1e-3 * 1_000", 1.0),
    ],
)
def test_it_is_arithmetic(text: str, expected: float) -> None:
    # The same operations on the same floats.
    assert parse(text).value({"a.b": 3, "c.d": 0.5}) == expected


@pytest.mark.parametrize(
    "text",
    ["", "  ", 3, None, "a.b +", "(1", "__import__('os').system('x')", "().__class__", "a.b.c", "a.b if 1 else 2",
     "[1]", "'a'", "True", "1j", "lambda: 1", "a.b < 2", "f(1)", "max(*a.b)", "max(a=1, b=2)", "sqrt(1, 2)",
     "1 +" * 200 + "1", "-" * 60 + "1", "\x00", "a.b; 1", "x := 1", "9" * 250 + "e99"],
)  # fmt: skip
def test_what_is_none_is_refused(text: Any) -> None:
    with pytest.raises(FormulaError):
        # What is only too large shows when it is computed.
        parse(text).value({"a.b": 1})


@pytest.mark.parametrize(
    ("text", "end"),
    [("1 / 0", "divides by zero"), ("9 ** 9 ** 9", "is too large for a number"),
     ("1e308 * 10", "is too large for a number"), ("(0 - 1) ** 0.5", "is no real number"),
     ("log(0)", "is no real number"), ("1e308 * 10 - 1e308 * 10", "is no real number")],
)  # fmt: skip
def test_what_has_no_value_says_why(text: str, end: str) -> None:
    with pytest.raises(FormulaError, match=end):
        parse(text).value({})


def test_each_run_has_the_value_of_its_own_settings() -> None:
    plan = make_plan(
        sweep(
            network__depth=[2, 3, 4],
            network__width=formula("8 * network.depth"),
            training__learning_rate=formula("0.1 / network.depth + training.weight_decay"),
            training__weight_decay=[0.0, 0.01],
            training__num_steps=formula("ceil(3 / training.learning_rate)"),
            sweep__seeds=2,
        )
    )
    depth, decay = (plan.settings[f"{key}"] for key in ("network.depth", "training.weight_decay"))
    rate = np.array([0.1 / int(d) + float(w) for d, w in zip(depth, decay, strict=True)])
    assert plan.num_runs == 12
    assert (plan.settings["network.width"] == 8 * depth).all()
    assert (plan.settings["training.learning_rate"] == rate).all()
    assert (plan.settings["training.num_steps"] == np.ceil(3 / rate)).all()


def test_it_is_the_run_that_has_the_number_by_hand() -> None:
    pair = [["network.depth", "training.learning_rate"]]
    by_hand = sweep(
        network__depth=[2, 3], training__learning_rate=[0.1 / 2, 0.1 / 3], sweep__zip=pair
    )
    by_formula = sweep(network__depth=[2, 3], training__learning_rate=formula("0.1/network.depth"))
    assert make_plan(by_formula).run_ids.tolist() == make_plan(by_hand).run_ids.tolist()
    assert by_formula.computed == [
        "training.learning_rate = 0.1/network.depth: 0.05, 0.0333333",
    ]
    # A figure of what a formula sets shows what the formula reads.
    assert by_formula.crossed == "network.depth (2) x seed (1)"


def test_the_prescription_of_theorem_2_3_by_formulas() -> None:
    sizes = {
        "training__step_rule": "fan_in",
        "problem__condition_number": [1.0, 2.0],
        "network__depth": [2, 3],
        "network__width": 9,
    }
    asked = {"training__prescription": "theorem_2_3", "training__gamma": 0.5}
    by_formulas = make_plan(
        sweep(
            **sizes,
            training__learning_rate=formula("problem.measurement_dim / network.depth"),
            training__weight_decay=formula(
                "0.5 / problem.condition_number**2 * sqrt(problem.measurement_dim / problem.signal_dim)"
            ),
            training__num_steps=formula(
                "ceil(2 * problem.measurement_dim * log(network.width)"
                " / (training.learning_rate * training.weight_decay))"
            ),
        )
    )
    prescribed = make_plan(sweep_without_rates(**sizes, **asked))
    for key in (RATE, "training.weight_decay", "training.num_steps"):
        # Two orders of the same few operations.
        np.testing.assert_allclose(
            by_formulas.settings[key].astype(float),
            prescribed.settings[key].astype(float),
            rtol=1e-15,
        )


def sweep_without_rates(**changes: Any) -> Sweep:
    found = document(**changes)
    del found["training"]["learning_rate"], found["training"]["num_steps"]
    return Sweep.from_dict(found)


def test_what_follows_from_a_formula_follows() -> None:
    own = {
        "kind": "modular_addition",
        "modulus": formula("network.width - 3"),
        "num_samples": 9,
    }
    found = sweep(problem=own, network={"kind": "mlp", "depth": 2, "width": [8, 10]})
    plan = make_plan(found)
    assert plan.settings["problem.modulus"].tolist() == [5, 7]
    assert plan.settings["problem.signal_dim"].tolist() == [5, 7]
    assert plan.settings["problem.measurement_dim"].tolist() == [10, 14]
    # And a formula may read what follows.
    plan = make_plan(
        sweep(
            problem={**own, "modulus": [5, 7]},
            network={"kind": "mlp", "depth": 2, "width": formula("problem.measurement_dim")},
        )
    )
    assert plan.settings["network.width"].tolist() == [10, 14]


def test_notes_know_what_a_formula_shows() -> None:
    figure = {"kind": "curves", "y": ["regression_error"], "hue": "training.learning_rate"}
    rate = formula("0.1 / network.depth")
    assert (
        sweep(network__depth=[2, 3], training__learning_rate=rate, figure=figure).figure_notes == []
    )
    # Where two runs have the same, it does not tell them apart.
    rate = formula("0.1 * min(network.depth, 3) / 3")
    (note,) = sweep(
        network__depth=[2, 3, 4], training__learning_rate=rate, figure=figure
    ).figure_notes
    assert "mix runs of every network.depth (3 values)" in note


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"training__learning_rate": formula("0.1/network.depht")}, [f"{RATE}: the formula '0.1/network.depht' names 'network.depht', which is not a setting; did you mean 'network.depth'?"]),
        ({"training__learning_rate": formula("network.kind")}, [f"{RATE}: the formula 'network.kind' names network.kind, which is no number."]),
        ({"training__learning_rate": formula("1/(network.depth-2)")}, [f"{RATE}: the formula '1/(network.depth-2)' (network.depth = 2) divides by zero."]),
        ({"training__learning_rate": formula("1-network.depth/2"), "network__depth": [1, 2, 3]}, [f"{RATE}: the formula '1-network.depth/2' (network.depth = 2) is 0.0; it must be positive."]),
        ({"network__width": formula("network.depth/4")}, ["network.width: the formula 'network.depth/4' (network.depth = 2) is 0.5, which is not an integer; wrap it in round, floor or ceil."]),
        ({"training__num_steps": formula("2e17/network.depth")}, ["training.num_steps: the formula '2e17/network.depth' (network.depth = 2) is 1e+17, which as an integer may be 2^53 at most; list the values, with all their digits."]),
        ({"training__learning_rate": formula(f"{RATE}*2")}, [f"{RATE}: formulas refer to each other in a circle, {RATE} -> {RATE}."]),
        ({"training__learning_rate": formula("training.weight_decay"), "training__weight_decay": formula(RATE)}, [f"{RATE}: formulas refer to each other in a circle, {RATE} -> training.weight_decay -> {RATE}."]),
        ({"training__optimizer": formula("1")}, ["training.optimizer is a formula, which yields a number; that is not what it takes."]),
        ({"sweep__tolerance": formula("1")}, ["sweep.tolerance is a formula; it must be one value for all runs of the file."]),
        ({"training__learning_rate": {"formula": "1", "count": 3}}, [f"{RATE} is a formula, which has no other key; leave count out."]),
        ({"training__learning_rate": formula("2^2")}, [f"{RATE}: the formula '2^2' holds '^'; write ** for a power."]),
        ({"training__learning_rate": formula("0.1/network.depth"), "network__depth": [2, 3], "sweep__zip": [["network.depth", RATE]]}, [f"sweep.zip[0] names '{RATE}', a formula; leave it out."]),
        ({"training__learning_rate": formula("sweep.seeds / 10")}, [f"{RATE}: the formula 'sweep.seeds / 10' names sweep.seeds, which is no number."]),
        # What it reads is wrong by itself: one sentence.
        ({"training__learning_rate": formula("0.1/network.depth"), "network__depth": "a"}, ["network.depth is 'a'; it must be an integer."]),
    ],
)  # fmt: skip
def test_mistakes(changes: dict[str, Any], expected: list[str]) -> None:
    assert problems(**changes) == expected


def test_what_refers_to_what_follows_from_it_is_refused() -> None:
    own = {
        "kind": "modular_addition",
        "modulus": formula("problem.signal_dim"),
        "num_samples": 9,
    }
    found = problems(problem=own, network={"kind": "mlp", "depth": 2, "width": 8})
    assert found == ["problem.modulus: its formula refers to itself."]
