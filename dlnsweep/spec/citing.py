"""What to cite for a sweep: the arXiv numbers that its kinds say in their own definitions.

A kind's number stands in the docstring of its settings, of what draws it, or of their module, or is
an optimizer's `source`; so a stranger's kind is cited as ours are. A formula of a figure has its
number in its text, and what a setting chooses beside the kinds stands in `USED`. A title or an
author that is wrong would be worse than none, and every reference manager completes an entry by its
number: titles are given of papers whose text the house was built with, others are not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from dlnsweep.contracts.network import NETWORKS, find_network
from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.theory.curves import THEORY_CURVES
from dlnsweep.version import __version__

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})(?!\d)")
# As the papers that the house was built with call themselves.
TITLES = {
    "2403.05395": (
        "Recovery Guarantees of Unsupervised Neural Networks for Inverse Problems trained with "
        "Gradient Descent"
    ),
    "2408.13767": (
        "Lecture Notes on Linear Neural Networks: A Tale of Optimization and Generalization in "
        "Deep Learning"
    ),
}
# What a value of a setting, or the kernel that carried a run out, is by: the modules that carry it
# out say the same, and import JAX. None stands for any value that is not zero.
USED: dict[tuple[str, Any], tuple[str, ...]] = {
    ("training.prescription", "theorem_2_3"): ("2502.15522",),
    ("training.schedule", "cosine"): ("1608.03983",),
    ("training.sam_radius", None): ("2010.01412",),
    # That of diffrax.
    ("training.flow_tolerance", None): ("2202.02435",),
    ("network.parametrization", "ntk"): ("1806.07572",),
    ("network.parametrization", "mean_field"): ("1804.06561", "2205.09653"),
    ("network.parametrization", "mup"): ("2203.03466", "2011.14522"),
    ("network.initializer", "unit_rows"): ("2406.06158",),
    ("network.initializer", "zero_last"): ("2106.09685",),
    ("network.initializer", "balanced"): ("1810.02281",),
    ("kernel", "reduced_inputs"): ("2502.15522",),
}
# Styles warn of an entry without an author or a year, which is this version's.
_SOFTWARE = f"""\
@software{{dlnsweep,
  author = {{{{The dlnsweep developers}}}},
  title = {{dlnsweep: a JAX sweep engine for deep-learning theory}},
  version = {{{__version__}}},
  year = {{2026}},
}}
"""


def bibtex(source: str, kinds: Mapping[str, Iterable[Any]], theory: Iterable[str] = ()) -> str:
    """Return BibTeX of what a sweep is about and of what it uses, dlnsweep last.

    Args:
        source: What the sweep reproduces, as its file says.
        kinds: The kinds that its runs have of "problem.kind", "network.kind" and
            "training.optimizer", and the values of the settings of `USED`; those that are not
            known here have no entry.
        theory: The formulas that its figures draw.
    """
    found: dict[str, list[str]] = {}
    for number in _ARXIV.findall(source):
        found.setdefault(number, []).append("what the sweep is about")
    for key, values in kinds.items():
        for kind in values:
            for number in _numbers(_parts(key, kind, list(kinds.get("problem.kind", ())))):
                found.setdefault(number, []).append(f"{key.partition('.')[2]} {kind}")
            for number in _used(key, kind):
                found.setdefault(number, []).append(f"{key.rpartition('.')[2]} {_shown(kind)}")
    for name in theory:
        text = THEORY_CURVES[name].text if name in THEORY_CURVES else ""
        for number in _ARXIV.findall(text):
            found.setdefault(number, []).append(f"theory {name}")
    return "\n".join([*(_entry(number, what) for number, what in found.items()), _SOFTWARE])


def _entry(number: str, what: Iterable[str]) -> str:
    note = ", ".join(dict.fromkeys(what)).replace("_", r"\_").replace("kind ", "")
    # In braces of its own, so that no style makes capitals small.
    title = f"  title = {{{{{TITLES[number]}}}}},\n" if number in TITLES else ""
    return (
        f"@misc{{arXiv:{number},\n{title}  eprint = {{{number}}},\n  archivePrefix = {{arXiv}},\n"
        f"  url = {{https://arxiv.org/abs/{number}}},\n  note = {{{note}}},\n}}\n"
    )


def _used(key: str, value: Any) -> tuple[str, ...]:
    if value in (0, None) or value != value:
        return ()
    return USED.get((key, value)) or USED.get((key, None), ())


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _parts(key: str, kind: Any, problems: list[Any]) -> list[Any]:
    """Return what a kind is defined by; nothing for one that is not known."""
    if key == "problem.kind" and kind in PROBLEMS:
        return [PROBLEMS[kind].settings, PROBLEMS[kind].draw]
    if key == "network.kind":
        # Networks of one name are others for other tasks.
        known = {name for _, name in NETWORKS} & {kind}
        return [
            find_network(each, kind).settings for each in problems if each in PROBLEMS and known
        ]
    if key == "training.optimizer" and kind in OPTIMIZERS:
        optimizer = OPTIMIZERS[kind]
        return [optimizer.source, optimizer.direction, optimizer.numbers]
    return []


def _numbers(parts: Iterable[Any]) -> Iterable[str]:
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        module = sys.modules.get(getattr(part, "__module__", None) or "")
        texts += [getattr(part, "__doc__", None) or "", getattr(module, "__doc__", None) or ""]
    return dict.fromkeys(number for text in texts for number in _ARXIV.findall(text))
