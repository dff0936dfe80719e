"""The keys of `[figure]`: one settings class for each kind of figure.

Read whenever a sweep file is checked, so nothing here may import matplotlib, pandas or NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter

from dlnsweep.settings.at import At
from dlnsweep.settings.base import Describe, Settings
from dlnsweep.settings.success import Successes

Band = Literal["std", "quantile", "bootstrap", "until", "none"]
Scale = Literal["log", "linear"]
AutoScale = Literal["auto", "log", "linear"]


def _outside(text: str, symbol: str = "", unit: str = "") -> Describe:
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
        str | None, _outside("the line above; the sweep's name if absent, nothing if empty")
    ] = None
    file: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"),
        _outside("the file's name without its ending; the kind if absent"),
    ] = None
    formats: Annotated[Formats, _outside("the files to write: png, pdf, svg")] = ("png", "pdf")
    width_inches: Annotated[
        float | None,
        Field(ge=1.5, le=30),
        _outside("width; a column (3.4) for one panel, a page (6.9) for more if absent", "", "in"),
    ] = None
    height_inches: Annotated[
        float | None,
        Field(ge=1.2, le=40),
        _outside(
            "height, or more where panels would have no room; from their rows if absent", "", "in"
        ),
    ] = None
    dpi: Annotated[int, Field(ge=50, le=1200), _outside("resolution of the PNG", "", "1/in")] = 300
    where: Annotated[
        Where,
        Field(default_factory=dict),
        _outside("draw only runs with these values: a setting = a value or several"),
    ]


_AT = (
    "final; min (over the recorded steps); argmin (the recorded step of that); { minimise = "
    '"another observable" } (where that is least); or a recorded step'
)
_THEORY = "formulas to draw dashed beside the measurements; see: dlnsweep explain theory"


class _Limited(Figure):
    """Figures whose axes may be cut."""

    x_min: Annotated[
        float | None, _outside("where the horizontal axis begins; at the data if absent")
    ] = None
    x_max: Annotated[
        float | None, _outside("where the horizontal axis ends; at the data if absent")
    ] = None
    y_min: Annotated[
        float | None,
        _outside(
            "where the vertical axis ends below; at the data if absent (a logarithmic axis is cut "
            "only, never stretched)"
        ),
    ] = None
    y_max: Annotated[
        float | None,
        _outside("where the vertical axis ends above; at the data if absent"),
    ] = None


class _Banded(_Limited):
    """Figures of medians with a band or bars round them."""

    hue: Annotated[str | None, _outside("the setting that the colours stand for")] = None
    panel_by: Annotated[str | None, _outside("the setting with one panel a value")] = None
    band: Annotated[
        Band,
        _outside(
            "quantile: between two quantiles; std: median ± one standard deviation; bootstrap: the "
            "median's 95 % confidence interval; until: in 'final', the interval that [sweep.until] "
            "asks for; none"
        ),
    ] = "quantile"
    quantiles: Annotated[Quantiles, _outside("the two quantiles of the band")] = (0.25, 0.75)
    y_scale: Annotated[Scale, _outside("log or linear")] = "log"


class Mark(Settings):
    """A value of the horizontal axis that is marked by a dashed line."""

    at: Annotated[float, _outside("the value")]
    label: Annotated[str, _outside("what it is, for the legend")]


Marks = Annotated[tuple[Mark, ...], BeforeValidator(_read_lines)]


class Level(Mark):
    """A value of the vertical axis that is marked by a dashed line, such as a baseline's."""

    y: Annotated[str | None, _outside("the observable; the figure's first if absent")] = None
    panel: Annotated[
        bool | int | float | str | None,
        BeforeValidator(_read_panel),
        _outside("the value of panel_by in whose panel it is; in all panels if absent"),
    ] = None


Levels = Annotated[tuple[Level, ...], BeforeValidator(_read_lines)]


class CurvesFigure(_Banded):
    """Observables against the step: the median over the seeds with a band, a panel for each."""

    kind: Annotated[Literal["curves"], _outside("observables against the step")] = "curves"
    x: Annotated[Literal["step"], _outside("the horizontal axis")] = "step"
    y: Annotated[Names, _outside("one observable or several, a panel for each")]
    quantity: Annotated[
        Literal["value", "decay_rate"],
        _outside(
            "value: the observable; decay_rate: -d ln(y)/dt in units of that of W_1 alone, "
            "-ln(1 - η_1 λ)"
        ),
    ] = "value"
    x_scale: Annotated[Scale, _outside("log (step 0 at the left edge) or linear")] = "log"
    theory: Annotated[Theory, _outside(_THEORY)] = ()
    beside: Annotated[
        dict[str, str],
        Field(default_factory=dict),
        _outside(
            "an observable's median to draw dashed in the panel of another, such as "
            '{ loss = "loss_bound" }'
        ),
    ]


class FinalFigure(_Banded):
    """One number a run against a setting: the median over the seeds with error bars."""

    kind: Annotated[Literal["final"], _outside("one number a run against a setting")] = "final"
    x: Annotated[str, _outside("the setting on the horizontal axis")]
    y: Annotated[Names, _outside("one observable or several, a panel for each")]
    at: Annotated[At, _outside(_AT)] = "final"
    x_scale: Annotated[
        AutoScale, _outside("auto: log if the values are numbers >= 0 over more than a decade")
    ] = "auto"
    theory: Annotated[Theory, _outside(_THEORY)] = ()
    marks: Annotated[
        Marks, _outside("values of x to mark by dashed lines: { at = ..., label = ... }")
    ] = ()
    levels: Annotated[
        Levels,
        _outside("values of y to mark by dashed lines: { at = ..., label = ..., panel = ... }"),
    ] = ()


class HeatmapFigure(Figure):
    """A number over two settings: a median over the seeds, or the frequency of success."""

    kind: Annotated[Literal["heatmap"], _outside("a number over two settings")] = "heatmap"
    x: Annotated[str, _outside("the setting of the columns")]
    y: Annotated[str, _outside("the setting of the rows")]
    value: Annotated[str, _outside("an observable (its median), or 'success'")]
    success: Annotated[
        Successes,
        _outside(
            "for value = 'success': { observable = ..., below = ... }, or a list of several, which "
            "must all hold"
        ),
    ] = ()
    at: Annotated[At, _outside(_AT)] = "final"
    value_scale: Annotated[
        AutoScale, _outside("auto: log if the values are positive over more than a decade")
    ] = "auto"
    transition: Annotated[
        bool,
        _outside(
            "for value = 'success': mark, for each value of y, the x at which half of the runs "
            "succeed (logistic regression in ln x), and draw its power law in y"
        ),
    ] = False
    annotate: Annotated[
        bool | None, _outside("whether to print the numbers; up to 80 cells if absent")
    ] = None


class SpectrumFigure(_Banded):
    """Each entry of a vector observable (the singular values) against the step."""

    kind: Annotated[Literal["spectrum"], _outside("singular values against the step")] = "spectrum"
    y: Annotated[str, _outside("a vector observable")] = "singular_values"
    num_values: Annotated[
        int | None, Field(ge=1), _outside("draw only the first so many entries; all if absent")
    ] = None
    x_scale: Annotated[Scale, _outside("log (step 0 at the left edge) or linear")] = "log"


class ScatterFigure(_Limited):
    """One observable against another, or against a setting: a point for each run."""

    kind: Annotated[
        Literal["scatter"], _outside("one observable against another, or against a setting")
    ] = "scatter"
    x: Annotated[str, _outside("the observable, or the setting of numbers, of the horizontal axis")]
    y: Annotated[Names, _outside("one observable or several, a panel for each")]
    at: Annotated[At, _outside(_AT)] = "final"
    hue: Annotated[str | None, _outside("the setting that the colours stand for")] = None
    panel_by: Annotated[str | None, _outside("the setting with one panel a value")] = None
    x_scale: Annotated[
        AutoScale, _outside("auto: log if the values are >= 0 over more than a decade")
    ] = "auto"
    y_scale: Annotated[Scale, _outside("log or linear")] = "log"
    bins: Annotated[
        Annotated[int, Field(ge=2, le=1000)] | None,
        _outside(
            "draw the median, and the quartiles as a band, in so many bins along x that hold "
            "equally many runs"
        ),
    ] = None

    @property
    def x_is_setting(self) -> bool:
        """Whether the horizontal axis is of a setting: observables have no section."""
        return "." in self.x


class BoundaryFigure(_Limited):
    """The boundary that [sweep.refine] finds, against another setting, with an interval."""

    kind: Annotated[
        Literal["boundary"], _outside("the boundary of [sweep.refine] against another setting")
    ] = "boundary"
    x: Annotated[str, _outside("the setting of numbers on the horizontal axis")]
    hue: Annotated[str | None, _outside("the setting that the colours stand for")] = None
    x_scale: Annotated[
        AutoScale, _outside("auto: log if the values are >= 0 over more than a decade")
    ] = "auto"
    y_scale: Annotated[Scale, _outside("log or linear")] = "log"


class NoiseFigure(_Banded):
    """Test errors at the end of training against the noise on the test measurements."""

    kind: Annotated[Literal["noise"], _outside("test errors against record.noise_levels")] = "noise"
    y: Annotated[Names, _outside("observables with one value a noise level, a panel for each")] = (
        "noisy_test_errors",
    )
    amplification: Annotated[
        bool, _outside("divide by the noise level: how much of the noise is in the output")
    ] = False
    x_scale: Annotated[Scale, _outside("log (a level of 0 at the left edge) or linear")] = "log"
    theory: Annotated[Theory, _outside(_THEORY)] = ()


FigureSettings = Annotated[
    CurvesFigure
    | FinalFigure
    | HeatmapFigure
    | SpectrumFigure
    | ScatterFigure
    | NoiseFigure
    | BoundaryFigure,
    Field(discriminator="kind"),
]
FIGURES: dict[str, type[Figure]] = {
    "curves": CurvesFigure,
    "final": FinalFigure,
    "heatmap": HeatmapFigure,
    "spectrum": SpectrumFigure,
    "scatter": ScatterFigure,
    "noise": NoiseFigure,
    "boundary": BoundaryFigure,
}


# What draws the figures that were registered: it takes the results and the settings.
DRAWN: dict[str, Callable[[Any, Any], Any]] = {}


def register_figure(
    settings: type[Figure], draw: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], Any]:
    """Make a kind of figure known.

    Args:
        settings: Its keys; the default of its field `kind` is its name.
        draw: Takes `Results` and the settings; returns a matplotlib figure.

    Raises:
        ValueError: If the kind is taken, or has no name.
    """
    field = settings.model_fields.get("kind")
    kind = field.default if field else None
    if not isinstance(kind, str):
        raise ValueError(f"{settings.__name__} has no field kind with its name as default")
    if kind in FIGURES:
        raise ValueError(f"a figure of kind {kind!r} is registered already")
    FIGURES[kind] = settings
    DRAWN[kind] = draw
    return draw


def read_figure(table: dict[str, Any]) -> FigureSettings:
    """Return the settings of one `[figure]` table, such as stands in sweep.json."""
    if table.get("kind") in DRAWN:
        own: Any = FIGURES[table["kind"]].model_validate(table)
        return own
    return TypeAdapter(FigureSettings).validate_python(table)
