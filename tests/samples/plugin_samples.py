"""Plug-in files for the time of a test: what they register is forgotten afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dlnsweep
from dlnsweep.contracts import plugins
from dlnsweep.contracts.network import NETWORKS

OWN_NETWORKS = Path(__file__).parent / "own_networks.py"


@contextmanager
def loaded(path: Path = OWN_NETWORKS) -> Iterator[None]:
    """Load a plug-in file, and forget its networks at the end."""
    before = list(NETWORKS)
    try:
        dlnsweep.load_plugin(path)
        yield
    finally:
        for place in set(NETWORKS) - set(before):
            del NETWORKS[place]
        plugins._files.pop(path.resolve(), None)
        sys.modules.pop(f"dlnsweep_plugins.{path.stem}", None)
