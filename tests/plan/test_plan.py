from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spec_samples import document, sweep

from dlnsweep.contracts.keys import describe_setting
from dlnsweep.contracts.optimizer import OPTIMIZERS as KNOWN
from dlnsweep.plan.batches import make_batches
from dlnsweep.plan.cost import cost_of, worth_padding
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.settings.optimizers import HYPERPARAMETERS
from dlnsweep.settings.training import GENERIC_ONLY
from dlnsweep.spec.sweep import Sweep
from dlnsweep.version import NUMERICS_VERSION

STOP = {"observable": "loss", "below": 0.1}


def plan(**changes: Any) -> Plan:
    return make_plan(sweep(**changes))


def one_id(**changes: Any) -> int:
    (found,) = plan(**changes).run_ids.tolist()
    return found


# What an id stands for is on disk in people's results: these may change only together with
# version.NUMERICS_VERSION.
PINNED: list[tuple[dict[str, Any], int]] = [
    ({}, 3835279202056715992),
    ({"sweep__seeds": [7]}, 5775167899453487321),
    ({"training__learning_rate": 1e-5}, 6784506067407331029),
    ({"training__weight_decay": 0.25}, 1592229763556191350),
    ({"network__depth": 3, "network__width": 500}, 537125248884058838),
    ({"network__initializer": "balanced"}, 6832290361351684050),
    ({"sweep__precision": "float32"}, 7249088264928639617),
    ({"training__optimizer": "adam"}, 2082213483602424345),
    ({"training__optimizer": "nesterov", "training__momentum": 0.5}, 2736877832255005473),
    ({"record__observables": ["loss"], "training__stop_when": STOP}, 3972111117887165957),
    ({"record__spacing": "explicit", "record__steps": [1, 10]}, 5351205400563323682),
    ({"network__initial_weights": "law"}, 7647319286170934277),
    ({"sweep__kernel": "reduced", "sweep__tolerance": 1e-4}, 976990357977214376),
    ({"problem__condition_number": 10}, 5913465624188774418),
]


def test_run_ids_are_pinned():
    assert NUMERICS_VERSION == 5
    for changes, run_id in PINNED:
        assert one_id(**changes) == run_id, changes


def test_run_ids_are_unique_positive_int64():
    found = plan(training__weight_decay=[0, 0.1], network__depth=[1, 2], sweep__seeds=500).run_ids
    assert found.dtype == np.int64
    assert found.min() > 0
    assert len(np.unique(found)) == len(found) == 2000


def ids_by_row(found: Plan) -> dict[str, int]:
    rows = [found.row(i) for i in range(found.num_runs)]
    keys = sorted(rows[0])
    texts = [str([(k, row[k]) for k in keys]) for row in rows]
    return dict(zip(texts, found.run_ids.tolist(), strict=True))


values = {
    "network__depth": st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True),
    "network__width": st.lists(st.integers(4, 20), min_size=1, max_size=3, unique=True),
    "training__weight_decay": st.lists(
        st.floats(0, 1, allow_subnormal=False).map(abs), min_size=1, max_size=3, unique=True
    ),
    "training__optimizer": st.lists(
        st.sampled_from(["gradient_descent", "adam", "momentum"]),
        min_size=1,
        max_size=3,
        unique=True,
    ),
    "sweep__seeds": st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3, unique=True),
}


@settings(max_examples=50, deadline=None)
@given(st.fixed_dictionaries({}, optional=values), st.randoms(use_true_random=False))
def test_an_id_depends_on_its_own_run_alone(axes: dict[str, list[Any]], random: Any):
    whole = plan(**axes)
    assert len(set(whole.run_ids.tolist())) == whole.num_runs
    by_row = ids_by_row(whole)
    # Another order of the axes and of their values gives the same runs.
    shuffled = list(axes.items())
    random.shuffle(shuffled)
    other = {key: random.sample(column, len(column)) for key, column in shuffled}
    assert ids_by_row(plan(**other)) == by_row
    # One run, alone in a file without axes, keeps its id.
    i = random.randrange(whole.num_runs)
    row = whole.row(i)
    alone = {
        key: [row["seed"]] if key == "sweep__seeds" else row[key.replace("__", ".")] for key in axes
    }
    assert one_id(**alone) == whole.run_ids[i]


@pytest.mark.parametrize(
    "changes",
    [
        {"training__weight_decay": 0.0},
        {"training__weight_decay": -0.0},
        {"training__weight_decay": 0},
        {"training__optimizer": "gradient_descent"},
        {"problem__condition_number": 1},
        {"record__count": 200},
        {"record__observables": ["regression_error", "off_subspace_error"]},
        {"sweep__seeds": [0]},
        {"sweep__seeds": 1},
        {"sweep__max_runs": 5},
        {"network__depth": [2]},
        {"name": "other", "source": "elsewhere"},
        {"figure": {"kind": "curves", "y": "regression_error"}},
    ],
)
def test_what_says_the_same_has_the_same_id(changes: dict[str, Any]):
    assert one_id(**changes) == one_id()


def test_each_setting_changes_the_id():
    found = [one_id(**changes) for changes, _ in PINNED]
    assert len(set(found)) == len(found)


def test_rows_are_crossed_with_the_last_axis_and_the_seed_innermost():
    found = plan(
        network__depth=[3, 2],
        training__weight_decay=[0.1, 0.0],
        training__learning_rate=[1, 2],
        sweep__zip=[["network.depth", "training.learning_rate"]],
        sweep__seeds=[5, 3],
    )
    assert found.settings["network.depth"].tolist() == [3] * 4 + [2] * 4
    # network.depth stands before training.weight_decay, so the zipped rate moves with it.
    assert found.settings["training.learning_rate"].tolist() == [1.0] * 4 + [2.0] * 4
    assert found.settings["training.weight_decay"].tolist() == [0.1, 0.1, 0, 0] * 2
    assert found.settings["seed"].tolist() == [5, 3] * 4


def test_columns_have_types_and_the_shared_settings_are_no_columns():
    found = plan(sweep__seeds=2)
    kinds = {key: column.dtype.kind for key, column in found.settings.items()}
    assert kinds["network.depth"] == kinds["seed"] == "i"
    assert kinds["training.learning_rate"] == "f"
    assert kinds["training.optimizer"] == "O"
    assert all(len(column) == 2 for column in found.settings.values())
    assert list(found.settings)[:2] == ["problem.kind", "problem.signal_dim"]
    assert set(found.shared) == {
        "record.observables",
        "record.steps",
        "record.noise_levels",
        "record.weights",
        "training.stop_when",
    }
    assert found.row(1)["seed"] == 1
    assert type(found.row(1)["seed"]) is int
    assert found.row(0)["record.count"] == 200


def test_unused_hyperparameters_are_blank_and_their_crossing_counts_once():
    found = plan(
        training__optimizer=["gradient_descent", "adam", "momentum"],
        training__beta1=[0.8, 0.9],
        training__momentum=[0.1, 0.2, 0.3],
        sweep__seeds=2,
    )
    assert found.num_runs == (1 + 2 + 3) * 2
    optimizer = found.settings["training.optimizer"]
    for key, users in (
        ("momentum", ["momentum"]),
        ("beta1", ["adam"]),
        ("beta2", ["adam"]),
        ("epsilon", ["adam"]),
        ("rmsprop_decay", []),
    ):
        blank = np.isnan(found.settings[f"training.{key}"])
        assert np.array_equal(blank, ~np.isin(optimizer.astype(str), users)), key
    alone = plan(training__optimizer="adam", training__beta1=0.8, sweep__seeds=2)
    assert set(alone.run_ids.tolist()) < set(found.run_ids.tolist())


TRACED = {
    "problem__condition_number": [1, 2],
    "problem__blur_width": [1, 2],
    "network__layer_init_scale": [1, 2],
    "network__product_init_scale": [1, 2],
    "network__relative_init_scale": [1, 2],
    "training__learning_rate": [1, 2],
    "training__weight_decay": [1, 2],
    "training__data_fit_scale": [1, 2],
    "training__num_steps": [100, 200],
    "training__divergence_factor": [10, 100],
    "training__momentum": [0.1, 0.2],
    "training__beta1": [0.1, 0.2],
    "training__beta2": [0.1, 0.2],
    "training__epsilon": [0.1, 0.2],
    "training__rmsprop_decay": [0.1, 0.2],
    "training__group_rmsprop_decay": [0.1, 0.2],
    "training__group_rmsprop_epsilon": [0.1, 0.2],
    "training__adadelta_decay": [0.1, 0.2],
    "training__adadelta_epsilon": [0.1, 0.2],
    "training__lion_beta2": [0.1, 0.2],
    "training__adabelief_epsilon": [0.1, 0.2],
    "training__yogi_epsilon": [0.1, 0.2],
    "training__novograd_beta2": [0.1, 0.2],
    "training__adan_beta1": [0.1, 0.2],
    "training__adan_beta2": [0.1, 0.2],
    "training__adan_beta3": [0.1, 0.2],
    "training__muon_beta": [0.1, 0.2],
    "training__optimism": [0.1, 0.2],
    "training__trust_coefficient": [0.1, 0.2],
    "training__rprop_shrink": [0.1, 0.2],
    "training__rprop_grow": [1.1, 1.2],
    "training__rprop_least": [0.1, 0.2],
    "training__rprop_most": [10, 20],
    "training__adafactor_decay": [0.1, 0.2],
    "training__adafactor_epsilon": [0.1, 0.2],
    "training__adafactor_clipping": [0.1, 0.2],
    "training__adafactor_least_scale": [0.1, 0.2],
    "record__rank_threshold": [0.1, 0.2],
    "record__test_noise": [0.1, 0.2],
}
STATIC: dict[str, list[Any]] = {
    "problem__signal_dim": [8, 9],
    "problem__measurement_dim": [3, 4],
    "problem__subspace_dim": [2, 1],
    "problem__num_samples": [5, 6],
    "problem__operator": ["gaussian", "dct"],
    "problem__operator_file": ["a.npy", "b.npy"],
    "network__depth": [1, 2],
    "network__initializer": ["identity", "orthogonal"],
    "network__initial_weights": ["drawn", "law"],
    "training__optimizer": ["adam", "adamw"],
    "training__step_rule": ["uniform", "fan_in"],
    "training__minibatch_size": [0, 3],
    "training__adafactor_factored_from": [4, 128],
    "training__adafactor_steps": ["relative", "absolute"],
    "record__num_test_samples": [5, 6],
}
OPTIMIZERS = {
    "momentum": "momentum",
    "beta1": "adam",
    "beta2": "adam",
    "epsilon": "adam",
    "rmsprop_decay": "rmsprop",
    "group_rmsprop_decay": "group_rmsprop",
    "group_rmsprop_epsilon": "group_rmsprop",
    "adadelta_decay": "adadelta",
    "adadelta_epsilon": "adadelta",
    "lion_beta2": "lion",
    "adabelief_epsilon": "adabelief",
    "yogi_epsilon": "yogi",
    "novograd_beta2": "novograd",
    "adan_beta1": "adan",
    "adan_beta2": "adan",
    "adan_beta3": "adan",
    "muon_beta": "muon",
    "optimism": "optimistic_adam",
    "trust_coefficient": "lars",
    **dict.fromkeys(("rprop_shrink", "rprop_grow", "rprop_least", "rprop_most"), "rprop"),
    **dict.fromkeys(
        ("adafactor_decay", "adafactor_epsilon", "adafactor_clipping", "adafactor_least_scale",
         "adafactor_factored_from", "adafactor_steps"),
        "adafactor",
    ),
}  # fmt: skip


def recorded(key: str) -> dict[str, Any]:
    """An observable that reads the setting, without which it may not vary."""
    readers = {
        "record__rank_threshold": "numerical_rank",
        "record__test_noise": "noisy_test_error",
        "record__num_test_samples": "test_error",
    }
    return {"record__observables": [readers[key]]} if key in readers else {}


@pytest.mark.parametrize("key", TRACED)
def test_sweeping_a_traced_number_adds_no_program(key: str):
    name = key.partition("__")[2]
    optimizer = OPTIMIZERS.get(name, "gradient_descent")
    operator = "blur" if name == "blur_width" else "gaussian"
    choices = {"training__optimizer": optimizer, "problem__operator": operator}
    found = plan(**choices, **recorded(key), **{key: TRACED[key]})
    assert (found.num_runs, found.num_programs) == (2, 1)


@pytest.mark.parametrize("key", STATIC)
def test_sweeping_a_static_choice_adds_programs(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(STATIC["problem__operator_file"], 1):
        np.save(str(name), np.full((4, 8), number))
    choices = {"problem__operator": "file"} if key == "problem__operator_file" else {}
    if optimizer := OPTIMIZERS.get(key.partition("__")[2]):
        choices["training__optimizer"] = optimizer
    found = plan(**choices, **recorded(key), **{key: STATIC[key], "sweep__seeds": 3})
    assert (found.num_runs, found.num_programs) == (6, 2)


def test_the_tables_above_name_every_setting_that_may_vary():
    dotted = {key.replace("__", ".") for key in (*TRACED, *STATIC)} | {"network.width"}
    # It reaches no program: tests/plan/test_prescription.py.
    dotted.add("training.gamma")
    # Of networks of one's own alone: tests/contracts/test_registered.py.
    dotted.add("training.loss")
    # Of the generic way alone: tests/networks/test_steps.py.
    dotted |= {f"training.{key}" for key in GENERIC_ONLY}
    # Likewise: tests/networks/test_asking.py.
    asking = [name for name, each in KNOWN.items() if each.asks]
    dotted |= {f"training.{key}" for key, users in HYPERPARAMETERS.items() if users[0] in asking}
    dotted |= {f"training.schedule_{key}" for key in ("steps", "end", "stages")}
    may_vary = set()
    for key in sweep().values:
        info = describe_setting(key)
        if info is not None and info.axis:
            may_vary.add(key)
    assert dotted == may_vary
    for key in TRACED:
        info = describe_setting(key.replace("__", "."))
        assert info is not None
        assert info.role == "traced"


def test_zipped_static_axes_are_as_many_programs_as_pairs():
    found = plan(
        network__depth=[1, 2, 3],
        problem__num_samples=[5, 6, 7],
        sweep__zip=[["network.depth", "problem.num_samples"]],
    )
    assert (found.num_runs, found.num_programs) == (3, 3)


def test_widths_share_a_program_only_where_it_pays():
    short = plan(network__width=[16, 20, 24])
    assert (short.num_programs, short.program_widths) == (1, (24,))
    long = plan(network__width=[16, 2000], training__num_steps=10_000_000)
    assert (long.num_programs, long.program_widths) == (2, (16, 2000))
    narrow = long.settings["network.width"] == 16
    assert np.array_equal(np.array(long.program_widths)[long.programs] == 16, narrow)
    # Other initializers cannot draw a narrow network inside wider arrays.
    fixed = plan(network__width=[16, 20, 24], network__initializer="orthogonal")
    assert fixed.program_widths == (16, 20, 24)
    single = plan(network__width=[16, 20], network__depth=1)
    assert single.num_programs == 2
    # Drawn from the law, a network's size does not depend on its width.
    law = plan(
        network__width=[16, 10**9],
        network__initial_weights="law",
        training__num_steps=10_000_000,
    )
    assert law.num_programs == 1


def slow_worth_padding(row: Any, widths: list[int], counts: list[int]) -> float:
    """Return the least cost over all ways to cut the widths, by trying each."""
    from dlnsweep.plan.cost import _COMPILE_SECONDS

    seconds = [cost_of(row, width).seconds for width in widths]
    best = np.inf
    for cuts in range(2 ** (len(widths) - 1)):
        ends = [i for i in range(1, len(widths)) if cuts >> (i - 1) & 1] + [len(widths)]
        starts = [0, *ends[:-1]]
        cost = sum(
            _COMPILE_SECONDS + sum(counts[a:b]) * seconds[b - 1]
            for a, b in zip(starts, ends, strict=True)
        )
        best = min(best, cost)
    return best


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 2000), min_size=1, max_size=6, unique=True),
    st.integers(100, 10_000_000),
    st.data(),
)
def test_the_padded_widths_cost_least(widths: list[int], num_steps: int, data: Any):
    widths = sorted(widths)
    counts = [data.draw(st.integers(1, 1000)) for _ in widths]
    # Under "auto" too the dense cost decides: what is not certified is trained on padded arrays.
    automatic = plan(training__num_steps=num_steps).row(0)
    row = plan(training__num_steps=num_steps, sweep__kernel="dense").row(0)
    bounds = worth_padding(row, widths, counts)
    assert bounds == worth_padding(automatic, widths, counts)
    assert bounds == sorted(bounds)
    assert bounds[-1] == widths[-1]
    seconds = {width: cost_of(row, width).seconds for width in widths}
    padded = [next(b for b in bounds if b >= w) for w in widths]
    cost = 5.0 * len(bounds) + sum(c * seconds[p] for c, p in zip(counts, padded, strict=True))
    assert cost == pytest.approx(slow_worth_padding(row, widths, counts), rel=1e-12)


def check_batches(found: Plan, rows: np.ndarray, first: int = 0) -> None:
    batches = make_batches(found, rows, first)
    assert [batch.number for batch in batches] == list(range(first, first + len(batches)))
    covered = np.concatenate([batch.runs for batch in batches])
    assert sorted(covered.tolist()) == sorted(rows.tolist())
    for batch in batches:
        assert len(np.unique(found.programs[batch.runs])) == 1
        assert len(np.unique(found.settings["training.num_steps"][batch.runs])) == 1
        assert batch.padded_width == found.program_widths[found.programs[batch.runs[0]]]
        assert batch.padded_width >= found.settings["network.width"][batch.runs].max()
        for key in STATIC:
            # Of what no run uses all are NaN.
            assert len(set(map(str, found.settings[key.replace("__", ".")][batch.runs]))) == 1
    again = make_batches(found, rows, first)
    for one, other in zip(batches, again, strict=True):
        assert np.array_equal(one.runs, other.runs)


def test_batches_cover_each_run_once_and_share_what_is_static():
    found = plan(
        network__width=[16, 20, 500],
        network__depth=[1, 2],
        training__num_steps=[100, 200, 1_000_000],
        training__weight_decay=[0, 0.1],
        sweep__seeds=30,
    )
    check_batches(found, np.arange(found.num_runs))
    check_batches(found, np.arange(found.num_runs)[::7], first=12)
    assert make_batches(found, np.arange(0)) == []


def test_long_sweeps_are_cut_into_enough_batches():
    short = plan(sweep__seeds=50)
    assert len(make_batches(short, np.arange(50))) == 1
    long = plan(training__num_steps=100_000, network__width=200, sweep__seeds=160)
    sizes = [len(batch.runs) for batch in make_batches(long, np.arange(160))]
    assert len(sizes) >= 16
    assert max(sizes) - min(sizes) <= 1


def test_a_huge_sweep_has_thousands_of_batches_not_millions(monkeypatch: pytest.MonkeyPatch):
    found = plan(training__num_steps=10_000_000, network__width=200, sweep__seeds=3000)
    # More than a minute each: alone, every run would be a batch.
    assert found.cost(0).seconds > 60
    monkeypatch.setattr("dlnsweep.plan.batches._MOST_BATCHES", 100)
    batches = make_batches(found, np.arange(3000))
    assert len(batches) == 100
    assert {len(batch.runs) for batch in batches} == {30}
    monkeypatch.setattr("dlnsweep.plan.batches._MOST_BATCHES", 4000)
    assert len(make_batches(found, np.arange(3000))) == 3000


def test_batches_do_not_depend_on_the_machine(monkeypatch: pytest.MonkeyPatch):
    import os

    found = plan(training__num_steps=100_000, network__width=200, sweep__seeds=40)
    before = [batch.runs.tolist() for batch in make_batches(found, np.arange(40))]
    monkeypatch.setattr(os, "cpu_count", lambda: 1000)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(1000)))
    assert [batch.runs.tolist() for batch in make_batches(found, np.arange(40))] == before


def test_many_numbers_of_steps_and_widths_are_planned():
    found = plan(
        training__num_steps={"from": 100, "to": 499, "count": 400},
        network__width={"from": 1, "to": 500, "count": 500, "spacing": "linear"},
        record__count=2,
    )
    assert found.num_runs == len(np.unique(found.run_ids)) == 200_000
    few = np.arange(0, found.num_runs, 997)
    check_batches(found, few)


def test_a_sweep_from_a_dictionary_plans_like_one_with_its_keys_in_another_order():
    forward = document(training__weight_decay=[0, 1])
    backward = {key: forward[key] for key in reversed(forward)}
    ids = [make_plan(Sweep.from_dict(d)).run_ids.tolist() for d in (forward, backward)]
    assert ids[0] == ids[1]


def test_a_factor_of_divergence_at_its_default_is_in_no_run_id():
    # The default may be written out, and old sweeps keep their ids.
    left_out, written = plan(), plan(training__divergence_factor=1e6)
    assert left_out.run_ids.tolist() == written.run_ids.tolist()
    other = plan(training__divergence_factor=1e3)
    assert not set(other.run_ids.tolist()) & set(left_out.run_ids.tolist())
