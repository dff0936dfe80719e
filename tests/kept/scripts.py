"""The benchmarks behind kept tables, for the sizes that they state."""

from __future__ import annotations

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
