"""Words and numbers as they stand in a figure: names of observables and settings, and values."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from dlnsweep.contracts.keys import describe_setting
from dlnsweep.contracts.network import NETWORKS, NetworkKind
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.settings.sentences import printable
from dlnsweep.spec.figures.wording import plain

_KINDS: ContextVar[tuple[str, str] | None] = ContextVar("kinds", default=None)
# What runs of several kinds are, which have no formula in common.
_SEVERAL = ("", "")


def observable_label(name: str, network: NetworkKind | None = None) -> str:
    """Return what stands at an axis for an observable: words and the formula.

    Args:
        name: The observable.
        network: The kind of network, which may write it in its own symbols.
    """
    label = OBSERVABLES[name].label if name in OBSERVABLES else _words(name)
    if _KINDS.get() == _SEVERAL:
        return label.partition(" $")[0]
    kinds = _KINDS.get()
    if kinds and PROBLEMS[kinds[0]].clean is not None:
        # The range of the clean measurements: those that are trained on have no range of their own.
        label = label.replace(r"{range}(Y)", r"{range}(Y_{\mathrm{clean}})")
    return network.label(name, label) if network else label


def network_among(runs: Any) -> NetworkKind | None:
    """Return the kind of network that all runs of a table share; None if it is not known."""
    if not {"problem.kind", "network.kind"} <= set(runs.columns):
        return None
    if len(runs[["problem.kind", "network.kind"]].drop_duplicates()) != 1:
        # Of several sweeps.
        return None
    problem = PROBLEMS.get(str(runs["problem.kind"].iloc[0]))
    return NETWORKS.get((problem.task, str(runs["network.kind"].iloc[0]))) if problem else None


def value_label(name: str, network: NetworkKind | None, at: Any) -> str:
    """Return the label of an observable as a figure takes it: it, or the step where it is least."""
    label = observable_label(name, network)
    return f"step of the least {label.partition(' $')[0]}" if at == "argmin" else label


def over_label(label: str, setting: str) -> str:
    """Return the label of an observable that is divided by a setting: its words, and by what."""
    return f"{label.partition(' $')[0]} over {setting_name(setting)}"


def told_conditions(conditions: Sequence[Any]) -> str:
    """Return conditions of success in words: "loss < $10^{-3}$ and test error < 0.1"."""
    return " and ".join(
        f"{observable_label(each.observable).partition(' $')[0]} < {format_value(each.below)}"
        for each in conditions
    )


def _kinds() -> tuple[str, str] | None:
    found = _KINDS.get()
    return None if found == _SEVERAL else found


@contextmanager
def words_of(runs: Any) -> Iterator[None]:
    """Write settings in the symbols of a sweep's kinds of problem and network.

    Args:
        runs: The runs as a table.
    """
    kinds = None
    known = {"problem.kind", "network.kind"} <= set(runs.columns)
    different = len(runs[["problem.kind", "network.kind"]].drop_duplicates()) if known else 0
    if different > 1:
        kinds = _SEVERAL
    elif different:
        problem, network = (str(runs[f"{each}.kind"].iloc[0]) for each in ("problem", "network"))
        # The problem may be of a package that is not installed here.
        kinds = (problem, network) if problem in PROBLEMS else None
    token = _KINDS.set(kinds)
    try:
        yield
    finally:
        _KINDS.reset(token)


def setting_symbol(name: str) -> tuple[str, str, str]:
    """Return symbol (plain text, may be empty), words and unit of a dotted setting."""
    info = describe_setting(name, _kinds())
    key = name.rpartition(".")[2]
    words = _CALLED.get(key) or _words(key)
    if info is None:
        return "", words, ""
    # "number of steps [steps]" says it twice.
    unit = "" if info.unit in words else info.unit
    return info.symbol, words, unit


def setting_idle(name: str) -> float | None:
    """Return the value at which a dotted setting does nothing; None if there is none."""
    info = describe_setting(name, _kinds())
    return info.idle if info else None


def _words(name: str) -> str:
    words = name.replace("_", " ")
    for short, full in _SHORT.items():
        words = re.sub(rf"\b{short}\b", full, words)
    return words


# Not the hyphen of a keyboard, as in Matplotlib's own ticks.
_MINUS = "\u2212"
# Whole numbers from here on have powers of ten.
_MOST_WHOLE = 1e7
# Digits that every number of up to so many has all of.
_EXACT = 15
_SHORT = {
    "num": "number of",
    "dim": "dimension",
    "init": "initial",
    "data fit": "data-fit",
    "beta1": "first-moment decay",
    "beta2": "second-moment decay",
}
# Numbers of optimizers whose names say the number and not what it does.
_CALLED = {
    "lion_beta2": "decay of the kept average",
    "novograd_beta2": "squared-norm decay",
    "adan_beta1": "average-gradient decay",
    "adan_beta2": "gradient-difference decay",
    "adan_beta3": "second-moment decay",
}


def setting_label(name: str) -> str:
    """Return the words, symbol and unit of a setting, such as "weight decay $λ$"."""
    symbol, label, unit = setting_symbol(name)
    if len(symbol) == 1 and unicodedata.name(symbol).lower().endswith(f" {label}"):
        # "gamma γ" says it twice.
        label = ""
    return " ".join(filter(None, [label, math_symbol(symbol), f"[{unit}]" if unit else ""]))


def setting_name(name: str) -> str:
    """Return the symbol of a setting, or its words if it has none."""
    symbol, label, _ = setting_symbol(name)
    return math_symbol(symbol) or label


def math_symbol(symbol: str) -> str:
    """Return a symbol of plain text as mathematics: d_w as $d_{w}$."""
    if not symbol:
        return ""
    braces = r"_{\1}" if re.search(r"_\w$", symbol) else r"_{\\mathrm{\1}}"
    return "$" + re.sub(r"_(\w+)", braces, symbol) + "$"


def format_settings(name: str, values: Sequence[Any]) -> list[str]:
    """Return the values of a setting as one writes them beside each other.

    Args:
        name: The dotted setting, which may have a word for 0.
        values: Its values.
    """
    info = describe_setting(name, _kinds())
    zero = info.zero if info else ""
    # The word stands for no number, so the others are written without it.
    none = [bool(zero) and v in (0, "") for v in values]
    texts = iter(format_values([v for v, nothing in zip(values, none, strict=True) if not nothing]))
    return [zero if nothing else next(texts) for nothing in none]


def format_values(values: Sequence[Any]) -> list[str]:
    """Return the values as one writes them beside each other: all as powers of ten, or none.

    Those that are alike are written alike: 0.001 beside 0.01, and 10⁻² beside 3·10⁻⁴. Numbers of
    more than four digits, as those of a logarithmic grid, with as few as tell them apart, three at
    least; whole numbers with all of theirs.
    """
    numbers = [v for v in values if _is_number(v) and math.isfinite(v) and v != 0]
    powers = all(_split(number)[0] == "1" for number in numbers)
    if powers and any(not 0.01 <= abs(number) < 1e4 for number in numbers):
        return [_scientific(value) if value in numbers else format_value(value) for value in values]
    ends = plain_ends(numbers) if len(numbers) > 1 else None
    exact = [format_value(value, ends=ends) for value in values]
    if len(values) == 1 or all(float(f"{number:.4g}") == number for number in numbers):
        return exact
    whole = [_is_number(value) and value % 1 == 0 for value in values]
    for digits in (3, 4, 5):
        made = [
            text if kept else format_value(value, digits, ends)
            for value, text, kept in zip(values, exact, whole, strict=True)
        ]
        if len(set(made)) == len(set(exact)):
            return made
    return exact


def plain_ends(numbers: Sequence[float]) -> tuple[float, float]:
    """Return from where to where numbers beside each other have no power of ten.

    Args:
        numbers: They; none of them is 0.
    """
    sizes = [abs(number) for number in numbers]
    low = 1e-3 if min(sizes) >= 1e-3 else 0.1
    whole = all(number % 1 == 0 for number in numbers)
    return low, _MOST_WHOLE if whole and min(sizes) < 1e5 and max(sizes) < _MOST_WHOLE else 1e4


def format_value(value: Any, digits: int = 6, ends: tuple[float, float] | None = None) -> str:
    """Return one value: 1e-3 as $10^{-3}$, 0.25 as 0.25, an unused setting as "none".

    Args:
        value: The value.
        digits: Significant digits at most.
        ends: From where to where numbers have no power of ten; as is usual of one that stands
            alone if None.
    """
    if value is None:
        return "none"
    if not _is_number(value):
        words = str(value).lower() if isinstance(value, bool) else str(value).replace("_", " ")
        # The name of a file may have dollar signs, and no mathematics.
        return plain(printable(words))
    if not math.isfinite(value):
        return str(value)
    low, high = ends or (0.01, 1e4)
    if isinstance(value, int) and (abs(value) < high or (ends is None and _is_short(value))):
        return str(value).replace("-", _MINUS)
    if value == 0 or low <= abs(value) < high:
        return f"{float(f'{value:.{digits}g}'):.{_EXACT}g}".replace("-", _MINUS)
    return _scientific(value, digits)


def _is_short(value: int) -> bool:
    """Return whether a whole number is no longer than with a power of ten: 254197, not 200000."""
    return abs(value) < 1e5 or (abs(value) < _MOST_WHOLE and len(str(abs(value)).strip("0")) > 2)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _split(value: float, digits: int = 6) -> tuple[str, int]:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{float(mantissa):g}", int(exponent)


def _scientific(value: float, digits: int = 6) -> str:
    mantissa, exponent = _split(value, digits)
    if mantissa in ("1", "-1"):
        return f"${mantissa[:-1]}10^{{{exponent}}}$"
    return rf"${mantissa}\times10^{{{exponent}}}$"


def with_symbol(name: str, value: str) -> str:
    """Return a setting with its formatted value, such as "$λ$ = 0.1", or "initializer balanced"."""
    symbol, label, unit = setting_symbol(name)
    value = f"{value} {unit}" if unit else value
    return f"{math_symbol(symbol)} = {value}" if symbol else f"{label} {value}"
