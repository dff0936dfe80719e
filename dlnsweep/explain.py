"""`dlnsweep explain`: the keys of a section or kind, as the settings classes declare them."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from dlnsweep import plugins
from dlnsweep.errors import SpecError
from dlnsweep.networks import NETWORKS
from dlnsweep.observables import OBSERVABLES, VIEWS
from dlnsweep.problems import PROBLEMS
from dlnsweep.sections import SECTIONS
from dlnsweep.sentences import did_you_mean, show
from dlnsweep.settings import Settings, description
from dlnsweep.theory_curves import THEORY_CURVES

_WIDTH = 96


def explain(word: str) -> str:
    """Explain a section, a kind, "observables", or a single key such as training.learning_rate.

    Raises:
        SpecError: If there is no such thing.
    """
    plugins.load()
    topics = _topics()
    if not word:
        return _listed("Explain what? One of:", topics)
    kinds = _kinds()
    if word in kinds:
        return _listed(f"[{word}] has a kind; explain one of:", kinds[word])
    if word in topics:
        kind = topics[word]
        return _WITHOUT_KEYS[word]() if kind is None else _explain_settings(word, kind)
    if word in OBSERVABLES:
        return textwrap.fill(f"{word}: {OBSERVABLES[word].text}", _WIDTH, subsequent_indent="    ")
    section, dot, key = word.rpartition(".")
    sections = {
        name: list(dict.fromkeys(kinds[name].values())) for name in ("problem", "network", "figure")
    }
    sections |= {name: [settings] for name, settings in SECTIONS.items()}
    chosen = sections.get(section, []) if dot else [c for each in sections.values() for c in each]
    found = {"\n".join(_explain_key(c, key)) for c in chosen if key in c.model_fields}
    if found:
        return "\n".join(sorted(found))
    keys = [
        f"{name}.{k}" for name, classes in sections.items() for c in classes for k in c.model_fields
    ]
    hint = did_you_mean(word, list(dict.fromkeys([*topics, *kinds, *OBSERVABLES, *keys])))
    raise SpecError(f"explain: {show(word)} is not known{hint}")


def _listed(title: str, words: Iterable[str]) -> str:
    body = textwrap.fill(", ".join(words), _WIDTH, initial_indent="  ", subsequent_indent="  ")
    return f"{title}\n{body}"


def _kinds() -> dict[str, dict[str, type[Settings]]]:
    from dlnsweep.figures.settings import FIGURES

    problems = {kind: problem.settings for kind, problem in PROBLEMS.items()}
    networks = {network.kind: network.settings for network in NETWORKS.values()}
    return {"problem": problems, "network": networks, "figure": dict(FIGURES)}


def _topics() -> dict[str, type[Settings] | None]:
    kinds = _kinds()
    topics: dict[str, type[Settings] | None] = {
        **kinds["problem"],
        **kinds["network"],
        **SECTIONS,
    }
    return topics | kinds["figure"] | dict.fromkeys(_WITHOUT_KEYS)


def _explain_settings(word: str, settings: type[Settings]) -> str:
    lines = [(settings.__doc__ or word).strip().splitlines()[0], ""]
    for key in settings.model_fields:
        lines += _explain_key(settings, key)
    return "\n".join(lines)


def _explain_key(settings: type[Settings], key: str) -> list[str]:
    field = settings.model_fields[key]
    info = description(settings, key)
    facts = [_type(field.annotation)]
    facts += [_bound(item) for item in field.metadata if _bound(item)]
    use = settings.used_by.get(key)
    if use is not None and use.needed:
        facts.append(f"needed by {use.chooser} = {' or '.join(map(repr, use.choices))}")
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
    body = f"{text}. [{'; '.join(facts)}]" if text else f"[{'; '.join(facts)}]"
    wrapped = textwrap.wrap(body, _WIDTH - 4)
    return [f"{key}{symbol}", *[f"    {line}" for line in wrapped]]


def _explain_observables() -> str:
    lines = ["What [record] observables can name.", ""]
    for name, observable in OBSERVABLES.items():
        shape = "" if observable.size is None else " (a vector)"
        lines += [f"{name}{shape}"]
        users = " and ".join(VIEWS[view] for view in observable.views) or "every network"
        body = f"{observable.text}. [for {users}]"
        lines += [f"    {line}" for line in textwrap.wrap(body, _WIDTH - 4)]
    return "\n".join(lines)


def _explain_theory() -> str:
    lines = ["What theory = [...] of a [figure] can name.", ""]
    for name, curve in THEORY_CURVES.items():
        needs = [f"{key} = {' or '.join(map(str, some))}" for key, some in curve.needs.items()]
        body = f"{curve.text}. [beside {', '.join(curve.observables)}; for {'; '.join(needs)}]"
        lines += [name, *[f"    {line}" for line in textwrap.wrap(body, _WIDTH - 4)]]
    return "\n".join(lines)


_WITHOUT_KEYS = {"observables": _explain_observables, "theory": _explain_theory}


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
