"""The kinds of problem and network that a sweep file names, and the settings classes they bring."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dlnsweep.contracts.keys import sweep_classes
from dlnsweep.contracts.network import NETWORKS, OWN_TASKS, find_network
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.settings.base import Settings
from dlnsweep.settings.sections import SECTIONS
from dlnsweep.settings.sentences import did_you_mean, nearest_key, show
from dlnsweep.settings.words import words_of

# Most of those who name what is not known have written it themselves.
_OWN = ", or the kind of a plug-in that is named, --plugin FILE"


def settings_classes(document: Mapping[str, Any]) -> tuple[dict[str, type[Settings]], list[str]]:
    """Return the settings class of each section, and what is wrong with the problem's kind.

    Args:
        document: The sweep file.
    """
    problem = document.get("problem")
    kind = problem.get("kind") if isinstance(problem, dict) else None
    known = ", ".join(f"'{each}'" for each in PROBLEMS)
    if isinstance(kind, str) and kind in PROBLEMS:
        network = document.get("network")
        named = network.get("kind") if isinstance(network, dict) else None
        return sweep_classes(kind, named), []
    if problem is None:
        sentence = f"[problem] is missing; it must name a kind: {known}."
    elif not isinstance(problem, dict):
        sentence = f"problem is {show(problem)}; it must be a table, [problem]."
    elif kind is None:
        sentence = f"problem.kind is missing; known are {known}."
    else:
        hint = did_you_mean(kind[:100], PROBLEMS) if isinstance(kind, str) else ""
        hint = hint or f"; known are {known}."
        if isinstance(kind, str) and not nearest_key(kind[:100], PROBLEMS):
            hint = f"{hint.removesuffix('.')}; one of your own needs its file, --plugin FILE."
        sentence = f"problem.kind is {show(kind)}, which is not known{hint}"
    return {"network": _settings_of(document), **SECTIONS}, [sentence]


def _settings_of(document: Mapping[str, Any]) -> type[Settings]:
    """Return the settings class of a network whose problem is not known, by its kind alone."""
    network = document.get("network")
    named = network.get("kind") if isinstance(network, dict) else None
    of_kind = (each.settings for (_, kind), each in NETWORKS.items() if kind == named)
    return next(of_kind, find_network("subspace").settings)


def unknown_network(kind: str, document: Mapping[str, Any]) -> str:
    """Return the sentence on a kind of network that the problem of a file does not have."""
    kinds = tuple(dict.fromkeys(known for _, known in NETWORKS))
    said, problem = f"network.kind is {show(kind)}; ", document.get("problem")
    named = problem.get("kind") if isinstance(problem, dict) else None
    registered = PROBLEMS.get(named) if isinstance(named, str) else None
    allowed = kinds
    if registered is not None:
        allowed = tuple(k for task, k in NETWORKS if task == registered.task)
        said += f"with problem.kind = {show(named)} "
    *others, last = map(show, allowed)
    said += f"it must be {', '.join(others)} or {last}" if others else f"it must be {last}"
    # One that is not known is of a plug-in, most likely; this package's own have no version.
    strange = kind not in kinds or any(n.version for (_, k), n in NETWORKS.items() if k == kind)
    if strange and registered is not None and registered.task not in OWN_TASKS:
        return (
            f"{said}: networks of one's own are trained on samples, or make a matrix, and this "
            "problem has neither."
        )
    return f"{said}{'' if kind in kinds else _OWN}."


def strange_network(document: Mapping[str, Any]) -> str:
    """Return the sentence on a kind of network that no problem has; empty if one has it.

    What keys it has, and which of them it needs, nobody can say then.
    """
    network = document.get("network")
    kind = network.get("kind") if isinstance(network, dict) else None
    if not isinstance(kind, str) or any(kind == known for _, known in NETWORKS):
        return ""
    return unknown_network(kind, document)


def without_its_keys(problems: Sequence[str], document: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a file, but for what is said of keys of a strange network.

    An axis of them that is zipped or drawn may be right.
    """
    if not strange_network(document):
        return [*problems]
    keys = [rf"network\.{re.escape(key)}\b" for key in document["network"] if key != "kind"]
    return [text for text in problems if not any(re.search(key, text) for key in keys)]


def of_a_plugin(problems: Sequence[str], raw: Any, metadata: Sequence[Any]) -> list[str]:
    """Return what is wrong with a setting; words that are not known may be those of a plug-in.

    Args:
        problems: The sentences.
        raw: What the file gives: a word or a list of them.
        metadata: Of the setting's field, with its words if others can add theirs to them.
    """
    if not problems or (words := words_of(metadata)) is None:
        return [*problems]
    given = raw if isinstance(raw, list) else [raw]
    strange = [each for each in given if isinstance(each, str) and each not in words]
    for each in strange:
        if why := words.absent.get(each):
            said = f" is {show(each)}; it must be "
            problems = [
                f"{text.partition(said)[0]} is {show(each)}, which {why}." if said in text else text
                for text in problems
            ]
    return [
        f"{text.removesuffix('.')}, or one of a plug-in that is named, --plugin FILE."
        if any(f" is {show(each)}; it must be " in text for each in strange)
        else text
        for text in problems
    ]
