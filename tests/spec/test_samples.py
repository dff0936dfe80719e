"""Sampled settings and joined blocks: which runs there are, and every mistake as a sentence."""

# ruff: noqa: E501  (a mistake and its sentence stand in one line of a table)

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spec_samples import problems, sweep

from dlnsweep.errors import SpecError
from dlnsweep.execution.rounds.refining import Found, next_round
from dlnsweep.plan.plan import make_plan

RATE, DECAY = "training.learning_rate", "training.weight_decay"
LOG = {"sample": "log_uniform", "from": 1e-3, "to": 1.0}
FLAT = {"sample": "uniform", "from": 0.0, "to": 0.1}


def sampled(count: int, sampler: str = "random", **changes: Any) -> Any:
    given = {"training__learning_rate": LOG, "training__weight_decay": FLAT} | changes
    return sweep(**given, sweep__samples=count, sweep__sampler=sampler)


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_more_samples_begin_with_the_fewer(sampler: str) -> None:
    few, many = sampled(5, sampler), sampled(12, sampler)
    for key in (RATE, DECAY):
        assert many.values[key][:5] == few.values[key]
        assert len(many.values[key]) == 12
    assert {*make_plan(few).run_ids.tolist()} < {*make_plan(many).run_ids.tolist()}
    other = sampled(5, sampler, sweep__sample_seed=1)
    assert not {*other.values[RATE]} & {*few.values[RATE]}


def test_settings_are_sampled_jointly_and_crossed_with_axes() -> None:
    found = sampled(4, network__depth=[2, 3], sweep__seeds=2)
    assert found.num_runs == 16
    assert found.crossed == f"network.depth (2) x samples of {RATE}, {DECAY} (4) x seed (2)"
    plan = make_plan(found)
    pairs = zip(plan.settings[RATE].tolist(), plan.settings[DECAY].tolist(), strict=True)
    assert {*pairs} == {*zip(found.values[RATE], found.values[DECAY], strict=True)}


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_they_are_distributed_as_they_say(sampler: str) -> None:
    width = {"sample": "integer", "from": 4, "to": 7}
    kind = {"sample": "choice", "of": ["gradient_descent", "momentum"]}
    found = sampled(4096, sampler, network__width=width, training__optimizer=kind)
    values = {key: np.array(found.values[key]) for key in found.samples}
    rate = np.log10(values[RATE].astype(float))
    # Four standard errors of the mean and of the correlation of independent samples.
    assert abs(rate.mean() + 1.5) < 4 * 3 / math.sqrt(12 * 4096)
    assert abs(np.corrcoef(rate, values[DECAY].astype(float))[0, 1]) < 4 / math.sqrt(4096)
    assert (rate.min(), rate.max()) == pytest.approx((-3, 0), abs=0.02)
    counts = np.unique(values["network.width"], return_counts=True)
    assert counts[0].tolist() == [4, 5, 6, 7]
    assert counts[1] == pytest.approx(1024, abs=4 * math.sqrt(4096 * 3 / 16))
    share = np.mean(values["training.optimizer"] == "momentum")
    assert share == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(4096))


def test_random_samples_of_a_setting_are_its_own() -> None:
    alone = sweep(training__learning_rate=LOG, sweep__samples=3)
    assert alone.values[RATE] == sampled(3).values[RATE]
    # They are told by their numbers: the same by hand are the same runs.
    by_hand = sweep(training__learning_rate=list(alone.values[RATE]))
    assert make_plan(alone).run_ids.tolist() == make_plan(by_hand).run_ids.tolist()
    # To 12 digits: logarithms differ in the last ones from machine to machine.
    assert all(float(f"{value:.12g}") == value for value in alone.values[RATE])


def test_samples_that_coincide_are_one() -> None:
    few = {"sample": "integer", "from": 4, "to": 6}
    found = sweep(network__width=few, sweep__samples=64)
    assert sorted(found.values["network.width"]) == [4, 5, 6]
    assert found.num_runs == make_plan(found).num_runs == 3
    assert found.computed == [
        "network.width: 64 samples, integer from 4 to 6 (random, seed 0): "
        + ", ".join(map(str, found.values["network.width"]))
    ]


def test_integers_of_a_number_are_the_numbers_that_a_list_gives() -> None:
    few = {"sample": "integer", "from": 1, "to": 3}
    found = sweep(training__learning_rate=few, sweep__samples=16)
    by_hand = sweep(training__learning_rate=list(map(int, found.values[RATE])))
    assert make_plan(found).run_ids.tolist() == make_plan(by_hand).run_ids.tolist()


BLOCKS = [
    {"network": {"depth": 2, "width": [16, 32]}, "training": {"learning_rate": {"from": 0.1, "to": 0.3, "count": 3}}},
    {"network": {"depth": [3, 4], "width": 8}},
]  # fmt: skip


def without(*keys: str, **changes: Any) -> dict[str, Any]:
    from spec_samples import document

    found = document(**changes)
    for key in keys:
        section, _, inner = key.partition(".")
        del found[section][inner]
    return found


def blocks(tables: list[Any], *left_out: str, **changes: Any) -> Any:
    from dlnsweep.spec.sweep import Sweep

    return Sweep.from_dict(without(*left_out, **changes, sweep__block=tables))


def test_blocks_are_grids_that_are_joined() -> None:
    found = blocks(
        BLOCKS, "network.depth", "network.width", training__weight_decay=[0.0, 0.1], sweep__seeds=2
    )
    first = {(2, w, r) for w, r in itertools.product((16, 32), (0.1, 0.2, 0.3))}
    expected = first | {(3, 8, 0.1), (4, 8, 0.1)}
    plan = make_plan(found)
    keys = ("network.depth", "network.width", RATE)
    assert {*zip(*(plan.settings[key].tolist() for key in keys), strict=True)} == expected
    assert plan.num_runs == found.num_runs == 8 * 2 * 2
    assert found.crossed == (
        f"blocks of network.depth, network.width, {RATE} (8) x {DECAY} (2) x seed (2)"
    )


def test_a_block_is_the_runs_that_its_own_file_has() -> None:
    joined = {*make_plan(blocks(BLOCKS, "network.depth", "network.width")).run_ids.tolist()}
    first = sweep(network__width=[16, 32], training__learning_rate=[0.1, 0.2, 0.3])
    second = sweep(network__depth=[3, 4], network__width=8)
    apart = [{*make_plan(each).run_ids.tolist()} for each in (first, second)]
    assert joined == apart[0] | apart[1]


def test_rows_of_two_blocks_that_are_the_same_are_one() -> None:
    found = blocks(
        [{"network": {"width": [8, 16]}}, {"network": {"width": [16, 24]}}], "network.width"
    )
    assert found.values["network.width"] == (8, 16, 24)
    assert found.num_runs == 3


@pytest.mark.parametrize(
    "wrong", [[], [2, 2.5], ["a"], -1, {"from": 2, "to": 3, "count": 1}, {"x": 3}]
)
def test_what_is_wrong_in_the_only_block_is_one_sentence(wrong: Any) -> None:
    with pytest.raises(SpecError) as caught:
        blocks([{"network": {"depth": wrong}}], "network.depth")
    assert caught.value.problems
    assert all(
        told.startswith("sweep: sweep.block[0]: network.depth") for told in caught.value.problems
    )


def test_a_block_leaves_settings_that_others_name_at_their_defaults() -> None:
    tables = [
        {"training": {"optimizer": "gradient_descent"}},
        {"training": {"optimizer": "momentum", "momentum": [0.5, 0.9]}},
    ]
    plan = make_plan(sweep(sweep__block=tables))
    apart = [sweep(), sweep(training__optimizer="momentum", training__momentum=[0.5, 0.9])]
    ids = [each for one in apart for each in make_plan(one).run_ids.tolist()]
    assert sorted(plan.run_ids.tolist()) == sorted(ids)


def test_files_count_by_their_content_however_they_are_named(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("a.npy", "b.npy")]
    for number, path in enumerate(paths):
        np.save(path, np.eye(4, 8) + number)
    key = "problem__operator_file"
    given: dict[str, Any] = {"problem__operator": "file"}
    expected = make_plan(sweep(**given, **{key: paths})).run_ids.tolist()
    joined = sweep(**given, sweep__block=[{"problem": {"operator_file": path}} for path in paths])
    assert make_plan(joined).run_ids.tolist() == expected
    drawn = sweep(**given, **{key: {"sample": "choice", "of": paths}}, sweep__samples=32)
    assert sorted(make_plan(drawn).run_ids.tolist()) == sorted(expected)
    # And so do the rounds of a sweep that refines beside them.
    rates = {"training__learning_rate": [0.1, 1.0], "sweep__refine": {"between": RATE}}
    base = sweep(**given, **{key: paths}, **rates)
    files = base.values["problem.operator_file"]
    shares = {(file,): {0.1: 1.0, 1.0: 0.0} for file in files}
    following = next_round(base, Found(("problem.operator_file",), shares))
    assert following is not None
    assert {*make_plan(base).run_ids.tolist()} < {*make_plan(following).run_ids.tolist()}


def test_formulas_and_figures_know_blocks() -> None:
    figure = {"kind": "curves", "y": ["regression_error"], "hue": "network.depth"}
    found = blocks(
        [{"network": {"depth": 2, "width": [8, 16]}}, {"network": {"depth": 3, "width": 8}}],
        "network.depth",
        "network.width",
        training__learning_rate={"formula": "1 / (network.depth * network.width)"},
        figure=figure,
    )
    assert make_plan(found).settings[RATE].tolist() == [1 / 16, 1 / 32, 1 / 24]
    # A block's width is not told by its depth, as that of a zip would be.
    (note,) = found.figure_notes
    assert "mix runs of every network.width (2 values)" in note


def test_conditions_look_at_the_combinations_that_there_are() -> None:
    tables = [
        {"problem": {"measurement_dim": 4, "subspace_dim": [1, 4]}},
        {"problem": {"measurement_dim": 6, "subspace_dim": 6}},
    ]
    keys = ("problem.measurement_dim", "problem.subspace_dim")
    assert blocks(tables, *keys).num_runs == 3
    tables[0]["problem"]["subspace_dim"] = [1, 6]
    with pytest.raises(Exception, match="subspace_dim") as caught:
        blocks(tables, *keys)
    assert "6" in str(caught.value)
    assert "4" in str(caught.value)


def sample(**given: Any) -> dict[str, Any]:
    return {
        "training__learning_rate": {k.rstrip("_"): v for k, v in given.items()},
        "sweep__samples": 4,
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"training__learning_rate": LOG}, [f"sweep.samples is missing; {RATE} needs the number of samples."]),
        ({"sweep__samples": 3}, ["sweep.samples is given, but nothing is sampled; leave it out, or sample a setting: { sample = \"uniform\", from = ..., to = ... }."]),
        ({"sweep__sampler": "sobol"}, ["sweep.sampler is given, but nothing is sampled; leave it out, or sample a setting: { sample = \"uniform\", from = ..., to = ... }."]),
        (sample(sample="uniform", from_=1, to=1), [f"{RATE} is sampled from 1 to 1; the first must be smaller than the second."]),
        (sample(sample="uniform", from_=2, to=1), [f"{RATE} is sampled from 2 to 1; the first must be smaller than the second."]),
        (sample(sample="log_uniform", from_=0, to=1), [f"{RATE} is sampled from 0 to 1 with 'log_uniform'; both ends must be positive."]),
        (sample(sample="uniform", from_=-1, to=1), [f"{RATE}.from is -1.0; it must be positive."]),
        (sample(sample="uniform", from_=1), [f"{RATE}.to is missing; a sample needs both ends of its range."]),
        (sample(sample="uniform", from_=1, to=2, of=[1]), [f'{RATE}.of is given, which sample = "choice" alone uses; leave it out.']),
        (sample(sample="integer", from_=1.5, to=3), [f"{RATE} is sampled from 1.5 to 3 with 'integer'; both ends must be integers."]),
        (sample(sample="choice"), [f"{RATE}.of is missing; a choice needs the list of values, of = [...]."]),
        (sample(sample="choice", of=[0.1, -1]), [f"{RATE}[1] is -1; it must be positive."]),
        (sample(sample="choice", of=[0.1], to=3), [f"{RATE} is a choice, which has no from and to; leave them out."]),
        ({"network__width": {"sample": "uniform", "from": 2, "to": 9}, "sweep__samples": 4}, ["network.width takes integers; use sample = \"integer\" instead of 'uniform'."]),
        ({"training__optimizer": {"sample": "uniform", "from": 2, "to": 9}, "sweep__samples": 4}, ['training.optimizer is sampled from 2 to 9, but takes no number; use sample = "choice".']),
        ({"sweep__tolerance": LOG, "sweep__samples": 4}, ["sweep.tolerance is sampled; it must be one value for all runs of the file."]),
        (sample(**LOG) | {"sweep__samples": 10**9}, ["the sweep has 1000000000 runs (sweep.samples 1000000000 values); at most 10000000 are allowed; give fewer values, or raise sweep.max_runs."]),
        (sample(**LOG) | {"network__depth": [2, 3], "sweep__zip": [["network.depth", RATE]]}, [f"sweep.zip[0] names '{RATE}', which is sampled; leave it out."]),
        ({"sweep__block": 3}, ["sweep.block is 3; it must be a list."]),
        ({"sweep__block": [{}]}, ["sweep.block[0] is empty; it must name a setting or several."]),
        ({"sweep__block": [{"network": {"dept": 3}}]}, ["sweep.block[0] names 'network.dept', which is not a setting of a run; did you mean 'network.depth'?"]),
        ({"sweep__block": [{"sweep": {"seeds": 3}}]}, ["sweep.block[0] names 'sweep.seeds', which is not a setting of a run; `dlnsweep explain` lists what there is."]),
        ({"sweep__block": [{"network": {"kind": "mlp"}}]}, ["sweep.block[0] names network.kind, which is the same for all runs of a file."]),
        ({"sweep__block": [{"network": {"width": {"formula": "1"}}}]}, ["sweep.block[0] has a formula for network.width; it must be a value, a list or a range."]),
        ({"sweep__block": [{"network": {"width": [0, 3]}}, {}]}, ["sweep.block[1] is empty; it must name a setting or several.", "sweep.block[0]: network.width[0] is 0; it must be at least 1."]),
        ({"sweep__block": [{"network": {"width": [2, 3]}}]}, ["network.width is given, but every [[sweep.block]] has values of its own for it; leave it out of its section."]),
        ({"sweep__block": [{"network": {"width": 3}}, {"network": {"depth": 3}}], "network__width": [4, 5]}, ["sweep.block[1] does not name network.width, which has several values in its section; give it in each block, or one value there."]),
        ({"sweep__block": [{"record": {"count": 5}}, {"record": {"count": 7}}]}, ["sweep.block[0] names record.count, which is the same for all runs of a file.", "sweep.block[1] names record.count, which is the same for all runs of a file."]),
        ({"sweep__block": [{"record": {"observables": ["loss"]}}]}, ["sweep.block[0] names record.observables, which is the same for all runs of a file."]),
        ({"sweep__block": []}, ["sweep.block is empty; give a [[sweep.block]], or leave it out."]),
        ({"sweep__block": [{"network": {"width": 3}, "network.width": 4}]}, ["sweep.block[0] names network.width twice; name it once."]),
        (sample(sample="integer", from_=1, to=1e300), [f"{RATE} is sampled from 1 to 1e+300 with 'integer'; the ends may be 2^53 at most."]),
        (sample(**LOG) | {"sweep__block": [{"training": {"learning_rate": 3}}]}, [f"sweep.block names {RATE}, which is sampled; name it in one place."]),
    ],
)  # fmt: skip
def test_mistakes(changes: dict[str, Any], expected: list[str]) -> None:
    found = problems(**changes)
    assert sorted(found) == sorted(expected)
