"""What benchmarks and tests state: the sizes behind kept tables, and what is held to."""

from __future__ import annotations

import ast
import importlib
import sys
from typing import Any

from kept.text import ROOT


def script(name: str) -> Any:
    """Return a module of tests/benchmarks."""
    # As `python -m` does where the repository is the current folder.
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    return importlib.import_module(f"tests.benchmarks.{name}")


def stated(file: str, name: str) -> Any:
    """Return a constant of a file that cannot be imported from here, such as a test."""
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            (target,) = node.targets
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            for one, value in zip(names, values, strict=False):
                if isinstance(one, ast.Name) and one.id == name:
                    return ast.literal_eval(value)
    raise LookupError(f"{file} has no {name}")
