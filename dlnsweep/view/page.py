"""The page as an application: what follows from a change of the form, or of a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, html, no_update

from dlnsweep.errors import DlnsweepError, SpecError
from dlnsweep.results.joined import SWEEP, concat
from dlnsweep.settings.at import typed
from dlnsweep.settings.sentences import printable
from dlnsweep.view.address import MORE, SWEEPS, SWITCHES, address_of, form_in, read_address
from dlnsweep.view.forms import CONTROLS, options_of, settled, shown
from dlnsweep.view.layout import EMPTY, layout, switches_of
from dlnsweep.view.night import colour_by_night, turn
from dlnsweep.view.picture import Entry, Picture, dtick, picture, sentence, stack
from dlnsweep.view.sweeps import Sweeps
from dlnsweep.view.tables import figure_toml, names_setting, table_of, takes_several


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
    # Whose language a reader of screens must know.
    app.index_string = app.index_string.replace("<html>", '<html lang="en">')
    app.enable_dev_tools(debug=False)
    app.layout = lambda: layout(sweeps)
    _connect(app, sweeps)
    return app


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

    # Who has just come or come again: what the address says is the form. It is known before
    # anything is drawn, for what is drawn waits for the form.
    app.clientside_callback(
        ClientsideFunction("dlnsweep", "wanted"),
        [Output(name, "data") for name in ("wanted", "narrow", "night")], Input("wanted", "id"),
    )  # fmt: skip
    app.clientside_callback(
        ClientsideFunction("dlnsweep", "kept"), Output("kept", "data"), Input("address", "data")
    )
    app.clientside_callback(
        ClientsideFunction("dlnsweep", "copied"),
        Output("copied", "children"), Input("copy", "n_clicks"), prevent_initial_call=True,
    )  # fmt: skip

    @app.callback(
        [
            *(Output(name, "options") for name in names),
            *(Output(name, "value") for name in names),
            *(Output(f"of-{name}", "style") for name in names),
            Output("sweeps", "value"),
            Output("switches", "value"),
            Output("more", "value"),
        ],
        [
            Input("sweeps", "value"),
            Input("kind", "value"),
            Input("mark", "data"),
            Input("switches", "value"),
            Input("wanted", "data"),
        ],
        [State(name, "value") for name in names],
    )
    def offer(
        chosen: Any, kind: Any, _mark: Any, switches: Any, wanted: Any, *values: Any
    ) -> list[Any]:
        form = {**dict(zip(names, values, strict=True)), "kind": kind}
        labels = sweeps.labels()
        beside: list[Any] = [no_update] * 3
        said = read_address(wanted) if ctx.triggered_id in (None, "wanted") else None
        if said is not None:
            # All of them again, so that what differs from the page's own is what is sent.
            chosen = [i for i, each in enumerate(labels) if each in said.get(SWEEPS, ())] or chosen
            offered = switches_of(len(labels))
            switches = [each for each in offered if each in said.get(SWITCHES, ())]
            beside = [chosen, switches, next(iter(said.get(MORE, ())), "")]
        numbers = _numbers(chosen, everyone)
        with sweeps.lock:
            found = sweeps.offer(numbers)
        if "together" in (switches or []) and len(numbers) > 1:
            found.settings[SWEEP] = [labels[number] for number in numbers]
        fitting = settled(form if said is None else form_in(said), found)
        return [
            *(options_of(control, fitting, found) for control in CONTROLS),
            *(
                no_update if fitting.get(name) == form.get(name) else fitting.get(name)
                for name in names
            ),
            *(None if shown(control, fitting) else {"display": "none"} for control in CONTROLS),
            *beside,
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
            Output("address", "data"),
        ],
        [
            Input("sweeps", "value"),
            Input("mark", "data"),
            # Not at every letter: when the field is left.
            Input("more", "n_blur"),
            Input("switches", "value"),
            *(Input(name, "value") for name in names),
        ],
        [State("more", "value"), State("narrow", "data"), State("night", "data")],
    )
    def drawn(chosen: Any, _mark: Any, _left: Any, switches: Any, *values: Any) -> list[Any]:
        *own, more, narrow, night = values
        form = dict(zip(names, own, strict=True))
        numbers, more = _numbers(chosen, everyone), str(more or "")
        labels = sweeps.labels()
        said = address_of(form, [labels[number] for number in numbers], switches or [], more)
        paper = {"narrow": bool(narrow), "night": bool(night)}
        found = _drawn(sweeps, numbers, form, more, switches, **paper)
        return [*found, said]


def _drawn(
    sweeps: Sweeps,
    chosen: Sequence[int],
    form: Mapping[str, Any],
    more: str,
    switches: Any,
    *,
    narrow: bool = False,
    night: bool = False,
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
    if narrow:
        for each in pictures:
            stack(each.figure["layout"])
    if "same" in switches and len(pictures) > 1:
        same_axes([each.figure["layout"] for each in pictures])
    if night:
        for each in pictures:
            turn(each.figure)
    rows = []
    for number in range(len(sweeps.all)):
        each = found.get(number)
        good = each if isinstance(each, Picture) else None
        rows.append(
            (
                None if number in shown else {"display": "none"},
                good.figure if good else EMPTY,
                {"height": good.figure["layout"]["height"]} if good else {"display": "none"},
                each if isinstance(each, str) else "",
                good.notes if good else "",
                _legend(good, night=night) if good else [],
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


def _legend(made: Picture, *, night: bool) -> list[Any]:
    title, entries = made.legend
    head = [html.Span(title, className="title")] if title else []
    return [
        *head,
        *(
            html.Span(
                [
                    html.I(style={"background": _stroke(entry, night=night)}),
                    entry.words,
                ]
            )
            for entry in entries
        ),
    ]


def _stroke(entry: Entry, *, night: bool) -> str:
    """Return the background of a legend's line: its colour, in its dashes."""
    colour = colour_by_night(entry.colour) if night else entry.colour
    stops, at = [], 0.0
    for place, length in enumerate(entry.dashes):
        ink = "transparent" if place % 2 else colour
        stops += [f"{ink} {at:.1f}px", f"{ink} {at + length:.1f}px"]
        at += length
    return f"repeating-linear-gradient(to right, {', '.join(stops)})" if stops else colour


def read_form(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the form's controls say, by the keys of a `[figure]`."""
    form = dict(values)
    kind = str(form.get("kind"))
    if names_setting(kind, "y"):
        form["y"] = form.get("y_setting")
    elif isinstance(form.get("y"), list) and not takes_several(kind, "y"):
        form["y"] = (form["y"] or [None])[0]
    if isinstance(at := form.get("at"), str):
        form["at"] = typed(at)
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
                if "dtick" in axis:
                    axis["dtick"] = dtick(both)


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
