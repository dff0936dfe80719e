"""Every kind of figure on the page: the numbers of what Matplotlib draws, and single runs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from figure_samples import DECAY, DECAYS, DEPTH, KINDS, STEPS, of_every_kind

from dlnsweep.contracts.figure import read_figure
from dlnsweep.figures.draw import draw
from dlnsweep.view.picture import picture


def numbers(values: Any) -> np.ndarray:
    """Return what the page is sent, NaN where it has nothing."""
    return np.array(values, dtype=float)


def page_of(kind: str, *, single: bool = False, **keys: Any) -> Any:
    made = picture(of_every_kind(), {"kind": kind, **KINDS[kind], **keys}, single=single)
    json.dumps(made.figure, allow_nan=False)
    return made


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "heatmap"])
def test_lines_and_points_are_those_of_the_figure(kind: str) -> None:
    drawn: Any = draw(of_every_kind(), read_figure({"kind": kind, **KINDS[kind]}))
    page = page_of(kind)
    (ax,) = [ax for ax in drawn.axes if ax.axison]
    theirs = [line for line in ax.get_lines() if line not in _caps(ax)]
    ours = [each for each in page.figure["data"] if not each.get("fill")]
    found = [(numbers(each["x"]), numbers(each["y"])) for each in ours]
    assert theirs
    for line in theirs:
        x, y = (np.asarray(each, dtype=float) for each in line.get_data())
        # Plotly has no scale that is linear near 0 and logarithmic beyond: places are sent.
        symlog = ax.get_xscale() == "symlog"
        x = ax.xaxis.get_transform().transform(x) if symlog else x
        assert any(
            len(y) == len(b) and np.array_equal(y, b, equal_nan=True) and np.allclose(x, a)
            for a, b in found
        ), line
    assert page.figure["layout"]["xaxis"]["type"] == ax.get_xscale().replace("symlog", "linear")


def _caps(ax: Any) -> set[Any]:
    return {cap for container in ax.containers for cap in container[1]}


def thin(page: Any) -> list[dict[str, Any]]:
    """Return the traces of single runs."""
    return [each for each in page.figure["data"] if each.get("opacity") == 0.45]


def test_single_curves_are_those_of_the_runs() -> None:
    page = page_of("curves", single=True, where={DECAY: DECAYS[0]})
    # No run with this decay diverged.
    wanted = of_every_kind().values("regression_error", training__weight_decay=DECAYS[0])
    found = []
    for each in thin(page):
        # The sample has its rows in any order, which a folder has not.
        order = np.argsort(numbers(each["x"]))
        found.append(tuple(numbers(each["y"])[order]))
        assert len(order) == len(STEPS)
    assert sorted(found) == sorted(map(tuple, wanted.T))
    assert "thin: all runs" in page.notes


def test_single_points_are_the_last_values_of_the_runs() -> None:
    page = page_of("final", single=True)
    (points,) = thin(page)
    there = np.isfinite(numbers(points["y"]))
    made = of_every_kind()
    wanted = [made.values("regression_error", training__weight_decay=each)[-1] for each in DECAYS]
    pairs = zip(numbers(points["x"])[there], numbers(points["y"])[there], strict=True)
    assert sorted(pairs) == sorted(
        (decay, value) for decay, values in zip(DECAYS, wanted, strict=True) for value in values
    )


def test_diverged_single_runs_are_dotted() -> None:
    page = page_of("curves", single=True, where={DECAY: 0.1, DEPTH: 2})
    assert sorted(each["line"]["dash"] for each in thin(page)) == ["dot"] * 4 + ["solid"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("curves", "final")])
def test_kinds_without_single_runs_show_none(kind: str) -> None:
    assert page_of(kind, single=True).figure == page_of(kind).figure


def test_a_legend_has_the_dashes_of_its_lines() -> None:
    """Two formulas would be told apart by nothing else."""
    page = page_of("curves", style_by=DEPTH, band="none")
    entries = page.legend[1]
    patterns = {entry.words: entry.dashes for entry in entries if entry.words in ("2", "3")}
    assert patterns["2"] == ()
    assert len(patterns["3"]) == 2
    drawn = {each["line"]["dash"] for each in page.figure["data"]}
    assert drawn == {"solid", ",".join(f"{each:.3g}px" for each in patterns["3"])}
