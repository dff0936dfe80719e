"""What stands in the page: a form of the keys of a `[figure]`, and a place for each figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from dash import dcc, html

from dlnsweep.contracts.figure import default_kind
from dlnsweep.errors import DlnsweepError
from dlnsweep.view.forms import CONTROLS, Control, options_of, settled, shown
from dlnsweep.view.sweeps import Sweeps
from dlnsweep.view.tables import form_of

_LOOK_EVERY_MS = 2000
_GRAPH: dict[str, Any] = {
    "displaylogo": False,
    # It would send the data to a cloud.
    "showSendToCloud": False,
    "responsive": True,
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    "toImageButtonOptions": {"format": "svg", "filename": "dlnsweep"},
}
EMPTY: dict[str, Any] = {"data": [], "layout": {"height": 60, "paper_bgcolor": "rgba(0,0,0,0)"}}


def layout(sweeps: Sweeps) -> Any:
    """Return what the page begins with.

    Args:
        sweeps: The folders that it shows.
    """
    labels = sweeps.labels()
    with sweeps.lock:
        form, more = form_of(_first(sweeps))
        offer = sweeps.offer(range(len(labels)))
    form = settled(form, offer)
    controls = [_control(control, form, options_of(control, form, offer)) for control in CONTROLS]
    return html.Div(
        className="page",
        children=[
            html.Header([html.H1("dlnsweep view"), html.P(id="status", role="status")]),
            html.Section(
                className="form",
                **_named("form-heading"),
                children=html.Details(
                    open=True,
                    children=[
                        html.Summary("What is drawn", id="form-heading"),
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
                        html.Fieldset(
                            [
                                html.Legend("also"),
                                dcc.Checklist(
                                    [
                                        {"label": words, "value": value}
                                        for value, words in switches_of(len(labels)).items()
                                    ],
                                    ["same"] * (len(labels) > 1),
                                    id="switches",
                                ),
                            ]
                        ),
                    ],
                ),
            ),
            html.Main([_section(number, name) for number, name in enumerate(labels)]),
            html.Section(
                className="copy",
                **_named("copy-heading"),
                children=[
                    html.H2("Copy as [figure]", id="copy-heading"),
                    html.P(
                        "In a file figure.toml, it is drawn by: dlnsweep figure RESULTS --file "
                        "figure.toml"
                    ),
                    html.Div(
                        className="code",
                        children=[
                            html.Pre(id="toml", tabIndex=0),
                            html.Button("copy", id="copy"),
                            html.Span(id="copied", role="status"),
                        ],
                    ),
                ],
            ),
            dcc.Interval(id="clock", interval=_LOOK_EVERY_MS),
            dcc.Store(id="mark", data=sweeps.mark()),
            *(dcc.Store(id=name) for name in ("wanted", "narrow", "night", "address", "kept")),
        ],
    )


def _named(heading: str) -> dict[str, Any]:
    """Return what calls a part of the page by a heading of its own."""
    return {"aria-labelledby": heading}


def switches_of(count: int) -> dict[str, str]:
    """Return the switches of a page of so many sweeps, with their words."""
    single = {"single": "single runs"}
    if count < 2:
        return single
    return {
        **single,
        "together": "all sweeps in one figure",
        "same": "same axes in all sweeps",
    }


def _first(sweeps: Sweeps) -> dict[str, Any]:
    try:
        return sweeps.all[0].figure()
    except DlnsweepError:
        return {"kind": default_kind()}


def _control(control: Control, form: Mapping[str, Any], options: list[dict[str, Any]]) -> Any:
    return html.Div(
        id=f"of-{control.name}",
        className="control" + " wide" * control.several,
        style=None if shown(control, form) else {"display": "none"},
        children=[
            html.Label(control.label, htmlFor=control.name, id=f"label-{control.name}"),
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
                        figure=EMPTY,
                        config=cast("Any", _GRAPH), id={"type": "graph", "index": number},
                        className="graph",
                    ),
                ],
            ),
            html.P(id={"type": "notes", "index": number}, className="notes"),
        ],
    )  # fmt: skip
