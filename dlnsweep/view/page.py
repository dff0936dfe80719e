"""The page: a form of the keys of a `[figure]`, and the figure of each sweep beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, cast

from dash import ALL, Dash, Input, Output, State, dcc, html, no_update

from dlnsweep.errors import DlnsweepError, SpecError
from dlnsweep.results.joined import SWEEP, concat
from dlnsweep.settings.figures import FIGURES
from dlnsweep.settings.sentences import printable
from dlnsweep.view.forms import CONTROLS, Control, options_of, settled, shown
from dlnsweep.view.picture import Picture, picture, sentence
from dlnsweep.view.sweeps import Sweeps
from dlnsweep.view.tables import figure_toml, form_of, table_of

_LOOK_EVERY_MS = 2000
_GRAPH: dict[str, Any] = {
    "displaylogo": False,
    "responsive": True,
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    "toImageButtonOptions": {"format": "svg", "filename": "dlnsweep"},
}
_EMPTY: dict[str, Any] = {"data": [], "layout": {"height": 60, "paper_bgcolor": "rgba(0,0,0,0)"}}


def make_app(sweeps: Sweeps) -> Dash:
    """Return the page as a Dash application, which serves all it needs itself.

    Args:
        sweeps: The folders that it shows.
    """
    app = Dash(
        "dlnsweep.view",
        title="dlnsweep view",
        update_title="",
        serve_locally=True,
        assets_folder=str(files("dlnsweep").joinpath("view", "assets")),
        compress=False,
    )
    app.enable_dev_tools(debug=False)
    app.layout = lambda: _layout(sweeps)
    _connect(app, sweeps)
    return app


def _layout(sweeps: Sweeps) -> Any:
    labels = sweeps.labels()
    several = len(labels) > 1
    with sweeps.lock:
        form, more = form_of(_first(sweeps))
        offer = sweeps.offer(range(len(labels)))
    form = settled(form, offer)
    controls = [_control(control, form, options_of(control, form, offer)) for control in CONTROLS]
    return html.Div(
        className="page",
        children=[
            html.Header([html.H1("dlnsweep view"), html.P(id="status", role="status")]),
            html.Details(
                open=True,
                className="form",
                children=[
                    html.Summary("What is drawn"),
                    html.Fieldset(
                        style={} if len(labels) > 1 else {"display": "none"},
                        children=[
                            html.Legend("sweeps"),
                            dcc.Checklist(
                                [{"label": name, "value": i} for i, name in enumerate(labels)],
                                list(range(min(len(labels), 4))),
                                id="sweeps",
                            ),
                        ],
                    ),
                    *controls,
                    html.Div(
                        className="control wide",
                        children=[
                            html.Label("further keys of [figure], as TOML", htmlFor="more"),
                            dcc.Textarea(
                                id="more",
                                value=more,
                                placeholder="quantiles = [0.1, 0.9]",
                                spellCheck=False,
                            ),
                        ],
                    ),
                    dcc.Checklist(
                        [
                            {"label": "single runs", "value": "single"},
                            *several
                            * [
                                {"label": "all sweeps in one figure", "value": "together"},
                                {"label": "same axes in all sweeps", "value": "same"},
                            ],
                        ],
                        ["same"] * several,
                        id="switches",
                    ),
                ],
            ),
            html.Main([_section(number, name) for number, name in enumerate(labels)]),
            html.Section(
                className="copy",
                children=[
                    html.H2("Copy as [figure]"),
                    html.P(
                        "In a file figure.toml, it is drawn by: dlnsweep figure RESULTS --file "
                        "figure.toml"
                    ),
                    html.Div(
                        className="code",
                        children=[
                            html.Pre(id="toml", tabIndex=0),
                            dcc.Clipboard(target_id="toml", title="copy as [figure]"),
                        ],
                    ),
                ],
            ),
            dcc.Interval(id="clock", interval=_LOOK_EVERY_MS),
            dcc.Store(id="mark", data=sweeps.mark()),
        ],
    )


def _first(sweeps: Sweeps) -> dict[str, Any]:
    try:
        return sweeps.all[0].figure()
    except DlnsweepError:
        return {"kind": "curves"}


def _control(control: Control, form: Mapping[str, Any], options: list[dict[str, Any]]) -> Any:
    return html.Div(
        id=f"of-{control.name}",
        className="control" + " wide" * control.several,
        style=None if shown(control, form) else {"display": "none"},
        children=[
            html.Label(control.label, htmlFor=control.name),
            dcc.Dropdown(
                options, form.get(control.name), id=control.name, multi=control.several,
                clearable=control.clearable, placeholder=control.placeholder,
            ),
        ],
    )  # fmt: skip


def _section(number: int, name: str) -> Any:
    return html.Section(
        id={"type": "sweep", "index": number},
        children=[
            html.H2(name, id={"type": "name", "index": number}),
            html.P(id={"type": "problem", "index": number}, className="problem", role="alert"),
            html.Div(
                className="card",
                children=[
                    html.Div(id={"type": "legend", "index": number}, className="legend"),
                    dcc.Graph(
                        figure=_EMPTY,
                        config=cast("Any", _GRAPH), id={"type": "graph", "index": number},
                        className="graph",
                    ),
                ],
            ),
            html.P(id={"type": "notes", "index": number}, className="notes"),
        ],
    )  # fmt: skip


def _connect(app: Dash, sweeps: Sweeps) -> None:
    names = [control.name for control in CONTROLS]
    everyone = range(len(sweeps.all))

    @app.callback(
        [Output("mark", "data"), Output("status", "children")],
        Input("clock", "n_intervals"),
        State("mark", "data"),
    )
    def look(count: int | None, known: str) -> list[Any]:
        mark = sweeps.mark()
        if mark == known and count:
            return [no_update, no_update]
        return [mark, _progress(sweeps)]

    @app.callback(
        [
            *(Output(name, "options") for name in names),
            *(Output(name, "value") for name in names),
            *(Output(f"of-{name}", "style") for name in names),
        ],
        [
            Input("sweeps", "value"),
            Input("kind", "value"),
            Input("mark", "data"),
            Input("switches", "value"),
        ],
        [State(name, "value") for name in names],
        prevent_initial_call=True,
    )
    def offer(chosen: Any, kind: Any, _mark: Any, switches: Any, *values: Any) -> list[Any]:
        form = {**dict(zip(names, values, strict=True)), "kind": kind}
        numbers = _numbers(chosen, everyone)
        with sweeps.lock:
            found = sweeps.offer(numbers)
        if "together" in (switches or []) and len(numbers) > 1:
            labels = sweeps.labels()
            found.settings[SWEEP] = [labels[number] for number in numbers]
        fitting = settled(form, found)
        return [
            *(options_of(control, fitting, found) for control in CONTROLS),
            *(
                no_update if fitting.get(name) == form.get(name) else fitting.get(name)
                for name in names
            ),
            *(None if shown(control, fitting) else {"display": "none"} for control in CONTROLS),
        ]

    @app.callback(
        [
            Output({"type": "sweep", "index": ALL}, "style"),
            Output({"type": "graph", "index": ALL}, "figure"),
            Output({"type": "graph", "index": ALL}, "style"),
            Output({"type": "problem", "index": ALL}, "children"),
            Output({"type": "notes", "index": ALL}, "children"),
            Output({"type": "legend", "index": ALL}, "children"),
            Output({"type": "name", "index": ALL}, "children"),
            Output("toml", "children"),
        ],
        [
            Input("sweeps", "value"),
            Input("mark", "data"),
            # Not at every letter: when the field is left.
            Input("more", "n_blur"),
            Input("switches", "value"),
            *(Input(name, "value") for name in names),
        ],
        State("more", "value"),
    )
    def drawn(chosen: Any, _mark: Any, _left: Any, switches: Any, *values: Any) -> list[Any]:
        *own, more = values
        form = dict(zip(names, own, strict=True))
        return list(_drawn(sweeps, _numbers(chosen, everyone), form, str(more or ""), switches))


def _drawn(
    sweeps: Sweeps, chosen: Sequence[int], form: Mapping[str, Any], more: str, switches: Any
) -> tuple[list[Any], ...]:
    switches = switches or []
    found: dict[int, Picture | str] = {}
    try:
        table = table_of(read_form(form), more)
        toml: Any = figure_toml(table)
    except SpecError as error:
        toml, table = "", None
        found = dict.fromkeys(chosen, sentence(error))
    headings = dict(enumerate(sweeps.labels()))
    shown = list(chosen)
    if table is not None and "together" in switches and len(chosen) > 1:
        shown = shown[:1]
        headings[shown[0]] = ", ".join(headings[number] for number in chosen)
        found[shown[0]] = _together(sweeps, chosen, table, single="single" in switches)
    elif table is not None:
        for number in chosen:
            found[number] = _one(sweeps, number, table, single="single" in switches)
    pictures = [each for each in found.values() if isinstance(each, Picture)]
    if "same" in switches and len(pictures) > 1:
        same_axes([each.figure["layout"] for each in pictures])
    rows = []
    for number in range(len(sweeps.all)):
        each = found.get(number)
        good = each if isinstance(each, Picture) else None
        rows.append(
            (
                None if number in shown else {"display": "none"},
                good.figure if good else _EMPTY,
                {"height": good.figure["layout"]["height"]} if good else {"display": "none"},
                each if isinstance(each, str) else "",
                good.notes if good else "",
                _legend(good) if good else [],
                headings[number],
            )
        )
    return (*(list(column) for column in zip(*rows, strict=True)), toml)


def _one(sweeps: Sweeps, number: int, table: Mapping[str, Any], *, single: bool) -> Picture | str:
    with sweeps.lock:
        try:
            return picture(sweeps.all[number].results, table, single=single)
        except DlnsweepError as error:
            return sentence(error)


def _together(
    sweeps: Sweeps, chosen: Sequence[int], table: Mapping[str, Any], *, single: bool
) -> Picture | str:
    with sweeps.lock:
        try:
            joined = concat([sweeps.all[number].results for number in chosen])
            return picture(joined, table, single=single)
        except DlnsweepError as error:
            return sentence(error)


def _legend(made: Picture) -> list[Any]:
    title, entries = made.legend
    head = [html.Span(title, className="title")] if title else []
    return [
        *head,
        *(
            html.Span(
                [
                    html.I(
                        style={
                            "borderTopColor": entry.colour,
                            "borderTopStyle": "dashed" if entry.dashed else "solid",
                        }
                    ),
                    entry.words,
                ]
            )
            for entry in entries
        ),
    ]


def read_form(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the form's controls say, by the keys of a `[figure]`."""
    form = dict(values)
    kind = str(form.get("kind"))
    if kind == "heatmap":
        form["y"] = form.get("y_setting")
    elif kind in FIGURES and isinstance(form.get("y"), list):
        annotation = str(FIGURES[kind].model_fields["y"].annotation) \
            if "y" in FIGURES[kind].model_fields else ""  # fmt: skip
        if "tuple" not in annotation:
            form["y"] = (form["y"] or [None])[0]
    at = form.get("at")
    if isinstance(at, str) and at.isdigit():
        form["at"] = int(at)
    where = form.get("where") or []
    try:
        form["where"] = [json.loads(each) for each in where]
    except (TypeError, ValueError):
        raise SpecError("A filter cannot be read; choose it again.") from None
    return form


def same_axes(layouts: Sequence[dict[str, Any]]) -> None:
    """Give the panels of several figures one range each, where they have the same scales."""
    for key in layouts[0]:
        axes: list[Any] = [layout.get(key) for layout in layouts]
        if not key.startswith(("xaxis", "yaxis")) or not all(
            isinstance(axis, dict) and "tickvals" not in axis for axis in axes
        ):
            continue
        if len({axis["type"] for axis in axes}) == 1:
            ends = [axis["range"] for axis in axes]
            both = [min(low for low, _ in ends), max(high for _, high in ends)]
            for axis in axes:
                axis["range"] = both


def _progress(sweeps: Sweeps) -> str:
    told = []
    with sweeps.lock:
        for sweep in sweeps.all:
            try:
                told.append(f"{sweep.name}: {sweep.progress()}")
            except DlnsweepError as error:
                told.append(sentence(error))
    return printable("; ".join(told), 800)


def _numbers(chosen: Any, known: range) -> list[int]:
    return [each for each in chosen or [] if isinstance(each, int) and each in known]
