"""README.md."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

from dlnsweep.networks.layered.kind import Width
from dlnsweep.problems import population
from kept.guides import bounds_of
from kept.text import ROOT, Part, Statement, says

FILE = "README.md"


def _head() -> Iterator[Statement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    # As words: 3.10 is no 3.1.
    python = project["requires-python"].removeprefix(">=")
    yield says(f"(needs Python {python} or newer;")
    (jax,) = (one for one in project["dependencies"] if one.startswith("jax>"))
    yield says(f"jax {jax.removeprefix('jax>=')} (Python {python}) to")


def _reach() -> Iterator[Statement]:
    yield says("at any width up to {}.", bounds_of(Width)[1])
    yield says("a number of one program, up to {}.", population._MOST)


PARTS = [
    Part(FILE, "", _head, settings=("to 0.12 (Python 3.12 and newer)",)),
    Part(FILE, "What nobody else has", _reach),
    Part(FILE, "Guides", settings=("Apache-2.0",)),
]
