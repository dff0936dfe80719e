"""What is behind a point: its value, the runs that it is of, and those runs by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dlnsweep.contracts.figure import kind_of
from dlnsweep.figures.labels import format_settings, format_value, setting_label, with_symbol
from dlnsweep.figures.records import Records
from dlnsweep.figures.statistics import (
    column_of,
    is_ordered,
    levels,
    matches,
    select,
)
from dlnsweep.figures.survivors import num_diverged
from dlnsweep.results.joined import Joined, Numbered
from dlnsweep.view.artists import Panel, listed
from dlnsweep.view.words import words

# More single runs than these hide each other.
MOST_SINGLE = 60
_MOST_NAMED = 8


class Hover:
    """What is said of each point of a figure.

    Args:
        results: The results.
        settings: The figure's settings.
        drawn: The figure.
    """

    def __init__(self, results: Any, settings: Any, drawn: Any) -> None:
        # As it was drawn: runs of several sweeps are numbered.
        results = Numbered(results) if isinstance(results, Joined) else results
        self.results, self.settings = results, settings
        self._kind = kind_of(settings)
        self._across = self._kind.axis(settings)
        self.selection = select(results, settings.where)
        varying = [name for name in self.selection.varying if name != "seed"]
        self._is_joined = isinstance(results, Numbered)
        self._told = ["seed", *varying[:_MOST_NAMED]]
        grid = getattr(drawn, "grid", None)
        self._panels = {panel.ax: panel for panel in grid.panels} if grid is not None else {}
        self._curve_of = {line: curve for curve, line in grid.measured} if grid is not None else {}
        self._colour_of = grid.colour_of if grid is not None else {}
        self._finals = Records(results, self.selection)

    def are_runs(self, line: Any) -> bool:
        """Return whether each point of a line is one run."""
        return self._kind.mixes == "points" and line in self._curve_of

    def line(self, panel: Panel, line: Any, most: int | None) -> dict[str, Any]:
        """Return the texts of a line's points."""
        if self.are_runs(line):
            return self._points(line, most)
        x, y = (np.asarray(each, dtype=float) for each in line.get_data())
        if line not in self._curve_of:
            label = str(line.get_label())
            if label.startswith("_"):
                return {"hoverinfo": "skip"}
            return {"hovertext": words(label), "hoverinfo": "text"}
        curve = self._curve_of[line]
        left = int(curve.runs.sum())
        total = left + num_diverged(self.selection, curve.where)
        number = f"{left} of {total} runs left" if left < total else f"{left} runs"
        head = [*_named(curve.where), number]
        if self._across == "step":
            # One template for all points of a curve: its name may hold no variables of Plotly's.
            moved = panel.moved("x")(x) is not x and panel.ax.get_xscale() not in ("linear", "log")
            step = "%{customdata:.6g}" if moved else "%{x:.6g}"
            shown = "<br>".join(head).replace("%", "&#37;")
            text = f"{shown}<br>step {step}<br>%{{y:.6g}}<extra></extra>"
            return {"hovertemplate": text, **({"customdata": listed(x)} if moved else {})}
        at = [self._place(value) for value in x.tolist()]
        texts = ["<br>".join([*head, a, f"{b:.6g}"]) for a, b in zip(at, y.tolist(), strict=True)]
        return {"hovertext": texts, "hoverinfo": "text"}

    def _place(self, x: float) -> str:
        """Return what stands at a place of a horizontal axis."""
        if self._across != "setting":
            return f"x {x:.6g}"
        name = self.settings.x
        places = levels(self.selection.runs, name)
        if not is_ordered(places) or None in places:
            return words(with_symbol(name, format_settings(name, places)[round(x)]))
        # Points may stand a little aside.
        return words(with_symbol(name, format_value(min(places, key=lambda at: abs(at - x)))))

    def cells(self, cells: np.ndarray) -> dict[str, Any]:
        """Return the texts of a heatmap's cells."""
        runs, keys = self.selection.runs, self.settings
        # Each value is written once: there may be thousands of cells.
        columns, rows = (
            [words(with_symbol(name, each)) for each in format_settings(name, levels(runs, name))]
            for name in (keys.x, keys.y)
        )
        texts = [
            [
                f"{column}<br>{row}<br>" + (f"{value:.6g}" if np.isfinite(value) else "no value")
                for column, value in zip(columns, values, strict=True)
            ]
            for row, values in zip(rows, cells.tolist(), strict=True)
        ]
        return {"hovertext": texts, "hoverinfo": "text"}

    def single(self, panel: Panel) -> tuple[list[dict[str, Any]], list[str]]:
        """Return some runs of a panel by themselves, diverged ones dotted, and what they are."""
        place = self._panels.get(panel.ax)
        if place is None or not self._kind.shows_single_runs:
            return [], []
        if getattr(self.settings, "quantity", "value") != "value":
            return [], ["single runs are not shown as rates"]
        runs = self.selection.runs
        done = runs["status"].isin(["finished", "stopped", "diverged"]).to_numpy()
        inside = np.ones(len(runs), dtype=bool)
        for name, value in place.where.items():
            inside &= matches(runs, name, value)
        there = np.flatnonzero(done & inside)
        kept = there[np.unique(np.linspace(0, len(there) - 1, MOST_SINGLE).round().astype(int))] \
            if len(there) > MOST_SINGLE else there  # fmt: skip
        chosen = runs.iloc[kept]
        some = f"{len(kept)} of {len(there)} runs" if len(kept) < len(there) else "all runs"
        told = f"thin: {some}{' a panel' if len(self._panels) > 1 else ''}, dotted where diverged"
        make = self._curves if self._across == "step" else self._finals_of
        return make(panel, place.observable, chosen), [f"{told} (on this page only)"]

    def _curves(self, panel: Panel, name: str, chosen: pd.DataFrame) -> list[dict[str, Any]]:
        wanted = chosen.index.to_numpy()
        parts: dict[Any, list[tuple[np.ndarray, np.ndarray]]] = {}
        for table in self.results.curve_batches([name]):
            if name not in table.column_names or pa.types.is_nested(table[name].type):
                continue
            rows = table.filter(pa.array(np.isin(table["run_id"].to_numpy(), wanted)))
            ids, step, value = (rows[k].to_numpy() for k in ("run_id", "step", name))
            for run in np.unique(ids).tolist():
                mine = ids == run
                parts.setdefault(run, []).append((step[mine], value[mine]))
        traces = []
        for run, row in zip(chosen.index.tolist(), chosen.to_dict("records"), strict=True):
            if run not in parts:
                continue
            step, value = (np.concatenate(each) for each in zip(*parts[run], strict=True))
            look = self._look(row)
            traces.append(
                panel.trace(
                    step,
                    value,
                    mode="lines",
                    hovertext=self._text(run, row),
                    hoverinfo="text",
                    line={"width": 1, **look},
                    opacity=0.45,
                )
            )
        return traces

    def _finals_of(self, panel: Panel, name: str, chosen: pd.DataFrame) -> list[dict[str, Any]]:
        values = pd.Series(
            self._finals.per_run(name, self.settings.at), index=self.selection.used.index
        ).reindex(chosen.index)
        places = levels(self.selection.runs, self.settings.x)
        numbers = all(isinstance(each, int | float) for each in places)
        at: list[Any] = [row[self.settings.x] for row in chosen.to_dict("records")]
        # Levels have None for what a run does not use, columns of numbers NaN.
        at = [None if is_blank(each) else each for each in at]
        x = [float(each) if numbers else float(places.index(each)) for each in at]
        if name in getattr(self.settings, "over_x", ()):
            values = values / x
        rows = chosen.to_dict("records")
        texts = [self._text(run, row) for run, row in zip(chosen.index, rows, strict=True)]
        colours = [self._look(row)["color"] for row in rows]
        return [
            panel.trace(
                x,
                values.to_numpy(dtype=float),
                mode="markers",
                hovertext=texts,
                hoverinfo="text",
                opacity=0.45,
                marker={"size": 5, "color": colours},
            )
        ]

    def _look(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        hue = getattr(self.settings, "hue", None)
        value = row.get(hue) if hue else None
        value = None if is_blank(value) else value
        colour = self._colour_of.get(value, "#888888")
        return {"color": colour, "dash": "dot" if row["status"] == "diverged" else "solid"}

    def _points(self, line: Any, most: int | None) -> dict[str, Any]:
        x, y = (np.asarray(each, dtype=float) for each in line.get_data())
        panel = self._panels[line.axes]
        places = np.flatnonzero(self._curve_of[line].runs)
        if len(places) != len(x):
            places = places[self._finite(panel.observable)[places]]
        if len(places) != len(x):
            return {"hoverinfo": "none"}
        if most is not None and len(x) > most:
            kept = np.unique(np.linspace(0, len(x) - 1, most).round().astype(int))
            places, x, y = places[kept], x[kept], y[kept]
        used = self.selection.used.iloc[places]
        head = _columns(used, self._told, named=not self._is_joined)
        texts = [
            f"{text}<br>x {a:.6g}<br>y {b:.6g}"
            for text, a, b in zip(head, x.tolist(), y.tolist(), strict=True)
        ]
        return {
            "hovertext": texts, "hoverinfo": "text",
            "customdata": [str(run) for run in used.index.tolist()],
        }  # fmt: skip

    def _finite(self, observable: str) -> np.ndarray:
        keys = self.settings
        if keys.x_is_setting:
            column = column_of(self.selection.used, keys.x)
            x = column.to_numpy(dtype=float, na_value=np.nan)
        else:
            x = self._finals.per_run(keys.x, keys.at)
        return np.isfinite(x) & np.isfinite(self._finals.per_run(observable, keys.at))

    def _text(self, run: Any, row: Mapping[Any, Any]) -> str:
        lines = [*([] if self._is_joined else [f"run {run}"]), str(row["status"])]
        lines += [_setting(name, row.get(name)) for name in self._told]
        return "<br>".join(map(words, lines))


def _columns(used: pd.DataFrame, told: Sequence[str], *, named: bool) -> list[str]:
    """Return for each run its id, status and settings; each value is written once only."""
    texts = [f"run {run}" if named else "one run" for run in used.index.tolist()]
    for name in ("status", *(name for name in told if name in used)):
        codes, values = pd.factorize(used[name], use_na_sentinel=False)
        written = [
            words(str(value)) if name == "status" else words(_setting(name, value))
            for value in values
        ]
        texts = [f"{text}<br>{written[code]}" for text, code in zip(texts, codes, strict=True)]
    return texts


def is_blank(value: Any) -> bool:
    """Return whether a run does not use a setting."""
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def _setting(name: str, value: Any) -> str:
    value = None if is_blank(value) else value
    if hasattr(value, "item"):
        value = value.item()
    return f"{setting_label(name)} = {format_value(value)}" if name != "seed" else f"seed {value}"


def _named(where: Mapping[str, Any]) -> list[str]:
    return [words(with_symbol(name, format_value(value))) for name, value in where.items()]
