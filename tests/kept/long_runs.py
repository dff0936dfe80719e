"""README.md and results/kept/long_runs: time jumps beside gradient descent step by step."""

from __future__ import annotations

from collections.abc import Iterator

from dlnsweep.engine import jumps
from kept.text import Part, Statement, says


def _front_page() -> Iterator[Statement]:
    yield says("with at most {} outputs on all samples", jumps.MOST_OUTPUTS)


PARTS = [Part("README.md", "Time jumps: any number of steps", _front_page)]
