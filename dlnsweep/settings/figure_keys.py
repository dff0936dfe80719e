"""The keys of `[figure]` that kinds of figure share, and how their values are read.

Read whenever a sweep file is checked, so nothing here may import matplotlib, pandas or NumPy.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from dlnsweep.settings.base import Settings
from dlnsweep.settings.figure_look import Framed, outside, read_texts

Band = Literal["std", "quantile", "bootstrap", "until", "none"]
Scale = Literal["log", "linear"]
LegendPlace = Literal[
    "above", "right", "none", "bar",
    "best", "upper left", "upper right", "lower left", "lower right",
]  # fmt: skip
# The keys that name a setting which a figure tells apart, besides an axis.
SHOWN_BY = ("hue", "style_by", "panel_by", "row_by", "column_by")


def shown_by(figure: Any, keys: tuple[str, ...] = SHOWN_BY) -> dict[str, str]:
    """Return the settings that a figure tells apart by colour, line or panel, by key."""
    found = {key: getattr(figure, key, None) for key in keys}
    return {key: name for key, name in found.items() if name is not None}


def panel_settings(figure: Any) -> list[str]:
    """Return the settings that the panels of a figure stand for."""
    return list(shown_by(figure, ("panel_by", "row_by", "column_by")).values())


def ends_of(figure: Any, observable: str | None) -> tuple[float | None, float | None]:
    """Return where the vertical axis of an observable's panels shall end, below and above.

    Args:
        figure: The figure's settings.
        observable: The observable; None where all axes are alike.
    """
    given = (getattr(figure, key, None) for key in ("y_min", "y_max"))
    low, high = (end.get(observable) if isinstance(end, dict) else end for end in given)
    return low, high


AutoScale = Literal["auto", "log", "linear"]


def _read_names(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("it must be a name or a list of names")
    return tuple(value)


def _read_any_names(value: Any) -> Any:
    # None is as good as any.
    return () if value in ([], ()) else _read_names(value)


def _read_lines(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError("it must be a list of tables { at = ..., label = ... }")
    return tuple(value)


def _read_panel(value: Any) -> Any:
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ValueError("it must be one value of the setting that panel_by names")
    return value


def _read_end(value: Any) -> Any:
    if value is None or is_number(value):
        return value
    if isinstance(value, dict) and value and all(map(is_number, value.values())):
        return value
    raise ValueError("it must be a number, or a table such as { loss = 1e-6 }")


def is_number(value: Any) -> bool:
    """Return whether a value is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read_quantiles(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("it must be a list of two numbers from 0 to 1")
    return tuple(value)


# The readers say in one sentence what pydantic would say once for each member of a union, and
# turn TOML's lists, which strict settings would refuse, into tuples.
Names = Annotated[tuple[str, ...], BeforeValidator(_read_names)]
OwnNames = Annotated[dict[str, str], BeforeValidator(read_texts)]
Observables = Annotated[tuple[str, ...], BeforeValidator(_read_any_names)]
Theory = Annotated[tuple[str, ...], BeforeValidator(_read_any_names)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Quantiles = Annotated[tuple[Fraction, Fraction], BeforeValidator(_read_quantiles)]
End = Annotated[float | dict[str, float] | None, BeforeValidator(_read_end)]
AT = (
    "final; min (over the recorded steps); argmin (the recorded step of that); { minimise = "
    '"another observable" } (where that is least); or a recorded step'
)
THEORY = "formulas to draw dashed beside the measurements; see: dlnsweep explain theory"


class Limited(Framed):
    """Figures whose axes may be cut."""

    x_min: Annotated[
        float | None, outside("where the horizontal axis begins; at the data if absent")
    ] = None
    x_max: Annotated[
        float | None, outside("where the horizontal axis ends; at the data if absent")
    ] = None
    y_min: Annotated[
        End,
        outside(
            "where the vertical axis ends below; at the data if absent; of several observables "
            "one for all, or a table, such as { loss = 1e-6 }"
        ),
    ] = None
    y_max: Annotated[
        End,
        outside("where the vertical axis ends above, as y_min says it below"),
    ] = None


class Hued(Limited):
    """Figures whose colours, markers and lines may stand for settings."""

    hue: Annotated[str | None, outside("the setting that the colours stand for")] = None
    style_by: Annotated[
        str | None,
        outside(
            "the setting that markers stand for, and kinds of lines where no theory is drawn dashed"
        ),
    ] = None
    legend: Annotated[
        LegendPlace | None,
        outside(
            "where the legend stands: above the panels, right of them, within the first one "
            '("best", "upper left", ...) or nowhere; "bar": a colour bar for a hue of numbers; '
            "above if absent, and a bar for more than 24 numbers"
        ),
    ] = None
    legend_title: Annotated[
        str | None, outside("the legend's title; the setting's name if absent, none if empty")
    ] = None
    legend_names: Annotated[
        OwnNames,
        Field(default_factory=dict),
        outside(
            "what the legend calls values of hue and style_by, and formulas, such as "
            '{ "0.1" = "strong", plateau = "Theorem 2.3" }'
        ),
    ]


class Panelled(Hued):
    """Figures with a panel for each value of a setting, or of two."""

    panel_by: Annotated[str | None, outside("the setting with one panel a value")] = None
    row_by: Annotated[str | None, outside("the setting with one row of panels a value")] = None
    column_by: Annotated[str | None, outside("the setting with one column of panels a value")] = (
        None
    )
    letters: Annotated[
        bool | None,
        outside("whether panels are called (a), (b), ...; with row_by and column_by if absent"),
    ] = None


class Banded(Panelled):
    """Figures of medians with a band or bars round them."""

    band: Annotated[
        Band,
        outside(
            "quantile: between two quantiles; std: median ± one standard deviation; bootstrap: the "
            "median's 95 % confidence interval, which fewer than six runs cannot give (of three it "
            "holds the truth in 75 % at most); until: in 'final', the interval that [sweep.until] "
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
