"""The keys of `[figure]` that kinds of figure share, and how their values are read.

Read whenever a sweep file is checked, so nothing here may import matplotlib, pandas or NumPy.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from dlnsweep.settings.base import Describe, Settings

Band = Literal["std", "quantile", "bootstrap", "until", "none"]
Scale = Literal["log", "linear"]
AutoScale = Literal["auto", "log", "linear"]


def outside(text: str, symbol: str = "", unit: str = "") -> Describe:
    """Return what a key of a figure is: it never reaches a program."""
    return Describe("outside", text, symbol, unit, axis=False)


def _read_names(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("it must be a name or a list of names")
    return tuple(value)


def _read_list(value: Any) -> Any:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("it must be a list with at least one value")
    return tuple(value)


def _read_theory(value: Any) -> Any:
    # No formula is as good as any.
    return () if value in ([], ()) else _read_names(value)


def _read_lines(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError("it must be a list of tables { at = ..., label = ... }")
    return tuple(value)


def _read_panel(value: Any) -> Any:
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ValueError("it must be one value of the setting that panel_by names")
    return value


def _read_quantiles(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("it must be a list of two numbers from 0 to 1")
    return tuple(value)


def _read_where(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError('it must be a table of settings, such as { "network.depth" = 3 }')
    table = {}
    for name, wanted in value.items():
        values = tuple(wanted) if isinstance(wanted, list | tuple) else (wanted,)
        if not values or not all(isinstance(each, bool | int | float | str) for each in values):
            raise ValueError(f"'{name}' must have a number, a string, true or false, or a list")
        table[name] = values
    return table


# The readers say in one sentence what pydantic would say once for each member of a union, and
# turn TOML's lists, which strict settings would refuse, into tuples.
Names = Annotated[tuple[str, ...], BeforeValidator(_read_names)]
Theory = Annotated[tuple[str, ...], BeforeValidator(_read_theory)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Quantiles = Annotated[tuple[Fraction, Fraction], BeforeValidator(_read_quantiles)]
Formats = Annotated[tuple[Literal["png", "pdf", "svg"], ...], BeforeValidator(_read_list)]
Where = Annotated[dict[str, tuple[bool | int | float | str, ...]], BeforeValidator(_read_where)]


class Figure(Settings):
    """The keys that every kind of figure has."""

    title: Annotated[
        str | None, outside("the line above; the sweep's name if absent, nothing if empty")
    ] = None
    file: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"),
        outside("the file's name without its ending; the kind if absent"),
    ] = None
    formats: Annotated[Formats, outside("the files to write: png, pdf, svg")] = ("png", "pdf")
    width_inches: Annotated[
        float | None,
        Field(ge=1.5, le=30),
        outside("width; a column (3.4) for one panel, a page (6.9) for more if absent", "", "in"),
    ] = None
    height_inches: Annotated[
        float | None,
        Field(ge=1.2, le=40),
        outside(
            "height, or more where panels would have no room; from their rows if absent", "", "in"
        ),
    ] = None
    dpi: Annotated[int, Field(ge=50, le=1200), outside("resolution of the PNG", "", "1/in")] = 300
    where: Annotated[
        Where,
        Field(default_factory=dict),
        outside("draw only runs with these values: a setting = a value or several"),
    ]


AT = (
    "final; min (over the recorded steps); argmin (the recorded step of that); { minimise = "
    '"another observable" } (where that is least); or a recorded step'
)
THEORY = "formulas to draw dashed beside the measurements; see: dlnsweep explain theory"


class Limited(Figure):
    """Figures whose axes may be cut."""

    x_min: Annotated[
        float | None, outside("where the horizontal axis begins; at the data if absent")
    ] = None
    x_max: Annotated[
        float | None, outside("where the horizontal axis ends; at the data if absent")
    ] = None
    y_min: Annotated[
        float | None,
        outside(
            "where the vertical axis ends below; at the data if absent (a logarithmic axis is cut "
            "only, never stretched)"
        ),
    ] = None
    y_max: Annotated[
        float | None,
        outside("where the vertical axis ends above; at the data if absent"),
    ] = None


class Banded(Limited):
    """Figures of medians with a band or bars round them."""

    hue: Annotated[str | None, outside("the setting that the colours stand for")] = None
    panel_by: Annotated[str | None, outside("the setting with one panel a value")] = None
    band: Annotated[
        Band,
        outside(
            "quantile: between two quantiles; std: median ± one standard deviation; bootstrap: the "
            "median's 95 % confidence interval; until: in 'final', the interval that [sweep.until] "
            "asks for; none"
        ),
    ] = "quantile"
    quantiles: Annotated[Quantiles, outside("the two quantiles of the band")] = (0.25, 0.75)
    y_scale: Annotated[Scale, outside("log or linear")] = "log"


class Mark(Settings):
    """A value of the horizontal axis that is marked by a dashed line."""

    at: Annotated[float, outside("the value")]
    label: Annotated[str, outside("what it is, for the legend")]


Marks = Annotated[tuple[Mark, ...], BeforeValidator(_read_lines)]


class Level(Mark):
    """A value of the vertical axis that is marked by a dashed line, such as a baseline's."""

    y: Annotated[str | None, outside("the observable; the figure's first if absent")] = None
    panel: Annotated[
        bool | int | float | str | None,
        BeforeValidator(_read_panel),
        outside("the value of panel_by in whose panel it is; in all panels if absent"),
    ] = None


Levels = Annotated[tuple[Level, ...], BeforeValidator(_read_lines)]
