"""What in a `[figure]` cannot be drawn from a sweep, found before anything runs.

Imports neither matplotlib nor pandas: it is called whenever a sweep file is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import combinations
from typing import Any

from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.settings.at import Minimise
from dlnsweep.settings.figure_keys import ends_of, shown_by
from dlnsweep.settings.figures import DRAWN, FigureSettings
from dlnsweep.settings.sentences import show
from dlnsweep.spec.figures.chosen import Axes, chosen
from dlnsweep.spec.figures.controls import check_controls
from dlnsweep.spec.figures.possible import check_values
from dlnsweep.spec.figures.wording import why_not
from dlnsweep.theory.checks import check_theory


def check(
    figure: FigureSettings,
    observables: Sequence[str],
    settings: Sequence[str],
    vector_observables: Sequence[str] = (),
    varying: Sequence[str] | None = None,
    prefix: str = "figure",
    values: Mapping[str, Sequence[Any]] | None = None,
    axes: Axes = (),
) -> list[str]:
    """Return a sentence for each key of `figure` that cannot be drawn; none if all is well.

    Args:
        figure: The figure's settings.
        observables: Everything that the sweep records.
        settings: Dotted names of all settings, and "seed".
        vector_observables: Those of the observables that are vectors.
        varying: The settings that have several values; None if not known, then whether an axis
            of the figure varies is not checked.
        prefix: Where the figure stands in the file, such as "figure" or "figure[1]".
        values: The values of the settings, as far as they are known.
        axes: The settings that vary, as far as they are known; those in one tuple move together.
    """
    if figure.kind in DRAWN:
        # Only its own drawing knows what its other keys mean.
        return [f"{prefix}.{sentence}" for sentence in check_controls(figure, {})]
    sentences = [f"{prefix}.{sentence}" for sentence in _contradictions(figure)]
    left, problems = chosen(figure.where, values or {}, axes)
    theory = getattr(figure, "theory", ())
    cells = (figure.x, figure.y) if figure.kind == "heatmap" else ()
    ends = check_theory(theory, figure.kind, getattr(figure, "y", ()), left, cells)
    ends = [*problems, *ends, *check_values(figure, left), *check_controls(figure, left)]
    sentences += [f"{prefix}.{end}" for end in ends]
    if varying is not None:
        varying = [name for name in varying if len(left.get(name, (0, 0))) > 1]
    as_rates = getattr(figure, "quantity", "value") == "decay_rate"
    if as_rates and 0 in left.get("training.weight_decay", ()):
        sentences.append(
            f"{prefix}.quantity is 'decay_rate', which has the weight decay as its unit; leave "
            'runs without it out: where = { "training.weight_decay" = [...] }.'
        )
    for key, name in _observables_of(figure):
        sentence = _check_observable(figure.kind, name, observables, vector_observables)
        if sentence:
            sentences.append(f"{prefix}.{key} is '{name}'; {sentence}")
    for key, name in _settings_of(figure):
        if name not in settings:
            ending = _ending(_nearest(name, settings))
            sentences.append(f"{prefix}.{key} is '{name}', which is not a setting{ending}")
        elif varying is not None and key in _axes_of(figure) and name not in varying:
            others = ", ".join(varying) or "none"
            sentences.append(
                f"{prefix}.{key} is '{name}', which has one value in this sweep; "
                f"settings with several values: {others}."
            )
    return sentences


def _contradictions(figure: Any) -> Iterator[str]:
    """Yield what two keys of a figure say against each other."""
    named = {key: name for key, name in _settings_of(figure) if key != "where"}
    for first, second in combinations(named, 2):
        if named[first] == named[second]:
            yield f"{first} and {second} are both '{named[first]}'; name two different settings."
    if figure.kind == "heatmap":
        if figure.value == "success" and figure.success is None:
            yield (
                "value is 'success'; say when a run succeeds: "
                "success = { observable = 'regression_error', below = 1e-3 }."
            )
        if figure.value != "success" and figure.success is not None:
            yield f"success is given, but value is '{figure.value}'; set value = 'success'."
        if figure.transition and figure.value != "success":
            yield f"transition is given, but value is '{figure.value}'; set value = 'success'."
    elif figure.kind == "curves":
        for observable in figure.beside:
            if observable not in figure.y:
                yield f"beside names '{observable}', which is not drawn; y is {list(figure.y)}."
    elif figure.kind == "scatter" and figure.x in figure.y:
        yield f"x and y are both '{figure.x}'; name two different observables."
    elif figure.kind == "scatter" and figure.partial_dependence:
        if not figure.x_is_setting:
            yield f"partial_dependence is of a setting, but x is '{figure.x}'; name a sampled one."
        elif figure.bins is None:
            yield "partial_dependence is averaged in bins along x; say how many, such as bins = 8."
    of_observables = figure.kind != "heatmap" and getattr(figure, "theory", ())
    if getattr(figure, "at", None) == "argmin" and of_observables:
        yield "at is 'argmin', a step, but theory is of the observables; leave one of them out."
    low, high = getattr(figure, "quantiles", (0.0, 1.0))
    if not low < high:
        yield f"quantiles is {list(figure.quantiles)}; the first must be smaller than the second."
    yield from _wrong_limits(figure)
    texts = {"title": figure.title or ""}
    for name in ("marks", "levels"):
        given = getattr(figure, name, ())
        texts |= {f"{name}[{i}].label": each.label for i, each in enumerate(given)}
    for i, level in enumerate(getattr(figure, "levels", ())):
        if level.y not in (None, *figure.y):
            yield f"levels[{i}].y is '{level.y}', which is not drawn; y is {list(figure.y)}."
        if level.panel is not None and figure.panel_by is None:
            yield f"levels[{i}].panel is given, but there is one panel only; set panel_by."
    for key, text in texts.items():
        if reason := why_not(text):
            yield f"{key} is {show(text)}; {reason}"
        elif key != "title" and (not text.strip() or text.startswith("_")):
            yield f"{key} is {show(text)}; a legend does not show names that are empty or begin so."
    for _, name in _observables_of(figure):
        # Ours are drawn by the tests.
        own = name not in OBSERVABLES or _is_ours(OBSERVABLES[name].compute)
        if not own and (reason := why_not(OBSERVABLES[name].label)):
            yield f"y has '{name}', whose label is {show(OBSERVABLES[name].label)}; {reason}"


def _is_ours(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).partition(".")[0] == "dlnsweep"


def _wrong_limits(figure: Any) -> Iterator[str]:
    x_min, x_max = (getattr(figure, key, None) for key in ("x_min", "x_max"))
    yield from _wrong_ends(figure, "x", "", x_min, x_max)
    tables = {key: getattr(figure, key, None) for key in ("y_min", "y_max")}
    tables = {key: given for key, given in tables.items() if isinstance(given, dict)}
    drawn = _of_own_axes(figure)
    for key, given in tables.items():
        if not drawn:
            yield f"{key} is a table, but kind = '{figure.kind}' has one axis; give a number."
            return
        for name in given:
            if name not in drawn:
                yield f"{key} names {show(name)}, which is not drawn; y is {list(drawn)}."
    for name in [each for each in drawn if any(each in given for given in tables.values())]:
        yield from _wrong_ends(figure, "y", f".{name}", *ends_of(figure, name))
    if not tables:
        yield from _wrong_ends(figure, "y", "", *ends_of(figure, None))


def _of_own_axes(figure: Any) -> tuple[str, ...]:
    """Return the observables of a figure that have a vertical axis each."""
    if figure.kind in ("heatmap", "boundary"):
        return ()
    return (figure.y,) if isinstance(figure.y, str) else tuple(figure.y)


def _wrong_ends(
    figure: Any, axis: str, of: str, low: float | None, high: float | None
) -> Iterator[str]:
    """Yield what is wrong with the two ends of an axis, called by `of` where it is one of many."""
    if low is not None and high is not None and low >= high:
        yield (
            f"{axis}_min{of} is {low:g} and {axis}_max{of} is {high:g}; the first must be smaller "
            "than the second."
        )
    scale = getattr(figure, f"{axis}_scale", "linear")
    # Steps and noise levels have a zero at the left end of a logarithmic axis.
    with_zero = axis == "x" and figure.kind in ("curves", "spectrum", "noise")
    for key, value in ((f"{axis}_min", low), (f"{axis}_max", high)):
        if value is None or scale != "log" or value > 0:
            continue
        if not (with_zero and value == 0 and key == "x_min"):
            yield (
                f"{key}{of} is {value:g}, which a logarithmic axis does not have; leave it out, "
                f"or set {axis}_scale = 'linear'."
            )


def _observables_of(figure: FigureSettings) -> Iterator[tuple[str, str]]:
    at = getattr(figure, "at", None)
    if isinstance(at, Minimise):
        yield "at.minimise", at.minimise
    if figure.kind == "scatter" and not figure.x_is_setting:
        yield "x", figure.x
    if figure.kind == "heatmap":
        conditions = figure.success or ()
        for index, each in enumerate(conditions):
            place = "success" if len(conditions) == 1 else f"success[{index}]"
            yield f"{place}.observable", each.observable
        if figure.success is None and figure.value != "success":
            yield "value", figure.value
    elif figure.kind == "boundary":
        return
    elif isinstance(figure.y, str):
        yield "y", figure.y
    else:
        yield from ((f"y[{index}]", name) for index, name in enumerate(figure.y))
        yield from ((f"beside.{at}", name) for at, name in getattr(figure, "beside", {}).items())


def _settings_of(figure: Any) -> Iterator[tuple[str, str]]:
    yield from shown_by(figure).items()
    yield from ((key, getattr(figure, key)) for key in _axes_of(figure))
    yield from (("where", name) for name in figure.where)


def _axes_of(figure: FigureSettings) -> tuple[str, ...]:
    if figure.kind == "scatter":
        return ("x",) if figure.x_is_setting else ()
    return {"heatmap": ("x", "y"), "final": ("x",), "boundary": ("x",)}.get(figure.kind, ())


def _check_observable(
    kind: str, name: str, observables: Sequence[str], vectors: Sequence[str]
) -> str:
    """Return the end of a sentence about one observable, or nothing if it can be drawn."""
    if kind == "noise":
        drawable = [each for each in vectors if _is_over_noise_levels(each)]
    else:
        drawable = [each for each in observables if (each in vectors) == (kind == "spectrum")]
    if name not in observables:
        # A misspelt name should lead to one that this kind can draw, if there is one.
        nearest = _nearest(name, drawable) or _nearest(name, observables)
        return f"the sweep recorded {_listed(observables)}{_ending(nearest)}"
    if kind == "noise":
        listed = _listed(drawable)
        wanted = f"kind = 'noise' draws what has one value a noise level: {listed}."
        return "" if name in drawable else wanted
    if name in vectors and _is_over_noise_levels(name) and kind != "spectrum":
        return f"it has one value a noise level, which kind = '{kind}' cannot draw; use 'noise'."
    if name in vectors and kind != "spectrum":
        return f"it is a vector, which kind = '{kind}' cannot draw; use kind = 'spectrum'."
    if name not in vectors and kind == "spectrum":
        return f"it is one number a step; kind = 'spectrum' draws vectors: {_listed(drawable)}."
    return ""


def _is_over_noise_levels(name: str) -> bool:
    return name in OBSERVABLES and OBSERVABLES[name].over_noise_levels


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing of that sort"


def _nearest(name: str, names: Sequence[str]) -> str:
    close = get_close_matches(name, names, n=1)
    if not close:
        # 'depth' for 'network.depth' is too far for difflib.
        close = [each for each in names if each.rpartition(".")[2] == name][:1]
    return close[0] if close else ""


def _ending(nearest: str) -> str:
    return f"; did you mean '{nearest}'?" if nearest else "."
