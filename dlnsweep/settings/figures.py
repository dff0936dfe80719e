"""The keys of `[figure]`: one settings class for each kind of figure that this package brings.

Read whenever a sweep file is checked, so nothing here may import matplotlib, pandas or NumPy.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dlnsweep.settings.at import At
from dlnsweep.settings.figure_keys import (
    AT,
    THEORY,
    AutoScale,
    Banded,
    Hued,
    Levels,
    Marks,
    Names,
    Observables,
    Panelled,
    Scale,
    Theory,
)
from dlnsweep.settings.figure_look import Framed, outside
from dlnsweep.settings.success import Successes


class CurvesFigure(Banded):
    """Observables against the step: the median over the seeds with a band, a panel for each."""

    kind: Annotated[Literal["curves"], outside("observables against the step")] = "curves"
    x: Annotated[Literal["step"], outside("the horizontal axis")] = "step"
    y: Annotated[Names, outside("one observable or several, a panel for each")]
    quantity: Annotated[
        Literal["value", "decay_rate"],
        outside(
            "value: the observable; decay_rate: -d ln(y)/dt in units of that of W_1 alone, "
            "-ln(1 - η_1 λ)"
        ),
    ] = "value"
    x_scale: Annotated[Scale, outside("log (step 0 at the left edge) or linear")] = "log"
    theory: Annotated[Theory, outside(THEORY)] = ()
    beside: Annotated[
        dict[str, str],
        Field(default_factory=dict),
        outside(
            "an observable's median to draw dashed in the panel of another, such as "
            '{ loss = "loss_bound" }'
        ),
    ]


class FinalFigure(Banded):
    """One number a run against a setting: the median over the seeds with error bars."""

    kind: Annotated[Literal["final"], outside("one number a run against a setting")] = "final"
    x: Annotated[str, outside("the setting on the horizontal axis")]
    y: Annotated[Names, outside("one observable or several, a panel for each")]
    at: Annotated[At, outside(AT)] = "final"
    x_scale: Annotated[
        AutoScale, outside("auto: log if the values are numbers >= 0 over more than a decade")
    ] = "auto"
    theory: Annotated[Theory, outside(THEORY)] = ()
    marks: Annotated[
        Marks, outside("values of x to mark by dashed lines: { at = ..., label = ... }")
    ] = ()
    levels: Annotated[
        Levels,
        outside("values of y to mark by dashed lines: { at = ..., label = ..., panel = ... }"),
    ] = ()
    over_x: Annotated[
        Observables,
        outside(
            "observables of y to divide by the value of x, formulas with them: what is "
            "proportional to it is level then, and small differences can be seen"
        ),
    ] = ()
    dodge: Annotated[
        bool,
        outside(
            "shift the points of curves sideways, each a little, so that bars which lie on each "
            "other can be told apart"
        ),
    ] = False


class HeatmapFigure(Framed):
    """A number over two settings: a median over the seeds, or the frequency of success."""

    kind: Annotated[Literal["heatmap"], outside("a number over two settings")] = "heatmap"
    x: Annotated[str, outside("the setting of the columns")]
    y: Annotated[str, outside("the setting of the rows")]
    value: Annotated[str, outside("an observable (its median), or 'success'")]
    success: Annotated[
        Successes,
        outside(
            "for value = 'success': { observable = ..., below = ... }, a list of several, which "
            "must all hold (a value that is not finite meets none), or 'finished': every run "
            "that did not diverge"
        ),
    ] = None
    at: Annotated[At, outside(AT)] = "final"
    value_scale: Annotated[
        AutoScale, outside("auto: log if the values are positive over more than a decade")
    ] = "auto"
    transition: Annotated[
        bool,
        outside(
            "for value = 'success': mark, for each value of y, the x at which half of the runs "
            "succeed (logistic regression in ln x), and draw its power law in y"
        ),
    ] = False
    theory: Annotated[Theory, outside(THEORY)] = ()
    value_label: Annotated[
        str | None, outside("what stands at the colour bar; nothing if empty")
    ] = None
    value_min: Annotated[
        float | None, outside("the value of the first colour; the least if absent")
    ] = None
    value_max: Annotated[
        float | None, outside("the value of the last colour; the largest if absent")
    ] = None
    annotate: Annotated[
        bool | None, outside("whether to print the numbers; up to 80 cells if absent")
    ] = None


class SpectrumFigure(Banded):
    """Each entry of a vector observable (the singular values) against the step."""

    kind: Annotated[Literal["spectrum"], outside("singular values against the step")] = "spectrum"
    y: Annotated[str, outside("a vector observable")] = "singular_values"
    num_values: Annotated[
        int | None, Field(ge=1), outside("draw only the first so many entries; all if absent")
    ] = None
    x_scale: Annotated[Scale, outside("log (step 0 at the left edge) or linear")] = "log"


class ScatterFigure(Panelled):
    """One observable against another, or against a setting: a point for each run."""

    kind: Annotated[
        Literal["scatter"], outside("one observable against another, or against a setting")
    ] = "scatter"
    x: Annotated[str, outside("the observable, or the setting of numbers, of the horizontal axis")]
    y: Annotated[Names, outside("one observable or several, a panel for each")]
    at: Annotated[At, outside(AT)] = "final"
    x_scale: Annotated[
        AutoScale, outside("auto: log if the values are >= 0 over more than a decade")
    ] = "auto"
    y_scale: Annotated[Scale, outside("log or linear")] = "log"
    bins: Annotated[
        Annotated[int, Field(ge=2, le=1000)] | None,
        outside(
            "draw the median, and the quartiles as a band, in so many bins along x that hold "
            "equally many runs"
        ),
    ] = None
    partial_dependence: Annotated[
        bool,
        outside(
            "draw in the bins of a sampled setting the mean over what the others take (geometric "
            "where y is log), with a 95 % interval over the sampled points, instead of the median"
        ),
    ] = False

    @property
    def x_is_setting(self) -> bool:
        """Whether the horizontal axis is of a setting: observables have no section."""
        return "." in self.x


class BoundaryFigure(Hued):
    """The boundary that [sweep.refine] finds, against another setting, with an interval."""

    kind: Annotated[
        Literal["boundary"], outside("the boundary of [sweep.refine] against another setting")
    ] = "boundary"
    x: Annotated[str, outside("the setting of numbers on the horizontal axis")]
    x_scale: Annotated[
        AutoScale, outside("auto: log if the values are >= 0 over more than a decade")
    ] = "auto"
    y_scale: Annotated[Scale, outside("log or linear")] = "log"


class NoiseFigure(Banded):
    """Test errors at the end of training against the noise on the test measurements."""

    kind: Annotated[Literal["noise"], outside("test errors against record.noise_levels")] = "noise"
    y: Annotated[Names, outside("observables with one value a noise level, a panel for each")] = (
        "noisy_test_errors",
    )
    amplification: Annotated[
        bool, outside("divide by the noise level: how much of the noise is in the output")
    ] = False
    x_scale: Annotated[Scale, outside("log (a level of 0 at the left edge) or linear")] = "log"
    theory: Annotated[Theory, outside(THEORY)] = ()
