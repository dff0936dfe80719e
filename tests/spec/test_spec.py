# ruff: noqa: E501  (a mistake and its sentence stand in one line of a table)

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_samples import document, problems, sweep

from dlnsweep.contracts.keys import describe_setting, known_settings
from dlnsweep.contracts.network import NETWORKS
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.errors import SpecError
from dlnsweep.spec import axes
from dlnsweep.spec.sweep import Sweep

REPOSITORY = Path(__file__).parents[2]
ONE_LINE = "it must be a string, a line of at most 500 characters."
KINDS = ", ".join(f"'{kind}'" for kind in PROBLEMS)
PLUGIN = ", or the kind of a plug-in that is named, --plugin FILE."
HUGE = int("F" * 4000, 16)


def networks(task: str | None = None) -> str:
    """Return the kinds of network that a task has, or all, as a sentence lists them."""
    kinds = dict.fromkeys(kind for own, kind in NETWORKS if task in (None, own))
    *others, last = map(repr, kinds)
    return f"{', '.join(others)} or {last}"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # Unknown keys.
        ({"training__weigth_decay": 0.1}, ["training.weigth_decay is not a key of [training]; did you mean 'weight_decay'?"]),
        ({"trainng": {}}, ["trainng is not a section or key; did you mean 'training'?"]),
        ({"problem__zzz": 1}, ["problem.zzz is not a key of [problem]; known are kind, signal_dim, measurement_dim, operator, blur_width, operator_file, subspace_dim, num_samples, condition_number."]),
        ({"\x1b[31m\n": 1}, ["\\x1b[31m\\n is not a section or key; known are name, source, problem, network, training, record, sweep, figure."]),
        ({"x" * 4000: 1}, [f"{'x' * 77}... is not a section or key; known are name, source, problem, network, training, record, sweep, figure."]),
        # Wrong types.
        ({"network__depth": "2"}, ["network.depth is '2'; it must be an integer."]),
        ({"network__depth": True}, ["network.depth is true; it must be an integer."]),
        ({"network__depth": 4.5}, ["network.depth is 4.5; it must be an integer."]),
        ({"problem__signal_dim": 4.5}, ["problem.signal_dim is 4.5; it must be an integer."]),
        ({"network__depth": datetime.date(2020, 1, 1)}, ["network.depth is 2020-01-01; it must be an integer."]),
        ({"training__learning_rate": "x\x07"}, ["training.learning_rate is 'x\\x07'; it must be a number."]),
        ({"training__learning_rate": True}, ["training.learning_rate is true; it must be a number."]),
        ({"network": [3]}, ["network is [3]; it must be a table, [network]."]),
        ({"problem": "x"}, ["problem is 'x'; it must be a table, [problem]."]),
        ({"record__observables": "loss"}, ["record.observables is 'loss'; it must be a list."]),
        ({"record__observables": ["loss", 3, 4]}, ["record.observables[1] is 3; it must be a string.", "record.observables[2] is 4; it must be a string."]),
        # Numbers out of range.
        ({"training__learning_rate": -0.1}, ["training.learning_rate is -0.1; it must be positive."]),
        ({"training__learning_rate": [0.1, 1, -0.1]}, ["training.learning_rate[2] is -0.1; it must be positive."]),
        ({"training__learning_rate": math.nan}, ["training.learning_rate is nan; it must be finite."]),
        ({"training__weight_decay": math.inf}, ["training.weight_decay is inf; it must be finite."]),
        ({"training__weight_decay": -1e-9}, ["training.weight_decay is -1e-09; it must not be negative."]),
        ({"training__learning_rate": HUGE}, ["training.learning_rate is a huge integer; it must be a number below 1.8e308."]),
        ({"network__depth": 0}, ["network.depth is 0; it must be at least 1."]),
        ({"network__depth": HUGE}, ["network.depth is a huge integer; it must be at most 10000."]),
        ({"network__depth": [HUGE, [HUGE]]}, ["network.depth[0] is a huge integer; it must be at most 10000.", "network.depth[1] is a value with a huge integer; it must be an integer."]),
        ({"problem__condition_number": 0.5}, ["problem.condition_number is 0.5; it must be at least 1."]),
        ({"record__rank_threshold": 1.0}, ["record.rank_threshold is 1.0; it must be less than 1."]),
        ({"record__count": 1}, ["record.count is 1; it must be at least 2."]),
        # Names.
        ({"name": "../x"}, ["name is '../x'; it must be letters, digits, '.', '_' and '-', 100 at most, and begin with a letter or digit (it names the results folder)."]),
        ({"name": "a\n"}, [f"name is 'a\\n'; {ONE_LINE}"]),
        ({"name": 3}, [f"name is 3; {ONE_LINE}"]),
        ({"name": None}, ["name is missing; it has no default."]),
        ({"source": "λ\0"}, [f"source is 'λ\\x00'; {ONE_LINE}"]),
        # Settings that do not fit each other.
        ({"problem__measurement_dim": 9}, ["problem.measurement_dim is 9; it must not exceed problem.signal_dim, which is 8 (the problem is underdetermined: m <= d)."]),
        ({"problem__subspace_dim": [2, 5]}, ["problem.subspace_dim is 5; it must not exceed problem.measurement_dim, which is 4 (else the signals cannot be told apart: s <= m)."]),
        ({"network__initializer": "balanced", "network__width": 3}, ["network.initializer is 'balanced' and network.width is 3; balanced weights need a width of at least min(signal_dim, measurement_dim) of 8 and 4."]),
        ({"training__beta1": 0.9}, ["training.beta1 is given, but gradient_descent does not use it; it belongs to adam, adamw, adamax, nadam, amsgrad, radam, lamb, muon, nadamw, adamaxw, optimistic_adam, lion, adabelief, yogi, novograd, sm3."]),
        ({"training__momentum": 0.9, "training__optimizer": ["adam", "rmsprop"]}, ["training.momentum is given, but adam, rmsprop does not use it; it belongs to momentum, nesterov, lars."]),
        ({"training__minibatch_size": [0, 6]}, ["training.minibatch_size is 6; it must not exceed problem.num_samples, which is 5 (0 takes all samples)."]),
        ({"training__minibatch_size": 2, "sweep__kernel": "reduced"}, ['sweep.kernel is "reduced", but minibatches leave the spaces that the full gradient visits: set training.minibatch_size = 0.']),
        ({"problem__kind": "subspce"}, ["problem.kind is 'subspce', which is not known; did you mean 'subspace'?"]),
        ({"problem__kind": ["subspace"]}, [f"problem.kind is ['subspace'], which is not known; known are {KINDS}."]),
        ({"problem__kind": None}, [f"problem.kind is missing; known are {KINDS}."]),
        # A network that there is is judged by its own keys, though its problem is not known.
        ({"problem__kind": "subspce", "network": {"kind": "mlp", "depth": 2, "width": 4, "activation": "tahn"}}, ["problem.kind is 'subspce', which is not known; did you mean 'subspace'?", "network.activation is 'tahn'; it must be 'linear', 'tanh', 'relu', 'gelu', 'erf', 'quadratic' or 'softplus'."]),
        ({"problem__kind": "subspce", "network": {"kind": "diagonal_linear", "layer_init_scale": 0}}, ["problem.kind is 'subspce', which is not known; did you mean 'subspace'?", "network.layer_init_scale is 0; it must be positive."]),
        ({"problem__kind": None, "network": {"kind": "committee", "width": 2}}, [f"problem.kind is missing; known are {KINDS}."]),
        ({"network__kind": "mpl"}, [f"network.kind is 'mpl'; with problem.kind = 'subspace' it must be {networks('samples')}{PLUGIN}"]),
        # Of a kind of one's own nobody knows the keys, nor what is missing; of a word neither.
        ({"network": {"kind": "mine", "hidden": [3, 4]}, "training__learning_rate": [0.1, 0.2], "sweep__zip": [["network.hidden", "training.learning_rate"]], "figure": {"kind": "final", "x": "network.hidden", "y": "regression_error"}}, [f"network.kind is 'mine'; with problem.kind = 'subspace' it must be {networks('samples')}{PLUGIN}"]),
        ({"problem__kind": "of_mine"}, ["problem.kind is 'of_mine', which is not known; `dlnsweep explain` lists what there is; one of your own needs its file, --plugin FILE."]),
        ({"training__loss": "mine"}, ["training.loss is 'mine'; it must be 'network', 'squared', 'mean_squared', 'logistic', 'exponential' or 'cross_entropy', or one of a plug-in that is named, --plugin FILE."]),
        ({"network__kind": "deep_prior"}, [f"network.kind is 'deep_prior'; with problem.kind = 'subspace' it must be {networks('samples')}."]),
        *[
            ({"problem": {"kind": task, **sizes}, "network": {"kind": "mpl", "width": 4}, "record": {"observables": ["loss"]}}, [f"network.kind is 'mpl'; with problem.kind = '{task}' it must be '{kind}': networks of one's own are trained on samples, or make a matrix, and this problem has neither."])
            for task, kind, sizes in (("deep_prior", "deep_prior", {"signal_dim": 6, "measurement_dim": 4}), ("population", "committee", {"input_dim": 10, "num_teacher_neurons": 2}))
        ],
        ({"problem__kind": None, "network__kind": "\x07"}, [f"problem.kind is missing; known are {KINDS}.", f"network.kind is '\\x07'; it must be {networks()}{PLUGIN}"]),
        # Observables and recording.
        ({"record__observables": ["regresion_error"]}, ["record.observables[0] is 'regresion_error', which is not known; did you mean 'regression_error'?"]),
        ({"record__observables": []}, ["record.observables is empty; name at least one observable."]),
        ({"record__observables": ["loss", "loss"]}, ["record.observables[1] is 'loss', as is an earlier one; name it once."]),
        ({"record__observables": ["noisy_test_errors"]}, ["record.noise_levels is empty; noisy_test_errors needs the standard deviations of the noise, such as [0.01, 0.1, 1.0]."]),
        ({"record__noise_levels": [0.1]}, ["record.noise_levels is given, which only noisy_test_errors uses; add it to record.observables, or leave the levels out."]),
        ({"record__observables": ["noisy_test_errors"], "record__noise_levels": [0.1, 1, 0.1]}, ["record.noise_levels names 0.1 twice; give each level once."]),
        ({"record__observables": ["noisy_test_errors"], "record__noise_levels": [0.1, -1.0]}, ["record.noise_levels[1] is -1.0; it must not be negative."]),
        ({"record__observables": ["noisy_test_error"]}, ["record.test_noise is 0; noisy_test_error needs it to be positive."]),
        ({"record__spacing": "explicit"}, ['record.steps is empty; spacing = "explicit" needs it.']),
        ({"record__steps": [1]}, ["record.steps is given, which needs record.spacing = \"explicit\"; it is 'log'."]),
        ({"record__steps": [1, 200], "record__spacing": "explicit"}, ["record.steps names 200; it must not exceed training.num_steps, which is 100."]),
        ({"record__steps": [1], "record__spacing": "explicit", "record__count": 9}, ['record.count is given, which spacing = "explicit" does not use; leave it out.']),
        ({"record__steps": [1.5, -1], "record__spacing": "explicit"}, ["record.steps[0] is 1.5; it must be an integer.", "record.steps[1] is -1; it must not be negative."]),
        # stop_when.
        ({"training__stop_when": 3}, ["training.stop_when is 3; it must be a table."]),
        ({"training__stop_when": {"observable": "loss", "belw": 1}}, ["training.stop_when.belw is not a key of [training.stop_when]; did you mean 'below'?"]),
        ({"training__stop_when": {"observable": "loss", "below": -1}}, ["training.stop_when.below is -1; it must be positive."]),
        ({"training__stop_when": {"observable": "regression_error"}}, ["training.stop_when has neither below nor patience; give below = a value, or patience = the number of records without an improvement."]),
        ({"training__stop_when": {"observable": "regression_error", "below": 0.1, "threshold": 0.1}}, ["training.stop_when.threshold is given, which needs training.stop_when.patience."]),
        ({"training__stop_when": {"observable": "regression_error", "below": 0.1, "direction": "maximise"}}, ["training.stop_when.direction is given, which needs training.stop_when.patience."]),
        ({"training__stop_when": {"observable": "regression_error", "patience": 0}}, ["training.stop_when.patience is 0; it must be at least 1."]),
        ({"training__stop_when": {"observable": "loss", "below": 1}}, ["training.stop_when.observable is 'loss'; it must be a recorded scalar observable: regression_error, off_subspace_error."]),
        ({"training__stop_when": {"observable": "singular_values", "below": 1}, "record__observables": ["singular_values"]}, ["training.stop_when.observable is 'singular_values'; it must be a recorded scalar observable: none is recorded."]),
        # Seeds.
        ({"sweep__seeds": 0}, ["sweep.seeds is 0; it must be at least 1."]),
        ({"sweep__seeds": []}, ["sweep.seeds is an empty list; give at least one seed."]),
        ({"sweep__seeds": [-1, "a"]}, ["sweep.seeds[0] is -1; it must not be negative.", "sweep.seeds[1] is 'a'; it must be an integer."]),
        ({"sweep__seeds": 2.5}, ["sweep.seeds is 2.5; it must be an integer or a list."]),
        ({"sweep__seeds": [3, 1, 3]}, ["sweep.seeds names the seed 3 twice; give each seed once."]),
        # Figures.
        ({"figure": 3}, ["figure is 3; it must be a table, [figure]."]),
        ({"figure": [{}]}, ["figure[0].kind is missing; it must be one of curves, final, heatmap, spectrum, scatter, noise, boundary."]),
        ({"figure": {"kind": "curve"}}, ["figure.kind is 'curve'; it must be one of curves, final, heatmap, spectrum, scatter, noise, boundary."]),
        ({"figure": {"kind": "curves", "y": "regression_eror"}}, ["figure.y[0] is 'regression_eror'; the sweep recorded regression_error, off_subspace_error; did you mean 'regression_error'?"]),
        ({"figure": {"kind": "curves", "y": "regression_error", "hue": "weight_decay"}}, ["figure.hue is 'weight_decay', which is not a setting; did you mean 'training.weight_decay'?"]),
        ({"figure": {"kind": "curves", "y": "regression_error", "tilte": "x"}}, ["figure.tilte is not a key of [figure]; did you mean 'title'?"]),
        ({"figure": {"kind": "curves", "y": "regression_error", "hue": "\x1b[2J"}}, ["figure.hue is '\\x1b[2J', which is not a setting."]),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_its_sentence(changes: dict[str, Any], expected: list[str]):
    assert problems(**changes) == expected


ZIP = "sweep.zip[0]"
AXES = {"training__learning_rate": [0.1, 0.2], "network__depth": [1, 2, 3]}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([["network.depth", "training.learning_rate"]], [f"{ZIP} zips axes of unequal lengths: network.depth has 3, training.learning_rate has 2 values."]),
        ([["network.dept", "training.learning_rate"]], [f"{ZIP} names 'network.dept', which is not a setting; did you mean 'network.depth'?"]),
        ([["depth", "training.learning_rate"]], [f"{ZIP} names 'depth', which is not a setting; did you mean 'network.depth'?"]),
        ([["network.width", "training.learning_rate"]], [f"{ZIP} names 'network.width', which has one value only; give it a list, or leave it out."]),
        ([["network.depth"]], [f"{ZIP} names 1 keys; it must name two or more."]),
        ([[]], [f"{ZIP} names 0 keys; it must name two or more."]),
        ([["network.depth", "network.depth"]], [f"{ZIP} names 'network.depth', which is zipped already; name it once."]),
        ([["\x07", "zz"]], [f"{ZIP} names '\\x07', which is not a setting; `dlnsweep explain` lists what there is.", f"{ZIP} names 'zz', which is not a setting; `dlnsweep explain` lists what there is."]),
        ("x", ["sweep.zip is 'x'; it must be a list."]),
        (["network.depth"], [f"{ZIP} is 'network.depth'; it must be a list."]),
        ([["network.depth", 3]], [f"{ZIP}[1] is 3; it must be a string."]),
    ],
)  # fmt: skip
def test_a_wrong_zip_is_refused(groups: Any, expected: list[str]):
    assert problems(sweep__zip=groups, **AXES) == expected


def test_missing_settings_are_named_with_their_meaning():
    with pytest.raises(SpecError) as caught:
        Sweep.from_dict({}, where="a\x1b.toml")
    assert caught.value.problems == (
        "a\\x1b.toml: name is missing; it has no default.",
        f"a\\x1b.toml: [problem] is missing; it must name a kind: {KINDS}.",
        "a\\x1b.toml: network.depth is missing; it has no default (number of weight matrices).",
        "a\\x1b.toml: network.width is missing; it has no default (hidden width).",
        "a\\x1b.toml: training.learning_rate is missing; it has no default (learning rate).",
        "a\\x1b.toml: training.num_steps is missing; it has no default (number of steps).",
    )
    assert caught.value.exit_status == 2


def test_all_mistakes_of_a_file_are_reported_at_once():
    found = problems(
        name="../x",
        colour=1,
        problem__measurement_dim=9,
        network__depth=0,
        network__initializer="ortogonal",
        training__learning_rate=[],
        training__beta1=0.5,
        record__observables=["los"],
        record__steps=[3],
        sweep__zip=[["network.dept", "network.width"]],
        figure={"kind": "curves", "y": ["loss"], "hue": "depth"},
    )
    expected = [
        "colour is not",
        "name is '../x'",
        "network.depth is 0",
        "network.initializer is",
        "training.learning_rate is an empty list",
        "record.observables[0] is 'los'",
        "record.steps is given",
        "training.beta1 is given",
        "sweep.zip[0] names 'network.dept'",
        "sweep.zip[0] names 'network.width'",
        "figure.hue is 'depth'",
    ]
    assert [f for f, e in zip(found, expected, strict=True) if not f.startswith(e)] == []
    assert len(problems(problem__measurement_dim=9, record__observables=["los"])) == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"sweep__seeds": 10**9},
            "the sweep has 1000000000 runs (sweep.seeds 1000000000 values); ",
        ),
        (
            {
                "training__learning_rate": {
                    "from": 1e-6,
                    "to": 1,
                    "count": 10**7,
                    "spacing": "linear",
                },
                "network__width": list(range(1, 101)),
            },
            "the sweep has 1000000000 runs (training.learning_rate 10000000, network.width 100 "
            "values); ",
        ),
        ({"sweep__seeds": 10**60}, f"the sweep has {'1' + '0' * 56}... runs (sweep.seeds "),
        ({"sweep__seeds": HUGE}, "the sweep has a huge integer runs (sweep.seeds a huge integer "),
        (
            {"sweep__seeds": 11, "sweep__max_runs": 10},
            "the sweep has 11 runs (sweep.seeds 11 values); ",
        ),
    ],
)
def test_too_many_runs_are_refused_before_they_are_expanded(
    changes: Any, sentence: str, monkeypatch: pytest.MonkeyPatch
):
    expand = axes.range_values
    counts: list[int] = []

    def expand_and_count(wanted: axes.Range) -> Any:
        counts.append(wanted.count)
        return expand(wanted)

    monkeypatch.setattr(axes, "range_values", expand_and_count)
    (found,) = problems(**changes)
    assert max(counts, default=0) <= 2
    assert found.startswith(sentence)
    most = changes.get("sweep__max_runs", 10_000_000)
    assert found.endswith(
        f"at most {most} are allowed; give fewer values, or raise sweep.max_runs."
    )


def test_too_many_runs_are_reported_with_the_other_mistakes():
    found = problems(
        sweep__seeds=1000,
        training__learning_rate={"from": -1, "to": 1, "count": 10**7},
        network__depth=0,
    )
    assert len(found) == 3
    assert found[1] == "network.depth is 0; it must be at least 1."
    assert found[2] == "training.learning_rate[0] is -1.0; it must be positive."


def test_zipped_axes_count_once_towards_the_limit():
    many = {"from": 1e-3, "to": 1, "count": 5000, "spacing": "log"}
    found = sweep(
        training__learning_rate=many,
        training__weight_decay=many,
        sweep__zip=[["training.learning_rate", "training.weight_decay"]],
    )
    assert found.num_runs == 5000


def test_axes_keep_the_order_of_the_file_also_across_sections():
    changes: dict[str, Any] = {
        "training": {"weight_decay": [0, 1], "learning_rate": [1, 2, 3], "num_steps": 5},
        "network": {"width": [9, 8], "depth": [1, 2]},
    }
    found = {"name": "x", **changes, "problem": document()["problem"]}
    assert Sweep.from_dict(found).axes == (
        ("training.weight_decay",),
        ("training.learning_rate",),
        ("network.width",),
        ("network.depth",),
    )


def test_zipped_axes_stand_where_the_first_of_them_stands():
    found = sweep(
        network__width=[16, 32],
        training__weight_decay=[0, 1],
        training__learning_rate=[1, 2, 3],
        problem__num_samples=[5, 6, 7],
        sweep__zip=[["training.learning_rate", "problem.num_samples"]],
        sweep__seeds=[4, 2],
    )
    assert found.axes == (
        ("training.learning_rate", "problem.num_samples"),
        ("network.width",),
        ("training.weight_decay",),
    )
    assert found.axis_lengths == (3, 2, 2)
    assert found.num_runs == 24
    assert found.seeds == (4, 2)


def test_a_condition_over_zipped_axes_holds_for_what_meets():
    dims: dict[str, Any] = {
        "problem__signal_dim": [8, 16, 32],
        "problem__measurement_dim": [4, 12, 32],
    }
    together = {"sweep__zip": [["problem.signal_dim", "problem.measurement_dim"]]}
    assert sweep(**dims, **together).num_runs == 3
    assert problems(**dims)[0].startswith("problem.measurement_dim is 12; it must not exceed")
    dims["problem__measurement_dim"] = [4, 17, 32]
    assert problems(**dims, **together)[0].startswith("problem.measurement_dim is 17; ")


def test_a_condition_is_checked_for_the_last_of_many_combinations_too():
    found = problems(
        problem__signal_dim={"from": 1000, "to": 1599, "count": 600},
        problem__measurement_dim=[*range(1000, 400, -1), 1001],
        problem__subspace_dim=1,
        training__learning_rate=1,
    )
    assert found == [
        "problem.measurement_dim is 1001; it must not exceed problem.signal_dim, which is 1000 "
        "(the problem is underdetermined: m <= d)."
    ]


def test_a_file_and_its_dictionary_are_the_same_sweep(tmp_path: Path):
    path = tmp_path / "a.toml"
    path.write_text(
        'name = "sample"\n[problem]\nkind = "subspace"\nsignal_dim = 8\nmeasurement_dim = 4\n'
        "subspace_dim = 2\nnum_samples = 5\n[network]\ndepth = 2\nwidth = 16\n"
        "[training]\nlearning_rate = 0.1\nnum_steps = 100\n"
    )
    assert Sweep.from_file(path) == sweep()
    assert Sweep.from_file(path, ["network.depth=[2, 3]"]) == sweep(network__depth=[2, 3])
    with pytest.raises(SpecError) as caught:
        Sweep.from_file(path, ["network.depth=0"])
    assert str(caught.value) == f"{path}: network.depth is 0; it must be at least 1."
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "sweeps").glob("*.toml")), ids=lambda p: p.stem
)
def test_the_sweeps_of_this_repository_are_right(path: Path):
    found = Sweep.from_file(path)
    assert found.name == path.stem
    assert found.source
    assert found.figures


def test_the_starter_file_is_right(tmp_path: Path):
    from dlnsweep.cli.starter import write_starter

    path = tmp_path / "new.toml"
    write_starter(path)
    assert Sweep.from_file(path).num_runs == 15
    with pytest.raises(SpecError) as caught:
        write_starter(path)
    assert str(caught.value) == (
        f"{path}: there is a file of this name already, which is kept; give another name."
    )
    with pytest.raises(SpecError, match="cannot be written: No such file or directory; give"):
        write_starter(tmp_path / "none" / "new.toml")


def test_every_setting_says_what_it_is():
    for key in known_settings():
        info = describe_setting(key)
        assert info is not None, key
        assert info.text
    assert describe_setting("training.nothing") is None
    assert describe_setting("nothing.at_all") is None


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["subspace", "network.depth", "curves", "loss", "log", "from"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
keys = st.sampled_from(["name", "source", "figure", *known_settings()])


@given(st.lists(st.tuples(keys, anything), max_size=4))
def test_any_values_are_accepted_or_refused_with_printable_sentences(changes: Any):
    found: tuple[str, ...] = ("accepted",)
    try:
        sweep(**{key.replace(".", "__"): value for key, value in changes})
    except SpecError as error:
        found = error.problems
    assert found
    assert all(problem.isprintable() for problem in found)


def test_cross_entropy_of_one_output_is_refused():
    found = problems(
        problem={"kind": "teacher", "signal_dim": 1, "measurement_dim": 4, "num_samples": 6},
        network={"kind": "mlp", "depth": 2, "width": 5},
        training={"learning_rate": 0.1, "num_steps": 10, "loss": "cross_entropy"},
    )
    assert found == [
        "training.loss is 'cross_entropy', which is for targets of 1 and 0; the problem has targets "
        "that are numbers.",
        "training.loss is 'cross_entropy', of a softmax over the outputs, and problem.signal_dim "
        "is 1: a single output always has probability 1. Take another loss, or two outputs or more.",
    ]
