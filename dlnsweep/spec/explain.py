"""`dlnsweep explain`: the keys of a section or kind, as the settings classes declare them."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from dlnsweep.contracts import plugins
from dlnsweep.contracts.network import NETWORKS
from dlnsweep.contracts.observable import OBSERVABLES, VIEWS
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.errors import SpecError
from dlnsweep.settings.base import Settings, description
from dlnsweep.settings.refine import Refine
from dlnsweep.settings.sections import SECTIONS
from dlnsweep.settings.sentences import did_you_mean, show
from dlnsweep.settings.stop_when import StopWhen
from dlnsweep.settings.until import Until
from dlnsweep.settings.warm_start import WarmStart
from dlnsweep.settings.words import words_of
from dlnsweep.spec.formulas import ALLOWED
from dlnsweep.theory.curves import THEORY_CURVES

_WIDTH = 96
# Tables within sections, whose keys come after those of the sections: `width` is a network's.
_TABLES: Mapping[str, type[Settings]] = {
    "sweep.refine": Refine,
    "sweep.until": Until,
    "sweep.warm_start": WarmStart,
    "training.stop_when": StopWhen,
}
# Words of a value that is no list of words.
_ALSO = {"minimise": "figure.at", "finished": "success"}


def explain(word: str) -> str:
    """Explain a section, a kind, "observables", or a single key such as training.learning_rate.

    Raises:
        SpecError: If there is no such thing.
    """
    plugins.load()
    whole = _topics()
    if not word:
        return _listed("Explain what? One of:", whole)
    kinds = _kinds()
    if word == "figure":
        return _explain_figures(kinds[word])
    if word in kinds:
        return _listed(f"[{word}] has a kind; explain one of:", kinds[word])
    if word in whole:
        return whole[word]()
    if word in OBSERVABLES:
        return textwrap.fill(f"{word}: {OBSERVABLES[word].text}", _WIDTH, subsequent_indent="    ")
    if word in THEORY_CURVES:
        return "\n".join(_theory_lines(word))
    section, dot, key = _ALSO.get(word, word).rpartition(".")
    section = next((name for name in _TABLES if name.endswith(f".{section}")), section)
    sections = {
        name: list(dict.fromkeys(c for each in kinds[name].values() for c in each))
        for name in ("problem", "network", "figure")
    }
    sections |= {name: [settings] for name, settings in {**SECTIONS, **_TABLES}.items()}
    # A key of one kind: curves.hue, subspace.signal_dim.
    for named in kinds.values():
        for kind, own in named.items():
            sections.setdefault(kind, own)
    chosen = sections.get(section, []) if dot else [c for each in sections.values() for c in each]
    inner = {*_TABLES.values()}
    having = [c for c in chosen if key in c.model_fields]
    having = [c for c in having if c not in inner] or having
    found = {"\n".join(_explain_key(c, key)) for c in having}
    if found:
        return "\n".join(sorted(found))
    choices = _explain_choice(word, sections)
    if choices:
        return choices
    keys = [
        f"{name}.{k}" for name, classes in sections.items() for c in classes for k in c.model_fields
    ]
    hint = did_you_mean(
        word, list(dict.fromkeys([*whole, *kinds, *OBSERVABLES, *THEORY_CURVES, *keys]))
    )
    raise SpecError(f"explain: {show(word)} is not known{hint}")


def topics() -> tuple[str, ...]:
    """Return the sections, the kinds and what else can be explained as a whole."""
    plugins.load()
    return tuple(_topics())


def _listed(title: str, words: Iterable[str]) -> str:
    body = textwrap.fill(", ".join(words), _WIDTH, initial_indent="  ", subsequent_indent="  ")
    return f"{title}\n{body}"


def _kinds() -> dict[str, dict[str, list[type[Settings]]]]:
    """Return the settings classes of each kind; a network's kind can have one for each task."""
    from dlnsweep.contracts.figure import FIGURES

    problems = {kind: [problem.settings] for kind, problem in PROBLEMS.items()}
    networks: dict[str, list[type[Settings]]] = {}
    for network in NETWORKS.values():
        networks.setdefault(network.kind, []).append(network.settings)
    figures: dict[str, list[type[Settings]]] = {k: [v.settings] for k, v in FIGURES.items()}
    return {"problem": problems, "network": networks, "figure": figures}


def _topics() -> dict[str, Callable[[], str]]:
    kinds = _kinds()
    names = list(dict.fromkeys([*kinds["problem"], *kinds["network"], *SECTIONS, *kinds["figure"]]))
    with_keys: dict[str, Callable[[], str]] = {n: partial(_explain_topic, n) for n in names}
    return with_keys | _WITHOUT_KEYS


def _explain_topic(word: str) -> str:
    """Explain a section or kind; a word that is several is explained as each of them."""
    kinds = _kinds()
    classes = [SECTIONS[word]] if word in SECTIONS else []
    classes += [each for section in kinds.values() for each in section.get(word, ())]
    return "\n\n".join(_explain_settings(word, each) for each in dict.fromkeys(classes))


def _explain_settings(word: str, settings: type[Settings]) -> str:
    lines = [(settings.__doc__ or word).strip().splitlines()[0]]
    tasks = {n.task for n in NETWORKS.values() if n.settings is settings}
    users = [kind for kind, problem in PROBLEMS.items() if problem.task in tasks]
    if users:
        lines += textwrap.wrap(f"For problems of kind {', '.join(users)}.", _WIDTH)
    # What must be given comes first, then what the kind has for itself, then what many share.
    inherited = {key for base in settings.__bases__ for key in getattr(base, "model_fields", ())}

    def place(key: str) -> tuple[bool, bool]:
        free = not settings.model_fields[key].is_required() or key in settings.follows
        return free, key in inherited

    lines.append("")
    for key in sorted(settings.model_fields, key=place):
        lines += _explain_key(settings, key)
    return "\n".join(lines)


def _explain_figures(kinds: Mapping[str, Sequence[type[Settings]]]) -> str:
    """Return the kinds of figures, and the keys that several have, with who has them."""
    lines = [_listed("[figure] has a kind; explain one of:", kinds), ""]
    lines += [
        "Keys that several kinds have (a figure says with a sentence if its kind has not):",
        "",
    ]
    told: set[str] = set()
    for settings in (each for some in kinds.values() for each in some):
        for base in reversed(settings.__mro__):
            if not issubclass(base, Settings) or base in (Settings, settings):
                continue
            for key in base.model_fields:
                if key not in told:
                    told.add(key)
                    users = [k for k, (each, *_) in kinds.items() if key in each.model_fields]
                    lines += _explain_key(base, key)
                    if len(users) < len(kinds):
                        lines.append(f"    Of {', '.join(users)}.")
    return "\n".join(lines)


def _explain_choice(word: str, sections: Mapping[str, Sequence[type[Settings]]]) -> str:
    """Explain a value that a setting can have ("decay_rate"), by that setting; empty if none."""
    lines: dict[str, list[str]] = {}
    for section, classes in sections.items():
        for settings in classes:
            for key, field in settings.model_fields.items():
                known = words_of(field.metadata) or _literals(field.annotation)
                if word in known and section not in _kinds_of_all():
                    text = "\n".join(_explain_key(settings, key))
                    lines.setdefault(text, []).append(f"{section}.{key}")
    return "\n".join(
        f"'{word}' is a value of {', '.join(dict.fromkeys(places))}:\n{text}"
        for text, places in lines.items()
    )


def _literals(annotation: Any) -> set[Any]:
    """Return the values that a type names, such as those of at: 'final', 'min', 'argmin'."""
    if get_origin(annotation) in (Union, UnionType):
        return {value for each in get_args(annotation) for value in _literals(each)}
    return {*get_args(annotation)} if get_origin(annotation) is Literal else set()


def _kinds_of_all() -> set[str]:
    return {kind for named in _kinds().values() for kind in named}


def _explain_key(settings: type[Settings], key: str) -> list[str]:
    field = settings.model_fields[key]
    info = description(settings, key)
    words = words_of(field.metadata)
    facts = [" | ".join(map(repr, words)) if words is not None else _type(field.annotation)]
    facts += [_bound(item) for item in field.metadata if _bound(item)]
    use = settings.used_by.get(key)
    if use is not None and use.needed:
        facts.append(f"needed by {use.chooser} = {' or '.join(map(repr, use.choices))}")
    elif key in settings.follows:
        *others, last = settings.follows[key].keys
        listed = f"{', '.join(others)} and {last}" if others else last
        facts.append(f"if left out it follows from {listed}")
    elif field.is_required():
        facts.append("required")
    else:
        value = field.get_default(call_default_factory=True)
        facts.append(f"default {_shown(value)}")
    if info is not None:
        if info.unit:
            facts.append(f"unit: {info.unit}")
        if info.role != "outside":
            facts.append(info.role)
        if not info.axis and info.role != "outside":
            facts.append("one value a file")
    symbol = f" ({info.symbol})" if info and info.symbol else ""
    text = f"{info.text}" if info else ""
    if words is not None and words.texts:
        text += "".join(f"; {word}: {said}" for word, said in words.texts.items())
    body = f"{text}. [{'; '.join(facts)}]" if text else f"[{'; '.join(facts)}]"
    wrapped = textwrap.wrap(body, _WIDTH - 4)
    # What a file calls it, where that is no name in Python ("from").
    return [f"{field.alias or key}{symbol}", *[f"    {line}" for line in wrapped]]


def _explain_observables() -> str:
    lines = ["What [record] observables can name.", ""]
    default = next(iter(NETWORKS.values()))
    for name in sorted(OBSERVABLES, key=lambda each: not default.has(OBSERVABLES[each])):
        observable = OBSERVABLES[name]
        shape = "" if observable.size is None else " (a vector)"
        lines += [f"{name}{shape}"]
        users = " and ".join(VIEWS[view] for view in observable.views) or "every network"
        body = f"{observable.text}. [for {users}]"
        lines += [f"    {line}" for line in textwrap.wrap(body, _WIDTH - 4)]
    return "\n".join(lines)


def _explain_theory() -> str:
    lines = ["What theory = [...] of a [figure] can name.", ""]
    for name in THEORY_CURVES:
        lines += _theory_lines(name)
    return "\n".join(lines)


def _theory_lines(name: str) -> list[str]:
    curve = THEORY_CURVES[name]
    words = {
        key: " or ".join(str(each) or '""' for each in some) for key, some in curve.needs.items()
    }
    needs = [f"{key} = {some}" for key, some in words.items()]
    beside = ", ".join(curve.observables) or f"values of {curve.setting} in kind = 'heatmap'"
    body = f"{curve.text}. [beside {beside}; for {'; '.join(needs)}]"
    return [name, *[f"    {line}" for line in textwrap.wrap(body, _WIDTH - 4)]]


_OPERATORS = """\
What operator = ... of a [problem] that measures signals can name: how A (m, d) is drawn.

gaussian
    independent normal entries of variance 1/m (the default)
random_signs
    independent entries +1/sqrt(m) or -1/sqrt(m)
dct
    m rows of the orthonormal discrete cosine transform, without replacement, times sqrt(d/m)
blur
    periodic convolution with a Gaussian of blur_width, then m evenly spaced samples; the same for
    every seed
file
    the matrix in operator_file, a .npy file, as it is; the same for every seed"""

_RANGE = """\
A range stands for several values of a setting, as a list does; both ends are among them.

{ from = 1e-4, to = 1e-1, count = 7, spacing = "log" }
    from and to
        the ends
    count
        how many values
    spacing
        "log": a constant factor apart; "linear": a constant difference (the default within two
        decades; over more, say which); "integer": linear, rounded to integers, each once
sweep.seeds = { from = 10, to = 19 }
    every seed from one to the other"""

_FORMULA = f"""\
A formula stands for a number that is computed from other settings of the same run.

learning_rate = {{ formula = "0.1 / network.depth" }}
{textwrap.indent(textwrap.fill(f"It may hold {ALLOWED}.", _WIDTH - 4), "    ")}
    Settings are named with their section; those that are formulas are computed first. It is parsed
    and never run as code. A run is told by the number: one that is given the same by hand is the
    same run. `dlnsweep check` and `plan` show the values."""

_SAMPLE = """\
A sample stands for as many values as sweep.samples says, drawn when the file is read. All that is
sampled is drawn jointly, and is one axis.

{ sample = "log_uniform", from = 1e-4, to = 1 }
    sample
        "uniform", "log_uniform", "integer" (both ends included), or "choice" with of = [...]
sweep.samples = 64
    how many; more of the same settings begin with the fewer
sweep.sample_seed = 0
    says which
sweep.sampler = "random"
    or "sobol", a scrambled Sobol sequence: more even, but another sampled setting redraws all"""

_BLOCK = """\
Blocks are several grids whose runs are joined. Within a block axes cross; together what blocks name
is one axis, crossed with all others. What a block leaves out has its section's value.

[[sweep.block]]
network.depth = 2
network.width = [32, 64, 128]

[[sweep.block]]
network.depth = 3
network.width = [16, 32]"""

_WITHOUT_KEYS: dict[str, Callable[[], str]] = {
    "observables": _explain_observables,
    "theory": _explain_theory,
    "operators": lambda: _OPERATORS,
    "range": lambda: _RANGE,
    "formula": lambda: _FORMULA,
    "sample": lambda: _SAMPLE,
    "block": lambda: _BLOCK,
    "refine": lambda: _explain_settings("refine", Refine),
    "until": lambda: _explain_settings("until", Until),
    "warm_start": lambda: _explain_settings("warm_start", WarmStart),
}


def _shown(value: Any) -> str:
    if isinstance(value, Settings):
        value = value.model_dump()
    return "none" if value is None else json.dumps(value)


def _bound(item: Any) -> str:
    """Return a bound that pydantic keeps beside a field's type, as text."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    found = [f"{sign} {getattr(item, name)}" for name, sign in signs.items() if hasattr(item, name)]
    return found[0] if found else ""


_WORDS = {float: "a number", int: "an integer", str: "a string", bool: "true or false"}
_SEVERAL = {
    "a number": "numbers",
    "an integer": "integers",
    "a string": "strings",
    "a list of strings": "lists of strings",
    "a table": "tables",
}


def _type(annotation: Any) -> str:
    """Return a type as a user would say it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return "none"
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " | ".join(map(repr, arguments))
    if origin in (Union, UnionType):
        return " or ".join(_type(each) for each in arguments if each is not type(None))
    if origin in (list, tuple):
        each = _type(arguments[0])
        return f"a list of {_SEVERAL.get(each, each)}"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, Settings)):
        return "a table"
    return _WORDS.get(annotation, str(annotation))
