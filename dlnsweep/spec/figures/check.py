"""What in a `[figure]` cannot be drawn from a sweep, found before anything runs.

Imports neither matplotlib nor pandas: it is called whenever a sweep file is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import combinations
from typing import Any

from dlnsweep.contracts.figure import FIGURES, FigureKind, kind_of
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.settings.at import Minimise
from dlnsweep.settings.figure_keys import Limited, ends_of, shown_by
from dlnsweep.settings.sentences import show
from dlnsweep.spec.figures.chosen import Axes, chosen
from dlnsweep.spec.figures.controls import check_controls
from dlnsweep.spec.figures.possible import check_values
from dlnsweep.spec.figures.wording import why_not
from dlnsweep.theory.checks import check_theory


def check(
    figure: Any,
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
    kind = kind_of(figure)
    if not kind.described:
        # Only its own drawing knows what its other keys mean.
        limits = _wrong_limits(figure, kind) if isinstance(figure, Limited) else ()
        return [f"{prefix}.{each}" for each in (*limits, *check_controls(figure, {}))]
    sentences = [f"{prefix}.{sentence}" for sentence in _contradictions(figure, kind)]
    left, problems = chosen(figure.where, values or {}, axes)
    theory = getattr(figure, "theory", ())
    across = kind.axis(figure)
    cells = [getattr(figure, key) for key in kind.axes(figure)] if across == "cells" else []
    ends = check_theory(theory, across, kind.drawn(figure), left, cells)
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
    for key, name in _observables_of(figure, kind):
        sentence = _check_observable(kind, name, observables, vector_observables)
        if sentence:
            sentences.append(f"{prefix}.{key} is {show(name)}; {sentence}")
    for key, name in _settings_of(figure, kind):
        if name not in settings:
            ending = _ending(_nearest(name, settings))
            sentences.append(f"{prefix}.{key} is {show(name)}, which is not a setting{ending}")
        elif varying is not None and key in kind.axes(figure) and name not in varying:
            others = ", ".join(varying) or "none"
            sentences.append(
                f"{prefix}.{key} is '{name}', which has one value in this sweep; "
                f"settings with several values: {others}."
            )
    return sentences


def _contradictions(figure: Any, kind: FigureKind) -> Iterator[str]:
    """Yield what two keys of a figure say against each other."""
    named = {key: name for key, name in _settings_of(figure, kind) if key != "where"}
    for first, second in combinations(named, 2):
        if named[first] == named[second]:
            yield f"{first} and {second} are both '{named[first]}'; name two different settings."
    yield from kind.contradictions(figure)
    of_observables = kind.drawn(figure) and getattr(figure, "theory", ())
    if getattr(figure, "at", None) == "argmin" and of_observables:
        yield "at is 'argmin', a step, but theory is of the observables; leave one of them out."
    low, high = getattr(figure, "quantiles", (0.0, 1.0))
    if not low < high:
        yield f"quantiles is {list(figure.quantiles)}; the first must be smaller than the second."
    yield from _wrong_limits(figure, kind)
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
    for _, name in _observables_of(figure, kind):
        # Ours are drawn by the tests.
        own = name not in OBSERVABLES or _is_ours(OBSERVABLES[name].compute)
        if not own and (reason := why_not(OBSERVABLES[name].label)):
            yield f"y has '{name}', whose label is {show(OBSERVABLES[name].label)}; {reason}"


def _is_ours(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).partition(".")[0] == "dlnsweep"


def _wrong_limits(figure: Any, kind: FigureKind) -> Iterator[str]:
    x_min, x_max = (getattr(figure, key, None) for key in ("x_min", "x_max"))
    yield from _wrong_ends(figure, kind, "x", "", x_min, x_max)
    tables = {key: getattr(figure, key, None) for key in ("y_min", "y_max")}
    tables = {key: given for key, given in tables.items() if isinstance(given, dict)}
    drawn = kind.drawn(figure)
    for key, given in tables.items():
        if not drawn:
            yield f"{key} is a table, but kind = '{kind.name}' has one axis; give a number."
            return
        for name in given:
            if name not in drawn:
                yield f"{key} names {show(name)}, which is not drawn; y is {list(drawn)}."
    for name in [each for each in drawn if any(each in given for given in tables.values())]:
        yield from _wrong_ends(figure, kind, "y", f".{name}", *ends_of(figure, name))
    if not tables:
        yield from _wrong_ends(figure, kind, "y", "", *ends_of(figure, None))


def _wrong_ends(
    figure: Any, kind: FigureKind, axis: str, of: str, low: float | None, high: float | None
) -> Iterator[str]:
    """Yield what is wrong with the two ends of an axis, called by `of` where it is one of many."""
    if low is not None and high is not None and low >= high:
        yield (
            f"{axis}_min{of} is {low:g} and {axis}_max{of} is {high:g}; the first must be smaller "
            "than the second."
        )
    scale = getattr(figure, f"{axis}_scale", "linear")
    # Steps and noise levels have a zero at the left end of a logarithmic axis.
    with_zero = axis == "x" and kind.axis(figure) in ("step", "noise")
    for key, value in ((f"{axis}_min", low), (f"{axis}_max", high)):
        if value is None or scale != "log" or value > 0:
            continue
        if not (with_zero and value == 0 and key == "x_min"):
            yield (
                f"{key}{of} is {value:g}, which a logarithmic axis does not have; leave it out, "
                f"or set {axis}_scale = 'linear'."
            )


def _observables_of(figure: Any, kind: FigureKind) -> Iterator[tuple[str, str]]:
    at = getattr(figure, "at", None)
    if isinstance(at, Minimise):
        yield "at.minimise", at.minimise
    yield from kind.observables(figure)


def _settings_of(figure: Any, kind: FigureKind) -> Iterator[tuple[str, str]]:
    yield from shown_by(figure).items()
    yield from ((key, getattr(figure, key)) for key in kind.axes(figure))
    yield from (("where", name) for name in figure.where)


def _check_observable(
    kind: FigureKind, name: str, observables: Sequence[str], vectors: Sequence[str]
) -> str:
    """Return the end of a sentence about one observable, or nothing if it can be drawn."""
    drawable = [each for each in observables if _may_draw(kind, each, vectors)]
    if name not in observables:
        # A misspelt name should lead to one that this kind can draw, if there is one.
        nearest = _nearest(name, drawable) or _nearest(name, observables)
        return f"the sweep recorded {_listed(observables)}{_ending(nearest)}"
    if name in drawable:
        return ""
    if kind.entries == "noise levels":
        listed = _listed(drawable)
        return f"kind = '{kind.name}' draws what has one value a noise level: {listed}."
    if name not in vectors:
        return f"it is one number a step; kind = '{kind.name}' draws vectors: {_listed(drawable)}."
    over_noise = _is_over_noise_levels(name)
    what = "has one value a noise level" if over_noise else "is a vector"
    wanted = "noise levels" if over_noise else "vector"
    use = next(each.name for each in FIGURES.values() if each.entries == wanted)
    other = f"use '{use}'." if over_noise else f"use kind = '{use}'."
    return f"it {what}, which kind = '{kind.name}' cannot draw; {other}"


def _may_draw(kind: FigureKind, name: str, vectors: Sequence[str]) -> bool:
    if kind.entries == "noise levels":
        return name in vectors and _is_over_noise_levels(name)
    return (name in vectors) == (kind.entries == "vector")


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
