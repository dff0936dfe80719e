"""What a user means is understood, or the nearest right thing is named; one mistake, one sentence."""

# ruff: noqa: E501  (a mistake and its sentence stand in one line of a table)

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spec_samples import document, problems, sweep

from dlnsweep.errors import SpecError
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec import file as sweepfile
from dlnsweep.spec.sweep import Sweep

PAIR = [["network.depth", "training.learning_rate"]]


def ids(**changes: Any) -> list[int]:
    return make_plan(sweep(**changes)).run_ids.tolist()


@pytest.mark.parametrize(
    ("key", "given", "same"),
    [
        ("training__num_steps", 1e4, 10_000),
        ("training__num_steps", [1e2, 1e3], [100, 1000]),
        ("network__depth", (2, 3), [2, 3]),
        ("network__depth", range(2, 5), [2, 3, 4]),
        ("network__depth", np.arange(2, 5), [2, 3, 4]),
        ("network__depth", np.int64(3), 3),
        ("training__learning_rate", np.array([0.5, 0.25]), [0.5, 0.25]),
        ("training__learning_rate", (np.float64(0.5), np.float32(0.25)), [0.5, 0.25]),
        ("sweep__seeds", range(3), 3),
        ("sweep__seeds", 3.0, 3),
        ("sweep__seeds", {"from": 0, "to": 2}, 3),
        ("sweep__seeds", {"from": 5, "to": 7.0, "count": 3}, [5, 6, 7]),
        ("network__width", {"from": 8, "to": 16.0, "count": 3.0}, [8, 12, 16]),
        ("record", {"spacing": "explicit", "steps": [1e0, 1e1]}, {"spacing": "explicit", "steps": [1, 10]}),
    ],
)  # fmt: skip
def test_it_is_the_same_sweep(key: str, given: Any, same: Any) -> None:
    assert ids(**{key: given}) == ids(**{key: same})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"training__lr": 0.1}, ["training.lr is not a key of [training]; did you mean 'learning_rate'?"]),
        ({"training__epochs": 3}, ["training.epochs is not a key of [training]; did you mean 'num_steps'?"]),
        ({"training__batch_size": 3}, ["training.batch_size is not a key of [training]; did you mean 'minibatch_size'?"]),
        ({"training__depth": 3}, ["training.depth is not a key of [training]; did you mean 'network.depth'?"]),
        ({"network__hidden_dim": 3}, ["network.hidden_dim is not a key of [network]; did you mean 'width'?"]),
        ({"learning_rate": 0.1}, ["learning_rate is not a section or key; did you mean 'training.learning_rate'?"]),
        ({"lr": 0.1}, ["lr is not a section or key; did you mean 'training.learning_rate'?"]),
        ({"seeds": 3}, ["seeds is not a section or key; did you mean 'sweep.seeds'?"]),
        ({"training__num_steps": 1.5}, ["training.num_steps is 1.5; it must be an integer."]),
        ({"training__num_steps": 1e17}, ["training.num_steps is 1e+17; it must be an integer, which beyond 2^53 is written with all its digits."]),
        ({"network__depth": {2, 3}}, ["network.depth is {2, 3}; it must be an integer."]),
        # One mistake, one sentence.
        ({"record__observables": ["regresion_error"], "figure": {"kind": "curves", "y": "regresion_error"}}, ["record.observables[0] is 'regresion_error', which is not known; did you mean 'regression_error'?"]),
        ({"record__observables": ["regresion_error"], "figure": {"kind": "curves", "y": "regression_error"}}, ["record.observables[0] is 'regresion_error', which is not known; did you mean 'regression_error'?"]),
        ({"record__observables": ["regresion_error"], "training__stop_when": {"observable": "regression_error", "below": 0.1}}, ["record.observables[0] is 'regresion_error', which is not known; did you mean 'regression_error'?"]),
        # Ranges of seeds.
        ({"sweep__seeds": {"from": 3, "to": 2}}, ["sweep.seeds is a range from 3 to 2; it has no seed."]),
        ({"sweep__seeds": {"from": 3, "to": 9, "count": 3}}, ["sweep.seeds.count is 3; from 3 to 9 there are 7 seeds: leave count out."]),
        ({"sweep__seeds": {"from": -1, "to": 9}}, ["sweep.seeds.from is -1; it must not be negative."]),
        ({"sweep__seeds": {"from": 0, "to": 2**62}}, ["the sweep has 4611686018427387905 runs (sweep.seeds 4611686018427387905 values); at most 10000000 are allowed; give fewer values, or raise sweep.max_runs."]),
        ({"network__width": {"from": 1, "to": 99, "count": 1e9}}, ["network.width.count is 1000000000; it must be at most 10000000.", "the sweep has 1000000000 runs (network.width 1000000000 values); at most 10000000 are allowed; give fewer values, or raise sweep.max_runs."]),
    ],
)  # fmt: skip
def test_the_sentence_names_what_was_meant(changes: dict[str, Any], expected: list[str]) -> None:
    assert sorted(problems(**changes)) == sorted(expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"network__richness": 2.0},
        {"sweep__block": [{"network.richness": [1.0, 2.0]}, {"network.width": [4, 8]}]},
        {"sweep__block": [{"problem.signal_dim": [4, 8]}, {"problem.rank": [1, 2]}]},
        {"sweep__zip": [["network.richness", "problem.rank"]]},
        {
            "network__richness": [1.0, 2.0],
            "figure": {"kind": "curves", "y": "loss", "hue": "network.richness"},
            "record__observables": ["loss"],
        },
    ],
)
@pytest.mark.parametrize("kind", [None, "subspaze", 3])
def test_settings_of_a_kind_that_is_not_known_are_not_judged(
    changes: dict[str, Any], kind: Any
) -> None:
    problem = {"signal_dim": 8} | ({} if kind is None else {"kind": kind})
    (sentence,) = problems(problem=problem, **changes)
    assert sentence.startswith("problem.kind is ")


def test_a_typo_of_thousands_of_values_is_a_few_sentences() -> None:
    found = problems(
        network__depth=["2"] * 7000, record__steps=["x"] * 7000, record__spacing="explicit"
    )
    assert len(found) <= 50
    assert "network.depth has 6997 more such values." in found
    assert found[-1].endswith(" more mistakes.")


@pytest.mark.parametrize("given", [3, "a.toml", None, [1]])
def test_what_is_no_document(given: Any) -> None:
    with pytest.raises(SpecError, match="is no sweep; give a dictionary with the keys of a file"):
        Sweep.from_dict(given)


def test_keys_are_strings() -> None:
    with pytest.raises(SpecError, match=r"^sweep: the key 3 of network must be a string\.$"):
        Sweep.from_dict(document(network={3: 1}))


def test_what_is_nested_without_end_is_told() -> None:
    itself: list[Any] = []
    itself.append(itself)
    deep: Any = 3
    for _ in range(5000):
        deep = {"a": deep}
    for value in (itself, deep):
        with pytest.raises(SpecError, match=r"^sweep: network\.depth.* nested deeper than 16; no"):
            Sweep.from_dict(document(network__depth=value))


# Zips.


def test_a_zipped_axis_may_repeat_a_value() -> None:
    found = sweep(
        network__depth=[2, 3, 4], training__learning_rate=[0.05, 0.05, 0.02], sweep__zip=PAIR
    )
    plan = make_plan(found)
    assert plan.num_runs == found.num_runs == 3
    assert list(zip(plan.settings["network.depth"], plan.settings["training.learning_rate"], strict=True)) == [
        (2, 0.05), (3, 0.05), (4, 0.02),
    ]  # fmt: skip
    assert plan.num_programs == 3
    # Static values that come again are one program.
    again = sweep(
        network__depth=[2, 2, 3], training__learning_rate=[0.1, 0.2, 0.1], sweep__zip=PAIR
    )
    assert make_plan(again).num_programs == 2
    constant = {"from": 0.05, "to": 0.05, "count": 3}
    assert (
        sweep(network__depth=[2, 3, 4], training__learning_rate=constant, sweep__zip=PAIR).num_runs
        == 3
    )


def test_zipped_tuples_are_unique() -> None:
    assert problems(
        network__depth=[2, 3, 2], training__learning_rate=[0.05, 0.05, 0.05], sweep__zip=PAIR
    ) == [
        "sweep.zip[0] has network.depth = 2, training.learning_rate = 0.05 twice, at [0] and [2]; give it once."
    ]
    # Outside of a zip each value is given once.
    assert problems(training__learning_rate=[0.05, 0.05]) == [
        "training.learning_rate[1] is 0.05, as is training.learning_rate[0]; give each value once."
    ]


# Counting.


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"training__optimizer": ["gradient_descent", "momentum"], "training__momentum": [0.5, 0.9, 0.95]}, 4),
        ({"training__optimizer": ["momentum", "nesterov"], "training__momentum": [0.5, 0.9, 0.95]}, 6),
        ({"training__optimizer": ["gradient_descent", "adam", "rmsprop"], "training__beta1": [0.5, 0.9], "training__epsilon": [1e-8, 1e-4], "network__depth": [2, 3], "sweep__seeds": 3}, 42),
        ({"training__optimizer": ["gradient_descent", "momentum", "gradient_descent"], "training__momentum": [0.5, 0.9, 0.6], "training__learning_rate": [0.1, 0.1, 0.2], "sweep__zip": [["training.optimizer", "training.momentum", "training.learning_rate"]]}, 3),
        ({"problem__operator": ["gaussian", "blur"], "problem__blur_width": [1.0, 2.0]}, 3),
    ],
)  # fmt: skip
def test_runs_are_counted_as_they_will_be_run(changes: dict[str, Any], count: int) -> None:
    found = sweep(**changes)
    assert found.num_runs == count == make_plan(found).num_runs


# Files and --set.


@pytest.mark.parametrize("content", ["", "\n \n", "# nothing yet\n", "\ufeff"])
def test_an_empty_file_is_told_so(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(
        SpecError, match="holds no settings; `dlnsweep init` writes a commented file"
    ):
        Sweep.from_file(path)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("figure.hue=network.depth", "network.depth"),
        ("problem.operator_file=./data/a-b.npy", "./data/a-b.npy"),
        ("problem.operator_file=~/a.npy", "~/a.npy"),
        ("training.optimizer=adam", "adam"),
        ("network.depth=[3, 4]", [3, 4]),
        ("training.weight_decay=1e-3", 1e-3),
    ],
)
def test_a_bare_word_is_a_string(override: str, value: Any) -> None:
    section, _, key = override.partition("=")[0].partition(".")
    assert sweepfile.apply_overrides({}, [override])[section][key] == value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (".001", "'.001' is not TOML; did you mean 0.001?"),
        ("-.5", "'-.5' is not TOML; did you mean -0.5?"),
        ("1.", "'1.' is not TOML; did you mean 1.0?"),
        ("+.5e-3", "'+.5e-3' is not TOML; did you mean +0.5e-3?"),
        ("1e-3.", "'1e-3.' is not TOML"),
        ("007", "'007' is not TOML; did you mean 7?"),
        ("3,4", "'3,4' is not TOML; did you mean [3, 4]?"),
        ("adam, momentum", "'adam, momentum' is not TOML; did you mean ['adam', 'momentum']?"),
        ("1e-2,1e-3,", "did you mean [1e-2, 1e-3]?"),
        ("True", "'True' is not TOML; did you mean true?"),
        ("None", "'None' is not TOML; leave the setting out for its default"),
        ("“adam”", "holds a typographic quote (U+201C)"),
        ("1\u00a0000", "holds a non-breaking space (U+00A0)"),
        ("[1,", "'[1,' is not TOML"),
    ],
)
def test_set_says_what_was_meant(value: str, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        sweepfile.apply_overrides({}, [f"training.x={value}"])
    assert says in str(caught.value)
    # Nobody typed a text of several lines and columns.
    assert "line 1" not in str(caught.value)
    assert "column" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = 1\nb\u00a0= 2\n", "line 2 holds a non-breaking space (U+00A0) at column 2"),
        ("a = “x”\n", "line 1 holds a typographic quote (U+201C) at column 5"),
        ("a = ‘x’\n", "line 1 holds a typographic quote (U+2018)"),
        ("a = −3\n", "line 1 holds a minus sign that is none of a keyboard's (U+2212)"),
        ("a = 1\u200b\n", "line 1 holds an invisible character (U+200B)"),
    ],
)
def test_characters_that_look_like_others_are_named(text: str, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        sweepfile.parse(text.encode(), "a.toml")
    assert says in str(caught.value)
    # In a string they are no mistake.
    assert sweepfile.parse("a = 'x\u00a0“−”'".encode(), "a.toml")
