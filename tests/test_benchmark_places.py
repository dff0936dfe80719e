"""Benchmarks put hooks into functions of the package by name: what they name must be there."""

import ast
import importlib
import re
from pathlib import Path

import pytest

_PLACE = re.compile(r"[a-z_]+(\.[a-z_]+)*:[A-Za-z_]+(\.[a-z_]+)*")


def _places() -> list[str]:
    files = Path(__file__).with_name("benchmarks").glob("*.py")
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8"))))
    values = (node.value for node in nodes if isinstance(node, ast.Constant))
    named = {value for value in values if isinstance(value, str) and _PLACE.fullmatch(value)}
    return sorted(place for place in named if not place.startswith("gallery:"))


@pytest.mark.parametrize("place", _places())
def test_what_a_benchmark_hooks_into_is_there(place: str) -> None:
    module, _, path = place.partition(":")
    owner = importlib.import_module(f"dlnsweep.{module}")
    for name in path.split("."):
        assert hasattr(owner, name), f"{place}: no {name}; benchmarks that name it do not run"
        owner = getattr(owner, name)
