"""Several sweeps in one figure and one table: each run counted once, and told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import store_samples as samples

import dlnsweep
from dlnsweep.cli.app import app
from dlnsweep.errors import SpecError
from dlnsweep.figures.labels import observable_label, words_of
from dlnsweep.results.joined import Joined

DECAY = "training.weight_decay"
# One weight decay is in both, and so are its runs.
FIRST, SECOND = (0.1, 0.01), (0.01, 0.5)


@pytest.fixture
def joined(tmp_path: Path) -> Joined:
    samples.complete(tmp_path / "a", samples.plan(FIRST, name="first"))
    settings = dict(samples.plan(SECOND).settings)
    # A setting that the other sweep does not have.
    settings["network.width"] = np.full(6, 8)
    own: dict[str, Any] = {"name": "second", "settings": settings}
    samples.complete(tmp_path / "b", samples.plan(SECOND, **own))
    return dlnsweep.concat([tmp_path / "a", tmp_path / "b"])


def test_the_tables_are_those_of_the_parts_below_each_other(joined: Joined) -> None:
    runs: Any = joined.runs()
    assert list(runs["sweep"]) == ["first"] * 6 + ["second"] * 6
    parts = [part.runs() for part in joined.parts.values()]
    for name in ("run_id", DECAY, "final_error"):
        together = np.concatenate([part[name].to_numpy() for part in parts])
        np.testing.assert_array_equal(runs[name].to_numpy(), together)
    assert runs["network.width"].isna().tolist() == [True] * 6 + [False] * 6
    assert runs["network.width"].dropna().tolist() == [8] * 6
    chosen = joined.runs({"sweep": "second", DECAY: 0.5})
    assert len(chosen) == 3
    curves: Any = joined.curves("error")
    assert set(curves) >= {"sweep", "run_id", "step", "error", "seed", DECAY, "network.width"}
    rows = [len(part.curves("error")) for part in joined.parts.values()]
    assert (curves["sweep"] == "first").sum() == rows[0]
    assert len(curves) == sum(rows)


@pytest.mark.parametrize("at", ["final", "min", 10])
def test_a_summary_is_that_of_each_sweep(joined: Joined, at: Any) -> None:
    table = joined.summary(["sweep", DECAY], "error", at)
    assert len(table) == 4
    for name, part in joined.parts.items():
        alone = part.summary(DECAY, "error", at)
        here: Any = table[table["sweep"] == name].drop(columns="sweep").reset_index(drop=True)
        pd.testing.assert_frame_equal(here, alone)
    with pytest.raises(SpecError, match=r"3 runs stand in more than one of the sweeps"):
        joined.summary(DECAY, "error")


def test_each_sweep_has_its_own_curve_in_one_figure(joined: Joined) -> None:
    keys: dict[str, Any] = {"y": "error", "where": {DECAY: 0.01}}
    figure = joined.figure(**keys, hue="sweep", band="none")
    (ax,) = figure.axes
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["first", "second"]
    one, other = (np.asarray(line.get_ydata(), dtype=float) for line in ax.get_lines()[:2])
    curves: Any = joined.parts["first"].curves("error", {DECAY: 0.01})
    ended: Any = joined.parts["first"].runs({DECAY: 0.01}).set_index("run_id")["status"]
    kept = curves[curves["run_id"].map(ended) == "finished"]
    median = kept.groupby("step")["error"].median().to_numpy()
    np.testing.assert_allclose(one, median)
    np.testing.assert_allclose(other, median)
    assert "first and second" in [text.get_text() for text in figure.texts]
    assert "6 runs" in figure.caption  # type: ignore[attr-defined]
    # Pooled, they would be counted twice; those of one sweep, or of other settings, are not.
    with pytest.raises(SpecError, match=r"tell the sweeps apart: hue = 'sweep'\."):
        joined.figure(**keys)
    assert len(joined.figure(y="error", where={"sweep": "first"}).axes) == 1
    (left, right) = joined.figure(y="error", column_by="sweep", hue=DECAY).axes
    assert (left.get_title(), right.get_title()) == ("sweep first", "sweep second")
    (ax,) = joined.figure(kind="final", x="sweep", y="error", hue=DECAY).axes
    assert [text.get_text() for text in ax.get_xticklabels()] == ["first", "second"]


def test_until_when_seeds_were_added_is_said_of_each_sweep(joined: Joined) -> None:
    asked = {"observable": "error", "width": 0.1, "most_seeds": 40}
    keys: dict[str, Any] = {"y": "error", "hue": "sweep", "where": {DECAY: 0.01}}
    note = "seeds added, 40 at most, until"

    def caption(**changes: Any) -> str:
        return joined.figure(**keys | changes).caption  # type: ignore[attr-defined]

    assert "seeds added" not in caption()
    first, second = joined.parts.values()
    first.sweep["sweep"]["until"] = {"asked": asked, "first": 3}
    assert f"first: {note}" in caption()
    assert caption().count("seeds added") == 1
    # One that is not drawn has nothing to say.
    assert "seeds added" not in caption(where={"sweep": "second"})
    second.sweep["sweep"]["until"] = {"asked": asked | {"most_seeds": 50}, "first": 3}
    assert "second: seeds added, 50 at most, until" in caption()
    second.sweep["sweep"]["until"] = first.sweep["sweep"]["until"]
    assert caption().count("seeds added") == 1
    assert f"first: {note}" not in caption()


def test_a_page_is_of_one_sweep(joined: Joined, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="of one sweep, but 2 are given \\(first and second\\)"):
        joined.report(tmp_path / "page.html")


def test_what_is_of_one_sweep_is_refused(joined: Joined, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for keys, sentence in [
        ({"kind": "boundary", "x": DECAY}, "kind is 'boundary', which is of one sweep, but 2 are"),
        ({"kind": "final", "x": DECAY, "y": "error", "band": "until"}, "band is 'until', which is"),
        ({"kind": "noise"}, "record.noise_levels is not the same in all sweeps"),
    ]:
        with pytest.raises(SpecError, match=sentence):
            joined.figure(**keys)
    for sweeps, sentence in [
        ([], "it must be a list of results or folders"),
        (str(first), "it must be a list of results or folders"),
        ([first, first], "is given twice"),
        ([joined, first], "joined already"),
    ]:
        with pytest.raises(SpecError, match=sentence):
            dlnsweep.concat(sweeps)
    with pytest.raises(SpecError, match="give each of the 2 sweeps its own name"):
        dlnsweep.concat([first, second], names=["same", "same"])
    with pytest.raises(SpecError, match=r"did you mean 'training.weight_decay'"):
        joined.summary("weight_decay")
    with pytest.raises(SpecError, match="is no recorded observable"):
        joined.curves("eror")
    assert list(dlnsweep.concat({"x": first, "y": second}).parts) == ["x", "y"]


def test_sweeps_of_different_kinds_have_no_formula_in_common(tmp_path: Path) -> None:
    for number, kind in enumerate(("deep_linear", "mlp")):
        settings = dict(samples.plan(FIRST).settings)
        settings |= {"problem.kind": np.array(["subspace"] * 6, dtype=object)}
        settings |= {"network.kind": np.array([kind] * 6, dtype=object)}
        settings["network.width"] = np.full(6, 8 + 8 * number)
        if number:
            settings["network.activation"] = np.array(["relu"] * 6, dtype=object)
        own: dict[str, Any] = {"name": kind, "settings": settings}
        samples.complete(tmp_path / kind, samples.plan(FIRST, **own))
    joined = dlnsweep.concat([tmp_path / "deep_linear", tmp_path / "mlp"])
    figure = joined.figure(y="error", hue="sweep")
    caption = figure.caption  # type: ignore[attr-defined]
    assert "varies with sweep: 8, 16" in caption
    assert "kind varies with sweep: deep linear, mlp" in caption
    # It follows from the kind.
    assert "activation" not in caption.replace("$φ$", "")
    with words_of(joined.runs()):
        assert observable_label("loss") == "loss"
    with words_of(joined.parts["deep_linear"].runs()):
        assert "$" in observable_label("loss")


def test_sweeps_of_one_name_are_called_by_their_folders(tmp_path: Path) -> None:
    for folder in ("one/fig", "two/fig"):
        samples.complete(tmp_path / folder, samples.plan(FIRST))
    joined = dlnsweep.concat([tmp_path / "one/fig", tmp_path / "two/fig"])
    assert list(joined.parts) == ["one/fig", "two/fig"]
    assert joined.num_shared == 6


def test_several_folders_on_the_command_line(
    joined: Joined, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = Path(str(joined.parts["first"].path)).parent
    monkeypatch.chdir(here)
    keys = ["figure.y=error", "figure.hue=sweep", 'figure.formats=["png"]', "figure.dpi=50"]
    sets = [part for key in keys for part in ("--set", key)]
    app(["figure", "a", "b", *sets], standalone_mode=False)
    assert capsys.readouterr().out.split() == ["figures/curves.png"]
    assert (here / "figures/curves.png").is_file()
    assert not (here / "a/figures").exists()
