"""Seeds are added in rounds until intervals are narrow enough; what is refused."""

# ruff: noqa: E501  (a mistake and its sentence stand in one line of a table)

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import store_samples as samples
from spec_samples import document, problems, sweep
from sweep_samples import data_files

import dlnsweep
from dlnsweep.analysis.intervals import intervals_text, progress, stands
from dlnsweep.analysis.sequential import looks, median_of
from dlnsweep.cli.app import app
from dlnsweep.contracts.figure import read_figure
from dlnsweep.errors import Interrupted, SpecError, StoreError
from dlnsweep.execution.rounds.sequence import progress as told_by_status
from dlnsweep.figures.draw import draw
from dlnsweep.plan.plan import make_plan
from dlnsweep.settings.refine import Refine
from dlnsweep.settings.until import Until
from dlnsweep.store import Store

DECAY, DEPTH = "training.weight_decay", "network.depth"
ASKED = {"observable": "regression_error", "width": 0.5, "relative": True, "most_seeds": 40}


def asks(until: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return document(
        training__weight_decay=[0.01, 0.1],
        training__num_steps=60,
        record={"count": 3, "observables": ["regression_error"]},
        sweep={"seeds": 6, "until": until},
        **changes,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[dlnsweep.Results, list[str]]:
    told: list[str] = []
    root = tmp_path_factory.mktemp("until")
    results = dlnsweep.run(
        asks(ASKED), root, workers=0, on_event=lambda e: told.append(e.text or "")
    )
    return results, told


def test_each_combination_has_as_many_seeds_as_it_takes(done: Any) -> None:
    results, told = done
    table, runs = dlnsweep.intervals(results), results.runs()
    sizes = looks(6, 40, 1.5)
    assert table[DECAY].tolist() == [0.01, 0.1]
    assert len(set(table["num_seeds"])) == 2, "one of them takes more"
    for row in table.to_dict("records"):
        own = runs[runs[DECAY] == row[DECAY]].sort_values("seed")
        assert own["seed"].tolist() == list(range(row["num_seeds"]))
        found = median_of(np.zeros(0), [0], 40, 0.05)
        finals = own["final_regression_error"].to_numpy()
        # Look after look by the function of one look, and it stops at the first that is narrow.
        for number, size in enumerate(sizes[: sizes.index(row["num_seeds"]) + 1], 1):
            found = median_of(finals[:size], sizes[:number], 40, 0.05)
            narrow = found.high - found.low <= 0.5 * abs(found.value)
            assert narrow == (size == row["num_seeds"] and row["ended"] == "narrow")
        assert (row["estimate"], row["low"], row["high"]) == (found.value, found.low, found.high)
    rounds = [text for text in told if text.startswith("round ")]
    assert rounds[0].startswith(f"round 1 of at most {len(sizes) - 1}: ")
    assert rounds[0].endswith(" more runs")
    assert len(rounds) == sizes.index(table["num_seeds"].max())
    assert progress(results) == told_by_status(results) == told[-1]
    text = intervals_text(table, f"until {Until(**ASKED).sentence}")
    assert text.startswith(
        "until the 95 % interval of the median of regression_error is no wider than 0.5 of its size"
    )


def test_a_sweep_that_is_stopped_goes_through_the_same_rounds(done: Any, tmp_path: Path) -> None:
    whole, told = done
    again: list[str] = []
    dlnsweep.run(
        asks(ASKED), whole.path.parent, workers=0, on_event=lambda e: again.append(e.text or "")
    )
    assert again == [text for text in told if "intervals are" in text]
    seen = 0

    def stop() -> bool:
        nonlocal seen
        seen += 1
        # Three rounds in the end; one is done, and the next has its runs planned.
        return dlnsweep.open_results(tmp_path / "sample").store.status().done >= 12

    with pytest.raises(Interrupted):
        dlnsweep.run(asks(ASKED), tmp_path, workers=0, should_stop=stop)
    left = dlnsweep.open_results(tmp_path / "sample")
    status = left.store.status()
    assert 12 <= status.done < status.planned
    assert "need more seeds (round " in progress(left)
    assert "running" in dlnsweep.intervals(left)["ended"].tolist()
    ended = dlnsweep.run(asks(ASKED), tmp_path, workers=0)
    assert data_files(ended.path) == data_files(whole.path)


def test_differences_and_successes_are_asked_for_alike(done: Any, tmp_path: Path) -> None:
    """The same folder answers another question, with more seeds where it needs them."""
    results, _ = done
    before = len(results.runs())
    apart = {**ASKED, "relative": False, "width": 0.5, "against": {DECAY: 0.01}}
    found = dlnsweep.run(asks(apart), results.path.parent, workers=0)
    (row,) = dlnsweep.intervals(found).to_dict("records")
    runs: Any = found.runs()
    own, base = (
        runs[(runs[DECAY] == decay) & (runs["seed"] < row["num_seeds"])]
        .sort_values("seed")["final_regression_error"]
        .to_numpy()
        for decay in (0.1, 0.01)
    )
    assert row["estimate"] == pytest.approx(np.median(own - base), rel=1e-15)
    assert row["low"] <= row["estimate"] <= row["high"]
    works = {"success": "finished", "width": 0.6, "most_seeds": 40, "where": {DECAY: 0.1}}
    found = dlnsweep.run(asks(works), results.path.parent, workers=0)
    (row,) = dlnsweep.intervals(found).to_dict("records")
    assert (row[DECAY], row["estimate"], row["high"], row["ended"]) == (0.1, 1.0, 1.0, "narrow")
    assert len(found.runs()) >= before
    # As it was, for the other tests.
    dlnsweep.run(asks(ASKED), results.path.parent, workers=0)


def test_bars_are_the_intervals_and_other_bars_are_told_apart(done: Any) -> None:
    results, _ = done
    table = dlnsweep.intervals(results)
    keys = {"kind": "final", "x": DECAY, "y": "regression_error"}
    figure = draw(results, read_figure({**keys, "band": "until"}))
    (bars,) = figure.axes[0].containers
    line, _, (sticks,) = bars
    np.testing.assert_array_equal(line.get_ydata(), table["estimate"])
    np.testing.assert_allclose(
        [segment[:, 1] for segment in sticks.get_segments()], table[["low", "high"]], rtol=1e-12
    )
    text = "\n".join(each.get_text() for each in figure.texts)
    assert "bars: the interval that was asked for" in text
    assert "not that one" not in text
    figure = draw(results, read_figure(keys))
    text = " ".join(each.get_text() for each in figure.texts)
    assert "seeds added, 40 at most, until the 95 % interval" in text
    assert "(the interval that is drawn is not that one)" in text


def test_what_the_folder_says_may_be_damaged_or_not_there(done: Any) -> None:
    results = dlnsweep.open_results(done[0].path)
    record = results.sweep["sweep"]
    for wrong in (3, {"asked": {}, "first": 6}, {"asked": record["until"]["asked"], "first": 1}):
        record["until"] = wrong
        with pytest.raises(StoreError, match=r"what the folder says of \[sweep.until\] is damaged"):
            dlnsweep.intervals(results)
    del record["until"]
    with pytest.raises(SpecError, match=r"the sweep has no \[sweep.until\]; `dlnsweep summary`"):
        dlnsweep.intervals(results)
    assert told_by_status(results) == ""


def test_on_the_command_line(done: Any, capsys: Any, tmp_path: Path) -> None:
    results, told = done
    for command in (
        ["intervals", str(results.path), "--csv", str(tmp_path / "a.csv")],
        ["status", str(results.path)],
    ):
        with pytest.raises(SystemExit) as ended:
            app(command)
        assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "until the 95 % interval of the median" in out
    assert told[-1] in out
    assert (
        (tmp_path / "a.csv")
        .read_text()
        .startswith(f"{DECAY},num_seeds,num_values,estimate,low,high,ended")
    )


UNTIL = Until.model_validate({"observable": "error", "width": 0.5, "most_seeds": 9})
REFINE = Refine.model_validate(
    {"between": DECAY, "success": {"observable": "error", "below": 0.1}, "tolerance": 0.1}
)


@pytest.mark.parametrize(
    ("command", "asked", "told"),
    [
        ("intervals", {"until": {"asked": UNTIL.model_dump(mode="json"), "first": 2}}, "running"),
        (
            "status",
            {"until": {"asked": UNTIL.model_dump(mode="json"), "first": 2}},
            "0 of 4 interv",
        ),
        ("boundary", {"refine": REFINE.model_dump(mode="json")}, f"along {DECAY}: no run is done"),
        ("status", {"refine": REFINE.model_dump(mode="json")}, f"of {DECAY}: no run is done yet"),
        ("summary", {}, "no run is done yet"),
    ],
)
def test_while_no_run_is_done_there_is_an_answer(
    command: str, asked: dict[str, Any], told: str, capsys: Any, tmp_path: Path
) -> None:
    record = {**samples.plan().record, "axes": [[DECAY]], **asked}
    Store.create(tmp_path / "a", samples.plan(record=record), samples.ENVIRONMENT)
    pivot = ["--pivot", DECAY] if command == "summary" else []
    app([command, str(tmp_path / "a"), *pivot], standalone_mode=False)
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        ["claims"],
        ["transition", "--x", DEPTH, "--success", "error < 0.1"],
        ["extrapolate", "--in", DEPTH, "--of", "error"],
    ],
    ids=lambda command: command[0],
)
def test_nobody_is_told_that_nothing_was_recorded_while_no_run_is_done(
    command: list[str], tmp_path: Path
) -> None:
    Store.create(tmp_path / "a", samples.plan(), samples.ENVIRONMENT)
    with pytest.raises(StoreError, match=r"a: none of its \d+ runs is done yet"):
        app([command[0], str(tmp_path / "a"), *command[1:]], standalone_mode=False)


def test_ids_are_those_of_the_sweep_without_rounds_and_the_most_is_told() -> None:
    plain = document(training__weight_decay=[0.01, 0.1], sweep={"seeds": 6})
    asked = document(training__weight_decay=[0.01, 0.1], sweep={"seeds": 6, "until": ASKED})
    one, other = (dlnsweep.Sweep.from_dict(each) for each in (plain, asked))
    np.testing.assert_array_equal(make_plan(one).run_ids, make_plan(other).run_ids)
    (line,) = other.computed
    assert line == (
        "seeds are added to 6, by a factor of 1.5 a round, up to 40, until the 95 % interval of the "
        "median of regression_error is no wider than 0.5 of its size: at most 80 runs, 8 k run-steps"
    )


OBSERVED = {"observable": "regression_error", "width": 0.1, "most_seeds": 20}
DECAYS = {"training__weight_decay": [0.0, 0.1]}


@pytest.mark.parametrize(
    ("until", "changes", "expected"),
    [
        (OBSERVED, {"sweep__seeds": 1}, "sweep.seeds is 1, of which there is no interval"),
        (OBSERVED, {"sweep__seeds": [0, 4]}, "sweep.seeds is a list or a range, but sweep.until adds seeds to 0, 1, 2"),
        (OBSERVED, {"sweep__seeds": 30}, "sweep.until.most_seeds is 20, fewer than sweep.seeds, 30"),
        ({**OBSERVED, "width": 0.0}, {}, "sweep.until.width is 0.0; it must be positive."),
        ({"observable": "loss", "most_seeds": 20}, {}, "sweep.until.width is missing"),
        ({**OBSERVED, "observable": "los"}, {}, "sweep.until names 'los'; it must be a recorded scalar observable"),
        ({"width": 0.1, "most_seeds": 20}, {}, "sweep.until names neither observable nor success; it must name one"),
        ({**OBSERVED, "success": "finished"}, {}, "sweep.until names both; it must name one"),
        ({"success": "done", "width": 0.1, "most_seeds": 20}, {}, "sweep.until.success is 'done'; it must be 'finished', {"),
        ({"success": [], "width": 0.1, "most_seeds": 20}, {}, "sweep.until.success is []; it must be 'finished', {"),
        ({"success": "finished", "width": 1.0, "most_seeds": 20}, {}, "sweep.until.width is 1; of a probability it must be below 1."),
        ({"success": "finished", "width": 0.1, "most_seeds": 20, "relative": True}, {}, "sweep.until.relative is true, but the width of a probability"),
        ({"success": "finished", "width": 0.1, "most_seeds": 20, "against": {DECAY: 0.0}}, DECAYS, "sweep.until.against is for an observable's median"),
        ({**OBSERVED, "against": {"training.decay": 0.0}}, {}, "sweep.until.against names 'training.decay', which is not a setting; did you mean"),
        ({**OBSERVED, "against": {DECAY: 0.5}}, DECAYS, "sweep.until.against names 'training.weight_decay' with 0.5, but its values are 0.0, 0.1."),
        ({**OBSERVED, "against": {DECAY: [0.0, 0.1]}}, DECAYS, "sweep.until.against names 'training.weight_decay' with several values"),
        ({**OBSERVED, "against": {DEPTH: 2}}, DECAYS, "sweep.until.against names 'network.depth', which is no axis of this file"),
        ({**OBSERVED, "difference": "medians"}, {}, "sweep.until.difference is given, but sweep.until.against is not"),
        ({**OBSERVED, "most_seeds": 1}, {}, "sweep.until.most_seeds is 1; it must be at least 2"),
        (OBSERVED, {"sweep__max_runs": 19}, "sweep.until may take 20 runs, 20 seeds in 1 combinations, but at most 19"),
        (OBSERVED, {**DECAYS, "sweep__refine": {"between": DECAY, "spacing": "linear"}}, "sweep.until and sweep.refine are both given; take one"),
        (3, {}, "sweep.until is 3; it must be a table"),
    ],
)  # fmt: skip
def test_mistakes(until: Any, changes: dict[str, Any], expected: str) -> None:
    found = problems(**{"sweep__seeds": 4, "sweep__until": until, **changes})
    assert [sentence for sentence in found if sentence.startswith(expected)], found
    assert len(found) == 1, found


def test_what_a_combination_does_not_use_is_compared_once() -> None:
    # As a folder has them: gradient descent knows no momentum.
    keys = ("training.optimizer", "training.momentum")
    values = {
        ("gradient_descent", None): np.zeros(10),
        ("momentum", 0.5): np.ones(10),
        ("momentum", 0.8): np.full(10, 2.0),
    }
    for against, expected in (
        (("training.optimizer", "gradient_descent"), {0.5: 1.0, 0.8: 2.0}),
        (("training.momentum", 0.8), {0.5: -1.0}),
        # Which of several it is compared with stands in its own place.
        (("training.optimizer", "momentum"), {0.5: -1.0, 0.8: -2.0}),
    ):
        until = Until(
            observable="loss", width=0.1, most_seeds=10, against={against[0]: (against[1],)}
        )
        found = {row[1]: stand for row, stand in stands(keys, values, until, 10)}
        assert {key: stand.estimate.value for key, stand in found.items()} == expected
        assert all(stand.narrow for stand in found.values())
    # What it does not use cannot leave it out, as it does not from rounds.
    until = Until(observable="loss", width=0.1, most_seeds=10, where={"training.momentum": (0.5,)})
    assert [row[1] for row, _ in stands(keys, values, until, 10)] == [None, 0.5]


def test_what_moves_together_is_named_together() -> None:
    together = {
        "network__depth": [2, 3], "training__weight_decay": [0.0, 0.1],
        "sweep__zip": [[DEPTH, DECAY]], "sweep__seeds": 4,
    }  # fmt: skip
    (found,) = problems(**together, sweep__until={**OBSERVED, "against": {DECAY: 0.0}})
    assert "the combination of network.depth = 3, training.weight_decay = 0.0, which this" in found
    assert sweep(**together, sweep__until={**OBSERVED, "against": {DECAY: 0.0, DEPTH: 2}})
    with_where = {**OBSERVED, "where": {DECAY: 0.0, DEPTH: 3}}
    (found,) = problems(**together, sweep__until=with_where)
    assert found.startswith("sweep.until.where selects no combination")


@pytest.mark.parametrize(
    ("until", "figure", "expected"),
    [
        (OBSERVED, {"y": "loss"}, "figure.y names 'loss', but the intervals of sweep.until are of 'regression_error'"),
        (OBSERVED, {"at": "min"}, "figure.band is 'until', whose intervals are of the runs' ends"),
        ({**OBSERVED, "against": {DECAY: 0.0}}, {}, "figure.band is 'until', but sweep.until asks for the median difference of"),
        (None, {}, "figure.band is 'until', but no intervals are asked for"),
    ],
)  # fmt: skip
def test_figures_that_have_no_place_for_the_intervals(
    until: Any, figure: Any, expected: str
) -> None:
    asked = {"kind": "final", "x": DECAY, "y": "regression_error", "band": "until", **figure}
    own = {"sweep__until": until} if until else {}
    observed = {"record__observables": ["loss", "regression_error"]}
    (found,) = problems(**DECAYS, **observed, sweep__seeds=4, **own, figure=asked)
    assert found.startswith(expected)
