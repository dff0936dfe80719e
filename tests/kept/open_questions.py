"""results/kept/open_questions/README.md."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kept.tables import table
from kept.text import Part, Statement, says

FILE = "results/kept/open_questions/README.md"


def _width() -> Iterator[Statement]:
    rows = table("open_questions/width_transitions.csv")
    half = rows.column("x_half")
    yield says("lies between {} and {} in all {} settings", min(half), max(half), len(half))
    columns = ("depth", "condition_number", "subspace_dim")
    known = np.log(np.array([rows.column(name) for name in columns], dtype=float)).T
    fit, *_ = np.linalg.lstsq(
        np.column_stack([known, np.ones(len(half))]), np.log(half), rcond=None
    )
    yield says("L^{} (", float(fit[0]))
    yield says("kappa^{} (", float(fit[1]))
    yield says("s^{} (", float(fit[2]))


PARTS = [Part(FILE, "(b) How wide is wide enough?", _width, complete=False)]
